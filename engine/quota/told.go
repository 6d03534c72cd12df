package quota

import (
	"math"
	"time"
)

// Told is how a limit stands as an answer's headers tell it.
type Told struct {
	Unit Unit
	// Name is the provider's own word for it: "requests", "input-tokens".
	Name string
	// Window is how long the limit's window is said to be; 0 where it is not.
	Window time.Duration
	// Amount is the whole, Remaining what is left of it; -1 is unknown.
	Amount, Remaining float64
	// Reset is how long until it is whole again; 0 is unknown.
	Reset time.Duration
	// Grain is how exact Reset is told; 0 is a millisecond.
	Grain time.Duration
	// Fixed is set where the provider is known to count in fixed windows.
	Fixed bool
}

// grain is how far Reset may be off.
func (t Told) grain() time.Duration { return max(t.Grain, time.Millisecond) }

// rounded is how far what is missing may be off: some providers tell tokens by
// the thousand.
func (t Told) rounded() float64 {
	if t.Unit != Requests && t.Amount >= 100_000 && math.Mod(t.Remaining, 1000) == 0 {
		return 1000
	}
	return 1
}

// hearsay is what answers have told of a limit so far.
type hearsay struct {
	// heard is when the newest request whose answer was listened to left.
	heard time.Time
	// promptly is the same of those that came in time to say how it stands now.
	promptly time.Time
	// The last telling, when it came.
	last, lastEnd time.Time
	lastLeft      float64
	lastReset     time.Duration
	out           [32]noted
	outs          int
	// slowest and fastest bound the rate at which the limit refills: each
	// telling of what is missing and how long until it is whole bounds it.
	slowest, fastest float64
	// even bounds it if what is missing is told in whole numbers and the time
	// to the reset is that of the whole number; uneven is set once tellings
	// contradict that.
	even   [2]float64
	uneven bool
	// anchor is the telling that the next ones are compared with to see whether
	// the end stands still; votes above 0 say it does.
	anchor anchor
	votes  int
	// longest is the longest time to a reset that was told: as good as the
	// length of a fixed window.
	longest time.Duration
}

type anchor struct {
	at, end time.Time
	missing float64
}

const (
	// prompt is how fast an answer must come for its moment to be that of what
	// it tells: some are stamped when the request comes in.
	prompt = 250 * time.Millisecond
	// telling is how far the end of a bucket's refill must move before it is
	// told from a fixed window's.
	telling = 120 * time.Millisecond
)

// Header is the source of limits that answers tell.
const Header = "header"

// longestReset is how far off a reset is believed at most: a little more than a
// month. A number in a header closes nothing for longer.
const longestReset = 35 * 24 * time.Hour

// OpenTold opens the book of a limit that an answer tells. ok is false where it
// tells too little for one.
func OpenTold(t Told, model string, now time.Time) (b *Book, ok bool) {
	if t.Amount <= 0 || t.Remaining < 0 || t.Window <= 0 && t.Reset <= 0 {
		return nil, false
	}
	length := t.Window
	if length <= 0 {
		length = t.Reset
	}
	b = NewBook(Limit{Unit: t.Unit, Amount: t.Amount, Window: min(length, longestReset), Model: model, Source: Header}, now)
	b.toldWindow = t.Window
	if t.Fixed && t.Reset > 0 {
		b.longest, b.votes = max(t.Window, t.Reset), 3
		b.counter = b.fixed(t.Amount, 0, now.Add(t.Reset))
	}
	return b, true
}

// Same reports whether the book is of the limit that is told.
func (b *Book) Same(t Told, model string) bool {
	if b.Unit != t.Unit || b.Model != model || b.Calendar != "" || b.Window == 0 {
		return false
	}
	if b.Source == Header {
		return b.toldWindow == t.Window
	}
	return b.whole() == t.Amount && (t.Window == 0 || b.Window == t.Window)
}

// Hear corrects the book by what an answer tells, in both directions: what is
// missing there is missing here too, and what is missing here is missing there
// or on its way. sent is when the answer's request left. What is older than the
// last telling is not listened to.
func (b *Book) Hear(t Told, sent, now time.Time) {
	if sent.Before(b.heard) || t.Remaining < 0 || b.overtaken(t, now) {
		return
	}
	b.heard = sent
	t.Reset = min(t.Reset, longestReset)
	if b.Source == Header && t.Amount > 0 && t.Amount != b.whole() {
		b.resize(t.Amount)
	}
	took := now.Sub(sent)
	if took < prompt {
		b.promptly = sent
	}
	missing := max(b.whole()-t.Remaining, 0)
	if b.Source == Header && t.Reset > 0 && took < prompt {
		b.window(t, missing, now)
	}
	low, high := missing, missing+b.pending
	switch c := b.counter.(type) {
	case *bucket:
		if t.Reset > 0 {
			low = max(t.Reset.Seconds()*c.rate, missing-1)
			if t.Remaining > 0 {
				low = min(low, missing)
			}
		}
		// It may have been stamped when the request came in: then it knows
		// nothing of what came back since, nor of what was taken.
		then := low - c.rate*took.Seconds() + b.takenAfter(sent)
		low, high = min(low, then), max(low, then)+b.pending
	case *window:
		if t.Reset > 0 && !now.Before(sent.Add(t.Reset)) {
			return // it tells of a window that is over by now
		}
		if end := now.Add(t.Reset); t.Reset > 0 && (end.Before(c.end) || end.Sub(c.end) > t.Reset/4) && b.Calendar == "" {
			c.turn(now)
			c.end = end
		}
	}
	switch used := b.Taken(now); {
	case used < low:
		b.set(b.whole()-low, now)
	case used > high && took < prompt: // later than that, more has gone out than is remembered
		b.set(b.whole()-high, now)
	}
}

// noted is a request that went out.
type noted struct {
	at time.Time
	n  float64
}

// note remembers what went out last, for [Book.Hear].
func (b *Book) note(n float64, now time.Time) {
	if b.Source == Header {
		b.out[b.outs%len(b.out)] = noted{now, n}
		b.outs++
	}
}

// takenAfter is what has gone out since a moment, as far as is remembered.
func (b *Book) takenAfter(sent time.Time) (sum float64) {
	for _, o := range b.out[:min(b.outs, len(b.out))] {
		if o.at.After(sent) {
			sum += o.n
		}
	}
	return sum
}

// Heard is when the newest request left whose answer told of the limit.
func (b *Book) Heard() time.Time { return b.heard }

// HeardOf reports whether an answer has told in time how the limit stood after a
// request that left at sent.
func (b *Book) HeardOf(sent time.Time) bool { return b.Source == Header && !b.promptly.Before(sent) }

// overtaken reports whether the telling is older than the last one, though its
// request may have left no earlier: of answers that come together, the one that
// tells of more missing was made last.
func (b *Book) overtaken(t Told, now time.Time) bool {
	end := now.Add(t.Reset)
	again := now.Sub(b.last) > prompt || b.lastReset > 0 && t.Reset > 0 && end.Sub(b.lastEnd) > t.Reset/2
	back := 0.0
	if c, ok := b.counter.(*bucket); ok {
		back = 1 + c.rate*now.Sub(b.last).Seconds()
	}
	if !again && t.Remaining > b.lastLeft+back {
		return true
	}
	b.last, b.lastLeft, b.lastEnd, b.lastReset = now, t.Remaining, end, t.Reset
	return false
}

// resize follows an amount that the provider has changed.
func (b *Book) resize(amount float64) {
	switch c := b.counter.(type) {
	case *bucket:
		c.missing += amount - c.depth
		c.missing = max(c.missing, 0)
		c.rate *= amount / c.depth
		c.depth = amount
	case *window:
		c.used = max(c.used+amount-c.amount, 0)
		c.amount = amount
	}
	b.slowest, b.fastest, b.even, b.uneven = 0, 0, [2]float64{}, false
	b.describe()
}

// window learns from a telling how the limit comes back: evenly, and how fast,
// or all at once at an end that stands still.
func (b *Book) window(t Told, missing float64, now time.Time) {
	b.longest = max(b.longest, t.Reset)
	if missing <= 0 {
		return
	}
	b.vote(missing, t, now)
	if _, fixed := b.counter.(*window); b.votes >= 2 && !fixed || b.votes <= -2 && fixed {
		b.turnInto(!fixed, missing, now.Add(t.Reset), now)
	}
	c, ok := b.counter.(*bucket)
	if !ok {
		b.describe()
		return
	}
	if t.Remaining == 0 {
		// More may be missing than all: one large request can overdraw.
		b.slowest = max(b.slowest, missing/(t.Reset+t.grain()).Seconds())
		return
	}
	lo, hi := max(missing-t.rounded(), 0)/(t.Reset+t.grain()).Seconds(), math.Inf(1)
	if t.Reset > t.grain() {
		hi = (missing + t.rounded() - 1) / (t.Reset - t.grain()).Seconds()
	}
	if b.fastest == 0 || lo > b.fastest || hi < b.slowest {
		b.slowest, b.fastest = lo, hi
	}
	b.slowest, b.fastest = max(b.slowest, lo), min(b.fastest, hi)
	if exact := missing / (t.Reset + t.grain()).Seconds(); t.rounded() > 1 {
		b.uneven = true
	} else if !b.uneven {
		if b.even[1] == 0 {
			b.even = [2]float64{exact, hi}
		}
		b.even = [2]float64{max(b.even[0], exact), min(b.even[1], hi)}
		b.uneven = b.even[0] > b.even[1]
	}
	declared := 0.0
	if t.Window > 0 {
		declared = c.depth / t.Window.Seconds()
	}
	switch {
	case declared >= b.slowest && declared <= b.fastest:
		c.rate = declared
	case math.IsInf(b.fastest, 0):
		return // too coarse to tell more than is declared
	case !b.uneven:
		c.rate = (b.even[0] + b.even[1]) / 2
	case b.slowest > 0:
		c.rate = (b.slowest + b.fastest) / 2
	default:
		c.rate = b.fastest
	}
	b.describe()
}

// vote compares two tellings: the end of a fixed window stands still while more
// is used; that of a bucket's refill moves on with every request.
func (b *Book) vote(missing float64, t Told, now time.Time) {
	a, end := b.anchor, now.Add(t.Reset)
	rise := missing - a.missing
	if a.at.IsZero() || rise < 0 {
		b.anchor = anchor{now, end, missing}
		return
	}
	moved, expected := end.Sub(a.end), now.Sub(a.at)+seconds(rise*t.Reset.Seconds()/missing)
	if expected < max(telling, 4*t.Grain) {
		return
	}
	near := telling/4 + expected/10 + t.Grain
	switch stands, moves := moved.Abs() < near, (moved-expected).Abs() < near; {
	case stands && !moves:
		b.votes = min(b.votes+1, 3)
	case moves && !stands:
		b.votes = max(b.votes-1, -3)
	}
	b.anchor = anchor{now, end, missing}
}

func (b *Book) turnInto(fixed bool, missing float64, end, now time.Time) {
	amount := b.whole()
	if fixed {
		b.counter = b.fixed(amount, missing+b.pending, end)
	} else {
		b.counter = &bucket{depth: amount, rate: amount / b.longest.Seconds(), missing: missing + b.pending, at: now, late: b.late}
	}
	b.describe()
}

// fixed counts windows that follow on each other, as long as is known by now.
func (b *Book) fixed(amount, used float64, end time.Time) *window {
	return &window{amount: amount, used: used, end: end,
		next: func(now, end time.Time) time.Time { return every(usual(b.longest))(now, end) }}
}

// usual is the length of a window in which so long a time to its end was told:
// the next of the usual lengths, if that is near. Too short a guess would let
// everything go before the window's end.
func usual(longest time.Duration) time.Duration {
	for _, l := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
		10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 5 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		if longest <= l+l/100 && longest > l*3/4 {
			return l
		}
	}
	return longest + longest/20
}

// describe makes the limit say what is known of it by now.
func (b *Book) describe() {
	switch c := b.counter.(type) {
	case *bucket:
		b.Amount, b.Burst = c.depth, 0
		if length := seconds(c.depth / c.rate); b.toldWindow > 0 && length > b.toldWindow*17/20 && length < b.toldWindow*23/20 {
			b.Window = b.toldWindow
		} else if b.Window = length; length < time.Second {
			// A small bucket that fills fast is better told by the minute.
			b.Amount, b.Window, b.Burst = c.rate*60, time.Minute, c.depth
		}
	case *window:
		b.Amount, b.Burst, b.Window = c.amount, 0, usual(b.longest)
	}
}

// A known limit may have a refusal in every rare requests, and some more that
// are excused: with more of them it is not the one that counts.
const (
	rare    = 20
	excused = 10
)

// Refused says that the provider refused n, which fitted here, and that it would
// fit after wait; 0 is unknown. A limit that nobody said
// to be a bucket is taken for one that counts strictly from now on: in no span
// of its window more than its amount. It reports false where refusals come so
// often that there must be another limit than this one.
func (b *Book) Refused(n float64, wait time.Duration, now time.Time) bool {
	b.surprises = max(b.surprises-b.takes/rare, 0) + 1
	b.takes, b.emptied = 0, now
	explains := b.surprises <= excused
	switch c := b.counter.(type) {
	case *bucket:
		if b.Source != Header && b.Burst == 0 {
			b.counter = &trailing{amount: c.depth, length: b.Window}
			b.Late(b.late)
			b.take(c.depth, takenAt(b.Window, wait, now))
			return explains
		}
		room := min(n, c.depth) - c.rate*wait.Seconds()
		if wait <= 0 && b.Unit == Requests {
			room = 0
		}
		if room < b.room(now) {
			b.set(room, now)
		}
	case *trailing:
		if room := c.room(now); room > 0 {
			c.take(room, takenAt(c.length, wait, now))
		}
	}
	return explains
}

// takenAt is when what will fit again after wait was taken of a window; without
// a hint it is taken now.
func takenAt(length, wait time.Duration, now time.Time) time.Time {
	if wait <= 0 {
		return now
	}
	return now.Add(min(wait, length) - length)
}

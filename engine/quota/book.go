package quota

import "time"

// Book is a limit and how much of it is used.
type Book struct {
	Limit
	counter
	burn Meter
	// pending is what was taken by requests that the provider has not answered
	// yet: whether it has counted them is not known.
	pending float64
	// late is as for [Book.Late]; toldWindow is the window as headers call it.
	late       time.Duration
	toldWindow time.Duration
	// takes counts the requests since the last refusal, surprises the refusals
	// that the book does not explain.
	takes, surprises int
	// emptied is when a refusal said that nothing is left.
	emptied time.Time
	hearsay
}

// NewBook opens the book of a limit at now.
func NewBook(l Limit, now time.Time) *Book {
	b := &Book{Limit: l}
	b.burn = NewMeter(b.burnSpan())
	b.counter = l.counter(now)
	b.take(l.Used, now)
	return b
}

// counter is how the limit counts.
func (l Limit) counter(now time.Time) counter {
	switch {
	case l.Calendar != "":
		return &window{amount: l.Amount, end: l.midnight(now), seen: now.Round(0), next: func(now, _ time.Time) time.Time { return l.midnight(now) }}
	case l.Window > 0 && l.Window <= time.Second && l.Burst == 0 && l.Source != Header:
		// So short a window is mostly a fixed one, and nothing is lost by
		// counting strictly.
		return &trailing{amount: l.Amount, length: l.Window}
	case l.Window > 0:
		return &bucket{depth: l.depth(), rate: l.Amount / l.Window.Seconds(), at: now}
	default:
		return &running{amount: l.Amount}
	}
}

// depth is how much may go at once.
func (l Limit) depth() float64 {
	if l.Burst > 0 {
		return min(l.Burst, l.Amount)
	}
	return l.Amount
}

// burnSpan is the time over which burn is averaged: a quarter of the window,
// at least 15 s and at most 15 min.
func (l Limit) burnSpan() time.Duration {
	span := l.Window / 4
	if l.Calendar != "" || l.Unit == USD {
		span = 15 * time.Minute
	}
	return min(max(span, 15*time.Second), 15*time.Minute)
}

// Late says how much earlier a request may reach the provider, against the one
// before it, than it left here: by so much later a limit that has run dry is
// used again.
func (b *Book) Late(d time.Duration) {
	b.late = d
	switch c := b.counter.(type) {
	case *bucket:
		c.late = d
	case *trailing:
		c.late = min(d, c.length/200)
	}
}

// Fits reports whether n more can be taken now. An n larger than the whole
// limit fits when nothing is used.
func (b *Book) Fits(n float64, now time.Time) bool {
	if c, ok := b.counter.(*bucket); ok {
		return c.fits(n, now)
	}
	return b.room(now)+tiny >= min(n, b.whole())
}

// WhenFits is the time at which n more can be taken if nothing else is; now if
// they can be, zero if only the end of a running request, or a person, can tell.
func (b *Book) WhenFits(n float64, now time.Time) time.Time {
	if b.Fits(n, now) {
		return now
	}
	return b.when(n, now)
}

// Take uses n up for a request that is on its way to the provider.
// [Book.Answered] follows.
func (b *Book) Take(n float64, now time.Time) {
	b.Settle(n, now)
	b.pending += n
	b.takes++
	b.note(n, now)
}

// Answered says that the provider has answered a request that took n.
func (b *Book) Answered(n float64) { b.pending = max(b.pending-n, 0) }

// Refund gives back what a request took that left at sent and was refused: it
// used nothing up. One that left before nothing was left is in that already.
func (b *Book) Refund(n float64, sent, now time.Time) {
	if !sent.Before(b.emptied) {
		b.Settle(-n, now)
	}
}

// Settle uses n up; a negative n gives back what was taken and not used.
func (b *Book) Settle(n float64, now time.Time) {
	if n == 0 {
		return
	}
	b.take(n, now)
	b.burn.Add(n, now)
}

// Used is how much of the window is used.
func (b *Book) Used(now time.Time) float64 { return max(b.Amount-b.Remaining(now), 0) }

// Remaining is how much is left, never below 0. Of a limit whose bucket is
// smaller than its window it is what the present burn leaves.
func (b *Book) Remaining(now time.Time) float64 {
	if b.whole() < b.Amount {
		left := b.Amount - b.burn.PerSecond(now)*b.Window.Seconds()
		return min(max(left, 0), b.Amount)
	}
	return min(max(b.whole()-b.Taken(now), 0), b.Amount)
}

// Taken is what cannot be taken now of what can be taken at once.
func (b *Book) Taken(now time.Time) float64 {
	room := b.room(now)
	if c, ok := b.counter.(*bucket); ok {
		return c.missing
	}
	return b.whole() - room
}

// PerSecond is how much a rolling limit lets through in the long run; 0 for
// those that are none.
func (b *Book) PerSecond() float64 {
	switch c := b.counter.(type) {
	case *bucket:
		return c.rate
	case *trailing:
		return c.amount / (c.length + c.late).Seconds()
	case *window:
		if b.Window > 0 {
			return c.amount / b.Window.Seconds()
		}
	}
	return 0
}

// Left corrects how much is left; more than the amount raises that.
func (b *Book) Left(left float64, now time.Time) {
	if c, ok := b.counter.(*running); ok && left > c.amount {
		c.amount, b.Amount = left, left
	}
	b.set(left, now)
}

// Room is the share of what may be taken at once that can be taken now.
func (b *Book) Room(now time.Time) float64 { return b.room(now) / b.whole() }

// ResetsAt is when nothing is used any more if nothing else is taken; zero for
// concurrency and for money.
func (b *Book) ResetsAt(now time.Time) time.Time { return b.resets(now) }

// Burn is how fast the limit is being used, per minute. known is false until
// three samples have come.
func (b *Book) Burn(now time.Time) (perMin float64, known bool) {
	return b.burn.PerSecond(now) * 60, b.burn.Samples() >= 3
}

// Seen is for how long the burn has been watched.
func (b *Book) Seen(now time.Time) time.Duration {
	if b.burn.Samples() == 0 {
		return 0
	}
	return now.Sub(b.burn.first)
}

// Runway is how long what remains lasts at the present burn. lasts is true when
// it outlives the window or refills faster than it burns; known is false where
// burn is.
func (b *Book) Runway(now time.Time) (d time.Duration, lasts, known bool) {
	perMin, known := b.Burn(now)
	if !known || b.Unit == Concurrent {
		return 0, false, false
	}
	perSec := perMin / 60
	if c, ok := b.counter.(*bucket); ok {
		perSec -= c.rate
	}
	if perSec <= 0 {
		return 0, true, true
	}
	secs := b.Remaining(now) / perSec
	if secs > 365*24*3600 {
		return 0, true, true
	}
	d = seconds(secs)
	end := b.ResetsAt(now)
	_, rolls := b.counter.(*bucket)
	return d, !rolls && !end.IsZero() && now.Add(d).After(end), true
}

// Reset makes the book as new, with nothing used. What runs now goes on
// running: concurrency is not reset.
func (b *Book) Reset(now time.Time) {
	if b.Unit == Concurrent {
		return
	}
	b.set(b.whole(), now)
	b.burn = NewMeter(b.burnSpan())
}

// Slept says that so much time has passed which no clock but the wall's has
// counted: the machine slept. What comes back by the calendar goes by the wall's
// clock anyway.
func (b *Book) Slept(d time.Duration) {
	switch c := b.counter.(type) {
	case *bucket:
		c.at = c.at.Add(-d)
		if !c.full.IsZero() {
			c.full = c.full.Add(-d)
		}
	case *trailing:
		for i := range c.slots {
			c.slots[i].began, c.slots[i].last = c.slots[i].began.Add(-d), c.slots[i].last.Add(-d)
		}
	case *window:
		if b.Calendar == "" {
			c.end = c.end.Add(-d)
		}
	}
}

// SameWindow reports whether the limit counts the same thing over the same time
// as the book's: then what is used of the one is used of the other.
func (b *Book) SameWindow(l Limit) bool {
	return b.Unit == l.Unit && b.Window == l.Window && b.Calendar == l.Calendar && b.Model == l.Model
}

// Resume goes on where another book of the same window stands.
func (b *Book) Resume(old *Book, now time.Time) {
	b.set(b.whole()-old.Taken(now), now)
	b.burn, b.pending = old.burn, old.pending
}

// Clone is a copy of the book as it stands.
func (b *Book) Clone() *Book {
	c := *b
	c.counter = b.counter.clone()
	return &c
}

// midnight is the end, in the limit's zone, of the calendar window that now is
// in.
func (l Limit) midnight(now time.Time) time.Time {
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := now.In(zone).Date()
	if l.Calendar == "month" {
		return time.Date(y, m+1, 1, 0, 0, 0, 0, zone)
	}
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}

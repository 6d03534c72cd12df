package quota

import (
	"math"
	"time"
)

// counter is how a limit counts: each kind of window is one.
type counter interface {
	// whole is the most that can be taken at once, room what can be now.
	whole() float64
	room(now time.Time) float64
	// when is the moment at which n can be taken if nothing else is; zero if
	// time alone does not tell.
	when(n float64, now time.Time) time.Time
	// take uses n up; below 0 it gives back.
	take(n float64, now time.Time)
	// resets is when everything can be taken again; zero as for when.
	resets(now time.Time) time.Time
	// set says how much can be taken now.
	set(room float64, now time.Time)
	clone() counter
}

// tiny is what rounding may lose.
const tiny = 1e-9

// bucket refills evenly, as most providers' limits do.
type bucket struct {
	depth, rate float64 // rate is a second
	missing     float64
	at          time.Time
	// late is how much earlier a request may reach the provider, against the
	// one before it, than it left here. It matters when the bucket has run dry
	// and every request goes out at the moment it may: dry is set then.
	late time.Duration
	dry  bool
	// full is since when nothing is missing.
	full time.Time
	// spilled is how much would have come in while the bucket was full.
	spilled float64
}

func (b *bucket) refill(now time.Time) {
	dt := now.Sub(b.at).Seconds()
	if dt <= 0 {
		return
	}
	b.at = now
	if b.missing > 0 {
		b.full = now
	}
	b.missing -= dt * b.rate
	if b.missing <= 0 {
		b.spilled -= b.missing
		b.full = earlier(b.full, now.Add(seconds(b.missing/b.rate)))
		b.missing, b.dry = 0, false
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (b *bucket) whole() float64 { return b.depth }

func (b *bucket) room(now time.Time) float64 {
	b.refill(now)
	room := b.depth - b.missing
	if b.dry {
		room -= b.margin()
	}
	return room
}

// margin is what may have come in here and not there yet.
func (b *bucket) margin() float64 { return min(b.rate*b.late.Seconds(), b.depth/4) }

func (b *bucket) when(n float64, now time.Time) time.Time {
	lack := min(n, b.depth) - b.room(now)
	if !b.dry && lack > tiny {
		b.dry = true
		lack += b.margin()
	}
	// When it has been full for that long, no margin is asked for.
	full := b.full.Add(b.late / 4)
	if b.missing > 0 {
		full = now.Add(seconds(b.missing/b.rate) + b.late/4)
	}
	return earlier(now.Add(max(seconds(lack/b.rate), 0)), full)
}

// fits reports whether n can be taken. What is more than the whole, or all but
// the margin of it, goes when the bucket has been full for a moment.
func (b *bucket) fits(n float64, now time.Time) bool {
	return b.room(now)+tiny >= n || b.missing <= 0 && (!b.full.IsZero() && now.Sub(b.full) >= b.late/4 || b.full.IsZero())
}

func (b *bucket) take(n float64, now time.Time) {
	b.refill(now)
	b.missing = max(b.missing+n, 0)
}

func (b *bucket) resets(now time.Time) time.Time {
	b.refill(now)
	return now.Add(seconds(b.missing / b.rate))
}

func (b *bucket) set(room float64, now time.Time) {
	b.refill(now)
	b.missing = b.depth - room
	b.dry = b.dry || b.missing >= b.depth-1
}

func (b *bucket) clone() counter { c := *b; return &c }

// trailing lets no span of its length hold more than its amount: what is safe
// with a provider that counts in fixed windows nobody knows the beginning of.
// What was taken is kept in slots, and a slot counts until its last is out.
type trailing struct {
	amount float64
	length time.Duration
	late   time.Duration
	slots  [slots]taken
	first  int // the oldest
	n      int
	sum    float64
}

const slots = 256

type taken struct {
	began, last time.Time
	n           float64
}

func (t *trailing) expire(now time.Time) {
	for t.n > 0 && now.Sub(t.slots[t.first].last) >= t.length+t.late {
		t.sum -= t.slots[t.first].n
		t.first = (t.first + 1) % slots
		t.n--
	}
	if t.n == 0 {
		t.sum = 0
	}
}

func (t *trailing) whole() float64 { return t.amount }

func (t *trailing) room(now time.Time) float64 {
	t.expire(now)
	return t.amount - t.sum
}

func (t *trailing) when(n float64, now time.Time) time.Time {
	lack := min(n, t.amount) - t.room(now)
	for i := range t.n {
		if lack <= tiny {
			break
		}
		s := &t.slots[(t.first+i)%slots]
		lack -= s.n
		now = s.last.Add(t.length + t.late)
	}
	return now
}

func (t *trailing) take(n float64, now time.Time) {
	t.expire(now)
	t.sum = max(t.sum+n, 0)
	// What is given back was taken of late, but the newest slot alone may not
	// hold as much.
	for i := t.n - 1; n < 0 && i >= 0; i-- {
		s := &t.slots[(t.first+i)%slots]
		back := min(s.n, -n)
		s.n -= back
		n += back
	}
	if n > 0 {
		if t.n > 0 {
			s := &t.slots[(t.first+t.n-1)%slots]
			if t.n == slots || now.Sub(s.began) < t.length/slots {
				s.n += n
				s.last = now
				return
			}
		}
		t.slots[(t.first+t.n)%slots] = taken{now, now, n}
		t.n++
	}
}

func (t *trailing) resets(now time.Time) time.Time { return t.when(t.amount, now) }

func (t *trailing) set(room float64, now time.Time) { t.take(t.room(now)-room, now) }

func (t *trailing) clone() counter { c := *t; return &c }

// window starts again at moments that are known: the day's end, or the end that
// a provider told.
type window struct {
	amount, used float64
	end          time.Time
	// next is the end of the window that now is in.
	next func(now, end time.Time) time.Time
	// Where that follows from the date alone, seen is the earliest moment on the
	// wall that is known to be in this window; before is what was used in the one
	// before it.
	seen   time.Time
	before float64
}

func (w *window) turn(now time.Time) {
	if !now.Before(w.end) {
		w.before, w.used, w.end = w.used, 0, w.next(now, w.end)
		if !w.seen.IsZero() {
			w.seen = now.Round(0)
		}
		return
	}
	if !now.Before(w.seen) {
		return
	}
	// The clock was set back, and the window before may not be over yet.
	w.seen = now.Round(0)
	if end := w.next(now, w.end); end.Before(w.end) {
		w.before, w.used, w.end = 0, w.used+w.before, end
	}
}

func (w *window) whole() float64 { return w.amount }

func (w *window) room(now time.Time) float64 {
	w.turn(now)
	return w.amount - w.used
}

func (w *window) when(n float64, now time.Time) time.Time {
	if min(n, w.amount)-w.room(now) <= tiny {
		return now
	}
	return w.end
}

func (w *window) take(n float64, now time.Time) {
	w.turn(now)
	w.used = max(w.used+n, 0)
}

func (w *window) resets(now time.Time) time.Time {
	w.turn(now)
	return w.end
}

func (w *window) set(room float64, now time.Time) {
	w.turn(now)
	w.used = w.amount - room
}

func (w *window) clone() counter { c := *w; return &c }

// every is the next of windows of one length that follow on each other.
func every(length time.Duration) func(now, end time.Time) time.Time {
	return func(now, end time.Time) time.Time {
		return end.Add((now.Sub(end)/length + 1) * length)
	}
}

// running is what is in use right now: concurrency, or money that nothing but a
// person brings back.
type running struct{ amount, used float64 }

func (r *running) whole() float64         { return r.amount }
func (r *running) room(time.Time) float64 { return r.amount - r.used }
func (r *running) when(n float64, now time.Time) time.Time {
	if min(n, r.amount)-r.room(now) <= tiny {
		return now
	}
	return time.Time{}
}
func (r *running) take(n float64, _ time.Time)   { r.used = max(r.used+n, 0) }
func (r *running) resets(time.Time) time.Time    { return time.Time{} }
func (r *running) set(room float64, _ time.Time) { r.used = r.amount - room }
func (r *running) clone() counter                { c := *r; return &c }

// seconds is a duration of so many, bounded to what a duration holds.
func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second)+0.5, math.MaxInt64/4))
}

package quota

import (
	"math"
	"time"
)

// Book is a limit and how much of it is used: a bucket that refills for a
// rolling window, a count that starts again for a calendar window, what is in
// use right now for concurrency.
type Book struct {
	Limit
	used float64
	// last is when used was true, for a rolling window; end is where the
	// calendar window that used belongs to ends.
	last, end time.Time
	burn      Meter
}

// NewBook opens the book of a limit at now.
func NewBook(l Limit, now time.Time) *Book {
	b := &Book{Limit: l, used: l.Used, last: now}
	b.burn = NewMeter(b.burnSpan())
	if l.Calendar != "" {
		b.end = b.windowEnd(now)
	}
	return b
}

// burnSpan is the time over which burn is averaged: a quarter of the window,
// at least 15 s and at most 15 min.
func (b *Book) burnSpan() time.Duration {
	span := b.Window / 4
	if b.Calendar != "" {
		span = 15 * time.Minute
	}
	return min(max(span, 15*time.Second), 15*time.Minute)
}

// Fits reports whether n more can be taken now. An n larger than the whole
// limit fits when nothing is used.
func (b *Book) Fits(n float64, now time.Time) bool {
	b.refill(now)
	return b.used+min(n, b.Amount) <= b.Amount+1e-9
}

// WhenFits is the time at which n more can be taken if nothing else is; now if
// they can be, zero if only the end of a running request can tell.
func (b *Book) WhenFits(n float64, now time.Time) time.Time {
	if b.Fits(n, now) {
		return now
	}
	switch {
	case b.Calendar != "":
		return b.ResetsAt(now)
	case b.Window > 0:
		over := b.used + min(n, b.Amount) - b.Amount
		return now.Add(time.Duration(over / b.rate() * float64(time.Second)))
	default:
		return time.Time{}
	}
}

// Take uses n up; a negative n gives back what was reserved and not used.
func (b *Book) Take(n float64, now time.Time) {
	if n == 0 {
		return
	}
	b.refill(now)
	b.used = max(b.used+n, 0)
	b.burn.Add(n, now)
}

// Used is how much of the window is used.
func (b *Book) Used(now time.Time) float64 {
	b.refill(now)
	return b.used
}

// Remaining is how much is left, never below 0.
func (b *Book) Remaining(now time.Time) float64 { return max(b.Amount-b.Used(now), 0) }

// ResetsAt is when nothing is used any more if nothing else is taken; zero for
// concurrency.
func (b *Book) ResetsAt(now time.Time) time.Time {
	switch {
	case b.Calendar != "":
		b.refill(now)
		return b.end
	case b.Window > 0:
		b.refill(now)
		return now.Add(time.Duration(b.used / b.rate() * float64(time.Second)))
	default:
		return time.Time{}
	}
}

// Burn is how fast the limit is being used, per minute. known is false until
// three samples have come.
func (b *Book) Burn(now time.Time) (perMin float64, known bool) {
	return b.burn.PerSecond(now) * 60, b.burn.Samples() >= 3
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
	if b.Calendar == "" {
		perSec -= b.rate()
	}
	if perSec <= 0 {
		return 0, true, true
	}
	secs := b.Remaining(now) / perSec
	if secs > 365*24*3600 {
		return 0, true, true
	}
	d = time.Duration(secs * float64(time.Second))
	return d, b.Calendar != "" && now.Add(d).After(b.end), true
}

// Reset makes the book as new, with nothing used. What runs now goes on
// running: concurrency is not reset.
func (b *Book) Reset(now time.Time) {
	if b.Unit == Concurrent {
		return
	}
	l := b.Limit
	l.Used = 0
	*b = *NewBook(l, now)
}

// rate is the refill of a rolling window, per second.
func (b *Book) rate() float64 { return b.Amount / b.Window.Seconds() }

func (b *Book) refill(now time.Time) {
	switch {
	case b.Calendar != "":
		if !now.Before(b.end) {
			b.used, b.end = 0, b.windowEnd(now)
		}
	case b.Window > 0:
		if dt := now.Sub(b.last).Seconds(); dt > 0 {
			b.used = max(b.used-dt*b.rate(), 0)
			b.last = now
		}
	}
}

// windowEnd is the midnight, in the limit's zone, that ends the calendar window
// now is in.
func (b *Book) windowEnd(now time.Time) time.Time {
	zone := b.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := now.In(zone).Date()
	if b.Calendar == "month" {
		return time.Date(y, m+1, 1, 0, 0, 0, 0, zone)
	}
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}

// Meter is a rate that forgets: each sample counts less the longer ago it was.
// It is right from the first second on, because it divides by the time it has
// really seen.
type Meter struct {
	span        float64 // seconds after which a sample counts 1/e
	sum         float64
	first, last time.Time
	samples     int
}

// NewMeter makes a meter that remembers for about span.
func NewMeter(span time.Duration) Meter { return Meter{span: span.Seconds()} }

// Add counts n at now.
func (m *Meter) Add(n float64, now time.Time) {
	if m.samples == 0 {
		m.first, m.last = now, now
	}
	// Forgetting a thousandth at a time is exact enough, and seldom.
	if dt := now.Sub(m.last).Seconds(); dt > m.span/1000 {
		m.sum *= math.Exp(-dt / m.span)
		m.last = now
	}
	m.sum += n
	if n > 0 {
		m.samples++
	}
}

// Samples is how many positive amounts were added.
func (m *Meter) Samples() int { return m.samples }

// PerSecond is the rate at now, never below 0.
func (m *Meter) PerSecond(now time.Time) float64 {
	if m.samples == 0 {
		return 0
	}
	sum := m.sum
	if dt := now.Sub(m.last).Seconds(); dt > 0 {
		sum *= math.Exp(-dt / m.span)
	}
	seen := max(now.Sub(m.first).Seconds(), 1)
	return max(sum/(m.span*(1-math.Exp(-seen/m.span))), 0)
}

package quota

import (
	"math"
	"time"
)

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

// Recent is how much was added of late: what counts the less the longer ago it
// was.
func (m *Meter) Recent(now time.Time) float64 {
	return m.sum * math.Exp(-max(now.Sub(m.last).Seconds(), 0)/m.span)
}

// Pace is as PerSecond, but also right where all that was added came within less
// than a second.
func (m *Meter) Pace(now time.Time) float64 {
	seen := max(now.Sub(m.first).Seconds(), 0.1)
	if m.samples == 0 || seen >= 1 {
		return m.PerSecond(now)
	}
	return m.sum / seen
}

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

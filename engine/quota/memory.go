package quota

import (
	"math"
	"time"
)

// Memory is a book, or what a learner believes, as it can be written down and
// taken up again by a later process. Its times are those on the wall.
type Memory struct {
	Unit     Unit          `json:"unit"`
	Amount   float64       `json:"amount"`
	Window   time.Duration `json:"window_ns,omitempty"`
	Burst    float64       `json:"burst,omitempty"`
	Calendar string        `json:"calendar,omitempty"`
	Model    string        `json:"model,omitempty"`
	Source   string        `json:"source"`
	// Given is [Limit.Used] of the limit.
	Given float64 `json:"given,omitempty"`
	// Counts is how the limit counts: one of the words of this package.
	Counts string `json:"counts"`
	// Whole is the most that can be taken at once, Taken what was at At.
	Whole float64   `json:"whole"`
	Taken float64   `json:"taken"`
	At    time.Time `json:"at"`
	// Rate is how much a bucket refills, a second.
	Rate float64 `json:"rate,omitempty"`
	// End is when a window that ends all at once does.
	End *time.Time `json:"end,omitempty"`
	// Takes are what a trailing limit still counts, the oldest first.
	Takes []Take `json:"takes,omitempty"`
	// Told and Longest are the window as headers call it, and the longest time
	// to a reset that they told.
	Told    time.Duration `json:"told_ns,omitempty"`
	Longest time.Duration `json:"longest_ns,omitempty"`
	// Beliefs are set where the limit is learned.
	Beliefs *Beliefs `json:"beliefs,omitempty"`
}

// Take is what was taken by a moment.
type Take struct {
	At time.Time `json:"at"`
	N  float64   `json:"n"`
}

// Beliefs are what a [Learner] believes.
type Beliefs struct {
	// Of are those of each unit that the limit may be in, Unit is which of them
	// is believed, by number.
	Of   [2]Belief `json:"of"`
	Unit int       `json:"unit"`
	// Horizon is after how many requests the next refusal is looked for.
	Horizon float64 `json:"horizon"`
	// Larger is of how many requests a refused one is larger, Depth for how many
	// tokens a request waits at most, Intervals how many refusals taught it.
	Larger    float64 `json:"larger"`
	Depth     float64 `json:"depth"`
	Intervals int     `json:"intervals"`
}

// Belief is what is believed of one unit.
type Belief struct {
	PerSecond float64 `json:"per_s"`
	Weight    float64 `json:"weight"`
	Left      float64 `json:"left"`
}

// The words for how a limit counts.
const (
	countsBucket   = "bucket"
	countsWindow   = "window"
	countsTrailing = "trailing"
	countsRunning  = "running"
)

// Memory is the book as it stands at now.
func (b *Book) Memory(now time.Time) Memory {
	m := Memory{Unit: b.Unit, Amount: b.Amount, Window: b.Window, Burst: b.Burst, Calendar: b.Calendar, Model: b.Model, Source: b.Source,
		Given: b.Limit.Used, Whole: b.whole(), Taken: b.Taken(now), At: now, Told: b.toldWindow, Longest: b.longest}
	switch c := b.counter.(type) {
	case *bucket:
		m.Counts, m.Rate = countsBucket, c.rate
	case *window:
		end := c.end
		m.Counts, m.End = countsWindow, &end
	case *trailing:
		m.Counts, m.Takes = countsTrailing, c.takes()
	default:
		m.Counts = countsRunning
	}
	return m
}

// Still is how much of what the book's memory says was taken is so at now, by
// the clock alone.
func (m Memory) Still(now time.Time) float64 {
	switch {
	case m.Unit == Concurrent:
		return 0 // those requests ended with the process
	case m.Counts == countsBucket:
		return max(m.Taken-m.Rate*max(now.Sub(m.At).Seconds(), 0), 0)
	case m.Counts == countsWindow && (m.End == nil || !now.Before(*m.End)):
		return 0
	case m.Counts == countsTrailing:
		sum := 0.0
		for _, t := range m.Takes {
			if now.Sub(t.At) < m.Window {
				sum += t.N
			}
		}
		return sum
	default:
		return max(m.Taken, 0)
	}
}

// Of reports whether the memory is of the book's limit, whatever its amount was
// then. A limit whose Used has been said anew is another.
func (m Memory) Of(b *Book) bool {
	if b.Unit != m.Unit || b.Model != m.Model || b.Source != m.Source || b.Calendar != m.Calendar || b.Limit.Used != m.Given {
		return false
	}
	if b.Source == Header {
		return b.toldWindow == m.Told
	}
	return b.Window == m.Window || b.Source == Learned
}

// Recall brings back what is still used of a book that has just been opened for
// a limit of the config.
func (b *Book) Recall(m Memory, now time.Time) {
	if b.Unit == Concurrent {
		return
	}
	if m.Counts == countsTrailing && b.Window > 0 && b.Calendar == "" {
		b.counter = trailingOf(m, b.whole(), b.Window, b.late, now)
		return
	}
	b.set(b.whole()-m.Still(now), now)
}

// Reopen opens the book of a limit that only answers told. ok is false where
// the memory does not describe one.
func Reopen(m Memory, now time.Time) (b *Book, ok bool) {
	if m.Source != Header || m.Calendar != "" || !positive(m.Amount) || !positive(m.Whole) || m.Window <= 0 {
		return nil, false
	}
	b = &Book{Limit: Limit{Unit: m.Unit, Amount: m.Amount, Window: m.Window, Burst: m.Burst, Model: m.Model, Source: m.Source}, toldWindow: m.Told}
	b.burn = NewMeter(b.burnSpan())
	b.longest = m.Longest
	switch {
	case m.Counts == countsBucket && positive(m.Rate):
		b.counter = &bucket{depth: m.Whole, rate: m.Rate, missing: m.Still(now), at: now}
	case m.Counts == countsWindow && m.End != nil && b.longest > 0:
		b.counter = b.fixed(m.Whole, m.Taken, now.Add(m.End.Sub(later(m.At, now)))) // the clock may have been set back since
	case m.Counts == countsTrailing:
		b.counter = trailingOf(m, m.Whole, m.Window, 0, now)
	default:
		return nil, false
	}
	return b, true
}

// Memory is what the learner believes, and its book.
func (l *Learner) Memory(now time.Time) Memory {
	m := l.Book.Memory(now)
	m.Beliefs = &Beliefs{Unit: l.unit, Horizon: l.horizon, Larger: l.larger, Depth: l.depth, Intervals: l.intervals}
	for i, b := range l.rates {
		m.Beliefs.Of[i] = Belief{PerSecond: b.rate, Weight: b.weight, Left: b.left}
	}
	return m
}

// Relearn goes on learning from what was believed. ok is false where the memory
// tells of nothing learned.
func Relearn(m Memory, now time.Time) (l *Learner, ok bool) {
	was := m.Beliefs
	if was == nil || was.Unit < 0 || was.Unit >= len(learnable) || !positive(was.Of[was.Unit].PerSecond) {
		return nil, false
	}
	l = &Learner{since: now, stepped: now, unit: was.Unit, horizon: min(max(was.Horizon, leastHorizon), longestHorizon),
		larger: was.Larger, depth: was.Depth, intervals: was.Intervals}
	for i, b := range was.Of {
		l.rates[i] = belief{rate: b.PerSecond, weight: b.Weight, left: b.Left}
	}
	l.expect()
	l.open(m.Model, now)
	l.Book.set(max(l.Book.whole()-m.Still(now), 0), now)
	return l, true
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }

// mostTakes is how many takes of a trailing limit are written down: neighbours
// are taken together, and count until the last of them is out.
const mostTakes = 16

func (t *trailing) takes() []Take {
	var list []Take
	each := (t.n + mostTakes - 1) / mostTakes
	for i := range t.n {
		s := t.slots[(t.first+i)%slots]
		if i%each == 0 {
			list = append(list, Take{})
		}
		last := &list[len(list)-1]
		last.At, last.N = s.last, last.N+s.n
	}
	return list
}

// trailingOf is a trailing limit that still counts what it did.
func trailingOf(m Memory, amount float64, length, late time.Duration, now time.Time) *trailing {
	t := &trailing{amount: amount, length: length, late: late}
	for _, k := range m.Takes {
		if k.N > 0 && now.Sub(k.At) < length && t.n < slots {
			at := now.Add(min(k.At.Sub(now), 0)) // the clock may have been set back since
			t.slots[t.n] = taken{at, at, k.N}
			t.sum += k.N
			t.n++
		}
	}
	return t
}

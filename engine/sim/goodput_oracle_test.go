package sim_test

import (
	"time"
)

// outcome is what became of one request.
type outcome struct {
	arrival
	sent, done time.Duration
	// status is 0 where no answer came. served is a whole 200; told a 429 that
	// says when to come back.
	status       int
	served, told bool
	// by is the key that serves it, where the oracle says so.
	by int
	// cut is a request that was still waiting when the cell ended.
	cut bool
	err string
}

// oracle is what a pool could do at best: it knows every limit exactly, sends
// without a moment's delay, and makes requests wait in the order they came in,
// each for the key that serves it first. The same arrivals, in virtual time.
func (p *plan) oracle() []outcome {
	books := make([]oracleBook, 0, len(rates))
	of := make([]*oracleBook, len(rates))
	phases := p.random("phases")
	for _, l := range p.pools() {
		b := oracleBook{pool: l, level: l.depth, ends: 1 << 62, window: p.window}
		if p.window > 0 {
			b.phase = time.Duration(phases.Float64() * float64(p.window))
		}
		books = append(books, b)
	}
	for i := range books {
		for _, k := range books[i].keys {
			of[k] = &books[i]
		}
	}
	for _, k := range p.revoked {
		of[k].ends = p.revokedAt
	}
	var all []outcome
	for _, a := range p.arrivals {
		n := p.work(a)
		if a.key >= 0 {
			if b := of[a.key]; b.at <= a.at && b.when(n, a.at) == a.at {
				b.take(n, a.at)
				all = append(all, outcome{arrival: a, served: true})
			}
			continue
		}
		var best *oracleBook
		start := a.at + patience + 1
		for i := range books {
			b := &books[i]
			at := b.when(n, a.at)
			if at >= b.ends {
				continue
			}
			if best == nil || at < start || at == start && b.room(at) > best.room(at) {
				best, start = b, at
			}
		}
		o := outcome{arrival: a, sent: a.at, done: a.at, status: 429, told: true}
		if best != nil && start <= a.at+patience {
			best.take(n, start)
			o.done, o.status, o.served, o.by = start+latency, 200, true, best.keys[0]
		}
		all = append(all, o)
	}
	return all
}

// oracleBook is one limit in virtual time.
type oracleBook struct {
	pool
	level  float64
	at     time.Duration // when level was true; later than now where requests wait for it
	ends   time.Duration // when its key is revoked
	window time.Duration
	phase  time.Duration
}

// levelAt is the level at a time that is not before b.at.
func (b *oracleBook) levelAt(t time.Duration) float64 {
	if b.window > 0 {
		if b.number(t) > b.number(b.at) {
			return b.depth
		}
		return b.level
	}
	return min(b.depth, b.level+(t-b.at).Seconds()*b.rate)
}

// number counts windows.
func (b *oracleBook) number(t time.Duration) int64 { return int64((t + b.phase) / b.window) }

// when is the first time from t on at which n can be taken.
func (b *oracleBook) when(n float64, t time.Duration) time.Duration {
	t = max(t, b.at)
	lack := min(n, b.depth) - b.levelAt(t)
	switch {
	case lack <= 1e-9:
		return t
	case b.window > 0:
		return time.Duration(b.number(t)+1)*b.window - b.phase
	default:
		return t + time.Duration(lack/b.rate*float64(time.Second)) + 1
	}
}

func (b *oracleBook) take(n float64, t time.Duration) { b.level, b.at = b.levelAt(t)-n, t }

// room is how much of the bucket is there, of 1: who is full wastes.
func (b *oracleBook) room(t time.Duration) float64 { return b.levelAt(max(t, b.at)) / b.depth }

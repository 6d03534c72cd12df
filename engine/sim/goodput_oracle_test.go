package sim_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/sim"
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
// left is what the keys have when measuring begins.
func (p *plan) oracle() (all []outcome, left float64) {
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
	began := false
	for _, a := range p.arrivals {
		if a.at >= p.from && !began {
			began = true
			for i := range books {
				left += books[i].levelAt(max(p.from, books[i].at))
			}
		}
		n := p.work(a)
		if a.key >= 0 {
			if b := of[a.key]; b.at <= a.at && b.when(n, a.at) == a.at {
				b.take(n, a.at)
				all = append(all, outcome{arrival: a, sent: a.at, done: a.at + latency, served: true, by: a.key})
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
	return all, left
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

// The oracle's schedule, sent to simulated providers with these limits, is
// served whole: it promises nothing that cannot be had. And it leaves next to
// nothing unused but what full buckets and windows lose at the beginning.
func TestTheOracleIsPossible(t *testing.T) {
	t.Parallel()
	for _, c := range cells() {
		if c.known != byConfig {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			p := newPlan(c, 12*time.Second)
			all, left := p.oracle()
			if c.window > 0 {
				p.checkWindows(t, all)
			} else {
				synctest.Test(t, func(t *testing.T) { p.replay(t, all) })
			}
			if served, _, _ := p.score(all, left); served < 0.95 || served > 1.001 {
				t.Errorf("served %.4f of what is possible, want about 1", served)
			}
		})
	}
}

// replay sends what the oracle serves at the times it says.
func (p *plan) replay(t *testing.T, all []outcome) {
	r := &run{plan: p}
	r.configure()
	u, err := sim.NewUpstream("openai", sim.Options{FullLength: true}, r.keys...)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(all, func(a, b outcome) int { return int(a.done - b.done) })
	start := time.Now()
	for _, o := range all {
		if !o.served {
			continue
		}
		time.Sleep(time.Until(start.Add(o.done - latency)))
		req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(o.body()))
		req.Header.Set("Authorization", "Bearer "+secretOf(r.names[o.by]).Reveal())
		w := httptest.NewRecorder()
		go u.ServeHTTP(w, req) // its answer takes its time
		synctest.Wait()
	}
	time.Sleep(time.Second)
	for _, name := range r.names {
		if n := u.Counts(name).TotalRefused(); n > 0 {
			t.Errorf("%s refused %d requests of the oracle's", name, n)
		}
	}
}

// checkWindows counts what the oracle sends in each second's window.
func (p *plan) checkWindows(t *testing.T, all []outcome) {
	phases, sent := p.random("phases"), map[[2]int64]float64{}
	shift := make([]time.Duration, len(rates))
	for k := range shift {
		shift[k] = time.Duration(phases.Float64() * float64(p.window))
	}
	for _, o := range all {
		if o.served {
			sent[[2]int64{int64(o.by), int64((o.done - latency + shift[o.by]) / p.window)}]++
		}
	}
	for at, n := range sent {
		if n > rates[at[0]] {
			t.Errorf("key %d: %.0f requests in window %d, its limit is %.0f", at[0]+1, n, at[1], rates[at[0]])
		}
	}
}

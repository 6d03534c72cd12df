package sim_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"keywheel/engine/quota"
)

// The pool: eight keys of unequal rates, together 160 requests a second, each
// with a bucket of 5, and two keys that the provider rejects.
var rates = []float64{5, 5, 10, 10, 20, 20, 40, 50}

const (
	dead    = 2
	depth   = 5
	latency = 20 * time.Millisecond // of every answer
	// patience and line are how long requests may wait for a key, and how many.
	patience = 10 * time.Second
	line     = 2000
)

// Requests of a variant with token limits ask for 100 to 10,000 tokens, most of
// them small: their prompts are log-uniform, their answers short.
const (
	minPrompt, maxPrompt = 100, 9_600
	minAnswer, maxAnswer = 24, 400
	// tokenDepth is how many mean requests a bucket of tokens holds: the largest
	// requests are larger than it and pass when it is full.
	tokenDepth = 3
)

// meanTokens is what such a request uses on average.
var meanTokens = (maxPrompt-minPrompt)/math.Log(float64(maxPrompt)/minPrompt) + (minAnswer+maxAnswer)/2

// variant is one kind of limits, or of trouble.
type variant struct {
	name string
	// loads are those it is measured at, in percent of what the pool can do;
	// none has loads of its own.
	loads []int
	unit  quota.Unit
	// accounts is how many accounts share the keys; 0 is none.
	accounts int
	window   time.Duration
	// revoked are the keys that the provider begins to reject halfway.
	revoked []int
	// foreign are the keys of which somebody else uses half in the middle third.
	foreign []int
	// surge is the load of the first third; it is measured after that.
	surge int
}

var variants = []variant{
	{name: "buckets", loads: []int{50, 80, 95, 110, 150}},
	{name: "revoked", loads: []int{95, 110}, revoked: []int{3, 5}},
	{name: "accounts", loads: []int{95, 110}, accounts: 2},
	{name: "windows", loads: []int{95, 110}, window: time.Second},
	{name: "tokens", loads: []int{95, 110}, unit: quota.Tokens},
	{name: "overload", loads: []int{80}, surge: 150},
	{name: "foreign", loads: []int{95, 110}, foreign: []int{3, 4, 6}},
}

// How keywheel comes to know the limits.
const (
	byConfig  = "config"  // it is told by its config
	byHeaders = "headers" // every answer tells
	byTrial   = "none"    // nothing tells but refusals, without a time
)

// cell is one measurement.
type cell struct {
	variant
	known string
	load  int
}

// cells are all measurements, the variants of one way to know together.
func cells() (all []cell) {
	for _, known := range []string{byConfig, byHeaders, byTrial} {
		for _, v := range variants {
			for _, load := range v.loads {
				all = append(all, cell{v, known, load})
			}
		}
	}
	return all
}

func (c cell) String() string {
	load := fmt.Sprint(c.load)
	if c.surge > 0 {
		load = fmt.Sprintf("%d-%d", c.surge, c.load)
	}
	return "known=" + c.known + "/load=" + load + "/" + c.name
}

// arrival is one request: when it comes, and what it uses.
type arrival struct {
	at     time.Duration
	prompt int // tokens; 0 is as small as can be
	answer int
	// key is whose key somebody else uses for it; -1 is a request to keywheel.
	key int
}

// span is a time in which the pool and its load stay the same.
type span struct {
	to time.Duration
	// capacity is what the keys alive can do a second, foreign what of that
	// somebody else asks for, in requests. load is percent of the difference.
	capacity, foreign float64
	load              int
}

// plan is all that happens in a cell, drawn before it begins. It does not
// depend on how the limits are known, but for what is not measured.
type plan struct {
	cell
	// from is where measuring begins, to is where arrivals end.
	from, to time.Duration
	spans    []span
	arrivals []arrival
	// revokedAt is when the keys of the variant are.
	revokedAt time.Duration
}

// warmUp is how much of a minute is not measured.
var warmUp = map[string]time.Duration{byConfig: 0, byHeaders: 2 * time.Second, byTrial: 25 * time.Second}

// newPlan draws the plan of a cell that takes a time; one shorter than a minute
// is a minute that passes faster.
func newPlan(c cell, length time.Duration) *plan {
	part := func(of time.Duration) time.Duration { return partOf(of, length) }
	p := &plan{cell: c, from: part(warmUp[c.known]), to: length}
	all := sum(rates)
	switch rest := length - p.from; {
	case c.surge > 0:
		over := part(20 * time.Second)
		p.from = max(p.from, over)
		p.spans = []span{{over, all, 0, c.surge}, {length, all, 0, c.load}}
	case c.foreign != nil:
		begin, taken := p.from+rest/3, 0.0
		for _, k := range c.foreign {
			taken += rates[k] / 2
		}
		p.spans = []span{{begin, all, 0, c.load}, {begin + rest/3, all, taken, c.load}, {length, all, 0, c.load}}
	case c.revoked != nil:
		p.revokedAt = p.from + rest/2
		left := all
		for _, k := range c.revoked {
			left -= rates[k]
		}
		p.spans = []span{{p.revokedAt, all, 0, c.load}, {length, left, 0, c.load}}
	default:
		p.spans = []span{{length, all, 0, c.load}}
	}
	p.draw()
	return p
}

// partOf is what a part of a minute is of a length.
func partOf(d, length time.Duration) time.Duration {
	return time.Duration(d.Minutes() * float64(length)).Round(time.Millisecond)
}

func sum(of []float64) (total float64) {
	for _, v := range of {
		total += v
	}
	return total
}

// random is the numbers of one part of a cell, the same in every run.
func (c cell) random(part string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, fmt.Sprint(c.name, c.load, part))
	return rand.New(rand.NewPCG(1, h.Sum64()))
}

// draw fills in the arrivals: a Poisson process for keywheel, and one for each
// key that somebody else uses.
func (p *plan) draw() {
	r := p.random("arrivals")
	p.poisson(r, -1, func(s span) float64 { return float64(s.load) / 100 * (s.capacity - s.foreign) })
	for i := range p.arrivals {
		if a := &p.arrivals[i]; p.unit == quota.Tokens {
			a.prompt = int(minPrompt * math.Pow(float64(maxPrompt)/minPrompt, r.Float64()))
			a.answer = minAnswer + r.IntN(maxAnswer-minAnswer+1)
		}
	}
	for _, k := range p.foreign {
		p.poisson(p.random(fmt.Sprint("foreign", k)), k, func(s span) float64 {
			if s.foreign == 0 {
				return 0
			}
			return rates[k] / 2
		})
	}
	slices.SortStableFunc(p.arrivals, func(a, b arrival) int { return int(a.at - b.at) })
}

// poisson adds the arrivals of a process whose rate changes with the spans.
func (p *plan) poisson(r *rand.Rand, key int, rate func(span) float64) {
	at := time.Duration(0)
	for _, s := range p.spans {
		for rate(s) > 0 {
			next := at + time.Duration(r.ExpFloat64()/rate(s)*float64(time.Second))
			if next >= s.to {
				break // the process has no memory: the next span draws anew
			}
			at = next
			p.arrivals = append(p.arrivals, arrival{at: at, key: key})
		}
		at = s.to
	}
}

// work is what a request takes of a limit: 1, or its tokens.
func (p *plan) work(a arrival) float64 {
	if p.unit != quota.Tokens {
		return 1
	}
	return float64(a.prompt + a.answer)
}

// mean is the work of a request on average.
func (p *plan) mean() float64 {
	if p.unit != quota.Tokens {
		return 1
	}
	return meanTokens
}

// capacity is the work that flows to the keys alive while it is measured. What
// they have when that begins comes on top.
func (p *plan) capacity() float64 {
	total, begin := 0.0, time.Duration(0)
	for _, s := range p.spans {
		total += s.capacity * max(s.to-max(begin, p.from), 0).Seconds()
		begin = s.to
	}
	return total * p.mean()
}

// saturated is a load beyond the pool to the very end.
func (p *plan) saturated() bool { return p.load > 100 }

// pool is one limit and the keys that share it.
type pool struct {
	account string // "" where it is a key's own
	// rate is work a second, depth what passes at once; with a window, rate is
	// what passes in each second of it.
	rate, depth float64
	keys        []int
}

// pools are the limits of the keys that are alive at first.
func (p *plan) pools() []pool {
	all := make([]pool, max(p.accounts, 0))
	for i := range all {
		all[i] = pool{account: fmt.Sprintf("account-%d", i+1), depth: depth}
	}
	for k, rate := range rates {
		if p.accounts > 0 {
			b := &all[k%p.accounts]
			b.rate += rate
			b.keys = append(b.keys, k)
			continue
		}
		b := pool{rate: rate, depth: depth, keys: []int{k}}
		switch {
		case p.unit == quota.Tokens:
			b.rate, b.depth = rate*meanTokens, tokenDepth*meanTokens
		case p.window > 0:
			b.depth = rate * p.window.Seconds()
		}
		all = append(all, b)
	}
	return all
}

// body is the request of an arrival: a quarter of its bytes are its tokens, as
// the upstream counts.
func (a arrival) body() string {
	const head, tail = `{"model":"m1","max_tokens":%d,"messages":[{"role":"user","content":"`, `"}]}`
	if a.prompt == 0 {
		return fmt.Sprintf(head, 8) + "hello" + tail
	}
	text := fmt.Sprintf(head, a.answer)
	return text + strings.Repeat("x", max(4*a.prompt-len(text)-len(tail), 0)) + tail
}

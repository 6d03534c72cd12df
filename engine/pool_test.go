package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

// upstream is a provider's limit on one key, as the provider keeps it.
type upstream struct {
	rate, depth float64 // a bucket, of requests or of tokens
	window      bool    // it counts in seconds of the clock instead
	level       float64
	at          time.Time
}

// take takes n, or more than there can be when the bucket is full.
func (u *upstream) take(n float64, now time.Time) bool {
	if u.window {
		if now.Sub(u.at) >= time.Second {
			u.at, u.level = u.at.Add(now.Sub(u.at).Truncate(time.Second)), u.rate
		}
	} else {
		u.level = min(u.level+now.Sub(u.at).Seconds()*u.rate, u.depth)
		u.at = now
	}
	if u.level < min(n, u.depth)-1e-9 {
		return false
	}
	u.level -= n
	return true
}

// told is what the provider's headers say after a request.
func (u *upstream) told(now time.Time) []quota.Told {
	t := quota.Told{Unit: quota.Requests, Name: "requests", Window: time.Minute, Amount: u.depth, Remaining: math.Max(math.Floor(u.level), 0),
		Reset: time.Duration((u.depth - math.Floor(u.level)) / u.rate * float64(time.Second)).Truncate(time.Millisecond)}
	if u.depth > 1000 {
		t.Unit, t.Name = quota.Tokens, "tokens"
	}
	if u.window {
		t.Amount, t.Reset = u.rate, time.Second-now.Sub(u.at)
	}
	return []quota.Told{t}
}

// pool is a service of unequal keys under an open load, in virtual time.
type pool struct {
	rates []float64
	load  float64 // of what the keys let through together
	// known says how their limits are known: "config", "headers" or nothing.
	known  string
	window bool
	// tokens makes the limits such of tokens, for requests of 100 to 10,000;
	// accounts, that many, have the limits of their keys together.
	tokens   bool
	accounts int
	// from and to are what is measured of the run.
	from, to time.Duration
	seed     uint64
}

// score is what came of it.
type score struct {
	offered, served, refused, calls, limited int
	work, possible                           float64       // tokens, or requests, served and asked for
	waited                                   time.Duration // the longest
	waits                                    []time.Duration
}

func (p pool) run(t *testing.T) (s score, e *Engine) {
	t.Helper()
	random := rand.New(rand.NewPCG(p.seed, 7))
	start := time.Now()
	ups := map[string]*upstream{}
	total := 0.0
	e = testEngine(t, len(p.rates), RoundRobin, func(c *Config) {
		for i, rate := range p.rates {
			total += rate
			u := &upstream{rate: rate, depth: 5, window: p.window}
			if p.tokens {
				u.rate, u.depth = rate*meanTokens, 4*meanTokens
			}
			u.level, u.at = u.depth, start
			if p.window {
				u.level, u.at = rate, start.Add(-time.Duration(i)*130*time.Millisecond)
			}
			ups[c.Keys[i].Name] = u
			if p.accounts > 0 {
				c.Keys[i].Account = fmt.Sprintf("a%d", i%p.accounts)
				if a := ups[c.Keys[i].Account]; a != nil {
					a.rate += u.rate
					u = a
				}
				ups[c.Keys[i].Name], ups[c.Keys[i].Account] = u, u
			}
			if p.known == "config" && p.accounts > 0 {
				if i < p.accounts {
					c.Accounts = append(c.Accounts, Account{Provider: "p", Name: c.Keys[i].Account})
				}
				a := &c.Accounts[i%p.accounts]
				a.Limits = []quota.Limit{{Unit: quota.Requests, Amount: 60 * u.rate, Window: time.Minute, Burst: 5, Source: "config"}}
			} else if p.known == "config" {
				l := quota.Limit{Unit: quota.Requests, Amount: 60 * rate, Window: time.Minute, Burst: 5, Source: "config"}
				if p.tokens {
					l.Unit, l.Amount, l.Burst = quota.Tokens, 60*u.rate, u.depth
				}
				if p.window {
					l = quota.Limit{Unit: quota.Requests, Amount: rate, Window: time.Second, Source: "config"}
				}
				c.Keys[i].Limits = []quota.Limit{l}
			}
		}
	})
	WithPatience(10*time.Second, 4000)(e)
	var mu sync.Mutex
	var all sync.WaitGroup
	for at := time.Duration(0); at < p.to; at += time.Duration(random.ExpFloat64() / (total * p.load) * float64(time.Second)) {
		time.Sleep(time.Until(start.Add(at)))
		prompt, answer := 0.0, 0.0
		n := 1.0
		if p.tokens {
			prompt, answer = 90*math.Exp(random.Float64()*math.Log(100)), 10+random.Float64()*40
			n = prompt + answer
		}
		if at >= p.from {
			s.possible += n
		}
		all.Go(func() {
			arrived := time.Now()
			measured := time.Since(start) >= p.from
			r := request()
			r.InputTokens = int64(prompt)
			for {
				l, err := e.Acquire(context.Background(), r)
				mu.Lock()
				if measured {
					s.waited = max(s.waited, time.Since(arrived))
					s.waits = append(s.waits, time.Since(arrived))
				}
				var none *NoKeyError
				if errors.As(err, &none) {
					if time.Since(start) >= p.from && time.Since(start) < p.to {
						s.refused++
					}
					mu.Unlock()
					return
				}
				now := time.Now()
				counts := now.Sub(start) >= p.from && now.Sub(start) < p.to
				ok := ups[l.Key().Name].take(n, now)
				told := ups[l.Key().Name].told(now)
				if counts {
					s.calls++
					if ok {
						s.served++
						s.work += n
					} else {
						s.limited++
					}
				}
				mu.Unlock()
				scope := ScopeKey
				if !ok && p.accounts > 0 {
					scope = ScopeAccount
				}
				v := Verdict{Kind: OK, Evidence: Evidence{Status: 200}}
				if !ok {
					v = Verdict{Kind: RateLimited, Scope: scope, Model: "m", Evidence: Evidence{Status: 429}}
					time.Sleep(2 * time.Millisecond)
				} else {
					time.Sleep(20 * time.Millisecond)
				}
				if p.known == "headers" {
					v.Told = told
					v.RetryAfter = told[0].Reset
					if !p.window {
						v.RetryAfter /= time.Duration(max(told[0].Amount-told[0].Remaining, 1))
					}
				}
				if l.Judge(v) {
					continue
				}
				l.Close(Usage{Input: int64(prompt), Output: int64(answer)}, nil)
				return
			}
		})
		if at >= p.from {
			s.offered++
		}
	}
	all.Wait()
	return s, e
}

// meanTokens is what a request of a pool with limits of tokens uses on average.
const meanTokens = 8910/4.60517 + 30

// unequal are the keys of a pool that lets 160 requests a second through.
var unequal = []float64{5, 5, 10, 10, 20, 20, 40, 50}

// TestAPoolDeliversWhatItHas holds the engine against providers that say what
// they let through, or say nothing, with buckets and with fixed windows. What
// nobody says may be learned for 25 s.
func TestAPoolDeliversWhatItHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pool
		least, most float64 // of what is possible served, of the calls refused
	}{
		{pool{load: 0.95, known: "config"}, 0.995, 0.005},
		{pool{load: 1.1, known: "config"}, 0.985, 0.005},
		{pool{load: 1.1, known: "config", window: true}, 0.98, 0.005},
		{pool{load: 0.95, known: "headers"}, 0.995, 0.005},
		{pool{load: 1.1, known: "headers"}, 0.985, 0.005},
		{pool{load: 1.1, known: "headers", window: true}, 0.97, 0.005},
		{pool{load: 1.1, known: "headers", tokens: true}, 0.97, 0.02},
		{pool{load: 0.95, from: 25 * time.Second}, 0.98, 0.02},
		{pool{load: 1.1, from: 25 * time.Second}, 0.98, 0.02},
		{pool{load: 1.1, window: true, from: 25 * time.Second}, 0.965, 0.02},
		{pool{load: 1.1, known: "config", tokens: true}, 0.98, 0.005},
		// Sizes that differ a hundredfold tell less: this takes a while longer.
		{pool{load: 1.1, tokens: true, from: 40 * time.Second}, 0.8, 0.03},
		{pool{load: 1.1, known: "config", accounts: 2}, 0.985, 0.005},
		{pool{load: 1.1, accounts: 2, from: 25 * time.Second}, 0.98, 0.02},
	} {
		t.Run(fmt.Sprintf("known by %s, windows %v, tokens %v, accounts %d, load %v", firstOf(c.known, "nothing"), c.window, c.tokens, c.accounts, c.load), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && c.tokens && c.known == "" {
				t.Skip("takes long with the race detector, and has no way of its own: the run without -short does it")
			}
			synctest.Test(t, func(t *testing.T) {
				p := c.pool
				p.rates, p.seed = unequal, 3
				p.from = max(p.from, 5*time.Second)
				p.to = p.from + 12*time.Second
				s, e := p.run(t)
				possible := 160 * (p.to - p.from).Seconds()
				if p.tokens {
					possible *= meanTokens
				}
				share, limited := s.work/min(s.possible, possible), float64(s.limited)/float64(s.calls)
				t.Logf("served %.2f %%, refused upstream %.2f %%, refused here %d, longest wait %v", 100*share, 100*limited, s.refused, s.waited)
				if share < c.least || limited > c.most {
					t.Errorf("served %.2f %%, want %.2f; refused upstream %.2f %%, want %.2f at most", 100*share, 100*c.least, 100*limited, 100*c.most)
				}
				if c.load < 1 && s.refused > 0 {
					t.Errorf("%d requests were refused below capacity", s.refused)
				}
				for _, k := range e.Snapshot().Keys {
					for _, l := range k.Limits {
						t.Logf("%s: %.1f %s a %s, %s", k.Name, l.Amount, l.Unit, l.Per, l.Source)
					}
				}
			})
		})
	}
}

// TestAPoolNearItsLimitHardlyWaits offers 95 % of what unequal keys let through.
// Who comes in a rush has to wait for any pool; the others may not. In turn and
// nothing else, the small keys were dry while the large ones lay idle, and one
// in twenty waited 90 ms.
func TestAPoolNearItsLimitHardlyWaits(t *testing.T) {
	t.Parallel()
	for known, most := range map[string]time.Duration{"config": 20 * time.Millisecond, "headers": 60 * time.Millisecond} {
		t.Run(known, func(t *testing.T) {
			t.Parallel()
			var waits []time.Duration
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) {
					s, _ := pool{rates: unequal, load: 0.95, known: known, seed: seed, from: 5 * time.Second, to: 35 * time.Second}.run(t)
					waits = append(waits, s.waits...)
				})
			}
			slices.Sort(waits)
			p95 := waits[len(waits)*95/100]
			t.Logf("of %d, one in twenty waits %v or more, one in a hundred %v", len(waits), p95, waits[len(waits)*99/100])
			if p95 > most {
				t.Errorf("one in twenty waits %v or more, want %v", p95, most)
			}
		})
	}
}

package engine

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAPassingLimitIsForgotten has a provider let hardly anything through for a
// minute, and say nothing of it: a while later all is as before.
func TestAPassingLimitIsForgotten(t *testing.T) {
	t.Parallel()
	for _, low := range []float64{0.5, 5} {
		synctest.Test(t, func(t *testing.T) {
			e := testEngine(t, 1, RoundRobin, func(*Config) {})
			WithPatience(time.Second, 4000)(e)
			start := time.Now()
			up := &upstream{rate: 1000, depth: 1000, level: 1000, at: start}
			const every, squeezed, eased, measured, end = 50 * time.Millisecond, 20 * time.Second, 80 * time.Second, 170 * time.Second, 200 * time.Second
			var mu sync.Mutex // of the provider, and of served
			asked, served := 0, 0
			for now := time.Duration(0); now < end; now += every {
				time.Sleep(every)
				mu.Lock()
				switch now {
				case squeezed:
					up.rate, up.depth, up.level = low, 2, 0
				case eased:
					up.rate, up.depth = 1000, 1000
				}
				mu.Unlock()
				if now >= measured {
					asked++
				}
				go func() {
					r := request()
					for {
						l, err := e.Acquire(context.Background(), r)
						if err != nil {
							return
						}
						v := Verdict{Kind: OK, Evidence: Evidence{Status: 200}}
						mu.Lock()
						ok := up.take(1, time.Now())
						mu.Unlock()
						if !ok {
							v = Verdict{Kind: RateLimited, Scope: ScopeKey, Evidence: Evidence{Status: 429}}
						}
						if l.Judge(v) {
							continue
						}
						l.Close(Usage{}, nil)
						if ok && now >= measured {
							mu.Lock()
							served++
							mu.Unlock()
						}
						return
					}
				}()
				synctest.Wait()
			}
			time.Sleep(2 * time.Second) // nobody waits any more
			if served < asked*95/100 {
				t.Errorf("a minute and a half after a limit of %v/s only %d of %d were served", low, served, asked)
			}
		})
	}
}

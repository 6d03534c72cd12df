package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

// patient is a testEngine whose requests wait up to 10 s, 100 at once.
func patient(t *testing.T, keys int, change ...func(*Config)) *Engine {
	t.Helper()
	e := testEngine(t, keys, RoundRobin, change...)
	WithPatience(10*time.Second, 100)(e)
	return e
}

func cooling(d time.Duration) Verdict {
	v := tooMany
	v.RetryAfter = d
	return v
}

// waitFor acquires in the background and tells after how long, or the error.
func waitFor(e *Engine, ctx context.Context, r *Request) <-chan waited {
	done := make(chan waited, 1)
	begun := time.Now()
	go func() {
		l, err := e.Acquire(ctx, r)
		done <- waited{l, err, time.Since(begun)}
	}()
	return done
}

type waited struct {
	lease *Lease
	err   error
	took  time.Duration
}

func TestARequestWaitsForAKeyThatIsSoonBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2)
		answered(t, e, cooling(3*time.Second), cooling(5*time.Second))
		w := waitFor(e, context.Background(), request())
		synctest.Wait()
		if n := e.Snapshot().Services[0].Waiting; n != 1 {
			t.Errorf("%d waiting", n)
		}
		got := <-w
		if got.err != nil || got.lease.Key().Name != "k1" || got.took < 3*time.Second || got.took > 4*time.Second {
			t.Errorf("%+v", got)
		}
		if n := e.Snapshot().Proxy.Waiting; n != 0 {
			t.Errorf("%d still waiting", n)
		}
	})
}

func TestWhoWouldWaitTooLongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2)
		answered(t, e, cooling(30*time.Second), noMoney)
		got := <-waitFor(e, context.Background(), request())
		var none *NoKeyError
		if !errors.As(got.err, &none) || got.took != 0 {
			t.Errorf("%v after %v", got.err, got.took)
		}
		brief := request()
		brief.Patience = 2 * time.Second
		e = patient(t, 1)
		answered(t, e, cooling(5*time.Second))
		if got := <-waitFor(e, context.Background(), brief); got.err == nil || got.took != 0 {
			t.Errorf("a request of less patience: %v after %v", got.err, got.took)
		}
	})
}

func TestARequestDoesNotWaitForAKeyItHasTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2)
		r := request()
		for range 2 {
			acquire(t, e, r).Judge(cooling(2 * time.Second))
		}
		if got := <-waitFor(e, context.Background(), r); got.err == nil || got.took != 0 {
			t.Errorf("%v after %v", got.err, got.took)
		}
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 1, Window: 100 * time.Millisecond, Source: "config"}}
		})
		serve(t, e)
		var order []int
		done := make(chan int)
		for i := range 20 {
			go func() {
				l, err := e.Acquire(context.Background(), request())
				if err != nil {
					t.Error(err)
				} else {
					l.Judge(ok)
					l.Close(Usage{}, nil)
				}
				done <- i
			}()
			synctest.Wait() // they come one after the other
		}
		for range 20 {
			order = append(order, <-done)
		}
		if !slices.IsSorted(order) {
			t.Errorf("served in the order %v", order)
		}
	})
}

func TestAnOperatorsLiftWakesTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1)
		answered(t, e, cooling(8*time.Second))
		w := waitFor(e, context.Background(), request())
		time.Sleep(time.Second)
		do(t, e, Action{Verb: VerbLift, Key: "k1"})
		if got := <-w; got.err != nil || got.took != time.Second {
			t.Errorf("%v after %v", got.err, got.took)
		}
	})
}

func TestAClientThatLeavesLeavesTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1)
		answered(t, e, cooling(5*time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		first := waitFor(e, ctx, request())
		synctest.Wait()
		second := waitFor(e, context.Background(), request())
		time.Sleep(time.Second)
		cancel()
		if got := <-first; !errors.Is(got.err, context.Canceled) || got.took != time.Second {
			t.Errorf("%v after %v", got.err, got.took)
		}
		if got := <-second; got.err != nil {
			t.Errorf("who waited behind it: %v after %v", got.err, got.took)
		}
		if p := e.Snapshot().Proxy; p.Waiting != 0 || p.Failures != 0 {
			t.Errorf("%+v", p)
		}
	})
}

func TestTheLineIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1)
		WithPatience(10*time.Second, 3)(e)
		answered(t, e, cooling(5*time.Second))
		var all []<-chan waited
		for range 5 {
			all = append(all, waitFor(e, context.Background(), request()))
			synctest.Wait()
		}
		refused := 0
		for _, w := range all {
			if got := <-w; got.err != nil {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("%d of 5 refused, the line holds 3", refused)
		}
	})
}

func TestARunningRequestsEndFreesAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 1, Source: "config"}}
		})
		running := acquire(t, e, request())
		w := waitFor(e, context.Background(), request())
		time.Sleep(2 * time.Second)
		running.Judge(ok)
		running.Close(Usage{}, nil)
		if got := <-w; got.err != nil || got.took != 2*time.Second {
			t.Errorf("%v after %v", got.err, got.took)
		}
	})
}

func TestAnotherModelIsNotInTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1)
		v := cooling(5 * time.Second)
		v.Model = "m"
		answered(t, e, v)
		first := waitFor(e, context.Background(), request())
		synctest.Wait()
		other := request()
		other.Model = "other"
		if got := <-waitFor(e, context.Background(), other); got.err != nil || got.took != 0 {
			t.Errorf("%v after %v", got.err, got.took)
		}
		<-first
	})
}

func TestABriefPatienceStillWaitsForARunningRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 1, Source: "config"}}
		})
		WithPatience(500*time.Millisecond, 100)(e)
		running := acquire(t, e, request())
		w := waitFor(e, context.Background(), request())
		synctest.Wait()
		late := waitFor(e, context.Background(), request())
		time.Sleep(100 * time.Millisecond)
		running.Judge(ok)
		running.Close(Usage{}, nil)
		if got := <-w; got.err != nil || got.took != 100*time.Millisecond {
			t.Errorf("%v after %v", got.err, got.took)
		}
		if got := <-late; got.err == nil || got.took != 500*time.Millisecond {
			t.Errorf("whom no key became free for: %v after %v", got.err, got.took)
		}
	})
}

// Tokens that gather for a large request of one service are not taken by the
// small ones of another, and neither has the key for itself.
func TestALargeRequestIsNotStarvedByAnotherService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Tokens, Amount: 6000, Window: time.Minute, Source: "config"}}
			c.Services = append(c.Services, Service{Name: "other", Keys: []string{"k1"}})
		})
		WithPatience(30*time.Second, 100)(e)
		send := func(service string, tokens int64) error {
			r := request()
			r.Service, r.InputTokens, r.Scope = service, tokens, "embedding"
			l, err := e.Acquire(context.Background(), r)
			if err != nil {
				return err
			}
			l.Judge(ok)
			l.Close(Usage{Input: tokens}, nil)
			return nil
		}
		if err := send("svc", 6000); err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		small := make(chan int)
		for range 4 {
			go func() {
				n := 0
				for {
					select {
					case <-over:
						small <- n
						return
					default:
						if send("other", 50) == nil {
							n++
						} else {
							time.Sleep(10 * time.Millisecond)
						}
					}
				}
			}()
		}
		for i := range 4 {
			if err := send("svc", 1000); err != nil {
				t.Errorf("large request %d: %v", i+1, err)
			}
		}
		close(over)
		n := 0
		for range 4 {
			n += <-small
		}
		if n < 12 {
			t.Errorf("the other service got %d requests through meanwhile, want some after each", n)
		}
	})
}

// An answer's headers may give room back while requests wait: who comes then
// lets the line be served, itself with it.
func TestWhoComesAsTheLineIsServedIsServedWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Tokens, Amount: 6000, Window: time.Minute, Source: "config"}}
		})
		of := func(tokens int64) *Request {
			r := request()
			r.InputTokens, r.Scope = tokens, "embedding"
			return r
		}
		acquire(t, e, of(5900))
		w := waitFor(e, context.Background(), of(1000))
		synctest.Wait()
		e.mu.Lock()
		e.creds[0].books[0].Left(6000, time.Now())
		e.mu.Unlock()
		if got := <-waitFor(e, context.Background(), of(90)); got.err != nil || got.took != 0 {
			t.Errorf("%v after %v", got.err, got.took)
		}
		if got := <-w; got.err != nil || got.took != 0 {
			t.Errorf("who waited: %v after %v", got.err, got.took)
		}
	})
}

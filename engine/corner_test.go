package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

func TestOneBadKeyAmongGoodOnesIsNoIncident(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, RoundRobin)
		// Faults come fast and successes slowly, so that several of k1's faults
		// follow each other.
		for range 300 {
			r := request()
			l := acquire(t, e, r)
			if l.Key().Name == "k1" {
				l.Judge(unavailable)
				l = acquire(t, e, r)
			}
			time.Sleep(300 * time.Millisecond)
			l.Judge(ok)
			l.Close(Usage{}, nil)
		}
		k := keyOf(t, e, "k1")
		if k.State != Failing || len(e.Snapshot().Incidents) > 0 {
			t.Errorf("k1 is %v after %d faults, incidents %v", k.State, k.Verdicts.UpstreamFault, e.Snapshot().Incidents)
		}
	})
}

func TestAServiceIsUpAsSoonAsItServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		answered(t, e, cooling(3*time.Second))
		time.Sleep(time.Until(*keyOf(t, e, "k1").Until) - 100*time.Millisecond)
		e.Snapshot()
		time.Sleep(110 * time.Millisecond)
		serve(t, e) // ends the hold before the next sweep does
		time.Sleep(time.Second)
		if s := e.Snapshot().Services[0]; s.Health != HealthOK || s.DownSince != nil {
			t.Errorf("%s since %v while it serves", s.Health, s.DownSince)
		}
		var told []EventKind
		for _, ev := range e.Events(0) {
			told = append(told, ev.Kind)
		}
		if !slices.Contains(told, EventUp) || !slices.Contains(told, EventRecovered) {
			t.Errorf("told %v", told)
		}
	})
}

func TestUndoLeavesWhatIsNewer(t *testing.T) {
	t.Parallel()
	for _, verb := range []Verb{VerbFail, VerbLift} {
		synctest.Test(t, func(t *testing.T) {
			e := testEngine(t, 1, RoundRobin, func(c *Config) { c.Keys[0].CanTest = true })
			if verb == VerbLift {
				answered(t, e, noMoney)
			}
			do(t, e, Action{Verb: verb, Key: "k1"})
			time.Sleep(time.Minute)
			answered(t, e, unauthorized)
			e.Tested("k1", unauthorized)
			do(t, e, Action{Verb: VerbUndo})
			if got := stateOf(t, e, "k1"); got != Revoked {
				t.Errorf("%s, then revoked, then undo: %v", verb, got)
			}
		})
	}
}

func TestResetLeavesConcurrencyAlone(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin, func(c *Config) { c.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 2}} })
	l1, l2 := acquire(t, e, request()), acquire(t, e, request())
	l1.Judge(ok)
	do(t, e, Action{Verb: VerbReset, Key: "k1"})
	if _, err := e.Acquire(context.Background(), request()); err == nil {
		t.Error("a third ran beside two")
	}
	l1.Close(Usage{}, errors.New("cut"))
	l2.Judge(ok)
	l2.Close(Usage{}, nil)
	do(t, e, Action{Verb: VerbUndo})
	if got := serve(t, e); got != "k1" {
		t.Errorf("served by %q", got)
	}
	if v := keyOf(t, e, "k1").Verdicts; v.OK < 0 {
		t.Errorf("counted %d", v.OK)
	}
}

func TestWhoWaitsForAKeyItCannotHaveIsNotInTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2)
		r1 := request()
		acquire(t, e, r1).Judge(cooling(9 * time.Second)) // k1
		l := acquire(t, e, r1)                            // k2
		l.Judge(cooling(time.Second))
		first := waitFor(e, context.Background(), r1) // has tried both
		time.Sleep(2 * time.Second)
		if got := <-waitFor(e, context.Background(), request()); got.err != nil || got.took != 0 || got.lease.Key().Name != "k2" {
			t.Errorf("%v after %v", got.err, got.took)
		}
		<-first
	})
}

func TestAKeyThatWasAwayDoesNotCatchUpBesideOneThatIsPassedOver(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) { c.Keys[2].Scopes = []string{"image"} })
	do(t, e, Action{Verb: VerbDisable, Key: "k2"})
	for range 1000 {
		serve(t, e)
	}
	do(t, e, Action{Verb: VerbEnable, Key: "k2"})
	count := map[string]int{}
	for range 10 {
		count[serve(t, e)]++
	}
	if count["k2"] > 6 {
		t.Errorf("ten requests went %v", count)
	}
}

func TestWaitingHelpsIsSaidWhereItDoes(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(t *testing.T) *Engine{
		"as many run as may": func(t *testing.T) *Engine {
			e := testEngine(t, 1, RoundRobin, func(c *Config) { c.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 1}} })
			acquire(t, e, request())
			return e
		},
		"a trial is on its way": func(t *testing.T) *Engine {
			e := testEngine(t, 1, RoundRobin)
			do(t, e, Action{Verb: VerbFail, Key: "k1"})
			time.Sleep(time.Minute)
			acquire(t, e, request())
			return e
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := set(t).Acquire(context.Background(), request())
			var none *NoKeyError
			if !errors.As(err, &none) || none.RetryAfter != aMoment {
				t.Errorf("%s: %v, retry after %v", name, err, none.RetryAfter)
			}
		})
	}
}

func TestRotateDoesWhatItSaysOrRefuses(t *testing.T) {
	t.Parallel()
	for _, strategy := range Strategies {
		e := testEngine(t, 3, strategy, func(c *Config) {
			c.Services[0].Keys, c.Services[0].Fallback = []string{"k1"}, []string{"k2", "k3"}
		})
		serve(t, e)
		for _, to := range []string{"", "k3"} {
			if r, err := e.Do(Action{Verb: VerbRotate, Service: "svc", Key: to}); err == nil || !strings.Contains(err.Error(), "would go on with k1") {
				t.Errorf("%s to %q: %q, %v; a fallback key does not serve while k1 can", strategy, to, r.Text, err)
			}
		}
	}
}

func TestFailDoesNotBetterAKey(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin, func(c *Config) { c.Keys[0].CanTest = true })
	answered(t, e, unauthorized, ok)
	e.Tested("k1", unauthorized)
	if _, err := e.Do(Action{Verb: VerbFail, Key: "k1"}); err == nil || stateOf(t, e, "k1") != Revoked {
		t.Errorf("a revoked key, marked failed: %v, %v", stateOf(t, e, "k1"), err)
	}
}

func TestNoTrialIsACreate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		do(t, e, Action{Verb: VerbFail, Key: "k1"})
		time.Sleep(time.Minute)
		for _, change := range []func(*Request){func(r *Request) { r.Repeatable = false }, func(r *Request) { r.Once = true }} {
			r := request()
			change(r)
			if got := acquire(t, e, r).Key().Name; got != "k2" {
				t.Errorf("a request that cannot be repeated tried %s", got)
			}
		}
	})
}

func TestATestCallThatTellsNothingProvesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover, func(c *Config) { c.Keys[0].CanTest = true })
		for i := range 3 {
			answered(t, e, unauthorized, ok)
			e.Tested("k1", answer(ClientError, 404))
			if got := stateOf(t, e, "k1"); (got == Revoked) != (i == 2) {
				t.Errorf("after %d rejections and as many 404s of the test call: %v", i+1, got)
			}
			time.Sleep(2 * time.Minute)
			serve(t, e)
			if i < 2 {
				do(t, e, Action{Verb: VerbRotate, Service: "svc", Key: "k1"})
			}
		}
	})
}

func TestARejectedAccountIsRevokedWhole(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) {
		for i := range 2 {
			c.Keys[i].CanTest, c.Keys[i].Account = true, "x"
		}
	})
	v := unauthorized
	v.Scope = ScopeAccount
	answered(t, e, v, ok)
	e.Tested("k1", unauthorized)
	if a, b := stateOf(t, e, "k1"), stateOf(t, e, "k2"); a != Revoked || b != Revoked {
		t.Errorf("%v and %v", a, b)
	}
}

func TestASuccessForgetsAnAccountsLadder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin, func(c *Config) { c.Keys[0].Account = "a" })
		v := tooMany
		v.Scope, v.Model = ScopeAccount, "m"
		for range 4 {
			acquire(t, e, request()).Judge(v)
			h := keyOf(t, e, "k1").Holds[0]
			if d := time.Until(*h.Until); d > time.Second {
				t.Errorf("held %v though it served between", d)
			}
			time.Sleep(time.Minute)
			serve(t, e)
		}
	})
}

func TestABusyModelDoesNotShortenALongerHold(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, Failover)
	answered(t, e, forbidden, ok)
	busy := unavailable
	busy.Model = "m"
	answered(t, e, busy, busy)
	if h := keyOf(t, e, "k1").Holds; len(h) != 1 || h[0].Verdict != PermissionDenied || time.Until(*h[0].Until) < 50*time.Minute {
		t.Errorf("holds %+v", h)
	}
}

func TestGoingOverToFallbackIsARotation(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin, func(c *Config) {
		c.Services[0].Keys, c.Services[0].Fallback = []string{"k1"}, []string{"k2"}
	})
	serve(t, e)
	do(t, e, Action{Verb: VerbDisable, Key: "k1"})
	serve(t, e)
	serve(t, e)
	do(t, e, Action{Verb: VerbEnable, Key: "k1"})
	serve(t, e)
	if s := e.Snapshot().Services[0]; s.Rotations != 2 || s.LastRotation.To != "k1" {
		t.Errorf("%d rotations, the last %+v", s.Rotations, s.LastRotation)
	}
	e = testEngine(t, 2, Failover)
	serve(t, e)
	do(t, e, Action{Verb: VerbDrain, Key: "k1"})
	serve(t, e)
	if s := e.Snapshot().Services[0]; s.Rotations != 1 || !strings.Contains(s.LastRotation.Cause, "draining") {
		t.Errorf("drained: %d rotations, the last %+v", s.Rotations, s.LastRotation)
	}
}

func TestWhatComesNextIsToldAsItIsNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover, func(c *Config) { c.Keys[0].CanTest = true })
		next := func() string { return e.Snapshot().Services[0].LastRotation.Next }
		answered(t, e, unauthorized, ok)
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() {}, "a test call decides whether k1 is revoked"},
			{func() { e.Tested("k1", unauthorized) }, "k1 is revoked and stays out until a person acts"},
			{func() { do(t, e, Action{Verb: VerbLift, Key: "k1"}) }, "k1 is active again"},
			{func() { do(t, e, Action{Verb: VerbDisable, Key: "k1"}) }, "k1 stays out until you enable it"},
		} {
			if step.do(); !strings.HasPrefix(next(), step.want) {
				t.Errorf("next: %q, want %q", next(), step.want)
			}
		}
	})
}

func TestAKeyThatIsHeldForAModelIsNotSaidToBeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin)
		answered(t, e, Verdict{Kind: RateLimited, Scope: ScopeKey, Model: "m", RetryAfter: time.Minute, Evidence: Evidence{Status: 429}}, ok)
		next := func() string { return e.Snapshot().Services[0].LastRotation.Next }
		if want := "k1 for m returns at "; !strings.HasPrefix(next(), want) {
			t.Errorf("next: %q, want %q", next(), want)
		}
		time.Sleep(5 * time.Minute)
		if want := "k1 is active again"; next() != want {
			t.Errorf("next: %q, want %q", next(), want)
		}
	})
}

func TestALiftIsToldOnce(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	answered(t, e, noMoney, noMoney)
	before := e.Snapshot().LastSeq
	do(t, e, Action{Verb: VerbLift, Service: "svc"})
	for _, ev := range e.Events(before) {
		if ev.Kind == EventUp && !strings.Contains(ev.Text, "2 of 2 keys usable") {
			t.Errorf("told %q", ev.Text)
		}
	}
}

// A provider may refuse whatever comes for some minutes, and say no more than
// 429. What is learned of that is no rate, and is gone soon after.
func TestAStormOfRefusalsPasses(t *testing.T) {
	t.Parallel()
	for _, pace := range []time.Duration{100 * time.Millisecond, time.Second} {
		t.Run(pace.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := patient(t, 1)
				WithPatience(time.Second, 1000)(e)
				storm, calls := false, 0
				run := func(d time.Duration) (served, all int) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(pace) {
						r := request()
						all++
						l, err := e.Acquire(context.Background(), r)
						if err != nil {
							continue
						}
						v := ok
						if calls++; storm && calls%5 != 0 {
							v = tooMany
						}
						if l.Judge(v) {
							e.Abandon(r)
							continue
						}
						l.Close(Usage{Input: 100, Output: 100}, nil)
						served++
					}
					return served, all
				}
				run(time.Minute)
				storm = true
				run(5 * time.Minute)
				storm = false
				run(3 * time.Minute)
				if served, all := run(time.Minute); served < all {
					t.Errorf("3 minutes after the storm %d of %d are served", served, all)
				}
			})
		})
	}
}

// How much an answer may have is the client's word. It takes no key out of
// service for longer than a window, also where the provider's headers, on a slow
// answer, come instead of what was used.
func TestAnAbsurdEstimateClosesNoKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		told := func(left float64) Verdict {
			v := ok
			v.Told = []quota.Told{{Unit: quota.Tokens, Name: "tokens", Window: time.Minute, Amount: 30_000, Remaining: left, Reset: time.Second}}
			return v
		}
		l := acquire(t, e, request())
		l.Judge(told(29_000))
		l.Close(Usage{}, nil)
		time.Sleep(time.Minute)
		r := request()
		r.MaxOutput = 1e12
		l = acquire(t, e, r)
		time.Sleep(2 * time.Second)
		l.Judge(told(28_000))
		l.Close(Usage{Input: 10, Output: 100}, nil)
		time.Sleep(time.Minute)
		if _, err := e.Acquire(context.Background(), request()); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func TestAnAccountThatChangesWithEveryAnswerIsToldOfOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin)
		for i := range 100 {
			l := acquire(t, e, request())
			v := ok
			v.Account = fmt.Sprintf("org-%d", i)
			l.Judge(v)
			l.Close(Usage{}, nil)
		}
		if n := e.Snapshot().LastSeq; n > 4 {
			t.Errorf("%d events", n)
		}
	})
}

// Clients name models. What is remembered of them is bounded, and does not
// crowd out the models that are there.
func TestModelsWithoutEndTakeNoMemoryWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		told := []quota.Told{{Unit: quota.Requests, Name: "requests", Window: time.Minute, Amount: 60, Remaining: 30, Reset: time.Second}}
		for i := range 2000 {
			r := request()
			r.Model = fmt.Sprintf("made-up-%d", i)
			l := acquire(t, e, r)
			v := forbidden
			v.Model, v.Told = r.Model, told
			if l.Judge(v) {
				e.Abandon(r)
			} else {
				l.Close(Usage{}, nil)
			}
			time.Sleep(time.Millisecond)
		}
		c := e.creds[0]
		if len(c.parts) > maxParts || len(c.books) > maxBooks {
			t.Errorf("%d models or scopes and %d limits are remembered", len(c.parts), len(c.books))
		}
		l := acquire(t, e, request())
		v := ok
		v.Told = told
		l.Judge(v)
		l.Close(Usage{}, nil)
		if !slices.ContainsFunc(c.books, func(b *book) bool { return b.Model == "m" }) {
			t.Error("the limits of a model that is there are not heard any more")
		}
	})
}

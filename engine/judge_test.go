package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

func TestARejectedRequestGoesToTheNextKeyOnce(t *testing.T) {
	t.Parallel()
	for _, v := range []Verdict{tooMany, unauthorized, noMoney, forbidden} {
		e := testEngine(t, 3, RoundRobin)
		if got := answered(t, e, v, v, ok); !slices.Equal(got, []string{"k1", "k2", "k3"}) {
			t.Errorf("%v: went to %v", v.Kind, got)
		}
		if s := e.Snapshot(); s.Proxy.Failures != 0 || s.Proxy.Absorbed != 2 {
			t.Errorf("%v: clients saw %d failures, %d absorbed", v.Kind, s.Proxy.Failures, s.Proxy.Absorbed)
		}
	}
}

func TestNoKeyLeftIsAnErrorWithReasons(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	hinted := tooMany
	hinted.RetryAfter = 30 * time.Second
	if got := answered(t, e, noMoney, hinted, ok); got[2] != "none" {
		t.Fatalf("went to %v", got)
	}
	_, err := e.Acquire(context.Background(), request())
	var none *NoKeyError
	if !errors.As(err, &none) {
		t.Fatalf("got %v", err)
	}
	if none.RetryAfter <= 29*time.Second || none.RetryAfter > 31*time.Second {
		t.Errorf("first key back in %v, want 30s", none.RetryAfter)
	}
	for i, want := range []string{"k1 exhausted: 402 quota exhausted", "k2 cooling: 429 rate limited, retry-after 30s"} {
		if got := none.Reasons[i].Key + " " + none.Reasons[i].Why; !strings.HasPrefix(got, want) {
			t.Errorf("reason %d is %q, want %q", i, got, want)
		}
	}
	snap := e.Snapshot()
	if snap.Services[0].Health != HealthDown || snap.Services[0].Refused != 2 || snap.Proxy.Failures != 2 {
		t.Errorf("health %s, refused %d, failures %d", snap.Services[0].Health, snap.Services[0].Refused, snap.Proxy.Failures)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		v    Verdict
		want State
	}{
		{"429", tooMany, Cooling}, {"402", noMoney, Exhausted}, {"401 without a test call", unauthorized, Failing},
		{"403 holds only the model", forbidden, Active}, {"400", badRequest, Active}, {"one 503", unavailable, Active},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := testEngine(t, 2, RoundRobin)
			r := request()
			l := acquire(t, e, r)
			l.Judge(c.v)
			if got := stateOf(t, e, "k1"); got != c.want {
				t.Errorf("state %v, want %v", got, c.want)
			}
		})
	}
}

func TestHintsAreClamped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hint, low, high time.Duration }{
		{time.Millisecond, 500 * time.Millisecond, 525 * time.Millisecond},
		{20 * time.Second, 20 * time.Second, 20500 * time.Millisecond},
		{100 * time.Hour, time.Hour, time.Hour + 500*time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := testEngine(t, 2, RoundRobin)
			v := tooMany
			v.RetryAfter = c.hint
			answered(t, e, v, ok)
			held := time.Until(*keyOf(t, e, "k1").Until)
			if held < c.low || held > c.high {
				t.Errorf("hint %v: held %v, want %v to %v", c.hint, held, c.low, c.high)
			}
			time.Sleep(held)
			if got := stateOf(t, e, "k1"); got != Active {
				t.Errorf("hint %v: %v when its time is over", c.hint, got)
			}
		})
	}
}

func TestBare429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		held := func() time.Duration {
			l := acquire(t, e, request())
			l.Judge(tooMany)
			d := time.Until(*keyOf(t, e, "k1").Until)
			time.Sleep(d)
			return d
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			if got := held(); got != want*time.Second {
				t.Errorf("bare 429 number %d without a success: %v, want %ds", i+1, got, want)
			}
		}
		for range 10 {
			serve(t, e)
			time.Sleep(100 * time.Millisecond)
		}
		if got := held(); got < minPace || got > 300*time.Millisecond {
			t.Errorf("after ten a second: %v, want about 100ms", got)
		}
	})
}

func TestALateAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	for _, late := range []Verdict{tooMany, noMoney, unauthorized, ok} {
		e := testEngine(t, 2, Failover)
		first, second := acquire(t, e, request()), acquire(t, e, request())
		hinted := tooMany
		hinted.RetryAfter = 30 * time.Second
		first.Judge(hinted)
		before := keyOf(t, e, "k1")
		second.Judge(late)
		after := keyOf(t, e, "k1")
		if after.State != Cooling || !after.Until.Equal(*before.Until) {
			t.Errorf("late %v: %v until %v, was %v until %v", late.Kind, after.State, after.Until, before.State, before.Until)
		}
		if n := after.Verdicts.Failed() + after.Verdicts.OK; n != 2 {
			t.Errorf("late %v: %d answers counted, want 2", late.Kind, n)
		}
	}
}

func TestABurstClimbsTheLadderOnceAndRotatesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		var rs []*Request
		var ls []*Lease
		for range 50 {
			r := request()
			rs = append(rs, r)
			ls = append(ls, acquire(t, e, r))
		}
		for _, l := range ls {
			l.Judge(tooMany)
		}
		if held := time.Until(*keyOf(t, e, "k1").Until); held != time.Second {
			t.Errorf("50 refusals at once: held %v, want the first step of the ladder, 1s", held)
		}
		for _, r := range rs {
			l := acquire(t, e, r)
			l.Judge(ok)
			l.Close(Usage{}, nil)
		}
		if s := e.Snapshot().Services[0]; s.Rotations > 1 || s.Failures != 0 {
			t.Errorf("%d rotations, %d failures", s.Rotations, s.Failures)
		}
	})
}

func TestFaultsAreTakenBackWhenASecondKeyFailsTheSameWay(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin)
	for range 30 {
		if got := answered(t, e, unavailable, unavailable); len(got) != 2 {
			t.Fatalf("a fault goes to one other key, went to %v", got)
		}
	}
	snap := e.Snapshot()
	for _, k := range snap.Keys {
		if k.State != Active {
			t.Errorf("%s is %v for its provider's fault", k.Name, k.State)
		}
	}
	if len(snap.Incidents) != 1 || snap.Incidents[0].Of != 3 {
		t.Errorf("incidents %+v, want one of 3 keys", snap.Incidents)
	}
	if snap.Proxy.Failures != 30 {
		t.Errorf("clients saw %d failures, want 30", snap.Proxy.Failures)
	}
}

func TestFiveStrikesWhileOthersServeMakeAKeyFailing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		for i := range 5 {
			if got := stateOf(t, e, "k1"); got != Active {
				t.Fatalf("%v after %d strikes", got, i)
			}
			answered(t, e, unavailable, ok)
			time.Sleep(time.Second)
		}
		if got := stateOf(t, e, "k1"); got != Failing {
			t.Fatalf("%v after five strikes in 5 s", got)
		}
		time.Sleep(firstTrial)
		// One trial at a time: k2 is disabled, so that the trial comes at once.
		do(t, e, Action{Verb: VerbDisable, Key: "k2"})
		trial := acquire(t, e, request())
		if _, err := e.Acquire(context.Background(), request()); err == nil {
			t.Error("a second trial left while the first was on its way")
		}
		trial.Judge(ok)
		trial.Close(Usage{}, nil)
		if got := stateOf(t, e, "k1"); got != Active {
			t.Errorf("%v after a trial that succeeded", got)
		}
	})
}

func TestStrikesOlderThanAMinuteDoNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		for range 20 {
			answered(t, e, unavailable, ok)
			time.Sleep(16 * time.Second)
		}
		if got := stateOf(t, e, "k1"); got != Active {
			t.Errorf("%v after a fault each 16 s", got)
		}
	})
}

func TestASuccessForgetsStrikes(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, Failover)
	for range 20 {
		for range 4 {
			answered(t, e, unavailable, ok)
		}
		serve(t, e)
	}
	if got := stateOf(t, e, "k1"); got != Active {
		t.Errorf("%v: four strikes, then a success, are forgotten", got)
	}
}

func TestMoneyIsTriedAgainSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		acquire(t, e, request()).Judge(noMoney)
		wait := firstMoney
		for range 8 {
			time.Sleep(wait - time.Second)
			if _, err := e.Acquire(context.Background(), request()); err == nil {
				t.Fatalf("a trial before %v were over", wait)
			}
			time.Sleep(2 * time.Second)
			create := request()
			create.Repeatable = false
			if _, err := e.Acquire(context.Background(), create); err == nil {
				t.Fatal("a create was sent as a trial of an empty account")
			}
			acquire(t, e, request()).Judge(noMoney)
			wait = min(2*wait, maxMoney)
		}
		time.Sleep(maxMoney)
		l := acquire(t, e, request())
		l.Judge(ok)
		l.Close(Usage{}, nil)
		if got := stateOf(t, e, "k1"); got != Active {
			t.Errorf("%v after a trial that succeeded", got)
		}
	})
}

func TestAnInvalidKeyIsRevokedOnlyWhenConfirmed(t *testing.T) {
	t.Parallel()
	testable := func(c *Config) { c.Keys[0].CanTest = true }
	for _, c := range []struct {
		name string
		said Verdict
		want State
	}{
		{"confirmed", unauthorized, Revoked}, {"valid after all", ok, Active}, {"out of money", noMoney, Exhausted}, {"test failed", unavailable, Failing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := testEngine(t, 2, RoundRobin, testable)
			answered(t, e, unauthorized, ok)
			asked := false
			for _, ev := range e.Events(0) {
				asked = asked || ev.Kind == EventProbe && ev.Key == "k1"
			}
			if got := stateOf(t, e, "k1"); got != Failing || !asked {
				t.Fatalf("%v, asked for a test call: %v", got, asked)
			}
			e.Tested("k1", c.said)
			if got := stateOf(t, e, "k1"); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestWithoutATestCallThreeRejectionsWhileAnotherServesRevoke(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		for range 3 {
			answered(t, e, unauthorized, ok)
			time.Sleep(5 * time.Second)
			if stateOf(t, e, "k1") != Revoked {
				do(t, e, Action{Verb: VerbRotate, Service: "svc", Key: "k1"})
			}
		}
		if got := stateOf(t, e, "k1"); got != Revoked {
			t.Errorf("%v after three", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		for range 10 {
			acquire(t, e, request()).Judge(unauthorized)
			time.Sleep(10 * time.Minute)
		}
		if got := stateOf(t, e, "k1"); got != Failing {
			t.Errorf("%v: with no other key serving nothing confirms the rejection", got)
		}
	})
}

func TestPermissionIsOfAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		if got := answered(t, e, forbidden, ok); !slices.Equal(got, []string{"k1", "k2"}) {
			t.Fatalf("went to %v", got)
		}
		if got := serve(t, e); got != "k2" {
			t.Errorf("model m went to %s", got)
		}
		r := request()
		r.Model = "other"
		if got := acquire(t, e, r).Key().Name; got != "k1" {
			t.Errorf("another model went to %s: k1 may serve it", got)
		}
		time.Sleep(permitted + time.Second)
		if got := serve(t, e); got != "k1" {
			t.Errorf("an hour later m went to %s", got)
		}
	})
}

func TestWhenNoKeyIsPermittedTheAnswerPasses(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	r := request()
	if !acquire(t, e, r).Judge(forbidden) {
		t.Fatal("the second key was not asked")
	}
	if acquire(t, e, r).Judge(forbidden) {
		t.Error("with no key left the provider's own answer goes to the client")
	}
	everyone := forbidden
	everyone.Scope = ScopeNone
	e = testEngine(t, 2, RoundRobin)
	if acquire(t, e, request()).Judge(everyone) || len(keyOf(t, e, "k1").Holds) > 0 {
		t.Error("a refusal that is nobody's was blamed on a key")
	}
}

func TestAClientErrorPassesAndBlamesNobody(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	l := acquire(t, e, request())
	if l.Judge(badRequest) {
		t.Error("a bad request was repeated")
	}
	l.Close(Usage{}, nil)
	if p := e.Snapshot().Proxy; p.ClientErrors != 1 || p.Failures != 0 {
		t.Errorf("%+v", p)
	}
}

func TestAccountScopeHoldsAllItsKeys(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 4, RoundRobin, func(c *Config) {
		c.Keys[0].Account, c.Keys[1].Account, c.Keys[2].Account = "a", "a", "b"
	})
	v := noMoney
	v.Scope = ScopeAccount
	if got := answered(t, e, v, ok); !slices.Equal(got, []string{"k1", "k3"}) {
		t.Errorf("went to %v: k2 shares the empty account", got)
	}
	if h := keyOf(t, e, "k2").Holds; len(h) != 1 || h[0].Account != "a" {
		t.Errorf("k2's holds: %+v", h)
	}
}

func TestTwoNamesOfOneSecretAreOneKey(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) { c.Keys[1].Secret = c.Keys[0].Secret })
	if got := answered(t, e, noMoney, ok); !slices.Equal(got, []string{"k1", "k3"}) {
		t.Errorf("went to %v: k2 is k1 by another name", got)
	}
	if got := stateOf(t, e, "k2"); got != Exhausted {
		t.Errorf("k2 is %v", got)
	}
}

func TestACutStreamIsAFailureAndALeavingClientIsNot(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	l := acquire(t, e, request())
	l.Judge(ok)
	l.Close(Usage{}, errors.New("unexpected EOF"))
	if k := keyOf(t, e, "k1"); k.Failures != 1 || k.State != Active {
		t.Errorf("cut: %d failures, %v", k.Failures, k.State)
	}
	l = acquire(t, e, request())
	l.Judge(ok)
	l.Close(Usage{}, ErrClientLeft)
	if k, p := keyOf(t, e, "k1"), e.Snapshot().Proxy; k.Failures != 1 || p.Failures != 1 || p.InFlight != 0 || k.InFlight != 0 {
		t.Errorf("client left: %+v %+v", k, p)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 2, Window: time.Minute, Source: "config"}}
			c.Keys[1].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 3, Calendar: "day", Source: "config"}}
		})
		var got []string
		for range 5 {
			got = append(got, serve(t, e))
		}
		if want := "k1 k1 k2 k2 k2"; strings.Join(got, " ") != want {
			t.Errorf("served by %v, want %s", got, want)
		}
		if k := keyOf(t, e, "k2"); k.State != Exhausted || time.Until(*k.Until) > 24*time.Hour {
			t.Errorf("a day's quota used up: %v until %v", k.State, k.Until)
		}
		_, err := e.Acquire(context.Background(), request())
		var none *NoKeyError
		if !errors.As(err, &none) || none.RetryAfter > 31*time.Second {
			t.Errorf("got %v; a slot comes free in 30 s", err)
		}
		time.Sleep(31 * time.Second)
		if got := serve(t, e); got != "k1" {
			t.Errorf("half a minute later served by %s", got)
		}
	})
}

func TestWhyARotation(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 4, RoundRobin)
	do(t, e, Action{Verb: VerbDisable, Key: "k2", By: "you"})
	v := tooMany
	v.RetryAfter, v.Rule = time.Minute, "status 429"
	answered(t, e, v, ok)
	rot := e.Snapshot().Services[0].LastRotation
	if rot == nil || rot.From != "k1" || rot.To != "k3" || rot.Cause != "429 rate limited, retry-after 1m" || rot.Rule != "status 429" {
		t.Fatalf("rotation %+v", rot)
	}
	if !strings.Contains(rot.Outcome, "k3 answered 200 on attempt 2") || !strings.Contains(rot.Outcome, "saw no error") || !strings.HasPrefix(rot.Next, "k1 returns at ") {
		t.Errorf("outcome %q, next %q", rot.Outcome, rot.Next)
	}
	why := map[string]string{}
	for _, c := range rot.Candidates {
		why[c.Key] = c.Why
	}
	if why["k2"] != "disabled by you" || why["k3"] != "chosen: next under round-robin" || why["k4"] != "can serve; not its turn" {
		t.Errorf("candidates %v", why)
	}
}

func TestWhileOneKeyIsUsableNoClientSeesAnError(t *testing.T) {
	t.Parallel()
	for _, strategy := range Strategies {
		e := testEngine(t, 8, strategy)
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 300 {
					r := request()
					for {
						l, err := e.Acquire(context.Background(), r)
						if err != nil {
							t.Errorf("%s: %v", strategy, err)
							return
						}
						v := ok
						if l.Key().Name != "k5" {
							v = []Verdict{ok, tooMany, unauthorized, noMoney, forbidden}[(g+i)%5]
						}
						if l.Judge(v) {
							continue
						}
						l.Close(Usage{Input: 1}, nil)
						break
					}
				}
			})
		}
		wg.Wait()
		snap := e.Snapshot()
		if snap.Proxy.Failures != 0 || snap.Proxy.Requests != 16*300 || snap.Proxy.InFlight != 0 {
			t.Errorf("%s: %+v", strategy, snap.Proxy)
		}
		for _, k := range snap.Keys {
			if k.InFlight != 0 {
				t.Errorf("%s: %s has %d in flight at rest", strategy, k.Name, k.InFlight)
			}
		}
	}
}

func TestABusyModelRestsOnAllKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, RoundRobin)
		busy := unavailable
		busy.Model = "m"
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			if got := answered(t, e, busy, busy); len(got) != 2 {
				t.Fatalf("went to %v", got)
			}
			_, err := e.Acquire(context.Background(), request())
			var none *NoKeyError
			if !errors.As(err, &none) || none.RetryAfter != want*time.Second {
				t.Fatalf("pause %d: %v, want %ds", i, err, want)
			}
			other := request()
			other.Model = "other"
			l := acquire(t, e, other)
			l.Judge(ok)
			l.Close(Usage{}, nil)
			time.Sleep(want * time.Second)
		}
		serve(t, e)
		serve(t, e)
		serve(t, e)
		answered(t, e, busy, busy)
		_, err := e.Acquire(context.Background(), request())
		var none *NoKeyError
		if !errors.As(err, &none) || none.RetryAfter != time.Second {
			t.Errorf("after successes: %v, want 1s", err)
		}
	})
}

// TestADeadKeyCostsOneCall asks for two fresh keys many at a time, one of which
// the provider rejects.
func TestADeadKeyCostsOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin)
		for _, c := range e.creds {
			c.proven = false
		}
		var leases []*Lease
		for range 10 {
			leases = append(leases, acquire(t, e, request()))
		}
		calls := map[string]int{}
		for _, l := range leases {
			calls[l.Key().Name]++
		}
		if calls["k1"] == 0 || calls["k2"] == 0 {
			t.Errorf("while nothing is known both serve what must go out: %v", calls)
		}
		for _, l := range leases {
			if l.Key().Name == "k2" {
				l.Judge(ok)
				l.Close(Usage{}, nil)
			}
		}
		first := acquire(t, e, request())
		if first.Key().Name != "k2" {
			t.Errorf("the key that never served is asked by a request already, and %s is asked again", first.Key().Name)
		}
		for range 10 {
			if got := acquire(t, e, request()).Key().Name; got != "k2" {
				t.Errorf("%s served; k1 has not answered yet", got)
			}
		}
	})
}

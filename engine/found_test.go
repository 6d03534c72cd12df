package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// What the oracle found: each of these went wrong once.

// TestWhoWaitsAndForHowLong asks for a key that is not there now: how long the
// request waits, and which key it is given at the end.
func TestWhoWaitsAndForHowLong(t *testing.T) {
	t.Parallel()
	fallback := func(c *Config) {
		s := &c.Services[0]
		s.Keys, s.Fallback, s.FallbackAfter = []string{"k1"}, []string{"k2"}, 5*time.Second
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		before func(*testing.T, *Engine)
		after  time.Duration
		key    string // "" is none
	}{
		{"a key that is soon back, and not for this scope", func(c *Config) { c.Keys[0].Scopes = []string{"image"} },
			func(t *testing.T, e *Engine) {
				cool(t, e, "k1", 2*time.Second)
				do(t, e, Action{Verb: VerbDisable, Key: "k2"})
			}, 0, ""},
		{"a key that is soon back, but not for this model", nil, func(t *testing.T, e *Engine) {
			do(t, e, Action{Verb: VerbDisable, Key: "k2"})
			a, b := acquire(t, e, request()), acquire(t, e, request())
			v := forbidden
			v.Model = "m"
			a.Judge(v)
			b.Judge(cooling(2 * time.Second))
		}, 0, ""},
		{"another key when the pin is over", nil, func(t *testing.T, e *Engine) {
			do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k1", ForS: 2})
			do(t, e, Action{Verb: VerbDisable, Key: "k1"})
		}, 2 * time.Second, "k2"},
		{"another key when the lend of the pinned one is over", func(c *Config) {
			c.Services[0].Keys = []string{"k1"}
		}, func(t *testing.T, e *Engine) {
			do(t, e, Action{Verb: VerbLend, Service: "svc", Key: "k2", ForS: 2})
			do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2"})
			do(t, e, Action{Verb: VerbDrain, Key: "k2"})
		}, 2 * time.Second, "k1"},
		{"a fallback key that is back first, where none above comes in time", fallback, func(t *testing.T, e *Engine) {
			cool(t, e, "k2", 2*time.Second)
			do(t, e, Action{Verb: VerbDisable, Key: "k1"})
		}, 2 * time.Second, "k2"},
		{"a fallback key, where one above comes when patience is over", func(c *Config) {
			fallback(c)
			c.Services[0].FallbackAfter = 30 * time.Second
		}, func(t *testing.T, e *Engine) { cool(t, e, "k1", 20*time.Second) }, 0, "k2"},
		{"a service with room soon, and no key", func(c *Config) {
			c.Services[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 2, Window: 10 * time.Second}}
		}, func(t *testing.T, e *Engine) {
			serve(t, e)
			serve(t, e)
			do(t, e, Action{Verb: VerbDisable, Key: "k1"})
			do(t, e, Action{Verb: VerbDisable, Key: "k2"})
		}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				change := c.change
				if change == nil {
					change = func(*Config) {}
				}
				e := patient(t, 2, change)
				c.before(t, e)
				w := <-waitFor(e, context.Background(), request())
				key := ""
				if w.lease != nil {
					key = w.lease.Key().Name
				}
				if key != c.key || w.took < c.after || w.took > c.after+200*time.Millisecond {
					t.Errorf("got %q after %v (%v), want %q after %v", key, w.took, w.err, c.key, c.after)
				}
			})
		})
	}
}

// TestAKeyAboveThatEndsLeavesTheRestToTheFallback has a request wait for a key
// that may be free at any moment, and is lent or in date for two seconds more.
func TestAKeyAboveThatEndsLeavesTheRestToTheFallback(t *testing.T) {
	t.Parallel()
	one := []quota.Limit{{Unit: quota.Concurrent, Amount: 1}}
	for _, c := range []struct {
		name   string
		change func(*Config)
		before func(*testing.T, *Engine)
		key    string
	}{
		{"its lend", func(c *Config) {
			c.Keys[2].Limits = one
			s := &c.Services[0]
			s.Keys, s.Fallback = []string{"k1"}, []string{"k2"}
			c.Services = append(c.Services, Service{Name: "other", Keys: []string{"k3"}})
		}, func(t *testing.T, e *Engine) {
			do(t, e, Action{Verb: VerbDisable, Key: "k1"})
			do(t, e, Action{Verb: VerbLend, Service: "svc", Key: "k3", ForS: 2.3})
		}, "k3"},
		{"its time", func(c *Config) {
			c.Keys[0].Limits, c.Keys[0].Expires = one, time.Now().Add(2300*time.Millisecond)
			s := &c.Services[0]
			s.Keys, s.Fallback = []string{"k1"}, []string{"k2"}
		}, func(*testing.T, *Engine) {}, "k1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := patient(t, 3, c.change, func(c *Config) { c.Services[0].FallbackAfter = 9 * time.Second })
				c.before(t, e)
				if l := acquire(t, e, request()); l.Key().Name != c.key {
					t.Fatalf("served by %s", l.Key().Name)
				}
				if w := <-waitFor(e, context.Background(), request()); w.lease == nil || w.lease.Key().Name != "k2" || w.took > 2301*time.Millisecond {
					t.Errorf("got %+v, want k2 after 2.3s", w)
				}
			})
		})
	}
}

// cool sends one request to the key and has it told to wait.
func cool(t *testing.T, e *Engine, key string, d time.Duration) {
	t.Helper()
	do(t, e, Action{Verb: VerbPin, Service: "svc", Key: key})
	r := request()
	r.Scope = ""
	acquire(t, e, r).Judge(cooling(d))
	do(t, e, Action{Verb: VerbUnpin, Service: "svc"})
}

// TestWhoMayHaveAFallbackKeyIsNotKeptByWhoMayNot has a request wait behind one
// that waits for a key above.
func TestWhoMayHaveAFallbackKeyIsNotKeptByWhoMayNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		tried bool
		r     Request
	}{{"it has tried the key above", true, *request()}, {"it has less patience", false, Request{Patience: 2 * time.Second}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := patient(t, 2, func(c *Config) {
					s := &c.Services[0]
					s.Keys, s.Fallback, s.FallbackAfter = []string{"k1"}, []string{"k2"}, 9*time.Second
				})
				r := request()
				r.Patience = c.r.Patience
				if cool(t, e, "k2", time.Second); c.tried {
					acquire(t, e, r).Judge(cooling(8 * time.Second))
				} else {
					cool(t, e, "k1", 8*time.Second)
				}
				before := waitFor(e, context.Background(), request())
				synctest.Wait()
				if w := <-waitFor(e, context.Background(), r); w.lease == nil || w.lease.Key().Name != "k2" || w.took > 1200*time.Millisecond {
					t.Errorf("got %+v, want k2 after a second", w)
				}
				if w := <-before; w.lease == nil || w.lease.Key().Name != "k1" {
					t.Errorf("before it: %+v, want k1", w)
				}
			})
		})
	}
}

// TestWhoWaitsIsServedOnceAllIsDone has the only key above come free by the answer
// that holds it for another model.
func TestWhoWaitsIsServedOnceAllIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 1}}
			s := &c.Services[0]
			s.Keys, s.Fallback, s.FallbackAfter = []string{"k1"}, []string{"k2"}, 5*time.Second
		})
		l, other := acquire(t, e, request()), request()
		other.Model = "other"
		w := waitFor(e, context.Background(), other)
		time.Sleep(4500 * time.Millisecond) // what may end any time is no longer worth waiting for
		v := cooling(2 * time.Minute)
		v.Model = "m"
		l.Judge(v)
		if w := <-w; w.lease == nil || w.lease.Key().Name != "k1" || w.took != 4500*time.Millisecond {
			t.Errorf("got %+v, want k1 when it is free", w)
		}
	})
}

func TestARotationThatIsRefusedMovesNothing(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Keys: testKeys("k1", "k2", "k3"), Services: []Service{{Name: "svc", Strategy: Failover, Keys: []string{"k1"}, Fallback: []string{"k2", "k3"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Do(Action{Verb: VerbRotate, Service: "svc", Key: "k3"}); err == nil {
		t.Fatal("rotated to a fallback key while one above can serve")
	}
	do(t, e, Action{Verb: VerbDisable, Key: "k1"})
	if got := serve(t, e); got != "k2" {
		t.Errorf("served by %s", got)
	}
}

func TestWhatIsOverIsNotLifted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		answered(t, e, cooling(500*time.Millisecond), ok)
		time.Sleep(400 * time.Millisecond)
		serve(t, e) // it looks around
		time.Sleep(200 * time.Millisecond)
		if r, err := e.Do(Action{Verb: VerbLift, Key: "k1"}); err == nil {
			t.Errorf("%s, though it was over", r.Text)
		}
	})
}

// TestABusyModelRests has a provider tell that it is too busy for a model.
func TestABusyModelRests(t *testing.T) {
	t.Parallel()
	busy := unavailable
	busy.Model = "m"
	spent := noMoney
	spent.Model = "m"
	t.Run("also where the request goes no further", func(t *testing.T) {
		t.Parallel()
		e := testEngine(t, 2, Failover)
		r := request()
		r.Once = true
		acquire(t, e, r).Judge(busy)
		for _, key := range []string{"k1", "k2"} {
			if hs := keyOf(t, e, key).Holds; len(hs) != 1 || hs[0].Model != "m" {
				t.Errorf("%s holds %+v", key, hs)
			}
		}
	})
	t.Run("and stays used up", func(t *testing.T) {
		t.Parallel()
		e := testEngine(t, 2, Failover)
		answered(t, e, spent, busy)
		if hs := keyOf(t, e, "k1").Holds; len(hs) != 1 || hs[0].State != Exhausted {
			t.Errorf("k1 holds %+v", hs)
		}
	})
}

// TestATrialThatFailsLeavesTheRestToTheFallback has a request wait for what the
// trial of another may bring back.
func TestATrialThatFailsLeavesTheRestToTheFallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2, func(c *Config) {
			s := &c.Services[0]
			s.Keys, s.Fallback, s.FallbackAfter = []string{"k1"}, []string{"k2"}, 5*time.Second
		})
		do(t, e, Action{Verb: VerbFail, Key: "k1"})
		time.Sleep(time.Minute)
		l := acquire(t, e, request())
		w := waitFor(e, context.Background(), request())
		synctest.Wait()
		v := forbidden
		v.Scope = ScopeNone
		if l.Judge(v) {
			t.Fatal("goes on")
		}
		if w := <-w; w.lease == nil || w.lease.Key().Name != "k2" || w.took > 0 {
			t.Errorf("got %+v, want k2 at once", w)
		}
	})
}

func TestAnAccountThatIsValidAfterAllIsBackWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2, func(c *Config) {
			c.Keys[0].Account, c.Keys[1].Account, c.Keys[1].CanTest = "team", "team", true
			c.Services[0].Keys, c.Services[0].Fallback = []string{"k1"}, []string{"k2"}
		})
		do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2"})
		v := unauthorized
		v.Scope = ScopeAccount
		r := request()
		r.Model, r.Patience = "other", 0
		acquire(t, e, r).Judge(v)
		do(t, e, Action{Verb: VerbUnpin, Service: "svc"})
		time.Sleep(55 * time.Second) // its trial is near enough to wait for
		w := waitFor(e, context.Background(), request())
		synctest.Wait()
		e.Tested("k2", ok)
		if w := <-w; w.lease == nil || w.lease.Key().Name != "k1" {
			t.Errorf("got %+v, want k1, above the fallback", w)
		}
	})
}

func TestWhoWaitsIsToldWhenNothingComesAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2)
		answered(t, e, cooling(3*time.Second), cooling(3*time.Second))
		first := waitFor(e, context.Background(), request())
		second := waitFor(e, context.Background(), request())
		synctest.Wait()
		do(t, e, Action{Verb: VerbDisable, Key: "k1", ForS: 3600})
		do(t, e, Action{Verb: VerbDisable, Key: "k2", ForS: 3600})
		for _, w := range []waited{<-first, <-second} {
			if w.err == nil || w.took > 0 {
				t.Errorf("told %v after %v", w.err, w.took)
			}
		}
	})
}

func TestAFallbackKeyServesOnlyWhenNoneAboveCan(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Keys: testKeys("k1", "k2"), Services: []Service{{Name: "svc", Keys: []string{"k1"}, Fallback: []string{"k2"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // none has served yet
		if l := acquire(t, e, request()); l.Key().Name != "k1" {
			t.Errorf("a key that has yet to prove itself was passed over for the fallback's")
		}
	}
}

func TestACutBeforeTheAnswerTakesNoOtherSuccessAway(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	serve(t, e)
	acquire(t, e, request()).Close(Usage{}, errors.New("reset"))
	if v := keyOf(t, e, "k1").Verdicts; v.OK != 1 || v.UpstreamFault != 1 {
		t.Errorf("%+v", v)
	}
}

func TestAnIncidentTakesStrikesBackWhereAHoldIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, Failover)
		answered(t, e, unavailable, ok)
		answered(t, e, cooling(500*time.Millisecond), ok)
		time.Sleep(400 * time.Millisecond)
		serve(t, e) // it looks around
		time.Sleep(200 * time.Millisecond)
		answered(t, e, unavailable, unavailable) // k2 and k3
		if n := e.keyBy["k1"].cred.all.struck; n > 0 {
			t.Errorf("%d strikes are left", n)
		}
	})
}

func TestAModelThatIsUsedUpIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		v := noMoney
		v.Model = "m"
		answered(t, e, v)
		for _, wait := range []time.Duration{15 * time.Minute, 30 * time.Minute} {
			time.Sleep(wait - time.Second)
			if _, err := e.Acquire(context.Background(), request()); err == nil {
				t.Fatalf("used up, and served before %v are over", wait)
			}
			time.Sleep(time.Second)
			l, other := acquire(t, e, request()), request()
			if _, err := e.Acquire(context.Background(), other); err == nil {
				t.Error("two trials at a time")
			}
			if wait == 15*time.Minute {
				if l.Judge(v); keyOf(t, e, "k1").State != Active {
					t.Error("the key is held, not the model")
				}
				continue
			}
			l.Judge(ok)
			l.Close(Usage{}, nil)
		}
		serve(t, e)
	})
}

func TestMoneyIsWaitedForFromTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		answered(t, e, unauthorized)
		time.Sleep(time.Second)
		answered(t, e, noMoney)
		if k := keyOf(t, e, "k1"); k.State != Exhausted || !k.Holds[0].TrialAt.Equal(time.Now().Add(15*time.Minute)) {
			t.Errorf("%v, next trial %v", k.State, k.Holds[0].TrialAt)
		}
	})
}

func TestAHoldThatIsOverIsNoHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		v := cooling(time.Second)
		v.Model = "m"
		all := request()
		all.Model = ""
		l := acquire(t, e, all)
		answered(t, e, v)
		time.Sleep(2 * time.Second)
		l.Judge(v)
		if hs := keyOf(t, e, "k1").Holds; len(hs) != 1 || hs[0].Model != "m" {
			t.Errorf("a rejection after the last hold was over holds %+v", hs)
		}
	})
}

func TestATrialThatFailsDoublesThePauseOfAFailingKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover)
		for keyOf(t, e, "k1").State != Failing {
			answered(t, e, unavailable, ok)
			time.Sleep(100 * time.Millisecond)
		}
		for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			time.Sleep(time.Until(*keyOf(t, e, "k1").Holds[0].TrialAt))
			do(t, e, Action{Verb: VerbRotate, Service: "svc", Key: "k1"})
			if got := answered(t, e, unavailable, ok); got[0] != "k1" {
				t.Fatalf("no trial: %v", got)
			}
			if next := time.Until(*keyOf(t, e, "k1").Holds[0].TrialAt); next != 2*pause {
				t.Errorf("a trial after %v failed, the next comes in %v", pause, next)
			}
		}
	})
}

func TestAnAccountThatIsRejectedThreeTimesIsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, Failover, func(c *Config) { c.Keys[0].Account, c.Keys[1].Account = "team", "team" })
		v := unauthorized
		v.Scope = ScopeAccount
		for range 3 {
			_, _ = e.Do(Action{Verb: VerbRotate, Service: "svc", Key: "k1"}) // it is there already at first
			answered(t, e, v, ok)
			if at := keyOf(t, e, "k1").Holds[0].TrialAt; at != nil {
				time.Sleep(time.Until(*at))
			}
		}
		if a, b := stateOf(t, e, "k1"), stateOf(t, e, "k2"); a != Revoked || b != Revoked {
			t.Errorf("%v and %v", a, b)
		}
	})
}

func TestWhatARetiredSecretGivesBackIsThere(t *testing.T) {
	t.Parallel()
	one := []Account{{Provider: "p", Name: "team", Limits: []quota.Limit{{Unit: quota.Concurrent, Amount: 1}}}}
	config := func(name string) Config {
		keys := testKeys(name)
		keys[0].Account = "team"
		return Config{Accounts: one, Keys: keys, Services: []Service{{Name: "svc", Keys: []string{name}}}}
	}
	e, err := New(config("k1"))
	if err != nil {
		t.Fatal(err)
	}
	l := acquire(t, e, request())
	if err := e.Reload(config("k2")); err != nil {
		t.Fatal(err)
	}
	l.Judge(ok)
	l.Close(Usage{}, nil)
	serve(t, e)
}

// TestWhatAPersonSetAnEndToEndsThen looks between two sweeps.
func TestWhatAPersonSetAnEndToEndsThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover, func(c *Config) { c.Keys[0].Expires = time.Now().Add(10 * time.Second) })
		do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2", ForS: 5})
		time.Sleep(5*time.Second - time.Millisecond)
		if got := serve(t, e); got != "k2" {
			t.Errorf("pinned to k2, served by %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := serve(t, e); got != "k1" {
			t.Errorf("the pin is over, served by %s", got)
		}
		time.Sleep(5*time.Second - time.Millisecond)
		serve(t, e)
		l := acquire(t, e, request())
		time.Sleep(time.Millisecond)
		if got := serve(t, e); got != "k2" {
			t.Errorf("k1 is past its date, served by %s", got)
		}
		l.Close(Usage{}, nil)
	})
}

func TestAnAnswerIsPassedOnWhereNoOtherKeyCanServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, Failover, func(c *Config) { c.Keys[1].Expires = time.Now().Add(time.Minute) })
		l := acquire(t, e, request())
		time.Sleep(time.Hour)
		if l.Judge(unavailable) {
			t.Error("goes on to a key that is past its date")
		}
	})
}

// testKeys are keys of provider "p", each of a secret of its own.
func testKeys(names ...string) (keys []Key) {
	for _, n := range names {
		keys = append(keys, Key{Name: n, Provider: "p", Secret: secret.New("sk-test-not-a-key-" + n)})
	}
	return keys
}

package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

// TestEveryKindOfLimit asks how many requests pass at once under limits of every kind,
// and when the next one does.
func TestEveryKindOfLimit(t *testing.T) {
	t.Parallel()
	minute := func(u quota.Unit, amount float64) quota.Limit {
		return quota.Limit{Unit: u, Amount: amount, Window: time.Minute, Source: "config"}
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		ask    func(*Request)
		pass   int
		after  time.Duration // until one more passes
	}{
		{"requests of a key", func(c *Config) { c.Keys[0].Limits = []quota.Limit{minute(quota.Requests, 6)} }, nil, 6, 10 * time.Second},
		{"a small bucket", func(c *Config) {
			l := minute(quota.Requests, 60)
			l.Burst = 3
			c.Keys[0].Limits = []quota.Limit{l}
		}, nil, 3, time.Second},
		{"tokens, input and output", func(c *Config) { c.Keys[0].Limits = []quota.Limit{minute(quota.Tokens, 1200)} },
			func(r *Request) { r.InputTokens, r.MaxOutput = 100, 200 }, 4, 15 * time.Second},
		{"input tokens", func(c *Config) { c.Keys[0].Limits = []quota.Limit{minute(quota.Input, 1200)} },
			func(r *Request) { r.InputTokens, r.MaxOutput = 300, 9000 }, 4, 15 * time.Second},
		{"output tokens", func(c *Config) { c.Keys[0].Limits = []quota.Limit{minute(quota.Output, 1200)} },
			func(r *Request) { r.InputTokens, r.MaxOutput = 9000, 300 }, 4, 15 * time.Second},
		{"of one model", func(c *Config) {
			l := minute(quota.Requests, 2)
			l.Model = "m"
			c.Keys[0].Limits = []quota.Limit{l}
		}, nil, 2, 30 * time.Second},
		{"of an account, for both its keys", func(c *Config) {
			c.Keys[0].Account, c.Keys[1].Account = "a", "a"
			c.Services[0].Keys = []string{"k1", "k2"}
			c.Accounts = []Account{{Provider: "p", Name: "a", Limits: []quota.Limit{minute(quota.Requests, 6)}}}
		}, nil, 6, 10 * time.Second},
		{"of the service", func(c *Config) { c.Services[0].Limits = []quota.Limit{minute(quota.Requests, 6)} }, nil, 6, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := testEngine(t, 2, RoundRobin, func(cfg *Config) {
					cfg.Services[0].Keys = []string{"k1"}
					c.change(cfg)
				})
				WithPatience(time.Hour, 10)(e)
				ask := func() *Request {
					r := request()
					if c.ask != nil {
						c.ask(r)
					}
					r.Patience = time.Millisecond
					return r
				}
				n := 0
				for ; n < 100; n++ {
					l, err := e.Acquire(context.Background(), ask())
					if err != nil {
						break
					}
					l.Judge(ok)
				}
				if n != c.pass {
					t.Errorf("%d passed at once, want %d", n, c.pass)
				}
				r := ask()
				r.Patience = 0
				got := <-waitFor(e, context.Background(), r)
				if got.err != nil || got.took < c.after || got.took > c.after+time.Second {
					t.Errorf("the next passes after %v (%v), want %v", got.took, got.err, c.after)
				}
			})
		})
	}
}

func TestWhatAModelUsesIsLearned(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	estimate := func() estimate {
		r := request()
		r.InputTokens, r.MaxOutput = 1000, 8000
		l := acquire(t, e, r)
		l.Judge(ok)
		l.Close(Usage{Input: 2000, Output: 100}, nil)
		return r.est
	}
	if got := estimate(); got.input != 1000 || got.output != 8000 {
		t.Errorf("a model that nobody has seen: %+v, want what the request says", got)
	}
	for range 100 {
		estimate()
	}
	if got := estimate(); got.output != 100 || got.input < 1900 || got.input > 2100 {
		t.Errorf("after a hundred answers: %+v, want 100 out and about 2000 in", got)
	}
}

func TestALargeRequestLetsTokensGatherAndOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2, func(c *Config) {
			for i := range c.Keys {
				c.Keys[i].Limits = []quota.Limit{{Unit: quota.Tokens, Amount: 6000, Window: time.Minute, Source: "config"}}
			}
		})
		sized := func(n int64) *Request {
			r := request()
			r.Scope, r.InputTokens, r.MaxOutput = "embedding", n, 0
			return r
		}
		for range 2 {
			acquire(t, e, sized(5500)).Judge(ok)
		}
		large := waitFor(e, context.Background(), sized(1200)) // 700 are missing: 7 s
		synctest.Wait()
		var others []string
		for range 12 {
			l := acquire(t, e, sized(40))
			l.Judge(ok)
			others = append(others, l.Key().Name)
			time.Sleep(500 * time.Millisecond)
		}
		got := <-large
		if got.err != nil || got.took > 8*time.Second {
			t.Fatalf("the large one waited %v (%v), want about 7s", got.took, got.err)
		}
		if slices.Contains(others, got.lease.Key().Name) {
			t.Errorf("others took tokens of %s, which gathered for the large one: %v", got.lease.Key().Name, others)
		}
	})
}

func TestServicesThatShareAKeyTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Services = append(c.Services, Service{Name: "light", Keys: []string{"k1"}})
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 600, Burst: 1, Window: time.Minute, Source: "config"}}
		})
		serve(t, e)
		var heavy []<-chan waited
		for range 50 {
			heavy = append(heavy, waitFor(e, context.Background(), request()))
			synctest.Wait()
		}
		r := request()
		r.Service = "light"
		if got := <-waitFor(e, context.Background(), r); got.err != nil || got.took > 500*time.Millisecond {
			t.Errorf("behind fifty requests of the other service it waited %v (%v)", got.took, got.err)
		}
		for _, w := range heavy {
			if got := <-w; got.err != nil {
				t.Error(got.err)
			}
		}
	})
}

func TestWhoWouldBeServedTooLateIsToldWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 120, Burst: 1, Window: time.Minute, Source: "config"}}
		})
		serve(t, e)
		var waits []<-chan waited
		for range 30 {
			waits = append(waits, waitFor(e, context.Background(), request()))
			synctest.Wait()
		}
		served := 0
		for _, w := range waits {
			got := <-w
			var none *NoKeyError
			switch {
			case got.err == nil:
				served++
			case !errors.As(got.err, &none) || got.took != 0 || none.RetryAfter < 9*time.Second || none.RetryAfter > 12*time.Second:
				t.Errorf("refused after %v: %v", got.took, got.err)
			}
		}
		if served < 19 || served > 21 {
			t.Errorf("%d of 30 were served in ten seconds at two a second", served)
		}
	})
}

func TestFallbackKeysServeAfterAWhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ back, took time.Duration }{{time.Second, time.Second}, {8 * time.Second, 0}} {
		synctest.Test(t, func(t *testing.T) {
			e := patient(t, 2, func(c *Config) {
				c.Services[0].Keys, c.Services[0].Fallback, c.Services[0].FallbackAfter = []string{"k1"}, []string{"k2"}, 3*time.Second
			})
			answered(t, e, cooling(c.back))
			got := <-waitFor(e, context.Background(), request())
			want := map[bool]string{true: "k1", false: "k2"}[c.back <= 3*time.Second]
			if got.err != nil || got.lease.Key().Name != want || got.took < c.took || got.took > c.took+time.Second {
				t.Errorf("with k1 back in %v %v after %v (%v), want %s after %v", c.back, got.lease, got.took, got.err, want, c.took)
			}
		})
	}
}

func TestAccountsThatTheProviderTells(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 4, RoundRobin, func(c *Config) {
		c.Keys[2].Account, c.Keys[3].Account = "team", "team"
	})
	says := map[string]string{"k1": "org-1", "k2": "org-1", "k3": "org-2", "k4": "org-3"}
	for range 8 {
		l := acquire(t, e, request())
		v := ok
		v.Account = says[l.Key().Name]
		l.Judge(v)
		l.Close(Usage{}, nil)
	}
	snap := e.Snapshot()
	if snap.Keys[0].Account != "org-1" || snap.Keys[1].Account != "org-1" || snap.Services[0].Accounts != 2 {
		t.Errorf("accounts %q and %q, %d in all; want both org-1, and 2", snap.Keys[0].Account, snap.Keys[1].Account, snap.Services[0].Accounts)
	}
	var told []string
	for _, ev := range e.Events(0) {
		if ev.Kind == EventAccount {
			told = append(told, ev.Key+" "+ev.Text)
		}
	}
	if len(told) != 2 || !strings.Contains(told[1], "k4 is of org-3") {
		t.Errorf("told %q, want once that two keys share org-1, and once that k4 contradicts the config", told)
	}
	exhausted := noMoney
	exhausted.Scope = ScopeAccount
	for {
		l := acquire(t, e, request())
		if l.Key().Name == "k1" {
			l.Judge(exhausted)
			break
		}
		l.Judge(ok)
	}
	if stateOf(t, e, "k2") != Exhausted {
		t.Error("k1's account has no money, and k2 of the same account goes on")
	}
}

func TestWhatAServiceCanStillDo(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) {
		c.Services[0].Needs = []string{"chat", "video"}
		c.Keys[0].Scopes, c.Keys[1].Scopes = []string{"chat"}, []string{"chat"}
	})
	can := func() (chat, video int, health string) {
		s := e.Snapshot().Services[0]
		return s.Can[0].Usable, s.Can[1].Usable, s.Health
	}
	if chat, video, health := can(); chat != 3 || video != 1 || health != HealthOK {
		t.Errorf("chat %d, video %d, %s", chat, video, health)
	}
	do(t, e, Action{Verb: VerbDisable, Key: "k3"})
	if chat, video, health := can(); chat != 2 || video != 0 || health != HealthDegraded {
		t.Errorf("without the only key for video: chat %d, video %d, %s", chat, video, health)
	}
}

func TestBurnAndRunwayAreToldWithTheirConfidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin, func(c *Config) {
			c.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 1000, Calendar: "day", Source: "config"}}
		})
		limit := func() LimitStatus { return e.Snapshot().Keys[0].Limits[0] }
		if l := limit(); l.Confidence != "" || l.RunwayS != nil || l.Lasts {
			t.Errorf("unknown stays unknown: %+v", l)
		}
		for range 300 {
			serve(t, e)
			time.Sleep(time.Second)
		}
		l := limit()
		if l.Confidence != "told" || l.BurnPerMin < 55 || l.BurnPerMin > 65 || l.RunwayS == nil || *l.RunwayS < 600 || *l.RunwayS > 800 {
			t.Errorf("after five minutes at one a second: %+v, runway %v", l, l.RunwayS)
		}
	})
}

func TestWhatWasLearnedIsForgottenAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1)
		for range 20 {
			serve(t, e)
			time.Sleep(50 * time.Millisecond)
		}
		answered(t, e, tooMany)
		limits := func() []LimitStatus { return e.Snapshot().Keys[0].Limits }
		if l := limits(); len(l) != 1 || l[0].Source != quota.Learned {
			t.Fatalf("after a refusal without words: %+v", l)
		}
		time.Sleep(learnedFor + time.Minute)
		if l := limits(); len(l) != 0 {
			t.Errorf("an hour later: %+v", l)
		}
		if got := serve(t, e); got != "k1" {
			t.Error(got)
		}
	})
}

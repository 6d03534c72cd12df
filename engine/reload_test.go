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
	"keywheel/engine/secret"
)

// ofKeys is a config of service "svc" with the keys named, each "name" or
// "name=secret", all of provider "p".
func ofKeys(names ...string) Config {
	cfg := Config{Services: []Service{{Name: "svc"}}}
	for _, n := range names {
		name, text, told := strings.Cut(n, "=")
		if !told {
			text = name
		}
		cfg.Keys = append(cfg.Keys, Key{Name: name, Provider: "p", Secret: secret.New("sk-test-not-a-key-" + text)})
		cfg.Services[0].Keys = append(cfg.Services[0].Keys, name)
	}
	return cfg
}

func reload(t testing.TB, e *Engine, cfg Config) {
	t.Helper()
	if err := e.Reload(cfg, WithPatience(e.patience, e.maxWaiting)); err != nil {
		t.Fatal(err)
	}
}

// texts are the events' texts, in order.
func texts(e *Engine) string {
	var all []string
	for _, ev := range e.Events(0) {
		all = append(all, ev.Text)
	}
	return strings.Join(all, "\n")
}

func newEngine(t testing.TB, cfg Config, o ...Option) *Engine {
	t.Helper()
	e, err := New(cfg, append(o, WithSeed(1))...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestReloadSaysWhatChanged(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1", "k2", "k3"))
	next := ofKeys("k1", "k2=other", "k4", "k5")
	next.Services = append(next.Services, Service{Name: "new", Keys: []string{"k1"}})
	reload(t, e, next)
	want := "reloaded: +2 keys (k4, k5), -1 key (k3), +1 service (new), 2 changed (k2: new secret, svc)"
	if got := texts(e); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	next.Keys[3].Secret, next.Keys[3].Missing = secret.Secret{}, "env:K5 is not set"
	reload(t, e, next)
	if got := texts(e); !strings.HasSuffix(got, "reloaded: 1 changed (k5: no secret)") {
		t.Errorf("a secret that went: %s", got)
	}
	for i := range next.Keys {
		next.Keys[i].Source = "keywheel.toml:99"
	}
	reload(t, e, next)
	if got := texts(e); !strings.HasSuffix(got, "no key and no service changed") {
		t.Errorf("a line that moved: %s", got)
	}
}

func TestABadConfigChangesNothing(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1"))
	for want, bad := range map[string]Config{
		`there is no key "nope"`:    {Services: []Service{{Name: "svc", Keys: []string{"nope"}}}},
		`key "a" is declared twice`: {Keys: []Key{{Name: "a"}, {Name: "a"}}},
		`unknown strategy "x"`:      {Services: []Service{{Name: "svc", Strategy: "x"}}},
		`"s" is declared twice`:     {Services: []Service{{Name: "s"}, {Name: "s"}}},
	} {
		if err := e.Reload(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if got := serve(t, e); got != "k1" || texts(e) != "" {
		t.Errorf("served by %s after %q", got, texts(e))
	}
}

func TestWhatFollowsTheSecretAndWhatTheName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, ofKeys("k1", "k2"))
		answered(t, e, tooMany, ok)
		do(t, e, Action{Verb: VerbDisable, Key: "k2", By: "you"})
		// The secrets change names.
		reload(t, e, ofKeys("k1=k2", "k2=k1"))
		k1, k2 := keyOf(t, e, "k1"), keyOf(t, e, "k2")
		if k1.RateLimited != 0 || k2.RateLimited != 1 || len(k2.Holds) != 2 {
			t.Errorf("counters and holds: k1 %d, k2 %d %v", k1.RateLimited, k2.RateLimited, k2.Holds)
		}
		if k1.State != Active || k2.State != Disabled {
			t.Errorf("k1 %v, k2 %v: what you did stays with the name", k1.State, k2.State)
		}
		// A name that goes and comes back is disabled still.
		reload(t, e, ofKeys("k1=k2"))
		reload(t, e, ofKeys("k1=k2", "k2=k1"))
		if k2 := keyOf(t, e, "k2"); k2.State != Disabled || k2.RateLimited != 1 {
			t.Errorf("k2 is %v with %d", k2.State, k2.RateLimited)
		}
	})
}

func TestANewSecretLiftsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := ofKeys("k1", "k2")
		cfg.Keys[0].CanTest = true
		e := newEngine(t, cfg)
		answered(t, e, answer(InvalidKey, 401), ok)
		e.Tested("k1", answer(InvalidKey, 401))
		if got := stateOf(t, e, "k1"); got != Revoked {
			t.Fatalf("k1 is %v", got)
		}
		reload(t, e, ofKeys("k1=new", "k2"))
		if got := stateOf(t, e, "k1"); got != Active || !strings.Contains(texts(e), "no longer revoked: it has a new secret") {
			t.Errorf("k1 is %v; %s", got, texts(e))
		}
		// The old one is not forgotten.
		reload(t, e, ofKeys("k1", "k2"))
		if got := stateOf(t, e, "k1"); got != Revoked {
			t.Errorf("with the revoked secret again k1 is %v", got)
		}
	})
}

func TestLeasesFinishOnWhatTheyHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := ofKeys("k1")
		cfg.Keys[0].Account = "team"
		cfg.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 5, Source: "config"}}
		cfg.Accounts = []Account{{Provider: "p", Name: "team", Limits: []quota.Limit{{Unit: quota.Concurrent, Amount: 5, Source: "config"}}}}
		e := newEngine(t, cfg)
		old := acquire(t, e, request())
		fails := acquire(t, e, request())
		next := ofKeys("k1=new", "k2")
		next.Keys[0].Account, next.Accounts = "other", []Account{{Provider: "p", Name: "other"}}
		reload(t, e, next)
		if got := old.Key().Secret; got != cfg.Keys[0].Secret {
			t.Error("a lease's secret changed under it")
		}
		if k := keyOf(t, e, "k1"); k.InFlight != 0 || len(k.Retiring) != 1 || k.Retiring[0].InFlight != 2 {
			t.Errorf("in flight %d, retiring %+v", k.InFlight, k.Retiring)
		}
		// What the old secret still gets wrong is not the new one's fault.
		if again := fails.Judge(answer(InvalidKey, 401)); !again {
			t.Error("the rejected one is not sent again")
		}
		if got := stateOf(t, e, "k1"); got != Active {
			t.Errorf("k1 is %v for what its old secret did", got)
		}
		old.Judge(ok)
		old.Close(Usage{Input: 5}, nil)
		k := keyOf(t, e, "k1")
		if k.InFlight != 0 || k.Retiring != nil || k.InputTokens != 0 {
			t.Errorf("%+v", k)
		}
		if !strings.HasSuffix(texts(e), "is retired: nothing is in flight on it") {
			t.Error(texts(e))
		}
		// The other request goes on where it can.
		l := acquire(t, e, fails.req)
		l.Judge(ok)
		l.Close(Usage{}, nil)
		if s := e.Snapshot(); s.Proxy.InFlight != 0 {
			t.Errorf("%d in flight", s.Proxy.InFlight)
		}
	})
}

func TestLimitsGoOnFromWhatIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited := func(rpm, rpd float64) Config {
			cfg := ofKeys("k1")
			cfg.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: rpm, Window: time.Minute, Source: "config"}}
			if rpd > 0 {
				cfg.Keys[0].Limits = append(cfg.Keys[0].Limits, quota.Limit{Unit: quota.Requests, Amount: rpd, Calendar: "day", Source: "config"})
			}
			return cfg
		}
		e := newEngine(t, limited(60, 100))
		for range 30 {
			serve(t, e)
		}
		used := func() (list []float64) {
			for _, l := range keyOf(t, e, "k1").Limits {
				list = append(list, l.Used, l.Amount)
			}
			return list
		}
		reload(t, e, limited(60, 200))
		if got := used(); !slices.Equal(got, []float64{30, 60, 30, 200}) {
			t.Errorf("used and amounts: %v", got)
		}
		reload(t, e, limited(40, 0))
		if got := used(); !slices.Equal(got, []float64{30, 40}) {
			t.Errorf("used and amounts: %v", got)
		}
		for range 10 {
			serve(t, e)
		}
		if _, err := e.Acquire(context.Background(), request()); err == nil {
			t.Error("more than the limit went out")
		}
		reload(t, e, limited(45, 0))
		serve(t, e)
		// What refusals and headers taught is not the config's to take.
		l := acquire(t, newEngine(t, ofKeys("k1")), request())
		l.Judge(Verdict{Told: []quota.Told{{Unit: quota.Tokens, Amount: 100, Remaining: 40, Window: time.Minute}}, ToldScope: ScopeKey})
		l.Close(Usage{Output: unseenOutput}, nil)
		reload(t, l.e, limited(40, 0))
		if got := keyOf(t, l.e, "k1").Limits; len(got) != 2 || got[1].Source != quota.Header || got[1].Used != 60 {
			t.Errorf("%+v", got)
		}
	})
}

func TestConcurrencyCountsWhatRunsAlready(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1"))
	first := acquire(t, e, request())
	next := ofKeys("k1")
	next.Keys[0].Limits = []quota.Limit{{Unit: quota.Concurrent, Amount: 1, Source: "config"}}
	reload(t, e, next)
	if _, err := e.Acquire(context.Background(), request()); err == nil {
		t.Error("two at once")
	}
	first.Judge(ok)
	first.Close(Usage{}, nil)
	serve(t, e)
}

func TestTheTurnGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		strategy string
		next     []string
		want     string
	}{
		{RoundRobin, []string{"k1", "k2", "k3"}, "k3 k1 k2"},
		{RoundRobin, []string{"k3", "k2", "k1"}, "k3 k2 k1"},
		{RoundRobin, []string{"k1", "k2"}, "k1 k2 k1"},
		{Failover, []string{"k9", "k1", "k2", "k3"}, "k2 k2 k2"},
		{Failover, []string{"k3", "k1"}, "k3 k3 k3"},
	} {
		cfg := ofKeys("k1", "k2", "k3")
		cfg.Services[0].Strategy = c.strategy
		e := newEngine(t, cfg)
		if c.strategy == Failover {
			do(t, e, Action{Verb: VerbRotate, Service: "svc"})
		} else {
			serve(t, e)
			serve(t, e)
		}
		next := ofKeys(c.next...)
		next.Services[0].Strategy = c.strategy
		reload(t, e, next)
		got := []string{}
		for range 3 {
			got = append(got, serve(t, e))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s to %v goes on with %v, want %s", c.strategy, c.next, got, c.want)
		}
	}
}

func TestConversationsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	cfg := ofKeys("k1", "k2", "k3")
	cfg.Services[0].Strategy = Affinity
	e := newEngine(t, cfg)
	before := map[string]string{}
	for i := range 6 {
		c := fmt.Sprint("c", i)
		before[c] = say(t, e, c)
	}
	next := ofKeys("k3", "k2=new", "k1")
	next.Services[0].Strategy = Affinity
	reload(t, e, next)
	for c, key := range before {
		if got := say(t, e, c); got != key {
			t.Errorf("%s moved from %s to %s", c, key, got)
		}
	}
}

func TestWaitersAndReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 1)
		answered(t, e, cooling(8*time.Second), ok)
		one, two := waitFor(e, context.Background(), request()), waitFor(e, context.Background(), request())
		synctest.Wait()
		// A key that comes serves those who wait.
		reload(t, e, ofKeys("k1", "k2"))
		synctest.Wait()
		for _, w := range []<-chan waited{one, two} {
			select {
			case got := <-w:
				if got.err != nil || got.lease.Key().Name != "k2" {
					t.Errorf("%v", got.err)
				}
			default:
				t.Fatal("somebody waits though there is a key")
			}
		}
		// Where the service goes, nobody waits.
		reload(t, e, ofKeys("k1"))
		three := waitFor(e, context.Background(), request())
		synctest.Wait()
		other := ofKeys("k1")
		other.Services[0].Name = "else"
		reload(t, e, other)
		synctest.Wait()
		select {
		case got := <-three:
			var unknown *UnknownServiceError
			if !errors.As(got.err, &unknown) {
				t.Errorf("%v", got.err)
			}
		default:
			t.Fatal("it waits for a service that is gone")
		}
		if s := e.Snapshot(); s.Proxy.Waiting != 0 {
			t.Errorf("%d wait", s.Proxy.Waiting)
		}
	})
}

func TestPinsToRemovedKeysEnd(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1", "k2"))
	do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2"})
	do(t, e, Action{Verb: VerbUnpin, Service: "svc"})
	do(t, e, Action{Verb: VerbUndo})
	reload(t, e, ofKeys("k1", "k2=new"))
	if s := e.Snapshot().Services[0]; s.Pinned != "k2" {
		t.Errorf("a pin must stay with the name, it is %q", s.Pinned)
	}
	do(t, e, Action{Verb: VerbUnpin, Service: "svc"})
	do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2"})
	next := ofKeys("k1", "k2")
	next.Services[0].Keys = []string{"k1"}
	reload(t, e, next)
	if s := e.Snapshot().Services[0]; s.Pinned != "" || !strings.Contains(texts(e), "pin of svc is over: k2 is no longer one of its keys") {
		t.Errorf("pinned to %q; %s", s.Pinned, texts(e))
	}
	do(t, e, Action{Verb: VerbUndo})
	do(t, e, Action{Verb: VerbUndo})
	if s := e.Snapshot().Services[0]; s.Pinned != "" {
		t.Errorf("undo pinned it to %q, which does not serve it", s.Pinned)
	}
}

func TestHealthIsLookedAtAnew(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1"))
	next := ofKeys("k1")
	next.Keys[0].Secret, next.Keys[0].Missing = secret.Secret{}, "env:K1 is not set"
	reload(t, e, next)
	if s := e.Snapshot(); s.Services[0].Health != HealthDown || s.Keys[0].State != Missing {
		t.Errorf("%s, %v", s.Services[0].Health, s.Keys[0].State)
	}
	reload(t, e, ofKeys("k1"))
	if s := e.Snapshot(); s.Services[0].Health != HealthOK || !strings.Contains(texts(e), "back after") {
		t.Errorf("%s; %s", s.Services[0].Health, texts(e))
	}
	serve(t, e)
}

// TestReloadsLeaveNothing reloads a thousand times, with a new secret each time
// and a request under way.
func TestReloadsLeaveNothing(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1", "k2"))
	for i := range 1000 {
		l := acquire(t, e, request())
		reload(t, e, ofKeys("k1="+fmt.Sprint(i), "k2", fmt.Sprint("only-", i)))
		l.Judge(ok)
		l.Close(Usage{}, nil)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	places := 0
	for _, k := range e.keys {
		places += len(k.places)
	}
	if len(e.creds) != 3 || len(e.retired) > maxRetired || places != 3 || len(e.shelf) != 0 || e.inFlight != 0 {
		t.Errorf("%d secrets, %d retired, %d places, %d on the shelf, %d in flight", len(e.creds), len(e.retired), places, len(e.shelf), e.inFlight)
	}
	for _, c := range e.creds {
		if c.inFlight != 0 || len(c.names) != 1 {
			t.Errorf("%d in flight, %d names", c.inFlight, len(c.names))
		}
	}
}

func TestWhatTheProviderToldOfAccountsStays(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1", "k2"))
	for range 2 {
		l := acquire(t, e, request())
		told := ok
		told.Account = "acme"
		l.Judge(told)
		reload(t, e, ofKeys("k2", "k1", "k3"))
		if a := e.accounts["p/acme"]; a == nil || a.inFlight != 1 {
			t.Fatalf("while it runs the account is %+v", a)
		}
		l.Close(Usage{}, nil)
	}
	if a := e.accounts["p/acme"]; a.keys != 2 || a.inFlight != 0 || keyOf(t, e, "k1").Account != "acme" || keyOf(t, e, "k3").Account != "" {
		t.Errorf("%d keys, %d in flight; k1 is of %q, k3 of %q", a.keys, a.inFlight, keyOf(t, e, "k1").Account, keyOf(t, e, "k3").Account)
	}
}

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// disk keeps an engine's memory as a journal does: the newest document of each
// name, as JSON.
type disk struct {
	t     testing.TB
	docs  map[string]string
	deeds []Deed
	last  Memory
	seen  map[uint64]Event
}

func newDisk(t testing.TB) *disk {
	return &disk{t: t, docs: map[string]string{}, seen: map[uint64]Event{}}
}

func (d *disk) put(name string, doc any) {
	b, err := json.Marshal(doc)
	if err != nil {
		d.t.Fatal(err)
	}
	d.docs[name] = string(b)
}

func (d *disk) save(m Memory) {
	for _, c := range m.Credentials {
		d.put("credential "+c.Fingerprint, c)
	}
	for _, a := range m.Accounts {
		d.put("account "+a.ID, a)
	}
	for _, k := range m.Keys {
		d.put("key "+k.Name, k)
	}
	for _, s := range m.Services {
		d.put("service "+s.Name, s)
	}
	for _, ev := range m.Events {
		d.seen[ev.Seq] = ev
	}
	d.last = m
}

// do carries out an action and keeps it.
func (d *disk) do(e *Engine, a Action) {
	d.t.Helper()
	_, deed, err := e.Act(a)
	if err != nil {
		d.t.Fatal(err)
	}
	d.deeds = slices.DeleteFunc(d.deeds, func(old Deed) bool { return old.ID == deed.Undoes })
	if deed.Undo != nil {
		d.deeds = append(d.deeds, deed)
	}
	d.save(e.Changed())
}

func read[T any](d *disk, kind string) (list []T) {
	for _, name := range slices.Sorted(maps.Keys(d.docs)) {
		if strings.HasPrefix(name, kind+" ") {
			var v T
			if err := json.Unmarshal([]byte(d.docs[name]), &v); err != nil {
				d.t.Fatal(err)
			}
			list = append(list, v)
		}
	}
	return list
}

func (d *disk) memory() Memory {
	m := Memory{LastSeq: d.last.LastSeq, LastAction: d.last.LastAction, Credentials: read[CredentialMemory](d, "credential"),
		Accounts: read[AccountMemory](d, "account"), Keys: read[KeyMemory](d, "key"), Services: read[ServiceMemory](d, "service")}
	for _, seq := range slices.Sorted(maps.Keys(d.seen)) {
		m.Events = append(m.Events, d.seen[seq])
	}
	b, err := json.Marshal(d.deeds)
	if err == nil {
		err = json.Unmarshal(b, &m.Undo)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// poolOf is service "svc" with keys k1, k2, ... of provider "p".
func poolOf(keys int, change ...func(*Config)) Config {
	cfg := Config{Services: []Service{{Name: "svc"}}}
	for i := range keys {
		name := fmt.Sprintf("k%d", i+1)
		cfg.Keys = append(cfg.Keys, Key{Name: name, Provider: "p", Secret: secret.New("sk-test-not-a-key-" + name)})
		cfg.Services[0].Keys = append(cfg.Services[0].Keys, name)
	}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func start(t testing.TB, cfg Config, m Memory) *Engine {
	t.Helper()
	e, err := New(cfg, WithSeed(1), WithMemory(m))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// life is an engine that is started again and again on one disk.
type life struct {
	*Engine
	disk *disk
	cfg  Config
}

func newLife(t testing.TB, cfg Config) *life {
	return &life{start(t, cfg, Memory{}), newDisk(t), cfg}
}

func (l *life) restart() {
	l.disk.t.Helper()
	l.disk.save(l.Changed())
	l.Engine = start(l.disk.t, l.cfg, l.disk.memory())
}

// slow rests a key for ten minutes.
var slow = Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 10 * time.Minute, Evidence: Evidence{Status: 429}}

func TestHoldsSurvive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		revoked := Verdict{Kind: InvalidKey, Scope: ScopeKey, Evidence: Evidence{Status: 401}}
		denied := Verdict{Kind: PermissionDenied, Scope: ScopeKey, Model: "m", Evidence: Evidence{Status: 403}}
		broke := Verdict{Kind: QuotaExhausted, Scope: ScopeKey, Evidence: Evidence{Status: 402}}
		l := newLife(t, poolOf(5, func(c *Config) {
			for i := range c.Keys {
				c.Keys[i].CanTest = true
			}
		}))
		answered(t, l.Engine, slow, revoked, denied, broke, ok)
		l.Tested("k2", revoked)
		l.disk.do(l.Engine, Action{Verb: VerbDisable, Key: "k5", ForS: 1800, By: "you", Reason: "leaked"})
		before := l.Snapshot()
		time.Sleep(time.Minute)
		l.restart()
		for i, want := range before.Keys {
			got := keyOf(t, l.Engine, want.Name)
			if got.State != want.State || got.Reason != want.Reason || !reflect.DeepEqual(got.Verdicts, want.Verdicts) || got.Requests != want.Requests {
				t.Errorf("%s was %v (%s), is %v (%s)", want.Name, want.State, want.Reason, got.State, got.Reason)
			}
			if len(got.Holds) != len(want.Holds) {
				t.Errorf("%s has %d holds, had %d", want.Name, len(got.Holds), len(want.Holds))
			} else if len(got.Holds) > 0 && !got.Holds[0].Since.Equal(before.Keys[i].Holds[0].Since) {
				t.Errorf("%s is held since %v", want.Name, got.Holds[0].Since)
			}
		}
		if got := answered(t, l.Engine, ok); got[0] != "none" {
			t.Errorf("%v served", got)
		}
		time.Sleep(10 * time.Minute)
		l.restart()
		for name, want := range map[string]State{"k1": Active, "k2": Revoked, "k3": Active, "k4": Exhausted, "k5": Disabled} {
			if got := stateOf(t, l.Engine, name); got != want {
				t.Errorf("after ten minutes %s is %v, want %v", name, got, want)
			}
		}
		if n := len(keyOf(t, l.Engine, "k3").Holds); n != 1 {
			t.Errorf("k3 has %d holds of a model", n)
		}
		time.Sleep(time.Hour)
		l.restart()
		for name, want := range map[string]State{"k2": Revoked, "k3": Active, "k5": Active} {
			if k := keyOf(t, l.Engine, name); k.State != want || want == Active && len(k.Holds) > 0 {
				t.Errorf("after an hour %s is %v: %v", name, k.State, k.Holds)
			}
		}
	})
}

func TestANewSecretBeginsAnewAndStaysDisabled(t *testing.T) {
	t.Parallel()
	l := newLife(t, poolOf(2))
	answered(t, l.Engine, Verdict{Kind: QuotaExhausted, Scope: ScopeKey, Evidence: Evidence{Status: 402}}, ok)
	l.disk.do(l.Engine, Action{Verb: VerbDrain, Key: "k1"})
	l.cfg.Keys[0].Secret = secret.New("sk-test-not-a-key-replaced")
	l.restart()
	if k := keyOf(t, l.Engine, "k1"); k.State != Active || k.Requests != 0 || !k.Draining {
		t.Errorf("%v, %d requests, draining %v", k.State, k.Requests, k.Draining)
	}
	l.cfg = poolOf(2)
	l.restart()
	if k := keyOf(t, l.Engine, "k1"); k.State != Exhausted || k.Requests != 1 {
		t.Errorf("the old secret is %v with %d requests", k.State, k.Requests)
	}
}

func TestATestCallThatWasCutIsAskedForAgain(t *testing.T) {
	t.Parallel()
	l := newLife(t, poolOf(2, func(c *Config) { c.Keys[0].CanTest = true }))
	answered(t, l.Engine, Verdict{Kind: InvalidKey, Scope: ScopeKey, Evidence: Evidence{Status: 401}}, ok)
	last := l.Snapshot().LastSeq
	l.restart()
	events := l.Events(last)
	if len(events) != 1 || events[0].Kind != EventProbe || events[0].Key != "k1" || events[0].Seq != last+1 {
		t.Errorf("%+v", events)
	}
}

func TestTheAccountsHoldsAndMoneySurvive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, poolOf(3, func(c *Config) { c.Keys[0].Account, c.Keys[1].Account = "team", "team" }))
		l.Funded("k1", Funds{LeftUSD: 0, Currency: "USD", At: time.Now()})
		l.restart()
		for name, want := range map[string]State{"k1": Exhausted, "k2": Exhausted, "k3": Active} {
			if got := stateOf(t, l.Engine, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if b := keyOf(t, l.Engine, "k2").Balance; b == nil || b.Amount == nil || *b.Amount != 0 || !b.Unusable {
			t.Errorf("balance %+v", b)
		}
		time.Sleep(time.Minute)
		l.Funded("k2", Funds{LeftUSD: 20, Amount: 20, Currency: "USD", At: time.Now()})
		l.restart()
		if got := stateOf(t, l.Engine, "k1"); got != Active {
			t.Errorf("%v with money", got)
		}
	})
}

// spend sends a request with k1 that costs money.
func spend(t *testing.T, e *Engine, usd float64) {
	t.Helper()
	l := acquire(t, e, request())
	l.Judge(ok)
	l.Close(Usage{Input: 1000, CostUSD: usd}, nil)
}

func TestWhatIsUsedOfALimitSurvives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := []quota.Limit{
			{Unit: quota.USD, Amount: 10, Calendar: "day", Source: "config"},
			{Unit: quota.USD, Amount: 100, Source: "config"},
			{Unit: quota.Requests, Amount: 60, Window: time.Hour, Source: "config"},
		}
		l := newLife(t, poolOf(1, func(c *Config) {
			c.Keys[0].Limits = limits
			c.Services[0].Limits = []quota.Limit{{Unit: quota.USD, Amount: 1000, Calendar: "month", Source: "config"}}
		}))
		for range 24 {
			spend(t, l.Engine, 0.25)
		}
		used := func(where string, want ...float64) {
			t.Helper()
			k, s := keyOf(t, l.Engine, "k1"), l.Snapshot().Services[0]
			for i, w := range want {
				lim := s.Limits
				j := i - len(limits)
				if i < len(limits) {
					lim, j = k.Limits, i
				}
				if got := lim[j].Used; got < w-1e-6 || got > w+1e-6 {
					t.Errorf("%s: %g of %s per %q used, want %g", where, got, lim[j].Unit, lim[j].Per, w)
				}
			}
		}
		used("before", 6, 6, 24, 6)
		l.restart()
		used("after", 6, 6, 24, 6)
		time.Sleep(10 * time.Minute)
		l.restart()
		used("ten minutes later", 6, 6, 14, 6)
		for range 16 {
			spend(t, l.Engine, 0.25)
		}
		l.restart()
		if k := keyOf(t, l.Engine, "k1"); k.State != Exhausted || !strings.Contains(k.Reason, "used up 10 usd a day") {
			t.Errorf("%v: %s", k.State, k.Reason)
		}
		time.Sleep(24 * time.Hour)
		l.restart()
		used("the next day", 0, 10, 0, 10)
		if got := stateOf(t, l.Engine, "k1"); got != Active {
			t.Errorf("%v on the next day", got)
		}
		// Who raises the amount does not forgive what was used.
		l.cfg.Keys[0].Limits[1].Amount = 500
		l.restart()
		used("with another amount", 0, 10, 0, 10)
		// Who says how much was used knows better.
		l.cfg.Keys[0].Limits[1].Used = 40
		l.restart()
		used("said anew", 0, 40, 0, 10)
	})
}

func TestLearnedAndToldLimitsSurvive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, poolOf(1))
		// 10 a second, as a bucket of 5: nobody says so.
		room, at := 5.0, time.Now()
		for range 3000 {
			time.Sleep(20 * time.Millisecond)
			r := request()
			lease, err := l.Acquire(t.Context(), r)
			if err != nil {
				continue
			}
			now := time.Now()
			room, at = min(room+now.Sub(at).Seconds()*10, 5), now
			if room < 1 {
				lease.Judge(Verdict{Kind: RateLimited, Scope: ScopeKey, Evidence: Evidence{Status: 429}})
				l.Abandon(r)
				continue
			}
			room--
			lease.Judge(ok)
			lease.Close(Usage{}, nil)
		}
		before := keyOf(t, l.Engine, "k1").Limits
		if len(before) != 1 || before[0].Source != quota.Learned || before[0].Amount < 500 || before[0].Amount > 700 {
			t.Fatalf("learned %+v, want about 600 a minute", before)
		}
		l.restart()
		after := keyOf(t, l.Engine, "k1").Limits
		if len(after) != 1 || after[0].Source != quota.Learned || after[0].Amount < before[0].Amount*0.9 || after[0].Amount > before[0].Amount*1.1 {
			t.Errorf("learned %+v, after the restart %+v", before, after)
		}
		told := ok
		told.ToldScope = ScopeKey
		told.Told = []quota.Told{{Unit: quota.Requests, Name: "requests", Window: time.Hour, Amount: 100, Remaining: 30, Reset: 40 * time.Minute}}
		time.Sleep(time.Minute)
		answered(t, l.Engine, told)
		l.restart()
		limits := keyOf(t, l.Engine, "k1").Limits
		if len(limits) != 2 || limits[1].Source != quota.Header || limits[1].Amount != 100 || limits[1].Remaining < 29 || limits[1].Remaining > 31 {
			t.Errorf("told: %+v", limits)
		}
	})
}

func TestServicesGoOnWhereTheyWere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, poolOf(3))
		if got := serve(t, l.Engine); got != "k1" {
			t.Fatal(got)
		}
		l.restart()
		if got := serve(t, l.Engine); got != "k2" {
			t.Errorf("in turn after k1: %s", got)
		}
		answered(t, l.Engine, slow, ok) // k3 → k1
		l.disk.do(l.Engine, Action{Verb: VerbPin, Service: "svc", Key: "k2", ForS: 60, By: "you"})
		before := l.Snapshot().Services[0]
		l.restart()
		after := l.Snapshot().Services[0]
		if after.Pinned != "k2" || after.Requests != before.Requests || after.Rotations != before.Rotations || after.Verdicts != before.Verdicts {
			t.Errorf("%+v\n%+v", before, after)
		}
		if r := after.LastRotation; r == nil || r.From != "k3" || r.To != "k1" || !strings.Contains(r.Outcome, "k1 answered 200") {
			t.Errorf("last rotation %+v", r)
		}
		if got := serve(t, l.Engine); got != "k2" {
			t.Errorf("pinned to k2, served by %s", got)
		}
		time.Sleep(2 * time.Minute)
		l.restart()
		if got := l.Snapshot().Services[0].Pinned; got != "" {
			t.Errorf("still pinned to %s", got)
		}
		l.cfg.Services[0].Strategy = Failover
		l.restart()
		l.disk.do(l.Engine, Action{Verb: VerbRotate, Service: "svc", Key: "k1"})
		l.restart()
		if got := serve(t, l.Engine); got != "k1" {
			t.Errorf("under failover on k1, after the restart on %s", got)
		}
	})
}

func TestUndoAfterARestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		action Action
	}{
		{"disable", Action{Verb: VerbDisable, Key: "k2"}},
		{"enable", Action{Verb: VerbEnable, Key: "k3"}},
		{"drain", Action{Verb: VerbDrain, Key: "k2"}},
		{"fail", Action{Verb: VerbFail, Key: "k2"}},
		{"lift", Action{Verb: VerbLift, Key: "k1"}},
		{"reset a key", Action{Verb: VerbReset, Key: "k1"}},
		{"reset a service", Action{Verb: VerbReset, Service: "svc"}},
		{"pin", Action{Verb: VerbPin, Service: "svc", Key: "k2"}},
		{"rotate", Action{Verb: VerbRotate, Service: "svc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLife(t, poolOf(4, func(c *Config) {
					c.Services[0].Strategy = Failover
					c.Keys[0].Limits = []quota.Limit{{Unit: quota.USD, Amount: 10, Calendar: "day", Source: "config"}}
				}))
				spend(t, l.Engine, 2)
				answered(t, l.Engine, slow, ok)
				l.disk.do(l.Engine, Action{Verb: VerbDisable, Key: "k3"})
				// What is about a moment, and the hold that is placed anew, differ.
				stand := func() string {
					s := l.Snapshot()
					var b strings.Builder
					for _, k := range s.Keys {
						fmt.Fprintln(&b, k.Name, k.State, k.Reason, k.Draining, k.Requests, k.Verdicts, k.CostUSD, len(k.Holds))
						for _, l := range k.Limits {
							fmt.Fprintf(&b, "%.3f\n", l.Used)
						}
					}
					for _, sv := range s.Services {
						fmt.Fprintln(&b, sv.Name, sv.KeyInUse, sv.Pinned, sv.Requests, sv.Failures, sv.Rotations, sv.Verdicts, sv.LastRotation.At)
					}
					return b.String()
				}
				before := stand()
				l.disk.do(l.Engine, c.action)
				if stand() == before {
					t.Fatal("the action changed nothing")
				}
				l.restart()
				if l.Snapshot().Undo == "" {
					t.Error("nothing to undo")
				}
				l.disk.do(l.Engine, Action{Verb: VerbUndo})
				if after := stand(); after != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
				l.restart()
				if after := stand(); after != before {
					t.Errorf("before:\n%s\nafter another restart:\n%s", before, after)
				}
				l.disk.do(l.Engine, Action{Verb: VerbUndo}) // the disable before it
				if got := stateOf(t, l.Engine, "k3"); got != Active {
					t.Errorf("k3 is %v", got)
				}
				l.restart()
				if _, err := l.Do(Action{Verb: VerbUndo}); err == nil {
					t.Error("there was something more to undo")
				}
			})
		})
	}
}

func TestUndoKnowsNothingNewerAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, poolOf(2))
		answered(t, l.Engine, slow, ok)
		l.disk.do(l.Engine, Action{Verb: VerbLift, Key: "k1"})
		l.restart()
		// The key is used again, refused for a moment, and comes back.
		answered(t, l.Engine, tooMany, ok)
		time.Sleep(5 * time.Minute)
		l.restart()
		l.disk.do(l.Engine, Action{Verb: VerbUndo})
		if got := stateOf(t, l.Engine, "k1"); got != Active {
			t.Errorf("%v: the lifted hold is older than what came since", got)
		}
	})
}

func TestAKeyThatServedNeedNotProveItselfAgain(t *testing.T) {
	t.Parallel()
	l := newLife(t, poolOf(2, func(c *Config) { c.Services[0].Strategy = Failover }))
	serve(t, l.Engine)
	l.restart()
	for i := range 3 {
		if got := acquire(t, l.Engine, request()).Key().Name; got != "k1" {
			t.Errorf("request %d went to %s, though k1 serves", i, got)
		}
	}
}

func TestTheTimelineGoesOn(t *testing.T) {
	t.Parallel()
	l := newLife(t, poolOf(2))
	for range 3 * maxEvents / 4 {
		l.disk.do(l.Engine, Action{Verb: VerbDisable, Key: "k1"})
		l.disk.do(l.Engine, Action{Verb: VerbEnable, Key: "k1"})
	}
	last := l.Snapshot().LastSeq
	for _, kept := range []int{500, 1, 0, maxEvents + 10} {
		m := l.disk.memory()
		m.Events = m.Events[max(len(m.Events)-kept, 0):]
		e := start(t, l.cfg, m)
		if n := len(e.Events(0)); n != min(kept, maxEvents) || e.Snapshot().LastSeq != last {
			t.Fatalf("%d events of %d, the last %d of %d", n, kept, e.Snapshot().LastSeq, last)
		}
		for range maxEvents {
			do(t, e, Action{Verb: VerbDisable, Key: "k2"})
			do(t, e, Action{Verb: VerbEnable, Key: "k2"})
		}
		events := e.Events(last)
		if len(events) != maxEvents || events[len(events)-1].Seq != last+2*maxEvents {
			t.Fatalf("%d events after %d", len(events), last)
		}
		for i, ev := range events {
			if ev.Seq != last+maxEvents+1+uint64(i) {
				t.Fatalf("event %d is in the place of %d", ev.Seq, last+maxEvents+1+uint64(i))
			}
		}
	}
	m := l.disk.memory()
	m.Events = slices.Delete(m.Events, len(m.Events)-10, len(m.Events)-9)
	if n := len(start(t, l.cfg, m).Events(0)); n != 9 {
		t.Errorf("%d events, want those after the gap", n)
	}
}

func TestWhatBecameOfARotationIsToldLater(t *testing.T) {
	t.Parallel()
	e := start(t, poolOf(2), Memory{})
	r := request()
	l := acquire(t, e, r)
	l.Judge(slow)
	l = acquire(t, e, r)
	l.Judge(ok)
	events := e.Changed().Events
	i := slices.IndexFunc(events, func(ev Event) bool { return ev.Kind == EventRotation })
	if i < 0 || events[i].Rotation.Outcome != "" {
		t.Fatalf("%+v", events)
	}
	if again := e.Changed().Events; len(again) != 0 {
		t.Errorf("told twice: %+v", again)
	}
	l.Close(Usage{}, nil)
	again := e.Changed().Events
	if len(again) != 1 || again[0].Seq != events[i].Seq || !strings.Contains(again[0].Rotation.Outcome, "k2 answered 200") {
		t.Errorf("%+v", again)
	}
}

// TestNothingChangesUnmarked compares what is kept document by document with
// all that there is.
func TestNothingChangesUnmarked(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			l := newLife(t, poolOf(5, func(c *Config) {
				c.Keys[0].Account, c.Keys[1].Account = "team", "team"
				c.Keys[2].CanTest, c.Keys[1].CanTest = true, true
				c.Services[0].Strategy = Strategies[seed%3]
				c.Services = append(c.Services, Service{Name: "two", Keys: []string{"k2"}, Fallback: []string{"k3"}})
			}))
			l.disk.save(bookless(l.Memory()))
			verbs := []Verb{VerbRotate, VerbPin, VerbUnpin, VerbDisable, VerbEnable, VerbDrain, VerbFail, VerbLift, VerbReset, VerbUndo}
			for step := range 300 {
				switch n := rng.IntN(10); {
				case n == 0:
					a := Action{Verb: verbs[rng.IntN(len(verbs))], ForS: float64(rng.IntN(2) * 60)}
					if op := operations[a.Verb]; op.service {
						a.Service = "svc"
					}
					if op := operations[a.Verb]; op.key && !op.service || a.Verb == VerbPin {
						a.Key = fmt.Sprintf("k%d", 1+rng.IntN(5))
					}
					_, _ = l.Do(a)
				case n == 1:
					time.Sleep(time.Duration(rng.IntN(300)) * time.Second)
					l.Snapshot() // sweeps
				case n == 2:
					l.Funded(fmt.Sprintf("k%d", 1+rng.IntN(5)), Funds{Amount: float64(rng.IntN(2)), LeftUSD: float64(rng.IntN(2)), At: time.Now()})
				case n == 3:
					l.Tested(fmt.Sprintf("k%d", 1+rng.IntN(5)), Verdict{Kind: Kind(rng.IntN(int(kinds))), Evidence: Evidence{Status: 400}})
				default:
					r := request()
					r.Service = []string{"svc", "two"}[rng.IntN(2)]
					r.Model = []string{"m", "n"}[rng.IntN(2)]
					for {
						lease, err := l.Acquire(t.Context(), r)
						if err != nil {
							break
						}
						v := Verdict{Kind: Kind(rng.IntN(int(kinds))), Scope: Scope(rng.IntN(3)), Evidence: Evidence{Status: 500}}
						if rng.IntN(2) == 0 {
							v.Model = r.Model
						}
						if rng.IntN(3) == 0 {
							v.Kind = OK
						}
						if !lease.Judge(v) {
							err := error(nil)
							if rng.IntN(4) == 0 {
								err = errors.New("cut")
							}
							lease.Close(Usage{Input: 3, Unpriced: true}, err)
							break
						}
					}
				}
				l.disk.save(bookless(l.Changed()))
				whole := newDisk(t)
				whole.save(bookless(l.Memory()))
				for name, doc := range whole.docs {
					if l.disk.docs[name] != doc {
						t.Fatalf("seed %d, step %d: %s is kept as\n%s\nand is\n%s", seed, step, name, l.disk.docs[name], doc)
					}
				}
			}
		})
	}
}

// bookless is a memory without what changes by the clock alone.
func bookless(m Memory) Memory {
	for i := range m.Credentials {
		m.Credentials[i].Books = nil
	}
	for i := range m.Accounts {
		m.Accounts[i].Books = nil
	}
	return m
}

func TestUsedIsToldOncePerKey(t *testing.T) {
	t.Parallel()
	var used []Used
	e, err := New(poolOf(3), WithSeed(1), WithUsed(func(u Used) { used = append(used, u) }))
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	l := acquire(t, e, r)
	l.Judge(tooMany)
	l = acquire(t, e, r)
	l.Judge(ok)
	l.Close(Usage{Input: 10, Output: 5, CostUSD: 0.5}, nil)
	l.Close(Usage{Input: 10}, nil)
	l = acquire(t, e, request())
	l.Judge(ok)
	l.Close(Usage{}, errors.New("cut"))
	var got []string
	for _, u := range used {
		got = append(got, fmt.Sprintf("%s %s %s %v %d", u.Service, u.Key, u.Model, u.Kind, u.Input))
	}
	want := "svc k1 m rate_limited 0, svc k2 m ok 10, svc k3 m upstream_fault 0"
	if strings.Join(got, ", ") != want {
		t.Errorf("told %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestALearnedAccountAndItsBalanceSurvive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, poolOf(3))
		told := ok
		told.Account = "org-1"
		for range 2 {
			answered(t, l.Engine, told)
		}
		l.Funded("k1", Funds{LeftUSD: 20, Amount: 20, Currency: "USD", At: time.Now()})
		spend(t, l.Engine, 1) // k3, of another
		spend(t, l.Engine, 5) // k1
		answered(t, l.Engine, Verdict{Kind: RateLimited, Scope: ScopeAccount, RetryAfter: 10 * time.Minute, Evidence: Evidence{Status: 429}}, ok)
		l.restart()
		for name, want := range map[string]State{"k1": Cooling, "k2": Cooling, "k3": Active} {
			k := keyOf(t, l.Engine, name)
			if k.State != want {
				t.Errorf("%s is %v, want %v", name, k.State, want)
			}
			if want == Active {
				continue
			}
			if n := len(k.Limits); k.Account != "org-1" || n != 1 || k.Limits[0].Source != Balanced || k.Limits[0].Remaining != 15 {
				t.Errorf("%s of %s: %+v", name, k.Account, k.Limits)
			}
		}
		last := l.Snapshot().LastSeq
		time.Sleep(time.Hour)
		answered(t, l.Engine, told)
		for _, ev := range l.Events(last) {
			if ev.Kind == EventAccount {
				t.Errorf("it is told again: %s", ev.Text)
			}
		}
	})
}

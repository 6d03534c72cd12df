package engine

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"keywheel/engine/quota"
)

// set is a time whose wall clock stands off by d: as after a sleep, in which the
// monotonic clock stood still, or when somebody set the clock.
func set(t time.Time, d time.Duration) time.Time {
	// A time.Time with both clocks: seconds of the wall's above its 30 bits of
	// nanoseconds.
	type clocks struct{ wall uint64 }
	(*clocks)(unsafe.Pointer(&t)).wall += uint64(d/time.Second) << 30
	return t
}

var limited = Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 10 * time.Minute}

// afterVerdict is an engine with one key, whose provider has said so of it.
func afterVerdict(t *testing.T, v Verdict) *Engine {
	t.Helper()
	e := start(t, poolOf(1), Memory{})
	l, err := e.Acquire(t.Context(), &Request{Service: "svc", Repeatable: true})
	if err != nil {
		t.Fatal(err)
	}
	l.Judge(v)
	l.Close(Usage{}, nil)
	return e
}

func TestASleepCountsAndAClockSetBackDoesNot(t *testing.T) {
	t.Parallel()
	broke := Verdict{Kind: QuotaExhausted, Scope: ScopeKey} // one trial after a quarter of an hour
	// A moment that a provider told knows no other clock than the wall's.
	spent := Verdict{Kind: QuotaExhausted, Scope: ScopeKey, Until: time.Now().Add(10 * time.Minute).Round(0)}
	for _, c := range []struct {
		name    string
		verdict Verdict
		off     time.Duration
		after   time.Duration // what passes then
		serves  bool
	}{
		{"nothing", limited, 0, 5 * time.Minute, false},
		{"a sleep that outlasts the hold", limited, time.Hour, time.Second, true},
		{"a sleep that does not", limited, 5 * time.Minute, time.Minute, false},
		{"a sleep and the rest", limited, 5 * time.Minute, 6 * time.Minute, true},
		{"a clock set back", limited, -24 * time.Hour, time.Minute, false},
		{"a clock set back, and the time of the hold", limited, -24 * time.Hour, 11 * time.Minute, true},
		{"a clock set forward a moment ago", limited, time.Hour, time.Millisecond, true},
		{"a clock set back a moment ago", limited, -24 * time.Hour, time.Millisecond, false},
		{"a sleep that outlasts the quota", spent, time.Hour, time.Second, true},
		{"a clock set back, and not the time of the quota", spent, -24 * time.Hour, 9 * time.Minute, false},
		{"a clock set back, and the time of the quota", spent, -24 * time.Hour, 11 * time.Minute, true},
		{"a sleep until the trial", broke, time.Hour, time.Second, true},
		{"a clock set back, and the time of the trial", broke, -24 * time.Hour, 16 * time.Minute, true},
		{"a clock set back, and not the time of the trial", broke, -24 * time.Hour, 14 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := afterVerdict(t, c.verdict)
			e.mu.Lock()
			defer e.mu.Unlock()
			// Virtual time has no monotonic clock: the engine is told the time.
			now := set(time.Now().Add(c.after), c.off)
			e.sweep(now)
			if h := e.creds[0].all.hold; h != nil && (h.since.Round(0).After(now.Round(0)) || h.until.Round(0).Sub(now.Round(0)) > 10*time.Minute+minHint) {
				t.Errorf("held from %v until %v, at %v", h.since, h.until, now)
			}
			at := e.services[0].tiers[0].members[0].readyAt
			if serves := at <= now.UnixNano(); serves != c.serves {
				t.Errorf("it serves: %v, want %v", serves, c.serves)
			}
			if in := time.Duration(at - now.UnixNano()); in > 15*time.Minute {
				t.Errorf("it serves in %v", in)
			}
		})
	}
}

// Who read the clock before it was set, and comes after one who read it later,
// sets nothing back.
func TestAClockReadBeforeItWasSet(t *testing.T) {
	t.Parallel()
	e := afterVerdict(t, limited)
	e.mu.Lock()
	defer e.mu.Unlock()
	before := time.Now().Add(time.Second)
	e.sweep(set(before.Add(time.Millisecond), -24*time.Hour))
	e.sweep(before)
	now := set(before.Add(time.Second), -24*time.Hour)
	e.sweep(now)
	if h := e.creds[0].all.hold; h == nil || h.until.Round(0).Sub(now.Round(0)) < 9*time.Minute {
		t.Errorf("at %v it holds %+v", now, h)
	}
}

// A clock that is set back by a little again and again makes nothing last longer
// either.
func TestAClockSetBackByALittle(t *testing.T) {
	t.Parallel()
	e := afterVerdict(t, limited)
	e.mu.Lock()
	defer e.mu.Unlock()
	// Steps of a second: set knows no shorter ones.
	begun, now := time.Now(), time.Time{}
	for i := range 300 {
		now = set(begun.Add(time.Duration(i)*time.Second+time.Duration(i)*time.Millisecond), -time.Duration(i/2)*time.Second)
		e.sweep(now)
	}
	if left := e.creds[0].all.hold.until.Round(0).Sub(now.Round(0)); left > 5*time.Minute+2*time.Second {
		t.Errorf("after five minutes the key is held for another %v", left)
	}
}

// A request's patience is as long as it is, whatever the clock says meanwhile: it
// waits for a key that comes back before that is over.
func TestPatienceIsNotOfTheWall(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		e := start(t, poolOf(1), Memory{})
		e.patience = 10 * time.Second
		r := &Request{Service: "svc", Repeatable: true}
		e.mu.Lock()
		e.begin(r, e.services[0], time.Now())
		now := set(time.Now(), off)
		e.sweep(now)
		k := e.keys[0]
		e.place(k, &k.cred.holder, "", &hold{state: Cooling, verdict: RateLimited, since: now, until: now.Add(2 * time.Second)}, now)
		soon, deadline := e.soon(r, now), e.deadline(r)
		e.mu.Unlock()
		if soon.IsZero() || soon.After(deadline) || soon.Sub(now).Round(time.Millisecond) != 2*time.Second {
			t.Errorf("clock set by %v: the key comes back in %v, the patience lasts %v", off, soon.Sub(now), deadline.Sub(now))
		}
	}
}

// A sparkline goes on where the clock is set back, and stands nowhere before the
// beginning of time.
func TestASparklineWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		to     time.Time
		before int // buckets that stand between now and what was counted
	}{
		{"as it is", at, 0},
		{"back by a day", at.Add(-24 * time.Hour), 0},
		{"back by a little", at.Add(-11 * time.Second), 0},
		{"ahead by two buckets", at.Add(10 * time.Second), 2},
		{"a clock without a battery", time.Unix(3, 0), 0},
	} {
		var s series
		s.add(5, at.Add(-5*time.Second))
		s.add(3, at)
		s.turn(c.to)
		if got := s.list(6, c.to); got[5-c.before] != 3 || got[4-c.before] != 5 {
			t.Errorf("%s: %v", c.name, got)
		}
		s.add(1, c.to)
		s.add(1, c.to.Add(5*time.Second))
		if got := s.list(6, c.to.Add(5*time.Second)); got[5] != 1 {
			t.Errorf("%s, and a bucket later: %v", c.name, got)
		}
	}
}

// A provider counts by its own clock: a machine whose clock is wrong holds a key
// for as long as the provider says.
func TestAQuotaByTheProvidersClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, time.Second, time.Hour, -24 * time.Hour} {
		e := start(t, poolOf(1), Memory{})
		l, err := e.Acquire(t.Context(), &Request{Service: "svc", Repeatable: true})
		if err != nil {
			t.Fatal(err)
		}
		made := time.Now().Round(0).Add(off)
		l.Judge(Verdict{Kind: QuotaExhausted, Scope: ScopeKey, Until: made.Add(20 * time.Minute), Made: made})
		l.Close(Usage{}, nil)
		h := e.creds[0].all.hold
		if left := time.Until(h.until); left < 19*time.Minute || left > 21*time.Minute {
			t.Errorf("the provider's clock is %v off: held for %v", off, left)
		}
	}
}

// A key is neither lent nor pinned for longer because the clock was set back
// while nothing ran.
func TestLendsFromTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := poolOf(2, func(c *Config) {
			c.Services = append(c.Services, Service{Name: "other", Keys: []string{"k2"}})
			c.Services[0].Keys = c.Services[0].Keys[:1]
		})
		e := start(t, cfg, Memory{})
		for _, a := range []Action{{Verb: VerbLend, Key: "k2", Service: "svc", ForS: 3600}, {Verb: VerbPin, Key: "k1", Service: "svc", ForS: 1800}} {
			if _, err := e.Do(a); err != nil {
				t.Fatal(err)
			}
		}
		for _, ahead := range []time.Duration{0, 24 * time.Hour} { // so far was the clock when it was written
			m := e.Memory()
			for i := range m.Events {
				m.Events[i].At = m.Events[i].At.Add(ahead)
			}
			m.Services[0] = *m.Services[0].sooner(-ahead)
			s := start(t, cfg, m).services[0]
			if len(s.lends) != 1 || s.pin == nil {
				t.Fatalf("%v ahead: lent %v, pinned %v", ahead, s.lends, s.pin)
			}
			if lent, pinned := time.Until(s.lends[0].until), time.Until(s.pin.until); lent != time.Hour || pinned != 30*time.Minute {
				t.Errorf("%v ahead: lent for %v, pinned for %v", ahead, lent, pinned)
			}
		}
	})
}

// What the journal told lasts no longer either when the clock is set back.
func TestAClockSetBackAfterARestart(t *testing.T) {
	t.Parallel()
	cfg := poolOf(3, func(c *Config) {
		c.Services = append(c.Services, Service{Name: "other", Keys: []string{"k3"}})
		c.Services[0].Keys = c.Services[0].Keys[:2]
	})
	l := newLife(t, cfg)
	for _, a := range []Action{{Verb: VerbLend, Key: "k3", Service: "svc", ForS: 3600}, {Verb: VerbPin, Key: "k1", Service: "svc", ForS: 3600}, {Verb: VerbDisable, Key: "k2", ForS: 3600}} {
		if _, err := l.Do(a); err != nil {
			t.Fatal(err)
		}
	}
	l.restart()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().Add(time.Second)
	l.sweep(now)
	now = set(now.Add(time.Second), -24*time.Hour)
	l.sweep(now)
	s := l.services[0]
	for what, until := range map[string]time.Time{"lent": s.lends[0].until, "pinned": s.pin.until, "disabled": l.keys[1].disabled.until} {
		if left := until.Round(0).Sub(now.Round(0)); left > time.Hour || left < 59*time.Minute {
			t.Errorf("%s for %v", what, left)
		}
	}
}

// A sleep is counted once.
func TestLimitsAfterASleep(t *testing.T) {
	t.Parallel()
	e := start(t, poolOf(1, func(c *Config) {
		c.Keys[0].Limits = []quota.Limit{{Unit: quota.Requests, Amount: 60, Window: time.Hour}}
	}), Memory{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(time.Now())
	b := e.creds[0].books[0]
	b.Take(60, time.Now())
	for range 5 {
		now := set(time.Now().Add(time.Second), 30*time.Minute)
		if e.sweep(now); b.Remaining(now) < 29 || b.Remaining(now) > 31 {
			t.Fatalf("after half of the limit's hour %v of 60 remain", b.Remaining(now))
		}
	}
}

// A journal that was written while the clock was a year ahead holds nothing for
// a year.
func TestAJournalFromTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(365 * 24 * time.Hour)
		l := newLife(t, poolOf(2))
		for _, v := range []Verdict{limited, {Kind: QuotaExhausted, Scope: ScopeKey}} {
			r := &Request{Service: "svc", Repeatable: true}
			lease, err := l.Acquire(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			lease.Judge(v)
			lease.Close(Usage{}, nil)
		}
		l.disk.save(l.Changed())
		m := l.disk.memory()
		now := time.Now().Add(-365 * 24 * time.Hour) // the clock is right again
		for i := range m.Credentials {
			for _, s := range m.Credentials[i].Slots {
				h := s.Hold.hold(now)
				if h == nil {
					continue
				}
				at := latest(h.until, h.trialAt)
				if at.Before(now.Add(9*time.Minute)) || at.After(now.Add(16*time.Minute)) || h.since.After(now) {
					t.Errorf("held from %v until %v, at %v", h.since, at, now)
				}
			}
		}
	})
}

package engine

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
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

func TestASleepCountsAndAClockSetBackDoesNot(t *testing.T) {
	t.Parallel()
	limited := Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 10 * time.Minute}
	broke := Verdict{Kind: QuotaExhausted, Scope: ScopeKey} // one trial after a quarter of an hour
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
		{"a sleep until the trial", broke, time.Hour, time.Second, true},
		{"a clock set back, and the time of the trial", broke, -24 * time.Hour, 16 * time.Minute, true},
		{"a clock set back, and not the time of the trial", broke, -24 * time.Hour, 14 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t, poolOf(1), Memory{})
			l, err := e.Acquire(t.Context(), &Request{Service: "svc", Repeatable: true})
			if err != nil {
				t.Fatal(err)
			}
			l.Judge(c.verdict)
			l.Close(Usage{}, nil)
			e.mu.Lock()
			defer e.mu.Unlock()
			// Virtual time has no monotonic clock: the engine is told the time.
			now := set(time.Now().Add(c.after), c.off)
			e.sweep(now)
			if serves := e.services[0].tiers[0].members[0].readyAt <= now.UnixNano(); serves != c.serves {
				t.Errorf("it serves: %v, want %v", serves, c.serves)
			}
		})
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

// A journal that was written while the clock was a year ahead holds nothing for
// a year.
func TestAJournalFromTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(365 * 24 * time.Hour)
		l := newLife(t, poolOf(2))
		for _, v := range []Verdict{{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 10 * time.Minute}, {Kind: QuotaExhausted, Scope: ScopeKey}} {
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

package engine

import (
	"slices"
	"strings"
	"testing"

	"keywheel/engine/quota"
)

func TestRoundRobinServesInTheOrderWritten(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin)
	var got []string
	for range 7 {
		got = append(got, serve(t, e))
	}
	if want := "k1 k2 k3 k1 k2 k3 k1"; strings.Join(got, " ") != want {
		t.Errorf("served %v, want %s", got, want)
	}
}

func TestRoundRobinIsSmoothByWeight(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) { c.Keys[0].Weight = 5 })
	count, run, longest := map[string]int{}, 0, 0
	for range 7 * 10 {
		k := serve(t, e)
		count[k]++
		if run++; k != "k1" {
			run = 0
		}
		longest = max(longest, run)
	}
	if count["k1"] != 50 || count["k2"] != 10 || count["k3"] != 10 {
		t.Errorf("70 requests at weights 5, 1, 1 went %v", count)
	}
	if longest > 5 {
		t.Errorf("%d in a row on one key: not smooth", longest)
	}
}

func TestAKeyThatWasAwayDoesNotCatchUp(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	do(t, e, Action{Verb: VerbDisable, Key: "k1"})
	for range 100 {
		serve(t, e)
	}
	do(t, e, Action{Verb: VerbEnable, Key: "k1"})
	count := map[string]int{}
	for range 10 {
		count[serve(t, e)]++
	}
	if count["k1"] != 5 {
		t.Errorf("after coming back k1 served %d of 10", count["k1"])
	}
}

func TestFailoverStaysUntilItsKeyCannotServe(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, Failover)
	for range 3 {
		if got := serve(t, e); got != "k1" {
			t.Fatalf("served by %s, want k1", got)
		}
	}
	if got := answered(t, e, noMoney, ok); !slices.Equal(got, []string{"k1", "k2"}) {
		t.Fatalf("went to %v", got)
	}
	do(t, e, Action{Verb: VerbLift, Key: "k1"})
	if got := serve(t, e); got != "k2" {
		t.Errorf("k1 is well again, but k2 can serve: served by %s", got)
	}
	do(t, e, Action{Verb: VerbDisable, Key: "k2"})
	if got := serve(t, e); got != "k3" {
		t.Errorf("after k2 comes k3, got %s", got)
	}
	if s := e.Snapshot().Services[0]; s.LastRotation == nil || s.LastRotation.To != "k3" || s.Rotations != 2 {
		t.Errorf("last of %d rotations: %+v", s.Rotations, s.LastRotation)
	}
}

func TestFallbackServesOnlyWhenNoKeyAboveCan(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) {
		c.Services[0].Keys, c.Services[0].Fallback = []string{"k1", "k2"}, []string{"k3"}
	})
	for range 6 {
		if serve(t, e) == "k3" {
			t.Fatal("the fallback served while k1 and k2 could")
		}
	}
	if got := answered(t, e, noMoney, noMoney, ok); got[2] != "k3" {
		t.Errorf("went to %v, want k3 last", got)
	}
}

func TestScopesAndLimitsChooseToo(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, RoundRobin, func(c *Config) {
		c.Keys[0].Scopes = []string{"video"}
		c.Keys[1].Scopes = []string{"image", "chat"}
	})
	for range 4 {
		if got := serve(t, e); got == "k1" {
			t.Error("a video-only key served chat")
		}
	}
}

func TestHeadroomServesWhereMostIsLeft(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, Headroom, func(c *Config) {
		for i, n := range []float64{30, 10} {
			c.Keys[i].Limits = []quota.Limit{{Unit: quota.Requests, Amount: n, Calendar: "day", Source: "config"}}
		}
	})
	count := map[string]int{}
	for range 20 {
		count[serve(t, e)]++
	}
	if count["k1"] != 15 || count["k2"] != 5 {
		t.Errorf("limits of 30 and 10 a day: 20 requests went %v", count)
	}
}

package tui

import (
	"slices"
	"testing"
	"time"

	"keywheel/engine"
)

func TestNeedsYouFirst(t *testing.T) {
	t.Parallel()
	sc := newScene(trouble(), nil)
	var o sorter
	got := o.order(sc, noon)
	want := []string{"mistral", "gemini", "librechat-ui", "智谱-对话", "anthropic", "video-proxy", "later"}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestRank(t *testing.T) {
	t.Parallel()
	active := key("a", "p", "01")
	cooling := key("b", "p", "02", held(engine.Cooling, engine.RateLimited, "429", time.Second, after(time.Second)))
	revoked := key("c", "p", "03", held(engine.Revoked, engine.InvalidKey, "401", time.Second, nil))
	off := key("d", "p", "04", held(engine.Disabled, engine.OK, "by you", time.Second, nil))
	pacing := key("e", "p", "05", func(k *engine.KeyStatus) {
		k.Limits = []engine.LimitStatus{{Unit: "requests", Per: "1m", Amount: 60, Remaining: 2, BurnPerMin: 60, ResetsAt: after(50 * time.Second), RunsOutAt: after(2 * time.Second)}}
	})
	named := func(k engine.KeyStatus, name string) engine.KeyStatus { k.Name = name; return k }
	for _, tc := range []struct {
		name string
		keys []engine.KeyStatus
		edit func(*engine.Snapshot)
		want rank
	}{
		{"no key serves", []engine.KeyStatus{cooling}, nil, rankDown},
		{"no key at all", nil, nil, rankDown},
		{"incident", []engine.KeyStatus{active, named(active, "a2")}, func(s *engine.Snapshot) {
			s.Incidents = []engine.Incident{{Provider: "p"}}
		}, rankIncident},
		{"an incident that is over", []engine.KeyStatus{active, named(active, "a2")}, func(s *engine.Snapshot) {
			s.Incidents = []engine.Incident{{Provider: "p", Ended: &noon}}
		}, rankFine},
		{"one of two", []engine.KeyStatus{active, cooling}, nil, rankLastKey},
		{"one of one is as it was set up", []engine.KeyStatus{active}, nil, rankFine},
		{"runs out before its reset", []engine.KeyStatus{key("a", "p", "01", limited(1000, 10, 1)), key("a2", "p", "02", limited(1000, 10, 1))}, nil, rankShort},
		{"lasts past its reset", []engine.KeyStatus{key("a", "p", "01", limited(1000, 900, 1)), key("a2", "p", "02", limited(1000, 900, 1))}, nil, rankFine},
		{"a limit per minute is pacing", []engine.KeyStatus{pacing, named(pacing, "e2")}, nil, rankFine},
		{"a key to mend", []engine.KeyStatus{active, named(active, "a2"), revoked}, nil, rankBroken},
		{"cooling passes", []engine.KeyStatus{active, named(active, "a2"), cooling}, nil, rankHeld},
		{"switched off on purpose", []engine.KeyStatus{active, named(active, "a2"), off}, func(s *engine.Snapshot) { s.Services[0].Health = engine.HealthOK }, rankFine},
		{"planned", nil, func(s *engine.Snapshot) { s.Services[0].Planned = true }, rankPlanned},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := svc("s", "p", engine.RoundRobin)
			for _, k := range tc.keys {
				s.Keys = append(s.Keys, k.Name)
			}
			snap := finish(engine.Snapshot{At: noon, Keys: slices.Clone(tc.keys), Services: []engine.ServiceStatus{s}})
			if tc.edit != nil {
				tc.edit(&snap)
			}
			if got := newScene(snap, nil).services[0].rank; got != tc.want {
				t.Errorf("rank %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRowsKeepCalm(t *testing.T) {
	t.Parallel()
	snap := func(cooling bool) *scene {
		k := key("k", "p", "01")
		if cooling {
			held(engine.Cooling, engine.RateLimited, "429", 0, after(time.Second))(&k)
		}
		s := svc("zz", "p", engine.RoundRobin, "k", "k2", "k3")
		return newScene(finish(engine.Snapshot{At: noon, Keys: []engine.KeyStatus{k, key("k2", "p", "02"), key("k3", "p", "03"), key("o", "p", "04")},
			Services: []engine.ServiceStatus{svc("aa", "p", engine.RoundRobin, "o"), s}}), nil)
	}
	var o sorter
	for _, step := range []struct {
		at      time.Duration
		cooling bool
		first   string
	}{
		{0, false, "aa"},
		{time.Second, true, "zz"},      // worse: at once
		{2 * time.Second, false, "zz"}, // better: it waits
		{5 * time.Second, true, "zz"},
		{9 * time.Second, false, "zz"},
		{11 * time.Second, false, "aa"}, // better for a while
	} {
		if got := o.order(snap(step.cooling), noon.Add(step.at))[0]; got != step.first {
			t.Errorf("after %v first is %q, want %q", step.at, got, step.first)
		}
	}
}

func TestKeysThatNeedAPersonComeFirst(t *testing.T) {
	t.Parallel()
	s := newScene(trouble(), nil).byName["anthropic"]
	var got []string
	for _, k := range s.keys {
		got = append(got, k.Name)
	}
	if want := []string{"team-a", "team-b", "team-c", "legacy"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	if s := newScene(trouble(), nil).byName["智谱-对话"]; s.keys[0].Name != "glm-3" {
		t.Errorf("the expired key is not first but %s", s.keys[0].Name)
	}
}

package control

import (
	"testing"
	"time"

	"keywheel/engine"
)

// mirror watches the instance of a client until the test ends.
func mirror(t *testing.T, c *Client, every time.Duration) *Mirror {
	t.Helper()
	m, err := newMirror(t.Context(), NewClient(c.Socket()), every)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// until waits until what a mirror shows is as wanted.
func until(t *testing.T, m *Mirror, what string, ok func(engine.Snapshot) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 120_000 { // two minutes
		if ok(m.Snapshot()) {
			return
		}
		<-tick.C
	}
	t.Fatalf("never %s: %+v", what, m.Snapshot())
}

// Two that watch one instance, and would look again in an hour, see what the
// other does at once.
func TestMirrorsSeeEachOthersActions(t *testing.T) {
	t.Parallel()
	c, _ := serveSource(t, twoKeys(t), readPatience)
	one, two := mirror(t, c, time.Hour), mirror(t, c, time.Hour)
	disabled := func(key int, want bool) func(engine.Snapshot) bool {
		return func(s engine.Snapshot) bool {
			return len(s.Keys) == 2 && (s.Keys[key].State == engine.Disabled) == want
		}
	}
	if _, err := one.Do(engine.Action{Verb: engine.VerbDisable, Key: "a"}); err != nil {
		t.Fatal(err)
	}
	if !disabled(0, true)(one.Snapshot()) {
		t.Error("who did it does not see it")
	}
	until(t, two, "saw what the one did", disabled(0, true))
	for range 3 { // each event counts, not only the first
		if _, err := two.Do(engine.Action{Verb: engine.VerbDisable, Key: "b"}); err != nil {
			t.Fatal(err)
		}
		until(t, one, "saw what the other did", disabled(1, true))
		if _, err := two.Do(engine.Action{Verb: engine.VerbUndo}); err != nil {
			t.Fatal(err)
		}
		until(t, one, "saw it taken back", disabled(1, false))
	}
	if list := two.Events(0); len(list) == 0 || list[0].By != "you" { // one user at both
		t.Errorf("events %+v", list)
	}
}

func TestMirrorsNoticeThatTheInstanceGoesAndComes(t *testing.T) {
	t.Parallel()
	c, s := serveSource(t, twoKeys(t), readPatience)
	one, two := mirror(t, c, freshness), mirror(t, c, freshness)
	shakeBy(t, one)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Mirror{one, two} {
		until(t, m, "gone", func(s engine.Snapshot) bool { return s.At.IsZero() })
		if got := m.Events(0); len(got) > 0 {
			t.Errorf("events of one that is gone: %v", got)
		}
	}
	l, err := Listen(c.Socket())
	if err != nil {
		t.Fatal(err)
	}
	again := Serve(l, twoKeys(t)) // it began anew: no events
	t.Cleanup(func() { _ = again.Close() })
	for _, m := range []*Mirror{one, two} {
		until(t, m, "back", func(s engine.Snapshot) bool { return !s.At.IsZero() && s.LastSeq == 0 })
	}
	shakeBy(t, one)
	until(t, two, "saw an action after that", func(s engine.Snapshot) bool { return s.LastSeq == 2 })
}

// shakeBy makes two events through a mirror.
func shakeBy(t *testing.T, m *Mirror) {
	t.Helper()
	for _, v := range []engine.Verb{engine.VerbDisable, engine.VerbEnable} {
		if _, err := m.Do(engine.Action{Verb: v, Key: "a"}); err != nil {
			t.Fatal(err)
		}
	}
}

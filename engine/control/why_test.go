package control

import (
	"strings"
	"testing"
	"time"

	"keywheel/engine"
)

func TestFindWhy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 18, 12, 0, 0, 0, time.UTC)
	soon := now.Add(90 * time.Second)
	s := engine.Snapshot{At: now,
		Keys: []engine.KeyStatus{{Name: "a", Holds: []engine.HoldStatus{{State: engine.Cooling, Until: &soon}, {State: engine.Revoked},
			{State: engine.Failing, TrialAt: &soon}, {State: engine.Disabled}}}, {Name: "ui"}},
		Services: []engine.ServiceStatus{{Name: "ui"}, {Name: "video"}}}
	seen := func(id string) engine.Evidence { return engine.Evidence{Request: id} }
	events := []engine.Event{
		{Seq: 1, Key: "a", Kind: engine.EventHold, Hold: &engine.HoldStatus{Evidence: seen("req1")}},
		{Seq: 2, Service: "ui", Key: "a", Rotation: &engine.Rotation{From: "a", To: "b", Evidence: seen("req1")}},
		{Seq: 3, Service: "ui", Key: "b", Rotation: &engine.Rotation{From: "b", To: "a", Evidence: seen("req2")}},
		{Seq: 4, Service: "video", Key: "c"},
	}
	for name, want := range map[string]struct {
		key, service bool
		events       []uint64
	}{
		"a": {true, false, []uint64{1, 2, 3}}, "ui": {true, true, []uint64{2, 3}}, "video": {false, true, []uint64{4}},
		"req1": {false, false, []uint64{1, 2}}, "req2": {false, false, []uint64{3}},
	} {
		w, found := FindWhy(name, s, events)
		var got []uint64
		for _, ev := range w.Events {
			got = append(got, ev.Seq)
		}
		if !found || (w.Key != nil) != want.key || (w.Service != nil) != want.service || len(got) != len(want.events) || got[0] != want.events[0] {
			t.Errorf("%s: %v, key %v, service %v, events %v", name, found, w.Key != nil, w.Service != nil, got)
		}
	}
	if w, found := FindWhy("nobody", s, events); found {
		t.Errorf("found %+v", w)
	}
	w, _ := FindWhy("a", s, nil)
	for i, want := range []string{"by itself at ", "`keywheel reset a`", "when a trial succeeds, the next at ", "`keywheel enable a`"} {
		if !strings.Contains(w.Ends[i], want) {
			t.Errorf("hold %d ends %q, want %q", i, w.Ends[i], want)
		}
	}
	if !strings.HasSuffix(w.Ends[0], ", in 1m30s") {
		t.Errorf("ends %q", w.Ends[0])
	}
}

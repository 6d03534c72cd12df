package tui

import (
	"strings"
	"testing"
	"time"

	"keywheel/engine"
)

// The terminal's bell and title are used only where the config says so, and not
// for what was before the monitor was there.
func TestBellAndTitle(t *testing.T) {
	t.Parallel()
	alert := func(seq uint64, state engine.State) engine.Event {
		return engine.Event{Seq: seq, At: noon, Kind: engine.EventAlert, Service: "mistral", State: state, Text: "alert: service mistral has no usable key"}
	}
	for _, tc := range []struct {
		name          string
		bell, title   bool
		now           engine.Event
		rings, titled bool
	}{
		{"both", true, true, alert(100, engine.Failing), true, true},
		{"bell alone", true, false, alert(100, engine.Failing), true, false},
		{"title alone", false, true, alert(100, engine.Failing), false, true},
		{"neither", false, false, alert(100, engine.Failing), false, false},
		{"the end of an alert", true, false, alert(100, engine.Active), false, false},
		{"no alert", true, false, engine.Event{Seq: 100, At: noon, Kind: engine.EventDown, State: engine.Failing}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			src := &fake{snap: healthy(), events: []engine.Event{alert(1, engine.Failing)}}
			m := New(src, Options{Zone: time.UTC, Bell: tc.bell, WindowTitle: tc.title}, func(string) string { return "" })
			m.write = &out
			settle(m, fetch(src, 0, 0)())
			if strings.Contains(out.String(), "\a") != tc.title { // a title ends with one
				t.Errorf("at first it writes %q", out.String())
			}
			out.Reset()
			src.snap = trouble()
			src.snap.LastSeq = 100
			src.events = append(src.events, tc.now)
			settle(m, fetch(src, m.seq, m.reqSeq)())
			bells := strings.Count(out.String(), "\a") - strings.Count(out.String(), "\x1b]2;")
			titled := strings.Contains(out.String(), "mistral")
			if (bells > 0) != tc.rings || titled != tc.titled {
				t.Errorf("it writes %q", out.String())
			}
		})
	}
}

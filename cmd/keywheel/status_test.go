package main

import (
	"strings"
	"testing"
	"time"

	"keywheel/engine"
)

func TestStatusSaysWhatIsNotInItsColumns(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 1, 18, 12, 0, 0, 0, time.Local)
	s := engine.Snapshot{
		Keys: []engine.KeyStatus{{Name: "a", State: engine.Active, Holds: []engine.HoldStatus{
			{Model: "gpt-4o", State: engine.Cooling, Why: "429 rate limited", Until: &until}}}},
		Journal: &engine.JournalStatus{Queued: 7, BehindS: 120, Dropped: 2, Error: "the disk is full"},
	}
	var b strings.Builder
	if err := printStatus(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not for gpt-4o: 429 rate limited, until 2026-01-18 12:00:00",
		"the journal is behind by 2m, 7 entries wait and 2 were dropped: the disk is full"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("status does not say %q:\n%s", want, b.String())
		}
	}
	if !needsPerson(s) {
		t.Error("a disk that is full needs nobody")
	}
	if s.Journal.Error = ""; needsPerson(s) {
		t.Error("a journal that is written needs a person")
	}
}

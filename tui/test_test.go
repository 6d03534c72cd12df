package tui

import (
	"errors"
	"testing"

	"keywheel/engine"
)

func TestTesting(t *testing.T) {
	t.Parallel()
	rejected := map[string]engine.KeyTest{
		"prod-1": {Key: "prod-1", Provider: "openai", Verdict: engine.InvalidKey, Status: 401, Message: "Incorrect API key provided", TookMS: 90},
		"prod-2": {Key: "prod-2", Provider: "openai", Untested: "openai has no free call for that"},
	}
	for _, tc := range []struct {
		name  string
		tests map[string]engine.KeyTest
		fails error
		keys  []string
		says  []string
	}{
		{"one key", nil, nil, keysOf(toProd3, "t"), []string{"✓ prod-3: openai accepts it (200 after 101ms)"}},
		{"one that is rejected", rejected, nil, keysOf(find("prod-1"), "t"), []string{"✗ prod-1: openai rejects it (401 after 90ms): Incorrect API key provided"}},
		{"one that nobody can ask about", rejected, nil, keysOf(find("prod-2"), "t"), []string{"prod-2: not tested: openai has no free call for that"}},
		{"three marked", rejected, nil, keysOf("2 /", letters("prod"), "enter * t"),
			[]string{"Testing 3 keys", "prod-1  ✗ openai rejects it (401", "prod-2  · not tested", "prod-3  ✓ openai accepts it", "✗ 1 of 3 not well", "esc closes"}},
		{"a service", nil, nil, keysOf("j t"), []string{"Testing 2 keys", "✓ 2 keys are accepted."}},
		{"by its name", nil, nil, keysOf(toProd3, ": t e s t enter"), []string{"✓ prod-3: openai accepts it"}},
		{"keywheel is gone", nil, errors.New("keywheel is not running"), keysOf(toProd3, "t"), []string{"✗ keywheel is not running"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, src := monitor(t, 120, 36, healthy(), quiet(), noColour)
			src.tests, src.fails = tc.tests, tc.fails
			press(m, tc.keys...)
			mustShow(t, m, tc.says...)
			if len(src.did) > 0 {
				t.Errorf("it did %q", verbs(src.did))
			}
		})
	}
}

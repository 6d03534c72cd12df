package tui

import (
	"context"
	"errors"
	"testing"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// Migrate tells what it is asked to.
func (f *fake) Migrate(ctx context.Context, m engine.Migration, s secret.Secret, _ string, tell func(string)) error {
	f.mu.Lock()
	f.moved, f.got = m, s.Reveal()
	wait := f.wait
	f.mu.Unlock()
	for _, s := range f.steps {
		tell(s)
	}
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.fails
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	steps := []string{"step 1 of 3, the new key", "step 2 of 3, switched", "step 3 of 3, verify"}
	for _, tc := range []struct {
		name  string
		fails error
		keys  []string
		key   string
		got   string
		says  []string
	}{
		{"to a new key", nil, keysOf("X k", letters("own"), "enter", letters(newSecret), "enter"), "own", newSecret,
			[]string{"step 1 of 3", "step 3 of 3", "goes out with own.", "u takes it back"}},
		{"it fails", errors.New("own could not serve POST /v1/chat/completions: rate limited"), keysOf("X k", letters("own"), "enter", letters(newSecret), "enter"), "own", newSecret,
			[]string{"✗ own could not serve POST", "has its old keys."}},
		{"to one of the config", nil, keysOf(find("prod"), "X 1"), "prod-1", "", []string{"openai goes out with prod-1."}},
		{"no secret for a name", nil, keysOf("X k", letters("sk-test-not-a-key-000000000"), "enter"), "", "", []string{"this looks like the key itself"}},
		{"esc", nil, keysOf("X esc"), "", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
			src.steps, src.fails = steps, tc.fails
			press(m, tc.keys...)
			mustShow(t, m, tc.says...)
			mustHide(t, m)
			if src.moved.Key != tc.key || tc.key != "" && src.moved.Service != m.service() || src.got != tc.got || len(src.did) > 0 {
				t.Errorf("moved %+v with %q, did %q", src.moved, src.got, verbs(src.did))
			}
		})
	}
}

// esc before the end gives it up, and says that nothing has changed; a move can
// be taken back to the config's keys.
func TestMigrateIsGivenUp(t *testing.T) {
	t.Parallel()
	snap := healthy()
	snap.Services[0].Moved = &engine.Moved{Key: "own", From: []string{"prod-1"}, By: "you", At: noon}
	m, src := monitor(t, 120, 36, snap, quiet(), inColour)
	press(m, append(append([]string{"/"}, letters(snap.Services[0].Name)...), "enter", "X")...)
	mustShow(t, m, "back to prod-1, as the config says")
	press(m, "esc", "w")
	mustShow(t, m, "moved to own by you", "the config says prod-1")
	press(m, "esc", "X")
	press(m, "b")
	if len(src.did) != 1 || src.did[0].Verb != engine.VerbMigrate || src.did[0].Key != "" {
		t.Errorf("did %+v", src.did)
	}
}

func TestWhatToSetInAClient(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, healthy(), quiet(), inColour)
	press(m, "E")
	mustShow(t, m, "The client of "+m.service(), "export OPENAI_BASE_URL=http://127.0.0.1:5399/"+m.service()+"/v1", "keywheel env "+m.service(), "keywheel import", "a new key", "X moves")
	press(m, "?")
	mustShow(t, m, "host.docker.internal", "extra_hosts:", "env:KEYWHEEL_GITHUB_TOKEN")
	press(m, "y")
	mustShow(t, m, "copied the text")
	press(m, "esc")
}

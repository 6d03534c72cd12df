package tui

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// verbs says what was done, in few words: "disable prod-1".
func verbs(list []engine.Action) string {
	var out []string
	for _, a := range list {
		text := string(a.Verb) + " " + a.Service + a.Key
		if a.Reason != "" {
			text += " because " + a.Reason
		}
		out = append(out, strings.TrimSpace(text))
	}
	return strings.Join(out, ", ")
}

// keysOf joins keys to press with words to type.
func keysOf(parts ...any) (out []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out = append(out, strings.Fields(p)...)
		case []string:
			out = append(out, p...)
		}
	}
	return out
}

func TestActionsOnMany(t *testing.T) {
	t.Parallel()
	space := []string{" "}
	for _, tc := range []struct {
		name string
		snap func() engine.Snapshot
		keys []string
		want string
	}{
		{"rotate two services", healthy, keysOf(space, space, "r"), "rotate deepseek, rotate github"},
		{"unmarked again", healthy, keysOf(space, "k", space, "k r"), "rotate deepseek"},
		{"a range", healthy, keysOf(space, "j v r"), "rotate deepseek, rotate github, rotate openai"},
		{"esc unmarks and does nothing", healthy, keysOf("*", "esc r"), "rotate deepseek"},
		{"disable two of three asks in the picker only", healthy, keysOf(find("openai"), space, "d u"), "disable prod-1"},
		{"disable two, one is left", healthy, keysOf(find("openai"), space, space, "d u"), ""},
		{"disable two, one is left, yes", healthy, keysOf(find("openai"), space, space, "d u y"), "disable prod-1, disable prod-2"},
		{"disable three, none is left, wants the name", healthy, keysOf(find("openai"), "* d u y enter"), ""},
		{"disable three, named", healthy, keysOf(find("openai"), "* d u", letters("openai"), "enter"), "disable prod-1, disable prod-2, disable prod-3"},
		{"a reason goes with it", healthy, keysOf("2 / p r o d - 2 enter d r", letters("leaked"), "enter u"), "disable prod-2 because leaked"},
		{"a reason, then not", healthy, keysOf("2 j j d r", letters("leaked"), "enter n"), ""},
		{"drain, harmless", healthy, keysOf("2 / p r o d - 2 enter D"), "drain prod-2"},
		{"drain leaves one: asks", healthy, keysOf("2 / b o t - 4 enter D"), ""},
		{"drain leaves one: yes", healthy, keysOf("2 / b o t - 4 enter D y"), "drain bot-4"},
		{"drain several asks", healthy, keysOf("2 / p r o d enter", space, space, "D enter"), ""},
		{"drain several, yes", healthy, keysOf("2 / p r o d enter", space, space, "D y"), "drain prod-1, drain prod-2"},
		{"enable all that are marked", trouble, keysOf("2 * e"), "enable glm-2, enable legacy"},
		{"lift of many is on those that are held", trouble, keysOf("2 / s v c : a n t h enter * R 1"), "lift team-c"},
		{"lift the holds of several services", trouble, keysOf("*", "R 1"), "lift anthropic, lift gemini, lift later, lift librechat-ui, lift mistral, lift 智谱-对话"},
		{"pin from the list of all keys", healthy, keysOf("2 / p r o d - 2 enter p 1"), "pin openaiprod-2"},
		{"pin asks which service", trouble, keysOf("2 / v i d - 1 enter p 2 1"), "pin video-proxyvid-1"},
		{"pin means nothing for several", healthy, keysOf("2", space, space, "p enter"), ""},
		{"the key of a request", trouble, keysOf("4 g R 1"), "lift team-a"},
		{"the key of an event", trouble, keysOf("3 j R 1"), "lift team-c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, src := monitor(t, 120, 36, tc.snap(), incidents(), inColour)
			press(m, tc.keys...)
			if got := verbs(src.did); got != tc.want {
				t.Errorf("did %q\nwant %q\n%s", got, tc.want, ansi.Strip(m.View()))
			}
		})
	}
}

func TestManyAreTypedByTheirNumber(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, thousands(), nil, inColour)
	press(m, keysOf("2 /", letters("key-001"), "enter *")...)
	if n := len(m.marks.keys); n != 10 {
		t.Fatalf("%d are marked", n)
	}
	press(m, keysOf("/ ctrl+u", letters("key-0020"), "enter")...)
	press(m, " ", "D")
	if len(src.did) != 0 || len(m.dialogs) != 1 || m.dialogs[0].input == nil {
		t.Fatalf("eleven keys are drained without a typed answer\n%s", ansi.Strip(m.View()))
	}
	press(m, "1", "1", "enter")
	if len(src.did) != 11 || len(m.marks.keys) != 0 {
		t.Errorf("%d done, %d still marked", len(src.did), len(m.marks.keys))
	}
}

func TestWhatWasDoneAtOnceIsUndoneAtOnce(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
	press(m, "2", "/", "p", "r", "o", "d", "enter", " ", " ", "D", "y")
	src.snap.Undo = "drain prod-2"
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if !strings.Contains(m.View(), "draining 2: prod-1, prod-2") {
		t.Errorf("the toast does not tell:\n%s", ansi.Strip(m.View()))
	}
	src.did = nil
	press(m, "u")
	if got := verbs(src.did); got != "undo, undo" {
		t.Errorf("undo did %q", got)
	}
	src.did = nil
	press(m, "ctrl+r")
	if len(src.did) != 0 || len(m.dialogs) != 1 {
		t.Error("redo does not ask again")
	}
	press(m, "y")
	if got := verbs(src.did); got != "drain prod-1, drain prod-2" {
		t.Errorf("redo did %q", got)
	}
	if m.undone != nil {
		t.Error("redo can be done twice")
	}
}

func TestMarksGoWithTheirKeys(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
	press(m, "2", "*")
	src.snap.Keys = slices.Clone(src.snap.Keys[:3])
	src.snap.Services = src.snap.Services[:1]
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if len(m.marks.keys) != 3 {
		t.Errorf("%d are marked of three", len(m.marks.keys))
	}
}

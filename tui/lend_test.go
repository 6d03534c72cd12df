package tui

import (
	"slices"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

func TestLend(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		snap func() engine.Snapshot
		keys []string
		want string
		forS float64
	}{
		{"two hours first", healthy, keysOf(find("prod-2"), "L 1 enter"), "lend deepseekprod-2", 7200},
		{"an hour", healthy, keysOf(find("prod-2"), "L 2 1"), "lend githubprod-2", 3600},
		{"eight", healthy, keysOf(find("prod-2"), "L 2 8"), "lend githubprod-2", 8 * 3600},
		{"a time of one's own", healthy, keysOf(find("prod-2"), "L 2 c", letters("90m"), "enter"), "lend githubprod-2", 5400},
		{"not for ever", healthy, keysOf(find("prod-2"), "L 2 u"), "", 0},
		{"esc", healthy, keysOf(find("prod-2"), "L 2 esc"), "", 0},
		{"n", healthy, keysOf(find("prod-2"), "L n"), "", 0},
		{"of the same provider first", trouble, keysOf(find("team-b"), "L 1 2"), "lend mistralteam-b", 7200},
		{"two keys at once", healthy, keysOf("2 / p r o d enter", []string{" ", " "}, "L 1 2"), "lend deepseekprod-1, lend deepseekprod-2", 7200},
		{"again, for a new end", lent, keysOf("2 / b o t - 5 enter L 1 2"), "lend deepseekbot-5", 7200},
		{"nothing is lent", healthy, keysOf(find("prod-2"), "U"), "", 0},
		{"the lend of the key ends", lent, keysOf("2 / b o t - 5 enter U"), "unlend openaibot-5", 0},
		{"the lend to the service ends", lent, keysOf("/ o p e n a i enter U"), "unlend openaibot-5", 0},
		{"the last one asks, and enter is no", onlyLent, keysOf("/ o p e n a i enter U enter"), "", 0},
		{"the last one asks, and y is yes", onlyLent, keysOf("/ o p e n a i enter U y"), "unlend openaibot-5", 0},
		{"several ask which", twiceLent, keysOf("2 / b o t - 5 enter U 2 y"), "unlend deepseekbot-5", 0},
		{"several, esc", twiceLent, keysOf("2 / b o t - 5 enter U esc"), "", 0},
		{"several, all", twiceLent, keysOf("2 / b o t - 5 enter U a y"), "unlend openaibot-5, unlend deepseekbot-5", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, src := monitor(t, 120, 36, tc.snap(), nil, inColour)
			press(m, tc.keys...)
			if got := verbs(src.did); got != tc.want || tc.forS > 0 && src.did[0].ForS != tc.forS {
				t.Errorf("did %q, %+v\nwant %q for %vs\n%s", got, src.did, tc.want, tc.forS, ansi.Strip(m.View()))
			}
		})
	}
}

// onlyLent has nothing but the lent key for openai.
func onlyLent() engine.Snapshot {
	snap := lent()
	for i := range snap.Keys {
		if snap.Keys[i].Provider == "openai" {
			snap.Keys[i].State = engine.Revoked
		}
	}
	snap.Services[0].Usable = 1
	return snap
}

// What does not speak a service's language is not offered to it.
func TestALendSpeaksOneLanguage(t *testing.T) {
	t.Parallel()
	snap := healthy()
	for i := range snap.Services {
		s := &snap.Services[i]
		s.Dialect = pick(s.Name == "github", "github", "openai")
		for j := range snap.Keys {
			if slices.Contains(s.Keys, snap.Keys[j].Name) {
				snap.Keys[j].Dialect = s.Dialect
			}
		}
	}
	m, _ := monitor(t, 120, 36, snap, quiet(), noColour)
	press(m, keysOf(toProd3)...)
	if got := m.lendable(); !slices.Equal(got, []string{"deepseek", "openrouter"}) {
		t.Errorf("prod-3 is offered to %q", got)
	}
	press(m, keysOf("esc", find("bot-4"))...)
	if m.lendable() != nil || canLend(&m.state) {
		t.Errorf("bot-4 is offered to %q", m.lendable())
	}
}

func twiceLent() engine.Snapshot {
	snap := lent()
	s := &snap.Services[3]
	s.Keys, s.Usable = append(s.Keys, "bot-5"), 2
	s.Lent = []engine.Lent{{Key: "bot-5", Service: s.Name, Until: noon.Add(1e12)}}
	snap.Keys[5].Services = append(snap.Keys[5].Services, s.Name)
	return snap
}

func TestAServiceIsTypedWhereThereAreMany(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, thousands(), nil, inColour)
	press(m, keysOf("2 c / k e y - 0 0 1 7 enter j L")...)
	mustShow(t, m, "one of ")
	press(m, "o")
	press(m, keysOf(letters("service-1"), "enter")...)
	if len(src.did) > 0 || len(m.dialogs) != 1 {
		t.Fatalf("did %q\n%s", verbs(src.did), ansi.Strip(m.View()))
	}
	mustShow(t, m, "is not one of them")
	press(m, keysOf("ctrl+u", letters(m.lendable()[12]), "enter 2")...)
	if len(src.did) != 1 || src.did[0].Verb != engine.VerbLend || src.did[0].ForS != 7200 {
		t.Errorf("did %q\n%s", verbs(src.did), ansi.Strip(m.View()))
	}
}

// Where a key and a service are shown, so is what was lent, replaced and drains.
func TestLentAndReplacedShow(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 200, 60, lent(), quiet(), noColour)
	press(m, keysOf("/ o p e n a i enter")...)
	mustShow(t, m, "1 lent", "lent 1h42m", "active · old: 3 in flight keys.d", "Keys that are lent to it", "until 15:53, in 1h42m, by you")
	press(m, "esc", "2", "/", "b", "o", "t", "-", "5", "enter")
	mustShow(t, m, "lent out", "to openai until 15:53")
	press(m, keysOf("esc / p r o d - 3 enter enter")...)
	mustShow(t, m, "keys.d/prod-3, in the place of env:FAKE_openai", "·77aa 3 in flight on the old secret")
	press(m, "esc", "m")
	mustShow(t, m, "keys.d/prod-3, in the place")
}

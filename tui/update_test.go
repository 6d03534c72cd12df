package tui

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// letters turns a word into the keys that type it.
func letters(word string) []string { return strings.Split(word, "") }

// find is the keys that select a service or key by filter and go to its keys.
func find(word string, then ...string) []string {
	keys := append([]string{"/"}, letters(word)...)
	return append(append(keys, "enter", "enter"), then...)
}

func TestKeysDo(t *testing.T) {
	t.Parallel()
	act := func(v engine.Verb, service, key string, forS float64) engine.Action {
		return engine.Action{Verb: v, Service: service, Key: key, ForS: forS, By: "you"}
	}
	for _, tc := range []struct {
		name string
		snap func() engine.Snapshot
		keys []string
		want []engine.Action
	}{
		{"r rotates the selected service", healthy, []string{"r"}, []engine.Action{act(engine.VerbRotate, "deepseek", "", 0)}},
		{"down, then r", healthy, []string{"j", "r"}, []engine.Action{act(engine.VerbRotate, "github", "", 0)}},
		{"to the end and r", healthy, []string{"G", "r"}, []engine.Action{act(engine.VerbRotate, "openrouter", "", 0)}},
		{"d until enabled, harmless", healthy, find("prod-1", "d", "u"), []engine.Action{act(engine.VerbDisable, "", "prod-1", 0)}},
		{"d enter takes the first", healthy, find("prod-2", "d", "enter"), []engine.Action{act(engine.VerbDisable, "", "prod-2", 0)}},
		{"d for an hour", healthy, find("prod-1", "d", "1"), []engine.Action{act(engine.VerbDisable, "", "prod-1", 3600)}},
		{"d for eight", healthy, find("prod-1", "d", "8"), []engine.Action{act(engine.VerbDisable, "", "prod-1", 8*3600)}},
		{"d for a time of one's own", healthy, find("prod-1", append([]string{"d", "c"}, append(letters("90m"), "enter")...)...), []engine.Action{act(engine.VerbDisable, "", "prod-1", 5400)}},
		{"d for no time", healthy, find("prod-1", append([]string{"d", "c"}, append(letters("soon"), "enter", "esc")...)...), nil},
		{"nothing is done to what the filter hides", healthy, append(append([]string{"/"}, letters("state:zzz")...), "enter", "d", "enter", "r", "p", "enter", "R", "1"), nil},
		{"d esc", healthy, find("prod-1", "d", "esc"), nil},
		{"d n", healthy, find("prod-1", "d", "n"), nil},
		{"one left asks, and enter is no", healthy, find("bot-4", "d", "u", "enter"), nil},
		{"one left asks, and y is yes", healthy, find("bot-4", "d", "u", "y"), []engine.Action{act(engine.VerbDisable, "", "bot-4", 0)}},
		{"one left asks, and esc is no", healthy, find("bot-4", "d", "u", "esc"), nil},
		{"one left asks, over to yes", healthy, find("bot-4", "d", "u", "left", "enter"), []engine.Action{act(engine.VerbDisable, "", "bot-4", 0)}},
		{"the last one wants its service's name", healthy, find("wallet", "d", "u", "y", "enter"), nil},
		{"the last one, the wrong name", healthy, find("wallet", append([]string{"d", "u"}, append(letters("openai"), "enter", "esc")...)...), nil},
		{"the last one, named", healthy, find("wallet", append([]string{"d", "u"}, append(letters("deepseek"), "enter")...)...), []engine.Action{act(engine.VerbDisable, "", "wallet", 0)}},
		{"e enables", trouble, find("legacy", "e"), []engine.Action{act(engine.VerbEnable, "", "legacy", 0)}},
		{"e from the services finds the one", trouble, append(append([]string{"/"}, letters("anth")...), "enter", "e"), []engine.Action{act(engine.VerbEnable, "", "legacy", 0)}},
		{"e means nothing on a key that serves", trouble, find("team-a", "e"), nil},
		{"e ends draining", trouble, find("glm-2", "e"), []engine.Action{act(engine.VerbEnable, "", "glm-2", 0)}},
		{"R 1 lifts the service's holds", trouble, []string{"R", "1"}, []engine.Action{act(engine.VerbLift, "mistral", "", 0)}},
		{"R 2 zeroes", trouble, []string{"R", "2"}, []engine.Action{{Verb: engine.VerbReset, Service: "mistral", By: "you"}}},
		{"R on a key", trouble, find("mi-2", "R", "1"), []engine.Action{act(engine.VerbLift, "", "mi-2", 0)}},
		{"R esc", trouble, []string{"R", "esc"}, nil},
		{"p pins for an hour first", healthy, find("prod-2", "p", "enter"), []engine.Action{act(engine.VerbPin, "openai", "prod-2", 3600)}},
		{"p until unpinned", healthy, find("prod-2", "p", "u"), []engine.Action{act(engine.VerbPin, "openai", "prod-2", 0)}},
		{"p on the pinned key unpins", trouble, find("librechat", "g", "j", "p"), []engine.Action{act(engine.VerbUnpin, "librechat-ui", "", 0)}},
		{"p on a key that cannot serve asks", trouble, find("team-c", "p", "1", "enter"), nil},
		{"p on a key that cannot serve, yes", trouble, find("team-c", "p", "1", "y"), []engine.Action{act(engine.VerbPin, "anthropic", "team-c", 3600)}},
		{"u takes back what was just done", healthy, []string{"r", "u"}, []engine.Action{act(engine.VerbRotate, "deepseek", "", 0), act(engine.VerbUndo, "", "", 0)}},
		{"u of one's own recent rotation", healthy, []string{"u"}, []engine.Action{act(engine.VerbUndo, "", "", 0)}},
		{"u that enables a key asks", trouble, []string{"u", "enter"}, nil},
		{"u that enables a key, yes", trouble, []string{"u", "y"}, []engine.Action{act(engine.VerbUndo, "", "", 0)}},
		{"an action key in a menu does nothing", healthy, []string{"R", "r", "d", "p"}, nil},
		{"an action key in pages does nothing", healthy, []string{"w", "r", "d", "p", "e"}, nil},
		{"an action key in the help does nothing", healthy, []string{"?", "r", "d", "u"}, nil},
		{"no letter acts while a filter is typed", healthy, append([]string{"/"}, letters("rdeRpuw!q?jk2")...), nil},
		{"enter ends typing", healthy, append(append([]string{"/"}, letters("openai")...), "enter", "r"), []engine.Action{act(engine.VerbRotate, "openai", "", 0)}},
		{"esc ends typing", healthy, append(append([]string{"/"}, letters("openai")...), "esc", "r"), []engine.Action{act(engine.VerbRotate, "openai", "", 0)}},
		{"nothing to act on", func() engine.Snapshot { return engine.Snapshot{At: noon} }, letters("rdeRpuw!/"), nil},
		{"no engine yet", func() engine.Snapshot { return engine.Snapshot{} }, letters("rdeRpuw!/j"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, src := monitor(t, 120, 36, tc.snap(), incidents(), inColour)
			if tc.snap().Undo == "rotated openai prod-2 → prod-3" {
				m, src = monitor(t, 120, 36, tc.snap(), quiet(), inColour)
			}
			press(m, tc.keys...)
			if !slices.Equal(src.did, tc.want) {
				t.Errorf("did %+v\nwant %+v\n%s", src.did, tc.want, ansi.Strip(m.View()))
			}
		})
	}
}

func TestPasteIsText(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
	paste := func(s string) { settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s), Paste: true}) }
	paste("r")
	paste("rrrr")
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("this was not marked as a paste: r d u")})
	if len(src.did) != 0 || len(m.dialogs) != 0 {
		t.Fatalf("a paste did %+v and opened %d dialogs", src.did, len(m.dialogs))
	}
	press(m, "/")
	paste("open\x1b[31m\nrouter")
	if got := m.filter.input.String(); got != "open router" {
		t.Errorf("the filter is %q", got)
	}
	press(m, "ctrl+u")
	paste("openrouter")
	if len(m.lists[paneServices].ids) != 1 || m.lists[paneServices].ids[0] != "openrouter" {
		t.Errorf("rows %q", m.lists[paneServices].ids)
	}
}

func TestKeysTypedFast(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, healthy(), quiet(), inColour)
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jjj")})
	if m.service() != "openrouter" {
		t.Errorf("three j in one read select %q", m.service())
	}
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("/git")})
	if got := m.filter.input.String(); got != "git" || m.service() != "github" {
		t.Errorf("a filter typed in one read is %q and selects %q", got, m.service())
	}
}

func TestSelectionStaysWithItsName(t *testing.T) {
	t.Parallel()
	snap := healthy()
	m, src := monitor(t, 120, 36, snap, quiet(), inColour)
	press(m, "j", "enter", "j") // github, bot-5
	if m.service() != "github" || m.lists[paneKeys].chosen != "bot-5" {
		t.Fatalf("selected %s, %s", m.service(), m.lists[paneKeys].chosen)
	}
	// openai fails: it moves to the top, the rows below it move down.
	worse := healthy()
	for i := range worse.Keys {
		if strings.HasPrefix(worse.Keys[i].Name, "prod") {
			worse.Keys[i].State = engine.Revoked
		}
	}
	worse.Services[0].Usable = 0
	src.snap = worse
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if m.lists[paneServices].ids[0] != "openai" || m.service() != "github" || m.lists[paneKeys].chosen != "bot-5" {
		t.Errorf("rows %q, selected %s, %s", m.lists[paneServices].ids, m.service(), m.lists[paneKeys].chosen)
	}
	// github goes from the config: its neighbour is selected, nothing breaks.
	gone := healthy()
	gone.Services = slices.Delete(gone.Services, 2, 3)
	src.snap = gone
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if m.service() == "github" || m.selected() == nil {
		t.Errorf("selected %q", m.service())
	}
}

func TestNextProblem(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, trouble(), incidents(), inColour)
	var seen []string
	for range 7 {
		press(m, "!")
		seen = append(seen, m.service())
	}
	want := []string{"gemini", "librechat-ui", "智谱-对话", "anthropic", "video-proxy", "mistral", "gemini"}
	if !slices.Equal(seen, want) {
		t.Errorf("! goes to %q, want %q", seen, want)
	}
	press(m, append([]string{"/"}, append(letters("video"), "enter", "!")...)...)
	if m.service() != "mistral" && m.service() == "video-proxy" || !m.filter.query.empty() {
		t.Errorf("! from a filter goes to %q", m.service())
	}
}

func TestEnterAndEsc(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, trouble(), incidents(), inColour)
	press(m, "enter")
	if m.focus != paneKeys {
		t.Fatal("enter does not go to the keys")
	}
	press(m, "enter")
	if len(m.dialogs) != 1 || !m.dialogs[0].page() {
		t.Fatal("enter does not open the key")
	}
	press(m, "esc", "esc")
	if len(m.dialogs) != 0 || m.focus != paneServices {
		t.Error("esc does not come back")
	}
	press(m, "/", "x", "y", "enter", "esc")
	if !m.filter.query.empty() || len(m.lists[paneServices].ids) != 7 {
		t.Error("esc does not clear the filter")
	}
	press(m, "tab", "tab", "tab")
	if m.focus != paneServices {
		t.Error("tab does not go round")
	}
	press(m, "shift+tab")
	if m.focus != paneTimeline {
		t.Error("shift+tab does not go back")
	}
}

func TestErrorsAreToldAndGo(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 80, 24, trouble(), incidents(), noColour)
	var logged []error
	m.log = func(err error) { logged = append(logged, err) }
	src.err = errBusy
	press(m, "r")
	if v := m.View(); !strings.Contains(v, "✗ no other key of mistral is usable") {
		t.Errorf("the error is not shown:\n%s", v)
	}
	if len(logged) != 1 {
		t.Errorf("logged %v", logged)
	}
	m.Update(tickMsg(noon.Add(errorTime + time.Second)))
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if v := m.View(); strings.Contains(v, "no other key of mistral") {
		t.Error("the error stays for ever")
	}
}

func TestToastGoesAfterSixSeconds(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 80, 24, healthy(), quiet(), noColour)
	press(m, "r")
	for _, tc := range []struct {
		after time.Duration
		shown bool
	}{{0, true}, {5 * time.Second, true}, {6 * time.Second, false}} {
		m.Update(tickMsg(noon.Add(tc.after)))
		if got := strings.Contains(m.View(), "✓ rotate deepseek   u undo"); got != tc.shown {
			t.Errorf("after %v shown is %v", tc.after, got)
		}
	}
}

func TestQuit(t *testing.T) {
	t.Parallel()
	idle := healthy()
	idle.Proxy.InFlight = 0
	for _, tc := range []struct {
		name  string
		snap  engine.Snapshot
		own   bool
		keys  []string
		quits bool
	}{
		{"nothing in flight", idle, true, []string{"q"}, true},
		{"ctrl+c", idle, true, []string{"ctrl+c"}, true},
		{"in flight asks", healthy(), true, []string{"q"}, false},
		{"in flight, default is stay", healthy(), true, []string{"q", "enter"}, false},
		{"in flight, yes", healthy(), true, []string{"q", "y"}, true},
		{"ctrl+c twice is meant", healthy(), true, []string{"ctrl+c", "ctrl+c"}, true},
		{"ctrl+c in a menu asks", healthy(), true, []string{"R", "ctrl+c"}, false},
		{"not our proxy", healthy(), false, []string{"q"}, true},
		{"q in a filter is a letter", idle, true, []string{"/", "q"}, false},
		{"q closes a menu", idle, true, []string{"R", "q"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, _ := monitor(t, 120, 36, tc.snap, quiet(), inColour)
			m.own = tc.own
			var cmd tea.Cmd
			for _, k := range tc.keys {
				_, cmd = m.Update(keyMsg(k))
			}
			quits := false
			if cmd != nil {
				_, quits = cmd().(tea.QuitMsg)
			}
			if quits != tc.quits {
				t.Errorf("quits %v, want %v", quits, tc.quits)
			}
		})
	}
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	for own, want := range map[bool]bool{true: false, false: true} {
		m, _ := monitor(t, 80, 24, healthy(), quiet(), inColour)
		m.own = own
		_, cmd := m.Update(keyMsg("ctrl+z"))
		suspends := false
		if cmd != nil {
			_, suspends = cmd().(tea.SuspendMsg)
		}
		if suspends != want {
			t.Errorf("own %v: suspends %v", own, suspends)
		}
	}
}

func TestMouse(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
	at := func(text string) (x, y int) {
		t.Helper()
		for y, l := range strings.Split(ansi.Strip(m.View()), "\n") {
			if i := strings.Index(l, text); i >= 0 {
				return ansi.StringWidth(l[:i]), y
			}
		}
		t.Fatalf("%q is not on the screen:\n%s", text, ansi.Strip(m.View()))
		return 0, 0
	}
	click := func(text string) {
		x, y := at(text)
		settle(m, tea.MouseMsg{X: x, Y: y, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft})
		settle(m, tea.MouseMsg{X: x, Y: y, Action: tea.MouseActionRelease, Button: tea.MouseButtonLeft})
	}
	click("openai ")
	if m.service() != "openai" {
		t.Errorf("a click selects %q", m.service())
	}
	click("prod-2 ")
	if m.focus != paneKeys || m.lists[paneKeys].chosen != "prod-2" {
		t.Errorf("a click on a key selects %q", m.lists[paneKeys].chosen)
	}
	click("r rotate")
	if len(src.did) != 1 || src.did[0].Verb != engine.VerbRotate {
		t.Errorf("a click on a hint did %+v", src.did)
	}
	x, y := at("SERVICE")
	settle(m, tea.MouseMsg{X: x, Y: y, Action: tea.MouseActionPress, Button: tea.MouseButtonWheelUp})
	if m.service() != "deepseek" {
		t.Errorf("the wheel selects %q", m.service())
	}
	click("openai ")
	click("d disable")
	click("for 1 hour")
	if got := src.did[len(src.did)-1]; got.Verb != engine.VerbDisable || got.ForS != 3600 {
		t.Errorf("a click on an option did %+v", got)
	}
	click("github ")
	m.now = noon
	click("github ")
	if m.focus != paneKeys {
		t.Error("a second click does not open")
	}
}

func TestEventsStartAnewWithAnotherEngine(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, trouble(), incidents(), inColour)
	if len(m.state.events) != 12 {
		t.Fatalf("%d events", len(m.state.events))
	}
	src.snap, src.events = healthy(), quiet()
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if len(m.state.events) != 2 || m.seq != 2 {
		t.Errorf("%d events up to %d", len(m.state.events), m.seq)
	}
}

func TestAnEngineThatIsGoneLeavesWhatWasSeen(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 80, 24, healthy(), quiet(), noColour)
	src.snap = engine.Snapshot{}
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if v := m.View(); strings.Contains(v, "live") {
		t.Errorf("it is called live all the same:\n%s", v)
	}
	m.Update(tickMsg(noon.Add(12 * time.Second)))
	m.Update(fetch(src, m.seq, m.reqSeq)())
	v := m.View()
	for _, want := range []string{"keywheel has not answered for 12s", "no news for 12s", "openrouter"} {
		if !strings.Contains(v, want) {
			t.Errorf("%q is not on the screen:\n%s", want, v)
		}
	}
	src.snap = healthy()
	src.snap.At = noon.Add(13 * time.Second)
	m.Update(tickMsg(noon.Add(13 * time.Second)))
	m.Update(fetch(src, m.seq, m.reqSeq)())
	if v := m.View(); !strings.Contains(v, "live") {
		t.Errorf("it is back and not called live:\n%s", v)
	}
}

func TestUpdateNeverWaitsForTheSource(t *testing.T) {
	t.Parallel()
	src := &stuck{}
	m := New(src, Options{Zone: time.UTC}, func(string) string { return "" })
	m.scene = newScene(healthy(), nil)
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m.Update(tickMsg(noon))
	m.Update(keyMsg("r"))
	m.Update(tickMsg(noon.Add(time.Second)))
	_ = m.View()
	if src.asked {
		t.Error("Update or View asked the Source itself")
	}
}

// stuck is a Source that must not be asked.
type stuck struct{ asked bool }

func (s *stuck) Snapshot() engine.Snapshot               { s.asked = true; return engine.Snapshot{} }
func (s *stuck) Events(uint64) []engine.Event            { s.asked = true; return nil }
func (s *stuck) Do(engine.Action) (engine.Result, error) { s.asked = true; return engine.Result{}, nil }

func TestViewIsPure(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 200, 60, trouble(), incidents(), inColour)
	first := m.View()
	for range 3 {
		if m.View() != first {
			t.Fatal("two frames of one state differ")
		}
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	idle := healthy()
	idle.Proxy.InFlight = 0
	for name, program := range map[string]func() (*tea.Program, error){
		"q quits": func() (*tea.Program, error) {
			m := New(&fake{snap: idle}, Options{Own: true}, func(string) string { return "" })
			return tea.NewProgram(m, tea.WithInput(strings.NewReader("q")), tea.WithOutput(io.Discard), tea.WithoutSignalHandler()), nil
		},
		"the context ends it": func() (*tea.Program, error) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			m := New(&fake{snap: idle}, Options{Own: true}, func(string) string { return "" })
			return tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(strings.NewReader("")), tea.WithOutput(io.Discard), tea.WithoutSignalHandler()), tea.ErrProgramKilled
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, want := program()
			if _, err := p.Run(); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
		})
	}
}

func TestKeyTable(t *testing.T) {
	t.Parallel()
	table := KeyTable()
	for _, want := range []string{"| `r` | ", "| `j` `k` `↓` `↑` | ", "| `?` | "} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is not in\n%s", want, table)
		}
	}
	seen := map[string]string{}
	for _, a := range actions {
		for _, k := range a.keys {
			if seen[k] != "" {
				t.Errorf("%s does %s and %s", k, seen[k], a.name)
			}
			seen[k] = a.name
		}
		if a.doc == "" || a.show == "" || a.run == nil {
			t.Errorf("%s is not complete", a.name)
		}
	}
}

func TestNeedsASCII(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		env  map[string]string
		want bool
	}{
		{inColour, false}, {inASCII, true}, {map[string]string{"TERM": "dumb", "LANG": "C.UTF-8"}, true}, {map[string]string{}, false},
		{map[string]string{"LANG": "C"}, true}, {map[string]string{"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, true}, {map[string]string{"LC_CTYPE": "de_DE.utf8", "LANG": "C"}, false},
	} {
		if got := needsASCII(func(n string) string { return tc.env[n] }); got != tc.want {
			t.Errorf("%v: %v", tc.env, got)
		}
	}
}

// pulsing is a source that says when there is something new.
type pulsing struct {
	Source
	pulse uint64
}

func (p *pulsing) Pulse() uint64 { return p.pulse }

func (p *pulsing) Wait(ctx context.Context, _ uint64) ([]engine.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAnEventIsLookedAtSoon(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 80, 24, trouble(), incidents(), noColour)
	p := &pulsing{Source: src}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.ctx, m.src, m.lively = ctx, p, p
	m.lookedAt, m.fetching, m.pulse = m.now, false, 0
	soon := happenedMsg(m.now.Add(breath - time.Millisecond))
	if _, cmd := m.Update(soon); m.fetching || m.now != time.Time(soon) {
		t.Errorf("looked again %v after a look that brought all there is, and then %v", breath, cmd)
	}
	p.pulse = 1
	_, cmd := m.Update(soon)
	if m.fetching || cmd == nil {
		t.Fatal("an event right after a look is not looked at when the breath is over")
	}
	if _, ok := cmd().(happenedMsg); !ok {
		t.Fatal("something else comes when the breath is over")
	}
	if _, cmd = m.Update(happenedMsg(m.lookedAt.Add(breath))); !m.fetching || cmd == nil {
		t.Error("an event is not looked at")
	}
}

package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

func mustShow(t *testing.T, m *Model, texts ...string) {
	t.Helper()
	v := ansi.Strip(m.View())
	for _, text := range texts {
		if !strings.Contains(v, text) {
			t.Errorf("%q is not on the screen:\n%s", text, v)
		}
	}
}

func mustNotShow(t *testing.T, m *Model, texts ...string) {
	t.Helper()
	v := ansi.Strip(m.View())
	for _, text := range texts {
		if strings.Contains(v, text) {
			t.Errorf("%q is on the screen:\n%s", text, v)
		}
	}
}

func TestScreens(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, trouble(), incidents(), noColour)
	for _, tc := range []struct{ key, title string }{{"2", "━ Keys 18"}, {"3", "━ Timeline 12"}, {"4", "━ Traffic 7"}, {"5", "━ System"}, {"1", "━ Services 7"}} {
		press(m, tc.key)
		mustShow(t, m, tc.title)
	}
	// esc comes home, and each screen remembers where the keyboard was.
	press(m, "tab", "4", "esc")
	if m.screen != screenServices || m.focus != paneKeys {
		t.Errorf("screen %d, pane %d", m.screen, m.focus)
	}
	press(m, "5", "!")
	if m.screen != screenServices || m.service() != "mistral" {
		t.Errorf("! goes to screen %d, %s", m.screen, m.service())
	}
}

func TestTheFilterIsTheSameOnAllScreens(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		screen, filter string
		want           string
	}{
		{"1", "runway<1h", "anthropic mistral"},
		{"1", "quota<20 !state:down", "anthropic librechat-ui video-proxy"},
		{"2", "state:cooling", "team-c"},
		{"2", "quota<20 svc:video", "vid-1 vid-2"},
		{"2", "quota<=15% !svc:mistral", "vid-1 vid-2"},
		{"2", "runway<1h", "mi-1 mi-3 team-a"},
		{"2", "runway<41m runway>0", ""},
		{"2", "runway<60 runway>0", "team-a"},
		{"2", "fail>10", "team-a"},
		{"2", "inflight>0 !team", "vid-1"},
		{"2", "account:zhipu-main state:active", "主钥匙"},
		{"2", "svc:gemini !state:active", "free-4"},
		{"3", "kind:rotation", "12 7"},
		{"3", "by:amy", "4"},
		{"3", "age<1m svc:anthropic", "12 11"}, // and what happened to its keys
		{"3", "mi-2", "10 2"},
		{"4", "attempts>1", "5 3"},
		{"4", "status:429", "3"},
		{"4", "status:5xx", "5"},
		{"4", "status>=400 !turned", "5 4 1"},
		{"4", "took>1s", "5 3"},
		{"4", "waited>2s", "5"},
		{"4", "model:claude cost>0.005", "3"},
		{"4", "key:team-c", "3"},
		{"4", "tokens>1000", "6 3"},
		{"4", "192.168", "2"},
	} {
		t.Run(tc.screen+" "+tc.filter, func(t *testing.T) {
			t.Parallel()
			m, _ := monitor(t, 120, 36, trouble(), incidents(), noColour)
			press(m, tc.screen, "/")
			press(m, strings.Split(tc.filter, "")...)
			press(m, "enter")
			ids := slices.Clone(m.list().ids)
			if m.screen < screenTimeline {
				slices.Sort(ids)
			}
			if got := strings.Join(ids, " "); got != tc.want {
				t.Errorf("shows %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatIsNoFilter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"state<3": "state takes a word", "quota<many": `quota: "many" is no number`, "runway<soon": "runway:", "colour:red": `no field "colour"`, "x>1": `no field "x"`,
	} {
		if _, err := parseQuery(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	if _, err := parseQuery(strings.Repeat("x ", 65)); err == nil {
		t.Error("65 words are a filter")
	}
	for _, text := range []string{"quota<", "quota", "state:", "!", "!quota>=", "runway<1"} {
		if _, err := parseQuery(text); err != nil {
			t.Errorf("%s, which is still being typed: %v", text, err)
		}
	}
}

func TestSort(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 200, 60, trouble(), incidents(), noColour)
	press(m, "2")
	natural := slices.Clone(m.list().ids)
	seen := map[string]bool{}
	for range m.columnsOf(paneAll) {
		press(m, "s")
		if seen[m.list().column] {
			t.Fatalf("sorted by %q twice", m.list().column)
		}
		seen[m.list().column] = true
		up := slices.Clone(m.list().ids)
		press(m, "S")
		down := slices.Clone(m.list().ids)
		press(m, "S")
		if slices.Equal(up, down) && m.list().column != "RATE" || len(up) != len(natural) {
			t.Errorf("by %s: the other way round is the same", m.list().column)
		}
	}
	press(m, "s")
	if m.list().column != "" || !slices.Equal(m.list().ids, natural) {
		t.Error("s does not come back to the list's own order")
	}
	press(m, "s")
	if !slices.IsSorted(m.list().ids) {
		t.Errorf("by name: %q", m.list().ids)
	}
	mustShow(t, m, "key ↑")
	// A click on a heading sorts by it, another turns it round.
	for _, want := range []bool{false, true} {
		for _, z := range m.draw().zones {
			if z.kind == zoneHead && z.name == "RATE" {
				settle(m, tea.MouseMsg{X: z.x + z.w - 1, Y: z.y, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft})
				break
			}
		}
		if l := m.list(); l.column != "RATE" || l.reverse != want {
			t.Errorf("sorted by %q, reverse %v", l.column, l.reverse)
		}
	}
}

// TestMapMarksWhatIsRequired shows on the map which service has to be served and
// has no usable key.
func TestMapMarksWhatIsRequired(t *testing.T) {
	t.Parallel()
	snap := trouble()
	for i := range snap.Services {
		snap.Services[i].Required = true
	}
	m, _ := monitor(t, 200, 60, snap, nil, noColour)
	press(m, "2", "m")
	mustShow(t, m, "mistral (required!)", "PURPOSE")
	mustNotShow(t, m, "gemini (required!)")
}

func TestGroups(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, thousands(), nil, noColour)
	press(m, "2")
	if n := len(m.all); n > 200 {
		t.Errorf("%d rows for 5,000 keys, most of them well", n)
	}
	mustShow(t, m, "+ service-00", "4,948 active", "◔ 52 cooling")
	first := m.list().chosen
	press(m, "enter")
	if m.list().chosen != first || len(m.all) < 4000 {
		t.Errorf("enter does not open a group: %d rows", len(m.all))
	}
	press(m, "j", "enter")
	if len(m.dialogs) != 1 {
		t.Error("enter does not open a key in a group")
	}
	press(m, "esc", "k", " ")
	if len(m.marks.keys) != 5000 {
		t.Errorf("a group's mark is on %d keys", len(m.marks.keys))
	}
	press(m, "esc", "c")
	mustShow(t, m, "by provider")
	press(m, "c", "c")
	if len(m.all) != 5000 || m.all[0].group != nil {
		t.Errorf("without groups there are %d rows", len(m.all))
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), noColour)
	press(m, "f")
	before := m.View()
	worse := trouble()
	worse.At, worse.LastSeq = noon, 13
	worse.Services = append(worse.Services, healthy().Services...)
	worse.Keys = append(worse.Keys, healthy().Keys...)
	src.snap, src.events = worse, append(quiet(), engine.Event{Seq: 13, At: noon, Kind: engine.EventDown, Service: "mistral", Text: "down: no key can serve"})
	m.Update(fetch(src, m.seq, m.reqSeq)())
	mustShow(t, m, "frozen", "mistral went down since", "Services 4")
	mustNotShow(t, m, "down: no key can serve")
	if before == m.View() {
		t.Error("nobody is told what went down meanwhile")
	}
	// What changes something follows first.
	press(m, "r")
	if m.frozen != nil || len(src.did) != 1 {
		t.Errorf("frozen %v, did %v", m.frozen, src.did)
	}
	mustShow(t, m, "Services 11", "down: no key can serve")
}

func TestTimeWindow(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, trouble(), incidents(), noColour)
	press(m, "3", "+")
	mustShow(t, m, "last 15m", "━ Timeline 7")
	press(m, "-")
	mustShow(t, m, "━ Timeline 12")
}

func TestFollowing(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, trouble(), incidents(), noColour)
	more := func(seq uint64) {
		src.requests = append(src.requests, engine.RequestRecord{Seq: seq, At: noon, Service: "later", Outcome: engine.OutcomeServed})
		m.Update(fetch(src, m.seq, m.reqSeq)())
	}
	press(m, "4")
	if m.selectedRequest() != nil {
		t.Error("a request is selected that nobody selected")
	}
	press(m, "w")
	if got := m.view(); !strings.Contains(got, "Why this request") || !strings.Contains(got, "attempt 2") {
		t.Errorf("w does not tell of the last request that was not plain, which stands beside the list:\n%s", got)
	}
	press(m, "esc")
	press(m, "j", "j")
	chosen := m.list().chosen
	more(8)
	if m.list().chosen != chosen || m.selectedRequest() == nil {
		t.Errorf("the selection went from %s to %s", chosen, m.list().chosen)
	}
	press(m, "esc")
	if !m.list().follow || m.screen != screenTraffic {
		t.Error("esc does not follow again")
	}
	more(9)
	if m.traffic[0].Seq != 9 || m.list().offset != 0 {
		t.Error("the newest is not at the top")
	}
}

func TestPalette(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typed string
		want  string // the first that is found
	}{
		{"rot", "rotate"}, {"dis", "disable"}, {"tra", "traffic"}, {"rvs", "reverse"}, {"UNDO", "undo"}, {"leaked", "replace"}, {"teapot", ""}, {"nxt prb", "next problem"}, {"clipboard", "copy"},
	} {
		m, _ := monitor(t, 120, 36, healthy(), quiet(), noColour)
		list := found(&m.state, tc.typed)
		got := ""
		if len(list) > 0 {
			got = list[0].name
		}
		if got != tc.want {
			t.Errorf("%q finds %q, want %q", tc.typed, got, tc.want)
		}
	}
	m, src := monitor(t, 120, 36, healthy(), quiet(), noColour)
	press(m, append([]string{":"}, letters("rotate")...)...)
	if len(src.did) > 0 {
		t.Fatal("typing in the palette did something")
	}
	press(m, "enter")
	if verbs(src.did) != "rotate deepseek" || len(m.dialogs) > 0 {
		t.Errorf("did %q", verbs(src.did))
	}
	press(m, append(append([]string{":"}, letters("traffic")...), "enter")...)
	if m.screen != screenTraffic {
		t.Errorf("screen %d", m.screen)
	}
	press(m, append(append([]string{":"}, letters("mark all")...), "enter")...)
	mustShow(t, m, "mark all means nothing here")
	settle(m, keyMsg(":"))
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("quit\nq"), Paste: true})
	if len(m.dialogs) != 1 || m.dialogs[0].input.String() != "quit q" {
		t.Error("a paste in the palette is not text")
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		keys []string
		want string
	}{
		{[]string{"y"}, "mistral"},
		{[]string{"enter", "y"}, "mi-1"},
		{[]string{"2", " ", " ", "y"}, "glm-3 mi-2"},
		{[]string{"4", "g", "y"}, "pp11qq22rr"},
		{[]string{"4", "y"}, ""},
		{[]string{"5", "y"}, ""},
	} {
		var out strings.Builder
		m, _ := monitor(t, 120, 36, trouble(), incidents(), noColour)
		m.write = &out
		press(m, tc.keys...)
		want := ""
		if tc.want != "" {
			want = ansi.SetSystemClipboard(tc.want)
		}
		if out.String() != want {
			t.Errorf("%q copies %q, want %q", tc.keys, out.String(), want)
		}
	}
}

// A click on a request beside the services goes to the screen of requests.
func TestAClickOnARecentRequest(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 200, 60, trouble(), incidents(), noColour)
	for _, z := range m.draw().zones {
		if z.kind == zoneRow && z.pane == paneTraffic && z.name == "3" {
			settle(m, tea.MouseMsg{X: z.x, Y: z.y, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft})
		}
	}
	if r := m.selectedRequest(); m.screen != screenTraffic || r == nil || r.Seq != 3 {
		t.Fatalf("screen %d, request %v", m.screen, m.selectedRequest())
	}
	mustShow(t, m, "attempt 1  team-c ·1c2d  429 rate limited", "served: the client saw no error")
}

func TestZoom(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 120, 36, trouble(), incidents(), noColour)
	press(m, "shift+tab", "z")
	mustShow(t, m, "Timeline")
	mustNotShow(t, m, "━ Services", "─ Services")
	press(m, "esc")
	mustShow(t, m, "─ Services")
}

func TestBrokenStates(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), noColour)
	src.system.ReloadError = `keywheel.toml:12: unknown key "strateggy", did you mean "strategy"?`
	src.system.Journal = &engine.JournalStatus{Path: "/j.db", Queued: 4096, BehindS: 12, Error: "no space left on device"}
	m.Update(fetch(src, m.seq, m.reqSeq)())
	mustShow(t, m, "✗ The changed config was not taken: keywheel.toml:12", "The old one", "journal is behind by 4,096 entries, 12s: no space left on device")
	press(m, "5")
	mustShow(t, m, "not taken: keywheel.toml:12", "✗ /j.db", "cannot be written: no space left on device")

	quietly, _ := monitor(t, 120, 36, healthy(), quiet(), noColour)
	quietly.src = terse{src}
	quietly.requests = nil
	quietly.Update(fetch(quietly.src, quietly.seq, 0)())
	press(quietly, "4")
	mustShow(t, quietly, "does not tell of single requests")
	press(quietly, "5")
	mustShow(t, quietly, "127.0.0.1:5399", "tells no more about itself")

	m.Update(doneMsg{actions: make([]engine.Action, 3), done: make([]engine.Action, 2), results: make([]engine.Result, 2), failed: []error{errors.New("k7 is draining already")}})
	mustShow(t, m, "✗ 2 of 3 done. k7 is draining already")
}

// A screen on which nothing happens is not written to: two frames differ in
// the line with the clock only.
func TestNothingChangesNothingIsWritten(t *testing.T) {
	t.Parallel()
	for i, s := range screens {
		snap := healthy()
		snap.UptimeS = 7200
		m, src := monitor(t, 120, 36, snap, nil, inColour)
		src.requests = nil
		m.requests = nil
		m.Update(keyMsg(string(rune('1' + i))))
		before := strings.Split(m.View(), "\n")
		src.snap.At, src.snap.UptimeS = noon.Add(time.Second), 7201
		m.Update(tickMsg(noon.Add(time.Second)))
		m.Update(fetch(src, m.seq, m.reqSeq)())
		for y, l := range strings.Split(m.View(), "\n") {
			if y > 0 && l != before[y] {
				t.Errorf("%s: line %d was %q\nand is %q", s.name, y, before[y], l)
			}
		}
	}
}

func TestFirstCurl(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*engine.Snapshot)
		want   string
	}{
		{"plain", func(*engine.Snapshot) {}, "curl http://127.0.0.1:5399/chat/v1/models"},
		{"every address", func(s *engine.Snapshot) { s.Proxy.Listen = "0.0.0.0:5399" }, "curl http://127.0.0.1:5399/chat/v1/models"},
		{"over TLS", func(s *engine.Snapshot) { s.Proxy.TLS = true }, "curl https://127.0.0.1:5399/chat/v1/models"},
		{"not planned ones", func(s *engine.Snapshot) { s.Services[0].Planned = true }, "curl http://127.0.0.1:5399/git/rate_limit"},
		{"without a token first", func(s *engine.Snapshot) { s.Services[0].TokenRef = "env:CHAT_TOKEN" }, "curl http://127.0.0.1:5399/git/rate_limit"},
		{"with a token", func(s *engine.Snapshot) {
			s.Services[0].TokenRef, s.Services[1].TokenRef = "env:CHAT_TOKEN", "file:token"
		}, `curl -H "Authorization: Bearer $CHAT_TOKEN" http://127.0.0.1:5399/chat/v1/models`},
		{"no key", func(s *engine.Snapshot) { s.Services[0].Usable, s.Services[1].Usable = 0, 0 }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			snap := engine.Snapshot{At: noon, Proxy: engine.ProxyStatus{Listen: "127.0.0.1:5399"}, Services: []engine.ServiceStatus{
				{Name: "chat", Kind: "openai", Usable: 1}, {Name: "git", Kind: "github", Provider: "gh", Usable: 1}}}
			tc.change(&snap)
			st := newState()
			st.scene, st.byNeed = newScene(snap, nil), []string{"chat", "git"}
			if got := st.firstCurl(); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestWhatHelpsAServiceThatIsDown(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 80, 24, trouble(), incidents(), noColour)
	s := m.scene.byName["mistral"]
	m.lists[paneServices].chosen = s.Name
	for _, tc := range []struct {
		state engine.State
		back  *time.Time
		want  string
	}{
		{engine.Revoked, nil, "[[x replace] [R lift holds] [w why]]"},
		{engine.Revoked, after(time.Minute), "[[R lift holds] [w why]]"},
		{engine.Cooling, after(time.Minute), "[[R lift holds] [w why]]"},
		{engine.Disabled, nil, "[[e enable] [w why]]"},
	} {
		s.states = [engine.Active + 1]int{}
		s.states[tc.state], s.FirstBack, m.replaces = 1, tc.back, true
		if got := fmt.Sprint(m.helps(s)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.state, got, tc.want)
		}
	}
	for _, l := range flow([]para{m.downBanner(s, 1, m.helps(s))}, 34) { // no letter parts from its word
		if text := strings.TrimRight(plainText(l), " "); strings.HasSuffix(text, " e") || strings.HasSuffix(text, "  w") {
			t.Errorf("a line ends in a letter: %q", text)
		}
	}
}

func plainText(spans []span) (text string) {
	for _, s := range spans {
		text += s.s
	}
	return text
}

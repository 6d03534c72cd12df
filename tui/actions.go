package tui

import (
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// action is something a key does. The table of them feeds the footer, the help
// and the README.
type action struct {
	keys []string // as Bubble Tea names them
	show string   // as people read them
	name string
	hint string // its word in the footer; "" keeps it out
	doc  string
	// when says whether it means something now; nil is always.
	when func(st *state) bool
	run  func(m *Model, key string) tea.Cmd
}

func (a *action) applies(st *state) bool { return a.when == nil || a.when(st) }

// hintKey is the first of its keys, as people read it.
func (a *action) hintKey() string {
	key, _, _ := strings.Cut(a.show, " ")
	return key
}

var actions []action

func init() {
	actions = []action{
		{keys: []string{"enter"}, show: "↵", name: "open", hint: "open", doc: "go deeper: service, its keys, a key in full; an event in full", when: hasService, run: plainly(deeper)},
		{keys: []string{"r"}, show: "r", name: "rotate", hint: "rotate", doc: "move the service on to its next key", when: hasService, run: plainly(rotate)},
		{keys: []string{"d"}, show: "d", name: "disable", hint: "disable", doc: "disable the key: until enabled, 1h, 8h or a time of your own; says what is left first", when: canDisable, run: plainly(askDisable)},
		{keys: []string{"e"}, show: "e", name: "enable", hint: "enable", doc: "enable a disabled or draining key", when: canEnable, run: plainly(enable)},
		{keys: []string{"R"}, show: "R", name: "reset", hint: "reset", doc: "lift the holds of the service or key; or zero its counters too", when: hasService, run: plainly(askReset)},
		{keys: []string{"p"}, show: "p", name: "pin", hint: "pin", doc: "pin the service to the key for a time, or unpin it", when: canPin, run: plainly(askPin)},
		{keys: []string{"w"}, show: "w", name: "why", hint: "why", doc: "why: the last rotation in full, or everything that holds a key", when: hasService, run: plainly(why)},
		{keys: []string{"!"}, show: "!", name: "next problem", hint: "problem", doc: "go to the next service that needs you", when: hasProblem, run: plainly(nextProblem)},
		{keys: []string{"/"}, show: "/", name: "filter", hint: "filter", doc: "filter by words, `state:cooling` or `!word`, as you type", when: hasServices, run: plainly(startFilter)},
		{keys: []string{"u"}, show: "u", name: "undo", hint: "undo", doc: "take the last action back", when: canUndo, run: plainly(askUndo)},
		{keys: []string{"j", "down", "k", "up"}, show: "j k ↓ ↑", name: "move", doc: "down, up", run: move},
		{keys: []string{"g", "home", "G", "end"}, show: "g G", name: "ends", doc: "first, last", run: move},
		{keys: []string{"ctrl+d", "ctrl+u", "pgdown", "pgup"}, show: "ctrl+d ctrl+u pgdn pgup", name: "pages", doc: "half a page, a page", run: move},
		{keys: []string{"tab", "l", "right", "shift+tab", "h", "left"}, show: "tab shift+tab l h", name: "panes", doc: "next, previous pane", when: hasServices, run: changePane},
		{keys: []string{"esc"}, show: "esc", name: "back", doc: "back, clear the filter, close", run: plainly(back)},
		{keys: []string{"?"}, show: "?", name: "help", doc: "this help", run: plainly(help)},
		{keys: []string{"M"}, show: "M", name: "mouse", doc: "mouse off, to select text with it, and on again", run: plainly(toggleMouse)},
		{keys: []string{"q", "ctrl+c"}, show: "q ctrl+c", name: "quit", doc: "quit; asks while requests are in flight through the proxy", run: plainly(askQuit)},
		{keys: []string{"ctrl+z"}, show: "ctrl+z", name: "suspend", doc: "suspend, unless this monitor runs the proxy", run: plainly(suspend)},
	}
}

func plainly(run func(m *Model) tea.Cmd) func(*Model, string) tea.Cmd {
	return func(m *Model, _ string) tea.Cmd { return run(m) }
}

// actionFor finds what a key does, nil if nothing.
func actionFor(key string) *action {
	for i := range actions {
		if slices.Contains(actions[i].keys, key) {
			return &actions[i]
		}
	}
	return nil
}

func hasServices(st *state) bool { return st.scene != nil && len(st.scene.services) > 0 }

func hasService(st *state) bool { return st.selected() != nil }

func canDisable(st *state) bool {
	k := st.subjectKey()
	return hasService(st) && k != nil && (k.State != engine.Disabled || k.Until != nil)
}

func canEnable(st *state) bool {
	if st.focus == paneKeys {
		k := st.selectedKey()
		return k != nil && (k.State == engine.Disabled || k.Draining)
	}
	return len(disabledKeys(st)) > 0
}

func canPin(st *state) bool {
	s := st.selected()
	return s != nil && (s.Pinned != "" || st.subjectKey() != nil)
}

func canUndo(st *state) bool { return st.scene != nil && st.scene.snap.Undo != "" }

func hasProblem(st *state) bool {
	if st.scene == nil {
		return false
	}
	for i := range st.scene.services {
		if st.scene.services[i].rank.needsYou() {
			return true
		}
	}
	return false
}

func deeper(m *Model) tea.Cmd {
	switch m.focus {
	case paneServices:
		m.focus = paneKeys
		m.arrange()
	case paneKeys:
		if k := m.selectedKey(); k != nil {
			name := k.Name
			m.open(&dialog{title: "Key " + name, body: func(st *state) []para { return st.whySelection(paneKeys, name, 0) }})
		}
	default:
		return why(m)
	}
	return nil
}

func why(m *Model) tea.Cmd {
	focus, name, seq := m.focus, m.service, m.event
	title := "Why: " + name
	switch focus {
	case paneKeys:
		k := m.selectedKey()
		if k == nil {
			return nil
		}
		name, title = k.Name, "Why: "+k.Name
	case paneTimeline:
		title = "Why"
	}
	m.open(&dialog{title: title, body: func(st *state) []para { return st.whySelection(focus, name, seq) }})
	return nil
}

func rotate(m *Model) tea.Cmd {
	return m.do(engine.Action{Verb: engine.VerbRotate, Service: m.service})
}

// nextProblem selects the next service that needs a person, also one that the
// filter hides.
func nextProblem(m *Model) tea.Cmd {
	names := m.order()
	at := slices.Index(names, m.service)
	for i := 1; i <= len(names); i++ {
		name := names[(at+i)%len(names)]
		if s := m.scene.byName[name]; s == nil || !s.rank.needsYou() {
			continue
		}
		if !slices.Contains(m.rows, name) {
			m.clearFilter()
		}
		m.focus = paneServices
		m.choose(paneServices, slices.Index(m.rows, name))
		return nil
	}
	return nil
}

func startFilter(m *Model) tea.Cmd {
	m.filter.typing = true
	m.filter.input.at = len(m.filter.input.text)
	return nil
}

func move(m *Model, key string) tea.Cmd {
	l := m.layout()
	at, page := m.position(m.focus), l.rows(m.focus)
	switch key {
	case "j", "down":
		at++
	case "k", "up":
		at--
	case "g", "home":
		at = 0
	case "G", "end":
		at = m.count(m.focus) - 1
	case "ctrl+d":
		at += max(page/2, 1)
	case "ctrl+u":
		at -= max(page/2, 1)
	case "pgdown":
		at += page
	case "pgup":
		at -= page
	}
	m.choose(m.focus, at)
	return nil
}

func changePane(m *Model, key string) tea.Cmd {
	step := paneID(1)
	if key == "shift+tab" || key == "h" || key == "left" {
		step = panes - 1
	}
	m.focus = (m.focus + step) % panes
	m.arrange()
	return nil
}

// back goes up one step: from a pane to the services, then out of the filter.
func back(m *Model) tea.Cmd {
	switch {
	case m.toast.shown(m.now) && m.toast.err:
		m.toast = toast{}
	case m.focus != paneServices:
		m.focus = paneServices
		m.arrange()
	default:
		m.clearFilter()
	}
	return nil
}

func help(m *Model) tea.Cmd {
	m.open(&dialog{title: "Keys and signs", body: helpParas})
	return nil
}

func toggleMouse(m *Model) tea.Cmd {
	m.mouseOff = !m.mouseOff
	if m.mouseOff {
		m.toast = toastFor(m.now, "mouse off: select text as usual; M turns it on", false, nil)
		return tea.DisableMouse
	}
	m.toast = toastFor(m.now, "mouse on", false, nil)
	return tea.EnableMouseCellMotion
}

func suspend(m *Model) tea.Cmd {
	if m.own {
		m.toast = toast{text: "not suspended: this monitor runs the proxy. Use keywheel serve, and keywheel attach to watch it", err: true, until: m.now.Add(errorTime)}
		return nil
	}
	return tea.Suspend
}

// toastFor is a toast that stays for a time that fits what it says.
func toastFor(now time.Time, text string, undo bool, err error) toast {
	if err != nil {
		return toast{text: err.Error(), err: true, until: now.Add(errorTime)}
	}
	return toast{text: text, undo: undo, until: now.Add(toastTime)}
}

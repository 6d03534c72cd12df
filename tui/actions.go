package tui

import (
	"cmp"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// action is something a key does. The table of them feeds the footer, the
// palette, the help and the README.
type action struct {
	keys []string // as Bubble Tea names them
	show string   // as people read them
	name string
	hint string // its word in the footer; "" keeps it out
	doc  string
	// each names its keys one by one where they do different things.
	each []string
	// acts is true of what changes something: a frozen screen follows again
	// first, so that nobody acts on the past.
	acts bool
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
		{keys: []string{"enter"}, show: "↵", name: "open", hint: "open", doc: "go deeper: service, its keys, a key in full; an event or request in full; fold a group", when: hasSelection, run: plainly(deeper)},
		{keys: []string{"r"}, show: "r", name: "rotate", hint: "rotate", doc: "move the service on to its next key", acts: true, when: canRotate, run: plainly(rotate)},
		{keys: []string{"d"}, show: "d", name: "disable", hint: "disable", doc: "disable the key: until enabled, 1h, 8h or a time of your own, with a reason; says what is left first", acts: true, when: canDisable, run: plainly(askDisable)},
		{keys: []string{"e"}, show: "e", name: "enable", hint: "enable", doc: "enable a disabled or draining key", acts: true, when: canEnable, run: plainly(enable)},
		{keys: []string{"R"}, show: "R", name: "reset", hint: "reset", doc: "lift the holds of the service or key; or zero its counters too", acts: true, when: canReset, run: plainly(askReset)},
		{keys: []string{"p"}, show: "p", name: "pin", hint: "pin", doc: "pin the service to the key for a time, or unpin it", acts: true, when: canPin, run: plainly(askPin)},
		{keys: []string{"t"}, show: "t", name: "test", hint: "test", doc: "ask the provider whether the key is valid, or each of the service's: one free call", when: canTest, run: plainly(testKeys)},
		{keys: []string{"D"}, show: "D", name: "drain", doc: "drain the key: no new requests, those under way finish", acts: true, when: canDrain, run: plainly(askDrain)},
		{keys: []string{"x"}, show: "x", name: "replace", doc: "replace the key's secret, which leaked or is old: the new one is typed unseen, tested and switched to, the old one drains; cannot be undone", acts: true, when: canReplace, run: plainly(askReplace)},
		{keys: []string{"X"}, show: "X", name: "migrate", doc: "move the service to a key of its own: tested, switched to, verified with live traffic, rolled back if it fails; or back to the keys of the config", acts: true, when: canMigrate, run: plainly(askMigrate)},
		{keys: []string{"L"}, show: "L", name: "lend", doc: "lend the key to another service for a time", acts: true, when: canLend, run: plainly(askLend)},
		{keys: []string{"U"}, show: "U", name: "unlend", doc: "end a lend of the key, or to the service, before its time", acts: true, when: canUnlend, run: plainly(askUnlend)},
		{keys: []string{"w"}, show: "w", name: "why", hint: "why", doc: "why: the last rotation, every hold of a key, every attempt of a request", when: hasSelection, run: plainly(why)},
		{keys: []string{"/"}, show: "/", name: "filter", hint: "filter", doc: "filter as you type: words, `state:cooling`, `quota<20`, `runway<1h`, `!disabled`", when: canFilter, run: plainly(startFilter)},
		{keys: []string{"n", "N"}, show: "n N", name: "matches", each: []string{"next match", "previous match"}, doc: "the next of what the filter lets through, round and round; the one before", when: filtered, run: nextMatch},
		{keys: []string{":"}, show: ":", name: "commands", hint: "command", doc: "every action by name", run: plainly(openPalette)},
		{keys: []string{"!"}, show: "!", name: "next problem", hint: "problem", doc: "go to the next service that needs you", when: hasProblem, run: plainly(nextProblem)},
		{keys: []string{"u"}, show: "u", name: "undo", hint: "undo", doc: "take the last action back, or all of it that was done at once", acts: true, when: canUndo, run: plainly(askUndo)},
		{keys: []string{"ctrl+r"}, show: "ctrl+r", name: "redo", doc: "do again what was just taken back", acts: true, when: canRedo, run: plainly(redo)},
		{keys: []string{" "}, show: "space", name: "mark", hint: "mark", doc: "mark for the next action, or take the mark away", when: canMark, run: plainly(mark1)},
		{keys: []string{"v"}, show: "v", name: "mark range", doc: "mark from the last mark to here", when: canMark, run: plainly(markRange)},
		{keys: []string{"*"}, show: "*", name: "mark all", doc: "mark all that is shown, or nothing", when: canMark, run: plainly(markAll)},
		{keys: []string{"s", "S"}, show: "s S", name: "sort", hint: "sort", each: []string{"sort", "reverse"}, doc: "sort by the next column; the other way round", when: canSort, run: sortBy},
		{keys: []string{"c"}, show: "c", name: "group", hint: "group", doc: "group keys by service, provider, account or not at all; cost by key, service, model or account", when: onKeys, run: plainly(regroup)},
		{keys: []string{"m"}, show: "m", name: "map", hint: "map/cost", doc: "on screen 2: keys, the map of which key is whose, cost", when: onKeys, run: plainly(nextAspect)},
		{keys: []string{"z"}, show: "z", name: "zoom", hint: "zoom", doc: "give the pane all the room, or back", when: hasScene, run: plainly(zoom)},
		{keys: []string{"f"}, show: "f", name: "freeze", hint: "freeze", doc: "freeze the screen, or follow again", when: hasScene, run: plainly(freeze)},
		{keys: []string{"+", "-"}, show: "+ -", name: "time", each: []string{"more time", "less time"}, doc: "how far back: 15m, 1h, 6h, 24h, all", when: hasScene, run: widen},
		{keys: []string{"y"}, show: "y", name: "copy", doc: "copy the name to the clipboard; never a secret", when: canCopy, run: plainly(copyName)},
		{keys: []string{"E"}, show: "E", name: "client", doc: "what to set in the service's client, here or in a container; and how a new key, a service or a .env comes in", when: hasServices, run: plainly(showClient)},
		{keys: []string{"o"}, show: "o", name: "open config", doc: "open the config in your editor", when: editable, run: plainly(edit)},
		{keys: []string{"1", "2", "3", "4", "5"}, show: "1 2 3 4 5", name: "screens", each: screenNames(), doc: "services, keys, timeline, traffic, system", run: goTo},
		{keys: []string{"j", "down", "k", "up"}, show: "j k ↓ ↑", name: "move", doc: "down, up", run: move},
		{keys: []string{"g", "home", "G", "end"}, show: "g G", name: "ends", doc: "first, last", run: move},
		{keys: []string{"ctrl+d", "ctrl+u", "pgdown", "pgup"}, show: "ctrl+d ctrl+u pgdn pgup", name: "pages", doc: "half a page, a page", run: move},
		{keys: []string{"tab", "l", "right", "shift+tab", "h", "left"}, show: "tab shift+tab l h", name: "panes", doc: "next, previous pane", when: hasScene, run: changePane},
		{keys: []string{"esc"}, show: "esc", name: "back", doc: "back: close, unmark, unzoom, follow, clear the filter, home", run: plainly(back)},
		{keys: []string{"?"}, show: "?", name: "help", doc: "help for this screen; again: all keys", run: plainly(help)},
		{keys: []string{"M"}, show: "M", name: "mouse", doc: "mouse off, to select text with it, and on again", run: plainly(toggleMouse)},
		{keys: []string{"q", "ctrl+c"}, show: "q ctrl+c", name: "quit", doc: "quit; asks while requests are in flight through the proxy", run: plainly(askQuit)},
		{keys: []string{"ctrl+z"}, show: "ctrl+z", name: "suspend", doc: "suspend, unless this monitor runs the proxy", run: plainly(suspend)},
	}
}

func screenNames() (names []string) {
	for _, s := range screens {
		names = append(names, strings.ToLower(s.name))
	}
	return names
}

// perform does what a key does.
func (m *Model) perform(a *action, key string) tea.Cmd {
	if a.acts && m.frozen != nil {
		m.thaw()
		if !a.applies(&m.state) {
			return nil
		}
	}
	return a.run(m, key)
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

func hasScene(st *state) bool { return st.scene != nil }

func hasServices(st *state) bool { return st.scene != nil && len(st.scene.services) > 0 }

func canFilter(st *state) bool { return hasServices(st) && st.screen != screenSystem }

// hasSelection reports whether something is selected that can be opened.
func hasSelection(st *state) bool {
	if st.focus == paneTraffic {
		return st.scene != nil && st.toldRequest() != nil
	}
	return st.scene != nil && st.focus != paneSystem && !st.summed() && st.list().pick() != ""
}

func canRotate(st *state) bool { return len(st.targetServices()) > 0 }

func canDisable(st *state) bool {
	return len(st.marks.of(paneServices)) == 0 && slices.ContainsFunc(st.targetKeys(), func(k *engine.KeyStatus) bool {
		return k.State != engine.Disabled || k.Until != nil
	})
}

func canDrain(st *state) bool {
	return slices.ContainsFunc(st.targetKeys(), func(k *engine.KeyStatus) bool { return !k.Draining && k.State == engine.Active })
}

func canEnable(st *state) bool { return len(st.toEnable()) > 0 }

func canReset(st *state) bool {
	return len(st.targetServices()) > 0 || len(st.targetKeys()) > 0
}

func canPin(st *state) bool {
	keys := st.targetKeys()
	if s := st.subjectService(); s != nil && s.Pinned != "" && st.focus == paneServices {
		return true
	}
	return len(keys) == 1 && len(st.pinnable(keys[0])) > 0
}

func onKeys(st *state) bool { return st.scene != nil && st.screen == screenKeys }

func canSort(st *state) bool {
	return st.scene != nil && st.focus != paneSystem && len(st.list().ids) > 0
}

func canCopy(st *state) bool { return st.copyText() != "" }

func editable(st *state) bool {
	return st.scene != nil && st.own && st.scene.system != nil && st.scene.system.Config != ""
}

func canUndo(st *state) bool {
	return st.scene != nil && (st.scene.snap.Undo != "" || st.scene.snap.UndoRefused != "")
}

func canRedo(st *state) bool { return st.scene != nil && len(st.undone) > 0 }

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
		return nil
	case paneAll:
		for i := range m.all {
			if r := &m.all[i]; r.group != nil && r.id == m.list().chosen {
				if m.folded == nil {
					m.folded = map[string]bool{}
				}
				m.folded[r.id] = !r.group.folded
				m.arrange()
				return nil
			}
		}
	}
	return why(m)
}

// why opens all that is known of the selection.
func why(m *Model) tea.Cmd {
	id, name := m.focus, m.list().pick()
	title := "Why: " + name
	switch id {
	case paneAll, paneKeys:
		if m.scene.keys[name] == nil {
			return nil // a group
		}
		title = "Key " + name
	case paneTimeline:
		title = "Why"
	case paneTraffic:
		title, name = "Why this request", requestName(m.toldRequest())
	}
	m.open(&dialog{title: title, body: func(st *state) []para { return st.whySelection(id, name) }})
	return nil
}

func rotate(m *Model) tea.Cmd {
	var list []engine.Action
	for _, s := range m.targetServices() {
		list = append(list, engine.Action{Verb: engine.VerbRotate, Service: s.Name})
	}
	return m.do(list...)
}

// nextProblem selects the next service that needs a person, also one that the
// filter hides.
func nextProblem(m *Model) tea.Cmd {
	names := m.order()
	at := slices.Index(names, m.service())
	if m.screen != screenServices {
		at = -1 // the first one
	}
	for i := 1; i <= len(names); i++ {
		name := names[(at+i+len(names))%len(names)]
		if s := m.scene.byName[name]; s == nil || !s.rank.needsYou() {
			continue
		}
		m.show(screenServices)
		m.focus = paneServices
		m.arrange()
		if !slices.Contains(m.list().ids, name) {
			m.clearFilter()
		}
		m.choose(paneServices, slices.Index(m.list().ids, name))
		return nil
	}
	return nil
}

func startFilter(m *Model) tea.Cmd {
	m.filter.typing = true
	m.filter.input.at = len(m.filter.input.text)
	return nil
}

// filtered reports whether a filter is in force that something matches.
func filtered(st *state) bool {
	return canFilter(st) && !st.filter.query.empty() && len(st.list().ids) > 0
}

func nextMatch(m *Model, key string) tea.Cmd {
	n := len(m.list().ids)
	m.choose(m.focus, (m.list().at()+pick(key == "n", 1, n-1))%n)
	return nil
}

func move(m *Model, key string) tea.Cmd {
	l := m.layout()
	page := l.rows(m.focus)
	if m.focus == paneSystem {
		const all = 1 << 20
		m.scrollSystem(map[string]int{"j": 1, "down": 1, "k": -1, "up": -1, "g": -all, "home": -all, "G": all, "end": all,
			"ctrl+d": page / 2, "ctrl+u": -page / 2, "pgdown": page, "pgup": -page}[key])
		return nil
	}
	list := m.list()
	at := list.at()
	switch key {
	case "j", "down":
		at++
	case "k", "up":
		at--
	case "g", "home":
		at = 0
	case "G", "end":
		at = len(list.ids) - 1
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
	list := screens[m.screen].panes
	step := 1
	if key == "shift+tab" || key == "h" || key == "left" {
		step = len(list) - 1
	}
	m.focus = list[(slices.Index(list, m.focus)+step)%len(list)]
	m.arrange()
	return nil
}

func goTo(m *Model, key string) tea.Cmd {
	m.show(int(key[0] - '1'))
	return m.lookNow() // what only this screen shows
}

// back undoes one step of looking: an error, marks, zoom, a pane, a place in
// the past, the filter; and at last it goes home.
func back(m *Model) tea.Cmd {
	home := screens[m.screen].panes[0]
	following := m.focus != paneTimeline && m.focus != paneTraffic || m.list().follow
	switch {
	case m.toast.shown(m.now) && m.toast.err:
		m.toast = toast{}
	case len(m.marks.services)+len(m.marks.keys) > 0:
		m.marks.clear()
	case m.zoomed:
		m.zoomed = false
		m.arrange()
	case m.focus != home:
		m.focus = home
		m.arrange()
	case m.scene != nil && !following:
		m.list().follow = true
		m.arrange()
	case len(m.filter.input.text) > 0:
		m.clearFilter()
	default:
		m.show(screenServices)
	}
	return nil
}

func zoom(m *Model) tea.Cmd {
	m.zoomed = !m.zoomed
	m.arrange()
	return nil
}

// freeze lets the screen stand still, or follow again.
func freeze(m *Model) tea.Cmd {
	if m.frozen != nil {
		m.thaw()
		return nil
	}
	f := &frozen{at: m.now, live: m.scene}
	if n := len(m.state.events); n > 0 {
		f.event = m.state.events[n-1].Seq
	}
	if n := len(m.requests); n > 0 {
		f.request = m.requests[n-1].Seq
	}
	m.frozen = f
	return nil
}

func (m *Model) thaw() {
	m.scene, m.frozen = m.frozen.live, nil
	m.arrange()
}

// widen goes through the spans of time.
func widen(m *Model, key string) tea.Cmd {
	m.window = (m.window + pick(key == "+", 1, len(windows)-1)) % len(windows)
	text := "the chart looks back an hour, the lists show all there is"
	if d := windows[m.window]; d > 0 {
		text = "the last " + span1(d)
	}
	m.toast = toastFor(m.now, text, false, nil)
	m.arrange()
	return nil
}

// columnsOf lists what a pane can be sorted by.
func (st *state) columnsOf(id paneID) []string {
	switch id {
	case paneServices:
		return sortable(st.serviceColumns(1))
	case paneKeys, paneAll:
		if id == paneAll && st.summed() {
			return sortable(st.costColumns())
		}
		return sortable(st.keyColumns(id, nil, 1))
	case paneTimeline:
		return sortable(st.eventColumns())
	case paneTraffic:
		return sortable(st.requestColumns())
	}
	return nil
}

// sortBy goes through the columns, beginning and ending with the list's own
// order; S turns the order round.
func sortBy(m *Model, key string) tea.Cmd {
	l := m.list()
	if key == "S" {
		l.reverse = !l.reverse
	} else {
		heads := append([]string{""}, m.columnsOf(m.focus)...)
		l.column = heads[(slices.Index(heads, l.column)+1)%len(heads)]
		l.reverse = false
	}
	m.arrange()
	return nil
}

func regroup(m *Model) tea.Cmd {
	if m.aspect == aspectCost && m.spends {
		return nextCostBy(m)
	}
	m.group = m.grouping() + 1
	if m.group == groupings {
		m.group = groupNone
	}
	m.folded = nil
	m.arrange()
	return nil
}

func nextAspect(m *Model) tea.Cmd {
	m.aspect = (m.aspect + 1) % aspects
	if m.costBy != costByKey {
		m.lists[paneAll] = list{} // it lists other things now
	}
	m.arrange()
	return m.lookNow()
}

// copyText is what y copies: names, never a secret.
func (st *state) copyText() string {
	if st.scene == nil || st.focus == paneSystem {
		return ""
	}
	switch st.focus {
	case paneTraffic:
		if r := st.selectedRequest(); r != nil {
			return r.ID
		}
		return ""
	case paneTimeline:
		if ev := st.selectedEvent(); ev != nil {
			return cmp.Or(ev.Key, ev.Service)
		}
		return ""
	case paneServices:
		if set := st.marks.of(paneServices); len(set) > 0 {
			return strings.Join(slices.Sorted(maps.Keys(set)), " ")
		}
	default:
		if set := st.marks.of(paneKeys); len(set) > 0 {
			return strings.Join(slices.Sorted(maps.Keys(set)), " ")
		}
		if k := st.selectedKey(); k == nil {
			return ""
		}
	}
	return st.list().pick()
}

// copyName asks the terminal to put a name on the clipboard (OSC 52).
func copyName(m *Model) tea.Cmd {
	text := clean(m.copyText())
	return m.toClipboard(text, text)
}

// toClipboard asks the terminal to put a text on the clipboard (OSC 52); what
// is how the toast calls it.
func (m *Model) toClipboard(text, what string) tea.Cmd {
	m.toast = toastFor(m.now, "copied "+what, false, nil)
	write := m.write
	return func() tea.Msg {
		if write != nil {
			_, _ = io.WriteString(write, ansi.SetSystemClipboard(text))
		}
		return nil
	}
}

// edit opens the config in the person's editor.
func edit(m *Model) tea.Cmd {
	words := append(strings.Fields(m.editor), m.scene.system.Config)
	return tea.ExecProcess(exec.Command(words[0], words[1:]...), func(err error) tea.Msg {
		return editedMsg{err}
	})
}

// help opens the keys that mean something on this screen; ? within it shows all.
func help(m *Model) tea.Cmd {
	d := &dialog{title: "Keys of this screen", note: "? all keys"}
	d.body = func(st *state) []para { return helpParas(st, d.title != "Keys of this screen") }
	d.again = func() {
		d.title, d.offset = pick(d.title == "Keys of this screen", "All keys and signs", "Keys of this screen"), 0
	}
	m.open(d)
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

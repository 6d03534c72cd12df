package tui

import (
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

const (
	// refresh is how often the screen looks at the Source.
	refresh = 200 * time.Millisecond
	// keepEvents is how many events the timeline remembers.
	keepEvents = 1000
	// typedAtOnce is how many keys may arrive in one read and still count as
	// typed: more are a paste that the terminal did not mark as one.
	typedAtOnce = 8
)

// Model is the monitor as Bubble Tea runs it. [Run] is all that most callers
// need.
type Model struct {
	state
	src      Source
	log      func(error)
	seq      uint64 // the newest event seen
	fetching bool
	clicked  zone
	clickAt  time.Time
	mouseOff bool
}

// tickMsg says what time it is.
type tickMsg time.Time

// fetchedMsg is what a look at the Source brought.
type fetchedMsg struct {
	scene  *scene // nil when the Source had nothing
	events []engine.Event
	seq    uint64
	reset  bool // the events start anew: another engine
}

// doneMsg is what an action answered.
type doneMsg struct {
	action engine.Action
	result engine.Result
	err    error
}

func tick() tea.Cmd {
	return tea.Tick(refresh, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// fetch looks at the Source. The working out of a scene happens here too, off
// the way of keys and frames.
func fetch(src Source, after uint64) tea.Cmd {
	return func() tea.Msg {
		snap := src.Snapshot()
		if snap.At.IsZero() {
			return fetchedMsg{seq: after}
		}
		msg := fetchedMsg{seq: after}
		if snap.LastSeq < after {
			msg.reset, after = true, 0
		}
		if snap.LastSeq != after {
			msg.events = src.Events(after)
		}
		msg.seq = after
		if n := len(msg.events); n > 0 {
			msg.seq = msg.events[n-1].Seq
		}
		msg.scene = newScene(snap)
		return msg
	}
}

// Init starts the clock and the first look.
func (m *Model) Init() tea.Cmd {
	m.fetching = true
	return tea.Batch(tick(), fetch(m.src, m.seq))
}

// View draws the frame from the state alone.
func (m *Model) View() string { return m.view() }

// Update takes in what happened.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		m.now = time.Time(msg)
		cmds := []tea.Cmd{tick()}
		if !m.fetching {
			m.fetching = true
			cmds = append(cmds, fetch(m.src, m.seq))
		}
		return m, tea.Batch(cmds...)
	case fetchedMsg:
		m.fetching = false
		m.take(msg)
	case doneMsg:
		return m, m.done(msg)
	case tea.WindowSizeMsg:
		m.w, m.h = msg.Width, msg.Height
		m.arrange()
	case tea.KeyMsg:
		return m, m.pressed(msg)
	case tea.MouseMsg:
		return m, m.mouse(msg)
	}
	return m, nil
}

// take takes over a scene and the events that came with it.
func (m *Model) take(msg fetchedMsg) {
	m.seq = msg.seq
	if msg.reset {
		m.state.events = nil
	}
	if len(msg.events) > 0 {
		m.state.events = append(m.state.events, msg.events...)
		if n := len(m.state.events) - keepEvents; n > 0 {
			m.state.events = slices.Clone(m.state.events[n:])
		}
	}
	if msg.scene == nil {
		if m.scene != nil && !m.scene.gone { // what was seen last stays, and its age shows
			last := *m.scene
			last.gone = true
			m.scene = &last
		}
		return
	}
	m.scene = msg.scene
	if m.now.Before(msg.scene.snap.At) {
		m.now = msg.scene.snap.At
	}
	m.remember(msg.scene)
	m.arrange()
}

// do carries an action out, away from the screen.
func (m *Model) do(a engine.Action) tea.Cmd {
	a.By = "you"
	src := m.src
	return func() tea.Msg {
		res, err := src.Do(a)
		return doneMsg{a, res, err}
	}
}

func (m *Model) done(msg doneMsg) tea.Cmd {
	m.toast = toastFor(m.now, msg.result.Text, msg.result.Undoable, msg.err)
	if msg.err != nil && m.log != nil {
		m.log(msg.err)
	}
	if m.fetching {
		return nil
	}
	m.fetching = true
	return fetch(m.src, m.seq)
}

func (m *Model) open(d *dialog) { m.dialogs = append(m.dialogs, d) }

func (m *Model) close(d *dialog) {
	m.dialogs = slices.DeleteFunc(m.dialogs, func(o *dialog) bool { return o == d })
}

// pressed gives keys to whoever has them: a dialog, the filter, or the table of
// actions. Keys that were typed faster than they are read arrive together.
func (m *Model) pressed(k tea.KeyMsg) tea.Cmd {
	if k.Type != tea.KeyRunes || k.Paste || len(k.Runes) < 2 {
		return m.key(k)
	}
	if m.typing() {
		return m.key(k)
	}
	same := true
	for _, r := range k.Runes {
		same = same && r == k.Runes[0]
	}
	if len(k.Runes) > typedAtOnce && !same {
		return nil
	}
	var cmds []tea.Cmd
	for _, r := range k.Runes {
		cmds = append(cmds, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt}))
	}
	return tea.Batch(cmds...)
}

// typing reports whether keys are text now.
func (m *Model) typing() bool {
	if n := len(m.dialogs); n > 0 {
		return m.dialogs[n-1].input != nil
	}
	return m.filter.typing
}

func (m *Model) key(k tea.KeyMsg) tea.Cmd {
	name := k.String()
	if n := len(m.dialogs); n > 0 {
		d := m.dialogs[n-1]
		if name == "ctrl+c" && !k.Paste {
			if d.quitting {
				return tea.Quit
			}
			m.dialogs = nil
			return askQuit(m)
		}
		return d.key(m, k)
	}
	if m.filter.typing {
		return m.typeFilter(k)
	}
	if k.Paste {
		return nil
	}
	if a := actionFor(name); a != nil && a.applies(&m.state) {
		return a.run(m, name)
	}
	return nil
}

func (m *Model) typeFilter(k tea.KeyMsg) tea.Cmd {
	f := &m.filter
	switch name := k.String(); {
	case k.Paste:
		f.input.key(k)
	case name == "esc":
		m.clearFilter()
		return nil
	case name == "ctrl+c":
		return askQuit(m)
	case name == "enter":
		f.typing = false
		if f.err != nil {
			m.clearFilter()
		}
		return nil
	case name == "up" || name == "down" || name == "pgup" || name == "pgdown":
		return move(m, name)
	default:
		f.input.key(k)
	}
	q, err := parseQuery(f.input.String())
	if f.err = err; err == nil {
		f.query = q
	}
	m.arrange()
	return nil
}

func (m *Model) clearFilter() {
	m.filter = filter{}
	m.arrange()
}

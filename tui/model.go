package tui

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

const (
	// refresh is how often the screen looks at the Source while something
	// happens, rest how often while nothing does.
	refresh = 240 * time.Millisecond
	rest    = time.Second
	// breath is what at least lies between looks that events ask for.
	breath = 100 * time.Millisecond
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
	ctx      context.Context // of Run: ends what waits
	src      Source
	lively   Lively // the Source, nil where it is not
	log      func(error)
	write    io.Writer // the terminal, for what is no frame; nil is nowhere
	editor   string
	seq      uint64 // the newest event seen
	reqSeq   uint64 // the newest request seen
	fetching bool
	// lookedAt is when the last look began, pulse what the Source's was then,
	// awaiting whether its next event is being waited for.
	lookedAt time.Time
	pulse    uint64
	awaiting bool
	clicked  zone
	clickAt  time.Time
	mouseOff bool
	// bell and titled say what the terminal itself is told of, headline what its
	// title is.
	bell, titled bool
	headline     string
	// frame is what was drawn last, at which second, and whether it still shows
	// all there is.
	frame   string
	drawnAt int64
	drawn   bool
}

// tickMsg says what time it is.
type tickMsg time.Time

// happenedMsg says that there is an event, and what time it is.
type happenedMsg time.Time

// fetchedMsg is what a look at the Source brought.
type fetchedMsg struct {
	pulse  uint64
	scene  *scene // nil when the Source had nothing
	events []engine.Event
	seq    uint64
	reset  bool // the events start anew: another engine
	// tells is whether the Source tells of requests at all.
	requests []engine.RequestRecord
	tells    bool
	spent    []engine.Spent // where it is shown
}

// doneMsg is what actions that were done at once answered.
type doneMsg struct {
	actions []engine.Action
	results []engine.Result // of those that were done
	done    []engine.Action
	failed  []error
}

// editedMsg says that the editor has closed.
type editedMsg struct{ err error }

func tick() tea.Cmd {
	return tea.Tick(refresh, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// fetch looks at the Source. The working out of a scene happens here too, off
// the way of keys and frames.
func fetch(src Source, after, afterRequest uint64) tea.Cmd {
	return func() tea.Msg {
		msg := fetchedMsg{seq: after}
		if l, ok := src.(Lively); ok {
			msg.pulse = l.Pulse() // before the snapshot: what comes between is looked at again
		}
		snap := src.Snapshot()
		if snap.At.IsZero() {
			return msg
		}
		if snap.LastSeq < after {
			msg.reset, after, afterRequest = true, 0, 0
		}
		if snap.LastSeq != after {
			msg.events = src.Events(after)
		}
		msg.seq = after
		if n := len(msg.events); n > 0 {
			msg.seq = msg.events[n-1].Seq
		}
		if t, ok := src.(Traffic); ok {
			msg.requests, msg.tells = t.Requests(afterRequest), true
		}
		var system *engine.SystemStatus
		if s, ok := src.(System); ok {
			told := s.System()
			system = &told
		}
		msg.scene = newScene(snap, system)
		return msg
	}
}

// look looks at the Source for what is new. Requests are asked for only where
// they are shown: under a thousand a second, copying them costs more than all
// the rest. The Source remembers as many as the screen.
func (m *Model) look() tea.Cmd {
	m.fetching, m.lookedAt = true, m.now
	after := m.reqSeq
	if m.screen != screenTraffic && m.w < hugeWidth {
		after = math.MaxUint64
	}
	cmd := fetch(m.src, m.seq, after)
	if src, ok := m.src.(Spender); ok && m.screen == screenKeys && m.aspect == aspectCost {
		return func() tea.Msg {
			msg := cmd().(fetchedMsg)
			msg.spent = src.Spent()
			return msg
		}
	}
	return cmd
}

// lookNow looks at once, unless a look is under way already.
func (m *Model) lookNow() tea.Cmd {
	if m.fetching {
		return nil
	}
	return m.look()
}

// due reports whether it is time for another look: something has happened, or
// nothing for a while.
func (m *Model) due(now time.Time) bool {
	return !m.fetching && (m.lively == nil || now.Sub(m.lookedAt) >= rest || now.Before(m.lookedAt) || m.lively.Pulse() != m.pulse)
}

// await waits for the next event, so that it shows at once.
func (m *Model) await() tea.Cmd {
	if m.lively == nil || m.awaiting {
		return nil
	}
	m.awaiting = true
	ctx, source, after := m.ctx, m.lively, m.seq
	return func() tea.Msg {
		if _, err := source.Wait(ctx, after); err != nil {
			return nil
		}
		return happenedMsg(time.Now())
	}
}

// Init starts the clock and the first look.
func (m *Model) Init() tea.Cmd { return tea.Batch(tick(), m.look()) }

// View draws the frame from the state alone, once for each state.
func (m *Model) View() string {
	if !m.drawn {
		m.frame, m.drawn, m.drawnAt = m.view(), true, m.now.Unix()
	}
	return m.frame
}

// Update takes in what happened.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if !m.idle(msg) {
		m.drawn = false
	}
	switch msg := msg.(type) {
	case tickMsg:
		due := m.due(time.Time(msg))
		m.now = time.Time(msg)
		if !due {
			m.drawn = m.drawn && m.now.Unix() == m.drawnAt // the clock goes on
			return m, tick()
		}
		return m, tea.Batch(tick(), m.look())
	case happenedMsg:
		m.awaiting, m.now = false, time.Time(msg)
		switch early := breath - m.now.Sub(m.lookedAt); {
		case m.fetching:
			return m, nil // the look under way brings it, or who waits after it
		case m.lively.Pulse() == m.pulse:
			return m, m.await() // a look has brought it
		case early > 0 && early <= breath:
			m.awaiting = true
			return m, tea.Tick(early, func(t time.Time) tea.Msg { return happenedMsg(t) })
		}
		return m, m.look()
	case fetchedMsg:
		m.fetching, m.pulse = false, msg.pulse
		first := m.scene == nil
		m.take(msg)
		if first {
			msg.events = nil // what was before is no news
		}
		if m.scene != nil {
			return m, tea.Batch(m.await(), m.signal(msg.events))
		}
	case doneMsg:
		return m, m.done(msg)
	case testedMsg:
		return m, m.tested(msg)
	case stepMsg:
		return m, m.stepped(msg)
	case replacedMsg:
		return m, m.replaced(msg)
	case migratedMsg:
		return m, m.migrated(msg)
	case editedMsg:
		if msg.err != nil {
			m.toast = toastFor(m.now, "", false, fmt.Errorf("the editor: %w", msg.err))
		}
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

// idle reports whether a message changes nothing that a person could see: the
// second is the same, and nothing has happened since the last look.
func (m *Model) idle(msg tea.Msg) bool {
	switch msg := msg.(type) {
	case tickMsg, happenedMsg:
		return true // the look that they ask for says what is new
	case fetchedMsg:
		live := m.live()
		if m.drawnAt != m.now.Unix() || live == nil || live.gone || msg.scene == nil || msg.reset || len(msg.events)+len(msg.requests) > 0 {
			return false
		}
		was, is := &live.snap.Proxy, &msg.scene.snap.Proxy
		return was.Requests == is.Requests && was.InFlight == is.InFlight && was.Waiting == is.Waiting && was.ClientErrors == is.ClientErrors &&
			was.Failures == is.Failures && was.Absorbed == is.Absorbed && live.snap.LastSeq == msg.scene.snap.LastSeq
	}
	return false
}

// take takes over a scene, and the events and requests that came with it.
func (m *Model) take(msg fetchedMsg) {
	m.seq = msg.seq
	if msg.reset {
		m.state.events, m.requests = nil, nil
	}
	m.state.events = keepLast(m.state.events, msg.events, keepEvents)
	m.requests = keepLast(m.requests, msg.requests, keepRequests)
	if n := len(msg.requests); n > 0 {
		m.reqSeq = msg.requests[n-1].Seq
	}
	if msg.scene == nil {
		if live := m.live(); live != nil && !live.gone { // what was seen last stays, and its age shows
			last := *live
			last.gone = true
			m.see(&last)
		}
		return
	}
	m.tells, m.notice = msg.tells, msg.scene.snap.Notice
	m.see(msg.scene)
	if msg.spent != nil {
		m.spent = msg.spent
	}
	if m.now.Before(msg.scene.snap.At) {
		m.now = msg.scene.snap.At
	}
	m.remember(msg.scene)
	m.marks.forget(msg.scene)
	m.arrange()
}

// see takes over a scene as the newest; a frozen screen goes on showing its own.
func (m *Model) see(sc *scene) {
	if m.frozen != nil {
		m.frozen.live = sc
	} else {
		m.scene = sc
	}
}

// keepLast appends to a list that keeps its last few.
func keepLast[T any](list, more []T, most int) []T {
	if len(more) == 0 {
		return list
	}
	list = append(list, more...)
	if n := len(list) - most; n > most/4 {
		list = slices.Clone(list[n:])
	}
	return list
}

// do carries actions out, one after the other, away from the screen.
func (m *Model) do(list ...engine.Action) tea.Cmd {
	for i := range list {
		list[i].By = "you"
	}
	src := m.src
	return func() tea.Msg {
		msg := doneMsg{actions: list}
		for _, a := range list {
			res, err := src.Do(a)
			if err != nil {
				msg.failed = append(msg.failed, err)
				if a.Verb == engine.VerbUndo {
					break // what is older is not meant
				}
				continue
			}
			msg.results, msg.done = append(msg.results, res), append(msg.done, a)
		}
		return msg
	}
}

// done tells what came of actions, in one toast.
func (m *Model) done(msg doneMsg) tea.Cmd {
	m.toast = toastFor(m.now, msg.words(), msg.undoable(), msg.err())
	for _, err := range msg.failed {
		if m.log != nil {
			m.log(err)
		}
	}
	switch n := len(msg.done); {
	case n == 0:
	case msg.done[0].Verb == engine.VerbUndo:
		if n == len(m.last.actions) {
			m.undone = m.last.actions
		}
		m.last = batch{}
	default:
		m.last, m.undone = batch{msg.done, msg.results[n-1].Text}, nil
		m.marks.clear()
	}
	return m.lookNow()
}

// batch is what was done at once last, and what undo calls the end of it.
type batch struct {
	actions []engine.Action
	text    string
}

// words say what was done: what the engine says of one action, how many of
// several.
func (msg doneMsg) words() string {
	switch n := len(msg.results); {
	case n == 0:
		return ""
	case n == 1:
		return msg.results[0].Text
	case msg.done[0].Verb == engine.VerbUndo:
		return grouped(n) + " actions taken back"
	default:
		what := make([]string, n)
		for i, a := range msg.done {
			what[i] = cmp.Or(a.Key, a.Service)
		}
		text := didWords[msg.done[0].Verb] + " " + grouped(n) + ": " + strings.Join(what[:min(n, 5)], ", ")
		if n > 5 {
			text += fmt.Sprintf(" and %d more", n-5)
		}
		return text
	}
}

// didWords begin what a toast says of several things done at once.
var didWords = map[engine.Verb]string{engine.VerbRotate: "rotated", engine.VerbDisable: "disabled", engine.VerbEnable: "enabled",
	engine.VerbDrain: "draining", engine.VerbLift: "lifted the holds of", engine.VerbReset: "reset",
	engine.VerbLend: "lent", engine.VerbUnlend: "no longer lent", engine.VerbMigrate: "moved"}

func (msg doneMsg) undoable() bool { return len(msg.results) > 0 && msg.results[0].Undoable }

// err is what went wrong, with how many were done all the same.
func (msg doneMsg) err() error {
	switch n := len(msg.failed); {
	case n == 0:
		return nil
	case len(msg.actions) == 1:
		return msg.failed[0]
	default:
		return fmt.Errorf("%d of %d done. %w%s", len(msg.done), len(msg.actions), msg.failed[0], pick(n > 1, fmt.Sprintf(", and %d more failed", n-1), ""))
	}
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
		return m.perform(a, name)
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

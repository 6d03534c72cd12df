package tui

import (
	"slices"
	"strconv"
	"time"

	"keywheel/engine"
)

// paneID names a pane that can have the keyboard.
type paneID uint8

const (
	paneServices paneID = iota
	paneKeys
	paneTimeline
	panes
)

// state is everything a frame is drawn from. Drawing reads nothing else: no
// clock, no environment, no Source.
type state struct {
	w, h          int
	now           time.Time
	zone          *time.Location
	ascii, colour bool
	own           bool
	title, notice string

	scene  *scene
	events []engine.Event // the oldest first
	traces map[string]*trace
	sorter sorter

	// What is selected, by name.
	service, key string
	event        uint64
	focus        paneID
	offset       [panes]int
	// What the lists show, as the filter leaves it.
	rows     []string
	keys     []*engine.KeyStatus
	timeline []int // indexes into events, the newest first
	filter   filter
	dialogs  []*dialog
	toast    toast
}

// filter is the filter of the lists.
type filter struct {
	typing bool
	input  input
	query  query // the last that could be read
	err    error
}

// selected is the selected service, nil if there is none, or if the filter
// hides it: what is not seen is not acted on.
func (st *state) selected() *service {
	if st.scene == nil || !slices.Contains(st.rows, st.service) {
		return nil
	}
	return st.scene.byName[st.service]
}

// selectedKey is the selected key, nil if there is none.
func (st *state) selectedKey() *engine.KeyStatus {
	if st.scene == nil {
		return nil
	}
	return st.scene.keys[st.key]
}

// subjectKey is the key that an action on a key means: the selected one, or
// from the list of services the one in use, where one is.
func (st *state) subjectKey() *engine.KeyStatus {
	if s := st.selected(); s != nil && st.focus != paneKeys && s.KeyInUse != "" && !s.inTurn() {
		if k := st.scene.keys[s.KeyInUse]; k != nil && slices.Contains(st.keys, k) {
			return k
		}
	}
	return st.selectedKey()
}

func (st *state) selectedEvent() *engine.Event {
	for i := range st.events {
		if st.events[i].Seq == st.event {
			return &st.events[i]
		}
	}
	return nil
}

// arrange works out what the lists show after anything has changed: order and
// filter, then the selections, which stay with their names, then the windows.
func (st *state) arrange() {
	if st.scene == nil {
		return
	}
	was := slices.Index(st.rows, st.service)
	st.rows = st.rows[:0:0]
	shown := map[string][]*engine.KeyStatus{}
	for _, name := range st.sorter.order(st.scene, st.now) {
		if keys, ok := st.filter.query.keysOf(st.scene.byName[name]); ok {
			st.rows = append(st.rows, name)
			shown[name] = keys
		}
	}
	st.service = keep(st.rows, st.service, was)
	was = slices.IndexFunc(st.keys, func(k *engine.KeyStatus) bool { return k.Name == st.key })
	st.keys = shown[st.service]
	st.key = keepKey(st.keys, st.key, was)
	st.arrangeTimeline()
	st.rewind()
}

func (st *state) arrangeTimeline() {
	st.timeline = st.timeline[:0:0]
	// Who does not look into the past sees the newest.
	following := st.event == 0 || st.focus != paneTimeline
	found := false
	for i := len(st.events) - 1; i >= 0; i-- {
		ev := &st.events[i]
		if !st.filter.query.empty() && !st.filter.query.match(eventSubject(ev)) {
			continue
		}
		st.timeline = append(st.timeline, i)
		found = found || ev.Seq == st.event
	}
	if len(st.timeline) == 0 {
		st.event = 0
	} else if following || !found {
		st.event = st.events[st.timeline[0]].Seq
	}
}

func eventSubject(ev *engine.Event) subject {
	return subject{service: ev.Service, key: ev.Key, state: ev.State.String(), health: string(ev.Kind), account: ev.By, project: ev.Text}
}

// keep returns the name that stays selected: the same if it is still there,
// else its neighbour.
func keep(names []string, name string, was int) string {
	if len(names) == 0 {
		return name // what is filtered away may come back
	}
	if slices.Contains(names, name) {
		return name
	}
	return names[min(max(was, 0), len(names)-1)]
}

func keepKey(keys []*engine.KeyStatus, name string, was int) string {
	if len(keys) == 0 {
		return ""
	}
	for _, k := range keys {
		if k.Name == name {
			return name
		}
	}
	return keys[min(max(was, 0), len(keys)-1)].Name
}

// rewind moves each list's window so that its selection is in it.
func (st *state) rewind() {
	l := st.layout()
	for id := range panes {
		room := l.rows(id)
		st.offset[id] = window(st.offset[id], st.position(id), max(room, 1), st.count(id))
	}
}

func (st *state) count(id paneID) int {
	switch id {
	case paneServices:
		return len(st.rows)
	case paneKeys:
		return len(st.keys)
	default:
		return len(st.timeline)
	}
}

func (st *state) position(id paneID) int {
	switch id {
	case paneServices:
		return slices.Index(st.rows, st.service)
	case paneKeys:
		return slices.IndexFunc(st.keys, func(k *engine.KeyStatus) bool { return k.Name == st.key })
	default:
		return slices.IndexFunc(st.timeline, func(i int) bool { return st.events[i].Seq == st.event })
	}
}

// choose selects the i-th row of a list.
func (st *state) choose(id paneID, i int) {
	n := st.count(id)
	if n == 0 {
		return
	}
	i = min(max(i, 0), n-1)
	switch id {
	case paneServices:
		if st.service != st.rows[i] {
			st.service = st.rows[i]
			st.key, st.offset[paneKeys] = "", 0
		}
	case paneKeys:
		st.key = st.keys[i].Name
	default:
		st.event = st.events[st.timeline[i]].Seq
	}
	st.arrange()
}

func eventName(ev *engine.Event) string { return strconv.FormatUint(ev.Seq, 10) }

// trace is how a service's quota went down while the monitor watched.
type trace struct {
	of     string // which limit, and whose
	points []sample
}

type sample struct {
	at   time.Time
	left float64
}

const (
	traceEvery = 10 * time.Second
	traceLong  = time.Hour
)

// remember adds what the pools have left to their traces.
func (st *state) remember(sc *scene) {
	if st.traces == nil {
		st.traces = map[string]*trace{}
	}
	for i := range sc.services {
		s := &sc.services[i]
		p := s.burning
		if p == nil {
			delete(st.traces, s.Name)
			continue
		}
		t := st.traces[s.Name]
		if of := s.burner + " " + p.unit + " " + p.per + " " + p.model; t == nil || t.of != of {
			t = &trace{of: of}
			st.traces[s.Name] = t
		}
		if n := len(t.points); n > 0 && sc.snap.At.Sub(t.points[n-1].at) < traceEvery {
			continue
		}
		t.points = append(t.points, sample{sc.snap.At, p.fraction()})
		if n := len(t.points); n > int(traceLong/traceEvery) {
			t.points = slices.Delete(t.points, 0, n-int(traceLong/traceEvery))
		}
	}
}

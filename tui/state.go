package tui

import (
	"slices"
	"strconv"
	"time"

	"keywheel/engine"
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

	scene    *scene
	frozen   *frozen                // nil is live
	events   []engine.Event         // the oldest first
	requests []engine.RequestRecord // the oldest first
	traces   map[string]*trace
	sorter   sorter

	screen  int
	focus   paneID
	focuses [screenCount]paneID // where each screen had the keyboard
	zoomed  bool
	window  int // an index into windows
	lists   [panes]list
	// What the lists show, as the filter leaves it.
	byNeed []string                       // all services, those that need a person first
	shown  map[string][]*engine.KeyStatus // of each service
	keys   []*engine.KeyStatus            // of the selected service
	all    []keyRow
	// allShown is how many keys, folded ones included, or sums the filter lets
	// through, allOf of how many.
	allShown, allOf int
	timeline        []*engine.Event
	traffic         []*engine.RequestRecord
	filter          filter
	aspect          aspect
	costBy          costBy
	spent           []engine.Spent // for costs
	group           grouping
	folded          map[string]bool
	marks           marks
	dialogs         []*dialog
	toast           toast
	// last is what was done last, undone what was just taken back.
	last   batch
	undone []engine.Action
	// tells is whether the Source tells of single requests.
	tells bool
	// replaces is whether it can replace secrets, migrates whether it can move
	// services to other keys, tests whether it can test keys, spends whether it
	// tells what services and models cost.
	replaces, migrates, tests, spends bool
}

// filter is the filter of the lists.
type filter struct {
	typing bool
	input  input
	query  query // the last that could be read
	err    error
}

// frozen says since when the screen stands still, what was the newest event and
// request then, and what there is behind it now.
type frozen struct {
	at             time.Time
	event, request uint64
	live           *scene
}

// live is the newest there is, shown or not.
func (st *state) live() *scene {
	if st.frozen != nil {
		return st.frozen.live
	}
	return st.scene
}

// newState is a state in which the lists of what happens follow it.
func newState() state {
	st := state{}
	for i := range screens {
		st.focuses[i] = screens[i].panes[0]
	}
	st.lists[paneTimeline].follow, st.lists[paneTraffic].follow = true, true
	return st
}

func (st *state) list() *list { return &st.lists[st.focus] }

// service is the name of the selected service.
func (st *state) service() string { return st.lists[paneServices].chosen }

// selected is the selected service, nil if there is none or the filter hides it.
func (st *state) selected() *service {
	if st.scene == nil {
		return nil
	}
	return st.scene.byName[st.lists[paneServices].pick()]
}

// selectedKey is the selected key of the pane that lists keys, nil if none.
func (st *state) selectedKey() *engine.KeyStatus {
	if st.scene == nil {
		return nil
	}
	if st.screen == screenKeys {
		return st.scene.keys[st.lists[paneAll].pick()]
	}
	return st.scene.keys[st.lists[paneKeys].pick()]
}

func (st *state) selectedEvent() *engine.Event {
	l := &st.lists[paneTimeline]
	if i := l.at(); i >= 0 && i < len(st.timeline) {
		return st.timeline[i]
	}
	return nil
}

func (st *state) selectedRequest() *engine.RequestRecord {
	l := &st.lists[paneTraffic]
	if i := l.at(); i >= 0 && i < len(st.traffic) {
		return st.traffic[i]
	}
	return nil
}

// toldRequest is the request that is told in full: the selected one, or while
// none is the last that was not plain.
func (st *state) toldRequest() *engine.RequestRecord {
	if r := st.selectedRequest(); r != nil {
		return r
	}
	if i := slices.IndexFunc(st.traffic, func(r *engine.RequestRecord) bool { return !plainRequest(r) }); i >= 0 {
		return st.traffic[i]
	}
	return nil
}

// subjectKey is the key that an action on a key means: the selected one, the
// one that an event or a request is about, or from the list of services the
// one in use, where one is.
func (st *state) subjectKey() *engine.KeyStatus {
	if st.scene == nil {
		return nil
	}
	switch st.screen {
	case screenTimeline:
		if ev := st.selectedEvent(); ev != nil {
			return st.scene.keys[ev.Key]
		}
		return nil
	case screenTraffic:
		if r := st.selectedRequest(); r != nil {
			return st.scene.keys[r.Key]
		}
		return nil
	case screenSystem:
		return nil
	}
	if s := st.selected(); s != nil && st.focus == paneServices && s.KeyInUse != "" && !s.inTurn() {
		if k := st.scene.keys[s.KeyInUse]; k != nil && slices.Contains(st.keys, k) {
			return k
		}
	}
	return st.selectedKey()
}

// subjectService is the service that an action on a service means; nil where
// that is not clear.
func (st *state) subjectService() *service {
	if st.scene == nil {
		return nil
	}
	switch st.screen {
	case screenServices:
		return st.selected()
	case screenKeys:
		if k := st.selectedKey(); k != nil && len(k.Services) == 1 {
			return st.scene.byName[k.Services[0]]
		}
	case screenTimeline:
		if ev := st.selectedEvent(); ev != nil {
			return st.scene.byName[ev.Service]
		}
	case screenTraffic:
		if r := st.selectedRequest(); r != nil {
			return st.scene.byName[r.Service]
		}
	}
	return nil
}

// arrange works out what the lists of this screen show after anything has
// changed: order and filter, then the selections, then the windows.
func (st *state) arrange() {
	if st.scene == nil {
		return
	}
	st.byNeed = st.sorter.order(st.scene, st.now)
	switch st.screen {
	case screenServices:
		st.arrangeServices()
		st.arrangeTimeline()
	case screenKeys:
		st.arrangeAll()
	case screenTimeline:
		st.arrangeTimeline()
	case screenTraffic:
		st.arrangeTraffic()
	}
	st.rewind()
}

func (st *state) arrangeServices() {
	names := make([]string, 0, len(st.scene.services))
	st.shown = make(map[string][]*engine.KeyStatus, len(st.scene.services))
	for _, name := range st.byNeed {
		if keys, ok := st.filter.query.keysOf(st.scene.byName[name], st.now); ok {
			names = append(names, name)
			st.shown[name] = keys
		}
	}
	l := &st.lists[paneServices]
	if l.column != "" {
		rows := make([]*service, len(names))
		for i, n := range names {
			rows[i] = st.scene.byName[n]
		}
		sortRows(l, st.serviceColumns(1), rows)
		for i, s := range rows {
			names[i] = s.Name
		}
	}
	l.set(names)
	st.arrangeKeys()
}

// arrangeKeys lists the keys of the selected service.
func (st *state) arrangeKeys() {
	l := &st.lists[paneKeys]
	st.keys = st.shown[st.service()]
	if l.column != "" {
		st.keys = slices.Clone(st.keys)
		sortRows(l, st.keyColumns(paneKeys, nil, 1), st.keys)
	}
	names := make([]string, len(st.keys))
	for i, k := range st.keys {
		names[i] = k.Name
	}
	l.set(names)
}

func (st *state) arrangeTimeline() {
	l := &st.lists[paneTimeline]
	// Who does not look into the past sees the newest.
	if st.focus != paneTimeline {
		l.follow = true
	}
	st.timeline = st.timeline[:0:0]
	sub := subject{now: st.now, keys: st.scene.keys}
	since := st.since()
	for i := len(st.events) - 1; i >= 0; i-- {
		ev := &st.events[i]
		sub.event = ev
		if st.frozen != nil && ev.Seq > st.frozen.event || ev.At.Before(since) || !st.filter.query.match(&sub) {
			continue
		}
		st.timeline = append(st.timeline, ev)
	}
	sortRows(l, st.eventColumns(), st.timeline)
	ids := make([]string, len(st.timeline))
	for i, ev := range st.timeline {
		ids[i] = eventName(ev)
	}
	if l.follow {
		l.chosen, l.offset = "", 0
	}
	l.set(ids)
}

func (st *state) arrangeTraffic() {
	l := &st.lists[paneTraffic]
	st.traffic = st.traffic[:0:0]
	sub := subject{now: st.now}
	since := st.since()
	for i := len(st.requests) - 1; i >= 0; i-- {
		r := &st.requests[i]
		sub.request = r
		if st.frozen != nil && r.Seq > st.frozen.request || r.At.Before(since) || !st.filter.query.match(&sub) {
			continue
		}
		st.traffic = append(st.traffic, r)
	}
	sortRows(l, st.requestColumns(), st.traffic)
	ids := make([]string, len(st.traffic))
	for i, r := range st.traffic {
		ids[i] = requestName(r)
	}
	l.set(ids)
	if l.follow {
		l.chosen, l.offset = "", 0
	}
}

// rewind moves each list's window so that its selection is in it.
func (st *state) rewind() {
	l := st.layout()
	for id := range panes {
		if id != paneSystem {
			x := &st.lists[id]
			x.offset = window(x.offset, x.at(), max(l.rows(id), 1), len(x.ids))
		}
	}
}

// choose selects the i-th row of a list.
func (st *state) choose(id paneID, i int) {
	l := &st.lists[id]
	if len(l.ids) == 0 {
		return
	}
	name := l.ids[min(max(i, 0), len(l.ids)-1)]
	l.follow = false
	if l.chosen != name {
		l.chosen = name
		if id == paneServices {
			st.lists[paneKeys] = list{column: st.lists[paneKeys].column, reverse: st.lists[paneKeys].reverse}
			st.arrangeKeys()
		}
	}
	st.rewind()
}

// show changes to a screen.
func (st *state) show(screen int) {
	if screen == st.screen {
		return
	}
	st.focuses[st.screen] = st.focus
	st.screen, st.focus, st.zoomed = screen, st.focuses[screen], false
	st.arrange()
}

// showPane changes to the screen that has a pane, if this one has not.
func (st *state) showPane(id paneID) {
	if slices.Contains(screens[st.screen].panes, id) {
		return
	}
	for i := range screens {
		if slices.Contains(screens[i].panes, id) {
			st.show(i)
			return
		}
	}
}

func eventName(ev *engine.Event) string { return strconv.FormatUint(ev.Seq, 10) }

func requestName(r *engine.RequestRecord) string { return strconv.FormatUint(r.Seq, 10) }

// windows are the spans of time that + and - go through; 0 is an hour on the
// chart and everything in the lists.
var windows = []time.Duration{0, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// past is how far back the chart looks.
func (st *state) past() time.Duration {
	if d := windows[st.window]; d > 0 {
		return d
	}
	return time.Hour
}

// since is the moment before which the lists show nothing.
func (st *state) since() time.Time {
	if d := windows[st.window]; d > 0 {
		return st.now.Add(-d)
	}
	return time.Time{}
}

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
	traceLong  = 24 * time.Hour
	// traceMost bounds a trace: beyond it every other of its older half goes.
	traceMost = 720
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
		t.add(sample{sc.snap.At, p.fraction()})
	}
}

func (t *trace) add(s sample) {
	if n := len(t.points); n > 0 && s.at.Sub(t.points[n-1].at) < traceEvery {
		return
	}
	t.points = append(t.points, s)
	for len(t.points) > 1 && s.at.Sub(t.points[0].at) > traceLong {
		t.points = t.points[1:]
	}
	if len(t.points) > traceMost {
		thin := make([]sample, 0, traceMost)
		for i, p := range t.points {
			if i >= traceMost/2 || i%2 == 0 {
				thin = append(thin, p)
			}
		}
		t.points = thin
	}
}

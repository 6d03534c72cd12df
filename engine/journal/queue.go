package journal

import (
	"time"

	"keywheel/engine"
)

// queue is what waits for the disk, in two parts that are written apart. It is
// bounded, and full it drops the oldest events for whatever else comes.
type queue struct {
	standing standing
	happened happened
	// maxEntries and maxBytes bound it.
	maxEntries, maxBytes int
	// dropped counts what there was no room for.
	dropped int64
}

// standing is what must stand: somebody may wait for it. Of the documents of
// one name the newest is enough.
type standing struct {
	actions  []Action
	bindings []Binding
	states   map[stateName]State
	// waiters are told when it is on disk, or why it is not.
	waiters []chan<- error
	since   time.Time // when the oldest entry came; zero when there is none
	bytes   int
}

type stateName struct{ kind, name string }

func (s *standing) entries() int { return len(s.actions) + len(s.bindings) + len(s.states) }

// answer tells everybody who waits.
func (s *standing) answer(err error) {
	for _, w := range s.waiters {
		w <- err
	}
	s.waiters = nil
}

// happened is what follows in its time. Usage of one minute adds up.
type happened struct {
	events []engine.Event
	usage  map[cell]*sums
	since  time.Time
	bytes  int
}

func (h *happened) entries() int { return len(h.events) + len(h.usage) }

func (q *queue) entries() int { return q.standing.entries() + q.happened.entries() }

// The sizes are near enough to bound memory by.
const (
	actionBytes  = 512
	bindingBytes = 256
	stateBytes   = 128
	usageBytes   = 256
)

func eventBytes(ev engine.Event) int {
	n := 256 + len(ev.Text)
	if r := ev.Rotation; r != nil {
		n += 768 + len(r.Cause) + len(r.Evidence.Message)
		for _, c := range r.Candidates {
			n += 64 + len(c.Key) + len(c.Why)
		}
	}
	if h := ev.Hold; h != nil {
		n += 768 + len(h.Why) + len(h.Evidence.Message)
	}
	return n
}

// full reports whether another entry of n bytes is too much.
func (q *queue) full(n int) bool {
	return q.entries() >= q.maxEntries || q.standing.bytes+q.happened.bytes+n > q.maxBytes
}

// room makes room for an entry of n bytes, if need be of the oldest events.
func (q *queue) room(n int) bool {
	h := &q.happened
	for len(h.events) > 0 && q.full(n) {
		h.bytes -= eventBytes(h.events[0])
		h.events[0] = engine.Event{}
		h.events = h.events[1:]
		q.dropped++
	}
	if q.full(n) {
		q.dropped++
		return false
	}
	return true
}

// stands notes an entry of n bytes among what must stand, if there is room.
func (q *queue) stands(n int) bool {
	if !q.room(n) {
		return false
	}
	q.standing.bytes += n
	begin(&q.standing.since)
	return true
}

func begin(since *time.Time) {
	if since.IsZero() {
		*since = time.Now()
	}
}

func (q *queue) act(a Action) bool {
	ok := q.stands(actionBytes + len(a.Undo) + len(a.Text) + len(a.Reason))
	if ok {
		q.standing.actions = append(q.standing.actions, a)
	}
	return ok
}

func (q *queue) bind(b Binding) bool {
	ok := q.stands(bindingBytes)
	if ok {
		q.standing.bindings = append(q.standing.bindings, b)
	}
	return ok
}

func (q *queue) save(docs []State) {
	for _, d := range docs {
		if d.At.IsZero() {
			d.At = time.Now()
		}
		s := &q.standing
		name := stateName{d.Kind, d.Name}
		if old, ok := s.states[name]; ok {
			s.bytes += len(d.Doc) - len(old.Doc)
		} else if !q.stands(stateBytes + len(d.Doc)) {
			continue
		}
		if s.states == nil {
			s.states = map[stateName]State{}
		}
		s.states[name] = d
	}
}

func (q *queue) record(ev engine.Event) {
	if n := eventBytes(ev); q.room(n) {
		h := &q.happened
		h.events = append(h.events, ev)
		h.bytes += n
		begin(&h.since)
	}
}

func (q *queue) count(at time.Time, who Who, used Usage) {
	h := &q.happened
	c := cell{down(at.UnixMicro(), minute), who}
	sum := h.usage[c]
	if sum == nil {
		if !q.room(usageBytes) {
			return
		}
		h.bytes += usageBytes
		begin(&h.since)
		if h.usage == nil {
			h.usage = map[cell]*sums{}
		}
		sum = &sums{}
		h.usage[c] = sum
	}
	*sum = sum.plus(used.sums())
}

// takeStanding takes away all that must stand.
func (q *queue) takeStanding() standing {
	s := q.standing
	q.standing = standing{}
	return s
}

// maxBatch is how many events, and how much usage, go in one transaction: it
// keeps whoever waits for the next one from waiting long.
const maxBatch = 2000

// takeHappened takes away the next batch of what happened.
func (q *queue) takeHappened() happened {
	h := q.happened
	q.happened = happened{}
	if h.entries() <= maxBatch {
		return h
	}
	rest := &q.happened
	rest.since, rest.bytes = h.since, h.bytes
	if len(h.events) > maxBatch {
		h.events, rest.events = h.events[:maxBatch:maxBatch], h.events[maxBatch:]
	}
	for _, ev := range h.events {
		rest.bytes -= eventBytes(ev)
	}
	all, n := h.usage, 0
	h.usage, rest.usage = map[cell]*sums{}, all
	for c, s := range all {
		if n++; n > maxBatch {
			break
		}
		h.usage[c] = s
		delete(all, c)
		rest.bytes -= usageBytes
	}
	return h
}

package engine

import (
	"context"
	"time"
)

// maxEvents is how many events the engine remembers.
const maxEvents = 2000

// eventLog is a ring of the last events.
type eventLog struct {
	ring []Event
	// seq is the newest event's number, begin that before the first's which was
	// ever in the ring.
	seq, begin uint64
	changed    chan struct{} // closed and made anew with each event
	// saved is up to which event somebody took them to keep them; amended are
	// events, told already, of which more is known by now.
	saved   uint64
	amended []uint64
}

// place is where an event of the ring stands.
func (l *eventLog) place(seq uint64) int { return int((seq - l.begin - 1) % maxEvents) }

// at is the event with a number, nil if it is not in the ring.
func (l *eventLog) at(seq uint64) *Event {
	if seq > l.seq || seq+uint64(len(l.ring)) <= l.seq {
		return nil
	}
	return &l.ring[l.place(seq)]
}

// amend notes that more is known of an event.
func (l *eventLog) amend(seq uint64) {
	if seq > 0 && len(l.amended) < maxEvents {
		l.amended = append(l.amended, seq)
	}
}

func (e *Engine) emit(ev Event) {
	l := &e.log
	l.seq++
	ev.Seq = l.seq
	if ev.By == "" {
		ev.By = "engine"
	}
	if len(l.ring) < maxEvents {
		l.ring = append(l.ring, ev)
	} else {
		l.ring[l.place(l.seq)] = ev
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Note puts on the timeline what the program around the engine has to tell.
// Seq and At are filled in.
func (e *Engine) Note(ev Event) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	ev.At = now
	e.emit(ev)
}

// Events returns the events after the given sequence number that are still
// remembered, the oldest first. They share no memory with the engine.
func (e *Engine) Events(after uint64) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.events(after)
}

func (e *Engine) events(after uint64) []Event {
	l, now := &e.log, time.Now()
	if after >= l.seq {
		return nil
	}
	first := max(after+1, l.seq-uint64(len(l.ring))+1)
	list := make([]Event, 0, l.seq-first+1)
	for seq := first; seq <= l.seq; seq++ {
		ev := l.ring[l.place(seq)]
		ev.Rotation = e.told(ev.Rotation, now)
		list = append(list, ev)
	}
	return list
}

// Wait returns the events after the given sequence number as soon as there is
// one, or ctx's error.
func (e *Engine) Wait(ctx context.Context, after uint64) ([]Event, error) {
	return awaitNew(ctx, e, func() ([]Event, <-chan struct{}) { return e.events(after), e.log.changed })
}

// awaitNew is what look finds, as soon as it finds anything, or ctx's error. look
// has the engine to itself; what it returns too is closed when it may find more.
func awaitNew[T any](ctx context.Context, e *Engine, look func() ([]T, <-chan struct{})) ([]T, error) {
	for {
		e.mu.Lock()
		list, changed := look()
		e.mu.Unlock()
		if len(list) > 0 {
			return list, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// told is a rotation as it is told now: what comes next follows from what the
// key is by now.
func (e *Engine) told(r *Rotation, now time.Time) *Rotation {
	if r == nil {
		return nil
	}
	c := *r
	if k := e.keyBy[r.From]; k != nil && r.By == "engine" {
		c.Next = nextOf(k, r, now)
	}
	return &c
}

// The buckets of a sparkline.
const (
	buckets      = 48
	bucketLength = 5 * time.Second
)

// series counts per bucket of time, the last [buckets] of them.
type series struct {
	counts [buckets]int32
	last   int64 // the number of the newest bucket
}

func (s *series) add(n int32, now time.Time) {
	s.turn(now)
	*s.at(s.last) += n
}

// at is where a bucket is counted; a clock that nobody has set may be before 0.
func (s *series) at(b int64) *int32 { return &s.counts[(b%buckets+buckets)%buckets] }

// turn empties the buckets that have come since the last time.
func (s *series) turn(now time.Time) {
	b := now.Unix() / int64(bucketLength/time.Second)
	if b < s.last-1 { // the clock was set back: what was newest is newest
		was := *s
		for i := range int64(buckets) {
			*s.at(b - i) = *was.at(was.last - i)
		}
		s.last = b
	}
	if b <= s.last {
		return
	}
	for i := max(s.last+1, b-buckets+1); i <= b; i++ {
		*s.at(i) = 0
	}
	s.last = b
}

// list returns the last n buckets, the oldest first.
func (s *series) list(n int, now time.Time) []int {
	s.turn(now)
	out := make([]int, n)
	for i := range n {
		out[n-1-i] = int(*s.at(s.last - int64(i)))
	}
	return out
}

package engine

import "time"

// jump is how far the wall clock must stand off from the time that passed for
// the engine to take notice, in one step or in many.
const jump = time.Second

// look takes notice of a machine that slept, and of a clock that was set, and
// reports whether there was such a thing. What is held is held until a time on
// the wall: after a sleep, or a clock set forward, that is nearer by as much. A
// clock that is set back makes nothing last longer, and what has begun has begun
// as long ago as it was.
func (e *Engine) look(now time.Time) bool {
	passed := now.Sub(e.lookedAt) // by the monotonic clock
	gap := time.Duration(now.UnixNano()-e.lookedAt.UnixNano()) - passed
	switch {
	case e.lookedAt.IsZero():
		e.lookedAt = now
		return false
	case gap < jump && gap > -jump, passed < 0: // or it was read before the clock was set
		return false
	}
	e.lookedAt = now
	anchor := func(times ...*time.Time) {
		for _, t := range times {
			switch {
			case t.IsZero():
			case gap > 0:
				*t = now.Add(t.Round(0).Sub(now.Round(0)))
			default:
				*t = now.Add(t.Sub(now))
			}
		}
	}
	began := func(t *time.Time) {
		if gap < 0 {
			anchor(t)
		}
	}
	held := func(h *hold) {
		if h != nil {
			anchor(&h.until, &h.trialAt)
			began(&h.since)
		}
	}
	slept := func(books []*book) {
		for _, b := range books {
			if gap > 0 {
				b.Slept(gap)
			}
		}
	}
	holder := func(h *holder) {
		h.changed = true
		held(h.all.hold)
		for _, s := range h.parts {
			held(s.hold)
		}
		slept(h.books)
	}
	for _, c := range e.creds {
		holder(&c.holder)
	}
	for _, h := range e.accounts {
		holder(h)
	}
	for _, k := range e.keys {
		held(k.disabled)
		k.changed = true
	}
	for _, s := range e.services {
		s.changed = true
		slept(s.books)
		began(&s.downSince)
		if s.pin != nil {
			anchor(&s.pin.until)
		}
		for i := range s.lends {
			anchor(&s.lends[i].until)
		}
	}
	e.recount(now)
	return true
}

// anchored is the same moment as now sees it, which a clock that is set moves as
// it moves all others: what was read from elsewhere knows the wall's clock alone.
func anchored(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now))
}

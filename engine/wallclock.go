package engine

import "time"

// jump is how far the wall clock must stand off from the time that passed for
// the engine to take notice.
const jump = time.Second

// look takes notice of a machine that slept, and of a clock that was set. What
// is held is held until a time on the wall: after a sleep, or a clock set
// forward, that is nearer by as much. A clock that is set back makes nothing
// last longer.
func (e *Engine) look(now time.Time) {
	was := e.lookedAt
	e.lookedAt = now
	if was.IsZero() {
		return
	}
	gap := now.Round(0).Sub(was.Round(0)) - now.Sub(was) // without, and with, the monotonic clock
	if gap < jump && gap > -jump {
		return
	}
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
	held := func(h *hold) {
		if h != nil {
			anchor(&h.until, &h.trialAt)
		}
	}
	holder := func(h *holder) {
		held(h.all.hold)
		for _, s := range h.parts {
			held(s.hold)
		}
	}
	for _, c := range e.creds {
		holder(&c.holder)
	}
	for _, h := range e.accounts {
		holder(h)
	}
	for _, k := range e.keys {
		held(k.disabled)
	}
	for _, s := range e.services {
		if s.pin != nil {
			anchor(&s.pin.until)
		}
		for i := range s.lends {
			anchor(&s.lends[i].until)
		}
	}
	for _, k := range e.keys {
		e.ready(k, now)
	}
	e.recount(now)
}

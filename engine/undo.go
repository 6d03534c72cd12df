package engine

import (
	"errors"
	"slices"
	"time"

	"keywheel/engine/quota"
)

// memento is how things stood before an action, as far as the action may
// change them.
type memento struct {
	action   Action
	text     string
	keys     []keyMemento
	creds    []credMemento
	holders  []holderMemento
	services []serviceMemento
}

type keyMemento struct {
	key      *key
	disabled *hold
	draining bool
}

type credMemento struct {
	cred        *credential
	verdicts    Verdicts
	requests    int64
	usage       Usage
	lastFailure time.Time
	books       []bookMemento
}

type holderMemento struct {
	holder *holder
	holds  map[string]*hold
	// left are the generations as the action left them: what has changed since
	// is newer than what undo knows.
	left map[string]uint64
}

// leave notes how the action left what it may have changed.
func (m *memento) leave() {
	for i := range m.holders {
		hm := &m.holders[i]
		hm.left = map[string]uint64{}
		for part := range hm.holds {
			hm.left[part] = genOf(hm.holder.slot(part))
		}
	}
}

type serviceMemento struct {
	service            *service
	pin                *pin
	inUse              *key
	next               []int
	passes             [][]float64
	last               *Rotation
	verdicts           Verdicts
	requests, failures int64
	rotations, refused int64
	books              []bookMemento
}

// remember takes down what the action may change.
func (e *Engine) remember(a Action, k *key, s *service, now time.Time) memento {
	m := memento{action: a}
	if s != nil {
		sm := serviceMemento{service: s, pin: s.pin, inUse: s.inUse, last: s.last, verdicts: s.verdicts, requests: s.requests,
			failures: s.failures, rotations: s.rotations, refused: s.refused, books: copyBooks(s.books, now)}
		for _, t := range s.tiers {
			sm.next = append(sm.next, t.next)
			passes := make([]float64, len(t.members))
			for i, mb := range t.members {
				passes[i] = mb.pass
			}
			sm.passes = append(sm.passes, passes)
		}
		m.services = append(m.services, sm)
	}
	if k != nil {
		m.keys = append(m.keys, keyMemento{k, k.disabled, k.draining})
	}
	switch a.Verb {
	case VerbFail, VerbLift, VerbReset:
	default:
		return m
	}
	for _, c := range credentials(k, s) {
		m.creds = append(m.creds, credMemento{c, c.verdicts, c.requests, c.usage, c.lastFailure, copyBooks(c.books, now)})
		for _, h := range c.holders() {
			if h == nil || slices.ContainsFunc(m.holders, func(hm holderMemento) bool { return hm.holder == h }) {
				continue
			}
			hm := holderMemento{holder: h, holds: map[string]*hold{"": h.all.hold}}
			for part, sl := range h.parts {
				hm.holds[part] = sl.hold
			}
			m.holders = append(m.holders, hm)
		}
	}
	return m
}

// bookMemento is how much of a book was used.
type bookMemento struct {
	book *book
	used float64
}

func copyBooks(books []*book, now time.Time) []bookMemento {
	list := make([]bookMemento, 0, len(books))
	for _, b := range books {
		if b.Unit != quota.Concurrent {
			list = append(list, bookMemento{b, b.Taken(now)})
		}
	}
	return list
}

// opUndo takes the last action back. Holds whose time is over meanwhile stay
// lifted; counters come back with what was counted since added.
func (e *Engine) opUndo(_ Action, _ *key, _ *service, now time.Time) (string, error) {
	if len(e.undo) == 0 {
		return "", errors.New("there is nothing to undo")
	}
	m := e.undo[len(e.undo)-1]
	e.undo = e.undo[:len(e.undo)-1]
	for _, km := range m.keys {
		km.key.disabled, km.key.draining = km.disabled, km.draining
	}
	for _, hm := range m.holders {
		for part, h := range hm.holds {
			s := hm.holder.at(part)
			if s.gen != hm.left[part] || s.hold == h || h.over(now) {
				continue
			}
			if h != nil {
				h.trying = false
			}
			s.place(h)
		}
	}
	reset := m.action.Verb == VerbReset
	for _, cm := range m.creds {
		if !reset {
			break
		}
		c := cm.cred
		c.verdicts.add(cm.verdicts)
		c.requests += cm.requests
		c.usage.add(cm.usage)
		if c.lastFailure.IsZero() {
			c.lastFailure = cm.lastFailure
		}
		restoreBooks(cm.books, now)
		e.counted(c, now)
	}
	for _, sm := range m.services {
		s := sm.service
		switch m.action.Verb {
		case VerbPin, VerbUnpin:
			s.pin = sm.pin
		case VerbRotate:
			s.inUse, s.last, s.rotations = sm.inUse, sm.last, max(s.rotations-1, 0)
			for i, t := range s.tiers {
				t.next = sm.next[i]
				for j := range t.members {
					t.members[j].pass = sm.passes[i][j]
				}
			}
		case VerbReset:
			if m.action.Key == "" {
				s.verdicts.add(sm.verdicts)
				s.requests += sm.requests
				s.failures += sm.failures
				s.rotations += sm.rotations
				s.refused += sm.refused
				restoreBooks(sm.books, now)
			}
		}
	}
	for _, k := range e.keys {
		e.ready(k, now)
	}
	e.checkHealth(now)
	return "undid: " + m.text, nil
}

func restoreBooks(were []bookMemento, now time.Time) {
	for _, m := range were {
		m.book.Settle(m.used, now)
	}
}

func (v *Verdicts) add(w Verdicts) {
	v.OK += w.OK
	v.RateLimited += w.RateLimited
	v.QuotaExhausted += w.QuotaExhausted
	v.InvalidKey += w.InvalidKey
	v.PermissionDenied += w.PermissionDenied
	v.ClientError += w.ClientError
	v.UpstreamFault += w.UpstreamFault
}

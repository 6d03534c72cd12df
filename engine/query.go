package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// query asks of members whether they can serve one request now.
type query struct {
	e    *Engine
	r    *Request
	now  time.Time
	nano int64
	// careful passes over keys that have never served and are being asked for
	// the first time: should they be dead, one request is enough to find out.
	careful bool
}

// can reports whether the member can serve the request now.
func (q *query) can(m *member) bool {
	if m.readyAt > q.nano || m.roomAt > q.nano || q.careful && m.key.cred.proving {
		return false
	}
	if a := m.key.cred.account; a != nil && a.room > q.nano {
		return false
	}
	why, _ := q.refuses(m.key)
	return why == ""
}

// refuses says why a key cannot serve the request and from when on it can, as
// far as it is not for a hold of the whole key (zero: unknown); "" when it can.
// It allocates nothing.
func (q *query) refuses(k *key) (why string, until time.Time) {
	r := q.r
	if k.draining {
		return "is draining", time.Time{}
	}
	if k.expired(q.now) {
		return "is past its date", time.Time{}
	}
	if why = q.e.foreign(r, k); why != "" {
		return why, time.Time{}
	}
	if !k.isFor(r.Scope) {
		return "is not for this scope", time.Time{}
	}
	// Of several reasons the last to end counts.
	for _, h := range k.cred.holders() {
		if h == nil {
			continue
		}
		for i, part := range r.parts() {
			s := h.slot(part)
			if i > 0 && part == "" || s == nil || s.hold == nil {
				continue
			}
			w, at := q.bars(s.hold, i > 0)
			switch {
			case w == "":
			case at.IsZero():
				return w, at
			case why == "" || at.After(until):
				why, until = w, at
			}
		}
		if len(h.books) > 0 {
			if b := q.lacks(h.books); b != nil {
				switch w, at := q.full(b); {
				case at.IsZero():
					return w, at
				case why == "" || at.After(until):
					why, until = w, at
				}
			}
		}
	}
	switch {
	case why != "":
	case r.attempts > 0 && r.hasTried(k.cred):
		return "was tried", q.moment()
	case len(q.e.lines) > 0 && q.e.isKept(k.cred, r):
		return "gathers tokens for a larger request that came before", q.moment()
	}
	return why, until
}

// bars is refuses for one hold. One of the whole key bars only what may not be
// its trial: the rest is told by the key's readyAt.
func (q *query) bars(h *hold, part bool) (why string, until time.Time) {
	at := h.readyAt()
	switch {
	case h.over(q.now):
		return "", time.Time{}
	case !h.trialAt.IsZero() && !q.r.mayTry():
		if at != never && at > q.nano {
			until = h.trialAt // that of another may succeed
		}
		return "waits for a trial that is safe to repeat", until
	case !part || at <= q.nano:
		return "", time.Time{}
	case h.trying:
		return h.why, q.moment()
	case at == never:
		return h.why, time.Time{}
	default:
		return h.why, q.when(at)
	}
}

// isFor reports whether the key may be used for a scope, "" being unknown.
func (k *key) isFor(scope string) bool {
	return scope == "" || len(k.Scopes) == 0 || slices.Contains(k.Scopes, scope)
}

// when is a moment that is told in Unix nanoseconds, by both of now's clocks: a
// request's patience knows how long it has been, whatever the wall says.
func (q *query) when(nano int64) time.Time { return q.now.Add(time.Duration(nano - q.nano)) }

// aMoment is when to look again for what ends with some running request.
const aMoment = time.Second

// moment is in a moment, or when the request's patience is over if that is
// sooner: what may end any time is worth waiting for until then.
func (q *query) moment() time.Time {
	at := q.now.Add(aMoment)
	if over := q.e.deadline(q.r); over.After(q.now) {
		at = earlier(at, over)
	}
	return at
}

func (e *Engine) query(r *Request, now time.Time) *query {
	e.q = query{e: e, r: r, now: now, nano: now.UnixNano()}
	return &e.q
}

// refuse ends a request for which there is no key, and says why.
func (e *Engine) refuse(r *Request, now time.Time) *NoKeyError {
	none := e.noKey(r, now)
	r.svc.refused++
	r.svc.changed = true
	if r.rotation != nil {
		e.rotated(r, nil, now)
	}
	if none.Scope != "" { // it was the client's mistake
		e.clientErrors++
		e.end(r, now, ClientError, noKeyCould)
		return none
	}
	e.end(r, now, QuotaExhausted, noKeyCould)
	return none
}

// noKey says of each key of the request's service why it cannot serve it.
func (e *Engine) noKey(r *Request, now time.Time) *NoKeyError {
	s, q := r.svc, e.query(r, now)
	err := &NoKeyError{Service: s.Name}
	none, all := r.Scope != "", 0
	s.all(func(m *member) {
		none, all = none && !m.key.isFor(r.Scope), all+1
	})
	if none && all > 0 {
		err.Scope = r.Scope
	}
	first := time.Time{}
	if b := q.lacks(s.books); b != nil {
		why, until := q.full(b)
		err.Reasons = append(err.Reasons, Candidate{Key: s.Name, Why: "the service " + why, Until: timePtr(until)})
		first = until
	} else {
		p := r.pin()
		s.all(func(m *member) {
			if r.bound.to != nil && !e.owns(r.bound.to, m.key) {
				return // it is not asked about
			}
			c := e.candidate(q, m, now)
			err.Reasons = append(err.Reasons, c)
			if c.Until != nil && m.key.isFor(r.Scope) {
				first = earliest(first, s.pinLets(p, m.key, *c.Until))
			}
		})
	}
	if !first.IsZero() {
		err.RetryAfter = max(e.turn(r, first, now).Sub(now), time.Millisecond)
	}
	e.tellBound(r, err)
	return err
}

// soon is when the first key that the request has not tried may serve it; zero
// if nothing but a person brings one back.
func (e *Engine) soon(r *Request, now time.Time) (at time.Time) {
	s, q := r.svc, e.query(r, now)
	room := time.Time{} // when the service's own limits let it through
	if b := q.lacks(s.books); b != nil {
		if _, room = q.full(b); room.IsZero() {
			return room
		}
	}
	p := r.pin()
	for i, t := range s.tiers {
		// A fallback key waits for those above it, if one of them comes in time.
		waits := i > 0 && s.FallbackAfter > 0 && p == nil && !r.narrowed() && e.upperSoon(r, s.tiers[:i], now)
		for j := range t.members {
			m := &t.members[j]
			if !e.wants(r, m.key) {
				continue
			}
			until := s.pinLets(p, m.key, m.back(q))
			if until.IsZero() {
				continue
			}
			if waits {
				until = latest(until, r.began.Add(s.FallbackAfter))
			}
			at = earliest(at, latest(until, room))
		}
	}
	return at
}

// back is when a member that is held, or that refuses the request, may serve
// it; zero is unknown or never.
func (m *member) back(q *query) time.Time {
	why, until := q.refuses(m.key)
	switch {
	case why == "":
		until = q.now
	case until.IsZero():
		return until // what holds it besides does not matter
	}
	k := m.key
	if k.Missing != "" {
		return time.Time{}
	}
	for _, h := range [...]*hold{k.disabled, k.cred.all.hold, accountHold(k.cred)} {
		switch at := h.readyAt(); {
		case at <= q.nano:
		case at != never:
			until = latest(until, q.when(at))
		case h.trying:
			until = latest(until, q.moment()) // its trial may succeed
		default:
			return time.Time{}
		}
	}
	return until
}

// earliest is the earlier of two times, of which a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// candidate says why a member is passed over, or that it can serve.
func (e *Engine) candidate(q *query, m *member, now time.Time) Candidate {
	c := Candidate{Key: m.key.Name}
	if !m.key.isFor(q.r.Scope) {
		c.Why = fmt.Sprintf("is for %s, not for %s", strings.Join(m.key.Scopes, ", "), q.r.Scope)
		return c
	}
	if h := m.key.disabled; h != nil && !h.over(now) || m.readyAt > q.nano {
		st, h := m.key.state(now)
		c.Why = st.String()
		if h != nil {
			c.Why = h.why // "disabled by alice" says its state itself
			if !strings.HasPrefix(c.Why, st.String()) {
				c.Why = st.String() + ": " + c.Why
			}
			c.Until = timePtr(m.back(q))
		} else if m.key.draining {
			c.Why = "is draining"
		}
		return c
	}
	why, until := q.refuses(m.key)
	if p := q.r.pin(); why == "" && p != nil && p.key != m.key {
		why, until = "not it: "+q.r.svc.Name+" is pinned to "+p.key.Name, p.until
	}
	if why == "" {
		why = "can serve"
	}
	c.Why, c.Until = why, timePtr(until)
	return c
}

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

// refuses says why a key cannot serve the request and from when on it can
// (zero: unknown); "" when it can. It allocates nothing.
func (q *query) refuses(k *key) (why string, until time.Time) {
	r := q.r
	if k.draining {
		return "is draining", time.Time{}
	}
	if why = q.e.foreign(r, k); why != "" {
		return why, time.Time{}
	}
	if !r.Repeatable || r.Once {
		for _, h := range k.cred.holders() {
			if h != nil && h.all.hold != nil && !h.all.hold.trialAt.IsZero() {
				return "waits for a trial that is safe to repeat", time.Time{}
			}
		}
	}
	if h := k.cred.partHold(r.Model, r.Scope, q.now); h != nil {
		return h.why, h.until
	}
	if !k.isFor(r.Scope) {
		return "is not for this scope", time.Time{}
	}
	for _, h := range k.cred.holders() {
		if h != nil && len(h.books) > 0 {
			if b := q.lacks(h.books); b != nil {
				return q.full(b)
			}
		}
	}
	switch {
	case r.attempts > 0 && r.hasTried(k.cred):
		return "was tried", q.moment()
	case len(q.e.lines) > 0 && q.e.isKept(k.cred, r):
		return "gathers tokens for a larger request that came before", q.moment()
	}
	return "", time.Time{}
}

// isFor reports whether the key may be used for a scope, "" being unknown.
func (k *key) isFor(scope string) bool {
	return scope == "" || len(k.Scopes) == 0 || slices.Contains(k.Scopes, scope)
}

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
	e.q = query{e: e, r: r, now: now, nano: now.UnixNano(), careful: e.careful}
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
			if c.Until != nil && (p == nil || p.key == m.key) && m.key.isFor(r.Scope) {
				first = earliest(first, *c.Until)
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
	if b := q.lacks(s.books); b != nil {
		_, until := q.full(b)
		return until
	}
	p := r.pin()
	for i, t := range s.tiers {
		for j := range t.members {
			m := &t.members[j]
			if !e.wants(r, m.key) || p != nil && p.key != m.key {
				continue
			}
			until := m.back(q)
			if until.IsZero() {
				continue
			}
			if i > 0 && s.FallbackAfter > 0 && !r.narrowed() {
				until = latest(until, r.began.Add(s.FallbackAfter))
			}
			at = earliest(at, until)
		}
	}
	return at
}

// back is when a member that is held, or that refuses the request, may serve
// it; zero is unknown or never.
func (m *member) back(q *query) time.Time {
	switch {
	case m.readyAt <= q.nano:
		why, until := q.refuses(m.key)
		if why == "" {
			return q.now
		}
		return until
	case m.readyAt != never:
		return time.Unix(0, m.readyAt)
	}
	if k := m.key; k.disabled == nil && !k.draining && k.Missing == "" {
		for _, h := range k.cred.holders() {
			if h != nil && h.all.hold != nil && h.all.hold.trying {
				return q.moment() // its trial may succeed
			}
		}
	}
	return time.Time{}
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
		why = "not it: " + q.r.svc.Name + " is pinned to " + p.key.Name
	}
	if why == "" {
		why = "can serve"
	}
	c.Why, c.Until = why, timePtr(until)
	return c
}

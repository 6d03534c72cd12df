package engine

import (
	"context"
	"slices"
	"time"

	"keywheel/engine/quota"
)

// line is who waits for a key of a service, the first in front. Whoever is
// first looks after the whole line: when time alone brings a key back, it is
// the first that wakes up for it.
type line struct {
	queue []*waiter
	// due is when the next of the line can be served, or a key may end, as far as
	// is known.
	due time.Time
	// gatherer is the first in line where it waits only for tokens, gathers the
	// key that they gather on: nobody behind takes them away.
	gatherer *waiter
	gathers  *credential
	// gathering is since when it is the gatherer.
	gathering time.Time
	// served is how fast the service is served.
	served quota.Meter
}

// waiter is a request that waits in its service's line.
type waiter struct {
	r *Request
	// lease is the key it was given.
	lease *Lease
	// wake is sent to, without blocking, when it has a lease or should look
	// again.
	wake chan struct{}
}

func (w *waiter) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// alike reports whether two requests that have tried no key and name nothing
// bound can be served by the same keys, but for how large they are.
func (r *Request) alike(o *Request) bool {
	return r.Model == o.Model && r.Scope == o.Scope && r.Repeatable == o.Repeatable && r.attempts+o.attempts == 0 && len(r.Bound)+len(o.Bound) == 0
}

// mayTry reports whether it may be the trial of a key: a fault does not end it.
func (r *Request) mayTry() bool { return r.Repeatable && !r.Once }

// rulesOut reports whether another cannot be served either, now that this one,
// which has tried no key and is before it in line, cannot. Who has tried the keys
// above, or has less patience, may be served by a fallback key sooner.
func (r *Request) rulesOut(o *Request) bool {
	return r.Model == o.Model && r.Scope == o.Scope && (r.mayTry() || !o.mayTry()) && r.attempts == 0 && len(r.Bound)+len(o.Bound) == 0 &&
		o.est.exceeds(r.est) && (r.svc.FallbackAfter == 0 || r.Patience == o.Patience && o.attempts == 0)
}

// wait waits in line until a key can serve the request, its patience is over,
// or its client has left. It is called, and returns, with the engine locked.
func (e *Engine) wait(ctx context.Context, r *Request, now time.Time) (*Lease, error) {
	s, deadline := r.svc, e.deadline(r)
	soon := e.soon(r, now)
	if soon.IsZero() || e.turn(r, soon, now).After(deadline) || e.waiting >= e.maxWaiting {
		return nil, e.refuse(r, now)
	}
	w := &waiter{r: r, wake: make(chan struct{}, 1)}
	e.enqueue(s, w)
	if s.queue[0] == w || soon.Before(s.due) {
		e.dispatch(now) // finds out when it is due
	}
	for w.lease == nil {
		until := deadline
		if s.queue[0] == w {
			until = earliest(until, s.due)
		}
		timer := time.NewTimer(max(until.Sub(now), 50*time.Microsecond))
		e.mu.Unlock()
		select {
		case <-w.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		e.mu.Lock()
		r.waited += time.Since(now)
		now = time.Now()
		if w.lease != nil {
			return w.lease, nil
		}
		if s.removed {
			e.remove(s, w)
			return nil, e.removed(r, now)
		}
		if err := ctx.Err(); err != nil {
			e.leave(s, w, now)
			e.end(r, now, ClientError, clientLeft)
			return nil, err
		}
		e.sweep(now)
		if w.lease == nil {
			e.dispatch(now)
		}
		if w.lease != nil {
			break
		}
		if soon := e.soon(r, now); soon.IsZero() || soon.After(deadline) || !now.Before(deadline) {
			e.leave(s, w, now)
			return nil, e.refuse(r, now)
		}
	}
	return w.lease, nil
}

// deadline is when the request's patience is over.
func (e *Engine) deadline(r *Request) time.Time {
	patience := e.patience
	if r.Patience > 0 {
		patience = min(patience, r.Patience)
	}
	return r.began.Add(patience)
}

// turn predicts when a request that would be the last in line is served: when
// a key comes back, and those before it have been served.
func (e *Engine) turn(r *Request, soon, now time.Time) time.Time {
	ahead := 0
	for _, w := range r.svc.queue {
		if w.r.alike(r) {
			ahead++
		}
	}
	if ahead == 0 {
		return soon
	}
	rate := e.throughput(r, now)
	if rate <= 0 {
		return soon // nobody knows
	}
	return soon.Add(time.Duration(float64(ahead) / rate * float64(time.Second)))
}

// enough is how many requests a service must have served for its pace to tell
// anything.
const enough = 50

// throughput is how many requests like this one a second its service can serve,
// 0 if that is not known: what the limits of its keys let through, or else what
// it served of late.
func (e *Engine) throughput(r *Request, now time.Time) float64 {
	s, q := r.svc, e.query(r, now)
	sum, all := 0.0, true
	for _, t := range s.tiers {
		for i := range t.members {
			m := &t.members[i]
			if m.readyAt == never {
				continue
			}
			rate := q.throughput(m.key.cred)
			sum += rate
			all = all && rate > 0
		}
	}
	if all {
		return sum
	}
	if s.served.Samples() < enough {
		return 0
	}
	return s.served.PerSecond(now)
}

// throughput is how many such requests a second the key's limits let through,
// 0 without limits.
func (q *query) throughput(c *credential) (rate float64) {
	for _, h := range c.holders() {
		if h == nil {
			continue
		}
		share := 1.0
		if h == c.account {
			share = 1 / float64(max(h.keys, 1))
		}
		for _, b := range h.books {
			if perSec := b.PerSecond() * share / q.need(b); perSec > 0 && b.concerns(q.r) && (rate == 0 || perSec < rate) {
				rate = perSec
			}
		}
	}
	return rate
}

func (e *Engine) enqueue(s *service, w *waiter) {
	if len(s.queue) == 0 {
		e.lines = append(e.lines, s)
	}
	s.queue = append(s.queue, w)
	e.waiting++
}

// remove takes a waiter out of its line. Who is first after it looks after the
// line from now on.
func (e *Engine) remove(s *service, w *waiter) {
	i := slices.Index(s.queue, w)
	s.queue = slices.Delete(s.queue, i, i+1)
	e.waiting--
	if s.gatherer == w {
		s.gatherer, s.gathers = nil, nil
	}
	switch {
	case len(s.queue) == 0:
		e.lines = slices.DeleteFunc(e.lines, func(x *service) bool { return x == s })
	case i == 0:
		s.queue[0].nudge()
	}
}

// leave is remove for a waiter that gives up.
func (e *Engine) leave(s *service, w *waiter, now time.Time) {
	e.remove(s, w)
	e.dispatch(now)
}

// due reports whether one of those who wait can be served by now: whatever else
// frees a key has dispatched it already.
func (e *Engine) due(now time.Time) bool {
	return slices.ContainsFunc(e.lines, func(s *service) bool { return !s.due.After(now) })
}

// dispatch gives the keys that can serve now to those who wait, in the order in
// which they came; services that wait for one key take turns. It wakes nobody
// who is not served.
func (e *Engine) dispatch(now time.Time) {
	e.unserved = false
	for idle := 0; idle < len(e.lines); {
		s := e.lines[0]
		copy(e.lines, e.lines[1:])
		e.lines[len(e.lines)-1] = s
		if e.serveFirst(s, now) {
			idle = 0
		} else {
			idle++
		}
	}
}

// serve dispatches what an operation has changed, once, when all of it is done:
// a key that is free only then is not passed over for another.
func (e *Engine) serve(now time.Time) {
	if e.unserved {
		e.dispatch(now)
	}
}

// freed notes that a key may have something to give after an answer, if somebody
// waits for that.
func (e *Engine) freed(l *Lease) {
	waits := len(l.req.svc.queue) > 0 || l.holders[1] != nil
	for _, k := range l.cred.names {
		for _, p := range k.places {
			waits = waits || len(p.tier.service.queue) > 0
		}
	}
	e.unserved = e.unserved || waits
}

// serveFirst gives a lease to the first of a line whom a key can serve now.
// Where there is none it finds out when there will be.
func (e *Engine) serveFirst(s *service, now time.Time) bool {
	// failed is one of each sort that could not be served; lost says that it
	// never will be.
	var failed [8]*Request
	var lost [8]bool
	n := 0
	due := e.endAt // a key above may end, and leave it to one below
	before := s.gatherer
	s.gatherer, s.gathers = nil, nil
	for i, w := range s.queue {
		if j := slices.IndexFunc(failed[:n], func(r *Request) bool { return r.rulesOut(w.r) }); j >= 0 {
			if lost[j] {
				w.nudge()
			}
			continue
		}
		if l := e.try(w.r, now); l != nil {
			w.lease = l
			e.remove(s, w)
			w.nudge()
			return true
		}
		at := e.soon(w.r, now)
		if n < len(failed) {
			failed[n], lost[n] = w.r, at.IsZero()
			n++
		}
		if i == 0 {
			s.gathers = e.gatheringOn(w.r, at, now)
			if s.gathers != nil {
				if s.gatherer = w; w != before {
					s.gathering = now
				}
			}
		}
		if at.IsZero() || at.After(e.deadline(w.r)) {
			w.nudge() // nothing to wait for any more
		}
		due = earliest(due, at)
	}
	if due.Before(s.due) {
		s.queue[0].nudge()
	}
	s.due = due
	return false
}

// isKept reports whether tokens gather on the key for another request that is
// the first of a line. In its own service's they gather against all that came
// behind it; against another's only if that came after the gathering began, so
// that services take turns.
func (e *Engine) isKept(c *credential, r *Request) bool {
	for _, s := range e.lines {
		if s.gathers == c && s.gatherer.r != r && (s == r.svc || s.gathering.Before(r.began)) {
			return true
		}
	}
	return false
}

// exceeds reports whether it asks for about as much as the other, or more: what
// is expected of answers changes a little all the time.
func (est estimate) exceeds(other estimate) bool {
	return est.input >= other.input && est.output >= 0.9*other.output
}

// gatheringOn is the key that will serve the request at the given moment, if it
// is only for its limits that it does not serve it now.
func (e *Engine) gatheringOn(r *Request, at, now time.Time) (found *credential) {
	q := e.query(r, now)
	r.svc.all(func(m *member) {
		if found != nil || m.readyAt > q.nano || !e.wants(r, m.key) {
			return
		}
		for _, h := range m.key.cred.holders() {
			if h == nil {
				continue
			}
			if b := q.lacks(h.books); b != nil && b.Unit != quota.Requests && b.Unit != quota.Concurrent {
				if _, until := q.full(b); until.Equal(at) {
					found = m.key.cred
				}
			}
		}
	})
	return found
}

package engine

import (
	"context"
	"slices"
	"time"
)

// waiter is a request that waits in its service's line.
type waiter struct {
	r *Request
	// wake is sent to, without blocking, when it may be its turn.
	wake chan struct{}
}

// mustQueue reports whether others wait in line for what the request needs:
// first come, first served. One that waits for another model is not in the way.
func (s *service) mustQueue(r *Request) bool {
	return slices.ContainsFunc(s.queue, func(w *waiter) bool { return w.before(r) })
}

func (w *waiter) before(r *Request) bool {
	return w.r != r && w.r.Model == r.Model && w.r.Scope == r.Scope
}

// first reports whether nobody before the waiter waits for the same.
func (s *service) first(w *waiter) bool {
	for _, other := range s.queue {
		if other == w {
			return true
		}
		if other.before(w.r) {
			return false
		}
	}
	return true
}

// wait waits in line until a key can serve the request, its patience is over,
// or its client has left. It is called, and returns, with the engine locked.
func (e *Engine) wait(ctx context.Context, r *Request, now time.Time) (*Lease, error) {
	patience := e.patience
	if r.Patience > 0 {
		patience = min(patience, r.Patience)
	}
	s, deadline := r.svc, r.began.Add(patience)
	w := &waiter{r: r, wake: make(chan struct{}, 1)}
	queued := false
	leave := func() {
		if queued {
			s.queue = slices.DeleteFunc(s.queue, func(x *waiter) bool { return x == w })
			e.waiting--
			// Whoever is first now may have been waiting for this one only.
			s.wakeFirst()
		}
	}
	defer func() { leave() }()
	for {
		none, soon := e.noKey(r, now)
		// Behind others, the head's wake-up is what counts, not the clock.
		behind := queued && !s.first(w) || !queued && s.mustQueue(r)
		if !behind && (soon.IsZero() && !e.mayFree(r) || soon.After(deadline)) || !now.Before(deadline) || !queued && e.waiting >= e.maxWaiting {
			e.refuse(r, now)
			return nil, none
		}
		if !queued {
			queued = true
			s.queue = append(s.queue, w)
			e.waiting++
		}
		until := deadline
		if !behind && !soon.IsZero() {
			until = earliest(until, soon)
		}
		timer := time.NewTimer(until.Sub(now))
		e.mu.Unlock()
		select {
		case <-w.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		e.mu.Lock()
		now = time.Now()
		if err := ctx.Err(); err != nil {
			e.end(r, now, ClientError, "the client left")
			return nil, err
		}
		e.sweep(now)
		if s.first(w) {
			if l := e.try(r, now); l != nil {
				return l, nil
			}
		}
	}
}

// mayFree reports whether the end of a running request can let this one go: a
// limit on concurrency is in its way, or a trial is on its way.
func (e *Engine) mayFree(r *Request) bool {
	q, free := e.query(r, time.Now()), false
	r.svc.all(func(m *member) {
		c := m.key.cred
		if free || c.inFlight == 0 || r.hasTried(c) {
			return
		}
		h := c.all.hold
		why, until := q.refuses(m.key)
		free = h != nil && h.trying || m.readyAt <= q.nano && why != "" && until.IsZero()
	})
	return free
}

// wakeFirst wakes those of the line who are first for what they wait for.
func (s *service) wakeFirst() {
	var firsts []*waiter
	for _, w := range s.queue {
		if slices.ContainsFunc(firsts, func(f *waiter) bool { return f.before(w.r) }) {
			continue
		}
		firsts = append(firsts, w)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// wakeAll wakes the first in every line: a key may have become free. Each that
// is served wakes the one behind it, so that no more wake than can be served.
func (e *Engine) wakeAll() {
	if e.waiting == 0 {
		return
	}
	for _, s := range e.services {
		s.wakeFirst()
	}
}

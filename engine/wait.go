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

// mustQueue reports whether somebody waits in line for a key that the request
// could have: first come, first served. Who waits for something else is not in
// the way.
func (e *Engine) mustQueue(r *Request, now time.Time) bool {
	return len(r.svc.queue) > 0 && e.inTheWay(r, r.svc.queue, now)
}

// inTheWay reports whether one of the line could take a key that the request
// could take now.
func (e *Engine) inTheWay(r *Request, line []*waiter, now time.Time) bool {
	q, blocked := e.query(r, now), false
	r.svc.all(func(m *member) {
		blocked = blocked || q.can(m) && slices.ContainsFunc(line, func(w *waiter) bool {
			return w.before(r) && !w.r.hasTried(m.key.cred)
		})
	})
	return blocked
}

func (w *waiter) before(r *Request) bool {
	return w.r != r && w.r.Model == r.Model && w.r.Scope == r.Scope
}

// ahead are those in line before the waiter.
func (s *service) ahead(w *waiter) []*waiter { return s.queue[:max(slices.Index(s.queue, w), 0)] }

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
		line := s.queue
		if queued {
			line = s.ahead(w)
		}
		// Behind others it is the head's wake-up that counts, not the clock.
		behind := slices.ContainsFunc(line, func(w *waiter) bool { return w.before(r) && w.r.attempts == 0 })
		soon := e.soon(r, now)
		hopeless := soon.IsZero() || soon.After(deadline) && !behind
		if hopeless || !now.Before(deadline) || !queued && e.waiting >= e.maxWaiting {
			none := e.noKey(r, now)
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
		if !e.inTheWay(r, s.ahead(w), now) {
			if l := e.try(r, now); l != nil {
				return l, nil
			}
		}
	}
}

// wakeFirst wakes those of the line who are first for what they wait for, or
// behind such as have tried keys that they have not.
func (s *service) wakeFirst() {
	var firsts []*waiter
	for _, w := range s.queue {
		if slices.ContainsFunc(firsts, func(f *waiter) bool { return f.before(w.r) && f.r.attempts == 0 }) {
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

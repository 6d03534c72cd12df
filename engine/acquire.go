package engine

import (
	"context"
	"net/url"
	"slices"
	"time"
)

// partHold is what holds the credential or its account for a model or a scope.
func (c *credential) partHold(model, scope string, now time.Time) *hold {
	if c.parts == nil && (c.account == nil || c.account.parts == nil) {
		return nil
	}
	for _, h := range c.holders() {
		for _, part := range [...]string{model, scope} {
			if s := h.part(part); s != nil && s.hold != nil && !s.hold.over(now) {
				return s.hold
			}
		}
	}
	return nil
}

// mark notes that the credential changed, and its account with it.
func (c *credential) mark() {
	c.changed = true
	if c.account != nil {
		c.account.changed = true
	}
}

// holders are the credential itself and its account, nil if that is unknown.
func (c *credential) holders() [2]*holder { return [2]*holder{&c.holder, c.account} }

func accountHold(c *credential) *hold {
	if c.account == nil {
		return nil
	}
	return c.account.all.hold
}

// Acquire chooses the key for the request's next attempt and reserves what its
// limits need. When no key can serve now but one soon, it waits in line for
// that, no longer than the engine's patience since the request's first Acquire.
// The error is a [*NoKeyError] when no key can serve, an
// [*UnknownServiceError], or ctx's. An error ends the request.
func (e *Engine) Acquire(ctx context.Context, r *Request) (*Lease, error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.svc == nil {
		s := e.svcBy[r.Service]
		if s == nil || s.Planned {
			return nil, &UnknownServiceError{r.Service}
		}
		e.begin(r, s, now)
	}
	if r.svc.removed {
		return nil, e.removed(r, now)
	}
	if err := ctx.Err(); err != nil {
		e.end(r, now, ClientError, clientLeft)
		return nil, err
	}
	e.sweep(now)
	if e.due(now) {
		e.dispatch(now) // who waits already comes first
	}
	if l := e.try(r, now); l != nil {
		if slices.ContainsFunc(e.lines, func(s *service) bool { return s.FallbackAfter > 0 }) {
			e.dispatch(now) // what it took may leave others to their fallback keys
		}
		return l, nil
	}
	return e.wait(ctx, r, now)
}

// try takes a key for the request if one can serve it now.
func (e *Engine) try(r *Request, now time.Time) *Lease {
	s := r.svc
	if r.narrowed() {
		return e.leaseBound(r, s, now)
	}
	if s.pin != nil || len(s.books) > 0 {
		return e.leaseSlowly(r, s, now)
	}
	return e.leaseFromTiers(r, s, now)
}

// leaseFromTiers takes a key of the first tier that has one.
func (e *Engine) leaseFromTiers(r *Request, s *service, now time.Time) *Lease {
	for i, t := range s.tiers {
		if i > 0 && s.FallbackAfter > 0 && e.upperSoon(r, s.tiers[:i], now) {
			return nil
		}
		l := e.lease(r, t, s, now)
		if l == nil {
			continue
		}
		if i != s.tier {
			e.changedTier(r, s, i, l.key, now)
		}
		return l
	}
	return nil
}

// upperSoon reports whether a key of the tiers will serve the request before it
// has waited so long that a fallback key shall, and before its patience is over:
// nobody is told that there is no key while a fallback key is idle.
func (e *Engine) upperSoon(r *Request, tiers []*tier, now time.Time) bool {
	q, at := e.query(r, now), time.Time{}
	for _, t := range tiers {
		for i := range t.members {
			if m := &t.members[i]; !r.hasTried(m.key.cred) {
				at = earliest(at, m.back(q))
			}
		}
	}
	return !at.IsZero() && !at.After(earlier(r.began.Add(r.svc.FallbackAfter), e.deadline(r)))
}

// lease takes the key that the strategy picks of a tier: one that has never
// served and is being asked only if there is no other.
func (e *Engine) lease(r *Request, t *tier, s *service, now time.Time) *Lease {
	was, q := t.next, e.query(r, now)
	q.careful = e.proving > 0
	i := s.strategy.pick(t, q)
	if i < 0 && q.careful {
		q.careful = false
		i = s.strategy.pick(t, q)
	}
	if i < 0 {
		return nil
	}
	if s.Strategy == Failover && t.next != was && r.rotation == nil {
		e.moved(r, t.members[was].key, now)
	}
	return e.take(r, t.members[i].key, now)
}

// leaseSlowly is lease for a service with a pin or limits of its own.
func (e *Engine) leaseSlowly(r *Request, s *service, now time.Time) *Lease {
	q := e.query(r, now)
	if q.lacks(s.books) != nil {
		return nil
	}
	if s.pin != nil {
		var pinned *member
		s.all(func(m *member) {
			if m.key == s.pin.key && pinned == nil {
				pinned = m
			}
		})
		if pinned == nil || !q.can(pinned) {
			return nil
		}
		return e.take(r, pinned.key, now)
	}
	return e.leaseFromTiers(r, s, now)
}

// take makes the lease and reserves the limits.
func (e *Engine) take(r *Request, k *key, now time.Time) *Lease {
	c, s := k.cred, r.svc
	l := &Lease{e: e, req: r, key: k, config: k.Key, cred: c, holders: c.holders(), at: now}
	for i, h := range l.holders {
		if h == nil || h.all.hold == nil && h.parts == nil {
			continue
		}
		for j, part := range r.parts() {
			s := h.slot(part)
			if j > 0 && part == "" || s == nil || s.hold == nil {
				continue
			}
			if !e.ended(k, s, part, now) && !s.hold.trialAt.IsZero() {
				l.trials[i][j] = s.hold
				s.hold.trying = true
			}
			e.readyAll(h, now)
		}
	}
	l.gens = gensOf(c, r)
	r.remember(k, l.gens)
	l.takeLimits(now)
	for _, h := range c.holders() {
		if h != nil {
			h.inFlight++
		}
	}
	if !c.proven {
		e.prove(c, true)
	}
	c.requests++
	c.mark()
	c.rate.Add(1, now)
	c.series.add(1, now)
	if r.rotation != nil {
		e.rotated(r, k, now)
	}
	s.inUse = k
	s.served.Add(1, now)
	return l
}

func host(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Host
}

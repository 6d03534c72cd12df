package engine

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one client request on its way through the keys. Fill in the
// exported fields, then hand the same Request to [Engine.Acquire] for each
// attempt: it remembers which keys it has tried. One goroutine at a time.
type Request struct {
	// ID names it for people; it is shown beside its rotation.
	ID      string
	Service string
	Method  string
	Path    string
	// Model and Scope are what it asks for; "" is unknown.
	Model string
	Scope string
	// Conversation names what the request is a part of, for affinity; "" is
	// nothing.
	Conversation string
	// Bound are the ids of the upstream resources that it names: only the account
	// that made them can serve it. Guessed says that they only look like ids:
	// then they count once they are known.
	Bound   []string
	Guessed bool
	// InputTokens is how many tokens its size lets expect, MaxOutput how many it
	// lets the answer have; 0 is unknown.
	InputTokens, MaxOutput int64
	// Repeatable is whether it may be sent again after an answer that does not
	// tell whether it was carried out. See DESIGN section 4, "safe to repeat".
	Repeatable bool
	// Patience is the longest it may wait in line; 0 is the engine's.
	Patience time.Duration
	// Once is set when the request cannot be sent again at all, whatever the
	// answer: its body was not kept.
	Once bool

	svc      *service
	est      estimate
	began    time.Time
	attempts int
	tried    [2]attempt
	more     []attempt
	faults   int
	rotation *Rotation
	// rotationSeq is the number of the event that told the rotation.
	rotationSeq uint64
	over        bool
	bound       bound
	// For its record: how long it stood in line, and after how long its answer
	// began.
	waited, head time.Duration
}

type attempt struct {
	key  *key
	cred *credential // the key's when it was chosen
	gens gens
	// elsewhere is set where its account did not have what was asked for.
	elsewhere bool
	kind      Kind
	// For the request's record: what was answered, after how long, and why
	// that was judged so.
	status int16
	tookMS int32
	why    string
}

// Attempts is how many keys the request has been sent with.
func (r *Request) Attempts() int { return r.attempts }

func (r *Request) attempt(i int) *attempt {
	if i < len(r.tried) {
		return &r.tried[i]
	}
	return &r.more[i-len(r.tried)]
}

func (r *Request) remember(k *key, g gens) {
	a := attempt{key: k, cred: k.cred, gens: g}
	if r.attempts < len(r.tried) {
		r.tried[r.attempts] = a
	} else {
		r.more = append(r.more, a)
	}
	r.attempts++
}

func (r *Request) hasTried(c *credential) bool {
	for i := range r.attempts {
		if r.attempt(i).cred == c {
			return true
		}
	}
	return false
}

// Lease is one request's hold on one key. [Lease.Judge] tells it what the
// answer's head said; [Lease.Close] ends it.
type Lease struct {
	e   *Engine
	req *Request
	key *key
	// config, cred and holders are what the key was when it was chosen: a reload
	// may have made something else of it since.
	config  *Key
	cred    *credential
	holders [2]*holder
	at      time.Time
	gens    gens
	// trials are the holds that this lease puts to the test: the key's and the
	// account's.
	trials [2]*hold
	judged bool
	over   bool
	// refused is set when the answer says that nothing was used up.
	refused bool
	kind    Kind
	status  int
}

// Key is the key that serves the request. It must not be changed.
func (l *Lease) Key() *Key { return l.config }

// At is when the key was chosen.
func (l *Lease) At() time.Time { return l.at }

// NoKeyError says that no key of a service can serve a request, and of each
// why and until when.
type NoKeyError struct {
	Service string
	Reasons []Candidate
	// RetryAfter is the time to the first recovery; 0 when nothing but a person
	// brings a key back.
	RetryAfter time.Duration
	// Bound is set where only one account can serve the request, and says whose
	// that is; two of them say that no one account can.
	Bound []Binding
}

func (err *NoKeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no key of %s can serve this request", err.Service)
	if about := err.About(); about != "" {
		b.WriteString(": " + about)
	}
	for i, c := range err.Reasons {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %s", c.Key, c.Why)
	}
	return b.String()
}

// UnknownServiceError says that there is no such service to serve.
type UnknownServiceError struct{ Service string }

func (err *UnknownServiceError) Error() string {
	return fmt.Sprintf("there is no service %q", err.Service)
}

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
	if r.Scope != "" && len(k.Scopes) > 0 && !slices.Contains(k.Scopes, r.Scope) {
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
		return l, nil
	}
	return e.wait(ctx, r, now)
}

// try takes a key for the request if one can serve it now.
func (e *Engine) try(r *Request, now time.Time) *Lease {
	e.careful = e.proving > 0
	l := e.tryAny(r, now)
	if e.careful && l == nil {
		e.careful = false
		l = e.tryAny(r, now)
	}
	e.careful = false
	return l
}

// tryAny is try with the keys that the engine is careful with, or without.
func (e *Engine) tryAny(r *Request, now time.Time) *Lease {
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
// has waited so long that a fallback key shall.
func (e *Engine) upperSoon(r *Request, tiers []*tier, now time.Time) bool {
	q, at := e.query(r, now), time.Time{}
	for _, t := range tiers {
		for i := range t.members {
			if m := &t.members[i]; !r.hasTried(m.key.cred) {
				at = earliest(at, m.back(q))
			}
		}
	}
	return !at.IsZero() && !at.After(r.began.Add(r.svc.FallbackAfter))
}

func (e *Engine) query(r *Request, now time.Time) *query {
	e.q = query{e: e, r: r, now: now, nano: now.UnixNano(), careful: e.careful}
	return &e.q
}

// lease takes the key that the strategy picks of a tier.
func (e *Engine) lease(r *Request, t *tier, s *service, now time.Time) *Lease {
	was := t.next
	i := s.strategy.pick(t, e.query(r, now))
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
		if h == nil || h.all.hold == nil {
			continue
		}
		if e.ended(k, &h.all, "", now) {
			e.readyAll(h, now)
		} else if !h.all.hold.trialAt.IsZero() {
			l.trials[i] = h.all.hold
			h.all.hold.trying = true
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

func (e *Engine) begin(r *Request, s *service, now time.Time) {
	r.svc, r.began = s, now
	if len(r.Bound) > 0 {
		e.resolve(r)
	}
	e.expect(r)
	s.asked(r.Model, r.Scope)
	s.inFlight++
	s.requests++
	s.changed = true
	s.rate.Add(1, now)
	s.series.add(1, now)
	e.inFlight++
	e.requests++
	e.rate.Add(1, now)
}

// refuse ends a request for which there is no key, and says why.
func (e *Engine) refuse(r *Request, now time.Time) *NoKeyError {
	none := e.noKey(r, now)
	r.svc.refused++
	r.svc.changed = true
	if r.rotation != nil {
		e.rotated(r, nil, now)
	}
	e.end(r, now, QuotaExhausted, noKeyCould)
	return none
}

// end counts the request out. kind is what the client saw: OK, ClientError, or
// any other for a failure.
func (e *Engine) end(r *Request, now time.Time, kind Kind, outcome string) {
	if r.over {
		return
	}
	r.over = true
	r.svc.inFlight--
	r.svc.changed = true
	e.inFlight--
	failed := 0
	for i := range r.attempts {
		if k := r.attempt(i).kind; k != OK && k != ClientError {
			failed++
		}
	}
	switch kind {
	case OK, ClientError:
		e.absorbed += int64(failed)
	default:
		e.failures++
		r.svc.failures++
		e.absorbed += int64(max(failed-1, 0))
	}
	if r.rotation != nil && r.rotation.Outcome == "" {
		r.rotation.Outcome = outcome
		e.log.amend(r.rotationSeq)
	}
	e.recordRequest(r, now, kind, outcome)
}

// Abandon ends a request that holds no lease and will not be tried again.
func (e *Engine) Abandon(r *Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.svc != nil {
		e.end(r, time.Now(), ClientError, clientLeft)
	}
}

// noKey says of each key of the request's service why it cannot serve it.
func (e *Engine) noKey(r *Request, now time.Time) *NoKeyError {
	s, q := r.svc, e.query(r, now)
	err := &NoKeyError{Service: s.Name}
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
			if c.Until != nil && (p == nil || p.key == m.key) {
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
	if h := m.key.disabled; h != nil && !h.over(now) || m.readyAt > q.nano {
		st, h := m.key.state(now)
		c.Why = st.String()
		if h != nil {
			c.Why = fmt.Sprintf("%s: %s", st, h.why)
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

func host(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Host
}

// Usage is what one request used, as far as the provider told.
type Usage struct {
	Input   int64   `json:"input_tokens"`
	Output  int64   `json:"output_tokens"`
	Cached  int64   `json:"cached_tokens"`
	CostUSD float64 `json:"cost_usd"`
	// Unpriced is set where something was used and nobody knows its price.
	Unpriced bool `json:"unpriced,omitempty"`
}

func (u *Usage) add(v Usage) {
	u.Input += v.Input
	u.Output += v.Output
	u.Cached += v.Cached
	u.CostUSD += v.CostUSD
}

// latencies keeps the times to the head of the last answers.
type latencies struct {
	ms [256]float64
	n  int
}

func (l *latencies) add(d time.Duration) {
	l.ms[l.n%len(l.ms)] = float64(d) / float64(time.Millisecond)
	l.n++
}

// p95 is the 95th percentile in milliseconds, 0 before any answer.
func (l *latencies) p95() float64 {
	n := min(l.n, len(l.ms))
	if n == 0 {
		return 0
	}
	sorted := append([]float64(nil), l.ms[:n]...)
	slices.Sort(sorted)
	return sorted[int(math.Ceil(0.95*float64(n)))-1]
}

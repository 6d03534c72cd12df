package engine

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"keywheel/engine/quota"
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
	// Tokens is the estimate that is reserved of token limits.
	Tokens int64
	// Repeatable is whether it may be sent again after an answer that does not
	// tell whether it was carried out. See DESIGN section 4, "safe to repeat".
	Repeatable bool
	// Patience is the longest it may wait in line; 0 is the engine's.
	Patience time.Duration
	// Once is set when the request cannot be sent again at all, whatever the
	// answer: its body was not kept.
	Once bool

	svc      *service
	began    time.Time
	attempts int
	tried    [2]attempt
	more     []attempt
	faults   int
	rotation *Rotation
	over     bool
}

type attempt struct {
	cred *credential
	kind Kind
	gens gens
}

// Attempts is how many keys the request has been sent with.
func (r *Request) Attempts() int { return r.attempts }

func (r *Request) attempt(i int) *attempt {
	if i < len(r.tried) {
		return &r.tried[i]
	}
	return &r.more[i-len(r.tried)]
}

func (r *Request) remember(c *credential, g gens) {
	a := attempt{cred: c, gens: g}
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
	e    *Engine
	req  *Request
	key  *key
	at   time.Time
	gens gens
	// trials are the holds that this lease puts to the test: the key's and the
	// account's.
	trials [2]*hold
	judged bool
	over   bool
	kind   Kind
	status int
}

// Key is the key that serves the request. It must not be changed.
func (l *Lease) Key() *Key { return &l.key.Key }

// NoKeyError says that no key of a service can serve a request, and of each
// why and until when.
type NoKeyError struct {
	Service string
	Reasons []Candidate
	// RetryAfter is the time to the first recovery; 0 when nothing but a person
	// brings a key back.
	RetryAfter time.Duration
}

func (err *NoKeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no key of %s can serve this request", err.Service)
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
	r    *Request
	now  time.Time
	nano int64
}

// can reports whether the member can serve the request now.
func (q *query) can(m *member) bool {
	if m.readyAt > q.nano {
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
	if why, until = q.fits(k.cred.books); why == "" && r.attempts > 0 && r.hasTried(k.cred) {
		return "was tried", q.now.Add(aMoment)
	}
	return why, until
}

// aMoment is when to look again for what ends with some running request.
const aMoment = time.Second

// fits says which of the books the request does not fit in, if any.
func (q *query) fits(books []*quota.Book) (why string, until time.Time) {
	for _, b := range books {
		n := q.need(b)
		if n < 0 || b.Fits(n, q.now) {
			continue
		}
		if b.Unit == quota.Concurrent {
			return "serves as many at once as it may", q.now.Add(aMoment)
		}
		return limitReasons[b.Unit], b.WhenFits(n, q.now)
	}
	return "", time.Time{}
}

var limitReasons = map[quota.Unit]string{quota.Requests: "has used its limit of requests", quota.Tokens: "has used its limit of tokens",
	quota.USD: "has used its limit of money"}

// need is how much of the book the request will take; below 0 if the book does
// not concern it.
func (q *query) need(b *quota.Book) float64 {
	switch {
	case b.Model != "" && b.Model != q.r.Model:
		return -1
	case b.Unit == quota.Requests || b.Unit == quota.Concurrent:
		return 1
	case b.Unit == quota.Tokens:
		return float64(q.r.Tokens)
	default:
		return 1e-9 // money: anything left is enough, the answer tells the rest
	}
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
	if err := ctx.Err(); err != nil {
		e.end(r, now, ClientError, "the client left")
		return nil, err
	}
	e.sweep(now)
	if !e.mustQueue(r, now) {
		if l := e.try(r, now); l != nil {
			return l, nil
		}
	}
	return e.wait(ctx, r, now)
}

// try takes a key for the request if one can serve it now.
func (e *Engine) try(r *Request, now time.Time) *Lease {
	s := r.svc
	if s.pin != nil || len(s.books) > 0 {
		return e.leaseSlowly(r, s, now)
	}
	return e.leaseFromTiers(r, s, now)
}

// leaseFromTiers takes a key of the first tier that has one.
func (e *Engine) leaseFromTiers(r *Request, s *service, now time.Time) *Lease {
	for i, t := range s.tiers {
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

func (e *Engine) query(r *Request, now time.Time) *query {
	e.q = query{r: r, now: now, nano: now.UnixNano()}
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
	if why, _ := q.fits(s.books); why != "" {
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
	l := &Lease{e: e, req: r, key: k, at: now}
	for i, h := range c.holders() {
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
	r.remember(c, l.gens)
	q := e.q
	for _, books := range [...][]*quota.Book{c.books, s.books} {
		for _, b := range books {
			if n := q.need(b); n > 0 && b.Unit != quota.USD {
				b.Take(n, now)
			}
		}
	}
	c.inFlight++
	c.requests++
	c.rate.Add(1, now)
	c.series.add(1, now)
	if r.rotation != nil {
		e.rotated(r, k, now)
	}
	s.inUse = k
	return l
}

func (e *Engine) begin(r *Request, s *service, now time.Time) {
	r.svc, r.began = s, now
	s.asked(r.Model, r.Scope)
	s.inFlight++
	s.requests++
	s.rate.Add(1, now)
	s.series.add(1, now)
	e.inFlight++
	e.requests++
	e.rate.Add(1, now)
}

// refuse ends a request for which there was no key.
func (e *Engine) refuse(r *Request, now time.Time) {
	r.svc.refused++
	if r.rotation != nil {
		e.rotated(r, nil, now)
	}
	e.end(r, now, QuotaExhausted, "refused: no key could serve")
}

// end counts the request out. kind is what the client saw: OK, ClientError, or
// any other for a failure.
func (e *Engine) end(r *Request, now time.Time, kind Kind, outcome string) {
	if r.over {
		return
	}
	r.over = true
	r.svc.inFlight--
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
	}
}

// Abandon ends a request that holds no lease and will not be tried again.
func (e *Engine) Abandon(r *Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.svc != nil {
		e.end(r, time.Now(), ClientError, "the client left")
	}
}

// noKey says of each key of the request's service why it cannot serve it.
func (e *Engine) noKey(r *Request, now time.Time) *NoKeyError {
	s, q := r.svc, e.query(r, now)
	err := &NoKeyError{Service: s.Name}
	first := time.Time{}
	if why, until := q.fits(s.books); why != "" {
		err.Reasons = append(err.Reasons, Candidate{Key: s.Name, Why: "the service " + why, Until: timePtr(until)})
		first = until
	} else {
		s.all(func(m *member) {
			c := e.candidate(q, m, now)
			err.Reasons = append(err.Reasons, c)
			if c.Until != nil && (s.pin == nil || s.pin.key == m.key) {
				first = earliest(first, *c.Until)
			}
		})
	}
	if !first.IsZero() {
		err.RetryAfter = max(first.Sub(now), time.Millisecond)
	}
	return err
}

// soon is when the first key that the request has not tried may serve it; zero
// if nothing but a person brings one back.
func (e *Engine) soon(r *Request, now time.Time) (at time.Time) {
	s, q := r.svc, e.query(r, now)
	if why, until := q.fits(s.books); why != "" {
		return until
	}
	s.all(func(m *member) {
		if r.hasTried(m.key.cred) || s.pin != nil && s.pin.key != m.key {
			return
		}
		if until := m.back(q); !until.IsZero() {
			at = earliest(at, until)
		}
	})
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
				return q.now.Add(aMoment) // its trial may succeed
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
	if s := q.r.svc; why == "" && s.pin != nil && s.pin.key != m.key {
		why = "not it: " + s.Name + " is pinned to " + s.pin.key.Name
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
	Input, Output, Cached int64
	CostUSD               float64
	// Unpriced is set where something was used and nobody knows its price.
	Unpriced bool
}

// Tokens is input and output together.
func (u Usage) Tokens() float64 { return float64(u.Input + u.Output) }

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

package engine

import (
	"fmt"
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
	// trials are the holds that this lease puts to the test, in the order of gens.
	trials [2][3]*hold
	judged bool
	over   bool
	// made are the ids of what the answer told was made.
	made []string
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
	// Scope is set where no key of the service may ever be used for what is asked,
	// and says what that is: waiting does not help, and no key is at fault.
	Scope string
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

func (e *Engine) begin(r *Request, s *service, now time.Time) {
	r.svc, r.began = s, now
	r.Model = Harmless(r.Model) // clients name it, and it is shown everywhere
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

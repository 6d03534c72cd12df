package engine

import (
	"slices"
	"strings"
	"time"
)

// RequestRecord is one client request that is over: which keys it was sent
// with, what each answered, and what the client saw. Texts are as harmless as
// they were when they came in: whoever describes a request has cleaned them.
type RequestRecord struct {
	// Seq rises by one with every request that ends.
	Seq     uint64    `json:"seq"`
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	Model   string    `json:"model"`
	// From is who sent a request that was turned away at the door.
	From string `json:"from,omitempty"`
	// Key is the one whose answer the client got; "" if none.
	Key      string          `json:"key"`
	Attempts []AttemptRecord `json:"attempts"`
	// Status is what upstream answered last; for one turned away, the door.
	Status int `json:"status"`
	// WaitedMS is how long it stood in line, HeadMS when the head of its answer
	// came, TookMS when all was over, since its arrival.
	WaitedMS     int64   `json:"waited_ms"`
	HeadMS       int64   `json:"head_ms"`
	TookMS       int64   `json:"took_ms"`
	InputTokens  int64   `json:"input_tokens"`
	OutputTokens int64   `json:"output_tokens"`
	CostUSD      float64 `json:"cost_usd"`
	// Outcome is what the client saw, one of the Outcome words; Why says more
	// where there is more.
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// AttemptRecord is one key's part in a request.
type AttemptRecord struct {
	Key     string `json:"key"`
	Verdict Kind   `json:"verdict"`
	Status  int    `json:"status"`
	TookMS  int64  `json:"took_ms"`
	// Why is the rule that decided, "" where nothing had to be decided.
	Why string `json:"why,omitempty"`
}

// The values of [RequestRecord.Outcome].
const (
	OutcomeServed      = "served"
	OutcomeClientError = "client error"
	OutcomeRefused     = "refused"
	OutcomeFailed      = "failed"
	OutcomeLeft        = "client left"
	OutcomeTurnedAway  = "turned away"
)

// How the engine says that a request ended without an answer.
const (
	clientLeft = "the client left"
	noKeyCould = "refused: no key could serve"
)

// maxRecords is how many requests the engine remembers.
const maxRecords = 2000

// trafficLog is a ring of the last requests. Its entries are used again, their
// attempts too, so that a record costs no allocation once the ring is full.
type trafficLog struct {
	ring []RequestRecord
	seq  uint64
}

// add makes room for a record and returns its place. What it says is put there
// by the caller, its number is given.
func (l *trafficLog) add(rec RequestRecord) *RequestRecord {
	l.seq++
	rec.Seq = l.seq
	if len(l.ring) < maxRecords {
		l.ring = append(l.ring, rec)
		return &l.ring[len(l.ring)-1]
	}
	at := &l.ring[(l.seq-1)%maxRecords]
	rec.Attempts = at.Attempts[:0]
	*at = rec
	return at
}

// used says of the newest record what its request used.
func (l *trafficLog) used(u Usage) {
	rec := &l.ring[(l.seq-1)%maxRecords]
	rec.InputTokens, rec.OutputTokens, rec.CostUSD = u.Input, u.Output, u.CostUSD
}

// Requests returns the requests that ended after the given sequence number and
// are still remembered, the oldest first. They share no memory with the engine.
func (e *Engine) Requests(after uint64) []RequestRecord {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.traffic
	if after >= l.seq {
		return nil
	}
	first := max(after+1, l.seq-uint64(len(l.ring))+1)
	list := make([]RequestRecord, 0, l.seq-first+1)
	for seq := first; seq <= l.seq; seq++ {
		rec := l.ring[(seq-1)%maxRecords]
		rec.Attempts = slices.Clone(rec.Attempts)
		list = append(list, rec)
	}
	return list
}

// TurnedAway remembers a request that was refused at the door: it reached no
// service.
func (e *Engine) TurnedAway(from, method, path, why string, status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.traffic.add(RequestRecord{At: time.Now(), From: clean(from), Method: clean(method), Path: clean(path), Why: clean(why), Status: status, Outcome: OutcomeTurnedAway})
}

// recordRequest remembers a request that has just ended. kind is what its
// client saw.
func (e *Engine) recordRequest(r *Request, now time.Time, kind Kind, outcome string) {
	rec := e.traffic.add(RequestRecord{ID: r.ID, At: r.began, Service: r.svc.Name, Method: r.Method, Path: bounded(r.Path), Model: bounded(r.Model), Why: outcome,
		WaitedMS: r.waited.Milliseconds(), HeadMS: r.head.Milliseconds(), TookMS: now.Sub(r.began).Milliseconds(), Outcome: outcomeOf(kind, outcome)})
	for i := range r.attempts {
		a := r.attempt(i)
		rec.Attempts = append(rec.Attempts, AttemptRecord{Key: a.key.Name, Verdict: a.kind, Status: int(a.status), TookMS: int64(a.tookMS), Why: a.why})
		rec.Key, rec.Status = a.key.Name, int(a.status)
	}
	if rec.Outcome == OutcomeRefused {
		rec.Key = ""
	}
}

// bounded keeps what a client sent from filling the memory: the whole is let go.
func bounded(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// outcomeOf names what the client saw.
func outcomeOf(kind Kind, outcome string) string {
	switch {
	case outcome == clientLeft:
		return OutcomeLeft
	case outcome == noKeyCould:
		return OutcomeRefused
	case kind == OK:
		return OutcomeServed
	case kind == ClientError:
		return OutcomeClientError
	default:
		return OutcomeFailed
	}
}

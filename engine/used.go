package engine

import "time"

// Used is what came of sending one request with one key.
type Used struct {
	At                           time.Time
	Key, Account, Service, Model string
	// Kind is what the answer said, or how the client saw it end.
	Kind Kind
	// Later is set of what was told only after the request that made it: that
	// request has been counted already.
	Later bool
	Usage
}

// Spent is what was used of one model with one key for one service since the
// process began.
type Spent struct {
	Service  string `json:"service"`
	Key      string `json:"key"`
	Account  string `json:"account"`
	Model    string `json:"model"`
	Requests int64  `json:"requests"`
	Failures int64  `json:"failures"`
	// Unpriced counts requests whose cost nobody knows.
	Unpriced     int64   `json:"unpriced"`
	InputTokens  int64   `json:"input_tokens"`
	OutputTokens int64   `json:"output_tokens"`
	CachedTokens int64   `json:"cached_tokens"`
	CostUSD      float64 `json:"cost_usd"`
}

// Add adds what another counts; what it is of stays.
func (s *Spent) Add(t *Spent) {
	s.Requests += t.Requests
	s.Failures += t.Failures
	s.Unpriced += t.Unpriced
	s.InputTokens += t.InputTokens
	s.OutputTokens += t.OutputTokens
	s.CachedTokens += t.CachedTokens
	s.CostUSD += t.CostUSD
}

// WithUsed has f told of each request that was sent, once for each key it was
// sent with, when that is over. It is called on the request's path, outside of
// the engine's lock, by several goroutines at once: it must not block.
func WithUsed(f func(Used)) Option {
	return func(e *Engine) { e.used = f }
}

func (l *Lease) tellUsed(kind Kind, u Usage, now time.Time) {
	if f := l.e.used; f != nil {
		f(Used{At: now, Key: l.config.Name, Account: l.config.Account, Service: l.req.Service, Model: l.req.Model, Kind: kind, Usage: u})
	}
}

func (l *Lease) tellJob(j *job, now time.Time) {
	if f := l.e.used; f != nil {
		f(Used{At: now, Key: j.Key, Account: j.Account, Service: l.req.Service, Model: j.Model, Kind: OK, Later: true, Usage: j.cost})
	}
}

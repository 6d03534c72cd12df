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

// WithUsed has f told of each request that was sent, once for each key it was
// sent with, when that is over. It is called on the request's path, outside of
// the engine's lock, by several goroutines at once: it must not block.
func WithUsed(f func(Used)) Option {
	return func(e *Engine) { e.used = f }
}

func (l *Lease) tellUsed(kind Kind, u Usage, now time.Time) {
	if f := l.e.used; f != nil {
		f(Used{At: now, Key: l.config.Name, Account: l.config.Account, Service: l.req.svc.Name, Model: l.req.Model, Kind: kind, Usage: u})
	}
}

func (l *Lease) tellJob(j *job, now time.Time) {
	if f := l.e.used; f != nil {
		f(Used{At: now, Key: j.Key, Account: j.Account, Service: l.req.svc.Name, Model: j.Model, Kind: OK, Later: true, Usage: j.cost})
	}
}

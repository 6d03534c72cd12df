package engine

import (
	"net/http"
	"time"

	"keywheel/engine/quota"
)

// job is what making something upstream cost, where that was told only when
// somebody looked at it: a video is paid for when it is done.
type job struct {
	Binding
	cost Usage
}

// toldOfJob takes out of what an answer tells what is the cost of the thing that
// the request looked at: looking costs nothing. It is counted once, however
// often it is told; the job is nil where it was.
func (e *Engine) toldOfJob(l *Lease, u *Usage) *job {
	r := l.req
	if *u == (Usage{}) || len(r.Bound) == 0 || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	b := e.bindings.find(l.key.Provider, r.Bound[0])
	if b == nil {
		return nil
	}
	j := &job{*b, *u}
	*u = Usage{}
	if !b.Open {
		return nil
	}
	b.Open = false
	e.bindings.add(*b)
	return j
}

// toldAtOnce notes whether the answer that made something told what that cost.
func (e *Engine) toldAtOnce(l *Lease, u Usage) {
	told := u != Usage{}
	for _, id := range l.made {
		if b := e.bindings.find(l.key.Provider, id); b != nil && b.Open == told {
			b.Open = !told
			e.bindings.add(*b)
		}
	}
}

// charge counts what a job cost for the key that made it, for that key's account
// and for the service that asked.
func (e *Engine) charge(l *Lease, j *job, now time.Time) {
	k, s := l.key, l.req.svc
	if maker := e.keyBy[j.Key]; maker != nil && e.owns(&j.Binding, maker) {
		k = maker
	}
	j.Key, j.Account = k.Name, k.Account
	c := k.cred
	c.usage.add(j.cost)
	if j.cost.Unpriced {
		c.unpriced++
	}
	c.mark()
	settle := func(books []*book) {
		for _, b := range books {
			if b.Unit == quota.USD && (b.Model == "" || b.Model == j.Model) {
				b.Settle(j.cost.CostUSD, now)
			}
		}
	}
	for _, h := range c.holders() {
		if h == nil {
			continue
		}
		settle(h.books)
		for _, b := range h.books {
			if b.Unit == quota.USD && (b.Calendar != "" || b.Source == Balanced) {
				e.checkBook(k, h, b, now)
			}
		}
	}
	settle(s.books)
	s.changed = true
	e.counted(c, now)
}

package engine

import (
	"fmt"
	"slices"
	"time"
)

// The model of a request's way: it begins, is given a key or stands in line, and
// ends.

// outcome is what came of a call of the engine.
type outcome struct {
	sort  outcomeSort
	key   int
	again bool
	done  bool
	text  string
	seen  *Snapshot
	at    time.Time
	order int64 // in which the calls returned
}

type outcomeSort uint8

const (
	pending outcomeSort = iota
	gotKey
	gotNone
	gotNoService
	gotLeft
)

func (out outcome) says() string {
	switch out.sort {
	case pending:
		return "waits"
	case gotKey:
		return fmt.Sprintf("got k%d", out.key+1)
	case gotNone:
		return "was told that there is no key"
	case gotNoService:
		return "was told that there is no such service"
	default:
		return "left"
	}
}

func (m *model) begin(no int, r mRequest) {
	s := &m.services[r.Service]
	r.Born = s.Born
	r.Began = m.now
	m.clients[no] = r
	s.InFlight++
	s.Requests++
	m.inFlight++
	m.requests++
}

// acquire is a request's asking for a key. What it got may also be what it was
// given in line, before the batch was over.
func (m *model) acquire(no int, out outcome) error {
	r := &m.clients[no]
	if m.removed(r) {
		if out.sort != gotNoService {
			return fmt.Errorf("its service is gone, and it was not told")
		}
		m.end(no, ClientError)
		return nil
	}
	keys, sure := m.choices(r)
	switch {
	case out.sort == gotKey && (m.answers(no) || sure) && slices.Contains(keys, out.key):
		m.take(no, out.key)
		return nil
	case sure:
		return fmt.Errorf("%s, though %s can serve", out.says(), keyNames(keys))
	case out.sort == gotNone && m.answers(no) && (m.refusable(r) || m.waits() >= m.w.MaxWaiting || m.behind(r)):
		m.refuse(no)
		return nil
	}
	lo, _, none := m.soon(r)
	if none || lo.After(r.Deadline) || m.waits() >= m.w.MaxWaiting {
		return fmt.Errorf("%s, though none can serve it in time; %s", out.says(), m.whyNot(r))
	}
	r.Phase = waiting
	s := &m.services[r.Service]
	s.Queue = append(slices.Clone(s.Queue), no)
	return nil
}

// take gives the request a key.
func (m *model) take(no, k int) {
	r := &m.clients[no]
	s := &m.services[r.Service]
	c := m.cred(k)
	a := mAttempt{Key: k, Cred: c}
	for i, tier := range s.Order {
		// Under failover the rest follow where the key in use cannot serve anyone.
		if on := s.Cursor[i]; slices.Contains(tier, k) && on != k && !s.Pin.On {
			if o := m.ready(on); !o.able() {
				s.Cursor[i] = k
			}
		}
	}
	r.Trials = [2][3]int{}
	for i, h := range m.holders(c) {
		if h == nil {
			continue
		}
		for j, p := range [...]int{0, r.Model, r.Scope} {
			if hd := &h.Slots[p].Hold; hd.On {
				hd.Trying = true
				r.Trials[i][j] = hd.ID
			}
			a.Gens[i][j] = h.Slots[p].Gen
		}
		h.InFlight++
	}
	for _, b := range m.buckets(r, c) {
		b.used.Running++
		b.used.take(1, b.limit, m.now)
	}
	m.creds[c].Requests++
	r.Tried[r.Attempts] = a
	r.Attempts++
	r.Phase, r.Kind = leased, OK
	if m.c.Services[r.Service].Strategy == Affinity && r.Talk != 0 && !s.Pin.On {
		if s.Stuck == nil {
			s.Stuck = map[int]mStuck{}
		}
		s.Stuck[r.Talk] = mStuck{k, m.now}
	}
	s.InUse, s.Given = k, nil
}

type mUse struct {
	limit mLimit
	used  *mBucket
}

// buckets are the limits that a request on a secret uses.
func (m *model) buckets(r *mRequest, c int) []mUse {
	list := []mUse{{m.w.Limits[c], &m.creds[c].Used}}
	if a := m.w.Account[c]; a != nobody {
		list = append(list, mUse{m.w.AcctLimits[a], &m.accounts[a].Used})
	}
	if !m.removed(r) {
		list = append(list, mUse{m.c.Services[r.Service].Limit, &m.services[r.Service].Used})
	}
	return list
}

// release gives back what the lease holds.
func (m *model) release(r *mRequest) {
	c := r.last().Cred
	for _, h := range m.holders(c) {
		if h != nil {
			h.InFlight--
		}
	}
	for _, b := range m.buckets(r, c) {
		b.used.Running--
	}
}

// closed ends a request with its lease.
func (m *model) closed(no int, how string, input int64) {
	r := &m.clients[no]
	m.endTrials(r, false)
	m.release(r)
	cr := &m.creds[r.last().Cred]
	cr.Input += input
	kind := r.Kind
	switch how {
	case "left":
		kind = ClientError
	case "cut":
		kind = UpstreamFault
		if r.Kind == OK {
			if r.Phase == judged {
				cr.Verdicts[OK] = max(cr.Verdicts[OK]-1, 0)
			}
			cr.Verdicts[UpstreamFault]++
			if !m.removed(r) {
				s := &m.services[r.Service]
				if r.Phase == judged {
					s.Verdicts[OK] = max(s.Verdicts[OK]-1, 0)
				}
				s.Verdicts[UpstreamFault]++
			}
		}
	}
	if r.Kind == ClientError {
		m.clientErrors++
	}
	m.end(no, kind)
}

// end counts a request out: as what the client saw it.
func (m *model) end(no int, kind Kind) {
	r := &m.clients[no]
	m.inFlight--
	failed := kind != OK && kind != ClientError
	if failed {
		m.failures++
	}
	if !m.removed(r) {
		m.services[r.Service].InFlight--
		if failed {
			m.services[r.Service].Failures++
		}
	}
	*r = mRequest{}
}

// refuse ends a request for which there is no key. One for a scope that none of
// the service's keys is for was the client's mistake.
func (m *model) refuse(no int) {
	r := &m.clients[no]
	for _, tier := range m.tiers(r.Service) {
		for _, k := range tier {
			if sc := m.c.Keys[k].Scope; sc == 0 || r.Scope == 0 || sc == r.Scope {
				m.end(no, QuotaExhausted)
				return
			}
		}
	}
	m.clientErrors++
	m.end(no, ClientError)
}

// refusable reports whether a request that no key can serve for certain may be
// told that there is none.
func (m *model) refusable(r *mRequest) bool {
	_, hi, none := m.soon(r)
	return none || hi.IsZero() || hi.After(r.Deadline) || !m.now.Before(r.Deadline)
}

// behind reports whether others wait before it: how long they take is a guess.
func (m *model) behind(r *mRequest) bool { return len(m.services[r.Service].Queue) > 0 }

func (m *model) waits() (n int) {
	for i := range m.services {
		n += len(m.services[i].Queue)
	}
	return n
}

// answers reports whether it is the client's time to be answered.
func (m *model) answers(no int) bool { return m.done >= m.from[no] }

func (m *model) leave(no int) {
	s := &m.services[m.clients[no].Service]
	s.Queue = slices.DeleteFunc(slices.Clone(s.Queue), func(w int) bool { return w == no })
}

// dispatch serves those who wait. outs are what came of each of them by the end
// of the batch: who could be served has to be, in order. Who may be served, or
// told that there is no key, is if it is its time.
func (m *model) dispatch(outs *[mClients]outcome) error {
	var given [mServices][]int
	for again := true; again; {
		again = false
		for _, i := range m.turns {
			for _, no := range m.services[i].Queue {
				r, out := &m.clients[no], outs[no]
				keys, sure := m.choices(r)
				switch {
				case out.sort == gotKey && slices.Contains(keys, out.key) && m.answers(no):
					m.leave(no)
					m.take(no, out.key)
					given[i] = append(given[i], out.key)
					m.services[i].Given = given[i]
					again = true
				case out.sort == gotNone && m.answers(no) && !sure && m.refusable(r) && !m.removed(r):
					m.leave(no)
					m.refuse(no)
					again = true
				case out.sort == gotNoService && m.removed(r) && m.answers(no):
					m.leave(no)
					m.end(no, ClientError)
					again = true
				}
				if again || sure {
					break
				}
			}
		}
	}
	for i := range m.services {
		for _, no := range m.services[i].Queue {
			if keys, sure := m.choices(&m.clients[no]); sure {
				return fmt.Errorf("client %d was forgotten in line (%s), though %s can serve it", no, outs[no].says(), keyNames(keys))
			}
		}
	}
	return nil
}

// settled checks that nobody waits any longer who should have been answered, and
// that whoever was answered had to be, after so many operations: what time alone
// takes away is told at the latest when patience is over.
func (m *model) settled(outs *[mClients]outcome, after int) error {
	for i := range m.services {
		for at, no := range m.services[i].Queue {
			r := &m.clients[no]
			_, _, none := m.soon(r)
			switch {
			case outs[no].sort != pending:
				return fmt.Errorf("client %d %s; %s", no, outs[no].says(), m.whyNot(r))
			case m.removed(r):
				return fmt.Errorf("client %d waits for a service that is gone", no)
			case none && after > 0 && (at == 0 || r.Attempts == 0):
				// One that has tried keys may have to wait, behind another, until
				// its patience is over.
				return fmt.Errorf("client %d waits for nothing; %s", no, m.whyNot(r))
			case m.now.After(r.Deadline.Add(2 * late)):
				return fmt.Errorf("client %d still waits %v after its patience is over", no, m.now.Sub(r.Deadline))
			}
		}
	}
	return nil
}

func (m *model) whyNot(r *mRequest) string {
	text := ""
	for _, tier := range m.tiers(r.Service) {
		for _, k := range tier {
			o := m.can(r, k)
			text += fmt.Sprintf("k%d %s", k+1, o.why)
			if o.lo.After(m.now) {
				text += fmt.Sprintf(" for %v", o.lo.Sub(m.now))
			}
			for what, so := range map[string]bool{" for good": o.forever, " until any moment": o.moment, " perhaps": o.perhaps} {
				if so {
					text += what
				}
			}
			text += ", "
		}
	}
	return text + fmt.Sprintf("patience %v", r.Deadline.Sub(m.now))
}

func keyNames(keys []int) (text string) {
	for _, k := range keys {
		text += fmt.Sprintf(" k%d", k+1)
	}
	return "key" + text
}

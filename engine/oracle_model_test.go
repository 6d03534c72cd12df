package engine

import (
	"slices"
	"time"
)

// The oracle's model is DESIGN section 4 written down as plainly as can be: no
// cache, no index, everything looked at anew. It knows nothing of the engine's
// code. Where the engine is free to choose, the model says what it may choose
// of; else it says what must be.

type model struct {
	w        *mWorld
	c        *mConf
	now      time.Time
	ids      int
	creds    [mCreds]mCred
	accounts [mAccounts]mHolder
	keys     [mKeys]mOperator
	services [mServices]mService
	clients  [mClients]mRequest
	faults   [mProviders]mIncident
	undo     []mDeed
	// done is how many operations of the batch are done, from after how many each
	// client is answered that may be sooner or later, turns in which order the lines
	// are served: that is the engine's choice.
	done  int
	from  answers
	turns [mServices]int

	requests, failures, clientErrors int64
	inFlight                         int
}

type mSlot struct {
	Gen              int
	Hold             mHold
	Climbs, Invalids int
	Strikes          []time.Time
}

func (s *mSlot) forget() { s.Climbs, s.Invalids, s.Strikes = 0, 0, nil }

// place puts a hold, or none, in place of what was there.
func (s *mSlot) place(h mHold) {
	s.Gen++
	s.Hold = h
}

type mHold struct {
	On       bool
	ID       int
	State    State
	Verdict  Kind
	Until    time.Time // zero is without end
	UntilMax time.Time // the latest that Until may be: there is jitter
	TrialAt  time.Time
	Wait     time.Duration
	Trying   bool
	Confirm  bool
	Part     int
	// Perhaps is set where it was placed again, and may have been over.
	Perhaps bool
}

// mBucket is how much of a limit is used.
type mBucket struct {
	Running int
	Missing float64
	At      time.Time
}

type mHolder struct {
	Slots    [len(mParts)]mSlot
	InFlight int
	Used     mBucket
	// Learned is set while a limit that a refusal taught may bar requests.
	Learned bool
}

type mCred struct {
	mHolder
	LastOK   time.Time
	Served   bool
	Requests int64
	Verdicts [kinds]int64
	Input    int64
}

type mOperator struct {
	Disabled      bool
	DisabledUntil time.Time
	Draining      bool
}

type mPin struct {
	On    bool
	Key   int
	Until time.Time
}

type mLend struct {
	Key   int
	Until time.Time
}

type mService struct {
	// Born tells a service from one of its name that a reload removed.
	Born     int
	Pin      mPin
	Lends    []mLend
	Cursor   [2]int // of failover: the key that it is on
	Order    [2][]int
	InUse    int
	Given    []int // the keys that came in use with it, in an order that is not known
	Queue    []int
	InFlight int
	Requests int64
	Failures int64
	Verdicts [kinds]int64
	Stuck    map[int]mStuck
	Used     mBucket
}

type mStuck struct {
	key int
	at  time.Time
}

type mPhase uint8

const (
	idle mPhase = iota
	waiting
	leased
	judged
	between
)

// mRequest is a client with its request.
type mRequest struct {
	Phase      mPhase
	Service    int
	Born       int
	Model      int
	Scope      int
	Repeatable bool
	Once       bool
	Talk       int
	Began      time.Time
	Deadline   time.Time
	Tried      [mCreds]mAttempt
	Attempts   int
	Faults     int
	Trials     [2][3]int // the holds that its lease tries
	Kind       Kind
}

type mAttempt struct {
	Key, Cred int
	Kind      Kind
	Gens      [2][3]int
}

func newModel(w *mWorld, c *mConf, now time.Time) *model {
	m := &model{w: w, c: c, now: now}
	for i := range m.services {
		m.services[i].InUse = nobody
		m.arrange(i)
	}
	return m
}

// clone is a copy that shares nothing that changes: slices are only ever
// replaced.
func (m *model) clone() *model {
	c := *m
	for i := range c.services {
		if m.services[i].Stuck != nil {
			c.services[i].Stuck = map[int]mStuck{}
			for k, v := range m.services[i].Stuck {
				c.services[i].Stuck[k] = v
			}
		}
	}
	return &c
}

func (m *model) cred(k int) int { return m.c.Keys[k].Cred }

func (m *model) holders(c int) [2]*mHolder {
	hs := [2]*mHolder{&m.creds[c].mHolder}
	if a := m.w.Account[c]; a != nobody {
		hs[1] = &m.accounts[a]
	}
	return hs
}

func (m *model) all() (list []*mHolder) {
	for i := range m.creds {
		list = append(list, &m.creds[i].mHolder)
	}
	for i := range m.accounts {
		list = append(list, &m.accounts[i])
	}
	return list
}

// retired reports whether no key has the secret.
func (m *model) retired(c int) bool {
	for k := range m.c.Keys {
		if m.c.Keys[k].Present && m.cred(k) == c {
			return false
		}
	}
	return true
}

// removed reports whether the request's service is gone.
func (m *model) removed(r *mRequest) bool {
	return !m.c.Services[r.Service].Present || m.services[r.Service].Born != r.Born
}

// tiers are the service's keys, those lent to it behind its own.
func (m *model) tiers(s int) [2][]int {
	ts := m.c.Services[s].Tiers
	for _, l := range m.services[s].Lends {
		ts[0] = append(slices.Clone(ts[0]), l.Key)
	}
	return ts
}

func (m *model) lists(s, k int) bool {
	ts := m.tiers(s)
	return m.c.Services[s].Present && (slices.Contains(ts[0], k) || slices.Contains(ts[1], k))
}

// state is what DESIGN derives from the holds of the whole key: the worst.
func (m *model) state(k int) State {
	worst := Active
	is := func(s State, so bool) {
		if so {
			worst = min(worst, s)
		}
	}
	c := m.c.Keys[k]
	is(Missing, c.Cred >= mSecrets)
	is(Disabled, m.keys[k].Disabled)
	is(Expired, !c.Expires.IsZero() && !m.now.Before(c.Expires))
	for _, h := range m.holders(c.Cred) {
		if h != nil && h.Slots[0].Hold.On {
			is(h.Slots[0].Hold.State, true)
		}
	}
	return worst
}

// over reports whether what ends at that time is over; zero is without end.
func (m *model) over(t time.Time) bool { return !t.IsZero() && !m.now.Before(t) }

// pass lets what ends by time end.
func (m *model) pass(to time.Time) {
	m.now = to
	for _, h := range m.all() {
		for i := range h.Slots {
			if s := &h.Slots[i]; s.Hold.On && m.over(s.Hold.Until) {
				s.place(mHold{})
			}
		}
	}
	for i := range m.keys {
		if m.over(m.keys[i].DisabledUntil) {
			m.keys[i].Disabled, m.keys[i].DisabledUntil = false, time.Time{}
		}
	}
	for i := range m.services {
		s := &m.services[i]
		if n := len(s.Lends); n > 0 {
			s.Lends = slices.DeleteFunc(slices.Clone(s.Lends), func(l mLend) bool { return m.over(l.Until) })
			if len(s.Lends) < n {
				m.arrange(i)
			}
		}
		if s.Pin.On && m.over(s.Pin.Until) {
			s.Pin = mPin{}
		}
	}
	for i := range m.faults {
		if inc := &m.faults[i]; inc.Active && m.now.Sub(inc.LastFault) >= time.Minute {
			inc.Active, inc.Faulty = false, [mKeys]time.Time{}
		}
	}
}

// next is when something may happen that those who wait are waiting for, zero
// if nothing will.
func (m *model) next() (at time.Time) {
	soonest := func(t time.Time) {
		if t.After(m.now) {
			at = earliest(at, t)
		}
	}
	for _, h := range m.all() {
		for _, s := range h.Slots {
			if s.Hold.On {
				soonest(s.Hold.Until)
				soonest(s.Hold.TrialAt)
			}
		}
	}
	for i := range m.keys {
		soonest(m.keys[i].DisabledUntil)
	}
	for i := range m.services {
		s := &m.services[i]
		soonest(s.Pin.Until)
		for _, l := range s.Lends {
			soonest(l.Until)
		}
		for _, no := range s.Queue {
			r := &m.clients[no]
			soonest(r.Deadline)
			soonest(r.Began.Add(m.c.Services[i].FallbackAfter))
			own := outlook{}
			m.room(&own, m.c.Services[i].Limit, &s.Used)
			soonest(own.lo)
			soonest(own.hi)
			for _, tier := range m.tiers(i) {
				for _, k := range tier {
					o := m.can(r, k)
					soonest(o.lo)
					soonest(o.hi)
				}
			}
		}
	}
	for k := range m.c.Keys {
		soonest(m.c.Keys[k].Expires)
	}
	return at
}

func clamp(d, lo, hi time.Duration) time.Duration { return min(max(d, lo), hi) }

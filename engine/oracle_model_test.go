package engine

import (
	"fmt"
	"slices"
	"time"
)

// The oracle's model is DESIGN section 4 written down as plainly as can be: no
// cache, no index, everything looked at anew. It knows nothing of the engine's
// code. Where the engine is free to choose, the model says what it may choose
// of; else it says what must be.

// The sizes of a model world: all that is in it is a number.
const (
	mKeys      = 5
	mSecrets   = 7 // the rest are the secrets that cannot be read, one for each key
	mCreds     = mSecrets + mKeys
	mProviders = 2
	mAccounts  = 4
	mServices  = 3
	mClients   = 14
	nobody     = -1
)

// mParts are what a slot can be of.
var mParts = [...]string{"", "m1", "m2", "chat", "image"}

func partNo(name string) int { return slices.Index(mParts[:], name) }

// mConf is a configuration.
type mConf struct {
	Keys     [mKeys]mKeyConf
	Services [mServices]mServiceConf
}

type mKeyConf struct {
	Present bool
	Cred    int
	Scope   int // the only one it is for; 0 is any
	CanTest bool
	Weight  int
	Expires time.Time
}

type mServiceConf struct {
	Present       bool
	Tiers         [2][]int
	Strategy      string
	FallbackAfter time.Duration
	Limit         mLimit
}

// mLimit is a limit of requests: so many at once, or a bucket that refills.
type mLimit struct {
	Concurrent int
	Amount     float64
	Window     time.Duration
}

// mWorld is what never changes in one run.
type mWorld struct {
	Provider   [mCreds]int
	Account    [mCreds]int // nobody if unknown
	Limits     [mCreds]mLimit
	AcctLimits [mAccounts]mLimit
	Prints     [mSecrets]string // the secrets' fingerprints
	Patience   time.Duration
	MaxWaiting int
	// Learns lets refusals teach limits that nobody tells.
	Learns bool
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
	operator bool
	// Perhaps is set where it was placed again, and may have been over.
	Perhaps bool
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

// mVerdict is a verdict whose times count from now.
type mVerdict struct {
	Kind              Kind
	Scope             Scope
	Model             int
	RetryAfter, Until time.Duration
}

type mAttempt struct {
	Key, Cred int
	Kind      Kind
	Gens      [2][3]int
}

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

type mIncident struct {
	Active           bool
	InARow, Of       int
	Since, LastFault time.Time
	Faulty           [mKeys]time.Time
}

type mDeed struct {
	verb         Verb
	key, service int
	operator     mOperator
	at           time.Time
	svc          mService
	slots        []mWas
	creds        []mCredWas
}

type mWas struct {
	cred, account, part int
	hold                mHold
	gen                 int
}

type mCredWas struct {
	no int
	mCred
}

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
	// client is answered that may be sooner or later: that is the engine's choice.
	done int
	from [mClients]int

	requests, failures, clientErrors int64
	inFlight                         int
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

// ---- what a key can do ----

// wait says when something comes back: at once, at a time that lies between two,
// at any moment, or not without a person.
type outlook struct {
	lo, hi  time.Time
	moment  bool
	forever bool
	unsure  bool // it may serve now, the engine decides
	perhaps bool // it may come back, if a trial of another's succeeds
	learned bool // when, depends on a limit that the engine has guessed
	why     string
}

func (o *outlook) until(lo, hi time.Time, why string) {
	if o.why == "" {
		o.why = why
	}
	o.lo, o.hi = latest(o.lo, lo), latest(o.hi, hi)
}

func (o *outlook) never(why string) {
	o.forever = true
	o.why = why
}

// able reports whether it can serve now, sure whether that is certain.
func (o *outlook) able() bool { return o.why == "" }
func (o *outlook) sure() bool { return o.why == "" && !o.unsure }

func (m *model) cred(k int) int { return m.c.Keys[k].Cred }

func (m *model) holders(c int) [2]*mHolder {
	hs := [2]*mHolder{&m.creds[c].mHolder}
	if a := m.w.Account[c]; a != nobody {
		hs[1] = &m.accounts[a]
	}
	return hs
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

// ready is when the key's own standing, apart from any request, lets it serve.
func (m *model) ready(k int) (o outlook) {
	o.lo, o.hi = m.now, m.now
	c := m.c.Keys[k]
	switch {
	case c.Cred >= mSecrets:
		o.never("missing")
	case !c.Expires.IsZero() && !m.now.Before(c.Expires):
		o.never("expired")
	case m.keys[k].Draining:
		o.never("draining")
	}
	if op := m.keys[k]; op.Disabled {
		if op.DisabledUntil.IsZero() {
			o.never("disabled")
		} else {
			o.until(op.DisabledUntil, op.DisabledUntil, "disabled")
		}
	}
	for _, h := range m.holders(c.Cred) {
		if h != nil {
			m.held(&o, &h.Slots[0].Hold)
		}
	}
	return o
}

// held is what a hold does: it ends at its time, or at its time one request may
// try.
func (m *model) held(o *outlook, hd *mHold) {
	switch {
	case !hd.On:
	case hd.Trying:
		o.moment = true
		o.until(m.now, m.now, "is being tried")
	case !hd.TrialAt.IsZero():
		if m.now.Before(hd.TrialAt) {
			o.until(hd.TrialAt, hd.TrialAt, hd.State.String())
		}
	case !hd.Until.IsZero():
		o.until(hd.Until, hd.UntilMax, hd.State.String())
	default:
		o.never(hd.State.String())
	}
}

// can is whether and when the key can serve the request.
func (m *model) can(r *mRequest, k int) outlook {
	o := m.ready(k)
	c := m.cred(k)
	if sc := m.c.Keys[k].Scope; sc != 0 && r.Scope != 0 && sc != r.Scope {
		o.never("not for this scope")
	}
	for i := range r.Attempts {
		if r.Tried[i].Cred == c {
			o.never("tried")
		}
	}
	for i, h := range m.holders(c) {
		if h == nil {
			continue
		}
		for j, p := range [...]int{0, r.Model, r.Scope} {
			if j > 0 && p == 0 {
				continue
			}
			hd := &h.Slots[p].Hold
			if j > 0 {
				m.held(&o, hd)
			}
			if hd.On && !hd.TrialAt.IsZero() && (!r.Repeatable || r.Once) {
				o.perhaps = true
				o.until(m.now, m.now, "waits for a trial that is safe to repeat")
			}
		}
		limit := m.w.Limits[c]
		if i == 1 {
			limit = m.w.AcctLimits[m.w.Account[c]]
		}
		m.room(&o, limit, &h.Used)
		if h.Learned {
			o.unsure, o.moment, o.learned = true, true, true
		}
	}
	return o
}

// room says when a limit lets one more request through.
func (m *model) room(o *outlook, l mLimit, b *mBucket) {
	if l.Concurrent > 0 && b.Running >= l.Concurrent {
		o.moment = true
		o.until(m.now, m.now, "serves as many as it may")
	}
	if l.Amount == 0 {
		return
	}
	rate := l.Amount / l.Window.Seconds()
	room := l.Amount - b.missing(l, m.now)
	// A request may reach the provider 10 ms before its turn: by so much later a
	// limit that has run dry is used again, and it is free to.
	margin := rate * 0.015
	switch {
	case room >= 1+margin:
	case room >= 1-margin/4:
		o.unsure = true
		o.hi = latest(o.hi, m.now.Add(time.Duration((1+margin-room)/rate*1e9)+time.Millisecond))
	default:
		o.until(m.now.Add(time.Duration((1-margin/4-room)/rate*1e9)), m.now.Add(time.Duration((1+margin-room)/rate*1e9)+time.Millisecond), "its limit is used up")
	}
}

func (b *mBucket) missing(l mLimit, now time.Time) float64 {
	if l.Amount == 0 {
		return 0
	}
	return max(b.Missing-now.Sub(b.At).Seconds()*l.Amount/l.Window.Seconds(), 0)
}

func (b *mBucket) take(n float64, l mLimit, now time.Time) {
	b.Missing = max(b.missing(l, now)+n, 0)
	b.At = now
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

// choices are the keys that the request may be given now; sure is set when it
// has to be given one.
func (m *model) choices(r *mRequest) (keys []int, sure bool) {
	if m.removed(r) {
		return nil, false
	}
	s := &m.services[r.Service]
	c := &m.c.Services[r.Service]
	own := outlook{lo: m.now, hi: m.now}
	if m.room(&own, c.Limit, &s.Used); !own.able() {
		return nil, false
	}
	if s.Pin.On {
		if o := m.can(r, s.Pin.Key); o.able() {
			return []int{s.Pin.Key}, o.sure() && own.sure()
		}
		return nil, false
	}
	certain := own.sure()
	upper := outlook{forever: true}
	for i, tier := range m.tiers(r.Service) {
		if upper.perhaps {
			certain = false
		}
		if i > 0 && c.FallbackAfter > 0 && !upper.forever {
			// Who would be told that there is no key goes to a fallback key instead.
			after := earlier(r.Began.Add(c.FallbackAfter), r.Deadline)
			switch {
			case !upper.hi.After(after) && !upper.moment:
				return keys, false
			case !upper.lo.After(after):
				certain = false // when it comes back is not known to the moment
			}
		}
		picked, sure := m.pick(r, i, tier)
		if keys = append(keys, picked...); sure {
			return keys, certain
		}
		for _, k := range tier {
			o := m.can(r, k)
			upper.perhaps = upper.perhaps || o.perhaps && c.FallbackAfter > 0
			if !o.forever && !o.perhaps && (upper.forever || o.lo.Before(upper.lo)) {
				o.perhaps = upper.perhaps
				upper = o
			}
		}
	}
	return keys, false
}

// pick are the keys of a tier that its service's strategy may choose; sure is
// set when one of them can serve for certain.
func (m *model) pick(r *mRequest, tier int, keys []int) (picked []int, sure bool) {
	s := &m.services[r.Service]
	// A key that never served and is being asked may be passed over for another:
	// should it be dead, one request is enough to find out.
	untold := func(k int) bool { c := &m.creds[m.cred(k)]; return !c.Served && c.InFlight > 0 }
	strategy := m.c.Services[r.Service].Strategy
	if on, ok := s.Stuck[r.Talk]; strategy == Affinity && ok && r.Talk != 0 && m.now.Sub(on.at) <= time.Hour && slices.Contains(keys, on.key) {
		if o := m.can(r, on.key); o.sure() && !untold(on.key) {
			return []int{on.key}, true
		}
	}
	at := 0
	if strategy == Failover {
		at = max(slices.Index(keys, s.Cursor[tier]), 0)
	}
	for i := range keys {
		k := keys[(at+i)%len(keys)]
		o := m.can(r, k)
		if !o.able() {
			continue
		}
		picked = append(picked, k)
		sure = sure || o.sure()
		if strategy == Failover && o.sure() && !untold(k) {
			break
		}
	}
	return picked, sure
}

// soon is when a key may serve the request: the earliest and the latest that
// this may turn out to be, zero where it may never; none is set when nothing but
// a person brings one back.
func (m *model) soon(r *mRequest) (lo, hi time.Time, none bool) {
	none = true
	if m.removed(r) {
		return
	}
	s := &m.services[r.Service]
	own := outlook{lo: m.now, hi: m.now}
	m.room(&own, m.c.Services[r.Service].Limit, &s.Used)
	for _, tier := range m.tiers(r.Service) {
		for _, k := range tier {
			o := m.can(r, k)
			if s.Pin.On && s.Pin.Key != k {
				end := s.Pin.Until
				for _, l := range s.Lends {
					if l.Key == s.Pin.Key { // its lend ends the pin
						end = earliest(end, l.Until)
					}
				}
				if end.IsZero() {
					continue
				}
				o.until(end, end, "pinned")
			}
			if o.forever {
				continue
			}
			o.until(own.lo, own.hi, "")
			if o.moment || own.moment { // it may end any time: worth waiting for
				o.hi = latest(o.hi, earlier(m.now.Add(time.Second), latest(m.now, r.Deadline)))
			}
			if none || o.lo.Before(lo) {
				lo = o.lo
			}
			none = false
			if !o.perhaps && !o.learned {
				hi = earliest(hi, o.hi)
			}
		}
	}
	return lo, hi, none
}

// ---- a request's way ----

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
	c := r.Tried[r.Attempts-1].Cred
	for _, h := range m.holders(c) {
		if h != nil {
			h.InFlight--
		}
	}
	for _, b := range m.buckets(r, c) {
		b.used.Running--
	}
}

// another reports whether a key that the request has not tried can serve it.
func (m *model) another(r *mRequest) (can, sure bool) {
	if m.removed(r) {
		return false, true
	}
	sure = true
	for _, tier := range m.tiers(r.Service) {
		for _, k := range tier {
			if p := m.services[r.Service].Pin; p.On && p.Key != k {
				continue
			}
			switch o := m.can(r, k); {
			case o.sure():
				return true, true
			case o.able():
				can, sure = true, false
			}
		}
	}
	return can, sure
}

func clamp(d, lo, hi time.Duration) time.Duration { return min(max(d, lo), hi) }

// judge applies a verdict; got is whether the engine let the request go on to
// another key.
func (m *model) judge(no int, v mVerdict, got bool) error {
	r := &m.clients[no]
	a := &r.Tried[r.Attempts-1]
	a.Kind, r.Kind, r.Phase = v.Kind, v.Kind, judged
	c := a.Cred
	cr := &m.creds[c]
	again, sure := false, true
	if v.Kind == RateLimited || v.Kind == QuotaExhausted { // it used nothing up
		for _, b := range m.buckets(r, c) {
			b.used.take(-1, b.limit, m.now)
		}
	}
	cr.Verdicts[v.Kind]++
	if !m.removed(r) {
		m.services[r.Service].Verdicts[v.Kind]++
	}
	if v.Model != 0 && r.Model != 0 {
		v.Model = r.Model
	}
	switch v.Kind {
	case OK, ClientError:
		m.succeeded(r)
	case RateLimited:
		if s := m.present(r, v, v.Model); s != nil {
			recent := !cr.LastOK.IsZero() && m.now.Sub(cr.LastOK) <= 10*time.Second
			h := mHold{State: Cooling}
			switch {
			case v.RetryAfter > 0:
				// A provider that counts in milliseconds is believed where the key
				// has just served.
				floor := 500 * time.Millisecond
				if recent {
					floor = 50 * time.Millisecond
				}
				d := clamp(v.RetryAfter, floor, time.Hour)
				h.Until, h.UntilMax = m.now.Add(d), m.now.Add(d+min(d/20, 500*time.Millisecond))
			case recent:
				h.Until, h.UntilMax = m.now.Add(50*time.Millisecond), m.now.Add(time.Second)
				s.Climbs++
			default:
				d := clamp(time.Second<<min(s.Climbs, 20), time.Second, time.Minute)
				h.Until, h.UntilMax = m.now.Add(d), m.now.Add(d)
				s.Climbs++
			}
			m.hold(s, h, v.Kind)
			if m.w.Learns {
				m.blamed(r, v).Learned = true
			}
		}
		again = true
	case QuotaExhausted:
		if s := m.present(r, v, v.Model); s != nil {
			h := mHold{State: Exhausted}
			d := v.RetryAfter
			if v.Until > 0 {
				d = v.Until
			}
			switch {
			case d > 0:
				if v.Until <= 0 {
					d = max(d, 500*time.Millisecond)
				}
				h.Until = m.now.Add(min(d, 35*24*time.Hour))
			default: // money
				h.Wait = 15 * time.Minute
				if old := s.Hold; old.On && old.State == Exhausted && old.Wait > 0 {
					h.Wait = min(2*old.Wait, 6*time.Hour)
				}
				h.TrialAt = m.now.Add(h.Wait)
			}
			m.hold(s, h, v.Kind)
		}
		again = true
	case InvalidKey:
		if s := m.present(r, v, 0); s != nil {
			h := mHold{State: Failing, Part: r.Model, Wait: time.Second}
			if h.Part == 0 {
				h.Part = r.Scope
			}
			if old := s.Hold; old.On && old.Verdict == InvalidKey {
				h.Wait = min(2*old.Wait, 5*time.Minute)
			}
			if m.c.Keys[a.Key].CanTest {
				h.Confirm, h.Wait = true, time.Minute
			}
			h.TrialAt = m.now.Add(h.Wait)
			m.hold(s, h, v.Kind)
		}
		again = true
	case PermissionDenied:
		if v.Scope == ScopeNone {
			break
		}
		part := v.Model
		for _, p := range []int{r.Model, r.Scope} {
			if part == 0 {
				part = p
			}
		}
		if part != 0 {
			if s := m.present(r, v, part); s != nil {
				m.hold(s, mHold{State: Cooling, Until: m.now.Add(time.Hour)}, v.Kind)
			}
		}
		if again, sure = m.another(r); again && m.waits() > 0 {
			sure = false // those in line may have been given what the hold let them have
		}
	case UpstreamFault:
		r.Faults++
		m.fault(r)
		if r.Repeatable && !r.Once && r.Faults < 2 {
			again, sure = m.another(r)
		}
		if !sure {
			again = got
		}
		if v.Model != 0 && !again {
			m.backOff(r, v)
		}
	}
	if v.Kind != OK && v.Kind != ClientError {
		m.endTrials(r, true)
	}
	if again = again && !r.Once; sure && again != got {
		return fmt.Errorf("go on to another key: %v, want %v", got, again)
	}
	if got {
		m.release(r)
		r.Phase = between
	}
	return nil
}

// blamed is whom a verdict is about.
func (m *model) blamed(r *mRequest, v mVerdict) *mHolder {
	hs := m.holders(r.Tried[r.Attempts-1].Cred)
	if v.Scope == ScopeAccount && hs[1] != nil {
		return hs[1]
	}
	return hs[0]
}

// present is the slot that a verdict is about, nil if the answer is to a request
// of an older generation.
func (m *model) present(r *mRequest, v mVerdict, part int) *mSlot {
	h := m.blamed(r, v)
	s := &h.Slots[part]
	a := &r.Tried[r.Attempts-1]
	i := 0
	if h != &m.creds[a.Cred].mHolder {
		i = 1
	}
	for j, p := range [...]int{0, r.Model, r.Scope} {
		if p == part {
			if a.Gens[i][j] != s.Gen {
				return nil
			}
			return s
		}
	}
	if s.Hold.On { // what the request did not name: what holds it stands
		return nil
	}
	return s
}

func (m *model) hold(s *mSlot, h mHold, verdict Kind) {
	m.ids++
	h.On, h.ID, h.Verdict = true, m.ids, verdict
	if h.UntilMax.IsZero() {
		h.UntilMax = h.Until
	}
	s.place(h)
}

// succeeded is what an answer that is no fault of the key does.
func (m *model) succeeded(r *mRequest) {
	a := r.Tried[r.Attempts-1]
	cr := &m.creds[a.Cred]
	if r.Kind == OK {
		cr.LastOK = m.now
		cr.Served = true
	}
	for i, h := range m.holders(a.Cred) {
		if h == nil {
			continue
		}
		for j, p := range [...]int{0, r.Model, r.Scope} {
			if s := &h.Slots[p]; r.Trials[i][j] != 0 && s.Hold.On && s.Hold.ID == r.Trials[i][j] {
				s.place(mHold{})
				s.forget()
			}
			if s := &h.Slots[p]; (j == 0 || p != 0) && s.Gen == a.Gens[i][j] {
				s.forget()
			}
		}
	}
	m.calm(a.Key)
	if r.Kind != OK {
		return
	}
	for i := range r.Attempts - 1 {
		b := r.Tried[i]
		if m.retired(b.Cred) {
			continue
		}
		s := &m.creds[b.Cred].Slots[0]
		switch b.Kind {
		case UpstreamFault:
			if b.Gens[0][0] != s.Gen || m.faults[m.w.Provider[b.Cred]].Active {
				continue
			}
			s.Strikes = append(slices.Clone(s.Strikes), m.now)
			if n := len(s.Strikes); n >= 5 && m.now.Sub(s.Strikes[n-5]) <= time.Minute && !s.Hold.On {
				m.hold(s, mHold{State: Failing, Wait: 5 * time.Second, TrialAt: m.now.Add(5 * time.Second)}, UpstreamFault)
			}
		case InvalidKey:
			for _, h := range m.holders(b.Cred) {
				if h == nil {
					continue
				}
				s := &h.Slots[0]
				if !s.Hold.On || s.Hold.Verdict != InvalidKey || s.Hold.State == Revoked {
					continue
				}
				if s.Invalids++; s.Invalids >= 3 {
					m.hold(s, mHold{State: Revoked}, InvalidKey)
				}
			}
		}
	}
}

// endTrials ends the trials of a lease; after one that failed the next comes
// after twice the pause.
func (m *model) endTrials(r *mRequest, failed bool) {
	for i, h := range m.holders(r.Tried[r.Attempts-1].Cred) {
		for j, p := range [...]int{0, r.Model, r.Scope} {
			if h == nil || r.Trials[i][j] == 0 {
				continue
			}
			hd := &h.Slots[p].Hold
			if !hd.On || hd.ID != r.Trials[i][j] || !hd.Trying {
				continue
			}
			hd.Trying = false
			if failed {
				most := 5 * time.Minute
				if hd.State == Exhausted {
					most = 6 * time.Hour
				}
				hd.Wait = min(2*hd.Wait, most)
				hd.TrialAt = m.now.Add(hd.Wait)
			}
		}
	}
	r.Trials = [2][3]int{}
}

// fault notes a fault of a provider: two keys on one request, or three in a row
// that are not all of one key among several, are an incident; then no key is
// blamed, and strikes for it are taken back.
func (m *model) fault(r *mRequest) {
	a := r.Tried[r.Attempts-1]
	p := m.w.Provider[a.Cred]
	inc := &m.faults[p]
	if !inc.Active && m.now.Sub(inc.LastFault) > time.Minute {
		*inc = mIncident{}
	}
	inc.InARow++
	inc.LastFault = m.now
	inc.Faulty[a.Key] = m.now
	if inc.Active {
		return
	}
	second := false
	for i := range r.Attempts - 1 {
		second = second || r.Tried[i].Kind == UpstreamFault
	}
	inc.Of = 0
	for k := range m.c.Keys {
		if m.c.Keys[k].Present && m.w.Provider[m.cred(k)] == p {
			inc.Of++
		}
	}
	if !second && (inc.InARow < 3 || inc.Of > 1 && inc.failing(m.now) < 2) {
		return
	}
	inc.Active, inc.Since = true, m.now
	for k := range m.c.Keys {
		if s := &m.creds[m.cred(k)].Slots[0]; m.c.Keys[k].Present && m.w.Provider[m.cred(k)] == p && !s.Hold.On {
			s.forget()
		}
	}
}

func (inc *mIncident) failing(now time.Time) (n int) {
	for _, at := range inc.Faulty {
		if !at.IsZero() && now.Sub(at) < 2*time.Second {
			n++
		}
	}
	return n
}

func (m *model) calm(k int) {
	p := m.w.Provider[m.cred(k)]
	inc := &m.faults[p]
	inc.InARow = 0
	few := 0
	if inc.Of > 1 {
		few = 1
	}
	if inc.Active && m.now.Sub(inc.Since) >= 2*time.Second && inc.failing(m.now) <= few {
		inc.Active, inc.Faulty = false, [mKeys]time.Time{}
	}
}

// backOff rests a model on all keys of a provider that is too busy for it.
func (m *model) backOff(r *mRequest, v mVerdict) {
	own := r.Tried[r.Attempts-1].Cred
	v.Scope = ScopeKey
	s := m.present(r, v, v.Model)
	if s == nil {
		return
	}
	d := clamp(max(v.RetryAfter, time.Second<<min(s.Climbs, 20)), 0, 30*time.Second)
	for c := range m.creds {
		if m.w.Provider[c] != m.w.Provider[own] || m.retired(c) {
			continue
		}
		s := &m.creds[c].Slots[v.Model]
		s.Climbs++
		if s.Hold.On && (s.Hold.Until.IsZero() || s.Hold.Until.After(m.now.Add(d))) {
			continue
		}
		m.hold(s, mHold{State: Cooling, Until: m.now.Add(d)}, UpstreamFault)
	}
}

// closed ends a request with its lease.
func (m *model) closed(no int, how string, input int64) {
	r := &m.clients[no]
	m.endTrials(r, false)
	m.release(r)
	cr := &m.creds[r.Tried[r.Attempts-1].Cred]
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

// tested is what the free test call of a key said.
func (m *model) tested(k int, kind Kind) {
	if !m.c.Keys[k].Present {
		return
	}
	for _, h := range m.holders(m.cred(k)) {
		if h == nil || !h.Slots[0].Hold.On || !h.Slots[0].Hold.Confirm {
			continue
		}
		s := &h.Slots[0]
		switch old := s.Hold; kind {
		case InvalidKey:
			m.hold(s, mHold{State: Revoked}, InvalidKey)
		case UpstreamFault, ClientError: // it tells nothing
		case QuotaExhausted:
			m.hold(s, mHold{State: Exhausted, Wait: 15 * time.Minute, TrialAt: m.now.Add(15 * time.Minute)}, QuotaExhausted)
		default: // the rejection was of the model or scope
			s.place(mHold{})
			s.forget()
			if old.Part != 0 {
				m.hold(&m.creds[m.cred(k)].Slots[old.Part], mHold{State: Cooling, Until: m.now.Add(time.Hour)}, PermissionDenied)
			}
		}
		return
	}
}

// ---- the line ----

// outcome is what came of a call of the engine.
type outcome struct {
	sort  outcomeSort
	key   int
	again bool
	done  bool
	text  string
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
		for i := range m.services {
			for _, no := range m.services[i].Queue {
				r, out := &m.clients[no], outs[no]
				keys, sure := m.choices(r)
				switch {
				case out.sort == gotKey && slices.Contains(keys, out.key) && (m.answers(no) || sure):
					m.leave(no)
					m.take(no, out.key)
					given[i] = append(given[i], out.key)
					m.services[i].Given = given[i]
					again = true
				case out.sort == gotNone && m.answers(no) && !sure && m.refusable(r) && !m.removed(r):
					m.leave(no)
					m.refuse(no)
					again = true
				case out.sort == gotNoService && m.removed(r):
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

// ---- time ----

// pass lets what ends by time end.
func (m *model) pass(to time.Time) {
	m.now = to
	over := func(t time.Time) bool { return !t.IsZero() && !m.now.Before(t) }
	for _, h := range m.all() {
		for i := range h.Slots {
			if s := &h.Slots[i]; s.Hold.On && over(s.Hold.Until) {
				s.place(mHold{})
			}
		}
	}
	for i := range m.keys {
		if over(m.keys[i].DisabledUntil) {
			m.keys[i].Disabled, m.keys[i].DisabledUntil = false, time.Time{}
		}
	}
	for i := range m.services {
		s := &m.services[i]
		if n := len(s.Lends); n > 0 {
			s.Lends = slices.DeleteFunc(slices.Clone(s.Lends), func(l mLend) bool { return over(l.Until) })
			if len(s.Lends) < n {
				m.arrange(i)
			}
		}
		if s.Pin.On && over(s.Pin.Until) {
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
			if lo, hi, none := m.soon(r); !none {
				soonest(lo)
				soonest(hi)
			}
		}
	}
	for k := range m.c.Keys {
		soonest(m.c.Keys[k].Expires)
	}
	return at
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

// ---- the configuration ----

// arrange brings a service's cursors up to the keys that it has now.
func (m *model) arrange(no int) {
	s := &m.services[no]
	var have, had [][]int
	var cursors []int
	for i, tier := range m.tiers(no) {
		if len(tier) > 0 {
			have = append(have, tier)
		}
		if len(s.Order[i]) > 0 {
			had, cursors = append(had, s.Order[i]), append(cursors, s.Cursor[i])
		}
	}
	s.Order, s.Cursor = [2][]int{}, [2]int{nobody, nobody}
	for i, tier := range have {
		s.Order[i], s.Cursor[i] = tier, tier[0]
		if i >= len(had) {
			continue
		}
		at := slices.Index(had[i], cursors[i])
		for off := range had[i] {
			if k := had[i][(at+off)%len(had[i])]; slices.Contains(tier, k) {
				s.Cursor[i] = k
				break
			}
		}
	}
	if s.InUse != nobody && !m.lists(no, s.InUse) {
		s.InUse = nobody
	}
	if s.Pin.On && !m.lists(no, s.Pin.Key) {
		s.Pin = mPin{}
	}
}

func (m *model) reload(c *mConf) {
	m.c = c
	for i := mSecrets; i < mCreds; i++ {
		if m.retired(i) { // nothing is known of a secret that cannot be read
			m.creds[i] = mCred{}
		}
	}
	for i := range m.services {
		s := &m.services[i]
		if !c.Services[i].Present {
			*s = mService{Born: s.Born + 1, InUse: nobody, Queue: s.Queue}
			continue
		}
		s.Lends = slices.DeleteFunc(slices.Clone(s.Lends), func(l mLend) bool {
			return !c.Keys[l.Key].Present || slices.Contains(c.Services[i].Tiers[0], l.Key) || slices.Contains(c.Services[i].Tiers[1], l.Key)
		})
		m.arrange(i)
		for talk, on := range s.Stuck { // nothing is kept of a key that was gone
			if !c.Keys[on.key].Present {
				delete(s.Stuck, talk)
			}
		}
	}
	m.undo = slices.DeleteFunc(slices.Clone(m.undo), func(d mDeed) bool {
		return d.key != nobody && !c.Keys[d.key].Present || d.service != nobody && !c.Services[d.service].Present
	})
}

// ---- the operator ----

// of are the holders that an action on a key or a service is about.
func (m *model) of(key, service int) (creds []int, accounts []int) {
	add := func(c int) {
		if !slices.Contains(creds, c) {
			creds = append(creds, c)
		}
		if a := m.w.Account[c]; a != nobody && !slices.Contains(accounts, a) {
			accounts = append(accounts, a)
		}
	}
	if key != nobody {
		add(m.cred(key))
		return
	}
	for _, tier := range m.tiers(service) {
		for _, k := range tier {
			add(m.cred(k))
		}
	}
	return
}

// act carries an action out. It returns whether it must be, or must not be,
// done; to is the key that a rotation went to.
func (m *model) act(verb Verb, key, service int, forS time.Duration, done bool, to int) error {
	if key != nobody && !m.c.Keys[key].Present || service != nobody && !m.c.Services[service].Present {
		return mustFail(done, "there is no such key or service")
	}
	until := time.Time{}
	if forS > 0 {
		until = m.now.Add(forS)
	}
	d := mDeed{verb: verb, key: key, service: service, at: m.now}
	if key != nobody {
		d.operator = m.keys[key]
	}
	if service != nobody {
		d.svc = m.services[service]
	}
	var before *model
	if verb == VerbFail || verb == VerbLift || verb == VerbReset {
		before = m.clone()
	}
	switch verb {
	case VerbDisable:
		m.keys[key].Disabled, m.keys[key].DisabledUntil = true, until
	case VerbEnable:
		if !m.keys[key].Disabled && !m.keys[key].Draining {
			return mustFail(done, "it is not disabled")
		}
		m.keys[key] = mOperator{}
	case VerbDrain:
		if m.keys[key].Draining {
			return mustFail(done, "it is draining already")
		}
		m.keys[key].Draining = true
	case VerbFail:
		if m.state(key) < Failing {
			return mustFail(done, "it is in a worse state")
		}
		m.hold(&m.creds[m.cred(key)].Slots[0], mHold{State: Failing, Wait: 30 * time.Second, TrialAt: m.now.Add(30 * time.Second), operator: true}, UpstreamFault)
	case VerbLift, VerbReset:
		n := 0
		creds, accounts := m.of(key, service)
		lift := func(h *mHolder) {
			for i := range h.Slots {
				if h.Slots[i].Hold.On {
					n++
					h.Slots[i].place(mHold{})
					h.Slots[i].forget()
				}
			}
		}
		for _, c := range creds {
			lift(&m.creds[c].mHolder)
		}
		for _, a := range accounts {
			lift(&m.accounts[a])
		}
		if verb == VerbLift {
			if n == 0 {
				return mustFail(done, "nothing holds it")
			}
			break
		}
		for _, c := range creds {
			cr := &m.creds[c]
			d.creds = append(d.creds, mCredWas{c, *cr})
			cr.Requests, cr.Verdicts, cr.Input, cr.Used.Missing = 0, [kinds]int64{}, 0, 0
		}
		if key == nobody {
			s := &m.services[service]
			s.Requests, s.Failures, s.Verdicts, s.Used.Missing = 0, 0, [kinds]int64{}, 0
		}
	case VerbPin:
		s := &m.services[service]
		k := key
		if k == nobody {
			k = s.InUse
		}
		if k == nobody || !m.lists(service, k) {
			return mustFail(done, "the service has no such key")
		}
		s.Pin = mPin{true, k, until}
	case VerbUnpin:
		if !m.services[service].Pin.On {
			return mustFail(done, "it is not pinned")
		}
		m.services[service].Pin = mPin{}
	case VerbRotate:
		s := &m.services[service]
		if s.Pin.On {
			return mustFail(done, "it is pinned")
		}
		if !done {
			return nil // there may be none that comes next
		}
		if o := m.can(&mRequest{Service: service, Born: s.Born, Repeatable: true, Began: m.now}, to); !m.lists(service, to) || !o.able() {
			return fmt.Errorf("rotated to k%d, which cannot serve: %s", to+1, o.why)
		}
		for i, tier := range s.Order {
			if slices.Contains(tier, to) {
				s.Cursor[i] = to
			}
		}
		s.InUse = to
	case VerbLend:
		s := &m.services[service]
		at := slices.IndexFunc(s.Lends, func(l mLend) bool { return l.Key == key })
		if forS <= 0 || at < 0 && m.lists(service, key) {
			return mustFail(done, "it is its own, or the lend has no end")
		}
		s.Lends = slices.Clone(s.Lends)
		if at >= 0 {
			s.Lends = slices.Delete(s.Lends, at, at+1)
		}
		s.Lends = append(s.Lends, mLend{key, until})
		m.arrange(service)
	case VerbUnlend:
		s := &m.services[service]
		at := slices.IndexFunc(s.Lends, func(l mLend) bool { return l.Key == key })
		if at < 0 {
			return mustFail(done, "it is not lent")
		}
		s.Lends = slices.Delete(slices.Clone(s.Lends), at, at+1)
		m.arrange(service)
	case VerbUndo:
		if len(m.undo) == 0 {
			return mustFail(done, "there is nothing to undo")
		}
		m.takeBack(m.undo[len(m.undo)-1])
		m.undo = m.undo[: len(m.undo)-1 : len(m.undo)-1]
	}
	if !done {
		return fmt.Errorf("%s was refused, and could be done", verb)
	}
	if verb == VerbUndo {
		return nil
	}
	if before != nil {
		creds, accounts := m.of(key, service)
		note := func(cred, account int, was, is *mHolder) {
			for i := range is.Slots {
				if is.Slots[i].Gen != was.Slots[i].Gen {
					d.slots = append(d.slots, mWas{cred, account, i, was.Slots[i].Hold, is.Slots[i].Gen})
				}
			}
		}
		for _, c := range creds {
			note(c, nobody, &before.creds[c].mHolder, &m.creds[c].mHolder)
		}
		for _, a := range accounts {
			note(nobody, a, &before.accounts[a], &m.accounts[a])
		}
	}
	m.undo = append(slices.Clone(m.undo[max(len(m.undo)-99, 0):]), d)
	return nil
}

func mustFail(done bool, why string) error {
	if done {
		return fmt.Errorf("it was done, though %s", why)
	}
	return nil
}

func (m *model) takeBack(d mDeed) {
	over := func(t time.Time) bool { return !t.IsZero() && !m.now.Before(t) }
	if d.key != nobody {
		m.keys[d.key] = d.operator
		if over(d.operator.DisabledUntil) {
			m.keys[d.key].Disabled, m.keys[d.key].DisabledUntil = false, time.Time{}
		}
	}
	for _, w := range d.slots {
		var s *mSlot
		if w.cred == nobody {
			s = &m.accounts[w.account].Slots[w.part]
		} else if s = &m.creds[w.cred].Slots[w.part]; m.retired(w.cred) || w.cred >= mSecrets {
			continue
		}
		if s.Gen != w.gen || w.hold.On && over(w.hold.UntilMax) {
			continue
		}
		w.hold.Perhaps = w.hold.On && over(w.hold.Until)
		m.ids++
		w.hold.ID, w.hold.Trying = m.ids, false
		s.place(w.hold)
	}
	for _, w := range d.creds {
		if m.retired(w.no) || w.no >= mSecrets {
			continue
		}
		c := &m.creds[w.no]
		c.Requests += w.Requests
		c.Input += w.Input
		for i := range c.Verdicts {
			c.Verdicts[i] += w.Verdicts[i]
		}
		c.Used.take(w.Used.missing(m.w.Limits[w.no], m.now), m.w.Limits[w.no], m.now)
	}
	if d.service == nobody {
		return
	}
	s := &m.services[d.service]
	switch d.verb {
	case VerbPin, VerbUnpin:
		s.Pin = mPin{}
		if p := d.svc.Pin; p.On && !over(p.Until) && m.lists(d.service, p.Key) {
			s.Pin = p
		}
	case VerbLend, VerbUnlend:
		s.Lends = slices.DeleteFunc(slices.Clone(s.Lends), func(l mLend) bool { return l.Key == d.key })
		for _, l := range d.svc.Lends {
			if l.Key == d.key && !over(l.Until) && !m.lists(d.service, l.Key) && m.c.Keys[l.Key].Present {
				s.Lends = append(s.Lends, l)
			}
		}
		m.arrange(d.service)
	case VerbRotate:
		s.InUse = d.svc.InUse
		if s.InUse != nobody && !m.lists(d.service, s.InUse) {
			s.InUse = nobody
		}
		for i := range s.Order {
			if slices.Contains(s.Order[i], d.svc.Cursor[i]) {
				s.Cursor[i] = d.svc.Cursor[i]
			}
		}
	case VerbReset:
		if d.key == nobody {
			s.Requests += d.svc.Requests
			s.Failures += d.svc.Failures
			for i := range s.Verdicts {
				s.Verdicts[i] += d.svc.Verdicts[i]
			}
			l := m.c.Services[d.service].Limit
			s.Used.take(d.svc.Used.missing(l, m.now), l, m.now)
		}
	}
}

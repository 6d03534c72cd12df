package engine

import (
	"fmt"
	"slices"
	"time"
)

// The model of holds: what an answer says of a key, its account, its provider.

// mVerdict is a verdict whose times count from now.
type mVerdict struct {
	Kind              Kind
	Scope             Scope
	Model             int
	RetryAfter, Until time.Duration
}

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
		again, sure = m.another(r)
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

type mIncident struct {
	Active           bool
	InARow, Of       int
	Since, LastFault time.Time
	Faulty           [mKeys]time.Time
}

func (inc *mIncident) failing(now time.Time) (n int) {
	for _, at := range inc.Faulty {
		if !at.IsZero() && now.Sub(at) < 2*time.Second {
			n++
		}
	}
	return n
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

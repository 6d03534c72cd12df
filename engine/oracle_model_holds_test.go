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

// mTable is the table of DESIGN section 4: of each verdict what it does to whom it
// blames. It reports whether the request goes on to the next key, sure whether
// that is certain.
var mTable = [kinds]func(m *model, r *mRequest, v mVerdict) (again, sure bool){
	OK:               (*model).succeeded,
	RateLimited:      (*model).rateLimited,
	QuotaExhausted:   (*model).quotaExhausted,
	InvalidKey:       (*model).invalidKey,
	PermissionDenied: (*model).permissionDenied,
	ClientError:      (*model).succeeded, // it is no fault of the key
	UpstreamFault:    (*model).upstreamFault,
}

// judge applies a verdict; got is whether the engine let the request go on to
// another key.
func (m *model) judge(no int, v mVerdict, got bool) error {
	r := &m.clients[no]
	r.last().Kind, r.Kind, r.Phase = v.Kind, v.Kind, judged
	m.answered(r)
	if v.Model != 0 && r.Model != 0 {
		v.Model = r.Model // upstream may call it by another name
	}
	again, sure := mTable[v.Kind](m, r, v)
	if r.Once { // what was not kept cannot be sent again
		again, sure = false, true
	}
	if sure && again != got {
		return fmt.Errorf("go on to another key: %v, want %v", got, again)
	}
	if v.Kind == UpstreamFault && v.Model != 0 && !got {
		m.backOff(r, v)
	}
	if v.Kind != OK && v.Kind != ClientError {
		m.endTrials(r, true)
	}
	if got {
		m.release(r)
		r.Phase = between
	}
	return nil
}

// answered counts an answer, and gives back what a request that was refused has
// not used.
func (m *model) answered(r *mRequest) {
	c := r.last().Cred
	if r.Kind == RateLimited || r.Kind == QuotaExhausted {
		for _, b := range m.buckets(r, c) {
			b.used.take(-1, b.limit, m.now)
		}
	}
	m.creds[c].Verdicts[r.Kind]++
	if !m.removed(r) {
		m.services[r.Service].Verdicts[r.Kind]++
	}
}

// rateLimited: "hold until the hint (floor 0.5 s, ceiling 1 h, a little jitter). A
// 429 without words: on a key that succeeded in the last 10 s, 1/rate (floor 50
// ms); else 1 s doubling to 60 s while nothing succeeds between". A hint that
// counts in milliseconds is believed where the key has just served.
func (m *model) rateLimited(r *mRequest, v mVerdict) (again, sure bool) {
	s := m.present(r, v, v.Model)
	if s == nil {
		return true, true
	}
	ok := m.creds[r.last().Cred].LastOK
	recent := !ok.IsZero() && m.now.Sub(ok) <= 10*time.Second
	least, most := time.Duration(0), time.Duration(0)
	switch {
	case v.RetryAfter > 0 && recent:
		least = clamp(v.RetryAfter, 50*time.Millisecond, time.Hour)
	case v.RetryAfter > 0:
		least = clamp(v.RetryAfter, 500*time.Millisecond, time.Hour)
	case recent:
		least, most = 50*time.Millisecond, time.Second // the rate is the engine's to measure
		s.Climbs++
	default:
		least = clamp(time.Second<<min(s.Climbs, 20), time.Second, time.Minute)
		s.Climbs++
	}
	if v.RetryAfter > 0 {
		most = least + min(least/20, 500*time.Millisecond)
	}
	m.hold(s, mHold{State: Cooling, Until: m.now.Add(least), UntilMax: m.now.Add(max(least, most))}, RateLimited)
	if m.w.Learns {
		m.blamed(r, v).Learned = true
	}
	return true, true
}

// quotaExhausted: "hold until its reset, by the provider's own calendar; money:
// until a person acts or a trial succeeds (... after 15 min, doubling, at most 6
// h)".
func (m *model) quotaExhausted(r *mRequest, v mVerdict) (again, sure bool) {
	s := m.present(r, v, v.Model)
	if s == nil {
		return true, true
	}
	h := mHold{State: Exhausted}
	const longest = 35 * 24 * time.Hour // nothing is held forever by a number in a header
	switch {
	case v.Until > 0:
		h.Until = m.now.Add(min(v.Until, longest))
	case v.RetryAfter > 0:
		h.Until = m.now.Add(clamp(v.RetryAfter, 500*time.Millisecond, longest))
	default:
		h.Wait = 15 * time.Minute
		if old := s.Hold; old.On && old.State == Exhausted && old.Wait > 0 {
			h.Wait = min(2*old.Wait, 6*time.Hour)
		}
		h.TrialAt = m.now.Add(h.Wait)
	}
	m.hold(s, h, QuotaExhausted)
	return true, true
}

// invalidKey: "held, confirmed by the provider's free test call (no such call:
// three in three requests while another key succeeds), then revoked": see tested
// and rejected. Until then a trial comes after a second, doubling to 5 minutes, or
// after a minute where no test call tells.
func (m *model) invalidKey(r *mRequest, v mVerdict) (again, sure bool) {
	s := m.present(r, v, 0)
	if s == nil {
		return true, true
	}
	h := mHold{State: Failing, Part: r.Model, Wait: time.Second}
	if h.Part == 0 {
		h.Part = r.Scope
	}
	if old := s.Hold; old.On && old.Verdict == InvalidKey {
		h.Wait = min(2*old.Wait, 5*time.Minute)
	}
	if m.c.Keys[r.last().Key].CanTest {
		h.Confirm, h.Wait = true, time.Minute
	}
	h.TrialAt = m.now.Add(h.Wait)
	m.hold(s, h, InvalidKey)
	return true, true
}

// permissionDenied: "that pair is skipped for 1 h; the key stays active for the
// rest. Scope none (region, IP, WAF): holds nothing, ..., passed on". The request:
// "next key, or passed on".
func (m *model) permissionDenied(r *mRequest, v mVerdict) (again, sure bool) {
	if v.Scope == ScopeNone {
		return false, true
	}
	part := v.Model
	for _, p := range []int{r.Model, r.Scope} {
		if part == 0 {
			part = p
		}
	}
	if part != 0 {
		if s := m.present(r, v, part); s != nil {
			m.hold(s, mHold{State: Cooling, Until: m.now.Add(time.Hour)}, PermissionDenied)
		}
	}
	return m.another(r)
}

// upstreamFault: "a strike only if another key succeeds on the same request": see
// succeeded. The request: "one other key, if safe to repeat". A model that is busy
// backs off on all keys: see backOff.
func (m *model) upstreamFault(r *mRequest, _ mVerdict) (again, sure bool) {
	r.Faults++
	m.fault(r)
	if !r.Repeatable || r.Faults > 1 {
		return false, true
	}
	return m.another(r)
}

// last is the request's attempt that is on its way, or was the last.
func (r *mRequest) last() *mAttempt { return &r.Tried[r.Attempts-1] }

// blamed is whom a verdict is about.
func (m *model) blamed(r *mRequest, v mVerdict) *mHolder {
	hs := m.holders(r.last().Cred)
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
	a := r.last()
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

// succeeded: "strikes forgotten; a trial that succeeds clears failing"; and the
// faults and rejections that the request met before were the other keys'.
func (m *model) succeeded(r *mRequest, _ mVerdict) (again, sure bool) {
	a := r.last()
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
			s := &h.Slots[p]
			if r.Trials[i][j] != 0 && s.Hold.On && s.Hold.ID == r.Trials[i][j] {
				s.place(mHold{})
				s.forget()
			}
			if (j == 0 || p != 0) && s.Gen == a.Gens[i][j] {
				s.forget()
			}
		}
	}
	m.calm(a.Key)
	for i := range r.Attempts - 1 {
		switch before := &r.Tried[i]; {
		case r.Kind != OK || m.retired(before.Cred):
		case before.Kind == UpstreamFault:
			m.strike(before)
		case before.Kind == InvalidKey:
			m.rejected(before)
		}
	}
	return false, true
}

// strike: "5 strikes in 60 s: failing"; none of an older generation, and none while
// many keys fail.
func (m *model) strike(a *mAttempt) {
	s := &m.creds[a.Cred].Slots[0]
	if a.Gens[0][0] != s.Gen || m.faults[m.w.Provider[a.Cred]].Active {
		return
	}
	s.Strikes = append(slices.Clone(s.Strikes), m.now)
	if n := len(s.Strikes); n >= 5 && m.now.Sub(s.Strikes[n-5]) <= time.Minute && !s.Hold.On {
		m.hold(s, mHold{State: Failing, Wait: 5 * time.Second, TrialAt: m.now.Add(5 * time.Second)}, UpstreamFault)
	}
}

// rejected: "three in three requests while another key succeeds", of the key or of
// its account.
func (m *model) rejected(a *mAttempt) {
	for _, h := range m.holders(a.Cred) {
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

// endTrials ends the trials of a lease; after one that failed the next comes
// after twice the pause.
func (m *model) endTrials(r *mRequest, failed bool) {
	for i, h := range m.holders(r.last().Cred) {
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
	a := r.last()
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
	own := r.last().Cred
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

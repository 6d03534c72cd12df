package engine

import (
	"slices"
	"time"
)

// The model of choosing: what a key can do for a request, now or later, and
// which of a service's keys it may be given.

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

// choices are the keys that the request may be given now; sure is set when it
// has to be given one. "Pinned means this key, under its limits and holds, or an
// honest error".
func (m *model) choices(r *mRequest) (keys []int, sure bool) {
	if m.removed(r) {
		return nil, false
	}
	s := &m.services[r.Service]
	own := outlook{lo: m.now, hi: m.now}
	if m.room(&own, m.c.Services[r.Service].Limit, &s.Used); !own.able() {
		return nil, false
	}
	if !s.Pin.On {
		keys, sure = m.fromTiers(r)
		return keys, sure && own.sure()
	}
	if o := m.can(r, s.Pin.Key); o.able() {
		return []int{s.Pin.Key}, o.sure() && own.sure()
	}
	return nil, false
}

// fromTiers are the keys of the first tier that has one: "A lower tier serves when
// the upper would need longer than fallback_after".
func (m *model) fromTiers(r *mRequest) (keys []int, sure bool) {
	certain := true
	above := outlook{forever: true}
	for i, tier := range m.tiers(r.Service) {
		if i > 0 && m.c.Services[r.Service].FallbackAfter > 0 {
			waits, known := m.waitsFor(r, above)
			if waits && known {
				return keys, false
			}
			certain = known
		}
		picked, sure := m.pick(r, i, tier)
		if keys = append(keys, picked...); sure {
			return keys, certain
		}
		for _, k := range tier {
			o := m.can(r, k)
			perhaps := above.perhaps || o.perhaps
			if !o.forever && !o.perhaps && (above.forever || o.lo.Before(above.lo)) {
				above = o
			}
			above.perhaps = perhaps
		}
	}
	return keys, false
}

// waitsFor reports whether the request waits for what is above a tier, known
// whether that is certain. Who would be told that there is no key goes to a
// fallback key instead.
func (m *model) waitsFor(r *mRequest, above outlook) (waits, known bool) {
	if above.forever {
		return false, !above.perhaps
	}
	after := earlier(r.Began.Add(m.c.Services[r.Service].FallbackAfter), r.Deadline)
	if above.moment {
		above.hi = latest(above.hi, m.moment(r))
	}
	switch {
	case !above.hi.After(after) && !above.learned:
		return true, true
	case !above.lo.After(after):
		return true, false // when it comes back is not known to the moment
	default:
		return false, !above.perhaps
	}
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

// moment is when what may end any time is looked at again: it is worth waiting for
// until then.
func (m *model) moment(r *mRequest) time.Time {
	if at := m.now.Add(time.Second); !r.Deadline.After(m.now) || at.Before(r.Deadline) {
		return at
	}
	return r.Deadline
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
				o.hi = latest(o.hi, m.moment(r))
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

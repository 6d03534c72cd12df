package engine

import (
	"fmt"
	"slices"
	"time"
)

// The model of the operator: what is done by hand, and taken back, and what a
// reload leaves of that.

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
		m.hold(&m.creds[m.cred(key)].Slots[0], mHold{State: Failing, Wait: 30 * time.Second, TrialAt: m.now.Add(30 * time.Second)}, UpstreamFault)
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

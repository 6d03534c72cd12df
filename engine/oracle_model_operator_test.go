package engine

import (
	"fmt"
	"slices"
	"time"
)

// The model of the operator: what is done by hand, and taken back, and what a
// reload leaves of that.

// mDeed is an action, and what was before it.
type mDeed struct {
	verb         Verb
	key, service int
	until        time.Time // zero is without end
	to           int       // the key that a rotation went to

	operator mOperator
	svc      mService
	slots    []mWas
	creds    []mCredWas
}

// mWas is the hold that an action put another in place of, or none, and the
// generation that it made.
type mWas struct {
	cred, account, part int
	hold                mHold
	gen                 int
}

type mCredWas struct {
	no int
	mCred
}

// mVerbs are what an operator can do. Each says why it cannot be done, and then
// changes nothing; "" is that it is done.
var mVerbs map[Verb]func(m *model, d *mDeed) (why string)

func init() { // undo refers back to them
	mVerbs = map[Verb]func(*model, *mDeed) string{
		VerbDisable: (*model).disable, VerbEnable: (*model).enable, VerbDrain: (*model).drain, VerbFail: (*model).fail,
		VerbLift: (*model).lift, VerbReset: (*model).reset,
		VerbPin: (*model).pin, VerbUnpin: (*model).unpin, VerbRotate: (*model).rotate,
		VerbLend: (*model).lend, VerbUnlend: (*model).unlend,
		VerbUndo: (*model).undoLast,
	}
}

// act carries an action out; done is whether the engine did.
func (m *model) act(d mDeed, done bool) error {
	why := ""
	before := m.clone()
	if d.key != nobody && !m.c.Keys[d.key].Present || d.service != nobody && !m.c.Services[d.service].Present {
		why = "there is no such key or service"
	} else {
		why = mVerbs[d.verb](m, &d)
	}
	switch {
	case why != "" && done:
		return fmt.Errorf("it was done, though %s", why)
	case why == "" && !done:
		return fmt.Errorf("%s was refused, and could be done", d.verb)
	case why == "" && d.verb != VerbUndo:
		m.remember(d, before)
	}
	return nil
}

// remember notes what can be taken back: a hundred actions.
func (m *model) remember(d mDeed, before *model) {
	if d.key != nobody {
		d.operator = before.keys[d.key]
	}
	if d.service != nobody {
		d.svc = before.services[d.service]
	}
	creds, accounts := m.of(d.key, d.service)
	note := func(cred, account int, was, is *mHolder) {
		for i := range is.Slots {
			if is.Slots[i].Gen != was.Slots[i].Gen {
				d.slots = append(d.slots, mWas{cred, account, i, was.Slots[i].Hold, is.Slots[i].Gen})
			}
		}
	}
	for _, c := range creds {
		note(c, nobody, &before.creds[c].mHolder, &m.creds[c].mHolder)
		if d.verb == VerbReset {
			d.creds = append(d.creds, mCredWas{c, before.creds[c]})
		}
	}
	for _, a := range accounts {
		note(nobody, a, &before.accounts[a], &m.accounts[a])
	}
	m.undo = append(slices.Clone(m.undo[max(len(m.undo)-99, 0):]), d)
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

// disable: "Disabled stays disabled whatever answers say".
func (m *model) disable(d *mDeed) (why string) {
	m.keys[d.key].Disabled, m.keys[d.key].DisabledUntil = true, d.until
	return ""
}

func (m *model) enable(d *mDeed) (why string) {
	if !m.keys[d.key].Disabled && !m.keys[d.key].Draining {
		return "it is not disabled"
	}
	m.keys[d.key] = mOperator{}
	return ""
}

// drain: "gives a key no new leases".
func (m *model) drain(d *mDeed) (why string) {
	if m.keys[d.key].Draining {
		return "it is draining already"
	}
	m.keys[d.key].Draining = true
	return ""
}

func (m *model) fail(d *mDeed) (why string) {
	if m.state(d.key) < Failing {
		return "it is in a worse state"
	}
	m.hold(&m.creds[m.cred(d.key)].Slots[0], mHold{State: Failing, Wait: 30 * time.Second, TrialAt: m.now.Add(30 * time.Second)}, UpstreamFault)
	return ""
}

// lift: "holds are visible, a person can lift any".
func (m *model) lift(d *mDeed) (why string) {
	if m.liftAll(d.key, d.service) == 0 {
		return "nothing holds it"
	}
	return ""
}

func (m *model) liftAll(key, service int) (n int) {
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
	return n
}

// reset is lift, and all counters at zero.
func (m *model) reset(d *mDeed) (why string) {
	m.liftAll(d.key, d.service)
	creds, _ := m.of(d.key, d.service)
	for _, c := range creds {
		cr := &m.creds[c]
		cr.Requests, cr.Verdicts, cr.Input, cr.Used.Missing = 0, [kinds]int64{}, 0, 0
	}
	if d.key == nobody {
		s := &m.services[d.service]
		s.Requests, s.Failures, s.Verdicts, s.Used.Missing = 0, 0, [kinds]int64{}, 0
	}
	return ""
}

// pin: "Pinned means this key, ...; a pin has an end".
func (m *model) pin(d *mDeed) (why string) {
	s := &m.services[d.service]
	k := d.key
	if k == nobody {
		k = s.InUse
	}
	if k == nobody || !m.lists(d.service, k) {
		return "the service has no such key"
	}
	s.Pin = mPin{true, k, d.until}
	return ""
}

func (m *model) unpin(d *mDeed) (why string) {
	s := &m.services[d.service]
	if !s.Pin.On {
		return "it is not pinned"
	}
	s.Pin = mPin{}
	return ""
}

// rotate: "moves the cursor to the next key". Which that is the engine says, or
// that there is none.
func (m *model) rotate(d *mDeed) (why string) {
	s := &m.services[d.service]
	switch {
	case s.Pin.On:
		return "it is pinned"
	case d.to == nobody:
		return "no other comes next"
	case !m.lists(d.service, d.to):
		return "the service has no such key"
	}
	if o := m.can(&mRequest{Service: d.service, Born: s.Born, Repeatable: true, Began: m.now}, d.to); !o.able() {
		return "the next one cannot serve: " + o.why
	}
	for i, tier := range s.Order {
		if slices.Contains(tier, d.to) {
			s.Cursor[i] = d.to
		}
	}
	s.InUse = d.to
	return ""
}

// lend gives a service another key for a time.
func (m *model) lend(d *mDeed) (why string) {
	at := m.lent(d)
	if d.until.IsZero() || at < 0 && m.lists(d.service, d.key) {
		return "it is its own, or the lend has no end"
	}
	s := &m.services[d.service]
	s.Lends = slices.Clone(s.Lends)
	if at >= 0 { // lent again, for another time
		s.Lends = slices.Delete(s.Lends, at, at+1)
	}
	s.Lends = append(s.Lends, mLend{d.key, d.until})
	m.arrange(d.service)
	return ""
}

func (m *model) unlend(d *mDeed) (why string) {
	at := m.lent(d)
	if at < 0 {
		return "it is not lent"
	}
	s := &m.services[d.service]
	s.Lends = slices.Delete(slices.Clone(s.Lends), at, at+1)
	m.arrange(d.service)
	return ""
}

// lent is which of the service's lends is the key's, -1 if none.
func (m *model) lent(d *mDeed) int {
	return slices.IndexFunc(m.services[d.service].Lends, func(l mLend) bool { return l.Key == d.key })
}

func (m *model) undoLast(*mDeed) (why string) {
	n := len(m.undo) - 1
	if n < 0 {
		return "there is nothing to undo"
	}
	m.takeBack(m.undo[n])
	m.undo = m.undo[:n:n]
	return ""
}

// takeBack undoes an action, but for what is over meanwhile, or is of a secret or a
// service that is gone.
func (m *model) takeBack(d mDeed) {
	if d.key != nobody {
		m.keys[d.key] = d.operator
		if m.over(d.operator.DisabledUntil) {
			m.keys[d.key].Disabled, m.keys[d.key].DisabledUntil = false, time.Time{}
		}
	}
	for _, w := range d.slots {
		m.placeAgain(w)
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
		m.useAgain(&c.Used, &w.Used, m.w.Limits[w.no])
	}
	if d.service != nobody {
		m.takeBackService(d)
	}
}

// placeAgain brings a hold back, unless something newer came between.
func (m *model) placeAgain(w mWas) {
	var s *mSlot
	switch {
	case w.cred == nobody:
		s = &m.accounts[w.account].Slots[w.part]
	case m.retired(w.cred) || w.cred >= mSecrets:
		return
	default:
		s = &m.creds[w.cred].Slots[w.part]
	}
	if s.Gen != w.gen || w.hold.On && m.over(w.hold.UntilMax) {
		return
	}
	w.hold.Perhaps = w.hold.On && m.over(w.hold.Until)
	m.ids++
	w.hold.ID, w.hold.Trying = m.ids, false
	s.place(w.hold)
}

// useAgain takes from a limit what was used of it, as far as that still counts.
func (m *model) useAgain(b, was *mBucket, l mLimit) {
	b.take(was.missing(l, m.now), l, m.now)
}

func (m *model) takeBackService(d mDeed) {
	s := &m.services[d.service]
	switch d.verb {
	case VerbPin, VerbUnpin:
		s.Pin = mPin{}
		if p := d.svc.Pin; p.On && !m.over(p.Until) && m.lists(d.service, p.Key) {
			s.Pin = p
		}
	case VerbLend, VerbUnlend:
		s.Lends = slices.DeleteFunc(slices.Clone(s.Lends), func(l mLend) bool { return l.Key == d.key })
		for _, l := range d.svc.Lends {
			if l.Key == d.key && !m.over(l.Until) && !m.lists(d.service, l.Key) && m.c.Keys[l.Key].Present {
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
		if d.key != nobody {
			return
		}
		s.Requests += d.svc.Requests
		s.Failures += d.svc.Failures
		for i := range s.Verdicts {
			s.Verdicts[i] += d.svc.Verdicts[i]
		}
		m.useAgain(&s.Used, &d.svc.Used, m.c.Services[d.service].Limit)
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

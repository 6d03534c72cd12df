package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"keywheel/engine/quota"
)

// differences collects where the engine and the model differ.
type differences struct {
	e   *Engine
	m   *model
	all []string
}

// at notes what is not as it should be, and reports whether it is.
func (d *differences) at(what string, got, want any) (same bool) {
	if same = got == want; !same {
		d.all = append(d.all, fmt.Sprintf("%s: %v, want %v", what, got, want))
	}
	return same
}

// compare says where the engine and the model differ. What the engine was free
// to choose the model takes over.
func (m *model) compare(e *Engine, clients *[mClients]client) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := &differences{e: e, m: m}
	d.holders() // first: what the engine chose of a hold's time decides the rest
	for k := range m.c.Keys {
		d.key(k)
	}
	for i := range m.services {
		d.service(i)
	}
	for p := range m.faults {
		inc, want := e.incidents[fmt.Sprintf("p%d", p)], &m.faults[p]
		if inc == nil {
			inc = &incident{}
		}
		d.at(fmt.Sprintf("p%d incident", p), inc.active, want.Active)
		d.at(fmt.Sprintf("p%d faults in a row, keys failing", p), fmt.Sprint(inc.inARow, inc.failing(m.now)), fmt.Sprint(want.InARow, want.failing(m.now)))
	}
	d.undo()
	for i := range clients { // of which secret, where a reload gave the key another
		if r := &m.clients[i]; (r.Phase == leased || r.Phase == judged) && r.last().Cred < mSecrets {
			d.at(fmt.Sprintf("client %d has the secret it had", i), clients[i].l.cred.fingerprint == m.w.Prints[r.last().Cred], true)
			d.present(i, clients[i].l, r)
		}
	}
	d.at("requests", e.requests, m.requests)
	d.at("failures", e.failures, m.failures)
	d.at("client errors", e.clientErrors, m.clientErrors)
	d.at("in flight", e.inFlight, m.inFlight)
	d.at("waiting", e.waiting, m.waits())
	return d.err()
}

func (d *differences) err() error {
	if len(d.all) == 0 {
		return nil
	}
	return errors.New(strings.Join(d.all, "; "))
}

// holders compares what is known of secrets and accounts.
func (d *differences) holders() {
	m, e := d.m, d.e
	for k := range m.c.Keys {
		if ek := e.keyBy[keyName(k)]; ek != nil && m.c.Keys[k].Present {
			c := m.cred(k)
			d.holder(keyName(k), &ek.cred.holder, &m.creds[c].mHolder)
			d.books(keyName(k), ek.cred.books, m.w.Limits[c], &m.creds[c].Used)
		}
	}
	for _, c := range e.retired { // what is known of it may be needed again
		if no := slices.Index(m.w.Prints[:], c.fingerprint); no >= 0 {
			d.holder(fmt.Sprintf("retired secret %d", no), &c.holder, &m.creds[no].mHolder)
		}
	}
	for a := range m.accounts {
		d.books(fmt.Sprintf("a%d", a), e.accounts[accountID(a)].books, m.w.AcctLimits[a], &m.accounts[a].Used)
		d.holder(fmt.Sprintf("a%d", a), e.accounts[accountID(a)], &m.accounts[a])
	}
}

// present compares whether an answer to the client would be to the present
// generation of each slot.
func (d *differences) present(no int, l *Lease, r *mRequest) {
	a := r.last()
	for i, h := range d.m.holders(a.Cred) {
		for j, p := range [...]int{0, r.Model, r.Scope} {
			if h == nil || j > 0 && p == 0 {
				continue
			}
			s := l.holders[i].slot(mParts[p])
			if s != nil && s.hold.over(d.m.now) {
				continue // nobody has looked since
			}
			d.at(fmt.Sprintf("client %d is of the present for %q", no, mParts[p]), genOf(s) == l.gens[i][j], h.Slots[p].Gen == a.Gens[i][j])
		}
	}
}

func (d *differences) key(k int) {
	m, name := d.m, keyName(k)
	ek := d.e.keyBy[name]
	if d.at(name+" is there", ek != nil, m.c.Keys[k].Present); ek == nil || !m.c.Keys[k].Present {
		return
	}
	st, _ := ek.state(m.now)
	d.at(name+" state", st, m.state(k))
	if h := ek.disabled; h != nil && !h.over(m.now) && m.keys[k].Disabled && !h.until.Equal(m.keys[k].DisabledUntil) {
		d.at(name+" disabled until", h.until, m.keys[k].DisabledUntil)
	}
	d.at(name+" draining", ek.draining, m.keys[k].Draining)
	d.at(name+" expires", ek.Expires.Equal(m.c.Keys[k].Expires), true)
	c, cr := ek.cred, &m.creds[m.cred(k)]
	if m.cred(k) < mSecrets {
		d.at(name+" has its secret", c.fingerprint, m.w.Prints[m.cred(k)])
		d.at(name+" requests", c.requests, cr.Requests)
		d.at(name+" verdicts", c.verdicts.list(), cr.Verdicts)
		d.at(name+" tokens", c.usage.Input, cr.Input)
	}
	if a := m.w.Account[m.cred(k)]; a != nobody {
		d.at(name+" has its account", c.account == d.e.accounts[accountID(a)], true)
	}
}

func accountID(a int) string { return fmt.Sprintf("p%d/a%d", a/2, a) }

// holder compares a key or an account: its slots.
func (d *differences) holder(name string, h *holder, want *mHolder) {
	d.at(name+" in flight", h.inFlight, want.InFlight)
	want.Learned = slices.ContainsFunc(h.books, func(b *book) bool { return b.learner != nil })
	for p := range want.Slots {
		where := name
		if p > 0 {
			where += " for " + mParts[p]
		}
		s := h.slot(mParts[p])
		if s == nil {
			s = &slot{}
		}
		d.slot(where, s, &want.Slots[p])
	}
}

// books compares how much of a limit is used; to the half, for the engine lets a
// request go a moment early.
func (d *differences) books(where string, books []*book, l mLimit, used *mBucket) {
	for _, b := range books {
		switch {
		case b.learner != nil:
		case b.Unit == quota.Concurrent:
			d.at(where+" serves at once", b.Taken(d.m.now), float64(used.Running))
		case math.Abs(b.Taken(d.m.now)-used.missing(l, d.m.now)) > 0.5:
			d.at(where+" has used", b.Taken(d.m.now), used.missing(l, d.m.now))
		}
	}
}

func (d *differences) slot(where string, s *slot, want *mSlot) {
	now, hd, wh := d.m.now, s.hold, &want.Hold
	if hd.over(now) {
		hd = nil
	}
	if wh.Perhaps && hd == nil { // it was over, and was not placed again
		want.Gen--
		*wh = mHold{}
	}
	wh.Perhaps = false
	d.at(where+" climbs, rejections, strikes", fmt.Sprint(s.climbs, s.invalids, s.struck), fmt.Sprint(want.Climbs, want.Invalids, len(want.Strikes)))
	if d.at(where+" held", hd != nil, wh.On); hd == nil || !wh.On {
		return
	}
	d.at(where+" hold", hd.state, wh.State)
	d.at(where+" verdict", hd.verdict, wh.Verdict)
	if !hd.trialAt.Equal(wh.TrialAt) {
		d.at(where+" trial in", hd.trialAt.Sub(now), wh.TrialAt.Sub(now))
	}
	d.at(where+" being tried", hd.trying, wh.Trying)
	d.at(where+" being confirmed", hd.confirming, wh.Confirm)
	d.at(where+" next pause", hd.wait, wh.Wait)
	d.at(where+" rejected for", hd.part, mParts[wh.Part])
	if hd.until.Before(wh.Until) || hd.until.After(wh.UntilMax) || hd.until.IsZero() != wh.Until.IsZero() {
		d.all = append(d.all, fmt.Sprintf("%s held for %v, want %v to %v", where, hd.until.Sub(now), wh.Until.Sub(now), wh.UntilMax.Sub(now)))
	}
	wh.Until, wh.UntilMax = hd.until, hd.until
}

func (d *differences) service(i int) {
	m, name, want := d.m, fmt.Sprintf("s%d", i+1), &d.m.services[i]
	s := d.e.svcBy[name]
	if d.at(name+" is there", s != nil, m.c.Services[i].Present); s == nil || !m.c.Services[i].Present {
		return
	}
	d.at(name+" in flight", s.inFlight, want.InFlight)
	d.at(name+" requests", s.requests, want.Requests)
	d.at(name+" failures", s.failures, want.Failures)
	d.at(name+" verdicts", s.verdicts.list(), want.Verdicts)
	d.books(name, s.books, m.c.Services[i].Limit, &want.Used)
	var queue []string
	for _, w := range s.queue {
		queue = append(queue, w.r.ID)
	}
	d.at(name+" line", fmt.Sprint(queue), fmt.Sprint(want.Queue))
	// A key that the service does not list was lent, and nobody has asked since.
	pin := mPin{}
	if s.pin != nil && (s.pin.until.IsZero() || m.now.Before(s.pin.until)) {
		if k := keyNo(s.pin.key.Name); m.lists(i, k) {
			pin = mPin{true, k, s.pin.until}
		}
	}
	d.at(name+" pin", pin, want.Pin)
	var lends []mLend
	for _, l := range s.lends {
		if m.now.Before(l.until) {
			lends = append(lends, mLend{keyNo(l.key.Name), l.until})
		}
	}
	d.at(name+" lends", fmt.Sprint(lends), fmt.Sprint(want.Lends))
	inUse := nobody
	if s.inUse != nil && m.lists(i, keyNo(s.inUse.Name)) {
		inUse = keyNo(s.inUse.Name)
	}
	if slices.Contains(want.Given, inUse) {
		want.InUse = inUse
	}
	want.Given = nil
	d.at(name+" key in use", inUse, want.InUse)
	if len(s.lends) == len(lends) { // else one is over, and nobody has asked since
		d.turn(name, i, s)
	}
}

// turn compares which keys a service has, and where it stands in them.
func (d *differences) turn(name string, i int, s *service) {
	m, want := d.m, &d.m.services[i]
	var tiers, wants [][]int
	for _, t := range s.tiers {
		var keys []int
		for _, mb := range t.members {
			keys = append(keys, keyNo(mb.key.Name))
		}
		tiers = append(tiers, keys)
	}
	for _, keys := range m.tiers(i) {
		if len(keys) > 0 {
			wants = append(wants, keys)
		}
	}
	d.at(name+" has keys", fmt.Sprint(tiers), fmt.Sprint(wants))
	if s.Strategy == Failover {
		for tier, t := range s.tiers {
			d.at(fmt.Sprintf("%s tier %d is on", name, tier), t.members[t.next].key.Name, keyName(want.Cursor[tier]))
		}
	}
	for talk, on := range want.Stuck {
		if got, ok := s.stuck.on[fmt.Sprint(talk)]; m.now.Sub(on.at) <= time.Hour {
			d.at(fmt.Sprintf("%s talk %d is on %s", name, talk, keyName(on.key)), ok && got.key.Name == keyName(on.key), true)
		}
	}
}

// undo compares what can be taken back: what an action changed is not seen
// before that.
func (d *differences) undo() {
	var got, want []string
	for i := range d.e.undo {
		got = append(got, d.e.undo[i].remembers())
	}
	for i := range d.m.undo {
		want = append(want, d.m.undo[i].remembers())
	}
	d.at("what can be undone", strings.Join(got, ", "), strings.Join(want, ", "))
}

// remembers says in words what the action was, and what it takes back.
func (a *Deed) remembers() string {
	text := fmt.Sprintf("%s %s %s", a.Verb, a.Key, a.Service)
	switch s := a.Undo.Service; {
	case s == nil:
	case a.Verb == VerbReset:
		text += fmt.Sprintf(" %d %d", s.Requests, s.Failures)
	case a.Verb == VerbRotate:
		text += " from " + s.InUse
	}
	if k := a.Undo.Key; k != nil {
		text += fmt.Sprint(" ", k.Disabled != nil, k.Draining)
	}
	var holds []string
	take := func(m *HolderMemory) {
		for _, s := range m.Slots {
			if s.Hold != nil {
				holds = append(holds, fmt.Sprint(s.Part, " ", s.Hold.State))
			}
		}
	}
	for i := range a.Undo.Credentials {
		take(&a.Undo.Credentials[i].HolderMemory)
	}
	for i := range a.Undo.Accounts {
		take(&a.Undo.Accounts[i].HolderMemory)
	}
	slices.Sort(holds)
	return text + fmt.Sprint(holds)
}

func (a *mDeed) remembers() string {
	key, svc := "", ""
	if a.key != nobody {
		key = keyName(a.key)
	}
	if a.service != nobody {
		svc = fmt.Sprintf("s%d", a.service+1)
	}
	text := fmt.Sprintf("%s %s %s", a.verb, key, svc)
	switch {
	case svc == "":
	case a.verb == VerbReset:
		text += fmt.Sprintf(" %d %d", a.svc.Requests, a.svc.Failures)
	case a.verb == VerbRotate:
		text += " from "
		if a.svc.InUse != nobody {
			text += keyName(a.svc.InUse)
		}
	}
	if a.key != nobody {
		text += fmt.Sprint(" ", a.operator.Disabled, a.operator.Draining)
	}
	var holds []string
	for _, s := range a.slots {
		if s.hold.On && s.cred < mSecrets { // a secret that cannot be read has no name
			holds = append(holds, fmt.Sprint(mParts[s.part], " ", s.hold.State))
		}
	}
	slices.Sort(holds)
	return text + fmt.Sprint(holds)
}

// shows compares a snapshot that was taken among the operations of a batch: all
// that it says is of one moment.
func (m *model) shows(snap *Snapshot) error {
	d := &differences{m: m}
	p := &snap.Proxy
	d.at("in all", fmt.Sprint(p.InFlight, p.Waiting, p.Requests, p.ClientErrors, p.Failures), fmt.Sprint(m.inFlight, m.waits(), m.requests, m.clientErrors, m.failures))
	for i := range snap.Services {
		s := &snap.Services[i]
		is, waits := &m.services[s.Name[1]-'1'], 0
		for _, no := range is.Queue {
			if !m.removed(&m.clients[no]) { // else they wait for one of its name that is gone
				waits++
			}
		}
		d.at(s.Name, fmt.Sprint(s.InFlight, s.Waiting, s.Requests, s.Failures, s.Verdicts.list()), fmt.Sprint(is.InFlight, waits, is.Requests, is.Failures, is.Verdicts))
	}
	for i := range snap.Keys {
		k := &snap.Keys[i]
		no := keyNo(k.Name)
		c := &m.creds[m.cred(no)]
		d.at(k.Name+" draining", k.Draining, m.keys[no].Draining)
		if !m.perhaps(no) {
			d.at(k.Name, k.State, m.state(no))
		}
		if m.cred(no) < mSecrets {
			d.at(k.Name, fmt.Sprint(k.InFlight, k.Requests, k.InputTokens, k.Verdicts.list()), fmt.Sprint(c.InFlight, c.Requests, c.Input, c.Verdicts))
		}
	}
	return d.err()
}

// perhaps reports whether it is not known yet if the key is held.
func (m *model) perhaps(k int) bool {
	for _, h := range m.holders(m.cred(k)) {
		if h != nil && h.Slots[0].Hold.Perhaps {
			return true
		}
	}
	return false
}

func (v Verdicts) list() [kinds]int64 {
	return [kinds]int64{v.OK, v.RateLimited, v.QuotaExhausted, v.InvalidKey, v.PermissionDenied, v.ClientError, v.UpstreamFault}
}

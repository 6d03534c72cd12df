package engine

import (
	"errors"
	"slices"
	"time"

	"keywheel/engine/quota"
)

// Deed is an operator's action that was carried out, as it is kept.
type Deed struct {
	// ID rises with every action.
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	Action
	// Text is what it did, in one line.
	Text string `json:"text"`
	// Undo is what takes it back; nil if nothing does.
	Undo *Memento `json:"undo,omitempty"`
	// Undoes is the deed that this one took back; 0 is none.
	Undoes int64 `json:"undoes,omitempty"`
}

// Memento is how things stood before an action, as far as the action changed
// them. It names what it is about, so that it outlives the engine.
type Memento struct {
	Key         *KeyMemory         `json:"key,omitempty"`
	Service     *ServiceMemory     `json:"service,omitempty"`
	Credentials []CredentialMemory `json:"credentials,omitempty"`
	Accounts    []AccountMemory    `json:"accounts,omitempty"`
	// Never says why the action cannot be taken back; "" if it can. It stands in
	// the way of what was done before it, so that nobody undoes that by mistake.
	Never string `json:"never,omitempty"`
}

// Replaced notes that a key has another secret, which undo does not take back:
// it refuses until something else has been done. The deed is for the one who
// keeps what was done.
func (e *Engine) Replaced(key, by string) Deed {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.actions++
	d := Deed{ID: e.actions, At: now, Action: Action{Verb: VerbReplace, Key: key, By: by}, Text: "replaced the secret of " + key,
		Undo: &Memento{Key: &KeyMemory{Name: key}, Never: "replaced the secret of " + key + " last, and that is not undone: the way back is another replacement"}}
	e.noteDeed(d)
	return d
}

// noteDeed remembers what undo takes back.
func (e *Engine) noteDeed(d Deed) {
	e.undo = append(e.undo, d)
	if len(e.undo) > undoDepth {
		e.undo = slices.Delete(e.undo, 0, 1)
	}
}

// remember takes down what the action may change.
func (e *Engine) remember(a Action, k *key, s *service, now time.Time) *Memento {
	m := &Memento{}
	if s != nil {
		sm := s.memory(now)
		for i, t := range s.tiers {
			sm.Tiers[i].Passes = map[string]float64{}
			for _, mb := range t.members {
				sm.Tiers[i].Passes[mb.key.Name] = mb.pass - t.floor
			}
		}
		m.Service = &sm
	}
	if k != nil {
		km := k.memory()
		m.Key = &km
	}
	switch a.Verb {
	case VerbFail, VerbLift, VerbReset:
	default:
		return m
	}
	for _, c := range credentials(k, s) {
		m.Credentials = append(m.Credentials, c.memory(now))
		for id, h := range e.accounts {
			if h == c.account && !slices.ContainsFunc(m.Accounts, func(am AccountMemory) bool { return am.ID == id }) {
				m.Accounts = append(m.Accounts, AccountMemory{ID: id, HolderMemory: h.memory(now)})
			}
		}
	}
	return m
}

// narrow keeps of the slots those that the action changed, with the generations
// as it left them: what changes after that is newer than what undo knows.
func (e *Engine) narrow(m *Memento) {
	keep := func(h *holder, hm *HolderMemory) {
		if h == nil {
			hm.Slots = nil
			return
		}
		hm.Slots = slices.DeleteFunc(hm.Slots, func(sm SlotMemory) bool { return genOf(h.slot(sm.Part)) == sm.Gen })
		for i := range hm.Slots {
			hm.Slots[i].Gen = genOf(h.slot(hm.Slots[i].Part))
		}
	}
	for i := range m.Credentials {
		keep(e.holderOf(m.Credentials[i].Fingerprint), &m.Credentials[i].HolderMemory)
	}
	for i := range m.Accounts {
		keep(e.accounts[m.Accounts[i].ID], &m.Accounts[i].HolderMemory)
	}
}

// credential finds a credential, nil if no key has it any more.
func (e *Engine) credential(fingerprint string) *credential {
	for _, c := range e.creds {
		if c.fingerprint == fingerprint && fingerprint != "" {
			return c
		}
	}
	return nil
}

func (e *Engine) holderOf(fingerprint string) *holder {
	if c := e.credential(fingerprint); c != nil {
		return &c.holder
	}
	return nil
}

// opUndo takes the last action back. Holds whose time is over meanwhile stay
// lifted; counters come back with what was counted since added.
func (e *Engine) opUndo(_ Action, _ *key, _ *service, now time.Time) (string, error) {
	if len(e.undo) == 0 {
		return "", errors.New("there is nothing to undo")
	}
	d := e.undo[len(e.undo)-1]
	if why := d.Undo.Never; why != "" {
		return "", errors.New(why)
	}
	e.undo = e.undo[:len(e.undo)-1]
	m, reset := d.Undo, d.Verb == VerbReset
	if m.Key != nil {
		if k := e.keyBy[m.Key.Name]; k != nil {
			k.restore(m.Key, now)
			k.changed = true
		}
	}
	for i := range m.Credentials {
		cm := &m.Credentials[i]
		c := e.credential(cm.Fingerprint)
		if c == nil {
			continue
		}
		c.holder.bringBack(&cm.HolderMemory, now)
		if reset {
			c.verdicts.add(cm.Verdicts)
			c.requests += cm.Requests
			c.usage.add(cm.Usage)
			c.unpriced += cm.Unpriced
			if c.lastFailure.IsZero() {
				c.lastFailure = timeOf(cm.LastFailure)
			}
			useAgain(c.books, cm.Books, now)
			e.counted(c, now)
		}
	}
	for i := range m.Accounts {
		if h := e.accounts[m.Accounts[i].ID]; h != nil {
			h.bringBack(&m.Accounts[i].HolderMemory, now)
		}
	}
	if sm := m.Service; sm != nil && e.svcBy[sm.Name] != nil {
		e.bringBackService(e.svcBy[sm.Name], d.Action, sm, now)
	}
	for _, k := range e.keys {
		e.ready(k, now)
	}
	e.checkHealth(now)
	return "undid: " + d.Text, nil
}

// forgetUndo forgets the actions on keys and services that are gone.
func (e *Engine) forgetUndo() {
	e.undo = slices.DeleteFunc(e.undo, func(d Deed) bool {
		return d.Undo.Key != nil && e.keyBy[d.Undo.Key.Name] == nil || d.Undo.Service != nil && e.svcBy[d.Undo.Service.Name] == nil
	})
}

// bringBack places the holds again that an action took away, and takes away
// those that it placed, unless something newer came between.
func (h *holder) bringBack(m *HolderMemory, now time.Time) {
	h.changed = true
	for i := range m.Slots {
		sm := &m.Slots[i]
		hd := sm.Hold.hold(now)
		if s := h.at(sm.Part); s.gen == sm.Gen && (hd != nil || sm.Hold == nil) {
			s.place(hd)
		}
	}
}

func (e *Engine) bringBackService(s *service, a Action, m *ServiceMemory, now time.Time) {
	s.changed = true
	switch a.Verb {
	case VerbPin, VerbUnpin:
		s.restorePin(e.keyBy, m.Pin, now)
	case VerbLend, VerbUnlend:
		s.restoreLend(e.keyBy, a.Key, m.Lent, now)
		e.rearrange(s, now)
	case VerbMigrate:
		s.restoreMove(e.keyBy, m.Moved)
		e.rearrange(s, now)
	case VerbRotate:
		if s.inUse = e.keyBy[m.InUse]; s.inUse != nil && !s.serves(s.inUse) {
			s.inUse = nil
		}
		s.last, s.rotations = m.Last, max(s.rotations-1, 0)
		s.restoreTiers(m.Tiers)
	case VerbReset:
		if a.Key == "" {
			s.verdicts.add(m.Verdicts)
			s.requests += m.Requests
			s.failures += m.Failures
			s.rotations += m.Rotations
			s.refused += m.Refused
			useAgain(s.books, m.Books, now)
		}
	}
}

// useAgain takes from the books what was used of them, as far as it still is by
// the clock.
func useAgain(books []*book, were []BookMemory, now time.Time) {
	for _, m := range were {
		i := slices.IndexFunc(books, func(b *book) bool { return m.Of(b.Book) && b.Unit != quota.Concurrent })
		if i >= 0 {
			books[i].Settle(m.Still(now), now)
		}
	}
}

func (v *Verdicts) add(w Verdicts) {
	v.OK += w.OK
	v.RateLimited += w.RateLimited
	v.QuotaExhausted += w.QuotaExhausted
	v.InvalidKey += w.InvalidKey
	v.PermissionDenied += w.PermissionDenied
	v.ClientError += w.ClientError
	v.UpstreamFault += w.UpstreamFault
}

package engine

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"keywheel/engine/quota"
)

// Memory is what an engine knows that a restart must not take from it: plain
// documents, each of one credential, account, key or service. [Engine.Memory]
// tells all of it, [Engine.Changed] what is new, and [WithMemory] gives it to
// the next engine. It bears no secret.
type Memory struct {
	// LastSeq and LastAction are the numbers of the newest event and of the
	// operator's last action: what follows counts on from them.
	LastSeq    uint64
	LastAction int64
	// Events are the newest, the oldest of them first.
	Events      []Event
	Credentials []CredentialMemory
	Accounts    []AccountMemory
	Keys        []KeyMemory
	Services    []ServiceMemory
	// Undo are the actions that can be taken back, the oldest first.
	Undo []Deed
}

// CredentialMemory is what is known of one secret at one provider. It belongs
// to the secret: a key whose secret is replaced begins anew.
type CredentialMemory struct {
	Fingerprint string `json:"fingerprint"`
	// Account is whose it is as the provider tells, "" where it has not told.
	Account string `json:"account,omitempty"`
	HolderMemory
	// Proven is set once it has served.
	Proven      bool       `json:"proven,omitempty"`
	Requests    int64      `json:"requests"`
	Verdicts    Verdicts   `json:"verdicts"`
	Usage       Usage      `json:"usage"`
	Unpriced    int64      `json:"unpriced"`
	LastFailure *time.Time `json:"last_failure,omitempty"`
}

// AccountMemory is what is known of whom a provider bills.
type AccountMemory struct {
	// ID is "provider/name".
	ID string `json:"id"`
	HolderMemory
}

// HolderMemory is what a credential and an account have in common.
type HolderMemory struct {
	Slots []SlotMemory `json:"slots,omitempty"`
	Books []BookMemory `json:"books,omitempty"`
	Funds *FundsMemory `json:"funds,omitempty"`
}

// SlotMemory is what answers have taught for one model or scope, or for all.
type SlotMemory struct {
	// Part is the model or scope, "" is all.
	Part string `json:"part,omitempty"`
	// Gen is how often a hold was placed or lifted.
	Gen      uint64      `json:"gen"`
	Hold     *HoldMemory `json:"hold,omitempty"`
	Climbs   int         `json:"climbs,omitempty"`
	Invalids int         `json:"invalids,omitempty"`
	// Strikes are the times of the last inferred faults.
	Strikes []time.Time `json:"strikes,omitempty"`
}

// HoldMemory is something that keeps a key from serving.
type HoldMemory struct {
	State   State         `json:"state"`
	Verdict Kind          `json:"verdict"`
	Why     string        `json:"why"`
	Since   time.Time     `json:"since"`
	Until   *time.Time    `json:"until,omitempty"`
	TrialAt *time.Time    `json:"trial_at,omitempty"`
	Wait    time.Duration `json:"wait_ns,omitempty"`
	// Confirming is set while the provider's test call is awaited.
	Confirming bool     `json:"confirming,omitempty"`
	Part       string   `json:"part,omitempty"`
	By         string   `json:"by"`
	Rule       string   `json:"rule,omitempty"`
	Evidence   Evidence `json:"evidence"`
}

// BookMemory is a limit, and how much of it is used.
type BookMemory struct {
	quota.Memory
	// Low is set once it has been said that little is left.
	Low bool `json:"low,omitempty"`
}

// FundsMemory is [Funds]; nil is no bound.
type FundsMemory struct {
	LeftUSD  *float64  `json:"left_usd"`
	Amount   *float64  `json:"amount"`
	Currency string    `json:"currency"`
	KeyOnly  bool      `json:"key_only"`
	Unusable bool      `json:"unusable"`
	At       time.Time `json:"at"`
}

// KeyMemory is what the operator did to a key. It belongs to the name.
type KeyMemory struct {
	Name     string      `json:"name"`
	Disabled *HoldMemory `json:"disabled,omitempty"`
	Draining bool        `json:"draining,omitempty"`
}

// ServiceMemory is how a service stands.
type ServiceMemory struct {
	Name string     `json:"name"`
	Pin  *PinMemory `json:"pin,omitempty"`
	Lent []Lent     `json:"lent,omitempty"`
	// Moved is where an operator has moved it.
	Moved *Moved `json:"moved,omitempty"`
	// InUse is the key that served last, Tier the number of its tier.
	InUse string       `json:"in_use,omitempty"`
	Tier  int          `json:"tier,omitempty"`
	Tiers []TierMemory `json:"tiers,omitempty"`
	Last  *Rotation    `json:"last_rotation,omitempty"`
	// Model and Scope are what all its requests asked for; Several is set when
	// they did not all ask for one.
	Model     string       `json:"model,omitempty"`
	Scope     string       `json:"scope,omitempty"`
	Several   bool         `json:"several,omitempty"`
	Requests  int64        `json:"requests"`
	Failures  int64        `json:"failures"`
	Rotations int64        `json:"rotations"`
	Refused   int64        `json:"refused"`
	Verdicts  Verdicts     `json:"verdicts"`
	DownSince *time.Time   `json:"down_since,omitempty"`
	Books     []BookMemory `json:"books,omitempty"`
}

// PinMemory is a pin.
type PinMemory struct {
	Key   string     `json:"key"`
	Until *time.Time `json:"until,omitempty"`
	By    string     `json:"by"`
}

// TierMemory is where a tier's cursor is: at the key that is looked at next.
type TierMemory struct {
	Next string `json:"next"`
	// Passes is how far each key's turn is away; only undo needs it.
	Passes map[string]float64 `json:"passes,omitempty"`
}

// WithMemory lets the engine go on where an earlier one stood. What is over by
// the clock is forgotten; what the config no longer has is passed over.
func WithMemory(m Memory) Option {
	return func(e *Engine) { e.memory = &m }
}

// Memory is all that the engine knows that must survive it.
func (e *Engine) Memory() Memory {
	m := e.memorize(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	m.Events, m.Undo = e.events(0), slices.Clone(e.undo)
	return m
}

// Changed is what of the memory has changed since the last call, but for Undo
// (see [Engine.Act]). It is for the one who keeps it. Events are those that
// happened since, and older ones that can be told better by now: what came of a
// rotation is often known only later.
func (e *Engine) Changed() Memory {
	return e.memorize(false)
}

// atOnce is how many documents are made before others get at the engine.
const atOnce = 64

// memorize makes the documents: all, or those of what is marked as changed,
// whose marks it takes away.
func (e *Engine) memorize(all bool) Memory {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	m := Memory{LastAction: e.actions}
	made := 0
	due := func(changed *bool) bool {
		if !all && !*changed {
			return false
		}
		*changed = *changed && all
		if made++; made%atOnce == 0 {
			e.mu.Unlock()
			e.mu.Lock()
		}
		return true
	}
	for _, c := range slices.Concat(e.creds, e.retired) {
		if c.fingerprint != "" && due(&c.changed) {
			m.Credentials = append(m.Credentials, c.memory(now))
		}
	}
	for _, id := range e.accountIDs() {
		if h := e.accounts[id]; h != nil && due(&h.changed) {
			m.Accounts = append(m.Accounts, AccountMemory{ID: id, HolderMemory: h.memory(now)})
		}
	}
	for _, k := range e.keys {
		if due(&k.changed) {
			m.Keys = append(m.Keys, k.memory())
		}
	}
	for _, s := range e.services {
		if due(&s.changed) {
			m.Services = append(m.Services, s.memory(now))
		}
	}
	m.LastSeq = e.log.seq
	if !all {
		m.Events = e.unsaved()
	}
	return m
}

// accountIDs are the accounts in a fixed order.
func (e *Engine) accountIDs() []string { return slices.Sorted(maps.Keys(e.accounts)) }

// unsaved are the events that nobody has taken yet to keep them, and those that
// were amended since they were taken.
func (e *Engine) unsaved() []Event {
	l := &e.log
	var list []Event
	now := time.Now()
	for _, seq := range l.amended {
		if ev := l.at(seq); ev != nil && seq <= l.saved {
			amended := *ev
			amended.Rotation = e.told(ev.Rotation, now)
			list = append(list, amended)
		}
	}
	l.amended = l.amended[:0]
	list = append(list, e.events(l.saved)...)
	l.saved = l.seq
	return list
}

func (c *credential) memory(now time.Time) CredentialMemory {
	return CredentialMemory{Fingerprint: c.fingerprint, Account: c.told, HolderMemory: c.holder.memory(now), Proven: c.proven, Requests: c.requests, Verdicts: c.verdicts,
		Usage: c.usage, Unpriced: c.unpriced, LastFailure: timePtr(c.lastFailure)}
}

func (h *holder) memory(now time.Time) HolderMemory {
	m := HolderMemory{Slots: []SlotMemory{h.all.memory("")}, Books: memoriesOf(h.books, now)}
	// Clients name models: of those that nothing holds only some are kept.
	for _, part := range slices.Sorted(maps.Keys(h.parts)) {
		if s := h.parts[part]; s.hold != nil && !s.hold.over(now) || s.gen > 0 && len(h.parts) <= maxBooks {
			m.Slots = append(m.Slots, s.memory(part))
		}
	}
	if h.purse.known {
		m.Funds = h.purse.funds.memory()
	}
	return m
}

func memoriesOf(books []*book, now time.Time) []BookMemory {
	var list []BookMemory
	for _, b := range books {
		if b.Unit == quota.Concurrent {
			continue // what runs ends with the process
		}
		m := BookMemory{Memory: b.Memory(now), Low: b.low}
		if b.learner != nil {
			m.Memory = b.learner.Memory(now)
		}
		list = append(list, m)
	}
	return list
}

func (s *slot) memory(part string) SlotMemory {
	m := SlotMemory{Part: part, Gen: s.gen, Hold: s.hold.memory(), Climbs: s.climbs, Invalids: s.invalids}
	for i := range min(s.struck, len(s.strikes)) {
		m.Strikes = append(m.Strikes, s.strikes[(s.struck-1-i)%len(s.strikes)])
	}
	slices.Reverse(m.Strikes)
	return m
}

func (h *hold) memory() *HoldMemory {
	if h == nil {
		return nil
	}
	return &HoldMemory{State: h.state, Verdict: h.verdict, Why: h.why, Since: h.since, Until: timePtr(h.until), TrialAt: timePtr(h.trialAt),
		Wait: h.wait, Confirming: h.confirming, Part: h.part, By: h.by, Rule: h.rule, Evidence: h.evidence}
}

// hold is the hold again, nil if it is over.
func (m *HoldMemory) hold(now time.Time) *hold {
	if m == nil || m.State >= Active {
		return nil
	}
	h := &hold{state: m.State, verdict: m.Verdict, why: m.Why, since: m.Since, until: timeOf(m.Until), trialAt: timeOf(m.TrialAt),
		wait: m.Wait, confirming: m.Confirming, part: m.Part, by: m.By, rule: m.Rule, evidence: m.Evidence}
	if ahead := h.since.Sub(now); ahead > 0 { // the clock was set back since: it lasts no longer for that
		for _, t := range []*time.Time{&h.since, &h.until, &h.trialAt} {
			if !t.IsZero() {
				*t = t.Add(-ahead)
			}
		}
	}
	h.since, h.until, h.trialAt = anchored(h.since, now), anchored(h.until, now), anchored(h.trialAt, now)
	if h.over(now) {
		return nil
	}
	return h
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (f Funds) memory() *FundsMemory {
	m := &FundsMemory{Currency: f.Currency, KeyOnly: f.KeyOnly, Unusable: f.Unusable, At: f.At}
	if !math.IsInf(f.LeftUSD, 0) {
		m.LeftUSD = &f.LeftUSD
	}
	if !math.IsInf(f.Amount, 0) {
		m.Amount = &f.Amount
	}
	return m
}

func (m *FundsMemory) funds() Funds {
	f := Funds{LeftUSD: math.Inf(1), Amount: math.Inf(1), Currency: m.Currency, KeyOnly: m.KeyOnly, Unusable: m.Unusable, At: m.At}
	if m.LeftUSD != nil {
		f.LeftUSD = *m.LeftUSD
	}
	if m.Amount != nil {
		f.Amount = *m.Amount
	}
	return f
}

func (k *key) memory() KeyMemory {
	return KeyMemory{Name: k.Name, Disabled: k.disabled.memory(), Draining: k.draining}
}

func (s *service) memory(now time.Time) ServiceMemory {
	m := ServiceMemory{Name: s.Name, Tier: s.tier, Model: s.model, Scope: s.scope, Several: s.several, Requests: s.requests, Failures: s.failures,
		Rotations: s.rotations, Refused: s.refused, Verdicts: s.verdicts, DownSince: timePtr(s.downSince), Lent: s.lent(), Moved: s.moved, Books: memoriesOf(s.books, now)}
	if s.pin != nil {
		m.Pin = &PinMemory{Key: s.pin.key.Name, Until: timePtr(s.pin.until), By: s.pin.by}
	}
	if s.inUse != nil {
		m.InUse = s.inUse.Name
	}
	if s.last != nil {
		last := *s.last // its outcome may still change
		m.Last = &last
	}
	for _, t := range s.tiers {
		m.Tiers = append(m.Tiers, TierMemory{Next: t.members[t.next].key.Name})
	}
	return m
}

// restore takes up what an earlier engine knew. Keys and services are there
// already; nothing has been asked yet.
func (e *Engine) restore(m *Memory, now time.Time) {
	e.actions = m.LastAction
	e.undo = slices.Clone(m.Undo[max(len(m.Undo)-undoDepth, 0):])
	e.log.restore(m.LastSeq, m.Events)
	ahead := m.ahead(now)
	creds := map[string]*credential{}
	for _, c := range e.creds {
		creds[c.fingerprint] = c
	}
	for i := range m.Credentials {
		if c := creds[m.Credentials[i].Fingerprint]; c != nil && c.fingerprint != "" {
			e.restoreAccount(c, m.Credentials[i].Account)
			c.restore(&m.Credentials[i], now)
		}
	}
	for i := range m.Accounts {
		if h := e.accounts[m.Accounts[i].ID]; h != nil {
			h.restore(&m.Accounts[i].HolderMemory, now)
		}
	}
	for i := range m.Keys {
		if k := e.keyBy[m.Keys[i].Name]; k != nil {
			k.restore(&m.Keys[i], now)
		}
	}
	for i := range m.Services {
		if s := e.svcBy[m.Services[i].Name]; s != nil {
			e.restoreService(s, m.Services[i].sooner(ahead), now)
		}
	}
	for _, c := range e.creds {
		e.counted(c, now)
		for _, h := range c.holders() {
			// Whoever was asked may not have answered before the end.
			if h != nil && h.all.hold != nil && h.all.hold.confirming {
				e.askProbe(c.names[0], h.all.hold, now)
			}
		}
	}
}

// restoreAccount fills in whose a credential is, as the provider told, where the
// config leaves it blank.
func (e *Engine) restoreAccount(c *credential, told string) {
	if c.told = told; told == "" {
		return
	}
	if c.account == nil {
		c.account = e.account(nil, c.names[0].Provider, told)
		c.account.keys++
	}
	c.account.told = firstOf(c.account.told, told)
}

func (c *credential) restore(m *CredentialMemory, now time.Time) {
	c.holder.restore(&m.HolderMemory, now)
	c.proven = m.Proven
	c.requests, c.verdicts, c.usage, c.unpriced, c.lastFailure = m.Requests, m.Verdicts, m.Usage, m.Unpriced, timeOf(m.LastFailure)
}

func (h *holder) restore(m *HolderMemory, now time.Time) {
	for i := range m.Slots {
		sm := &m.Slots[i]
		s := h.at(sm.Part)
		s.gen, s.hold, s.climbs, s.invalids = sm.Gen, sm.Hold.hold(now), sm.Climbs, sm.Invalids
		if s.hold == nil && sm.Hold != nil {
			s.gen++ // it ended meanwhile
		}
		for _, at := range sm.Strikes {
			if !at.After(now) {
				s.strike(at)
			}
		}
	}
	h.books = restoreBooks(h.books, m.Books, now)
	if m.Funds != nil {
		h.purse = purse{funds: m.Funds.funds(), known: true}
	}
}

// restoreBooks brings back what is still used of the limits of the config, and
// the limits that answers told or taught.
func restoreBooks(books []*book, were []BookMemory, now time.Time) []*book {
	fromConfig := slices.Clone(books)
	for _, m := range were {
		if i := slices.IndexFunc(fromConfig, func(b *book) bool { return m.Of(b.Book) }); i >= 0 {
			fromConfig[i].Recall(m.Memory, now)
			fromConfig[i].low = m.Low
			fromConfig = slices.Delete(fromConfig, i, i+1)
			continue
		}
		if len(books) >= maxBooks {
			continue
		}
		if m.Source == Balanced {
			b := newBook(quota.NewBook(quota.Limit{Unit: m.Unit, Amount: max(m.Amount, 0.01), Source: Balanced}, now))
			b.Recall(m.Memory, now)
			b.low = m.Low
			books = append(books, b)
		} else if l, ok := quota.Relearn(m.Memory, now); ok {
			books = append(books, &book{Book: l.Book, learner: l})
		} else if b, ok := quota.Reopen(m.Memory, now); ok {
			books = append(books, newBook(b))
		}
	}
	return books
}

func (k *key) restore(m *KeyMemory, now time.Time) {
	k.disabled, k.draining = m.Disabled.hold(now), m.Draining
}

// ahead is how far the clock has been set back at least since the newest event.
func (m *Memory) ahead(now time.Time) time.Duration {
	for _, ev := range m.Events {
		if ev.Seq == m.LastSeq {
			return max(ev.At.Sub(now), 0)
		}
	}
	return 0
}

// sooner is the memory of a service with all that ends by itself ending so much
// sooner.
func (m *ServiceMemory) sooner(by time.Duration) *ServiceMemory {
	c := *m
	c.Lent = slices.Clone(m.Lent)
	for i := range c.Lent {
		c.Lent[i].Until = c.Lent[i].Until.Add(-by)
	}
	if c.Pin != nil && c.Pin.Until != nil {
		p, until := *c.Pin, c.Pin.Until.Add(-by)
		p.Until, c.Pin = &until, &p
	}
	return &c
}

func (e *Engine) restoreService(s *service, m *ServiceMemory, now time.Time) {
	s.restoreLend(e.keyBy, "", m.Lent, now)
	s.restoreMove(e.keyBy, m.Moved)
	e.arrange(s)
	s.restorePin(e.keyBy, m.Pin, now)
	if k := e.keyBy[m.InUse]; k != nil && s.serves(k) {
		s.inUse = k
	}
	if m.Tier >= 0 && m.Tier < len(s.tiers) {
		s.tier = m.Tier
	}
	s.restoreTiers(m.Tiers)
	s.last, s.model, s.scope, s.several = m.Last, m.Model, m.Scope, m.Several
	s.requests, s.failures, s.rotations, s.refused, s.verdicts = m.Requests, m.Failures, m.Rotations, m.Refused, m.Verdicts
	s.downSince = timeOf(m.DownSince)
	s.books = restoreBooks(s.books, m.Books, now)
}

func (s *service) restorePin(keys map[string]*key, m *PinMemory, now time.Time) {
	s.pin = nil
	if m == nil || m.Until != nil && !now.Before(*m.Until) {
		return
	}
	if k := keys[m.Key]; k != nil && s.serves(k) {
		s.pin = &pin{key: k, until: anchored(timeOf(m.Until), now), by: m.By}
	}
}

// restoreTiers puts the cursors where they were, as far as their keys are there.
func (s *service) restoreTiers(were []TierMemory) {
	for i, t := range s.tiers {
		if i >= len(were) {
			return
		}
		for j := range t.members {
			mb := &t.members[j]
			if mb.key.Name == were[i].Next {
				t.next = j
			}
			if pass, ok := were[i].Passes[mb.key.Name]; ok {
				mb.pass = t.floor + pass
			}
		}
	}
}

// restore fills the ring with the newest events, as far as none is missing
// between them.
func (l *eventLog) restore(last uint64, events []Event) {
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	l.seq, l.saved = last, last
	first := len(events)
	for want := last; first > 0 && len(events)-first < maxEvents && events[first-1].Seq == want && want > 0; want-- {
		first--
	}
	l.ring = slices.Clone(events[first:])
	l.begin = last - uint64(len(l.ring))
}

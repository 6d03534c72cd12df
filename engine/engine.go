// Package engine decides which key serves the next request and learns from
// every answer what is true of the key. It does no I/O, starts no goroutine
// and knows no screen; a program drives it with [Engine.Acquire],
// [Lease.Judge] and [Lease.Close], and watches it with [Engine.Snapshot] and
// [Engine.Events].
//
// An Engine is safe for any number of goroutines. It reads the time with
// time.Now alone.
package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"keywheel/engine/quota"
)

// Engine holds the keys and services of one keywheel. Make it with [New].
type Engine struct {
	mu       sync.Mutex
	started  time.Time
	keys     []*key
	keyBy    map[string]*key
	creds    []*credential
	accounts map[string]*holder // by provider and name
	services []*service
	svcBy    map[string]*service
	// retired are the secrets that no key has any more, shelf the keys that a
	// reload has removed and of which an operator's word is kept.
	retired retired
	shelf   map[string]*key
	// lines are the services in whose line somebody waits, the next to be
	// served first.
	lines []*service
	// unserved is set where those who wait may be served otherwise than when they
	// were looked at last.
	unserved bool
	// habits are what is known of models, by name.
	habits map[string]*habits
	// incidents are by provider name.
	incidents map[string]*incident
	log       eventLog
	traffic   trafficLog
	undo      []Deed
	// actions is the number of the operator's last action; memory is what an
	// earlier engine knew, nil once it has been taken up.
	actions int64
	memory  *Memory
	used    func(Used)
	rng     *rand.Rand
	// lookedAt is when the machine's clock was last seen to have been set, or was
	// looked at first: what it says since is held against that.
	lookedAt time.Time
	// sweepAt is when holds that ended by time are next looked for, endAt when
	// something ends that a person or the config has given an end.
	sweepAt, endAt time.Time
	// recountAt is when the limits are next looked at all together.
	recountAt time.Time
	// proving is how many keys that have never served are being asked.
	proving int
	q       query // the one in use under mu
	// bindings are the upstream resources whose account is known.
	bindings bindings
	// patience and maxWaiting bound waiting in line; waiting is who waits now.
	patience            time.Duration
	maxWaiting, waiting int

	requests, clientErrors, failures, absorbed int64
	inFlight                                   int
	rate                                       quota.Meter
	latency                                    latencies
}

// key is a name in the config. What the operator does belongs to it; what is
// known of the secret belongs to its credential.
type key struct {
	*Key     // a reload puts another in its place
	cred     *credential
	disabled *hold
	draining bool
	places   []place
	// changed marks what [Engine.Changed] tells next.
	changed bool
}

// place is where a key stands in a service.
type place struct {
	tier *tier
	i    int
}

// stride is how far a request moves the key's pass.
func (k *key) stride() float64 { return 1 / float64(max(k.Weight, 1)) }

// credential is one secret at one provider. Two keys with one secret share it.
type credential struct {
	holder
	// id tells it from all others: its fingerprint, or which key misses it.
	id, fingerprint string
	// provider is the name of its provider, label a key's that has it or had it
	// last.
	provider, label string
	// retired is set once no key has it any more.
	retired  bool
	account  *holder // nil where the account is unknown
	names    []*key
	requests int64
	proven   bool   // it has served
	proving  bool   // it has not, and is being asked
	told     string // its account's id, as the provider tells
	// contradicted is set once it was said that this contradicts the config.
	contradicted bool
	verdicts     Verdicts
	lastFailure  time.Time
	lastOK       time.Time
	rate         quota.Meter
	series       series
	usage        Usage
	unpriced     int64
}

// service is one consumer of keys.
type service struct {
	Service
	tiers []*tier
	// removed is set once a reload has taken it out of the config.
	removed  bool
	strategy strategy
	stuck    stuck
	lends    []lend
	// moved is where an operator has moved it, trial a key that is being tried.
	moved *Moved
	trial *key
	books []*book
	// inUse is the key that served last, tier the tier it is of.
	inUse     *key
	tier      int
	pin       *pin
	usable    int
	downSince time.Time
	refused   int64
	// model and scope are what all its requests so far asked for; several is
	// set when they did not all ask for one.
	model, scope string
	several      bool
	// rotatedFor is the hold that the last rotation was for, so that a burst
	// of failures makes one rotation.
	rotatedFor *hold
	last       *Rotation
	// changed marks what [Engine.Changed] tells next.
	changed bool

	line
	inFlight           int
	requests, failures int64
	rotations          int64
	verdicts           Verdicts
	rate               quota.Meter
	series, failed     series
}

type pin struct {
	key   *key
	until time.Time
	by    string
}

// pinLets is when the key may serve that could at the given time, were it not for
// the pin; zero is not before a person acts. A pin to a key that is lent ends with
// the lend.
func (s *service) pinLets(p *pin, k *key, at time.Time) time.Time {
	if at.IsZero() || p == nil || p.key == k {
		return at
	}
	until := p.until
	if i := s.lendOf(p.key); i >= 0 {
		until = earliest(until, s.lends[i].until)
	}
	if until.IsZero() {
		return until
	}
	return latest(at, until)
}

// Option changes how [New] builds an engine.
type Option func(*Engine)

// WithSeed makes the engine's jitter repeatable.
func WithSeed(seed uint64) Option {
	return func(e *Engine) { e.rng = rand.New(rand.NewPCG(seed, seed)) }
}

// WithPatience lets requests for which no key is free wait in line, each for at
// most d, at most many at once.
func WithPatience(d time.Duration, many int) Option {
	return func(e *Engine) { e.patience, e.maxWaiting = d, many }
}

// New builds an engine. It refuses a config that names a key or a strategy
// that is not there; engine/config finds such things with their lines.
func New(cfg Config, options ...Option) (*Engine, error) {
	now := time.Now()
	e := &Engine{started: now, keyBy: map[string]*key{}, svcBy: map[string]*service{}, incidents: map[string]*incident{},
		accounts: map[string]*holder{}, shelf: map[string]*key{}, habits: map[string]*habits{},
		rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), rate: quota.NewMeter(10 * time.Second)}
	e.log.changed = make(chan struct{})
	for _, o := range options {
		o(e)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e.build(&cfg, cfg.fingerprints(), now)
	if e.memory != nil {
		e.restore(e.memory, now)
		e.memory = nil
		for _, k := range e.keys {
			e.ready(k, now)
		}
		for _, s := range e.services {
			s.begin(now)
		}
	}
	return e, nil
}

// prove notes that a key which never served is being asked, or is no more.
func (e *Engine) prove(c *credential, proving bool) {
	if c.proving == proving {
		return
	}
	c.proving = proving
	if proving {
		e.proving++
	} else {
		e.proving--
	}
}

// all calls f for each of the service's keys, the fallback's too.
func (s *service) all(f func(*member)) {
	for _, t := range s.tiers {
		for i := range t.members {
			f(&t.members[i])
		}
	}
}

// serves reports whether the key is one of the service's.
func (s *service) serves(k *key) bool {
	found := false
	s.all(func(m *member) { found = found || m.key == k })
	return found
}

// asked notes what a request asks for.
func (s *service) asked(model, scope string) {
	switch {
	case s.several:
	case s.requests == 0:
		s.model, s.scope = model, scope
	case s.model != model || s.scope != scope:
		s.model, s.scope, s.several = "", "", true
	}
}

// countUsable counts the keys that can serve. For a service that is only ever
// asked for one model, a key that is held for that model cannot.
func (s *service) countUsable(now time.Time) int {
	n := 0
	s.all(func(m *member) {
		if st, _ := m.key.state(now); st == Active && !m.key.draining && m.key.cred.partHold(s.model, s.scope, now) == nil {
			n++
		}
	})
	return n
}

// expired reports whether the key is past the date the config gives.
func (k *key) expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// holds lists what holds the whole key now, the worst first.
func (k *key) holds(now time.Time) []*hold {
	var hs []*hold
	add := func(h *hold) {
		if h != nil && !h.over(now) {
			hs = append(hs, h)
		}
	}
	if k.Missing != "" {
		add(&hold{state: Missing, why: k.Missing, by: "engine", since: time.Time{}})
	}
	add(k.disabled)
	if k.expired(now) {
		add(&hold{state: Expired, why: "expired on " + k.Expires.Format(time.DateOnly), since: k.Expires, by: "engine"})
	}
	add(k.cred.all.hold)
	if k.cred.account != nil {
		add(k.cred.account.all.hold)
	}
	slices.SortStableFunc(hs, func(a, b *hold) int { return int(a.state) - int(b.state) })
	return hs
}

// state is the key's state, named by its worst hold, nil if active.
func (k *key) state(now time.Time) (State, *hold) {
	if k.Missing == "" && k.disabled == nil && k.Expires.IsZero() && k.cred.all.hold == nil &&
		(k.cred.account == nil || k.cred.account.all.hold == nil) {
		return Active, nil
	}
	if hs := k.holds(now); len(hs) > 0 {
		return hs[0].state, hs[0]
	}
	return Active, nil
}

// ready works out from when on the key can serve and writes it to its places.
// It is called whenever a hold of the key or its account changes.
func (e *Engine) ready(k *key, now time.Time) {
	at := int64(0)
	if k.Missing != "" || k.draining || k.expired(now) {
		at = never
	}
	at = max(at, k.disabled.readyAt(), k.cred.all.hold.readyAt())
	if k.cred.account != nil {
		at = max(at, k.cred.account.all.hold.readyAt())
	}
	for _, p := range k.places {
		p.tier.members[p.i].readyAt = at
	}
}

// touched brings everything up to date after a hold of the holder changed: its
// keys, and the services that may have gone down or come back by it. Who waits
// is served by [Engine.serve].
func (e *Engine) touched(h *holder, now time.Time) {
	e.readyAll(h, now)
	e.checkHealth(now)
	e.unserved = true
}

// readyAll is ready for each key of the holder.
func (e *Engine) readyAll(h *holder, now time.Time) {
	h.changed = true
	for _, k := range e.keys {
		if &k.cred.holder == h || k.cred.account == h {
			e.ready(k, now)
		}
	}
}

// checkHealth notices services whose last usable key went, or came back.
func (e *Engine) checkHealth(now time.Time) {
	for _, s := range e.services {
		was := s.usable
		s.usable = s.countUsable(now)
		switch {
		case s.Planned || len(s.tiers) == 0:
		case s.usable == 0 && was > 0:
			s.downSince, s.refused, s.changed = now, 0, true
			e.emit(Event{At: now, Kind: EventDown, Service: s.Name, Text: "down: no key can serve"})
		case s.usable > 0 && was == 0:
			text := fmt.Sprintf("back: %d of %d keys usable", s.usable, s.size())
			if !s.downSince.IsZero() {
				text = fmt.Sprintf("back after %s: %d of %d keys usable", clock(now.Sub(s.downSince)), s.usable, s.size())
			}
			s.downSince, s.changed = time.Time{}, true
			e.emit(Event{At: now, Kind: EventUp, Service: s.Name, State: Active, Text: text})
		}
	}
}

func (s *service) size() int {
	n := 0
	s.all(func(*member) { n++ })
	return n
}

// ended clears a slot's hold if its time is over, and tells so. Pauses of a
// moment are pacing, not news.
func (e *Engine) ended(k *key, s *slot, part string, now time.Time) bool {
	h := s.hold
	if !h.over(now) {
		return false
	}
	s.gen++
	s.hold = nil
	k.cred.mark()
	if held := now.Sub(h.since); held >= 2*time.Second {
		text := fmt.Sprintf("recovered after %s", clock(held))
		if part != "" {
			text = part + " " + text
		}
		e.emit(Event{At: now, Kind: EventRecovered, Key: k.Name, State: Active, Text: text})
	}
	return true
}

// sweep clears what ended by time: holds, disablings, pins, lends. It looks at
// most four times a second, and at the moments that a person or the config has
// set, or where the clock was set; whoever must know of a hold now asks the hold itself.
func (e *Engine) sweep(now time.Time) {
	changed := e.look(now)
	if !changed && now.Before(e.sweepAt) {
		return
	}
	e.sweepAt = now.Add(250 * time.Millisecond)
	if !now.Before(e.recountAt) {
		e.recountAt = now.Add(recountTime)
		e.recount(now)
	}
	for _, k := range e.keys {
		if k.disabled.over(now) {
			k.disabled = nil
			k.changed = true
			changed = true
			e.emit(Event{At: now, Kind: EventRecovered, Key: k.Name, State: Active, Text: "enabled again: its time disabled is over"})
		}
		if k.expired(now) && len(k.places) > 0 && k.places[0].tier.members[k.places[0].i].readyAt != never {
			changed = true
			e.emit(Event{At: now, Kind: EventHold, Key: k.Name, State: Expired, Text: "expired: past the date in the config"})
		}
		for _, h := range k.cred.holders() {
			if h == nil {
				continue
			}
			changed = e.ended(k, &h.all, "", now) || changed
			for part, s := range h.parts {
				changed = e.ended(k, s, part, now) || changed
			}
		}
	}
	changed = e.endLends(now) || changed
	for _, s := range e.services {
		if s.pin != nil && !s.pin.until.IsZero() && !now.Before(s.pin.until) {
			e.emit(Event{At: now, Kind: EventOperator, Service: s.Name, Key: s.pin.key.Name, State: Active, By: "engine",
				Text: fmt.Sprintf("pin to %s is over", s.pin.key.Name)})
			s.pin = nil
			s.changed = true
			changed = true
		}
	}
	e.expectEnd(now)
	if changed {
		for _, k := range e.keys {
			e.ready(k, now)
		}
		e.dispatch(now)
	}
	e.checkHealth(now)
	e.quietIncidents(now)
}

// expectEnd finds out when next something ends that a person or the config has
// given an end; in an hour if nothing does before.
func (e *Engine) expectEnd(now time.Time) {
	at := now.Add(time.Hour)
	next := func(t time.Time) {
		if t.After(now) {
			at = earlier(at, t)
		}
	}
	for _, k := range e.keys {
		next(k.Expires)
		if k.disabled != nil {
			next(k.disabled.until)
		}
	}
	for _, s := range e.services {
		if s.pin != nil {
			next(s.pin.until)
		}
		for _, l := range s.lends {
			next(l.until)
		}
	}
	e.endAt, e.sweepAt = at, earlier(e.sweepAt, at)
}

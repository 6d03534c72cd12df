package engine

import (
	"fmt"
	"slices"
	"time"

	"keywheel/engine/quota"
)

// check says what is wrong with a config; engine/config finds such things with
// their lines.
func (cfg *Config) check() error {
	keys, services := map[string]bool{}, map[string]bool{}
	for _, k := range cfg.Keys {
		if keys[k.Name] {
			return fmt.Errorf("key %q is declared twice", k.Name)
		}
		keys[k.Name] = true
	}
	for _, s := range cfg.Services {
		if strategies[s.Strategy] == nil {
			return fmt.Errorf("service %q: unknown strategy %q, want one of %v", s.Name, s.Strategy, Strategies)
		}
		if services[s.Name] {
			return fmt.Errorf("service %q is declared twice", s.Name)
		}
		services[s.Name] = true
		for _, name := range slices.Concat(s.Keys, s.Fallback) {
			if !keys[name] {
				return fmt.Errorf("service %q: there is no key %q", s.Name, name)
			}
		}
	}
	return nil
}

// fingerprints are those of the keys' secrets, in their order: they are made
// before the engine is locked.
func (cfg *Config) fingerprints() []string {
	list := make([]string, len(cfg.Keys))
	for i, k := range cfg.Keys {
		list[i] = k.Secret.Fingerprint(k.Provider, host(k.BaseURL))
	}
	return list
}

// build makes of the engine what a checked config says. What is there already
// goes on with what is known of it: keys, services and accounts by their names,
// secrets by their fingerprints.
func (e *Engine) build(cfg *Config, fingerprints []string, now time.Time) {
	e.buildKeys(cfg, fingerprints, now)
	e.buildServices(cfg, now)
	for _, c := range e.creds {
		e.counted(c, now)
	}
	for _, k := range e.keys {
		e.ready(k, now)
	}
}

// buildKeys makes the keys, their secrets and their accounts.
func (e *Engine) buildKeys(cfg *Config, fingerprints []string, now time.Time) {
	old, oldAccounts, oldCreds := e.keyBy, e.accounts, e.creds
	known := e.retired.byID()
	for _, c := range oldCreds {
		known[c.id] = c
		c.names, c.account = nil, nil
	}
	e.keys, e.keyBy, e.accounts, e.creds = nil, map[string]*key{}, map[string]*holder{}, nil
	accountLimits, credLimits := map[*holder][]quota.Limit{}, map[*credential][]quota.Limit{}
	for _, a := range cfg.Accounts {
		h := e.account(oldAccounts, a.Provider, a.Name)
		accountLimits[h] = append(accountLimits[h], a.Limits...)
	}
	for i, kc := range cfg.Keys {
		k := firstKey(old[kc.Name], e.shelf[kc.Name])
		delete(e.shelf, kc.Name)
		id := fingerprints[i]
		if id == "" {
			id = "missing " + kc.Name
		}
		c := known[id]
		if c == nil {
			c = &credential{holder: newHolder(), id: id, fingerprint: fingerprints[i], rate: quota.NewMeter(time.Minute)}
			known[id] = c
		}
		if len(c.names) == 0 {
			e.retired.back(c)
			c.provider, c.label = kc.Provider, kc.Name
			e.creds = append(e.creds, c)
		}
		if kc.Account != "" && c.account == nil {
			c.account = e.account(oldAccounts, kc.Provider, kc.Account)
			c.account.keys++
		}
		c.names = append(c.names, k)
		credLimits[c] = append(credLimits[c], kc.Limits...)
		k.Key, k.cred, k.places = &kc, c, nil
		e.keys = append(e.keys, k)
		e.keyBy[k.Name] = k
	}
	for _, c := range e.creds {
		if c.account == nil && c.told != "" { // as the provider said
			c.account = e.account(oldAccounts, c.provider, c.told)
			c.account.keys++
		}
	}
	for _, h := range e.accounts {
		h.books = reopenBooks(h.books, accountLimits[h], h.inFlight, now)
	}
	for _, c := range e.creds {
		c.books = reopenBooks(c.books, credLimits[c], c.inFlight, now)
	}
	for name, k := range old {
		if e.keyBy[name] == nil && (k.disabled != nil || k.draining) {
			e.shelf[name] = k
		}
	}
	for _, c := range oldCreds {
		if len(c.names) == 0 {
			e.prove(c, false)
			e.retired.add(c)
		}
	}
}

// firstKey is the first that there is, or a new one.
func firstKey(keys ...*key) *key {
	for _, k := range keys {
		if k != nil {
			return k
		}
	}
	return &key{}
}

// account finds an account, of old if it was there, and makes it if need be.
func (e *Engine) account(old map[string]*holder, provider, name string) *holder {
	id := provider + "/" + name
	h := e.accounts[id]
	if h == nil {
		if h = old[id]; h == nil {
			fresh := newHolder()
			fresh.name = name
			h = &fresh
		}
		h.keys = 0
		e.accounts[id] = h
	}
	return h
}

// buildServices makes the services and puts their keys in order. Those that are
// gone let nobody wait any longer.
func (e *Engine) buildServices(cfg *Config, now time.Time) {
	old := e.svcBy
	e.services, e.svcBy = nil, map[string]*service{}
	for _, sc := range cfg.Services {
		s := old[sc.Name]
		if s == nil {
			s = &service{rate: quota.NewMeter(30 * time.Second)}
			s.served = quota.NewMeter(10 * time.Second)
		}
		s.Service, s.strategy = sc, strategies[sc.Strategy]
		s.books = reopenBooks(s.books, sc.Limits, 0, now)
		e.services = append(e.services, s)
		e.svcBy[s.Name] = s
	}
	for _, s := range e.services {
		e.keepLends(s, now)
		e.keepMove(s, now)
		e.arrange(s)
		if old[s.Name] != nil {
			continue
		}
		for _, k := range s.keys() {
			e.ready(k, now)
		}
		s.begin(now)
	}
	for name, s := range old {
		if e.svcBy[name] != nil {
			continue
		}
		s.removed, s.tiers = true, nil
		e.lines = slices.DeleteFunc(e.lines, func(l *service) bool { return l == s })
		for _, w := range s.queue {
			w.nudge()
		}
	}
}

// begin says how a service stands before anything has happened.
func (s *service) begin(now time.Time) {
	s.usable = s.countUsable(now)
	switch {
	case s.usable > 0:
		s.downSince = time.Time{}
	case s.downSince.IsZero():
		s.downSince = now
	}
}

// arrange puts a service's keys into its tiers, one that is tried before its own,
// those lent to it behind them.
// The turn goes on where it was, by the keys' names.
func (e *Engine) arrange(s *service) {
	old := s.tiers
	for _, t := range old {
		for i := range t.members {
			k := t.members[i].key
			k.places = slices.DeleteFunc(k.places, func(p place) bool { return p.tier == t })
		}
	}
	var lists [3][]*key
	in := map[*key]bool{}
	add := func(tier int, k *key) {
		if k != nil && !in[k] {
			in[k] = true
			lists[tier] = append(lists[tier], k)
		}
	}
	add(0, s.trial)
	for _, name := range s.own() {
		add(1, e.keyBy[name])
	}
	for _, l := range s.lends {
		add(1, l.key)
	}
	for _, name := range s.Fallback {
		add(2, e.keyBy[name])
	}
	s.tiers = nil
	for _, keys := range lists {
		if len(keys) == 0 {
			continue
		}
		t := newTier(s, keys)
		if i := len(s.tiers); i < len(old) {
			t.resume(old[i])
		}
		s.tiers = append(s.tiers, t)
	}
	s.tier = min(s.tier, max(len(s.tiers)-1, 0))
	if s.inUse != nil && !s.serves(s.inUse) {
		s.inUse = nil
	}
}

// resume takes the turn over from the tier that this one follows.
func (t *tier) resume(old *tier) {
	at := map[*key]int{}
	for i := range t.members {
		at[t.members[i].key] = i
	}
	t.floor = old.floor
	for i := range old.members {
		if j, ok := at[old.members[i].key]; ok {
			t.members[j].pass = old.members[i].pass
		}
	}
	for off := range old.members {
		if j, ok := at[old.members[(old.next+off)%len(old.members)].key]; ok {
			t.next = j
			return
		}
	}
}

// keys lists the service's keys, the fallback's too.
func (s *service) keys() (list []*key) {
	s.all(func(m *member) { list = append(list, m.key) })
	return list
}

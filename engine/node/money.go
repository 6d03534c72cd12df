package node

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// How often a provider is asked what money is left.
const (
	firstAsk  = 2 * time.Second  // after the start, and up to as much again
	busyAsk   = 5 * time.Minute  // while requests are made, or none can be for lack of money
	idleAsk   = 30 * time.Minute // else
	afterGone = 30 * time.Second // after an answer that says there is none
	seldomAsk = time.Minute      // at most
	askTime   = 15 * time.Second // for the answer
	askAtOnce = 4                // providers
)

// money asks providers now and then what money is left, and tells the engine.
// One usable key asks for all of its account.
type money struct {
	ask      func(ctx context.Context, key string) (provider.Funds, bool)
	snapshot func() engine.Snapshot
	funded   func(key string, f engine.Funds)
	changed  chan struct{} // a purse is to be looked at earlier

	mu     sync.Mutex
	purses []*purse
	byKey  map[string]*purse
	// byOwner are the same, by who owns them.
	byOwner map[owner]*purse
}

type owner struct{ provider, base, name string }

// purse is what one question tells of: an account, or a key.
type purse struct {
	keys []string
	// next is when it is looked at, last when it was asked.
	next, last time.Time
	// hurry is set where it is asked at next whether or not it is in use.
	hurry bool
	// requests is how many its keys had made by last.
	requests int64
}

// newMoney knows the purses of all keys whose providers tell.
func newMoney(keys []engine.Key, ask func(context.Context, string) (provider.Funds, bool), snapshot func() engine.Snapshot, funded func(string, engine.Funds)) *money {
	m := &money{ask: ask, snapshot: snapshot, funded: funded, changed: make(chan struct{}, 1)}
	m.own(keys)
	return m
}

// own goes over to the purses of other keys. Those it knows already keep when
// they were asked.
func (m *money) own(keys []engine.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.byOwner
	m.purses, m.byKey, m.byOwner = nil, map[string]*purse{}, map[owner]*purse{}
	of := m.byOwner
	now := time.Now()
	for _, k := range keys {
		p, ok := provider.Lookup(k.Kind)
		if !ok || p.Balance == nil || k.Missing != "" {
			continue
		}
		o := owner{k.Provider, k.BaseURL, "account " + k.Account}
		if k.Account == "" || p.Balance.OfKey {
			o.name = "key " + k.Secret.Fingerprint(k.Provider, k.BaseURL)
		}
		if of[o] == nil {
			if of[o] = known[o]; of[o] == nil {
				of[o] = &purse{next: now.Add(firstAsk + rand.N(firstAsk))}
			}
			of[o].keys = nil
			m.purses = append(m.purses, of[o])
		}
		of[o].keys = append(of[o].keys, k.Name)
		m.byKey[k.Name] = of[o]
	}
	m.poke()
}

func (m *money) poke() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// run asks until ctx ends.
func (m *money) run(ctx context.Context) {
	timer := time.NewTimer(firstAsk)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.changed:
		case <-timer.C:
			m.askDue(ctx)
		}
		timer.Reset(max(time.Until(m.earliest()), 0))
	}
}

func (m *money) earliest() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := time.Now().Add(idleAsk)
	for _, p := range m.purses {
		if p.next.Before(first) {
			first = p.next
		}
	}
	return first
}

// gone says that an answer to a key told of no money: it is soon seen whether
// that is so, and when there is some again.
func (m *money) gone(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.byKey[key]
	if p == nil {
		return
	}
	soon := later(time.Now().Add(afterGone), p.last.Add(seldomAsk))
	if !p.hurry || soon.Before(p.next) {
		p.hurry, p.next = true, soon
	}
	m.poke()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// askDue asks of every purse that is due, a few at once.
func (m *money) askDue(ctx context.Context) {
	now := time.Now()
	var names []string
	m.mu.Lock()
	var keys map[string]engine.KeyStatus
	for _, p := range m.purses {
		if now.Before(p.next) {
			continue
		}
		if keys == nil {
			keys = map[string]engine.KeyStatus{}
			for _, k := range m.snapshot().Keys {
				keys[k.Name] = k
			}
		}
		if name := p.due(keys, now); name != "" {
			names = append(names, name)
		}
	}
	m.mu.Unlock()
	turn := make(chan struct{}, askAtOnce)
	var asked sync.WaitGroup
	for _, name := range names {
		turn <- struct{}{}
		asked.Go(func() {
			m.askOne(ctx, name)
			<-turn
		})
	}
	asked.Wait()
}

// due is the key that asks now, "" if none should or can, and sets when it is
// looked at next.
func (p *purse) due(keys map[string]engine.KeyStatus, now time.Time) string {
	name, requests, wanted := "", int64(0), p.hurry || p.last.IsZero() || now.Sub(p.last) >= idleAsk
	best := engine.Revoked // it, and worse, cannot ask
	for _, key := range p.keys {
		k := keys[key]
		requests += k.Requests
		wanted = wanted || k.State == engine.Exhausted
		if k.State > best {
			name, best = key, k.State
		}
	}
	p.next = now.Add(busyAsk)
	if wanted = wanted || requests > p.requests; !wanted || name == "" {
		return ""
	}
	p.last, p.hurry, p.requests = now, false, requests
	return name
}

// askOne asks with one key and hands the answer on. No answer is none.
func (m *money) askOne(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	at := time.Now()
	if f, ok := m.ask(ctx, key); ok {
		m.funded(key, fundsOf(f, at))
	}
}

// fundsOf is what the engine is told. What is in another currency than dollars
// bounds nothing in dollars: it only suffices or not.
func fundsOf(f provider.Funds, at time.Time) engine.Funds {
	g := engine.Funds{LeftUSD: math.Inf(1), Amount: f.Left, Currency: f.Currency, KeyOnly: f.OfKey, Unusable: f.Unusable, At: at}
	switch {
	case f.Unlimited:
		g.Amount = math.Inf(1)
	case f.Currency == "USD":
		g.LeftUSD = f.Left
	}
	return g
}

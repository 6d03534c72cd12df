package tui

import (
	"math"
	"time"

	"keywheel/engine"
)

// pool is one limit over all the keys that share a service's load: what the
// service as a whole has left, and how long that lasts.
type pool struct {
	unit, per, model, source string
	keys                     int
	amount, remaining, burn  float64
	// resets is when the first of the keys gets its quota back; zero is unknown.
	resets time.Time
	// open is true when a usable key has no such limit: the pool cannot run out.
	open bool
	// runway is how long what remains lasts at this burn, known only with one.
	runway time.Duration
	known  bool
	// threatened is true when the engine expects one of the keys to run out
	// before it resets: it knows how a rolling window refills.
	threatened bool
	// short is true when the pool runs out before it resets.
	short bool
}

func (p *pool) fraction() float64 {
	if p.amount <= 0 {
		return 0
	}
	return min(max(p.remaining/p.amount, 0), 1)
}

func (p *pool) low() bool { return p.fraction() <= 0.2 }

// lasting reports whether a window is long enough for a person to care that it
// runs out; a limit per minute is pacing.
func lasting(per string) bool {
	switch per {
	case "", "1m", "1s", "10s", "30s":
		return false
	}
	if d, err := time.ParseDuration(per); err == nil {
		return d >= time.Hour
	}
	return true
}

// seconds is the runway as a number; what lasts past its reset, or for all that
// is known, lasts for ever.
func (p *pool) seconds() float64 {
	if !p.known || !p.short && !p.resets.IsZero() && p.remaining > 0 {
		return math.Inf(1)
	}
	return p.runway.Seconds()
}

func (p *pool) settle(now time.Time) {
	if p.burn > 0 && !p.open {
		minutes := min(p.remaining/p.burn, 60*24*3650)
		p.runway, p.known = time.Duration(minutes*float64(time.Minute)), true
	} else if p.remaining <= 0 && !p.open {
		p.known = true
	}
	p.short = p.known && !p.resets.IsZero() && now.Add(p.runway).Before(p.resets) && (p.threatened || p.remaining <= 0)
}

// tighter reports whether p should be shown rather than q.
func (p *pool) tighter(q *pool) bool {
	if a, b := lasting(p.per), lasting(q.per); a != b {
		return a
	}
	if (p.model == "") != (q.model == "") {
		return p.model == ""
	}
	if p.open != q.open {
		return q.open
	}
	if p.short != q.short {
		return p.short
	}
	if p.short && p.runway != q.runway {
		return p.runway < q.runway
	}
	return p.fraction() < q.fraction()
}

// countable reports whether a key's quota is part of the pool.
func countable(s engine.State) bool {
	switch s {
	case engine.Missing, engine.Disabled, engine.Expired, engine.Revoked:
		return false
	}
	return true
}

// poolOf finds the tightest limit of some keys together, nil if none has one.
// own are limits of the service itself. The keys in without are left out, and
// what they burn falls on the others.
func poolOf(keys []*engine.KeyStatus, own []engine.LimitStatus, without map[string]bool, now time.Time) *pool {
	var pools []*pool
	find := func(l *engine.LimitStatus) *pool {
		for _, p := range pools {
			if p.unit == l.Unit && p.per == l.Per && p.model == l.Model {
				return p
			}
		}
		p := &pool{unit: l.Unit, per: l.Per, model: l.Model, source: l.Source}
		pools = append(pools, p)
		return p
	}
	usable := 0
	seen := map[string]bool{}
	for _, k := range keys {
		if len(k.Limits) == 0 && !k.Usable() {
			continue
		}
		if k.Usable() && !without[k.Name] {
			usable++
		}
		if !countable(k.State) {
			continue
		}
		for i := range k.Limits {
			l := &k.Limits[i]
			if l.Unit == "concurrent" {
				continue
			}
			p := find(l)
			if shared := shareOf(k, l); shared != "" {
				id := shared + "\x00" + l.Unit + "\x00" + l.Per + "\x00" + l.Model
				if seen[id] {
					p.keys++
					continue
				}
				seen[id] = true
			}
			p.burn += l.BurnPerMin
			p.threatened = p.threatened || l.RunsOutAt != nil || len(without) > 0
			if without[k.Name] {
				continue
			}
			p.keys++
			p.amount += l.Amount
			p.remaining += max(l.Remaining, 0)
			if l.ResetsAt != nil && (p.resets.IsZero() || l.ResetsAt.Before(p.resets)) {
				p.resets = *l.ResetsAt
			}
		}
	}
	var best *pool
	for _, p := range pools {
		if p.keys == 0 {
			continue
		}
		limited := 0
		for _, k := range keys {
			if k.Usable() && !without[k.Name] && hasLimit(k, p) {
				limited++
			}
		}
		if limited == 0 && usable > 0 {
			continue // who has it is out of it, or down, and the others serve
		}
		p.open = limited < usable
		p.settle(now)
		if best == nil || p.tighter(best) {
			best = p
		}
	}
	for i := range own {
		l := &own[i]
		if l.Unit == "concurrent" {
			continue
		}
		p := ofLimitStatus(l, len(keys), now)
		if best == nil || p.tighter(best) {
			best = &p
		}
	}
	return best
}

// shareOf names what several keys' limits have in common, "" for a limit of
// the key alone. Two names of one secret share everything.
func shareOf(k *engine.KeyStatus, l *engine.LimitStatus) string {
	if l.Scope == "account" && k.Account != "" {
		return "account " + k.Provider + " " + k.Account
	}
	if k.Fingerprint != "" {
		return "secret " + k.Provider + " " + k.Fingerprint
	}
	return ""
}

func hasLimit(k *engine.KeyStatus, p *pool) bool {
	for i := range k.Limits {
		l := &k.Limits[i]
		if l.Unit == p.unit && l.Per == p.per && l.Model == p.model {
			return true
		}
	}
	return false
}

// ofKey is a key's own tightest limit, nil if it has none.
func ofKey(k *engine.KeyStatus, now time.Time) *pool {
	var best pool
	found := false
	for i := range k.Limits {
		if k.Limits[i].Unit == "concurrent" {
			continue
		}
		if p := ofLimitStatus(&k.Limits[i], 1, now); !found || p.tighter(&best) {
			best, found = p, true
		}
	}
	if !found {
		return nil
	}
	return &best
}

// ofLimitStatus is a limit as a pool of its own.
func ofLimitStatus(l *engine.LimitStatus, keys int, now time.Time) pool {
	p := pool{unit: l.Unit, per: l.Per, model: l.Model, source: l.Source, keys: keys, amount: l.Amount,
		remaining: max(l.Remaining, 0), burn: l.BurnPerMin, threatened: l.RunsOutAt != nil}
	if l.ResetsAt != nil {
		p.resets = *l.ResetsAt
	}
	p.settle(now)
	return p
}

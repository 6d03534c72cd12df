package checkup

import (
	"cmp"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// The ways in which services share the keys of a provider. Small projects do with
// one key for all, in production each service has its own, large ones have a main
// key and dedicated ones.
const (
	Single   = "single"   // there is one service: nothing to share
	Shared   = "shared"   // strategy 1: the same keys for all
	Separate = "separate" // strategy 2: each service has its own
	Hybrid   = "hybrid"   // strategy 3: a main key, and dedicated ones with scopes
	Mixed    = "mixed"    // some share, some do not
)

// ways are the strategies in words.
var ways = map[string]string{
	Single:   "one service, with keys of its own",
	Shared:   "one key for all (strategy 1)",
	Separate: "a key per service (strategy 2)",
	Hybrid:   "a main key and dedicated ones (strategy 3)",
	Mixed:    "some services share keys, others have their own (between strategies 1 and 2)",
}

// large is how many services make a project large: the dedicated keys then want
// a permission each.
const large = 4

// Strategy is how the services share the keys of one provider, and what would
// suit so many.
type Strategy struct {
	Provider string `json:"provider"`
	// Services counts planned ones too, Keys those that can serve, each secret
	// once.
	Services int `json:"services"`
	Keys     int `json:"keys"`
	// InForce and Suits are "single", "shared", "separate", "hybrid" or "mixed".
	InForce string `json:"in_force"`
	Suits   string `json:"suits"`
	// Proposal is who would have which key, where another would suit; else empty.
	Proposal []Place `json:"proposal"`
}

// Place is a key in the place that it would have. Service is "" for one that a
// further service could have.
type Place struct {
	Service string `json:"service"`
	Key     string `json:"key"`
	Purpose string `json:"purpose"`
}

// Fits reports whether what is in force does for so many. Finer than needed is
// well.
func (s Strategy) Fits() bool {
	return s.InForce == s.Suits || s.InForce == Single || s.InForce == Hybrid || s.InForce == Separate && s.Suits == Shared
}

// group is the services that use the keys of one provider.
type group struct {
	provider string
	services []*engine.Service
}

// groups are by provider, in the order of the config. A planned service without a
// key goes with the most.
func (l *look) groups() []*group {
	var list []*group
	var homeless []*engine.Service
	for i := range l.cfg.Engine.Services {
		s := &l.cfg.Engine.Services[i]
		keys := l.all(s)
		if len(keys) == 0 {
			homeless = append(homeless, s)
			continue
		}
		at := slices.IndexFunc(list, func(g *group) bool { return g.provider == keys[0].Provider })
		if at < 0 {
			at, list = len(list), append(list, &group{provider: keys[0].Provider})
		}
		list[at].services = append(list[at].services, s)
	}
	if len(list) > 0 {
		most := slices.MaxFunc(list, func(a, b *group) int { return cmp.Compare(len(a.services), len(b.services)) })
		most.services = append(most.services, homeless...)
	}
	return list
}

func (l *look) strategies() []Strategy {
	list := []Strategy{}
	for _, g := range l.groups() {
		if !slices.ContainsFunc(g.services, func(s *engine.Service) bool { return len(s.Models) == 0 }) {
			continue // the models of one program, which may as well share
		}
		usable := l.usableKeys(g.provider)
		s := Strategy{Provider: g.provider, Services: len(g.services), Keys: len(usable), InForce: l.inForce(g), Proposal: []Place{}}
		s.Suits = suits(s.Services, s.Keys)
		if !s.Fits() && s.InForce != Separate && s.Keys > 1 {
			s.Proposal = propose(g.services, usable)
		}
		list = append(list, s)
	}
	return list
}

// usableKeys are the keys of a provider that can serve, each secret once.
func (l *look) usableKeys(provider string) []*engine.Key {
	var list []*engine.Key
	for i := range l.cfg.Engine.Keys {
		if k := &l.cfg.Engine.Keys[i]; k.Provider == provider && l.usable(k) {
			list = append(list, k)
		}
	}
	return distinct(list)
}

// suits is the strategy for so many services and usable keys.
func suits(services, keys int) string {
	switch {
	case services < 2:
		return Single
	case keys < services:
		return Shared
	case services < large:
		return Separate
	default:
		return Hybrid
	}
}

// inForce is the strategy that the keys of the first tier follow, as far as
// services are served.
func (l *look) inForce(g *group) string {
	if len(g.services) < 2 {
		return Single
	}
	users := map[secret.Secret]int{}
	all := 0 // of how many services each key counts
	same, apart, main, dedicated := true, true, false, false
	for _, s := range g.services {
		keys := distinct(l.named(s.Keys))
		if s.Planned || len(keys) == 0 {
			continue
		}
		all++
		for _, k := range keys {
			users[k.Secret]++
			main = main || len(k.Scopes) != 1
			dedicated = dedicated || len(k.Scopes) == 1
		}
	}
	for _, n := range users {
		same, apart = same && n == all, apart && n == 1
	}
	switch {
	case all < 2:
		return Single // the others are still to come
	case same:
		return Shared
	case main && dedicated:
		return Hybrid
	case apart:
		return Separate
	default:
		return Mixed
	}
}

// propose gives each service a key of its own: the service that does the most has
// first choice, and what it has alone already it keeps.
func propose(services []*engine.Service, keys []*engine.Key) []Place {
	breadth := func(s *engine.Service) int {
		if len(s.Needs) == 0 {
			return 1 << 10 // all there is
		}
		return len(s.Needs)
	}
	order := slices.SortedStableFunc(slices.Values(services), func(a, b *engine.Service) int {
		switch {
		case a.Planned != b.Planned && a.Planned:
			return 1
		case a.Planned != b.Planned:
			return -1
		default:
			return cmp.Compare(breadth(b), breadth(a))
		}
	})
	free := slices.Clone(keys)
	var list []Place
	for _, s := range order {
		best := -1
		for i, k := range free {
			if covers(k, s) && (best < 0 || better(k, free[best], s)) {
				best = i
			}
		}
		p := Place{Service: s.Name, Purpose: purpose(s)}
		switch {
		case best >= 0:
			p.Key = free[best].Name
			free = slices.Delete(free, best, best+1)
		case len(list) > 0:
			p.Key = list[0].Key // there is none left: the main key's
		default:
			p.Key = keys[0].Name
		}
		list = append(list, p)
	}
	for _, k := range free {
		list = append(list, Place{Key: k.Name, Purpose: strings.Join(k.Scopes, ", ")})
	}
	return list
}

// better reports whether a service would rather have one key than another: the
// one it uses, then the one that may do the least beside.
func better(a, b *engine.Key, s *engine.Service) bool {
	if hasA, hasB := slices.Contains(s.Keys, a.Name), slices.Contains(s.Keys, b.Name); hasA != hasB {
		return hasA
	}
	width := func(k *engine.Key) int {
		if len(k.Scopes) == 0 {
			return 1 << 10
		}
		return len(k.Scopes)
	}
	return len(s.Needs) > 0 && width(a) < width(b)
}

// purpose is what a service's key would be for.
func purpose(s *engine.Service) string {
	if s.Purpose != "" {
		return s.Purpose
	}
	switch len(s.Needs) {
	case 0:
		return "all models"
	case 1:
		return s.Needs[0] + " only"
	default:
		return strings.Join(s.Needs, ", ")
	}
}

package tui

import (
	"sort"
	"time"

	"keywheel/engine"
)

// rank is how much a service needs a person, the most first.
type rank uint8

const (
	rankDown     rank = iota // no usable key
	rankIncident             // its provider fails on many keys
	rankLastKey              // one usable key left of several
	rankShort                // runs out before it resets
	rankBroken               // a key that only a person can mend
	rankHeld                 // keys cooling, exhausted or failing, which passes
	rankFine
	rankPlanned
)

// rankWords say each rank in the places where a person is told.
var rankWords = [...]string{"down", "incident", "one key left", "runs out", "key broken", "cooling", "ok", "planned"}

func (r rank) String() string { return rankWords[r] }

// needsYou reports whether a person should look; the rest passes by itself.
func (r rank) needsYou() bool { return r < rankHeld }

func rankOf(s *service) rank {
	n := len(s.keys)
	broken := s.states[engine.Missing] + s.states[engine.Expired] + s.states[engine.Revoked]
	held := s.states[engine.Cooling] + s.states[engine.Failing] + s.states[engine.Exhausted]
	switch {
	case s.Planned:
		return rankPlanned
	case s.Health == engine.HealthDown || s.Usable == 0:
		return rankDown
	case s.incident != nil:
		return rankIncident
	case s.Usable == 1 && n > 1:
		return rankLastKey
	case s.pool != nil && s.pool.short && lasting(s.pool.per):
		return rankShort
	case broken > 0:
		return rankBroken
	case held > 0 || s.Health == engine.HealthDegraded:
		return rankHeld
	default:
		return rankFine
	}
}

// calm is how long a service keeps its place after it got better, so that
// rows do not dance while a key cools every few seconds.
const calm = 5 * time.Second

// heldRank is a rank and until when it stays although things got better.
type heldRank struct {
	rank  rank
	until time.Time
}

// sorter keeps the order of the services from one snapshot to the next.
type sorter struct{ held map[string]heldRank }

// order lists the services' names, those that need a person first, then by
// name. A service that gets worse moves at once; one that gets better moves
// when it has been better for a while.
func (o *sorter) order(sc *scene, now time.Time) []string {
	next := make(map[string]heldRank, len(sc.services))
	names := make([]string, 0, len(sc.services))
	for i := range sc.services {
		s := &sc.services[i]
		h := heldRank{s.rank, now.Add(calm)}
		if was, ok := o.held[s.Name]; ok && was.rank < s.rank && now.Before(was.until) {
			h = was
		}
		next[s.Name] = h
		names = append(names, s.Name)
	}
	o.held = next
	sort.Slice(names, func(i, j int) bool {
		a, b := next[names[i]].rank, next[names[j]].rank
		if a != b {
			return a < b
		}
		return names[i] < names[j]
	})
	return names
}

package engine

import (
	"slices"
	"time"
)

// A strategy chooses, among the members of a tier that can serve a request,
// the one that does: its index, or -1 when none can.
type strategy interface {
	pick(t *tier, q *query) int
}

// member is a key's place in a tier. What decides most requests stands in it,
// so that a tier of a thousand keys is read in one sweep of memory.
type member struct {
	// pass is the member's virtual time under round-robin: it grows by
	// 1/weight with each request, and the lowest is next.
	pass float64
	// readyAt is when the key's holds let it serve, Unix nanoseconds.
	readyAt int64
	// roomAt is the same of the key's own limits.
	roomAt int64
	key    *key
}

// tier is a service's keys, or its fallback keys, in the order of the config.
type tier struct {
	service *service
	members []member
	// next is where round-robin looks first; under failover it is the key in use.
	next int
	// floor is the virtual time that has been reached: a member that was away
	// goes on from here.
	floor float64
}

func newTier(s *service, keys []*key) *tier {
	t := &tier{service: s, members: make([]member, len(keys))}
	even := !slices.ContainsFunc(keys, func(k *key) bool { return k.stride() != keys[0].stride() })
	for i, k := range keys {
		// Keys of one weight start level and go in order. Else they start
		// apart, so that two light keys do not fall on one moment.
		share := 0.5
		if !even {
			share = (float64(i) + 0.5) / float64(len(keys))
		}
		t.members[i] = member{key: k, pass: k.stride() * share}
		k.places = append(k.places, place{t, i})
	}
	return t
}

// roundRobin serves the keys in turn, each as often as its weight says, spread
// as evenly as can be. A key that was away does not catch up. Where the one
// whose turn it is comes near a limit, the one of the next that has the most
// room goes instead: else the small keys of a pool run dry while the large ones
// lie idle, and what those then cannot take at once waits.
type roundRobin struct{}

const (
	// ample is the share of its tightest limit with which a key takes its turn
	// whatever the others have.
	ample = 0.8
	// nextFew is how many keys are asked where it has less.
	nextFew = 16
)

func (roundRobin) pick(t *tier, q *query) int {
	best, n := -1, len(t.members)
	for off := range n {
		i := t.next + off
		if i >= n {
			i -= n
		}
		m := &t.members[i]
		pass := max(m.pass, t.floor)
		if best >= 0 && pass >= t.members[best].pass || !q.can(m) {
			continue
		}
		m.pass, best = pass, i
		if pass <= t.floor {
			break
		}
	}
	if best < 0 {
		return -1
	}
	if t.members[best].key.cred.headroom(q, time.Hour) < ample {
		best = t.roomiest(q, time.Hour, best, min(n, nextFew))
	}
	m := &t.members[best]
	m.pass = max(m.pass, t.floor)
	t.floor = m.pass
	m.pass += m.key.stride()
	t.next = best + 1
	if t.next == n {
		t.next = 0
	}
	return best
}

// roomiest is the member with the most [credential.headroom], of as many from
// the first on; of equals the first. -1 when none can serve.
func (t *tier) roomiest(q *query, within time.Duration, first, n int) int {
	best, most := -1, -1.0
	for off := range n {
		i := (first + off) % len(t.members)
		if m := &t.members[i]; q.can(m) {
			if r := m.key.cred.headroom(q, within); r > most {
				best, most = i, r
			}
		}
	}
	return best
}

// failover stays on one key until it cannot serve, then goes on to the next in
// the order of the config. A request that this key alone cannot serve (its
// model is held) goes elsewhere without moving the rest.
type failover struct{}

func (failover) pick(t *tier, q *query) int {
	n := len(t.members)
	for off := range n {
		i := (t.next + off) % n
		if !q.can(&t.members[i]) {
			continue
		}
		if off > 0 && t.members[t.next].readyAt > q.nano {
			t.next = i
		}
		return i
	}
	return -1
}

// headroom serves with the key that has the most room left under its tightest
// limit; keys with equal room take turns.
type headroom struct{}

func (headroom) pick(t *tier, q *query) int {
	best := t.roomiest(q, anyTime, t.next, len(t.members))
	if best >= 0 {
		t.next = (best + 1) % len(t.members)
	}
	return best
}

// anyTime is for limits of every window, and of money.
const anyTime time.Duration = 0

// headroom is the share of the credential's tightest limit that is left, its
// account's counted in, of those whose window is no longer than within; 1
// without limits. A learned one says little of that: it is a rate, and how much
// may go at once is not known.
func (c *credential) headroom(q *query, within time.Duration) float64 {
	least := 1.0
	for _, h := range c.holders() {
		if h == nil {
			continue
		}
		for _, b := range h.books {
			if b.learner == nil && b.concerns(q.r) && (within == anyTime || b.PerSecond() > 0 && b.Window <= within) {
				least = min(least, b.Room(q.now))
			}
		}
	}
	return least
}

var strategies = map[string]strategy{"": roundRobin{}, RoundRobin: roundRobin{}, Failover: failover{}, Headroom: headroom{}, Affinity: affinity{}}

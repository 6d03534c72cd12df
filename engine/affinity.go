package engine

import "time"

// affinity keeps a conversation on one key while it can serve, so that prompt
// caches hit. A conversation that had to move stays where it moved; a new one
// gets the key whose turn it is.
type affinity struct{}

func (affinity) pick(t *tier, q *query) int {
	s, conversation := q.r.svc, q.r.Conversation
	if k := s.stuck.key(conversation, q.now); k != nil {
		for i := range t.members {
			if m := &t.members[i]; m.key == k && q.can(m) {
				return i
			}
		}
	}
	i := roundRobin{}.pick(t, q)
	if i >= 0 && conversation != "" {
		s.stuck.put(conversation, t.members[i].key, q.now)
	}
	return i
}

const (
	// stuckFor is how long a silent conversation keeps its key: longer than any
	// provider keeps a prompt in its cache.
	stuckFor = time.Hour
	maxStuck = 20_000
)

// stuck remembers which key each conversation is on.
type stuck struct {
	on map[string]stuckOn
}

type stuckOn struct {
	key *key
	at  time.Time
}

// key is the conversation's, nil if it has none. Asking keeps it.
func (s *stuck) key(conversation string, now time.Time) *key {
	if conversation == "" {
		return nil
	}
	on, ok := s.on[conversation]
	if !ok || now.Sub(on.at) > stuckFor {
		return nil
	}
	s.on[conversation] = stuckOn{on.key, now}
	return on.key
}

// put sticks a conversation to a key. When there are too many, those that have
// been silent for long are forgotten, and if that is not enough, any half.
func (s *stuck) put(conversation string, k *key, now time.Time) {
	if s.on == nil {
		s.on = map[string]stuckOn{}
	}
	if len(s.on) >= maxStuck {
		for c, on := range s.on {
			if now.Sub(on.at) > stuckFor {
				delete(s.on, c)
			}
		}
		for c := range s.on {
			if len(s.on) <= maxStuck/2 {
				break
			}
			delete(s.on, c)
		}
	}
	s.on[conversation] = stuckOn{k, now}
}

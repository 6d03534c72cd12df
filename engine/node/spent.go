package node

import (
	"cmp"
	"slices"
	"sync"

	"keywheel/engine"
)

// maxSpent bounds how many sums are kept: clients name models. What comes after
// that many is summed up under one name for each key and service.
const maxSpent = 4000

// spending sums up what was used since the start, for the screen. The journal
// keeps it for longer.
type spending struct {
	mu   sync.Mutex
	sums map[spender]*engine.Spent
}

type spender struct{ service, key, model string }

// add counts what came of a request. It is called on the request's path.
func (s *spending) add(u *engine.Used) {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := spender{u.Service, u.Key, u.Model}
	sum := s.sums[who]
	if sum == nil && len(s.sums) >= maxSpent {
		who.model = otherModel
		sum = s.sums[who]
	}
	if sum == nil {
		if s.sums == nil {
			s.sums = map[spender]*engine.Spent{}
		}
		sum = &engine.Spent{Service: who.service, Key: who.key, Account: u.Account, Model: who.model}
		s.sums[who] = sum
	}
	sum.Requests++
	if u.Kind != engine.OK && u.Kind != engine.ClientError {
		sum.Failures++
	}
	if u.Unpriced {
		sum.Unpriced++
	}
	sum.InputTokens += u.Input
	sum.OutputTokens += u.Output
	sum.CachedTokens += u.Cached
	sum.CostUSD += u.CostUSD
}

// Spent is what was used since the start, by service, key and model.
func (n *Node) Spent() []engine.Spent {
	n.spending.mu.Lock()
	defer n.spending.mu.Unlock()
	list := make([]engine.Spent, 0, len(n.spending.sums))
	for _, s := range n.spending.sums {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b engine.Spent) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Model, b.Model))
	})
	return list
}

// used counts what came of a request, here and in the journal.
func (n *Node) used(u engine.Used) {
	n.spending.add(&u)
	if n.keeper != nil {
		n.keeper.used(u)
	}
}

package engine

import "slices"

// How the oracle looks for an explanation of a batch: the likeliest first.

// choice is what the engine was free to choose in a batch.
type choice struct {
	// order is that of the operations.
	order []int
	// turns is the order in which the services' lines are served.
	turns [mServices]int
	from  answers
}

// search calls try with all that the engine may have chosen, until it is right.
func (o *oracle) search(outs []outcome, waiters *[mClients]outcome, try func(choice) bool) bool {
	order := make([]int, len(outs))
	for i := range order {
		order[i] = i
	}
	// The order in which the calls returned is the likeliest.
	slices.SortStableFunc(order, func(a, b int) int { return int(outs[a].order - outs[b].order) })
	t := o.told(outs, waiters)
	for _, answered := range []func(*told, []int, func(answers) bool) bool{(*told).likely, (*told).inTurn, (*told).any} {
		for _, turns := range lineOrders(waiters) {
			if permute(order, 0, func(order []int) bool {
				return answered(t, order, func(from answers) bool {
					t.left--
					return try(choice{order, turns, from})
				})
			}) {
				return true
			}
		}
	}
	return false
}

// permute calls f with the orders of a list until one is right.
func permute(list []int, from int, f func([]int) bool) bool {
	if from >= len(list)-1 {
		return f(list)
	}
	for i := from; i < len(list); i++ {
		// The rest keeps its order.
		moved := slices.Clone(list)
		x := moved[i]
		copy(moved[from+1:i+1], list[from:i])
		moved[from] = x
		if permute(moved, from+1, f) {
			return true
		}
	}
	return false
}

// lineOrders are the orders in which the services' lines may be served: which of
// several is first is the engine's choice.
func lineOrders(waiters *[mClients]outcome) [][mServices]int {
	all := [][mServices]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {1, 0, 2}, {2, 1, 0}}
	given := 0
	for _, w := range waiters {
		if w.sort == gotKey {
			given++
		}
	}
	if given < 2 {
		return all[:1]
	}
	return all
}

// answers is after how many of the operations each client may be answered.
type answers [mClients]int

// told are the clients that were answered. One that is given a key is as soon as
// could be, mostly; who is told that there is none finds that out for itself, at
// once or later.
type told struct {
	outs    []outcome // of the operations
	waiters *[mClients]outcome
	// refused was told that there is no key, in the order in which the calls
	// returned; begun asked in this batch, so that it may never have been in line.
	refused, begun []int
	// left is how often more it is tried: what cannot be explained is to end.
	left int
}

func (o *oracle) told(outs []outcome, waiters *[mClients]outcome) *told {
	t := &told{outs: outs, waiters: waiters, left: 50_000}
	for i, w := range waiters {
		if w.sort != gotNone && w.sort != gotNoService {
			continue
		}
		t.refused = append(t.refused, i)
		if o.m.clients[i].Phase != waiting {
			t.begun = append(t.begun, i)
		}
	}
	slices.SortFunc(t.refused, func(a, b int) int { return int(waiters[a].order - waiters[b].order) })
	return t
}

// lists are those of the refused who may have been told later than at once: all who
// were in line, and any of the others.
func (t *told) lists() (lists [][]int) {
	for some := range 1 << len(t.begun) {
		lists = append(lists, slices.DeleteFunc(slices.Clone(t.refused), func(no int) bool {
			i := slices.Index(t.begun, no)
			return i >= 0 && some&(1<<i) == 0
		}))
	}
	return lists
}

// served are the answers where all who were given a key were after so many of the
// operations.
func (t *told) served(after int) (from answers) {
	for i, w := range t.waiters {
		if w.sort == gotKey {
			from[i] = after
		}
	}
	return from
}

// likely tries the likeliest: all at once, as the calls returned, and all later ones
// after the same operation.
func (t *told) likely(order []int, try func(answers) bool) bool {
	if try(answers{}) {
		return true
	}
	var from answers
	for _, no := range t.refused {
		for i, at := range order {
			if t.outs[at].order < t.waiters[no].order {
				from[no] = i + 1
			}
		}
	}
	if len(t.refused) > 0 && try(from) {
		return true
	}
	for _, list := range t.lists() {
		if len(list) == 0 {
			continue
		}
		for n := range order {
			from := answers{}
			for _, no := range list {
				from[no] = n + 1
			}
			if try(from) {
				return true
			}
		}
	}
	return false
}

// inTurn tries all ways in which the later ones were told in the order in which
// their calls returned.
func (t *told) inTurn(order []int, try func(answers) bool) bool {
	var from answers
	var tell func(list []int, least int) bool
	tell = func(list []int, least int) bool {
		if len(list) == 0 {
			return try(from)
		}
		for n := least; n <= len(order) && t.left > 0; n++ {
			from[list[0]] = n
			if tell(list[1:], n) {
				return true
			}
		}
		return false
	}
	for after := range len(order) + 1 {
		for _, list := range t.lists() {
			from = t.served(after)
			if tell(list, 0) {
				return true
			}
		}
	}
	return false
}

// any tries whatever else may be.
func (t *told) any(order []int, try func(answers) bool) bool {
	var from answers
	for tries := 0; tries < 1000 && t.left > 0; tries++ {
		i := 0
		for ; i < len(from); i++ {
			if t.waiters[i].sort != pending && from[i] < len(order) {
				from[i]++
				break
			}
			from[i] = 0
		}
		if i == len(from) {
			return false
		}
		if try(from) {
			return true
		}
	}
	return false
}

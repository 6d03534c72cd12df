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
				return answered(t, order, func(from answers) bool { return try(choice{order, turns, from}) })
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
	// inLine waited before the batch and was told that there is no key, refused was
	// told so at all; in the order in which their calls returned.
	inLine, refused []int
}

func (o *oracle) told(outs []outcome, waiters *[mClients]outcome) *told {
	t := &told{outs: outs, waiters: waiters}
	for i, w := range waiters {
		if w.sort == gotNone || w.sort == gotNoService {
			t.refused = append(t.refused, i)
		}
	}
	slices.SortFunc(t.refused, func(a, b int) int { return int(waiters[a].order - waiters[b].order) })
	for _, i := range t.refused {
		if o.m.clients[i].Phase == waiting {
			t.inLine = append(t.inLine, i)
		}
	}
	return t
}

// likely tries the likeliest: all at once, as the calls returned, and all who were
// in line after the same operation.
func (t *told) likely(order []int, try func(answers) bool) bool {
	var from answers
	if try(from) {
		return true
	}
	if len(t.refused) == 0 {
		return false
	}
	for _, no := range t.refused {
		for i, at := range order {
			if t.outs[at].order < t.waiters[no].order {
				from[no] = i + 1
			}
		}
	}
	if try(from) {
		return true
	}
	for n := range order {
		from = answers{}
		for _, no := range t.inLine {
			from[no] = n + 1
		}
		if try(from) {
			return true
		}
	}
	return false
}

// inTurn tries all ways in which they were told in the order in which their calls
// returned: first only those who were in line.
func (t *told) inTurn(order []int, try func(answers) bool) bool {
	for _, list := range [][]int{t.inLine, t.refused} {
		var from answers
		var tell func(list []int, least int) bool
		tell = func(list []int, least int) bool {
			if len(list) == 0 {
				return try(from)
			}
			for n := least; n <= len(order); n++ {
				from[list[0]] = n
				if tell(list[1:], n) {
					return true
				}
			}
			return false
		}
		if len(list) > 0 && tell(list, 0) {
			return true
		}
	}
	return false
}

// any tries whatever else may be, up to a bound.
func (t *told) any(order []int, try func(answers) bool) bool {
	var from answers
	for range 5000 {
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

package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// explain finds an order of the operations by which the model comes to what the
// engine did.
func (o *oracle) explain(ops []oracleOp, outs []outcome) error {
	select {
	case text := <-o.panics:
		return errors.New(text)
	default:
	}
	var waiters [mClients]outcome
	for i := range o.clients {
		waiters[i] = o.clients[i].out
	}
	for i, op := range ops {
		if op.Do == "begin" || op.Do == "again" || op.Do == "cancel" {
			outs[i] = waiters[op.Client]
		}
	}
	for i, op := range ops {
		o.trace = append(o.trace, o.line(op, outs[i]))
	}
	for i := range waiters {
		if o.m.clients[i].Phase == waiting && waiters[i].sort != pending {
			o.trace = append(o.trace, fmt.Sprintf("%5d %12v   client %d in line %s", o.batch, o.e.uptime(), i, waiters[i].says()))
		}
	}
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	// The order in which the calls returned is the likeliest.
	slices.SortStableFunc(order, func(a, b int) int { return int(outs[a].order - outs[b].order) })
	var first error
	var turns [mServices]int
	try := func(order []int, from answers) bool {
		m := o.m.clone()
		m.from, m.turns = from, turns
		err := o.replay(m, ops, outs, order, &waiters)
		if err == nil {
			o.m = m
			return true
		}
		if first == nil {
			first = err
		}
		return false
	}
	t := o.told(&waiters)
	explained := false
	for _, when := range []func(*told, []int, []outcome, func(answers) bool) bool{(*told).likely, (*told).inTurn, (*told).any} {
		for _, turns = range lineOrders(&waiters) {
			explained = explained || permute(order, 0, func(order []int) bool {
				return when(t, order, outs, func(from answers) bool { return try(order, from) })
			})
		}
	}
	if !explained {
		if len(ops) > 1 {
			return fmt.Errorf("no order of the %d operations explains it; in the likeliest: %w", len(ops), first)
		}
		return first
	}
	for i := range o.clients {
		if p := o.m.clients[i].Phase; p != waiting && waiters[i].sort == gotKey {
			o.clients[i].out = outcome{}
		}
	}
	return nil
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
	waiters *[mClients]outcome
	// inLine waited before the batch and was told that there is no key, refused was
	// told so at all; in the order in which their calls returned.
	inLine, refused []int
}

func (o *oracle) told(waiters *[mClients]outcome) *told {
	t := &told{waiters: waiters}
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
func (t *told) likely(order []int, outs []outcome, try func(answers) bool) bool {
	var from answers
	if try(from) {
		return true
	}
	if len(t.refused) == 0 {
		return false
	}
	for _, no := range t.refused {
		for i, at := range order {
			if outs[at].order < t.waiters[no].order {
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
func (t *told) inTurn(order []int, _ []outcome, try func(answers) bool) bool {
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
func (t *told) any(order []int, _ []outcome, try func(answers) bool) bool {
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

// replay is the operations in one order on the model.
func (o *oracle) replay(m *model, ops []oracleOp, outs []outcome, order []int, waiters *[mClients]outcome) error {
	m.done = 0
	if err := m.dispatch(waiters); err != nil {
		return err
	}
	for n, i := range order {
		if err := o.step(m, ops[i], outs[i]); err != nil {
			return fmt.Errorf("%v: %w", ops[i], err)
		}
		m.done = n + 1
		if err := m.dispatch(waiters); err != nil {
			return fmt.Errorf("after %v: %w", ops[i], err)
		}
	}
	if err := m.settled(waiters, len(ops)); err != nil {
		return err
	}
	return m.compare(o.e, &o.clients)
}

// step is one operation on the model.
func (o *oracle) step(m *model, op oracleOp, out outcome) error {
	no := op.Client
	switch op.Do {
	case "begin":
		r := mRequest{Service: op.Service, Model: op.Model, Scope: op.Scope, Repeatable: !op.Create, Once: op.Once, Talk: op.Talk}
		patience := o.w.Patience
		if op.Patience > 0 {
			patience = min(patience, op.Patience)
		}
		r.Deadline = m.now.Add(patience)
		if !m.c.Services[op.Service].Present {
			if out.sort != gotNoService {
				return errors.New("its service is gone")
			}
			return nil
		}
		m.begin(no, r)
		return m.acquire(no, out)
	case "again":
		return m.acquire(no, out)
	case "judge":
		return m.judge(no, mVerdict{op.Kind, op.Blames, op.Model, op.RetryAfter, op.Until}, out.again)
	case "close":
		m.closed(no, op.How, op.Input)
	case "abandon":
		m.end(no, ClientError)
	case "cancel":
		if out.sort == pending {
			return errors.New("it left, and waits on")
		}
		if out.sort == gotLeft {
			m.leave(no)
			m.end(no, ClientError)
		}
	case "tested":
		m.tested(op.Key, op.Kind)
	case "act":
		d := mDeed{verb: op.Verb, key: op.Key, service: op.Service, to: nobody}
		if op.For > 0 {
			d.until = m.now.Add(op.For)
		}
		if _, name, ok := strings.Cut(out.text, "→ k"); ok && out.done {
			d.to = keyNo("k" + name)
		}
		if err := m.act(d, out.done); err != nil {
			return fmt.Errorf("%w (%s)", err, out.text)
		}
	case "reload":
		if out.text != "" {
			return errors.New(out.text)
		}
		m.reload(o.confs(op.Conf))
		m.pass(m.now)
	case "snapshot":
		return m.shows(out.seen)
	}
	return nil
}

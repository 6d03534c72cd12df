package engine

import (
	"errors"
	"fmt"
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
	var first error
	explained := o.search(outs, &waiters, func(c choice) bool {
		m := o.m.clone()
		m.from, m.turns = c.from, c.turns
		err := o.replay(m, ops, outs, c.order, &waiters)
		if err == nil {
			o.m = m
			return true
		}
		if first == nil {
			first = err
		}
		return false
	})
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
		return o.begin(m, op, out)
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
		return act(m, op, out)
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

func (o *oracle) begin(m *model, op oracleOp, out outcome) error {
	if !m.c.Services[op.Service].Present {
		if out.sort != gotNoService {
			return errors.New("its service is gone")
		}
		return nil
	}
	r := mRequest{Service: op.Service, Model: op.Model, Scope: op.Scope, Repeatable: !op.Create, Once: op.Once, Talk: op.Talk}
	patience := o.w.Patience
	if op.Patience > 0 {
		patience = min(patience, op.Patience)
	}
	r.Deadline = m.now.Add(patience)
	m.begin(op.Client, r)
	return m.acquire(op.Client, out)
}

func act(m *model, op oracleOp, out outcome) error {
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
	return nil
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

// One run of the oracle: the engine of a world, its clients, and the batches of
// operations that they carry out.

// late is how much later than at the moment itself the engine may do what time
// alone brings about.
const late = 100 * time.Microsecond

// client is a goroutine's request and what came of its last call.
type client struct {
	r      *Request
	l      *Lease
	cancel context.CancelFunc
	out    outcome
}

type oracle struct {
	e       *Engine
	m       *model
	w       *mWorld
	confs   func(int) *mConf
	clients [mClients]client
	calls   atomic.Int64
	trace   []string
	batch   int
	steps   int
	panics  chan string
	// answered tells that a client was, while time passes.
	answered chan struct{}
}

func newOracle(seed uint64) *oracle {
	now := time.Now()
	o := &oracle{panics: make(chan string, 100), answered: make(chan struct{}, 1)}
	o.w, o.confs = oracleWorld(seed, now)
	var err error
	if o.e, err = New(o.w.config(o.confs(0)), WithSeed(seed), WithPatience(o.w.Patience, o.w.MaxWaiting)); err != nil {
		panic(err) // the world is wrong
	}
	o.m = newModel(o.w, o.confs(0), now)
	return o
}

// can reports whether the operation means anything now.
func (o *oracle) can(op oracleOp) bool {
	phase := o.m.clients[op.Client].Phase
	switch op.Do {
	case "begin":
		return phase == idle && o.m.c.Services[op.Service].Present
	case "judge":
		return phase == leased
	case "close":
		return phase == leased || phase == judged
	case "again", "abandon":
		return phase == between
	case "cancel":
		return phase == waiting
	default:
		return true
	}
}

// call carries an operation out and says what came of it.
func (o *oracle) call(op oracleOp) (out outcome) {
	c := &o.clients[op.Client]
	acquire := func() {
		ctx, cancel := context.WithCancel(context.Background())
		c.cancel = cancel
		l, err := o.e.Acquire(ctx, c.r)
		var none *NoKeyError
		var gone *UnknownServiceError
		switch {
		case err == nil:
			c.l = l
			out.sort = gotKey
			out.key = keyNo(l.Key().Name)
		case errors.As(err, &none):
			out.sort, out.text = gotNone, none.Error()
		case errors.As(err, &gone):
			out.sort = gotNoService
		default:
			out.sort = gotLeft
		}
	}
	switch op.Do {
	case "begin":
		c.r = &Request{ID: fmt.Sprint(op.Client), Service: fmt.Sprintf("s%d", op.Service+1), Model: mParts[op.Model], Scope: mParts[op.Scope],
			Repeatable: !op.Create, Once: op.Once, Patience: op.Patience}
		if op.Talk > 0 {
			c.r.Conversation = fmt.Sprint(op.Talk)
		}
		acquire()
	case "again":
		acquire()
	case "judge":
		v := Verdict{Kind: op.Kind, Scope: op.Blames, Model: mParts[op.Model], RetryAfter: op.RetryAfter}
		if op.Until != 0 {
			v.Until = time.Now().Add(op.Until)
		}
		if !o.w.Learns {
			v.Told = []quota.Told{{}} // it tells of its limits: nothing is to be guessed
		}
		out.again = c.l.Judge(v)
	case "close":
		c.l.Close(Usage{Input: op.Input}, map[string]error{"left": ErrClientLeft, "cut": errors.New("reset")}[op.How])
	case "abandon":
		o.e.Abandon(c.r)
	case "cancel":
		c.cancel()
	case "tested":
		o.e.Tested(keyName(op.Key), Verdict{Kind: op.Kind})
	case "act":
		a := Action{Verb: op.Verb, ForS: op.For.Seconds()}
		if op.Key != nobody {
			a.Key = keyName(op.Key)
		}
		if op.Service != nobody {
			a.Service = fmt.Sprintf("s%d", op.Service+1)
		}
		r, err := o.e.Do(a)
		out.done, out.text = err == nil, r.Text
		if err != nil {
			out.text = err.Error()
		}
	case "reload":
		if err := o.e.Reload(o.w.config(o.confs(op.Conf))); err != nil {
			out.text = err.Error()
		}
	case "snapshot":
		snap := o.e.Snapshot()
		out.seen = &snap
	}
	return out
}

// run carries the operations of one batch out, each on a goroutine of its own,
// all let go at once, and checks what came of it.
func (o *oracle) run(ops []oracleOp) error {
	o.batch++
	ops = slices.DeleteFunc(slices.Clone(ops), func(op oracleOp) bool { return !o.can(op) })
	o.steps += len(ops)
	if len(ops) == 1 && ops[0].Do == "pass" {
		o.trace = append(o.trace, o.line(ops[0], outcome{}))
		return o.pass(ops[0].For)
	}
	for i := range o.clients {
		if o.m.clients[i].Phase != waiting {
			o.clients[i].out = outcome{}
		}
	}
	outs := make([]outcome, len(ops))
	start := make(chan struct{})
	var mu sync.Mutex
	for i, op := range ops {
		go func() {
			defer func() {
				if r := recover(); r != nil {
					o.panics <- fmt.Sprintf("%v panics: %v\n%s", op, r, debug.Stack())
				}
			}()
			<-start
			out := o.call(op)
			out.order, out.at = o.calls.Add(1), time.Now()
			mu.Lock()
			defer mu.Unlock()
			if op.Do == "begin" || op.Do == "again" {
				o.clients[op.Client].out = out
				select {
				case o.answered <- struct{}{}:
				default:
				}
			} else {
				outs[i] = out
			}
		}()
	}
	if len(ops) > 1 && slices.ContainsFunc(ops, func(op oracleOp) bool { return op.Do == "snapshot" }) {
		o.contend(start)
	} else {
		close(start)
	}
	synctest.Wait()
	return o.explain(ops, outs)
}

// contend starts operations so that one which lets the engine's lock go before it
// is done is found out: who waits for a mutex for more than a millisecond, and then
// finds it taken again, is given it as soon as it is free, and so is who waits
// behind (see [sync.Mutex]).
func (o *oracle) contend(start chan struct{}) {
	o.e.mu.Lock()
	close(start)
	spin(1500 * time.Microsecond)
	o.e.mu.Unlock()
	o.e.mu.Lock()
	spin(100 * time.Microsecond)
	o.e.mu.Unlock()
}

// spin lets the other goroutines run for so long by the machine's clock; that of
// the bubble stands still.
func spin(d time.Duration) {
	clock := func() time.Duration {
		var tv syscall.Timeval
		_ = syscall.Gettimeofday(&tv)
		return time.Duration(tv.Nano())
	}
	for end := clock() + d; clock() < end; {
		runtime.Gosched()
	}
}

// pass lets time pass, from one moment at which something may happen to the next
// as long as somebody waits for it.
func (o *oracle) pass(d time.Duration) error {
	end := time.Now().Add(d)
	for now := time.Now(); now.Before(end); now = time.Now() {
		to := end
		if o.m.waits() > 0 {
			if at := o.m.next(); !at.IsZero() {
				to = earlier(to, at.Add(late))
			}
		}
		select {
		case <-o.answered: // before
		default:
		}
		select {
		case <-time.After(to.Sub(now)):
		case <-o.answered: // by a limit that only the engine knows
			time.Sleep(late)
		}
		synctest.Wait()
		quiet := false
		for _, inc := range o.m.faults {
			quiet = quiet || inc.Active
		}
		if quiet {
			o.e.Snapshot() // an incident that nobody asks about is over when someone looks
		}
		o.m.pass(time.Now())
		if err := o.explain(nil, nil); err != nil {
			return fmt.Errorf("at %v: %w", time.Since(o.e.started), err)
		}
	}
	return nil
}

// finish ends all that runs, and checks that nothing is left of it.
func (o *oracle) finish() error {
	for range 40 {
		var ops []oracleOp
		for i := range o.clients {
			switch o.m.clients[i].Phase {
			case leased, judged:
				ops = append(ops, oracleOp{Do: "close", Client: i})
			case between:
				ops = append(ops, oracleOp{Do: "abandon", Client: i})
			case waiting:
				ops = append(ops, oracleOp{Do: "cancel", Client: i})
			}
		}
		if len(ops) == 0 {
			break
		}
		if err := o.run(ops[:1]); err != nil {
			return fmt.Errorf("at the end: %w", err)
		}
	}
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	if o.e.inFlight != 0 || o.e.waiting != 0 || len(o.e.lines) != 0 {
		return fmt.Errorf("at the end %d in flight, %d waiting in %d lines", o.e.inFlight, o.e.waiting, len(o.e.lines))
	}
	check := func(name string, h *holder) error {
		if h.inFlight != 0 {
			return fmt.Errorf("at the end %d in flight on %s", h.inFlight, name)
		}
		for _, b := range h.books {
			if b.Unit == quota.Concurrent && b.Taken(time.Now()) != 0 {
				return fmt.Errorf("at the end %v of %s of %s are taken", b.Taken(time.Now()), b.Unit, name)
			}
		}
		return nil
	}
	for _, c := range slices.Concat(o.e.creds, o.e.retired) {
		if err := check(c.label, &c.holder); err != nil {
			return err
		}
	}
	for name, h := range o.e.accounts {
		if err := check(name, h); err != nil {
			return err
		}
	}
	return nil
}

// abort lets the goroutines of a run that failed go.
func (o *oracle) abort() {
	for i := range o.clients {
		if c := o.clients[i].cancel; c != nil {
			c()
		}
	}
	synctest.Wait()
}

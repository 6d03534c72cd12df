package engine

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// The oracle drives the engine with random operations, several at a time from
// as many goroutines, in virtual time, and asks after each batch whether some
// order of its operations explains, by the model, all that came back and all
// that the engine now holds to be true. That is what linearizable means.
//
//	go test -run Oracle ./engine                            some thousand steps
//	KEYWHEEL_ORACLE=1000000 go test -run Oracle ./engine    a million
//	go test -run Oracle -oracle.seed 42 ./engine            one seed again
//
// A failure is shrunk to the fewest operations that still fail, printed as a
// table and written to testdata/oracle, where it is run again ever after.
var oracleSeed = flag.Uint64("oracle.seed", 0, "run the oracle with this seed alone")

// The seeds that every run begins with; a longer one goes on with random ones.
var oracleSeeds = []uint64{1, 2, 3, 4, 5, 6, 7, 8}

// late is how much later than at the moment itself the engine may do what time
// alone brings about.
const late = 100 * time.Microsecond

// oracleOp is one operation. It means the same whatever came before, and nothing
// where it cannot be done, so that any of them can be left out.
type oracleOp struct {
	Batch int    `json:"batch"`
	Do    string `json:"do"`
	// Of a client's request.
	Client   int           `json:"client,omitempty"`
	Service  int           `json:"service,omitempty"`
	Model    int           `json:"model,omitempty"`
	Scope    int           `json:"scope,omitempty"`
	Create   bool          `json:"create,omitempty"`
	Once     bool          `json:"once,omitempty"`
	Talk     int           `json:"talk,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
	// Of an answer, or a test call of Key.
	Kind       Kind          `json:"kind,omitempty"`
	Blames     Scope         `json:"blames,omitempty"`
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	Until      time.Duration `json:"until,omitempty"`
	How        string        `json:"how,omitempty"` // of closing: "left", "cut"
	Input      int64         `json:"input,omitempty"`
	// Of the operator.
	Verb Verb          `json:"verb,omitempty"`
	Key  int           `json:"key,omitempty"`
	For  time.Duration `json:"for,omitempty"` // and how long time passes
	Conf int           `json:"conf,omitempty"`
}

// oracleRun is what is kept of a failure.
type oracleRun struct {
	Why  string     `json:"why"`
	Seed uint64     `json:"seed"`
	Ops  []oracleOp `json:"ops"`
	// trace is what happened then: goroutines do not do the same twice.
	trace []string
}

func (o oracleOp) String() string {
	svc, key := fmt.Sprintf("s%d", o.Service+1), fmt.Sprintf("k%d", o.Key+1)
	switch o.Do {
	case "begin":
		text := fmt.Sprintf("client %d asks %s", o.Client, svc)
		for _, p := range []int{o.Model, o.Scope} {
			if p != 0 {
				text += " " + mParts[p]
			}
		}
		if o.Create {
			text += ", creates"
		}
		if o.Once {
			text += ", once"
		}
		if o.Talk > 0 {
			text += fmt.Sprintf(", talk %d", o.Talk)
		}
		if o.Patience > 0 {
			text += fmt.Sprintf(", patience %v", o.Patience)
		}
		return text
	case "judge":
		return fmt.Sprintf("client %d is answered %s", o.Client, o.verdict())
	case "tested":
		return fmt.Sprintf("%s is tested: %s", key, o.Kind)
	case "close":
		return strings.TrimSpace(fmt.Sprintf("client %d is done %s", o.Client, o.How))
	case "again", "abandon", "cancel":
		return fmt.Sprintf("client %d: %s", o.Client, o.Do)
	case "act":
		text := string(o.Verb)
		if o.Key != nobody {
			text += " " + key
		}
		if o.Service != nobody {
			text += " " + svc
		}
		if o.For > 0 {
			text += fmt.Sprintf(" for %v", o.For)
		}
		return text
	case "pass":
		return fmt.Sprintf("%v pass", o.For)
	case "reload":
		return fmt.Sprintf("reload config %d", o.Conf)
	default:
		return o.Do
	}
}

func (o oracleOp) verdict() string {
	text := o.Kind.String()
	if o.Kind == OK || o.Kind == ClientError {
		return text
	}
	text += " of " + o.Blames.String()
	if o.Model > 0 {
		text += " " + mParts[o.Model]
	}
	if o.RetryAfter > 0 {
		text += fmt.Sprintf(", retry after %v", o.RetryAfter)
	}
	if o.Until != 0 {
		text += fmt.Sprintf(", until +%v", o.Until)
	}
	return text
}

// ---- the world ----

// oracleWorld makes the world of a seed: what never changes, and the configs
// that reloads go over to, number 0 first.
func oracleWorld(seed uint64, t0 time.Time) (*mWorld, func(n int) *mConf) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &mWorld{Patience: []time.Duration{0, 3 * time.Second, 10 * time.Second, 10 * time.Second}[rng.IntN(4)], MaxWaiting: []int{2, 100, 100}[rng.IntN(3)]}
	providers := 1 + rng.IntN(2)
	limited := rng.IntN(2) == 0
	w.Learns = !limited && rng.IntN(3) == 0
	limit := func(chance int) mLimit {
		if !limited || rng.IntN(chance) > 0 {
			return mLimit{}
		}
		if rng.IntN(2) == 0 {
			return mLimit{Concurrent: 1 + rng.IntN(3)}
		}
		return mLimit{Amount: float64(4 + rng.IntN(12)), Window: []time.Duration{20 * time.Second, time.Minute}[rng.IntN(2)]}
	}
	accounts := rng.IntN(3)
	for c := range w.Provider {
		w.Provider[c] = c % providers
		if c >= mSecrets {
			w.Provider[c] = (c - mSecrets) % providers
		}
		w.Account[c] = nobody
		if c < mSecrets && accounts > 0 && rng.IntN(3) > 0 {
			w.Account[c] = w.Provider[c]*2 + rng.IntN(accounts)
		}
		if c < mSecrets {
			w.Limits[c] = limit(2)
			w.Prints[c] = w.secret(c).Fingerprint(fmt.Sprintf("p%d", w.Provider[c]), "")
		}
	}
	for a := range w.AcctLimits {
		w.AcctLimits[a] = limit(3)
	}
	var fixed mConf
	nKeys, nServices := 2+rng.IntN(mKeys-1), 1+rng.IntN(mServices)
	scoped := rng.IntN(3) == 0
	for k := range fixed.Keys {
		kc := mKeyConf{Present: k < nKeys, CanTest: rng.IntN(2) == 0, Weight: 1 + rng.IntN(3)}
		if scoped {
			kc.Scope = []int{0, 3, 4}[rng.IntN(3)]
		}
		fixed.Keys[k] = kc
	}
	for s := range fixed.Services {
		sc := mServiceConf{Present: s < nServices, Strategy: Strategies[rng.IntN(4)], Limit: limit(4)}
		if rng.IntN(3) == 0 {
			sc.FallbackAfter = []time.Duration{2 * time.Second, 5 * time.Second}[rng.IntN(2)]
		}
		fixed.Services[s] = sc
	}
	return w, func(n int) *mConf {
		rng := rand.New(rand.NewPCG(seed, uint64(2+n)))
		c := fixed
		for k := range c.Keys {
			kc := &c.Keys[k]
			kc.Present = kc.Present && (n == 0 || rng.IntN(6) > 0)
			if kc.Cred = k%providers + providers*rng.IntN(mSecrets/providers); rng.IntN(3) > 0 {
				kc.Cred = k // so that most are as they were
			}
			if rng.IntN(15) == 0 {
				kc.Cred = mSecrets + k
			}
			if rng.IntN(12) == 0 {
				kc.Expires = t0.Add(time.Duration(rng.IntN(100)) * 10 * time.Second)
			}
		}
		for s := range c.Services {
			sc := &c.Services[s]
			sc.Present = sc.Present && (n == 0 || rng.IntN(6) > 0)
			for _, k := range rng.Perm(mKeys) {
				if c.Keys[k].Present && rng.IntN(5) > 0 {
					tier := 0
					if len(sc.Tiers[0]) > 0 && rng.IntN(3) == 0 {
						tier = 1
					}
					sc.Tiers[tier] = append(sc.Tiers[tier], k)
				}
			}
			sc.Present = sc.Present && len(sc.Tiers[0]) > 0
		}
		return &c
	}
}

func (w *mWorld) secret(c int) secret.Secret {
	return secret.New(fmt.Sprintf("sk-test-not-a-key-%d", c))
}

func keyName(k int) string { return fmt.Sprintf("k%d", k+1) }

func (l mLimit) quota() []quota.Limit {
	switch {
	case l.Concurrent > 0:
		return []quota.Limit{{Unit: quota.Concurrent, Amount: float64(l.Concurrent), Source: "config"}}
	case l.Amount > 0:
		return []quota.Limit{{Unit: quota.Requests, Amount: l.Amount, Window: l.Window, Source: "config"}}
	default:
		return nil
	}
}

// config is the engine's config of a model's.
func (w *mWorld) config(c *mConf) Config {
	var cfg Config
	for a, l := range w.AcctLimits {
		cfg.Accounts = append(cfg.Accounts, Account{Provider: fmt.Sprintf("p%d", a/2), Name: fmt.Sprintf("a%d", a), Limits: l.quota()})
	}
	for k, kc := range c.Keys {
		if !kc.Present {
			continue
		}
		key := Key{Name: keyName(k), Provider: fmt.Sprintf("p%d", w.Provider[kc.Cred]), CanTest: kc.CanTest, Weight: kc.Weight, Expires: kc.Expires, Limits: w.Limits[kc.Cred].quota()}
		if kc.Cred < mSecrets {
			key.Secret = w.secret(kc.Cred)
		} else {
			key.Missing = "is not set"
		}
		if a := w.Account[kc.Cred]; a != nobody {
			key.Account = fmt.Sprintf("a%d", a)
		}
		if kc.Scope > 0 {
			key.Scopes = []string{mParts[kc.Scope]}
		}
		cfg.Keys = append(cfg.Keys, key)
	}
	for s, sc := range c.Services {
		if !sc.Present {
			continue
		}
		svc := Service{Name: fmt.Sprintf("s%d", s+1), Strategy: sc.Strategy, FallbackAfter: sc.FallbackAfter, Limits: sc.Limit.quota()}
		for _, k := range sc.Tiers[0] {
			svc.Keys = append(svc.Keys, keyName(k))
		}
		for _, k := range sc.Tiers[1] {
			svc.Fallback = append(svc.Fallback, keyName(k))
		}
		cfg.Services = append(cfg.Services, svc)
	}
	return cfg
}

// ---- one run ----

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
}

func newOracle(seed uint64) *oracle {
	now := time.Now()
	o := &oracle{panics: make(chan string, 100)}
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
			out.key, _ = strconv.Atoi(l.Key().Name[1:])
			out.key--
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
		sum := 0
		for _, s := range snap.Services {
			sum += s.InFlight
		}
		if sum > snap.Proxy.InFlight {
			out.text = "more requests in its services than in all"
		}
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
			} else {
				outs[i] = out
			}
		}()
	}
	close(start)
	synctest.Wait()
	return o.explain(ops, outs)
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
		time.Sleep(to.Sub(now))
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
	try := func(order []int, from [mClients]int) bool {
		m := o.m.clone()
		m.from = from
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
	// Whoever has been answered may have been as soon as could be or later.
	explained := permute(order, 0, func(order []int) bool {
		var from [mClients]int
		for range 5000 {
			if try(order, from) {
				return true
			}
			i := 0
			for ; i < len(from); i++ {
				if waiters[i].sort != pending && from[i] < len(ops) {
					from[i]++
					break
				}
				from[i] = 0
			}
			if i == len(from) {
				break
			}
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

func (e *Engine) uptime() time.Duration { return time.Since(e.started).Round(time.Millisecond) }

func (o *oracle) line(op oracleOp, out outcome) string {
	text := fmt.Sprintf("%5d %12v   %s", o.batch, o.e.uptime(), op)
	switch op.Do {
	case "begin", "again", "cancel":
		text += ": " + out.says()
		if out.sort == gotNone {
			text += " (" + out.text + ")"
		}
	case "judge":
		if out.again {
			text += ": goes on"
		}
	case "act":
		text += ": " + out.text
	}
	return text
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
		to := nobody
		if _, name, ok := strings.Cut(out.text, "→ k"); ok && out.done {
			to, _ = strconv.Atoi(name)
			to--
		}
		if err := m.act(op.Verb, op.Key, op.Service, op.For, out.done, to); err != nil {
			return fmt.Errorf("%w (%s)", err, out.text)
		}
	case "reload":
		if out.text != "" {
			return errors.New(out.text)
		}
		m.reload(o.confs(op.Conf))
		m.pass(m.now)
	case "snapshot":
		if out.text != "" {
			return errors.New(out.text)
		}
	}
	return nil
}

// ---- what the engine holds to be true ----

// compare says where the engine and the model differ. What the engine was free
// to choose the model takes over.
func (m *model) compare(e *Engine, clients *[mClients]client) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := m.now
	var wrong []string
	differs := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %v, want %v", what, got, want))
		}
	}
	holder := func(name string, h *holder, want *mHolder) {
		differs(name+" in flight", h.inFlight, want.InFlight)
		want.Learned = slices.ContainsFunc(h.books, func(b *book) bool { return b.learner != nil })
		for p := range want.Slots {
			hd, wh := (*hold)(nil), &want.Slots[p].Hold
			s := h.slot(mParts[p])
			if s == nil {
				s = &slot{}
			}
			if s.hold != nil && !s.hold.over(now) {
				hd = s.hold
			}
			if wh.Perhaps && hd == nil { // it was over, and was not placed again
				want.Slots[p].Gen--
				*wh = mHold{}
			}
			wh.Perhaps = false
			where := name
			if p > 0 {
				where += " for " + mParts[p]
			}
			ws := &want.Slots[p]
			differs(where+" climbs, rejections, strikes", fmt.Sprint(s.climbs, s.invalids, s.struck), fmt.Sprint(ws.Climbs, ws.Invalids, len(ws.Strikes)))
			if differs(where+" held", hd != nil, wh.On); hd == nil || !wh.On {
				continue
			}
			differs(where+" hold", hd.state, wh.State)
			differs(where+" verdict", hd.verdict, wh.Verdict)
			differs(where+" trial", hd.trialAt.Equal(wh.TrialAt), true)
			if !hd.trialAt.Equal(wh.TrialAt) {
				differs(where+" trial in", hd.trialAt.Sub(now), wh.TrialAt.Sub(now))
			}
			differs(where+" being tried", hd.trying, wh.Trying)
			differs(where+" being confirmed", hd.confirming, wh.Confirm)
			if hd.until.Before(wh.Until) || hd.until.After(wh.UntilMax) || hd.until.IsZero() != wh.Until.IsZero() {
				wrong = append(wrong, fmt.Sprintf("%s held for %v, want %v to %v", where, hd.until.Sub(now), wh.Until.Sub(now), wh.UntilMax.Sub(now)))
			}
			wh.Until, wh.UntilMax = hd.until, hd.until
		}
	}
	for k := range m.c.Keys {
		name := keyName(k)
		ek := e.keyBy[name]
		if differs(name+" is there", ek != nil, m.c.Keys[k].Present); ek == nil || !m.c.Keys[k].Present {
			continue
		}
		st, _ := ek.state(now)
		differs(name+" state", st, m.state(k))
		differs(name+" draining", ek.draining, m.keys[k].Draining)
		c, cr := ek.cred, &m.creds[m.cred(k)]
		holder(name, &c.holder, &cr.mHolder)
		if m.cred(k) < mSecrets {
			differs(name+" requests", c.requests, cr.Requests)
			differs(name+" verdicts", c.verdicts.list(), cr.Verdicts)
			differs(name+" tokens", c.usage.Input, cr.Input)
		}
		if a := m.w.Account[m.cred(k)]; a != nobody {
			differs(name+" has its account", c.account == e.accounts[fmt.Sprintf("p%d/a%d", a/2, a)], true)
		}
	}
	for _, c := range e.retired { // what is known of it may be needed again
		if no := slices.Index(m.w.Prints[:], c.fingerprint); no >= 0 {
			holder(fmt.Sprintf("retired secret %d", no), &c.holder, &m.creds[no].mHolder)
		}
	}
	for a := range m.accounts {
		holder(fmt.Sprintf("a%d", a), e.accounts[fmt.Sprintf("p%d/a%d", a/2, a)], &m.accounts[a])
	}
	for i := range m.services {
		name, want := fmt.Sprintf("s%d", i+1), &m.services[i]
		s := e.svcBy[name]
		if differs(name+" is there", s != nil, m.c.Services[i].Present); s == nil || !m.c.Services[i].Present {
			continue
		}
		differs(name+" in flight", s.inFlight, want.InFlight)
		differs(name+" requests", s.requests, want.Requests)
		differs(name+" failures", s.failures, want.Failures)
		differs(name+" verdicts", s.verdicts.list(), want.Verdicts)
		var queue []int
		for _, w := range s.queue {
			no, _ := strconv.Atoi(w.r.ID)
			queue = append(queue, no)
		}
		differs(name+" line", fmt.Sprint(queue), fmt.Sprint(want.Queue))
		pin := mPin{}
		if s.pin != nil && (s.pin.until.IsZero() || now.Before(s.pin.until)) {
			n, _ := strconv.Atoi(s.pin.key.Name[1:])
			if m.lists(i, n-1) { // if not it was lent, and nobody has asked since
				pin = mPin{true, n - 1, s.pin.until}
			}
		}
		differs(name+" pin", pin, want.Pin)
		lends := 0
		for _, l := range s.lends {
			if now.Before(l.until) {
				lends++
			}
		}
		differs(name+" lends", lends, len(want.Lends))
		inUse := nobody
		if s.inUse != nil {
			n, _ := strconv.Atoi(s.inUse.Name[1:])
			if m.lists(i, n-1) { // if not it was lent, and nobody has asked since
				inUse = n - 1
			}
		}
		if slices.Contains(want.Given, inUse) {
			want.InUse = inUse
		}
		want.Given = nil
		differs(name+" key in use", inUse, want.InUse)
	}
	for p := range m.faults {
		inc := e.incidents[fmt.Sprintf("p%d", p)]
		differs(fmt.Sprintf("p%d incident", p), inc != nil && inc.active, m.faults[p].Active)
	}
	// What an action changed is not seen before it is taken back.
	did, want := "", ""
	for _, d := range e.undo {
		did += fmt.Sprintf("%s %s %s", d.Verb, d.Key, d.Service)
		if s := d.Undo.Service; d.Verb == VerbReset && s != nil {
			did += fmt.Sprintf(" %d %d", s.Requests, s.Failures)
		} else if d.Verb == VerbRotate {
			did += " from " + s.InUse
		}
		did += ", "
	}
	for _, d := range m.undo {
		key, svc := "", ""
		if d.key != nobody {
			key = keyName(d.key)
		}
		if d.service != nobody {
			svc = fmt.Sprintf("s%d", d.service+1)
		}
		want += fmt.Sprintf("%s %s %s", d.verb, key, svc)
		if d.verb == VerbReset && svc != "" {
			want += fmt.Sprintf(" %d %d", d.svc.Requests, d.svc.Failures)
		} else if d.verb == VerbRotate {
			want += " from "
			if d.svc.InUse != nobody {
				want += keyName(d.svc.InUse)
			}
		}
		want += ", "
	}
	differs("what can be undone", did, want)
	for i := range clients { // of which secret, where a reload gave the key another
		if r := &m.clients[i]; (r.Phase == leased || r.Phase == judged) && r.Tried[r.Attempts-1].Cred < mSecrets {
			differs(fmt.Sprintf("client %d has the secret it had", i), clients[i].l.cred.fingerprint == m.w.Prints[r.Tried[r.Attempts-1].Cred], true)
		}
	}
	differs("requests", e.requests, m.requests)
	differs("failures", e.failures, m.failures)
	differs("client errors", e.clientErrors, m.clientErrors)
	differs("in flight", e.inFlight, m.inFlight)
	differs("waiting", e.waiting, m.waits())
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

func (v Verdicts) list() [kinds]int64 {
	return [kinds]int64{v.OK, v.RateLimited, v.QuotaExhausted, v.InvalidKey, v.PermissionDenied, v.ClientError, v.UpstreamFault}
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

// ---- choosing operations ----

// choose makes up the next batch.
func (o *oracle) choose(rng *rand.Rand) (ops []oracleOp) {
	if rng.IntN(5) == 0 {
		short := []time.Duration{10 * time.Millisecond, 200 * time.Millisecond, 700 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 12 * time.Second}
		long := []time.Duration{time.Minute, 5 * time.Minute, 16 * time.Minute, 61 * time.Minute, 7 * time.Hour}
		d := short[rng.IntN(len(short))]
		if rng.IntN(12) == 0 {
			d = long[rng.IntN(len(long))]
		}
		return []oracleOp{{Batch: o.batch, Do: "pass", For: d + time.Duration(rng.IntN(1000))*time.Microsecond}}
	}
	used := map[int]bool{}
	for range 1 + rng.IntN(4) {
		op := o.chooseOne(rng)
		op.Batch = o.batch
		if slices.Contains([]string{"begin", "judge", "close", "again", "abandon", "cancel"}, op.Do) {
			if used[op.Client] {
				continue
			}
			used[op.Client] = true
		}
		ops = append(ops, op)
	}
	return ops
}

func (o *oracle) chooseOne(rng *rand.Rand) oracleOp {
	pick := func(list ...time.Duration) time.Duration { return list[rng.IntN(len(list))] }
	chance := func(n int) bool { return rng.IntN(n) == 0 }
	op := oracleOp{Key: rng.IntN(mKeys), Service: rng.IntN(mServices), Client: rng.IntN(mClients)}
	for !o.m.c.Keys[op.Key].Present && !chance(5) {
		op.Key = rng.IntN(mKeys)
	}
	for range 20 {
		if o.m.c.Services[op.Service].Present {
			break
		}
		op.Service = rng.IntN(mServices)
	}
	switch {
	case chance(60):
		op.Do, op.Conf = "reload", rng.IntN(6)
		return op
	case chance(40):
		op.Do = "snapshot"
		return op
	case chance(9):
		op.Do, op.Kind = "tested", Kind(rng.IntN(int(kinds)))
		for k := range o.m.c.Keys { // there may be one that waits for it
			for _, h := range o.m.holders(o.m.cred(k)) {
				if h != nil && h.Slots[0].Hold.On && h.Slots[0].Hold.Confirm {
					op.Key = k
				}
			}
		}
		return op
	case chance(7):
		op.Do = "act"
		verbs := []Verb{VerbDisable, VerbEnable, VerbEnable, VerbDrain, VerbFail, VerbLift, VerbReset, VerbPin, VerbUnpin, VerbUnpin, VerbRotate, VerbLend, VerbUnlend, VerbUndo, VerbUndo}
		op.Verb = verbs[rng.IntN(len(verbs))]
		op.For = pick(0, 2*time.Second, 30*time.Second, time.Hour)
		switch op.Verb {
		case VerbDisable, VerbEnable, VerbDrain, VerbFail:
			op.Service = nobody
		case VerbUnpin:
			op.Key = nobody
		case VerbPin, VerbRotate:
			if chance(2) {
				op.Key = nobody
			}
		case VerbLift, VerbReset:
			if chance(2) {
				op.Key = nobody
			} else {
				op.Service = nobody
			}
		case VerbUndo:
			op.Key, op.Service = nobody, nobody
		}
		op.Client = 0
		return op
	}
	switch o.m.clients[op.Client].Phase {
	case idle:
		op.Do, op.Model, op.Scope = "begin", rng.IntN(3), []int{0, 3, 3, 4}[rng.IntN(4)]
		op.Create, op.Once, op.Talk = chance(4), chance(10), max(rng.IntN(5)-1, 0)
		if chance(8) {
			op.Patience = 2 * time.Second
		}
	case leased:
		if chance(20) {
			op.Do, op.How = "close", []string{"", "left", "left", "cut"}[rng.IntN(4)]
			break
		}
		op.Do = "judge"
		op.Kind = []Kind{OK, OK, OK, OK, OK, OK, RateLimited, RateLimited, QuotaExhausted, InvalidKey, PermissionDenied, ClientError, UpstreamFault, UpstreamFault}[rng.IntN(14)]
		op.Blames = []Scope{ScopeKey, ScopeKey, ScopeAccount}[rng.IntN(3)]
		if op.Kind == PermissionDenied && chance(3) {
			op.Blames = ScopeNone
		}
		if op.Kind != InvalidKey && chance(3) {
			op.Model = 1 + rng.IntN(2)
		}
		switch op.Kind {
		case RateLimited:
			// None is as long as a busy model is rested: with jitter on it, which of two
			// in one moment lasts longer would be chance.
			op.RetryAfter = pick(0, 0, 0, 60*time.Millisecond, 700*time.Millisecond, 2500*time.Millisecond, 40*time.Second, 2*time.Minute, 3*time.Hour)
		case QuotaExhausted:
			op.RetryAfter, op.Until = pick(0, 0, 100*time.Millisecond, 5*time.Second), pick(0, 0, -time.Second, 20*time.Second, time.Hour, 90*24*time.Hour)
		case UpstreamFault:
			op.RetryAfter = pick(0, 0, 5*time.Second, time.Hour)
		}
	case judged:
		op.Do, op.How, op.Input = "close", []string{"", "", "", "", "left", "cut"}[rng.IntN(6)], int64(rng.IntN(3))
	case between:
		if op.Do = "again"; chance(10) {
			op.Do = "abandon"
		}
	case waiting:
		if op.Do = "snapshot"; chance(4) {
			op.Do = "cancel"
		}
	}
	return op
}

// ---- the tests ----

// oracleSteps is how many operations one world lives through.
const oracleSteps = 250

// fuzz runs one seed and returns what failed, nil if nothing did.
func fuzz(t *testing.T, seed uint64, steps int) (failed *oracleRun, done int) {
	var ops []oracleOp
	var trace []string
	err := inBubble(t, seed, func(o *oracle) error {
		rng := rand.New(rand.NewPCG(seed, 0))
		for o.steps < steps {
			batch := o.choose(rng)
			ops = append(ops, batch...)
			if err := o.run(batch); err != nil {
				trace = o.trace
				return err
			}
		}
		done = o.steps
		return o.finish()
	})
	if err == nil {
		return nil, done
	}
	return &oracleRun{Why: err.Error(), Seed: seed, Ops: ops, trace: trace}, done
}

// replayRun runs kept operations again; trace is what happened.
func replayRun(t *testing.T, run *oracleRun) (err error, trace []string) {
	err = inBubble(t, run.Seed, func(o *oracle) error {
		defer func() { trace = o.trace }()
		for ops := run.Ops; len(ops) > 0; {
			n := 1
			for n < len(ops) && ops[n].Batch == ops[0].Batch {
				n++
			}
			if err := o.run(ops[:n]); err != nil {
				return err
			}
			ops = ops[n:]
		}
		return o.finish()
	})
	return err, trace
}

func inBubble(t *testing.T, seed uint64, f func(*oracle) error) (err error) {
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(seed)
		if err = f(o); err != nil {
			o.abort()
		}
	})
	return err
}

// shrink leaves out operations as long as what is left still fails. What
// goroutines do is not the same twice, so each try gets several chances.
func shrink(t *testing.T, run *oracleRun) *oracleRun {
	fails := func(ops []oracleOp) (why string) {
		for range 3 {
			if err, _ := replayRun(t, &oracleRun{Seed: run.Seed, Ops: ops}); err != nil {
				return err.Error()
			}
		}
		return ""
	}
	best := *run
	for size := (len(best.Ops) + 1) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(best.Ops); {
			ops := slices.Concat(best.Ops[:at], best.Ops[min(at+size, len(best.Ops)):])
			if why := fails(ops); why != "" {
				best.Ops, best.Why, smaller = ops, why, true
			} else {
				at += size
			}
		}
		if size == 1 && !smaller {
			break
		}
		size = max(size/2, 1)
	}
	// One after the other is easier to read than all at once.
	alone := slices.Clone(best.Ops)
	for i := range alone {
		alone[i].Batch = i
	}
	if why := fails(alone); why != "" {
		best.Ops, best.Why = alone, why
	}
	return &best
}

func report(t *testing.T, run *oracleRun) {
	small := shrink(t, run)
	err, trace := replayRun(t, small)
	for range 20 {
		if err != nil {
			break
		}
		err, trace = replayRun(t, small)
	}
	if small.Why = fmt.Sprint(err); err == nil {
		small.Why, trace = "once, and not again: "+run.Why, run.trace
	}
	path := filepath.Join("testdata", "oracle", fmt.Sprintf("%d.json", run.Seed))
	data, _ := json.MarshalIndent(small, "", " ")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		_ = os.WriteFile(path, append(data, '\n'), 0o644)
	}
	t.Errorf("seed %d: %s\n\n%d operations are enough (of %d), kept in %s:\n\nbatch         time   operation\n%s\n\nagain: go test -run Oracle -oracle.seed %d ./engine",
		run.Seed, small.Why, len(small.Ops), len(run.Ops), path, strings.Join(trace, "\n"), run.Seed)
}

func TestOracle(t *testing.T) {
	t.Parallel()
	seeds := slices.Clone(oracleSeeds)
	budget := len(seeds) * oracleSteps
	if n, err := strconv.Atoi(os.Getenv("KEYWHEEL_ORACLE")); err == nil {
		budget = n
	}
	if *oracleSeed != 0 {
		seeds, budget = []uint64{*oracleSeed}, 1
	}
	began, total := time.Now(), 0
	for i := 0; total < budget; i++ {
		if i == len(seeds) {
			seeds = append(seeds, rand.Uint64()>>1)
		}
		failed, done := fuzz(t, seeds[i], oracleSteps)
		if failed != nil {
			report(t, failed)
			return
		}
		total += done
	}
	t.Logf("%d operations in %d worlds, %v", total, len(seeds), time.Since(began).Round(time.Millisecond))
}

// TestOracleKept runs again what once failed.
func TestOracleKept(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "oracle", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var run oracleRun
		if err := json.Unmarshal(data, &run); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err, trace := replayRun(t, &run); err != nil {
			t.Errorf("%s: %v\n%s", file, err, strings.Join(trace, "\n"))
		}
	}
}

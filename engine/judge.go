package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrClientLeft is what [Lease.Close] is told when the client went away before
// its answer was whole. No key is blamed for that.
var ErrClientLeft = errors.New("the client left")

// ErrNotSent is what [Lease.Close] is told, wrapped in why, when the request
// never left this machine. No key and no provider is blamed for that.
var ErrNotSent = errors.New("it could not be sent")

// The pauses of DESIGN section 4.
const (
	minHint      = 500 * time.Millisecond
	maxHint      = time.Hour
	minPace      = 50 * time.Millisecond
	maxPace      = time.Second
	maxClimb     = time.Minute
	recentOK     = 10 * time.Second
	firstMoney   = 15 * time.Minute
	maxMoney     = 6 * time.Hour
	firstTrial   = 5 * time.Second
	maxTrial     = 5 * time.Minute
	permitted    = time.Hour
	maxQuotaHint = 35 * 24 * time.Hour
	// pacing is the longest hold that is not news.
	pacing = time.Second
)

// Judge applies what the head of the answer says, and reports whether the
// request should be sent again with another key: then this lease is over and
// the answer is to be dropped. Otherwise the answer goes to the client and
// [Lease.Close] ends the lease. Only the first call counts.
func (l *Lease) Judge(v Verdict) (again bool) {
	now := time.Now()
	if again = l.judge(v, now); again {
		l.tellUsed(l.kind, Usage{}, now)
	}
	return again
}

func (l *Lease) judge(v Verdict, now time.Time) (again bool) {
	e := l.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.over || l.judged {
		return false
	}
	e.sweep(now) // a pin may be over
	defer e.serve(now)
	l.judged, l.kind, l.status = true, v.Kind, v.Evidence.Status
	l.learnAccount(v.Account, now)
	l.answered(&v, now)
	if len(v.Told) > 0 {
		e.freed(l) // there may be more room than was thought
	}
	l.cred.mark()
	l.counted(now)
	r, c := l.req, l.cred
	if len(r.Bound) > 0 {
		v = e.elsewhere(l, v)
		l.kind = v.Kind
	}
	a := r.attempt(r.attempts - 1)
	a.kind, a.status, a.tookMS, a.why, r.head = v.Kind, int16(v.Evidence.Status), int32(now.Sub(l.at).Milliseconds()), v.Rule, now.Sub(r.began)
	c.verdicts.count(v.Kind)
	r.svc.verdicts.count(v.Kind)
	if v.Kind == OK || v.Kind == ClientError {
		e.latency.add(now.Sub(l.at))
		e.succeeded(l, v.Kind, now)
		return len(r.Bound) > 0 && e.askAnother(l, v, now)
	}
	if v.Evidence.TookMS == 0 {
		v.Evidence.TookMS = now.Sub(l.at).Milliseconds()
	}
	v.Evidence.Request = r.ID
	if v.Model != "" && r.Model != "" {
		v.Model = r.Model // upstream may call it by another name
	}
	c.lastFailure = now
	r.svc.failed.add(1, now)
	switch v.Kind {
	case RateLimited:
		e.rateLimited(l, v, now)
		again = true
	case QuotaExhausted:
		e.quotaExhausted(l, v, now)
		again = true
	case InvalidKey:
		e.invalidKey(l, v, now)
		again = true
	case PermissionDenied:
		if v.Scope != ScopeNone {
			e.permissionDenied(l, v, now)
			again = e.another(r, now)
		}
	case UpstreamFault:
		r.faults++
		e.upstreamFault(l, v, now)
		again = r.mayTry() && r.faults < 2 && e.another(r, now)
		if !again && v.Model != "" {
			e.backOff(l, v, now)
		}
	}
	ended := e.endTrials(l, now)
	again = again && !r.Once
	switch {
	case again:
		e.release(l, Usage{}, now)
	case ended:
		e.freed(l) // nobody waits any longer for what it may have brought back
	}
	return again
}

// Close ends a lease whose answer went to the client: u settles the limits,
// err is nil when the answer was whole, [ErrClientLeft], or what cut it short.
// It also ends the request. Only the first call counts.
func (l *Lease) Close(u Usage, err error) {
	now := time.Now()
	if kind, j, first := l.close(&u, err, now); first {
		l.tellUsed(kind, u, now)
		if j != nil {
			l.tellJob(j, now)
		}
	}
}

// close takes out of u what is told there of a job that is not this request's.
func (l *Lease) close(u *Usage, err error, now time.Time) (kind Kind, j *job, first bool) {
	e := l.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.over {
		return l.kind, nil, false
	}
	defer e.serve(now)
	r, c := l.req, l.cred
	if l.made != nil {
		e.toldAtOnce(l, *u)
	}
	if j = e.toldOfJob(l, u); j != nil {
		e.charge(l, j, now)
	}
	e.endTrials(l, now)
	e.release(l, *u, now)
	kind = l.kind
	outcome := ""
	switch {
	case errors.Is(err, ErrClientLeft):
		kind, outcome = ClientError, clientLeft
	case errors.Is(err, ErrNotSent):
		kind, outcome = UpstreamFault, err.Error()
	case err != nil:
		// A cut stream: the client saw a broken connection.
		kind = UpstreamFault
		if l.kind == OK {
			if l.judged { // it was counted; a reset may lie between
				c.verdicts.OK = max(c.verdicts.OK-1, 0)
				r.svc.verdicts.OK = max(r.svc.verdicts.OK-1, 0)
			}
			c.verdicts.count(kind)
			r.svc.verdicts.count(kind)
			c.lastFailure = now
			r.svc.failed.add(1, now)
		}
		outcome = "the answer was cut: " + err.Error()
	}
	if l.kind == ClientError {
		e.clientErrors++
	}
	if r.rotation != nil && outcome == "" {
		outcome = l.outcome(now)
	}
	e.end(r, now, kind, outcome)
	e.traffic.used(*u)
	if j != nil {
		e.traffic.used(j.cost)
	}
	return kind, j, true
}

func (l *Lease) outcome(now time.Time) string {
	saw := "the client saw no error"
	if l.kind != OK {
		saw = "passed to the client"
	}
	return fmt.Sprintf("%s answered %d on attempt %d, %s in all; %s", l.key.Name, l.status, l.req.attempts,
		clock(now.Sub(l.req.began)), saw)
}

// release gives the key and what was reserved back.
func (e *Engine) release(l *Lease, u Usage, now time.Time) {
	l.over = true
	c := l.cred
	for _, h := range l.holders {
		if h != nil {
			h.inFlight--
		}
	}
	e.retired.released(e, c, now)
	if c.inFlight == 0 {
		e.prove(c, false)
	}
	c.mark()
	c.usage.add(u)
	if u.Unpriced {
		c.unpriced++
	}
	e.learnHabits(l.req, u)
	l.settleLimits(u, now)
	e.checkBooks(l, now)
	e.freed(l)
}

// another reports whether a key that the request has not tried can serve it.
func (e *Engine) another(r *Request, now time.Time) bool {
	q := e.query(r, now)
	found := false
	p := r.pin()
	r.svc.all(func(m *member) {
		if !found && (p == nil || p.key == m.key) {
			found = q.can(m)
		}
	})
	return found
}

// target is whom a verdict is about, and whether the answer is of the present
// generation of that slot.
func (l *Lease) target(v Verdict, part string, now time.Time) (h *holder, fresh bool) {
	i := 0
	if v.Scope == ScopeAccount && l.holders[1] != nil {
		i = 1
	}
	h = l.holders[i]
	for j, name := range l.req.parts() {
		if name == part {
			return h, genOf(h.slot(part)) == l.gens[i][j]
		}
	}
	// A model that the request did not name: whatever holds it already stands.
	s := h.slot(part)
	return h, s == nil || s.hold == nil || s.hold.over(now)
}

// succeeded forgets strikes, ends trials, and settles whom the request's
// earlier faults belong to: they were the other keys'.
func (e *Engine) succeeded(l *Lease, kind Kind, now time.Time) {
	r, c := l.req, l.cred
	if kind == OK {
		c.lastOK = now
		c.proven = true
		e.prove(c, false)
	}
	for i, h := range l.holders {
		if h == nil {
			continue
		}
		h.accepted.Add(1, now)
		h.tokens.Add(r.est.input+r.est.output, now)
		for j, part := range r.parts() {
			trial, s := l.trials[i][j], h.slot(part)
			if trial == nil || s == nil || s.hold != trial {
				continue
			}
			s.lift()
			e.emit(Event{At: now, Kind: EventRecovered, Key: l.key.Name, State: Active,
				Text: strings.TrimSpace(fmt.Sprintf("%s recovered after %s: a trial request succeeded", part, clock(now.Sub(trial.since))))})
			e.touched(h, now)
		}
	}
	for i, h := range l.holders {
		if h == nil {
			continue
		}
		if h.all.gen == l.gens[i][0] {
			h.all.forget()
		}
		for j, part := range r.parts() {
			if s := h.part(part); s != nil && s.gen == l.gens[i][j] {
				s.forget()
			}
		}
	}
	e.calm(l.key, now)
	if kind != OK {
		return
	}
	for i := range r.attempts - 1 {
		switch a := r.attempt(i); a.kind {
		case UpstreamFault:
			e.strike(l, a, now)
		case InvalidKey:
			e.rejected(l, a, now)
		}
	}
}

// strike blames a key for a fault, now that another key served the same
// request. Five within a minute make it failing.
func (e *Engine) strike(l *Lease, a *attempt, now time.Time) {
	c := a.cred
	c.changed = true
	if c.retired || a.gens[0][0] != c.all.gen || e.inIncident(c) || !c.all.strike(now) {
		return
	}
	if held := c.all.hold; held != nil && !held.over(now) {
		return // this was its trial: the next comes after twice the pause
	}
	k := c.names[0]
	h := &hold{state: Failing, verdict: UpstreamFault, since: now, by: "engine", wait: firstTrial, trialAt: now.Add(firstTrial),
		why: fmt.Sprintf("%d faults in 60 s where other keys served", len(c.all.strikes))}
	e.place(k, &c.holder, "", h, now)
	e.rotate(l.req, k, h, Verdict{Kind: UpstreamFault, Rule: "5 faults in 60 s on requests that another key served: failing"}, now)
	if l.req.rotation != nil {
		e.rotated(l.req, l.key, now)
	}
}

func (e *Engine) rateLimited(l *Lease, v Verdict, now time.Time) {
	h, fresh := l.target(v, v.Model, now)
	if !fresh {
		return
	}
	s, c := h.at(v.Model), l.cred
	var pause time.Duration
	how := ""
	switch {
	case v.RetryAfter > 0:
		// Only a provider that counts in milliseconds asks for less than a
		// second, and where the key served a moment ago that can be believed.
		floor := minHint
		if now.Sub(c.lastOK) <= recentOK {
			floor = minPace
		}
		pause = min(max(v.RetryAfter, floor), maxHint)
		how = "retry-after " + clock(v.RetryAfter)
		if pause != v.RetryAfter {
			how += ", held " + clock(pause)
		}
		pause += time.Duration(e.rng.Float64() * min(0.05*float64(pause), float64(minHint)))
	case !c.lastOK.IsZero() && now.Sub(c.lastOK) <= recentOK:
		pause = maxPace
		if rate := h.accepted.PerSecond(now); rate > 0 {
			pause = min(max(time.Duration(float64(time.Second)/rate), minPace)<<min(s.climbs, 6), maxPace)
		}
		s.climbs++
		how = "no hint; paced to what it took"
	default:
		pause = min(time.Second<<min(s.climbs, 6), maxClimb)
		s.climbs++
		how = "no hint; pause doubles until a success"
	}
	l.refusedBy(h, v, pause, now)
	l.counted(now)
	e.reject(l, v, h, v.Model, &hold{state: Cooling, until: now.Add(pause), why: causeOf(v) + ", " + how}, now)
}

func (e *Engine) quotaExhausted(l *Lease, v Verdict, now time.Time) {
	h, fresh := l.target(v, v.Model, now)
	if !fresh {
		return
	}
	hd := &hold{state: Exhausted, why: causeOf(v)}
	switch until := v.until(now); {
	case !until.IsZero() && until.After(now):
		hd.until = earlier(until, now.Add(maxQuotaHint))
	case v.RetryAfter > 0:
		hd.until = now.Add(min(max(v.RetryAfter, minHint), maxQuotaHint))
	default:
		hd.wait = firstMoney
		if old := h.at(v.Model).hold; old.forMoney() {
			hd.wait = min(2*old.wait, maxMoney)
		}
		hd.trialAt = now.Add(hd.wait)
	}
	e.reject(l, v, h, v.Model, hd, now)
}

// invalidKey holds the key until the provider's free test call has confirmed
// the rejection. Where there is no such call, three rejections while another
// key succeeds confirm it.
func (e *Engine) invalidKey(l *Lease, v Verdict, now time.Time) {
	h, fresh := l.target(v, "", now)
	if !fresh {
		return
	}
	hd := &hold{state: Failing, why: causeOf(v), part: firstOf(l.req.Model, l.req.Scope)}
	if l.key.CanTest {
		hd.confirming, hd.wait, hd.trialAt = true, time.Minute, now.Add(time.Minute)
		hd.why += ", being confirmed by a test call"
	} else {
		hd.wait = time.Second
		if old := h.all.hold; old != nil && old.verdict == InvalidKey {
			hd.wait = min(2*old.wait, maxTrial)
		}
		hd.trialAt = now.Add(hd.wait)
	}
	e.reject(l, v, h, "", hd, now)
	if hd.confirming {
		e.askProbe(l.key, hd, now)
	}
}

// askProbe asks for a test call of a key.
func (e *Engine) askProbe(k *key, hd *hold, now time.Time) {
	e.emit(Event{At: now, Kind: EventProbe, Key: k.Name, State: hd.state, Text: "asking the provider whether the key is still valid"})
}

// rejected counts a rejection of a key, or of its account, whose request another
// key then served: three of them in a row confirm what no test call did.
func (e *Engine) rejected(l *Lease, a *attempt, now time.Time) {
	c := a.cred
	if c.retired {
		return
	}
	for _, of := range c.holders() {
		if of == nil || of.all.hold == nil {
			continue
		}
		h := of.all.hold
		if h.verdict != InvalidKey || h.state == Revoked {
			continue
		}
		of.changed = true
		if of.all.invalids++; of.all.invalids < 3 {
			continue
		}
		e.place(c.names[0], of, "", &hold{state: Revoked, verdict: InvalidKey, since: now, by: "engine", evidence: h.evidence, rule: h.rule,
			why: causeOf(Verdict{Kind: InvalidKey, Evidence: h.evidence}) + ", three times on requests that another key served"}, now)
	}
}

// Tested tells the engine what the provider's free test call said of a key
// that an [EventProbe] asked about. An OK means that the rejection was of the
// request's model or scope, not of the key; an upstream fault tells nothing,
// and another test may follow.
func (e *Engine) Tested(name string, v Verdict) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.serve(now)
	k := e.keyBy[name]
	if k == nil {
		return
	}
	both := k.cred.holders()
	i := slices.IndexFunc(both[:], func(h *holder) bool { return h != nil && h.all.hold != nil && h.all.hold.confirming })
	if i < 0 {
		return
	}
	h := both[i]
	old := h.all.hold
	switch v.Kind {
	case InvalidKey:
		e.place(k, h, "", &hold{state: Revoked, verdict: InvalidKey, since: now, by: "engine", evidence: old.evidence, rule: old.rule,
			why: fmt.Sprintf("%s, confirmed by a test call", causeOf(Verdict{Kind: InvalidKey, Evidence: old.evidence}))}, now)
	case UpstreamFault, ClientError:
		// It tells nothing of the key: three rejections in a row decide.
		old.why = "rejected, and the test call tells nothing: " + causeOf(v)
		h.changed = true
		return
	case QuotaExhausted:
		e.place(k, h, "", &hold{state: Exhausted, verdict: QuotaExhausted, since: now, by: "engine", evidence: v.Evidence, rule: v.Rule,
			why: causeOf(v), wait: firstMoney, trialAt: now.Add(firstMoney)}, now)
	default:
		h.all.lift()
		if old.part != "" {
			e.place(k, &k.cred.holder, old.part, &hold{state: Cooling, verdict: PermissionDenied, since: now, until: now.Add(permitted), by: "engine",
				evidence: old.evidence, rule: old.rule, why: "rejected for " + old.part + ", though the key is valid"}, now)
		}
		e.emit(Event{At: now, Kind: EventRecovered, Key: k.Name, State: Active, Text: "valid after all: the test call succeeded"})
		e.touched(h, now)
	}
}

func (e *Engine) permissionDenied(l *Lease, v Verdict, now time.Time) {
	part := firstOf(v.Model, l.req.Model, l.req.Scope)
	h, fresh := l.target(v, part, now)
	if part == "" || !fresh {
		return
	}
	e.reject(l, v, h, part, &hold{state: Cooling, until: now.Add(permitted), why: causeOf(v) + " for " + part}, now)
}

// reject places a hold for an explicit rejection and begins the rotation that
// follows from it.
func (e *Engine) reject(l *Lease, v Verdict, h *holder, part string, hd *hold, now time.Time) {
	hd.verdict, hd.since, hd.by, hd.evidence, hd.rule = v.Kind, now, "engine", v.Evidence, v.Rule
	e.place(l.key, h, part, hd, now)
	if hd.until.IsZero() || hd.until.Sub(now) > pacing {
		e.rotate(l.req, l.key, hd, v, now)
	}
}

// place puts a hold on a holder's slot. A hold that goes on for the same reason
// keeps its beginning and is not told again.
func (e *Engine) place(k *key, h *holder, part string, hd *hold, now time.Time) {
	s := h.at(part)
	hd.until = anchored(hd.until, now)
	old := s.hold
	if old != nil && old.state == hd.state && old.verdict == hd.verdict && !old.over(now) {
		hd.since = old.since
	} else {
		old = nil
	}
	s.place(hd)
	if old == nil && part == "" && hd.state < Cooling && !hd.confirming && k.has(h) {
		st := hd.status(e.accountName(h, k), part)
		e.emit(Event{At: now, Kind: EventHold, Key: k.Name, State: hd.state, By: hd.by, Hold: &st, Text: hd.state.String() + ": " + hd.why + whenOver(hd, now)})
	}
	e.touched(h, now)
}

// has reports whether h is of the key's present secret or account.
func (k *key) has(h *holder) bool { return h == &k.cred.holder || h == k.cred.account }

// accountName is the name of the account if h is one, else "".
func (e *Engine) accountName(h *holder, k *key) string {
	if h == k.cred.account {
		return h.name
	}
	return ""
}

// endTrials ends the lease's trials that its answer did not end, and reports
// whether there were any: the next comes after twice the pause.
func (e *Engine) endTrials(l *Lease, now time.Time) (any bool) {
	for i, h := range l.holders {
		for j, t := range l.trials[i] {
			l.trials[i][j] = nil
			if t == nil || !t.trying {
				continue
			}
			t.trying, any = false, true
			if l.judged && l.kind != OK && l.kind != ClientError {
				limit := maxTrial
				if t.state == Exhausted {
					limit = maxMoney
				}
				t.wait = min(2*t.wait, limit)
				t.trialAt = now.Add(t.wait)
			}
			e.readyAll(h, now)
		}
	}
	return any
}

// count adds one answer.
func (v *Verdicts) count(k Kind) {
	switch k {
	case OK:
		v.OK++
	case RateLimited:
		v.RateLimited++
	case QuotaExhausted:
		v.QuotaExhausted++
	case InvalidKey:
		v.InvalidKey++
	case PermissionDenied:
		v.PermissionDenied++
	case ClientError:
		v.ClientError++
	case UpstreamFault:
		v.UpstreamFault++
	}
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

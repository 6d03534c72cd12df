package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// undoDepth is how many actions can be taken back.
const undoDepth = 100

// NotFoundError says that an action names something that is not there.
type NotFoundError struct {
	What    string // "key" or "service"
	Name    string
	Nearest string
}

func (err *NotFoundError) Error() string {
	text := fmt.Sprintf("there is no %s %q", err.What, err.Name)
	if err.Nearest != "" {
		text += fmt.Sprintf(", did you mean %q?", err.Nearest)
	}
	return text
}

// operation is how one verb is carried out.
type operation struct {
	key, service bool // what it must name; both: one of the two
	run          func(e *Engine, a Action, k *key, s *service, now time.Time) (string, error)
}

// operations are filled in by init: undo refers back to them.
var operations map[Verb]operation

func init() {
	operations = map[Verb]operation{
		VerbRotate:  {service: true, run: (*Engine).opRotate},
		VerbPin:     {service: true, run: (*Engine).opPin},
		VerbUnpin:   {service: true, run: (*Engine).opUnpin},
		VerbDisable: {key: true, run: (*Engine).opDisable},
		VerbEnable:  {key: true, run: (*Engine).opEnable},
		VerbDrain:   {key: true, run: (*Engine).opDrain},
		VerbFail:    {key: true, run: (*Engine).opFail},
		VerbLift:    {key: true, service: true, run: (*Engine).opLift},
		VerbReset:   {key: true, service: true, run: (*Engine).opReset},
		VerbLend:    {key: true, service: true, run: (*Engine).opLend},
		VerbUnlend:  {key: true, service: true, run: (*Engine).opUnlend},
		VerbMigrate: {service: true, run: (*Engine).opMigrate},
		VerbUndo:    {run: (*Engine).opUndo},
	}
}

// Do carries out what an operator asks. The error says what is wrong with the
// action, in words for its author; nothing has changed then.
func (e *Engine) Do(a Action) (Result, error) {
	r, _, err := e.Act(a)
	return r, err
}

// Act is [Engine.Do] for the one who keeps what was done.
func (e *Engine) Act(a Action) (Result, Deed, error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	op, ok := operations[a.Verb]
	if !ok {
		return Result{}, Deed{}, fmt.Errorf("there is no action %q", a.Verb)
	}
	if a.By == "" {
		a.By = "operator"
	}
	e.sweepAt = now // what is over by now is not the operator's to end
	e.sweep(now)
	var k *key
	var s *service
	if a.Service != "" {
		if s = e.svcBy[a.Service]; s == nil {
			return Result{}, Deed{}, &NotFoundError{"service", a.Service, nearest(a.Service, e.svcBy)}
		}
	}
	if a.Key != "" {
		if k = e.keyBy[a.Key]; k == nil {
			return Result{}, Deed{}, &NotFoundError{"key", a.Key, nearest(a.Key, e.keyBy)}
		}
	}
	switch {
	case op.key && op.service && k == nil && s == nil:
		return Result{}, Deed{}, fmt.Errorf("%s needs a key or a service", a.Verb)
	case op.key && !op.service && k == nil:
		return Result{}, Deed{}, fmt.Errorf("%s needs a key", a.Verb)
	case op.service && !op.key && s == nil:
		return Result{}, Deed{}, fmt.Errorf("%s needs a service", a.Verb)
	case a.ForS < 0 || a.ForS > (10*365*24*time.Hour).Seconds():
		return Result{}, Deed{}, fmt.Errorf("%s: a duration must be above 0 and under ten years", a.Verb)
	}
	a.Reason = clean(a.Reason)
	d := Deed{At: now, Action: a}
	if a.Verb == VerbUndo {
		if n := len(e.undo); n > 0 {
			d.Undoes = e.undo[n-1].ID
		}
	} else {
		d.Undo = e.remember(a, k, s, now)
	}
	text, err := op.run(e, a, k, s, now)
	e.touch(k, s)
	if err != nil {
		return Result{}, Deed{}, err
	}
	e.actions++
	d.ID, d.Text = e.actions, text
	if d.Undo != nil {
		e.narrow(d.Undo)
		e.noteDeed(d)
	}
	ev := Event{At: now, Kind: EventOperator, Service: a.Service, Key: a.Key, State: Active, By: a.By, Text: text}
	if a.Reason != "" {
		ev.Text += ": " + a.Reason
	}
	if k != nil {
		ev.State, _ = k.state(now)
	}
	e.emit(ev)
	e.expectEnd(now)
	e.dispatch(now)
	return Result{Text: text, Undoable: a.Verb != VerbUndo}, d, nil
}

// touch marks all that an action may have changed.
func (e *Engine) touch(k *key, s *service) {
	if k != nil {
		k.changed = true
		k.cred.mark()
	}
	if s != nil {
		s.changed = true
		for _, c := range credentials(nil, s) {
			c.mark()
		}
	}
}

func (e *Engine) opRotate(a Action, to *key, s *service, now time.Time) (string, error) {
	if s.pin != nil {
		return "", fmt.Errorf("%s is pinned to %s: unpin it first", s.Name, s.pin.key.Name)
	}
	if to != nil && to == s.inUse && s.Strategy == Failover {
		return "", fmt.Errorf("%s is on %s already", s.Name, to.Name)
	}
	if to != nil && !s.serves(to) {
		return "", fmt.Errorf("%s is not one of the keys of %s", to.Name, s.Name)
	}
	from := s.inUse
	r := &Request{svc: s, Repeatable: true}
	q := e.query(r, now)
	next := s.upcoming(q)
	if from == nil {
		from = next
	}
	if to == nil {
		// The key after the one that would serve next: under failover that is
		// the one after the key in use, in turn the one after the next.
		to = s.after(q, from, next)
	}
	if to == nil || to == from {
		err := e.noKey(r, now)
		if from != nil && slices.ContainsFunc(err.Reasons, func(c Candidate) bool { return c.Key != from.Name && c.Why == "can serve" }) {
			return "", fmt.Errorf("%s would go on with %s: no other key comes before it under %s. To use another all the same, pin it", s.Name, from.Name, firstOf(s.Strategy, RoundRobin))
		}
		err.Reasons = slices.DeleteFunc(err.Reasons, func(c Candidate) bool { return from != nil && c.Key == from.Name })
		return "", fmt.Errorf("no other key of %s can take over: %w", s.Name, err)
	}
	back, ok := s.moveTo(to, q)
	if !ok {
		c := e.candidate(q, s.member(to), now)
		return "", fmt.Errorf("%s cannot serve: %s", to.Name, c.Why)
	}
	if got := s.upcoming(q); got != to {
		// A tier above has a key that can serve, or headroom decides.
		back()
		return "", fmt.Errorf("%s would go on with %s: under %s %s does not come before it. To use it all the same, pin it", s.Name, got.Name, firstOf(s.Strategy, RoundRobin), to.Name)
	}
	s.inUse = to
	rot := &Rotation{At: now, Service: s.Name, From: from.Name, To: to.Name, Cause: "rotated by " + a.By, Rule: "the operator asked",
		Next: from.Name + " keeps its place in the turn", Outcome: "no request was touched", By: a.By}
	if s.Strategy == Failover {
		rot.Next = from.Name + " is used again when " + to.Name + " cannot serve"
	}
	rot.Candidates = e.candidates(r, from.Name, to, now)
	s.rotations++
	s.last = rot
	return fmt.Sprintf("rotated %s %s → %s", s.Name, from.Name, to.Name), nil
}

func (s *service) member(k *key) *member {
	var found *member
	s.all(func(m *member) {
		if m.key == k && found == nil {
			found = m
		}
	})
	return found
}

// upcoming is the key that would serve the next request; it changes nothing.
func (s *service) upcoming(q *query) *key {
	for _, t := range s.tiers {
		if i := t.peek(s.strategy, q); i >= 0 {
			return t.members[i].key
		}
	}
	return nil
}

// peek is what the strategy would pick, without picking it.
func (t *tier) peek(st strategy, q *query) int {
	saved := *t
	saved.members = slices.Clone(t.members)
	return st.pick(&saved, q)
}

// after is the key that can serve and stands behind the key in use in the order
// of the config, wrapping round; the one that would be next anyway only if
// there is no other.
func (s *service) after(q *query, from, next *key) *key {
	for _, t := range s.tiers {
		if !slices.ContainsFunc(t.members, func(m member) bool { return m.key == next }) {
			continue // not the tier that serves
		}
		n := len(t.members)
		start := slices.IndexFunc(t.members, func(m member) bool { return m.key == from })
		for off := 1; off <= n; off++ {
			m := &t.members[(start+off+n)%n]
			if m.key != from && q.can(m) {
				return m.key
			}
		}
	}
	return next
}

// moveTo makes a key the next to serve, as far as its strategy asks for the turn;
// back undoes that.
func (s *service) moveTo(to *key, q *query) (back func(), ok bool) {
	for _, t := range s.tiers {
		for i := range t.members {
			m := &t.members[i]
			if m.key == to && q.can(m) {
				next, pass := t.next, m.pass
				t.next, m.pass = i, t.floor
				return func() { t.next, m.pass = next, pass }, true
			}
		}
	}
	return nil, false
}

func (e *Engine) opPin(a Action, k *key, s *service, now time.Time) (string, error) {
	if k == nil {
		if k = s.inUse; k == nil {
			return "", fmt.Errorf("%s has served nothing yet: say which key to pin", s.Name)
		}
	}
	if !s.serves(k) {
		return "", fmt.Errorf("%s is not one of the keys of %s", k.Name, s.Name)
	}
	s.pin = &pin{key: k, by: a.By, until: a.until(now)}
	text := fmt.Sprintf("pinned %s to %s%s", s.Name, k.Name, forWords(a))
	if st, _ := k.state(now); st != Active {
		text += fmt.Sprintf(" (it is %s: requests are refused until it can serve)", st)
	}
	return text, nil
}

func (e *Engine) opUnpin(_ Action, _ *key, s *service, _ time.Time) (string, error) {
	if s.pin == nil {
		return "", fmt.Errorf("%s is not pinned", s.Name)
	}
	text := fmt.Sprintf("unpinned %s from %s", s.Name, s.pin.key.Name)
	s.pin = nil
	return text, nil
}

func (e *Engine) opDisable(a Action, k *key, _ *service, now time.Time) (string, error) {
	why := "disabled by " + a.By
	if a.Reason != "" {
		why += ": " + a.Reason
	}
	k.disabled = &hold{state: Disabled, why: why, since: now, until: a.until(now), by: "operator"}
	e.ready(k, now)
	e.checkHealth(now)
	return "disabled " + k.Name + forWords(a), nil
}

func (e *Engine) opEnable(_ Action, k *key, _ *service, now time.Time) (string, error) {
	if k.disabled == nil && !k.draining {
		st, h := k.state(now)
		if h != nil {
			return "", fmt.Errorf("%s is not disabled, it is %s (%s): lift or reset it", k.Name, st, h.why)
		}
		return "", fmt.Errorf("%s is not disabled", k.Name)
	}
	k.disabled, k.draining = nil, false
	e.ready(k, now)
	e.checkHealth(now)
	text := "enabled " + k.Name
	if st, h := k.state(now); h != nil {
		text += fmt.Sprintf(", which is still %s: %s", st, h.why)
	}
	return text, nil
}

func (e *Engine) opDrain(_ Action, k *key, _ *service, now time.Time) (string, error) {
	if k.draining {
		return "", fmt.Errorf("%s is draining already", k.Name)
	}
	k.draining = true
	e.ready(k, now)
	e.checkHealth(now)
	return fmt.Sprintf("draining %s: %d in flight finish, no new ones", k.Name, k.cred.inFlight), nil
}

func (e *Engine) opFail(a Action, k *key, _ *service, now time.Time) (string, error) {
	if st, h := k.state(now); st < Failing {
		return "", fmt.Errorf("%s is %s already: %s", k.Name, st, h.why)
	}
	why := "marked failed by " + a.By
	if a.Reason != "" {
		why += ": " + a.Reason
	}
	k.cred.all.place(&hold{state: Failing, verdict: UpstreamFault, why: why, since: now, wait: 6 * firstTrial, trialAt: now.Add(6 * firstTrial), by: "operator"})
	e.touched(&k.cred.holder, now)
	return fmt.Sprintf("marked %s failed; one trial in %s", k.Name, clock(6*firstTrial)), nil
}

func (e *Engine) opLift(_ Action, k *key, s *service, now time.Time) (string, error) {
	names, n := e.liftAll(k, s, now)
	if n == 0 {
		return "", fmt.Errorf("nothing holds %s", strings.Join(names, ", "))
	}
	return fmt.Sprintf("lifted %d %s of %s", n, plural(n, "hold"), strings.Join(names, ", ")), nil
}

func (e *Engine) opReset(_ Action, k *key, s *service, now time.Time) (string, error) {
	names, n := e.liftAll(k, s, now)
	for _, c := range credentials(k, s) {
		c.verdicts, c.requests, c.usage, c.lastFailure = Verdicts{}, 0, Usage{}, time.Time{}
		for _, b := range c.books {
			b.Reset(now)
		}
		e.counted(c, now)
	}
	if k == nil {
		s.verdicts, s.requests, s.failures, s.rotations, s.refused = Verdicts{}, 0, 0, 0, 0
		for _, b := range s.books {
			b.Reset(now)
		}
	}
	return fmt.Sprintf("reset %s: %d %s lifted, counters at zero", strings.Join(names, ", "), n, plural(n, "hold")), nil
}

// liftAll lifts what the engine holds of a key, or of all keys of a service:
// their accounts' holds too. It returns whose, and how many.
func (e *Engine) liftAll(k *key, s *service, now time.Time) (names []string, n int) {
	var holders []*holder
	for _, c := range credentials(k, s) {
		holders = append(holders, &c.holder)
		if c.account != nil && !slices.Contains(holders, c.account) {
			holders = append(holders, c.account)
		}
	}
	for _, h := range holders {
		changed := false
		for _, sl := range h.slots() {
			if sl.hold != nil {
				sl.lift()
				changed = true
				n++
			}
		}
		if changed {
			e.readyAll(h, now)
		}
	}
	e.checkHealth(now)
	if k != nil {
		return []string{k.Name}, n
	}
	return []string{s.Name}, n
}

func (h *holder) slots() []*slot {
	return append([]*slot{&h.all}, slices.Collect(maps.Values(h.parts))...)
}

// credentials are those of a key, or of all keys of a service.
func credentials(k *key, s *service) []*credential {
	if k != nil {
		return []*credential{k.cred}
	}
	var list []*credential
	s.all(func(m *member) {
		if !slices.Contains(list, m.key.cred) {
			list = append(list, m.key.cred)
		}
	})
	return list
}

func (a Action) until(now time.Time) time.Time {
	if a.ForS <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(a.ForS * float64(time.Second)))
}

func forWords(a Action) string {
	if a.ForS <= 0 {
		return ""
	}
	return " for " + clock(time.Duration(a.ForS*float64(time.Second)))
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// clean makes a person's words harmless to print: no control characters, at
// most 200 runes.
func clean(text string) string {
	runes := []rune(Harmless(text))
	return strings.TrimSpace(string(runes[:min(len(runes), 200)]))
}

// nearest is the name most like a misspelt one, "" if none is like it.
func nearest[V any](name string, names map[string]V) string {
	best, bestAt := "", len(name)/2+1
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if d := distance(name, n); d < bestAt {
			best, bestAt = n, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

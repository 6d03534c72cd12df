package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

// query is a filter as typed, understood. All of its terms must hold.
type query struct{ terms []term }

// term is one word of a filter: a word to be found anywhere or in a field, or
// a field's number compared.
type term struct {
	not   bool
	field *field // nil is any
	word  string
	op    string // "" is a word; else < <= > >= =
	value float64
}

// maxTerms is how many terms a filter may have: each has a bit in
// [subject.hits].
const maxTerms = 64

// subject is what a filter looks at: a key (in its service, where that is
// known), a service that has no key, an event, or a request.
type subject struct {
	now     time.Time
	service *service
	words   string // the service's health and needs
	// hits has a bit for each term that the service itself holds, so that it is
	// not asked again for each of its keys.
	hits uint64
	key  *engine.KeyStatus
	// keys finds the key that an event is about.
	keys    map[string]*engine.KeyStatus
	event   *engine.Event
	request *engine.RequestRecord
	spent   *engine.Spent // with its key
}

// field is something a filter can name: text that a word is looked for in, a
// number to compare, or both.
type field struct {
	names []string
	has   func(s *subject, word string) bool
	// number is false where the subject has no such number.
	number func(s *subject) (float64, bool)
	read   func(text string) (float64, error)
}

// fields are what may stand before : < and >.
var fields = []field{
	{names: []string{"state"}, has: func(s *subject, w string) bool {
		switch {
		case s.event != nil:
			return contains(s.event.State.String(), w)
		case s.request != nil:
			return contains(s.request.Outcome, w)
		}
		return s.key != nil && contains(keyWords(s.key), w) || contains(s.words, w)
	}},
	{names: []string{"service", "svc"}, has: func(s *subject, w string) bool {
		switch {
		case s.spent != nil:
			return contains(s.spent.Service, w)
		case s.service != nil:
			return contains(s.service.Name, w)
		case s.event != nil:
			return s.eventServes(w)
		case s.request != nil:
			return contains(s.request.Service, w)
		}
		return s.key != nil && anyContains(s.key.Services, w)
	}},
	{names: []string{"key"}, has: func(s *subject, w string) bool {
		switch {
		case s.key != nil:
			return contains(s.key.Name, w)
		case s.event != nil:
			return contains(s.event.Key, w) || s.event.Rotation != nil && contains(s.event.Rotation.To, w)
		case s.request == nil:
			return false
		}
		found := contains(s.request.Key, w)
		for i := range s.request.Attempts {
			found = found || contains(s.request.Attempts[i].Key, w)
		}
		return found
	}},
	{names: []string{"provider"}, has: func(s *subject, w string) bool {
		return s.key != nil && contains(s.key.Provider, w) || s.service != nil && contains(s.service.Provider, w)
	}},
	{names: []string{"account"}, has: func(s *subject, w string) bool { return s.key != nil && contains(s.key.Account, w) }},
	{names: []string{"project"}, has: func(s *subject, w string) bool { return s.service != nil && contains(s.service.Project, w) }},
	{names: []string{"scope"}, has: func(s *subject, w string) bool { return s.key != nil && anyContains(s.key.Scopes, w) }},
	{names: []string{"kind"}, has: func(s *subject, w string) bool { return s.event != nil && contains(string(s.event.Kind), w) }},
	{names: []string{"by"}, has: func(s *subject, w string) bool {
		return s.event != nil && contains(s.event.By, w) || s.key != nil && contains(holdBy(s.key), w)
	}},
	{names: []string{"model"}, has: func(s *subject, w string) bool {
		return s.request != nil && contains(s.request.Model, w) || s.spent != nil && contains(s.spent.Model, w)
	}},
	{names: []string{"path"}, has: func(s *subject, w string) bool { return s.request != nil && contains(s.request.Path, w) }},
	{names: []string{"id"}, has: func(s *subject, w string) bool { return s.request != nil && contains(s.request.ID, w) }},
	{names: []string{"quota"}, read: readNumber, number: func(s *subject) (float64, bool) {
		if q := s.pool(); q != nil {
			return q.fraction() * 100, true
		}
		return 0, false
	}},
	{names: []string{"runway"}, read: readSpan, number: func(s *subject) (float64, bool) {
		if s.key == nil && s.service == nil {
			return 0, false
		}
		if q := s.pool(); q != nil && lasting(q.per) {
			return q.seconds(), true
		}
		return math.Inf(1), true
	}},
	{names: []string{"resets"}, read: readSpan, number: func(s *subject) (float64, bool) {
		if q := s.pool(); q != nil && !q.resets.IsZero() {
			return q.resets.Sub(s.now).Seconds(), true
		}
		return 0, false
	}},
	{names: []string{"fail", "failed"}, read: readNumber, number: func(s *subject) (float64, bool) {
		switch {
		case s.key != nil:
			return float64(s.key.Verdicts.Failed()), true
		case s.service != nil:
			return float64(s.service.Verdicts.Failed()), true
		}
		return 0, false
	}},
	{names: []string{"rate"}, read: readNumber, number: ofSubject(
		func(k *engine.KeyStatus) float64 { return k.PerMin }, func(s *service) float64 { return s.PerMin }, nil)},
	{names: []string{"inflight"}, read: readNumber, number: ofSubject(
		func(k *engine.KeyStatus) float64 { return float64(k.InFlight) }, func(s *service) float64 { return float64(s.InFlight) }, nil)},
	{names: []string{"cost"}, read: readNumber, number: ofSubject(
		func(k *engine.KeyStatus) float64 { return k.CostUSD }, nil, func(r *engine.RequestRecord) float64 { return r.CostUSD })},
	{names: []string{"tokens"}, read: readNumber, number: ofSubject(
		func(k *engine.KeyStatus) float64 { return float64(k.InputTokens + k.OutputTokens) }, nil,
		func(r *engine.RequestRecord) float64 { return float64(r.InputTokens + r.OutputTokens) })},
	{names: []string{"status"}, read: readNumber,
		has: func(s *subject, w string) bool {
			if s.request == nil {
				return false
			}
			w = strings.TrimRight(w, "x")
			found := strings.HasPrefix(strconv.Itoa(s.request.Status), w)
			for i := range s.request.Attempts {
				found = found || strings.HasPrefix(strconv.Itoa(s.request.Attempts[i].Status), w)
			}
			return found
		},
		number: ofSubject(nil, nil, func(r *engine.RequestRecord) float64 { return float64(r.Status) })},
	{names: []string{"attempts"}, read: readNumber, number: ofSubject(nil, nil, func(r *engine.RequestRecord) float64 { return float64(len(r.Attempts)) })},
	{names: []string{"took"}, read: readSpan, number: ofSubject(nil, nil, func(r *engine.RequestRecord) float64 { return float64(r.TookMS) / 1000 })},
	{names: []string{"waited"}, read: readSpan, number: ofSubject(nil, nil, func(r *engine.RequestRecord) float64 { return float64(r.WaitedMS) / 1000 })},
	{names: []string{"age"}, read: readSpan, number: func(s *subject) (float64, bool) {
		switch {
		case s.event != nil:
			return s.now.Sub(s.event.At).Seconds(), true
		case s.request != nil:
			return s.now.Sub(s.request.At).Seconds(), true
		}
		return 0, false
	}},
}

// ofSubject is a number of whichever of the three the subject is.
func ofSubject(key func(*engine.KeyStatus) float64, svc func(*service) float64, req func(*engine.RequestRecord) float64) func(*subject) (float64, bool) {
	return func(s *subject) (float64, bool) {
		switch {
		case s.key != nil && key != nil:
			return key(s.key), true
		case s.key == nil && s.service != nil && svc != nil:
			return svc(s.service), true
		case s.request != nil && req != nil:
			return req(s.request), true
		}
		return 0, false
	}
}

// pool is the limit that the subject's quota and runway are of.
func (s *subject) pool() *pool {
	switch {
	case s.key != nil:
		return ofKey(s.key, s.now)
	case s.service != nil:
		return s.service.pool
	}
	return nil
}

func fieldNamed(name string) *field {
	for i := range fields {
		for _, n := range fields[i].names {
			if n == name {
				return &fields[i]
			}
		}
	}
	return nil
}

func fieldNames() string {
	var names []string
	for _, f := range fields {
		names = append(names, f.names[0])
	}
	return strings.Join(names, ", ")
}

func readNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.Trim(text, "%$"), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return v, nil
}

// readSpan reads a duration in seconds: "1h", "90m", "0.5s"; a bare number is
// minutes.
func readSpan(text string) (float64, error) {
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return v * 60, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d.Seconds(), nil
	}
	d, err := parseFor(text)
	return d.Seconds(), err
}

// parseQuery reads a filter: words that must all be found, "field:word",
// "field<number", and "!" before any of them for what must not be.
func parseQuery(text string) (query, error) {
	var q query
	for _, w := range strings.Fields(strings.ToLower(text)) {
		var t term
		if rest, ok := strings.CutPrefix(w, "!"); ok {
			t.not, w = true, rest
		}
		if i := strings.IndexAny(w, ":<>="); i > 0 {
			name, op := w[:i], w[i:i+1]
			w = w[i+1:]
			if op != ":" && op != "=" && strings.HasPrefix(w, "=") {
				op, w = op+"=", w[1:]
			}
			f := fieldNamed(name)
			if f == nil {
				return q, fmt.Errorf("no field %q: %s", name, fieldNames())
			}
			t.field = f
			switch {
			case w == "":
			case op == ":" && f.has != nil || f.number == nil && (op == ":" || op == "="):
			case f.number == nil:
				return q, fmt.Errorf("%s takes a word: %s:word", name, name)
			default:
				v, err := f.read(w)
				if err != nil {
					return q, fmt.Errorf("%s: %w", name, err)
				}
				t.op, t.value = strings.Replace(op, ":", "=", 1), v
			}
		}
		if w == "" {
			continue // still being typed
		}
		t.word = w
		if len(q.terms) == maxTerms {
			return q, fmt.Errorf("a filter takes at most %d words", maxTerms)
		}
		q.terms = append(q.terms, t)
	}
	return q, nil
}

func (q query) empty() bool { return len(q.terms) == 0 }

// holds reports whether the i-th term is true of the subject.
func (t *term) holds(s *subject, i int) bool {
	switch {
	case t.op != "":
		v, ok := t.field.number(s)
		return ok && compare(v, t.op, t.value) != t.not
	case t.field != nil:
		return t.field.has(s, t.word) != t.not
	}
	return (s.hits>>i&1 == 1 || s.mentions(t.word)) != t.not
}

func compare(v float64, op string, with float64) bool {
	switch op {
	case "<":
		return v < with
	case "<=":
		return v <= with
	case ">":
		return v > with
	case ">=":
		return v >= with
	default:
		return v == with
	}
}

// eventServes reports whether a word is found in the service that an event is
// about, or in one that its key serves where it is about the key alone.
func (s *subject) eventServes(w string) bool {
	if s.event.Service != "" {
		return contains(s.event.Service, w)
	}
	k := s.keys[s.event.Key]
	return k != nil && anyContains(k.Services, w)
}

// mentions reports whether a bare word is found anywhere in the subject.
func (s *subject) mentions(w string) bool {
	switch {
	case s.spent != nil:
		return contains(s.spent.Service, w) || contains(s.spent.Key, w) || contains(s.spent.Model, w) || contains(s.spent.Account, w)
	case s.event != nil:
		ev := s.event
		return s.eventServes(w) || contains(ev.Key, w) || contains(ev.Text, w) || contains(ev.State.String(), w) ||
			contains(string(ev.Kind), w) || contains(ev.By, w)
	case s.request != nil:
		r := s.request
		found := contains(r.Service, w) || contains(r.Key, w) || contains(r.Path, w) || contains(r.Model, w) || contains(r.Outcome, w) ||
			contains(r.Method, w) || contains(r.ID, w) || contains(r.From, w) || strconv.Itoa(r.Status) == w
		for i := range r.Attempts {
			found = found || contains(r.Attempts[i].Key, w)
		}
		return found
	}
	if k := s.key; k != nil && (contains(k.Name, w) || contains(keyWords(k), w) || contains(k.Account, w) ||
		s.service == nil && (contains(k.Provider, w) || anyContains(k.Services, w))) {
		return true
	}
	return s.key == nil && s.serviceMentions(w)
}

// serviceMentions reports whether a bare word is found in the service.
func (s *subject) serviceMentions(w string) bool {
	return contains(s.words, w) || s.service != nil && (contains(s.service.Name, w) || contains(s.service.Provider, w) || contains(s.service.Project, w))
}

// contains is strings.Contains without regard to case; word is lower case.
func contains(text, word string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return strings.Contains(strings.ToLower(text), word)
		}
	}
	return strings.Contains(text, word)
}

func anyContains(list []string, word string) bool {
	for _, text := range list {
		if contains(text, word) {
			return true
		}
	}
	return false
}

func (q query) match(s *subject) bool {
	for i := range q.terms {
		if !q.terms[i].holds(s, i) {
			return false
		}
	}
	return true
}

// serviceWords are the states of a service that a filter finds: its health and
// what it needs. They count for each of its keys.
func serviceWords(s *service) string {
	words := s.Health
	if w := s.rank.String(); w != words && s.rank != rankHeld {
		words += " " + w
	}
	if s.Pinned != "" {
		words += " pinned"
	}
	return words
}

// keyWords are the state and the badges of a key, as constants.
func keyWords(k *engine.KeyStatus) string {
	if k.Draining {
		return "draining"
	}
	return k.State.String()
}

// keysOf returns the keys of a service that a filter lets through, and whether
// the service itself is shown.
func (q query) keysOf(s *service, now time.Time) (keys []*engine.KeyStatus, shown bool) {
	if q.empty() {
		return s.keys, true
	}
	sub := subject{now: now, service: s, words: serviceWords(s)}
	if len(s.keys) == 0 {
		return nil, q.match(&sub)
	}
	for i := range q.terms {
		if t := &q.terms[i]; t.field == nil && sub.serviceMentions(t.word) {
			sub.hits |= 1 << i
		}
	}
	for _, k := range s.keys {
		sub.key = k
		if q.match(&sub) {
			keys = append(keys, k)
		}
	}
	return keys, len(keys) > 0
}

package tui

import (
	"fmt"
	"strings"

	"keywheel/engine"
)

// query is a filter as typed, understood. All of its terms must hold.
type query struct{ terms []term }

type term struct {
	not   bool
	field string // "" is any
	word  string
}

// fields are the names that may stand before a colon, with their short forms.
var fields = map[string]string{"state": "state", "service": "service", "svc": "service", "key": "key",
	"provider": "provider", "account": "account", "project": "project"}

// parseQuery reads a filter: words that must all be found, "field:word" and
// "!word" for what must not be.
func parseQuery(text string) (query, error) {
	var q query
	for _, w := range strings.Fields(strings.ToLower(text)) {
		var t term
		if rest, ok := strings.CutPrefix(w, "!"); ok {
			t.not, w = true, rest
		}
		if field, word, ok := strings.Cut(w, ":"); ok {
			known, ok := fields[field]
			if !ok {
				return q, fmt.Errorf("no field %q: state, service, key, provider, account, project", field)
			}
			t.field, w = known, word
		}
		if w == "" {
			continue // still being typed
		}
		t.word = w
		q.terms = append(q.terms, t)
	}
	return q, nil
}

func (q query) empty() bool { return len(q.terms) == 0 }

// subject is what a filter looks at: a key in its service, or a service that
// has no key.
type subject struct{ service, health, key, state, provider, account, project string }

func (t term) holds(s *subject) bool {
	found := false
	switch t.field {
	case "state":
		found = contains(s.state, t.word) || contains(s.health, t.word)
	case "service":
		found = contains(s.service, t.word)
	case "key":
		found = contains(s.key, t.word)
	case "provider":
		found = contains(s.provider, t.word)
	case "account":
		found = contains(s.account, t.word)
	case "project":
		found = contains(s.project, t.word)
	default:
		found = contains(s.service, t.word) || contains(s.key, t.word) || contains(s.state, t.word) ||
			contains(s.health, t.word) || contains(s.provider, t.word) || contains(s.account, t.word) || contains(s.project, t.word)
	}
	return found != t.not
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

func (q query) match(s subject) bool {
	for _, t := range q.terms {
		if !t.holds(&s) {
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
func (q query) keysOf(s *service) (keys []*engine.KeyStatus, shown bool) {
	if q.empty() {
		return s.keys, true
	}
	sub := subject{service: s.Name, health: serviceWords(s), provider: s.Provider, project: s.Project}
	if len(s.keys) == 0 {
		return nil, q.match(sub)
	}
	for _, k := range s.keys {
		sub.key, sub.state, sub.account = k.Name, keyWords(k), k.Account
		if q.match(sub) {
			keys = append(keys, k)
		}
	}
	return keys, len(keys) > 0
}

package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// learnAccount takes in whose key it is, as the provider tells. It fills what
// the config leaves blank, and says where the two contradict each other.
func (e *Engine) learnAccount(k *key, told string, now time.Time) {
	c := k.cred
	if c.told == told {
		return
	}
	c.told = told
	a := c.account
	if a == nil {
		c.account = e.account(nil, k.Provider, told)
		c.account.keys++
		c.account.told = told
		e.readyAll(c.account, now)
		if n := c.account.keys; n > 1 {
			e.emit(Event{At: now, Kind: EventAccount, Key: k.Name, State: Active, By: "engine",
				Text: fmt.Sprintf("is of account %s, says the provider, as are %d other keys: their limits are shared", told, n-1)})
		}
		return
	}
	if a.told == "" {
		a.told = told
		for id, other := range e.accounts {
			if other != a && sameAccount(other.told, told) && strings.HasPrefix(id, k.Provider+"/") {
				e.contradict(k, fmt.Sprintf("accounts %s and %s are one, %s, says the provider: their keys share its limits", a.name, other.name, told), now)
			}
		}
		return
	}
	if !sameAccount(a.told, told) {
		e.contradict(k, fmt.Sprintf("is of %s, says the provider, and not of %s as other keys of account %s", told, a.told, a.name), now)
	}
}

// learnAccount takes in whose key it is, if its answer tells. From then on the
// lease is one of the account's.
func (l *Lease) learnAccount(told string, now time.Time) {
	if told == "" || l.cred.retired {
		return
	}
	l.e.learnAccount(l.cred.names[0], told, now)
	if a := l.cred.account; l.holders[1] == nil && a != nil {
		l.holders[1] = a
		a.inFlight++
	}
}

// contradict tells of a contradiction, once of each key: a provider may name
// another account with every answer.
func (e *Engine) contradict(k *key, text string, now time.Time) {
	if k.cred.contradicted {
		return
	}
	k.cred.contradicted = true
	e.emit(Event{At: now, Kind: EventAccount, Key: k.Name, State: Failing, By: "engine", Text: text})
}

// sameAccount reports whether two ids can be of one account: an answer may leave
// out the part of it that is meant.
func sameAccount(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// accountOf is the account's name, "" where it is unknown.
func (c *credential) accountOf() string {
	if c.account == nil {
		return ""
	}
	return c.account.name
}

// accountCount is how many accounts the service's keys are of; each key whose
// account is unknown counts for itself.
func (s *service) accountCount() int {
	seen := map[*holder]bool{}
	s.all(func(m *member) {
		h := m.key.cred.account
		if h == nil {
			h = &m.key.cred.holder
		}
		seen[h] = true
	})
	return len(seen)
}

// can is what the service can still do: for each scope it needs, or that its
// keys are for, how many keys can serve it.
func (s *service) can(now time.Time) []ScopeStatus {
	scopes := append([]string{}, s.Needs...)
	if len(scopes) == 0 {
		s.all(func(m *member) {
			for _, scope := range m.key.Scopes {
				if !slices.Contains(scopes, scope) {
					scopes = append(scopes, scope)
				}
			}
		})
	}
	list := make([]ScopeStatus, 0, len(scopes))
	for _, scope := range scopes {
		st := ScopeStatus{Scope: scope}
		s.all(func(m *member) {
			k := m.key
			state, _ := k.state(now)
			if state == Active && !k.draining && k.isFor(scope) && k.cred.partHold("", scope, now) == nil {
				st.Usable++
			}
		})
		list = append(list, st)
	}
	return list
}

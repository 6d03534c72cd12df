package checkup

import (
	"fmt"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/config"
)

// serviceQuestions are what every service is asked, in this order. st is what is
// known of it; nil is nothing.
var serviceQuestions = []struct {
	about  string
	answer func(l *look, s *engine.Service, st *engine.ServiceStatus) Finding
}{{"health", (*look).serves}, {"needs", (*look).needs}, {"isolation", (*look).isolation}}

func (l *look) service(s *engine.Service) Service {
	st := l.health[s.Name]
	r := Service{Name: s.Name, Required: s.Required, Planned: s.Planned, Health: l.healthOf(s), Usable: l.usableOf(s),
		Keys: append([]string{}, s.Keys...), Fallback: append([]string{}, s.Fallback...)}
	if keys := l.all(s); len(keys) > 0 {
		r.Provider = keys[0].Provider
	}
	for _, q := range serviceQuestions {
		f := q.answer(l, s, st)
		f.About = q.about
		r.Findings = append(r.Findings, f)
	}
	r.Findings = append(r.Findings, l.remarks(config.Subject{Service: s.Name})...)
	r.Mark = worst(r.Findings)
	return r
}

// healthOf is the service's health; where nothing is known of it, what its keys
// tell.
func (l *look) healthOf(s *engine.Service) string {
	if st := l.health[s.Name]; st != nil {
		return st.Health
	}
	switch n := l.usableOf(s); {
	case n == 0:
		return engine.HealthDown
	case n < len(l.all(s)):
		return engine.HealthDegraded
	default:
		return engine.HealthOK
	}
}

func (l *look) usableOf(s *engine.Service) (n int) {
	for _, k := range l.all(s) {
		if l.usable(k) {
			n++
		}
	}
	return n
}

// serves asks whether it can serve.
func (l *look) serves(s *engine.Service, st *engine.ServiceStatus) Finding {
	all, usable := len(l.all(s)), l.usableOf(s)
	keys := fmt.Sprintf("%d of %s", usable, count(all, "key"))
	if f, told := l.take(config.Subject{Service: s.Name}, fmt.Sprintf("%s, ", count(all, "key"))); told {
		_, accounts, _ := strings.Cut(f.Text, ", ") // "2 accounts (team-a: 2, team-b: 1)"
		keys += " of " + accounts
	}
	switch {
	case s.Planned && all == 0:
		return Finding{Text: "planned, without a key yet"}
	case s.Planned:
		return Finding{Text: "planned, " + keys}
	case l.healthOf(s) == engine.HealthDown:
		f := Finding{Mark: Act, Text: "down: none of its keys can serve", Do: "see its keys above: " + some(slices.Concat(s.Keys, s.Fallback))}
		if s.Required {
			f.Text = "down, and required: none of its keys can serve"
		}
		if st != nil && st.FirstBack != nil {
			f.Text += ", the first is back" + strings.Replace(l.until(st.FirstBack), " until ", " at ", 1)
		}
		return f
	case l.healthOf(s) == engine.HealthDegraded:
		return Finding{Mark: Note, Text: "degraded, " + keys + " can serve"}
	case st != nil && st.Pinned != "":
		return Finding{Mark: Note, Text: "pinned to " + st.Pinned + l.until(st.PinnedUntil), Do: fmt.Sprintf("`keywheel unpin %s` lets the others serve too", s.Name)}
	default:
		return Finding{Text: keys}
	}
}

// needs asks whether its keys may do what it needs.
func (l *look) needs(s *engine.Service, st *engine.ServiceStatus) Finding {
	var parts []string
	for _, need := range s.Needs {
		n, can := 0, 0
		for _, k := range l.all(s) {
			if may(k, need) {
				n++
				if l.usable(k) {
					can++
				}
			}
		}
		if n > 0 && can == 0 && l.usableOf(s) > 0 {
			return Finding{Mark: Act, Text: fmt.Sprintf("cannot do %s now: no key that may is usable", need)}
		}
		parts = append(parts, need)
	}
	if len(parts) == 0 {
		return Finding{}
	}
	return Finding{Text: "for " + strings.Join(parts, ", ")}
}

// isolation asks with whom it shares limits, money and faults.
func (l *look) isolation(s *engine.Service, _ *engine.ServiceStatus) Finding {
	if s.Planned {
		return Finding{}
	}
	var own, shared []string // what the purses are called
	with := map[string]bool{}
	var others []string
	seen := map[purse]bool{}
	named := true
	for _, k := range l.all(s) {
		p := l.purse(k)
		if seen[p] {
			continue
		}
		seen[p] = true
		name := l.account(k)
		if name == "" {
			name, named = k.Name, false
		}
		alone := true
		for _, o := range l.purses[p] {
			if o.Name == s.Name {
				continue
			}
			alone = false
			if !with[o.Name] {
				with[o.Name] = true
				others = append(others, o.Name)
			}
		}
		if alone {
			own = append(own, name)
		} else {
			shared = append(shared, name)
		}
	}
	what := "account"
	if !named {
		what = "key"
	}
	switch {
	case len(seen) == 0:
		return Finding{}
	case len(shared) == 0:
		return Finding{Text: "shares nothing"}
	case len(own) > 0:
		return Finding{Text: fmt.Sprintf("shares %s with %s; its own: %s", some(shared), among(others), some(own))}
	case len(shared) == 1:
		return Finding{Text: fmt.Sprintf("shares its only %s with %s", what, among(others))}
	default:
		return Finding{Text: fmt.Sprintf("shares all its %ss with %s", what, among(others))}
	}
}

package checkup

import (
	"fmt"
	"slices"
	"strings"

	"keywheel/engine"
)

// Advice is what could be better and need not be: it never needs a person.
type Advice struct {
	// About is "strategy", "number", "scattered", "plans", "accounts" or "tokens".
	About string `json:"about"`
	Text  string `json:"text"`
}

// loads are how many keys a service should have, by how it is used.
var loads = []struct {
	words       string
	least, most int
}{
	{"in light use", 2, 3},
	{"in production (required)", 3, 5},
	{"under high load", 5, 10},
}

// Indexes into loads, and what makes a load high: requests a minute, and the part
// of them that is rate limited.
const (
	light = iota
	production
	high

	highPerMin  = 120
	highLimited = 0.02
	highSample  = 100 // requests that say something
)

func (l *look) advice() []Advice {
	list := []Advice{}
	for _, about := range []struct {
		name string
		give func() []string
	}{{"strategy", l.adviseStrategy}, {"number", l.adviseNumber}, {"scattered", l.adviseScattered}, {"plans", l.advisePlans}, {"accounts", l.adviseAccounts}, {"tokens", l.adviseTokens}} {
		for _, text := range about.give() {
			list = append(list, Advice{about.name, text})
		}
	}
	return list
}

// why is what each strategy is better at.
var why = map[string]string{
	Separate: "then quota, cost, permissions and faults of one are not the others' affair",
	Hybrid:   "give each dedicated key the one scope that its service needs (scopes = [\"video\"]), so that it can do nothing else",
	Shared:   "simple to look after, and its quota is in one place; what one service uses up, the others lack",
}

func (l *look) adviseStrategy() (list []string) {
	for _, s := range l.strategies() {
		if s.InForce == Single {
			continue
		}
		text := fmt.Sprintf("%s: %s and %s that can serve: in force is %s", s.Provider, count(s.Services, "service"), count(s.Keys, "key"), ways[s.InForce])
		if s.Fits() {
			text += ", which suits"
		} else {
			text += fmt.Sprintf("; %s would suit: %s", ways[s.Suits], why[s.Suits])
		}
		list = append(list, text)
	}
	return list
}

// load says how a service is used.
func (l *look) load(s *engine.Service) int {
	st := l.health[s.Name]
	switch {
	case st != nil && (st.Waiting > 0 || st.PerMin >= highPerMin || st.Requests >= highSample && float64(st.Verdicts.RateLimited) > highLimited*float64(st.Requests)):
		return high
	case s.Required:
		return production
	default:
		return light
	}
}

// adviseNumber tells of services with fewer keys than others have that are used
// like them.
func (l *look) adviseNumber() (list []string) {
	short := make([][]string, len(loads))
	for i := range l.cfg.Engine.Services {
		s := &l.cfg.Engine.Services[i]
		n := len(distinct(l.all(s)))
		if load := l.load(s); !s.Planned && n < loads[load].least {
			short[load] = append(short[load], fmt.Sprintf("%s has %d", s.Name, n))
		}
	}
	var parts []string
	for i, names := range short {
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%s, where %d to %d are usual: %s", loads[i].words, loads[i].least, loads[i].most, some(names)))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{"few keys to turn to when one fails; " + strings.Join(parts, "; ")}
}

// adviseScattered tells of a key that is idle while another of its provider
// starves.
func (l *look) adviseScattered() (list []string) {
	if l.seen.Untried {
		return nil
	}
	told := map[string]bool{}
	for i := range l.cfg.Engine.Services {
		s := &l.cfg.Engine.Services[i]
		keys := l.all(s)
		starving := slices.IndexFunc(keys, l.starves)
		if s.Planned || starving < 0 || slices.ContainsFunc(keys, l.idle) {
			continue
		}
		from := keys[starving]
		for j := range l.cfg.Engine.Keys {
			k := &l.cfg.Engine.Keys[j]
			if k.Provider != from.Provider || told[k.Name] || !l.idle(k) || l.purse(k) == l.purse(from) || !helps(k, s) {
				continue
			}
			told[k.Name] = true
			list = append(list, fmt.Sprintf("quota lies idle: %s serves nothing while %s of %s is %s: `keywheel lend %s %s --for 2h`, or list it in its fallback",
				k.Name, from.Name, s.Name, l.plight(from), k.Name, s.Name))
			break
		}
	}
	return list
}

// helps reports whether a key may do any of what a service needs.
func helps(k *engine.Key, s *engine.Service) bool {
	return covers(k, s) || slices.ContainsFunc(s.Needs, func(need string) bool { return may(k, need) })
}

// starves reports whether a key lacks quota.
func (l *look) starves(k *engine.Key) bool { return l.plight(k) != "" }

// plight says what quota a key lacks; "" is none.
func (l *look) plight(k *engine.Key) string {
	st := l.status[k.Name]
	switch {
	case st == nil:
		return ""
	case st.State == engine.Exhausted || st.State == engine.Cooling:
		return st.State.String()
	case st.State == engine.Active && slices.ContainsFunc(st.Limits, func(limit engine.LimitStatus) bool {
		return limit.Amount > 0 && limit.Remaining < few*limit.Amount && limit.Unit != "concurrent"
	}):
		return "near its limit"
	default:
		return ""
	}
}

// idle reports whether a key could serve, and has not of late.
func (l *look) idle(k *engine.Key) bool {
	st := l.status[k.Name]
	return st != nil && st.Usable() && st.InFlight == 0 && st.PerMin == 0 && !l.starves(k) && l.unused(st)
}

// unused reports whether next to nothing of a key's limits is used. One that has
// none counts by its requests.
func (l *look) unused(st *engine.KeyStatus) bool {
	if len(st.Limits) == 0 {
		return st.Requests == 0
	}
	return !slices.ContainsFunc(st.Limits, func(limit engine.LimitStatus) bool { return limit.Used > few*limit.Amount })
}

// advisePlans tells of a provider's keys that are paid for in different ways, in
// different services; within one the config warns.
func (l *look) advisePlans() (list []string) {
	for _, provider := range l.providers() {
		plans := map[string]bool{}
		var says []string
		for i := range l.cfg.Engine.Keys {
			if k := &l.cfg.Engine.Keys[i]; k.Provider == provider && k.Plan != "" && !plans[k.Plan] {
				plans[k.Plan] = true
				says = append(says, k.Name+" is "+k.Plan)
			}
		}
		if len(plans) > 1 {
			list = append(list, fmt.Sprintf("plans of %s differ (%s): one plan for all keys mostly costs less together, and is easier to compare", provider, some(says)))
		}
	}
	return list
}

// providers are those that have keys, in the order of the config.
func (l *look) providers() []string {
	var list []string
	for _, k := range l.cfg.Engine.Keys {
		if !slices.Contains(list, k.Provider) {
			list = append(list, k.Provider)
		}
	}
	return list
}

// adviseAccounts tells of several keys that are all of one account, and of keys
// of which nobody knows whose they are.
func (l *look) adviseAccounts() (list []string) {
	var unknown []string
	for _, provider := range l.providers() {
		accounts := map[string]bool{}
		var nameless []string
		keys := l.usableKeys(provider)
		for _, k := range keys {
			if a := l.account(k); a != "" {
				accounts[a] = true
			} else {
				nameless = append(nameless, k.Name)
			}
		}
		switch {
		case len(keys) < 2:
		case len(nameless) > 0:
			unknown = append(unknown, nameless...)
		case len(accounts) == 1:
			list = append(list, fmt.Sprintf("one account behind all %d keys of %s (%s): they share its limits and its money. Keys of another account, or another provider, widen both",
				len(keys), provider, l.account(keys[0])))
		}
	}
	if len(unknown) > 0 && l.cfg.Path != "" { // variables cannot tell
		list = append(list, fmt.Sprintf("whose are they? %s: `account = \"...\"` in the config tells which keys share limits", some(unknown)))
	}
	return list
}

// adviseTokens tells who may use services that ask for no token. They listen on
// this machine only, or the config would be wrong.
func (l *look) adviseTokens() []string {
	var open []string
	for _, s := range l.cfg.Engine.Services {
		if s.TokenRef == "" && !s.Planned {
			open = append(open, s.Name)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("every user and program of this machine may use what asks for no token: %s. `token = \"env:...\"` in the config lets in only who shows it", some(open))}
}

// line is a place of a proposal in words.
func (p Place) line() (who, key, what string) {
	if p.Service == "" {
		return "(a further service)", p.Key, strings.TrimPrefix("one that is still to come, or a fallback; "+p.Purpose, "; ")
	}
	return p.Service, p.Key, p.Purpose
}

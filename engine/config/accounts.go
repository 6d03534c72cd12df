package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// resolveAccounts finds out whose accounts the declared ones are: a name is one
// provider's, and its keys tell which.
func (r *resolver) resolveAccounts() {
	named := map[string][]string{} // the providers of the keys that name it
	for _, decl := range r.decl.keys {
		name, of := decl.key.Account, decl.key.Provider
		if name == "" {
			continue
		}
		if list := named[name]; of == "" || slices.Contains(list, of) {
			named[name] = list
		} else {
			named[name] = append(list, of)
		}
	}
	for _, decl := range r.decl.accounts {
		a := &decl.account
		if r.findProvider(decl, named) {
			setZone(a.Limits, r.kindNamed(a.Provider))
			a.Source = r.source(decl.path)
			r.config.Engine.Accounts = append(r.config.Engine.Accounts, *a)
		}
	}
	r.tellUndeclared()
	r.tellNamesakes(named)
}

// findProvider fills in whose account it is, and reports whether any key is of
// it.
func (r *resolver) findProvider(decl *accountDecl, named map[string][]string) bool {
	a, s := &decl.account, at(decl.path.join("provider"))
	noKey := spot{decl.path, decl.path, "no key"}
	of, any := named[a.Name]
	switch {
	case a.Provider == "" && r.has(s.path), a.Provider != "" && !r.knows(a.Provider, s):
		return false // said already
	case !any:
		r.hint(noKey, "is of this account%s", didYouMean(a.Name, slices.Sorted(maps.Keys(named))))
		return false
	case a.Provider == "" && len(of) > 1:
		r.fail(s, "is not set, and keys of %s name this account: say whose it is", strings.Join(of, " and of "))
		return false
	case a.Provider != "" && !slices.Contains(of, a.Provider):
		r.hint(noKey, "of %s is of this account; those that name it are of %s", a.Provider, strings.Join(of, " and of "))
		return false
	case a.Provider == "" && len(of) == 1:
		a.Provider = of[0]
	}
	return a.Provider != ""
}

// kindNamed is the built-in provider whose answers the one of this name speaks.
func (r *resolver) kindNamed(name string) string {
	if up := r.providers[name]; up != nil && up.Provider != nil {
		return up.Name
	}
	return name
}

// tellUndeclared tells of the accounts that [accounts] leaves out, where it has
// others of their provider.
func (r *resolver) tellUndeclared() {
	declared, keys := map[string]bool{}, map[account]int{}
	for _, k := range r.config.Engine.Keys {
		keys[accountOf(k)]++
	}
	for _, a := range r.config.Engine.Accounts {
		declared[a.Provider] = true
		delete(keys, account{a.Provider, a.Name})
	}
	for _, decl := range r.decl.keys {
		a := account{decl.key.Provider, decl.key.Account}
		if declared[a.provider] && keys[a] > 1 {
			delete(keys, a)
			r.say(at(decl.path.join("account")), "%s is not in [accounts], so its keys share no limits", a.name)
		}
	}
}

// tellNamesakes tells of one name for accounts of several providers.
func (r *resolver) tellNamesakes(named map[string][]string) {
	for _, decl := range r.decl.keys {
		if of := named[decl.key.Account]; len(of) > 1 {
			r.say(at(decl.path.join("account")), "%s is one of %s: they share the name and nothing else", decl.key.Account, strings.Join(of, " and another of "))
			delete(named, decl.key.Account)
		}
	}
}

// account tells keys that share limits from those that do not.
type account struct{ provider, name string }

// accountOf is the key's; one that names none is taken to be by itself.
func accountOf(k engine.Key) account {
	if k.Account == "" {
		return account{k.Provider, "key " + k.Name}
	}
	return account{k.Provider, k.Account}
}

// checkAccounts tells of a service whose keys share their limits.
func checkAccounts(l *loader, s engine.Service, keys []engine.Key, at declared) {
	members := map[account]int{}
	var accounts []account
	unknown := 0
	for _, k := range keys {
		a := accountOf(k)
		if members[a]++; members[a] > 1 {
			continue
		}
		if k.Account == "" {
			unknown++
		} else {
			accounts = append(accounts, a)
		}
	}
	if len(keys) == len(members) {
		return
	}
	if len(members) == 1 {
		l.warn(at.problem("keys", "keys: all are of account %s: taking turns among them does not widen its limits, and when it is out of quota none is left", accounts[0].name))
		return
	}
	var parts []string
	for _, a := range accounts {
		parts = append(parts, fmt.Sprintf("%s: %d", a.name, members[a]))
	}
	if unknown > 0 {
		parts = append(parts, fmt.Sprintf("not named: %d", unknown))
	}
	l.note(at.problem("keys", "%s, %s (%s)", count(len(keys), "key"), count(len(accounts), "account"), strings.Join(parts, ", ")))
}

// checkLimits tells of a limit of the service that its keys never let it reach.
func checkLimits(l *loader, s engine.Service, keys []engine.Key, at declared) {
	if len(keys) == 0 {
		return
	}
	for _, limit := range s.Limits {
		if all, known := l.together(keys, limit); known && all < limit.Amount {
			l.warn(at.problem("limits", "limits: %s = %v is more than its keys have together, %v", limitName(limit), shownAmount(limit.Amount), shownAmount(all)))
		}
	}
}

// together is what the keys' own limits and those of their accounts allow of
// what a limit counts; known is false if they set no bound to it.
func (l *loader) together(keys []engine.Key, of quota.Limit) (sum float64, known bool) {
	open := map[account]bool{} // a key of it has no such limit
	has := map[account]float64{}
	for _, k := range keys {
		amount, ok := amountOf(k.Limits, of)
		open[accountOf(k)] = open[accountOf(k)] || !ok
		has[accountOf(k)] += amount
	}
	for a, amount := range has {
		for _, decl := range l.config.Engine.Accounts {
			if own, ok := amountOf(decl.Limits, of); ok && a == (account{decl.Provider, decl.Name}) && (open[a] || own < amount) {
				amount, open[a] = own, false
			}
		}
		if open[a] {
			return 0, false
		}
		sum += amount
	}
	return sum, true
}

// amountOf finds the limit that counts the same thing in the same window.
func amountOf(limits []quota.Limit, like quota.Limit) (float64, bool) {
	for _, l := range limits {
		if l.Unit == like.Unit && l.Window == like.Window && l.Calendar == like.Calendar && l.Model == like.Model {
			return l.Amount, true
		}
	}
	return 0, false
}

// shownAmount writes an amount without an exponent.
func shownAmount(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", n), ".00") }

package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// checkAll looks at what can only be seen of all keys and services together.
func (l *loader) checkAll() {
	if l.Options.Listen != "" {
		if wrong := listenAddress(l.Options.Listen); wrong != "" {
			l.error(Problem{File: "--listen", Text: wrong})
		} else {
			l.config.Listen = l.Options.Listen
			l.tell("listen from --listen")
		}
	}
	l.checkAnything()
	l.checkMissing()
	keys := map[string]engine.Key{}
	for _, k := range l.config.Engine.Keys {
		keys[k.Name] = k
	}
	l.checkModels()
	for _, s := range l.config.Engine.Services {
		var has []engine.Key
		for _, name := range slices.Concat(s.Keys, s.Fallback) {
			has = append(has, keys[name])
		}
		l.about(Subject{Service: s.Name}, func() {
			for _, check := range serviceChecks {
				check(l, s, has, l.serviceAt[s.Name])
			}
		})
	}
	l.checkKeys()
}

// checkAnything wants at least one service. Why the environment gave none is
// then what is wrong.
func (l *loader) checkAnything() {
	if len(l.config.Engine.Services) > 0 || len(l.errors) > 0 {
		return
	}
	if l.config.Path == "" {
		l.errors, l.warnings = append(l.errors, l.warnings...), nil
		l.error(Problem{Text: "there is no service: no variable holds a key that can be used"})
		return
	}
	l.error(Problem{File: shown(l.config.Path, l.Dir), Text: "there is no service: write [services.NAME] with the keys it uses"})
}

// checkMissing starts with a key that is missing, and not when all are.
func (l *loader) checkMissing() {
	readable := slices.ContainsFunc(l.config.Engine.Keys, func(k engine.Key) bool { return k.Missing == "" })
	none := !readable && len(l.missing) > 0
	to := &l.warnings
	if none && !l.ToLookAt {
		to = &l.errors
	}
	for _, name := range slices.Sorted(maps.Keys(l.missing)) {
		p := l.missing[name]
		p.Of.Key = name
		*to = append(*to, p)
	}
	if none {
		*to = append(*to, Problem{File: shown(l.config.Path, l.Dir), Text: "no key can be read, so nothing can be served"}.harmless())
	}
}

// checkModels lets each model name lead to one service.
func (l *loader) checkModels() {
	of := map[string]string{}
	services := l.config.Engine.Services
	for i := range services {
		s := &services[i]
		at := l.serviceAt[s.Name]
		s.Models = slices.DeleteFunc(s.Models, func(model string) bool {
			first, taken := of[model]
			if !taken {
				of[model] = s.Name
				return false
			}
			switch {
			case at.fromTOML:
				l.error(at.problem("models", "models: %q is routed to services.%s already", model, bareOrQuoted(first)))
			case s.Aliases[s.Models[0]] != model: // a name given, not derived
				l.warn(at.problem("", "model %s is routed to service %s", printable(model), first))
			}
			return true
		})
	}
}

// serviceChecks look at one service and its keys.
var serviceChecks = []func(l *loader, s engine.Service, keys []engine.Key, at declared){
	checkDoor, checkNeeds, checkProviders, checkAccounts, checkPlans, checkLimits,
}

// checkDoor wants a token where others than this machine can come in.
func checkDoor(l *loader, s engine.Service, _ []engine.Key, at declared) {
	host, _, _ := net.SplitHostPort(l.config.Listen)
	switch {
	case s.Planned || s.TokenRef != "":
	case !loopback(host) && at.fromTOML:
		l.error(at.problem("", "has no token, and %s lets in more than this machine: set token", l.config.Listen))
	case !loopback(host):
		l.error(at.problem("", "a service from the environment has no token, and %s lets in more than this machine: write it into a %s", l.config.Listen, fileName))
	case s.PathToken:
		l.warn(at.problem("path_token", "path_token does nothing without a token"))
	}
}

// checkNeeds wants a key for everything a service says it does.
func checkNeeds(l *loader, s engine.Service, keys []engine.Key, at declared) {
	for _, need := range s.Needs {
		if near := misspelt(need); near != "" {
			l.warn(at.problem("needs", "needs: %q is a scope no request has, did you mean %q?", need, near))
		}
		var may []string
		for _, k := range keys {
			if len(k.Scopes) == 0 || slices.Contains(k.Scopes, need) {
				may = append(may, k.Name)
			}
		}
		switch {
		case len(keys) > 0 && len(may) == 0:
			l.warn(at.problem("needs", "needs %q, and none of its keys may be used for that", need))
		case len(keys) > 1 && len(may) == 1:
			l.warn(at.problem("needs", "needs %q, and of its %d keys only %s may be used for that: one key from an outage", need, len(keys), may[0]))
		}
	}
}

// misspelt is the scope that was meant by one that no request has; "" if none.
func misspelt(scope string) string {
	if slices.Contains(Scopes, scope) {
		return ""
	}
	return nearest(scope, Scopes)
}

// checkProviders wants the keys of a service to be of one provider.
func checkProviders(l *loader, s engine.Service, keys []engine.Key, at declared) {
	if len(keys) == 0 {
		return
	}
	first := keys[0]
	for _, k := range keys[1:] {
		if family(k) == family(first) {
			continue
		}
		says := fmt.Sprintf("%s is of %s and %s of %s", first.Name, first.Provider, k.Name, k.Provider)
		if dialect(k) != dialect(first) {
			l.error(at.problem("keys", "keys: %s, which do not speak one language: make two services", says))
		} else {
			l.warn(at.problem("keys", "keys: %s; one service's keys better be of one provider", says))
		}
		return
	}
}

// family is what keys of one service should have in common.
func family(k engine.Key) string {
	if k.Kind == "generic" {
		return "generic " + k.Provider
	}
	return k.Kind
}

func dialect(k engine.Key) provider.Dialect {
	if p, ok := provider.Lookup(k.Kind); ok {
		return p.Dialect
	}
	return provider.DialectOpenAI
}

// checkPlans tells of keys that are paid for in different ways: the bill then
// depends on whose turn it was.
func checkPlans(l *loader, s engine.Service, keys []engine.Key, at declared) {
	first := map[string]string{} // the first key of a plan
	var says []string
	for _, k := range keys {
		if k.Plan != "" && first[k.Plan] == "" {
			first[k.Plan] = k.Name
			says = append(says, fmt.Sprintf("%s is %s", k.Name, k.Plan))
		}
	}
	if len(first) > 1 {
		l.warn(at.problem("keys", "keys: their plans differ (%s), so the cost depends on which of them serves", strings.Join(says, ", ")))
	}
}

// checkKeys looks at each key, and at keys that are one.
func (l *loader) checkKeys() {
	used := map[string]bool{}
	for _, s := range l.config.Engine.Services {
		for _, name := range slices.Concat(s.Keys, s.Fallback) {
			used[name] = true
		}
	}
	same := map[heldKey]string{}
	for _, k := range l.config.Engine.Keys {
		l.about(Subject{Key: k.Name}, func() { l.checkKey(k, used[k.Name], same) })
	}
}

func (l *loader) checkKey(k engine.Key, used bool, same map[heldKey]string) {
	at := l.keyAt[k.Name]
	if !used && !wasAdded(k) {
		l.warn(at.problem("", "no service uses key %s", k.Name))
	}
	if !k.Expires.IsZero() && !k.Expires.After(l.Now) {
		l.warn(at.problem("expires", "expired on %s", k.Expires.Format("2006-01-02")))
	}
	for _, scope := range k.Scopes {
		if near := misspelt(scope); near != "" {
			l.warn(at.problem("scopes", "scopes: %q is a scope no request has, did you mean %q?", scope, near))
		}
	}
	if k.Secret.Empty() {
		return
	}
	held := heldKey{k.Kind, strings.ToLower(hostOf(k.BaseURL)), k.Secret}
	if first, twice := same[held]; twice {
		l.warn(at.problem("secret", "%s holds the same secret as %s: they are one key with two names", k.Name, first))
	} else {
		same[held] = k.Name
	}
}

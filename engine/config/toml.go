package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/child"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// readTOML takes what the config file says.
func (l *loader) readTOML() {
	file := shown(l.config.Path, l.Dir)
	l.checkMode(file)
	source, err := secret.ReadText(l.config.Path, nil)
	if err != nil {
		l.error(Problem{File: file, Text: "cannot be read"})
		l.broken = true
		return
	}
	var values map[string]any
	for {
		_, err := toml.Decode(source, &values)
		if err == nil {
			break
		}
		l.error(syntaxProblem(file, err))
		// What is there twice is no reason to say nothing of the rest.
		less := withoutTwice(source, err)
		if less == source {
			l.broken = true
			return
		}
		source, values = less, nil
	}
	d := &document{report: &l.report, file: file, lines: indexLines(source)}
	l.doc = d
	f := &fileDecl{config: l.config}
	topSettings.read(d, nil, values, f)
	r := &resolver{loader: l, document: d, decl: f}
	r.files()
	r.resolveProviders()
	r.resolveKeys()
	r.resolveAccounts()
	r.resolveServices()
	r.resolveAlerts()
	l.config.Sources = append(l.config.Sources, fmt.Sprintf("%s, %s from %s",
		count(len(l.config.Engine.Keys), "key"), count(len(l.config.Engine.Services), "service"), file))
}

// resolver makes keys and services of the declarations of one file.
type resolver struct {
	*loader
	*document
	decl      *fileDecl
	providers map[string]*upstream
	// keys gives the names of the keys that a name in a service stands for:
	// itself, or all of a keyset. It knows the broken ones too, so that one
	// mistake is reported once.
	keys map[string][]string
}

// upstream is a provider as keys see it.
type upstream struct {
	providerDecl
	*provider.Provider
	used bool
}

// files makes the paths of the top settings absolute and looks at them.
func (r *resolver) files() {
	c := r.config
	if (c.TLSCert == "") != (c.TLSKey == "") {
		r.fail(at(path{"tls"}), "needs both cert and key")
	}
	r.prices()
	if c.Journal != "" {
		c.Journal = absolute(c.Journal, r.dir) // it need not be there
	}
	r.file(&c.TLSCert, at(path{"tls", "cert"}))
	r.file(&c.TLSKey, at(path{"tls", "key"}))
}

// prices gathers what models cost.
func (r *resolver) prices() {
	c := r.config
	if own := r.decl.prices; len(own) > 0 {
		table := provider.Prices{}
		for _, p := range own {
			table[p.model] = p.Price
		}
		c.Prices = append(c.Prices, table)
	}
	where := at(path{"prices_file"})
	if r.file(&c.PricesFile, where); c.PricesFile == "" {
		return
	}
	f, err := os.Open(c.PricesFile)
	if err != nil {
		return // said already
	}
	defer f.Close()
	table, err := provider.ReadPrices(f)
	if err != nil {
		r.fail(where, "is not in LiteLLM's format: %v", err)
		return
	}
	c.Prices = append(c.Prices, table)
}

// file makes a path absolute. The file has to be there.
func (r *resolver) file(name *string, s spot) {
	if *name == "" {
		return
	}
	*name = absolute(*name, r.dir)
	r.reads(*name)
	if info, err := os.Stat(*name); err != nil || !info.Mode().IsRegular() {
		r.fail(s, "names %s, which is no file that can be read", filepath.Base(*name))
	}
}

func (r *resolver) resolveProviders() {
	r.providers = map[string]*upstream{}
	for _, decl := range r.decl.providers {
		up := &upstream{providerDecl: *decl}
		r.providers[decl.name] = up
		if w := headerPrefix(decl.prefix); w != "" {
			r.hint(at(decl.path.join("header_prefix")), "%s", w)
		}
		r.file(&up.caFile, at(decl.path.join("ca_file")))
		r.checkURL(decl.baseURL, up, at(decl.path.join("base_url")))
		up.Provider = r.kindOf(decl)
		up.baseURL = strings.TrimRight(up.baseURL, "/")
		if up.baseURL == "" && up.Provider != nil {
			up.baseURL = up.BaseURL
		}
	}
}

// kindOf finds the built-in provider whose answers a declared one speaks; nil
// after a problem.
func (r *resolver) kindOf(decl *providerDecl) *provider.Provider {
	if r.has(decl.path.join("kind")) {
		p, _ := provider.Lookup(decl.kind)
		return p
	}
	if p, ok := provider.Lookup(decl.name); ok {
		return p
	}
	if p := provider.ForURL(decl.baseURL); p != nil {
		return p
	}
	r.fail(at(decl.path.join("kind")), "is not set: name whose answers it speaks, one of %s", strings.Join(provider.Names(), ", "))
	return nil
}

func headerPrefix(prefix string) string {
	if prefix != "" && prefix == strings.TrimSpace(prefix) && token.MatchString(prefix) {
		return fmt.Sprintf("%q has no blank at its end; most prefixes do, like %q", prefix, "Bearer ")
	}
	return ""
}

// checkURL refuses keys on plain HTTP beyond this machine.
func (r *resolver) checkURL(base string, up *upstream, s spot) {
	if wrong := plainHTTP(base); wrong != "" && !up.insecure {
		r.fail(s, "%s, or set insecure = true in [providers.%s]", wrong, bareOrQuoted(up.name))
	}
}

// provider finds the provider of a key; nil after a problem.
func (r *resolver) provider(decl *keyDecl) *upstream {
	name, s := decl.key.Provider, at(decl.path.join("provider"))
	if name == "" {
		if !r.has(s.path) {
			r.fail(s, "is not set: name a built-in one (%s) or one of [providers]", strings.Join(provider.Names(), ", "))
		}
		return nil
	}
	if !r.knows(name, s) {
		return nil
	}
	up, ok := r.providers[name]
	if !ok {
		builtin, _ := provider.Lookup(name)
		up = &upstream{providerDecl: providerDecl{name: name, baseURL: builtin.BaseURL}, Provider: builtin}
		r.providers[name] = up
	}
	up.used = true
	if up.Provider == nil {
		return nil
	}
	return up
}

// knows reports whether there is a provider of a name; that there is none is a
// problem.
func (r *resolver) knows(name string, s spot) bool {
	_, builtin := provider.Lookup(name)
	if builtin || r.providers[name] != nil {
		return true
	}
	all := append(slices.Sorted(maps.Keys(r.providers)), provider.Names()...)
	r.fail(s, "%q is neither in [providers] nor built in%s", name, orList(name, all))
	return false
}

func (r *resolver) resolveKeys() {
	r.keys = map[string][]string{}
	var single, sets []string
	for _, decl := range r.decl.keys {
		switch {
		case decl.ref == "":
		case decl.set:
			sets = append(sets, decl.ref)
		default:
			single = append(single, decl.ref)
		}
	}
	one, many := r.readOne(single), r.readMany(sets)
	for _, decl := range r.decl.keys {
		name := decl.key.Name
		if !keyName.MatchString(name) {
			r.fail(spot{decl.path, decl.path, "the name"}, "must be of letters, digits, . _ - and begin with a letter or digit")
		}
		if _, taken := r.keys[name]; taken {
			r.fail(spot{decl.path, decl.path, "the name"}, "is also that of a key or keyset further up")
			continue
		}
		r.keys[name] = nil
		setting := map[bool]string{false: "secret", true: "secrets"}[decl.set]
		s := at(decl.path.join(setting))
		if !r.has(s.path) {
			r.fail(s, `is not set: write a reference to where it is, like "env:NAME"`)
		}
		switch ready := r.complete(decl) && decl.ref != ""; {
		case !ready:
		case decl.set:
			r.addSet(decl, s, many[decl.ref])
		default:
			r.addOne(decl, s, one[decl.ref])
		}
	}
	for _, up := range r.providers {
		if !up.used {
			r.hint(spot{up.path, up.path, "no key"}, "is of this provider")
		}
	}
}

// complete fills in what a key has from its provider.
func (r *resolver) complete(decl *keyDecl) bool {
	k := &decl.key
	r.file(&k.CAFile, at(decl.path.join("ca_file")))
	up := r.provider(decl)
	if up == nil {
		return false
	}
	r.checkURL(k.BaseURL, up, at(decl.path.join("base_url")))
	k.Kind = up.Name
	k.BaseURL = firstOf(strings.TrimRight(k.BaseURL, "/"), up.baseURL)
	if k.BaseURL == "" {
		if !r.says(up, "base_url") && !r.has(decl.path.join("base_url")) {
			r.fail(at(decl.path.join("base_url")), "is not set, and provider %q has none of its own", up.name)
		}
		return false
	}
	k.ProxyURL = firstOf(k.ProxyURL, up.proxyURL)
	k.CAFile = firstOf(k.CAFile, up.caFile)
	k.Insecure = up.insecure
	k.AuthHeader, k.AuthPrefix = r.auth(up)
	k.CanTest = up.TestPath != ""
	k.Source = r.source(decl.path)
	k.Ref = secret.Show(decl.ref)
	setZone(k.Limits, k.Kind)
	return true
}

// says reports whether the file has a setting of a provider, right or wrong.
func (r *resolver) says(up *upstream, setting string) bool {
	return up.path != nil && r.has(up.path.join(setting))
}

// auth is where the secret goes when the config says so itself.
func (r *resolver) auth(up *upstream) (header, prefix string) {
	given := r.says(up, "header_prefix")
	switch {
	case up.header == "" && !given:
		return "", ""
	case up.header == "":
		return "Authorization", up.prefix
	case !given && strings.EqualFold(up.header, "Authorization"):
		return up.header, "Bearer "
	default:
		return up.header, up.prefix
	}
}

func (r *resolver) addOne(decl *keyDecl, s spot, a answer) {
	r.loader.about(Subject{Key: decl.key.Name}, func() {
		for _, text := range a.warnings {
			r.hint(s, "%s", text)
		}
	})
	r.add(decl, s, decl.key.Name, decl.key.Ref, a.secret, a.err)
}

// addSet adds the keys of a keyset, named by their place in it. One that cannot
// be read at all is one missing key.
func (r *resolver) addSet(decl *keyDecl, s spot, a answer) {
	for _, text := range a.warnings {
		r.hint(s, "%s", text)
	}
	if a.err != nil {
		a.items = []secret.Item{{Err: a.err}}
	}
	for i, item := range a.items {
		name := fmt.Sprintf("%s-%d", decl.key.Name, i+1)
		r.add(decl, s, name, fmt.Sprintf("%s[%d]", decl.key.Ref, i), item.Secret, item.Err)
	}
}

func (r *resolver) add(decl *keyDecl, s spot, name, ref string, sec secret.Secret, err error) {
	if at, taken := r.keyAt[name]; taken {
		r.fail(spot{decl.path, decl.path, "key " + name}, "is there already, see %s", at.label)
		return
	}
	k := decl.key
	k.Name, k.Ref, k.Secret = name, ref, sec
	k.Scopes, k.Limits = slices.Clone(k.Scopes), slices.Clone(k.Limits)
	if err != nil {
		k.Missing = brief(err)
		r.missing[name] = r.problem(s, "%s", err)
	}
	r.keys[decl.key.Name] = append(r.keys[decl.key.Name], name)
	r.addKey(k, r.inTOML(decl.path))
}

// brief says why a secret is missing, without what to do about it.
func brief(err error) string {
	if e := (*secret.Error)(nil); errors.As(err, &e) {
		return e.Brief()
	}
	return err.Error()
}

func (r *resolver) resolveServices() {
	var tokens []string
	for _, decl := range r.decl.services {
		if decl.service.TokenRef != "" {
			tokens = append(tokens, decl.service.TokenRef)
		}
	}
	answers := r.readOne(tokens)
	for _, decl := range r.decl.services {
		s := &decl.service
		if wrong := serviceName(s.Name); wrong != "" {
			r.fail(spot{decl.path, decl.path, fmt.Sprintf("%q", s.Name)}, "%s", wrong)
		}
		s.Source = r.source(decl.path)
		s.Strategy = firstOf(s.Strategy, engine.RoundRobin)
		s.Keys = r.keysOf(decl, "keys", s.Keys, nil)
		s.Fallback = r.keysOf(decl, "fallback", s.Fallback, s.Keys)
		if s.FallbackAfter > 0 && !r.has(decl.path.join("fallback")) {
			r.hint(at(decl.path.join("fallback_after")), "does nothing without fallback")
		}
		if len(s.Keys) == 0 && !s.Planned && !r.has(decl.path.join("keys").join("0")) {
			r.fail(at(decl.path.join("keys")), "is not set: name the keys that serve it, or say planned = true")
		}
		if s.TokenRef != "" {
			r.setToken(decl, answers[s.TokenRef])
		}
		r.addService(*s, r.inTOML(decl.path))
	}
}

// resolveAlerts finds where alerts go. What cannot be reached is warned of: keys
// are served without it.
func (r *resolver) resolveAlerts() {
	a := &r.config.Alerts
	a.Dir = r.dir
	where := at(path{"alerts", "command"})
	switch {
	case len(a.Command) > 0:
		if _, err := (child.Place{Dir: a.Dir, LookupEnv: r.LookupEnv}).Find(a.Command[0]); err != nil {
			r.hint(where, "names a program that is not there: install it, or write its whole path")
		}
	case r.has(where.path):
		r.fail(where, "must name a program, and its arguments")
	}
	where = at(path{"alerts", "webhook"})
	ref := r.decl.webhook
	switch {
	case ref == "":
	case secret.Check(ref) != nil:
		a.Webhook = secret.New(ref) // the URL itself
	default:
		got := r.readOne([]string{ref})[ref]
		for _, text := range got.warnings {
			r.hint(where, "%s", text)
		}
		if got.err != nil {
			r.hint(where, "gets no alerts: %v", got.err)
		} else if wrong := alert.CheckWebhook(got.secret.Reveal()); wrong != "" {
			r.fail(where, "is read from %s, and %s", secret.Show(ref), wrong)
		} else {
			a.Webhook = got.secret
		}
	}
}

// keysOf puts keys in for the names in a service's list.
func (r *resolver) keysOf(decl *serviceDecl, setting string, names, before []string) []string {
	var list []string
	for i, name := range names {
		s := at(decl.path.join(setting))
		s = spot{s.path.join(strconv.Itoa(i)), s.table, s.name + ":"}
		of, known := r.keys[name]
		if _, oneOfSet := r.keyAt[name]; oneOfSet && !known {
			of, known = []string{name}, true
		}
		if !known && secret.LooksSecret(name) {
			r.fail(s, "what stands here looks like the key itself: write [keys.NAME] with a reference to it, and NAME here")
			continue
		}
		if !known {
			r.fail(s, "there is no key %q%s", name, didYouMean(name, slices.Sorted(maps.Keys(r.keys))))
			continue
		}
		for _, k := range of {
			if slices.Contains(before, k) || slices.Contains(list, k) {
				r.fail(s, "%q is in the service already", k)
				continue
			}
			list = append(list, k)
		}
	}
	return list
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// setToken takes a service's token. Without it the door would be open, so that
// one that cannot be read is an error.
func (r *resolver) setToken(decl *serviceDecl, a answer) {
	s := at(decl.path.join("token"))
	for _, text := range a.warnings {
		r.hint(s, "%s", text)
	}
	decl.service.Token = a.secret
	decl.service.TokenRef = secret.Show(decl.service.TokenRef)
	switch {
	case a.err == nil:
	case decl.service.Planned:
		r.hint(s, "%s", a.err)
	default:
		r.fail(s, "%s", a.err)
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/quota"
)

// Value is one setting in force, and which source won it.
type Value struct {
	// Of is whose setting it is: "service gpt-4o", "key main", "keywheel".
	Of string `json:"of"`
	// Name is the setting, Text its value in a form that may be shown.
	Name string `json:"name"`
	Text string `json:"value"`
	// From is the source that won, Over are those that lost to it.
	From string   `json:"from"`
	Over []string `json:"over,omitempty"`
}

// taken is where one setting comes from. The zero value is one that no source
// sets.
type taken struct {
	from string
	over []string
}

// byDefault is the source of what no other sets.
const byDefault = "default"

// origin is where a setting of the thing comes from.
func (d declared) origin(setting string) taken {
	if d.origins != nil {
		return d.origins[setting]
	}
	if d.doc != nil {
		return d.doc.origin(d.path.join(setting))
	}
	return taken{}
}

func (d *document) origin(p path) taken {
	if d == nil || !d.has(p) {
		return taken{}
	}
	return taken{from: d.source(p)}
}

// listing gathers values.
type listing struct {
	of   string
	over []string
	list []Value
}

// add adds a setting; text "" is one that nobody sets and that does nothing.
func (v *listing) add(name, text string, o taken, otherwise string) {
	if text == "" {
		return
	}
	if o.from == "" {
		o.from = otherwise
	}
	v.list = append(v.list, Value{v.of, name, text, o.from, slices.Concat(o.over, v.over)})
	v.over = nil
}

// values lists every setting in force with its source.
func (l *loader) values() []Value {
	c := l.config
	v := &listing{of: "keywheel"}
	top := func(name, text string) { v.add(name, text, l.doc.origin(path{name}), byDefault) }
	if l.Options.Listen != "" {
		o := taken{from: "--listen"}
		if lost := l.doc.origin(path{"listen"}).from; lost != "" {
			o.over = []string{lost}
		}
		v.add("listen", c.Listen, o, "")
	} else {
		top("listen", c.Listen)
	}
	for _, d := range []struct {
		name string
		time time.Duration
	}{{"patience", c.Patience}, {"dial_timeout", c.DialTimeout}, {"header_timeout", c.HeaderTimeout}, {"idle_timeout", c.IdleTimeout}} {
		top(d.name, d.time.String())
	}
	top("max_waiting", fmt.Sprint(c.MaxWaiting))
	top("max_replay", fmt.Sprintf("%d MiB", c.MaxReplay>>20))
	top("max_replay_total", fmt.Sprintf("%d MiB", c.MaxReplayTotal>>20))
	top("allow_hosts", strings.Join(c.AllowHosts, ", "))
	top("cors_origins", strings.Join(c.CORSOrigins, ", "))
	top("prices_file", c.PricesFile)
	top("journal", c.Journal)
	for _, s := range c.Engine.Services {
		l.serviceValues(v, s)
	}
	for _, k := range c.Engine.Keys {
		l.keyValues(v, k)
	}
	return v.list
}

func (l *loader) serviceValues(v *listing, s engine.Service) {
	at := l.serviceAt[s.Name]
	v.of, v.over = "service "+s.Name, l.lost[s.Name]
	set := func(name, text string) { v.add(name, text, at.origin(name), byDefault) }
	set("keys", strings.Join(s.Keys, ", "))
	set("fallback", strings.Join(s.Fallback, ", "))
	set("strategy", s.Strategy)
	set("models", strings.Join(s.Models, ", "))
	for _, name := range slices.Sorted(maps.Keys(s.Defaults)) {
		o := at.origin(name)
		if at.doc != nil {
			o = at.doc.origin(at.path.join("defaults").join(name))
		}
		v.add(name, fmt.Sprint(s.Defaults[name]), o, byDefault)
	}
	set("needs", strings.Join(s.Needs, ", "))
	set("token", s.TokenRef)
	set("limits", limitWords(s.Limits))
	set("allow", strings.Join(s.Allow, ", "))
	set("headers", strings.Join(slices.Sorted(maps.Keys(s.Headers)), ", "))
	if s.Required {
		set("required", "true")
	}
	if s.Planned {
		set("planned", "true")
	}
	if s.FallbackAfter > 0 {
		set("fallback_after", s.FallbackAfter.String())
	}
}

func (l *loader) keyValues(v *listing, k engine.Key) {
	at := l.keyAt[k.Name]
	v.of = "key " + k.Name
	set := func(name, text, otherwise string) { v.add(name, text, at.origin(name), otherwise) }
	secretAt := at.origin("secret")
	if secretAt.from == "" {
		secretAt = at.origin("secrets")
	}
	switch {
	case k.Override != "" && !wasAdded(k):
		v.add("secret", k.Override, taken{k.Override, []string{k.Ref}}, "")
	case k.Missing != "":
		v.add("secret", k.Ref+" (missing)", secretAt, "")
	default:
		v.add("secret", k.Ref, secretAt, "")
	}
	kind := at.origin("kind")
	if at.doc != nil {
		kind = l.doc.origin(path{"providers", k.Provider, "kind"})
	}
	base := at.origin("base_url")
	switch p := provider.ForURL(k.BaseURL); {
	case at.doc != nil || at.origin("provider").from != "":
		set("provider", k.Provider, byDefault)
	case p != nil && p.Name == k.Provider && base.from != "":
		v.add("provider", k.Provider, taken{from: "the host of base_url"}, "") // whatever it is said to speak
		kind = taken{}
	case base.from != "":
		v.add("provider", k.Provider, taken{from: "the host of base_url"}, "")
	default:
		v.add("provider", k.Provider, kind, "the name of the model")
	}
	if k.Kind != k.Provider {
		v.add("kind", k.Kind, kind, byDefault)
	}
	if base.from == "" {
		base = l.doc.origin(path{"providers", k.Provider, "base_url"})
	}
	v.add("base_url", k.BaseURL, base, "built in: "+k.Kind)
	set("account", k.Account, byDefault)
	set("plan", k.Plan, byDefault)
	set("scopes", strings.Join(k.Scopes, ", "), byDefault)
	set("limits", limitWords(k.Limits), byDefault)
	if k.Weight > 1 {
		set("weight", fmt.Sprint(k.Weight), byDefault)
	}
	if !k.Expires.IsZero() {
		set("expires", k.Expires.Format(time.DateOnly), byDefault)
	}
}

// limitWords are limits in a line.
func limitWords(limits []quota.Limit) string {
	var list []string
	for _, lim := range limits {
		text := fmt.Sprintf("%g %s", lim.Amount, lim.Unit)
		if per := lim.Per(); per != "" {
			text += " per " + per
		}
		if lim.Model != "" {
			text += " of " + lim.Model
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

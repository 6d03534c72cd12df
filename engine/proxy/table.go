package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/proxy/wire"
)

// table is what the door knows of one configuration. It does not change: a
// request keeps the table that it came by to its end.
type table struct {
	o        Options
	sender   *sender
	services map[string]*served
	names    []string // of the services, sorted
	byModel  map[string]*served
}

// served is a service as the door sees it.
type served struct {
	engine.Service
	called   called
	defaults []field
	provider *provider.Provider
	need     string // its only one, "" where it has others or none
	allow    []allowed
	upstream []string // scheme://host of its keys
	bases    []string // paths of their base URLs
	added    *added
}

// allowed is one entry of a service's `allow`.
type allowed struct{ method, path string }

func (a allowed) match(method, path string) bool {
	if a.method != "*" && a.method != method {
		return false
	}
	if rest, ok := strings.CutSuffix(a.path, "*"); ok {
		return strings.HasPrefix(path, rest)
	}
	return a.path == "" || path == a.path
}

// Prepare makes the proxy ready for another configuration. What it returns puts
// that in force, for the requests that come from then on. After an error nothing
// has changed.
func (p *Proxy) Prepare(o Options) (use func(), err error) {
	was := p.table.Load()
	if was == nil {
		was = &table{}
	}
	t, err := p.newTable(o.orDefault(), was)
	if err != nil {
		return nil, err
	}
	return func() {
		p.budget.left.Add(t.o.MaxReplayTotal - was.o.MaxReplayTotal)
		p.table.Store(t)
		p.ways.keep(&t.o)
	}, nil
}

func (o Options) orDefault() Options {
	o.Timeouts = o.Timeouts.orDefault()
	if o.MaxReplay == 0 {
		o.MaxReplay = 64 << 20
	}
	if o.MaxReplayTotal == 0 {
		o.MaxReplayTotal = 1 << 30
	}
	if o.Log == nil {
		o.Log = func(Refused) {}
	}
	return o
}

// newTable makes the table of a configuration that follows on another one.
func (p *Proxy) newTable(o Options, was *table) (*table, error) {
	base, err := p.ways.to(o.way(nil))
	if err != nil {
		return nil, err
	}
	t := &table{o: o, services: map[string]*served{}, byModel: map[string]*served{},
		sender: &sender{engine: p.engine, base: base, ways: &p.ways, options: &o, timeouts: o.Timeouts, prices: append(slices.Clone(o.Prices), provider.Builtin), bound: o.Bound}}
	keys := map[string]engine.Key{}
	for _, k := range o.Keys {
		keys[k.Name] = k
		if _, err := p.ways.to(o.way(&k)); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Name, err)
		}
	}
	for _, s := range o.Services {
		if s.Planned {
			continue
		}
		sv := &served{Service: s, called: callings(s.Name, s.Models, s.Aliases), added: &added{}}
		if sv.defaults, err = fieldsOf(&s); err != nil {
			return nil, err
		}
		if old := was.services[s.Name]; old != nil {
			sv.added = old.added
		}
		for _, name := range slices.Concat(s.Keys, s.Fallback) {
			k := keys[name]
			if sv.provider == nil {
				sv.provider, _ = provider.Lookup(k.Kind)
			}
			u, err := url.Parse(k.BaseURL)
			if err != nil {
				continue
			}
			if host := u.Scheme + "://" + u.Host; !slices.Contains(sv.upstream, host) {
				sv.upstream = append(sv.upstream, host)
			}
			if !slices.Contains(sv.bases, u.Path) {
				sv.bases = append(sv.bases, u.Path)
			}
		}
		if sv.provider == nil {
			sv.provider, _ = provider.Lookup("generic")
		}
		if len(s.Needs) == 1 {
			sv.need = s.Needs[0]
		}
		for _, a := range s.Allow {
			method, path, _ := strings.Cut(a, " ")
			sv.allow = append(sv.allow, allowed{method, strings.TrimSpace(path)})
		}
		t.services[s.Name] = sv
		t.names = append(t.names, s.Name)
		for _, m := range s.Models {
			if t.byModel[m] == nil {
				t.byModel[m] = sv
			}
		}
	}
	slices.Sort(t.names)
	return t, nil
}

// ofModel is the service that serves a model: by its name as it is written,
// else in letters of any size, or by the service's own; nil is none.
func (t *table) ofModel(model string) *served {
	if s := t.byModel[model]; s != nil || model == "" {
		return s
	}
	fold := strings.ToLower(model)
	for _, name := range t.names {
		if s := t.services[name]; len(s.Models) > 0 && s.called.folded[fold] != "" {
			return s
		}
	}
	return nil
}

// way says how the upstream of a key is reached; nil is a key without a way of
// its own.
func (o *Options) way(k *engine.Key) BaseOptions {
	w := BaseOptions{Dial: o.Dial, Header: o.Timeouts.Header}
	if k != nil {
		w.ProxyURL, w.CAFile = k.ProxyURL, k.CAFile
	}
	return w
}

// ways are the transports in use. One configuration goes on with the
// connections of the one before it.
type ways struct {
	mu sync.Mutex
	by map[BaseOptions]*wire.Transport
}

// to is the transport of a way, made with its first use.
func (w *ways) to(o BaseOptions) (http.RoundTripper, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.by[o]; t != nil {
		return t, nil
	}
	base, err := NewBase(o)
	if err != nil {
		return nil, err
	}
	if w.by == nil {
		w.by = map[BaseOptions]*wire.Transport{}
	}
	t := wire.New(base)
	w.by[o] = t
	return t, nil
}

// keep forgets the ways that a configuration does not use. What runs on them
// finishes.
func (w *ways) keep(o *Options) {
	used := map[BaseOptions]bool{o.way(nil): true}
	for i := range o.Keys {
		used[o.way(&o.Keys[i])] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for way, t := range w.by {
		if !used[way] {
			delete(w.by, way)
			t.CloseIdleConnections()
		}
	}
}

// close closes the connections that are idle.
func (w *ways) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.by {
		t.CloseIdleConnections()
	}
}

package sim

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// World is a small installation that does not exist: six providers on loopback
// ports, eight services, 25 keys. Its parts are the same for the same seed.
type World struct {
	seed      uint64
	speed     float64
	upstreams map[string]*Upstream
	config    engine.Config
	client    *http.Client

	mu      sync.Mutex
	clients Clients
}

// NewWorld starts the upstreams. Speed 2 makes traffic, script and providers
// twice as fast; 0 counts as 1.
func NewWorld(seed uint64, speed float64) (*World, error) {
	if speed <= 0 {
		speed = 1
	}
	w := &World{seed: seed, speed: speed, upstreams: map[string]*Upstream{}, clients: Clients{Status: map[int]int64{}}}
	w.client = &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	for _, h := range houses {
		if err := w.open(h); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	for _, s := range services {
		s.Source = "demo"
		if s.Strategy == "" {
			s.Strategy = engine.RoundRobin
		}
		w.config.Services = append(w.config.Services, s)
	}
	return w, nil
}

// open starts one provider and writes its keys into the config.
func (w *World) open(h house) error {
	keys := make([]Key, len(h.keys))
	for i, m := range h.keys {
		keys[i] = Key{Name: m.name, Secret: secret.New("sk-demo-not-a-real-key-" + m.name), Account: m.account, Scopes: m.scopes,
			RPM: m.rpm * w.speed, TPM: m.tpm * w.speed,
			Latency: Latency{w.real(h.latency.Median), w.real(h.latency.Max)}}
	}
	u, err := NewUpstream(h.kind, Options{Seed: w.seed, Models: h.models, JobTime: w.real(6 * time.Second)}, keys...)
	if err != nil {
		return err
	}
	if err := u.Start(); err != nil {
		return err
	}
	w.upstreams[h.kind] = u
	for i, m := range h.keys {
		k := engine.Key{Name: m.name, Provider: h.kind, Kind: h.kind, BaseURL: u.BaseURL(), Secret: keys[i].Secret,
			Ref: "demo:" + m.name, Account: m.account, Plan: m.plan, Scopes: m.scopes, Weight: m.weight, Source: "demo"}
		if p, ok := provider.Lookup(h.kind); ok {
			k.CanTest = p.TestPath != ""
		}
		for _, l := range m.limits {
			if l.Window > 0 {
				l.Amount *= w.speed // its minute is shorter
			}
			k.Limits = append(k.Limits, l)
		}
		w.config.Keys = append(w.config.Keys, k)
	}
	return nil
}

// real is how long a time of the world takes.
func (w *World) real(d time.Duration) time.Duration { return time.Duration(float64(d) / w.speed) }

// Config is the world's keys and services, as a config file would give them.
// The caller may change it.
func (w *World) Config() engine.Config {
	c := engine.Config{Keys: slices.Clone(w.config.Keys), Services: slices.Clone(w.config.Services)}
	for i := range c.Keys {
		k := &c.Keys[i]
		k.Scopes, k.Limits = slices.Clone(k.Scopes), append([]quota.Limit(nil), k.Limits...)
	}
	for i := range c.Services {
		s := &c.Services[i]
		s.Needs, s.Keys, s.Fallback, s.Models = slices.Clone(s.Needs), slices.Clone(s.Keys), slices.Clone(s.Fallback), slices.Clone(s.Models)
		s.Aliases, s.Defaults = maps.Clone(s.Aliases), maps.Clone(s.Defaults)
	}
	return c
}

// Upstream is the world's provider of a kind; nil if it has none.
func (w *World) Upstream(kind string) *Upstream { return w.upstreams[kind] }

// Close stops the upstreams. Traffic and Script end by their contexts, before.
func (w *World) Close() error {
	w.client.CloseIdleConnections()
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(w.upstreams)) {
		errs = append(errs, w.upstreams[kind].Close())
	}
	return errors.Join(errs...)
}

// Hint tells how to point a client of one's own at the world through a proxy:
// lines for a shell.
func (w *World) Hint(proxyBase string) []string {
	return []string{
		fmt.Sprintf(`curl -N %s/gpt-4o/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}'`, proxyBase),
		fmt.Sprintf(`curl %s/proxy-config/repos/acme/librechat-config/contents/librechat.yaml -H 'Accept: application/vnd.github.raw+json'`, proxyBase),
		fmt.Sprintf(`export OPENAI_BASE_URL=%s/gpt-4o/v1 OPENAI_API_KEY=anything`, proxyBase),
		fmt.Sprintf(`export ANTHROPIC_BASE_URL=%s/claude-sonnet ANTHROPIC_API_KEY=anything`, proxyBase),
	}
}

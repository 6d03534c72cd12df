// Package ring hands out API keys by model name, to programs that send their
// requests themselves. A program that can should send them through
// proxy.Transport instead: that reads every answer and needs none of this.
//
//	reg, err := ring.FromEnv()
//	gpt, err := reg.Model("gpt-4o")
//	key, err := gpt.Current()
//	... send a request with key.Secret.Reveal() ...
//	key, err = gpt.MarkFailed(key) // it did not work: the next one
package ring

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/secret"
)

// Registry has one [Ring] for each model. The zero Registry knows no models but
// those that [Registry.Model] is given keys for. It is safe for any number of
// goroutines.
type Registry struct {
	// Config is where models have their keys from.
	Config engine.Config
	// Log is told of rotations; nil is slog.Default(). No secret is written.
	Log *slog.Logger

	mu    sync.Mutex
	rings map[string]*Ring
}

// FromEnv makes a Registry of what keywheel itself would serve: its config file
// if there is one, LLM_MODEL_CONFIGS, and API_KEY with its companions, from the
// environment and from .env. What is odd there is logged.
func FromEnv() (*Registry, error) {
	cfg, err := config.Load(config.Options{})
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		slog.Warn(w.String())
	}
	return &Registry{Config: cfg.Engine}, nil
}

// Model returns the ring of a model, always the same one. Keys, if any are given
// and the ring is new, come before those of the Config.
func (g *Registry) Model(name string, keys ...string) (*Ring, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.rings[name]; r != nil {
		return r, nil
	}
	s, has := g.service(name)
	if !has && len(keys) == 0 {
		return nil, fmt.Errorf("no keys are known for the model %q%s", name, g.known())
	}
	r := &Ring{model: name, log: g.Log, like: engine.Key{Provider: "generic", Kind: "generic"}}
	if r.log == nil {
		r.log = slog.Default()
	}
	var list []engine.Key
	for _, k := range g.Config.Keys {
		if slices.Contains(s.Keys, k.Name) || slices.Contains(s.Fallback, k.Name) {
			list = append(list, k)
		}
	}
	if len(list) > 0 {
		r.like = list[0]
	}
	if len(keys) > 0 {
		var err error
		if list, err = r.keysOf(keys); err != nil {
			return nil, err
		}
		s.Keys, s.Fallback = names(list), nil
	}
	if err := r.fill(s, list, g.Config.Accounts); err != nil {
		return nil, err
	}
	if g.rings == nil {
		g.rings = map[string]*Ring{}
	}
	g.rings[name] = r
	r.log.Info(fmt.Sprintf("APIKeyManager initialized for '%s' with %d keys", name, len(list)))
	return r, nil
}

// service is the one that serves a model: by the model, else by its own name.
func (g *Registry) service(model string) (engine.Service, bool) {
	for _, of := range []func(engine.Service) bool{
		func(s engine.Service) bool { return slices.Contains(s.Models, model) },
		func(s engine.Service) bool { return s.Name == model },
	} {
		if i := slices.IndexFunc(g.Config.Services, of); i >= 0 {
			return g.Config.Services[i], true
		}
	}
	return engine.Service{}, false
}

// known lists the models that there are.
func (g *Registry) known() string {
	var list []string
	for _, s := range g.Config.Services {
		list = append(list, s.Models...)
		if len(s.Models) == 0 {
			list = append(list, s.Name)
		}
	}
	if len(list) == 0 {
		return ": give them to Model"
	}
	return ": give them to Model, or name one of " + strings.Join(list, ", ")
}

func names(keys []engine.Key) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.Name
	}
	return list
}

// keysOf makes keys of secrets. One that is there twice counts once.
func (r *Ring) keysOf(texts []string) ([]engine.Key, error) {
	var list []engine.Key
	for i, text := range texts {
		text = strings.TrimSpace(text)
		if wrong := secret.Unfit(text); wrong != "" {
			return nil, fmt.Errorf("key %d of the model %q %s", i+1, r.model, wrong)
		}
		s := secret.New(text)
		if slices.ContainsFunc(list, func(k engine.Key) bool { return k.Secret == s }) {
			continue
		}
		list = append(list, engine.Key{Name: fmt.Sprintf("%s-%d", r.model, len(list)+1), Secret: s,
			Provider: r.like.Provider, Kind: r.like.Kind, BaseURL: r.like.BaseURL})
	}
	return list, nil
}

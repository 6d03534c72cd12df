package checkup

import (
	"context"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/provider"
	"keywheel/engine/proxy"
)

// Told is what a provider said of a key when it was asked.
type Told struct {
	// Call is the free call that was made, "GET /v1/models"; "" is that there is
	// none.
	Call    string
	Verdict engine.Verdict
	// Funds is what money is left; nil is unknown.
	Funds *provider.Funds
	// Permits is what the provider lets the key be used for; nil is unknown, or
	// everything.
	Permits []string
}

func (t Told) accepted() bool { return t.Call != "" && t.Verdict.Kind == engine.OK }

const (
	// askTime bounds what one key is asked, askAtOnce how many are.
	askTime   = 20 * time.Second
	askAtOnce = 8
)

// Ask makes the providers' free calls with every key that can be read: the one
// that tests it, and those that tell what money is left and what it may be used
// for.
func Ask(ctx context.Context, cfg *config.Config) (map[string]Told, error) {
	e, err := engine.New(cfg.Engine)
	if err != nil {
		return nil, err
	}
	p, err := proxy.New(e, proxy.Options{Services: cfg.Engine.Services, Keys: cfg.Engine.Keys, Dial: cfg.DialTimeout})
	if err != nil {
		return nil, err
	}
	told := map[string]Told{}
	var mu sync.Mutex
	var asked sync.WaitGroup
	turn := make(chan struct{}, askAtOnce)
	for i := range cfg.Engine.Keys {
		k := &cfg.Engine.Keys[i]
		if k.Missing != "" {
			continue
		}
		turn <- struct{}{}
		asked.Go(func() {
			t := ask(ctx, p, k)
			mu.Lock()
			told[k.Name] = t
			mu.Unlock()
			<-turn
		})
	}
	asked.Wait()
	return told, ctx.Err()
}

func ask(ctx context.Context, p *proxy.Proxy, k *engine.Key) (t Told) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	v, ok := p.Probe(ctx, k.Name)
	if ok {
		t.Call, t.Verdict = call(k), v
	}
	if f, ok := p.Balance(ctx, k.Name); ok {
		t.Funds = &f
	}
	t.Permits, _ = p.Permits(ctx, k.Name)
	return t
}

// call names the call that tests a key.
func call(k *engine.Key) string {
	pr, ok := provider.Lookup(k.Kind)
	if !ok {
		return ""
	}
	req, err := pr.Test(k)
	if err != nil || req == nil {
		return ""
	}
	return req.Method + " " + req.URL.Path
}

package proxy

import (
	"context"
	"net/http"
	"slices"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// The calls below are keywheel's own: no client asked for them, no lease is
// held for them, and a key is blamed for none but a test.

// Probe makes the provider's free call that tests a key, and says what the
// answer means. It reports false where there is no such key or call.
func (p *Proxy) Probe(ctx context.Context, key string) (engine.Verdict, bool) {
	k, ok := p.own(key)
	if !ok {
		return engine.Verdict{}, false
	}
	return p.Test(ctx, k)
}

// Test is [Proxy.Probe] for a key that need not be one of the proxy's yet.
func (p *Proxy) Test(ctx context.Context, k *engine.Key) (engine.Verdict, bool) {
	t, err := targetOf(k)
	if err != nil {
		return engine.Verdict{}, false
	}
	req, err := t.provider.Test(k)
	if err != nil || req == nil {
		return engine.Verdict{}, false
	}
	res, err := p.table.Load().sender.transport(k).RoundTrip(req.WithContext(ctx))
	if err != nil {
		return provider.Lost(req.Method, req.URL.Path, lostWords(err)), true
	}
	defer res.Body.Close()
	t.redactor.header(res.Header)
	text := readError(res, t.redactor)
	return t.provider.Judge(provider.Answer{Method: req.Method, Path: req.URL.Path, Status: res.StatusCode, Header: res.Header, Body: text}), true
}

// Balance asks the key's provider what money is left. It reports false where
// there is no such key or call, or no answer that tells: that is nobody's
// fault, and says nothing of the key.
func (p *Proxy) Balance(ctx context.Context, key string) (provider.Funds, bool) {
	k, ok := p.own(key)
	if !ok {
		return provider.Funds{}, false
	}
	t, err := targetOf(k)
	if err != nil {
		return provider.Funds{}, false
	}
	req, err := t.provider.AskBalance(k)
	if err != nil || req == nil {
		return provider.Funds{}, false
	}
	res, err := p.table.Load().sender.transport(k).RoundTrip(req.WithContext(ctx))
	if err != nil {
		return provider.Funds{}, false
	}
	defer res.Body.Close()
	text := readError(res, t.redactor)
	if res.StatusCode != http.StatusOK {
		return provider.Funds{}, false
	}
	return t.provider.ReadBalance(text)
}

// own finds a key whose secret is there.
func (p *Proxy) own(key string) (*engine.Key, bool) {
	keys := p.table.Load().o.Keys
	i := slices.IndexFunc(keys, func(k engine.Key) bool { return k.Name == key && k.Missing == "" })
	if i < 0 {
		return nil, false
	}
	return &keys[i], true
}

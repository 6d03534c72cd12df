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
	pr, _, text := p.ask(ctx, key, (*provider.Provider).AskBalance)
	if text == nil {
		return provider.Funds{}, false
	}
	return pr.ReadBalance(text)
}

// Permits asks the key's provider what the key may be used for; false as with
// [Proxy.Balance], and where it may be used for anything.
func (p *Proxy) Permits(ctx context.Context, key string) (scopes []string, ok bool) {
	pr, k, text := p.ask(ctx, key, (*provider.Provider).AskPermits)
	if text == nil {
		return nil, false
	}
	return pr.ReadPermits(text, k)
}

// ask makes a call of the provider's and gives the answer's body; nil is none.
func (p *Proxy) ask(ctx context.Context, key string, request func(*provider.Provider, *engine.Key) (*http.Request, error)) (*provider.Provider, *engine.Key, []byte) {
	k, ok := p.own(key)
	if !ok {
		return nil, nil, nil
	}
	t, err := targetOf(k)
	if err != nil {
		return nil, nil, nil
	}
	req, err := request(t.provider, k)
	if err != nil || req == nil {
		return nil, nil, nil
	}
	res, err := p.table.Load().sender.transport(k).RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, nil, nil
	}
	defer res.Body.Close()
	text := readError(res, t.redactor)
	if res.StatusCode != http.StatusOK {
		return nil, nil, nil
	}
	return t.provider, k, text
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

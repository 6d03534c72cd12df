package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/proxy"
)

// testsAtOnce is how many keys are tested at the same time.
const testsAtOnce = 8

// Test asks the provider of each key, by its free call, whether the key is
// valid; no names are all keys. tell hears of each as soon as it is known, one
// at a time, and so does the timeline. An error says that nothing was tested, or
// that ctx ended before all were. A rejection that waits to be confirmed is
// decided by it; nothing else of a key's state is.
func (n *Node) Test(ctx context.Context, names []string, by string, tell func(engine.KeyTest)) error {
	return testKeys(ctx, n.proxy, n.inForce().Engine.Keys, names, func(t engine.KeyTest, v engine.Verdict) {
		if t.Untested == "" {
			n.engine.Tested(t.Key, v)
		}
		n.engine.Note(engine.Event{Kind: engine.EventOperator, Key: t.Key, State: n.statusOf(t.Key).State, By: by, Text: testWords(&t)})
		tell(t)
	})
}

// Test is [Node.Test] on a configuration that nothing runs on.
func Test(ctx context.Context, cfg *config.Config, names []string, tell func(engine.KeyTest)) error {
	e, err := engine.New(cfg.Engine)
	if err != nil {
		return err
	}
	p, err := proxy.New(e, proxy.Options{Services: cfg.Engine.Services, Keys: cfg.Engine.Keys, Dial: cfg.DialTimeout})
	if err != nil {
		return err
	}
	return testKeys(ctx, p, cfg.Engine.Keys, names, func(t engine.KeyTest, _ engine.Verdict) { tell(t) })
}

func testKeys(ctx context.Context, p *proxy.Proxy, keys []engine.Key, names []string, tell func(engine.KeyTest, engine.Verdict)) error {
	if len(names) > 0 {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k engine.Key) bool { return !slices.Contains(names, k.Name) })
	}
	for _, name := range names {
		if !slices.ContainsFunc(keys, func(k engine.Key) bool { return k.Name == name }) {
			return &engine.NotFoundError{What: "key", Name: name}
		}
	}
	var running sync.WaitGroup
	var telling sync.Mutex
	places := make(chan struct{}, testsAtOnce)
	for i := range keys {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if ctx.Err() != nil {
				return
			}
			t, v := testKey(ctx, p, &keys[i])
			telling.Lock()
			defer telling.Unlock()
			if ctx.Err() == nil {
				tell(t, v)
			}
		})
	}
	running.Wait()
	return ctx.Err()
}

// testKey asks about one key.
func testKey(ctx context.Context, p *proxy.Proxy, k *engine.Key) (engine.KeyTest, engine.Verdict) {
	t := engine.KeyTest{Key: k.Name, Provider: k.Provider}
	if k.Missing != "" {
		t.Missing, t.Untested = true, "its secret is missing: "+k.Missing
		return t, engine.Verdict{}
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	begun := time.Now()
	v, ok := p.Probe(ctx, k.Name)
	if !ok {
		t.Untested = k.Provider + " has no free call for that"
		return t, v
	}
	t.TookMS = time.Since(begun).Milliseconds()
	t.Verdict, t.Status, t.Message = v.Kind, v.Evidence.Status, cmp.Or(v.Evidence.Message, v.Evidence.Code)
	return t, v
}

// testWords say a test on the timeline.
func testWords(t *engine.KeyTest) string {
	text := "tested: " + t.Words()
	if t.Untested != "" {
		text = t.Words()
	} else if !t.Well() {
		text += " (" + strings.TrimSpace(fmt.Sprintf("%d %s", t.Status, t.Message)) + ")"
	}
	return text
}

package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"keywheel/engine"
	"keywheel/engine/proxy"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// Any http.Client sends through a Transport: which key serves, and what an
// answer says of it, is then no affair of the program's. Here one of three keys
// is revoked in the middle.
func ExampleTransport() {
	upstream, e, err := threeKeys()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer upstream.Close()
	client := &http.Client{Transport: &proxy.Transport{Engine: e, Service: "gpt-4o"}}
	for i := range 6 {
		if i == 3 {
			upstream.Revoke("a")
		}
		// The host is that of each key's base URL, whatever stands here.
		res, err := client.Post("https://api.openai.com/v1/chat/completions", "application/json",
			strings.NewReader(`{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = res.Body.Close()
		fmt.Println(res.StatusCode, "with", res.Header.Get("X-Keywheel-Key"), "after", res.Header.Get("X-Keywheel-Attempts"))
	}
	// Output:
	// 200 with a after 1
	// 200 with b after 1
	// 200 with c after 1
	// 200 with b after 2
	// 200 with c after 1
	// 200 with b after 1
}

// OpenAI's own client takes an http.Client, and so the keys of an engine. The
// key it wants itself is never sent.
func ExampleTransport_openai() {
	upstream, e, err := threeKeys()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer upstream.Close()
	client := openai.NewClient(option.WithAPIKey("not needed"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: &proxy.Transport{Engine: e, Service: "gpt-4o"}}))
	ask := openai.ChatCompletionNewParams{Model: "gpt-4o", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}}

	for i := range 6 {
		if i == 3 {
			upstream.Revoke("a")
		}
		answer, err := client.Chat.Completions.New(context.Background(), ask)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer.Choices[0].Message.Content != "")
	}

	upstream.Revoke("b")
	stream := client.Chat.Completions.NewStreaming(context.Background(), ask)
	var text strings.Builder
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			text.WriteString(choice.Delta.Content)
		}
	}
	fmt.Println(text.Len() > 0, stream.Err())
	fmt.Println("keys that are not the provider's:", len(upstream.Foreign()))
	// Output:
	// true
	// true
	// true
	// true
	// true
	// true
	// true <nil>
	// keys that are not the provider's: 0
}

// Many clients at once, and two keys of three revoked in the middle: none of
// them sees an error.
func TestTransportUnderManyClients(t *testing.T) {
	t.Parallel()
	upstream, e, err := threeKeys()
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	client := openai.NewClient(option.WithAPIKey("not needed"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: &proxy.Transport{Engine: e, Service: "gpt-4o"}}))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := range 20 {
				if i == 10 {
					upstream.Revoke("a")
					upstream.Revoke("c")
				}
				_, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "gpt-4o",
					Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := upstream.Counts("a").Refused[401] + upstream.Counts("c").Refused[401]; n == 0 || upstream.Counts("b").Accepted < 160 {
		t.Errorf("%d were refused, b served %d", n, upstream.Counts("b").Accepted)
	}
	if s := e.Snapshot(); s.Proxy.Requests != 320 || s.Proxy.InFlight != 0 || s.Proxy.Failures != 0 {
		t.Errorf("%+v", s.Proxy)
	}
}

// threeKeys is a simulated OpenAI on loopback, and an engine whose service
// gpt-4o has the keys a, b and c there.
func threeKeys() (*sim.Upstream, *engine.Engine, error) {
	var cfg engine.Config
	var there []sim.Key
	s := engine.Service{Name: "gpt-4o", Models: []string{"gpt-4o"}}
	for _, name := range []string{"a", "b", "c"} {
		there = append(there, sim.Key{Name: name, Secret: secret.New("sk-test-not-a-key-" + name)})
		s.Keys = append(s.Keys, name)
	}
	upstream, err := sim.NewUpstream("openai", sim.Options{}, there...)
	if err != nil {
		return nil, nil, err
	}
	if err := upstream.Start(); err != nil {
		return nil, nil, err
	}
	for _, k := range there {
		cfg.Keys = append(cfg.Keys, engine.Key{Name: k.Name, Provider: "openai", Kind: "openai", BaseURL: upstream.BaseURL(), Secret: k.Secret})
	}
	cfg.Services = []engine.Service{s}
	e, err := engine.New(cfg)
	return upstream, e, err
}

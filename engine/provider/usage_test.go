package provider

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"keywheel/engine"
)

func TestUsage(t *testing.T) {
	big := `data: {"candidates":[{"content":{"parts":[{"inlineData":{"data":"` + strings.Repeat("QUJD", 40<<10) + `"}}]}}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":1290,"totalTokenCount":1297}}` + "\n\n"
	for _, c := range []struct {
		name, provider, head, body string
		want                       Usage
	}{
		{"OpenAI's chat", "openai", "", `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":999}"}}],"usage":{"prompt_tokens":70,"completion_tokens":12,"total_tokens":82,"prompt_tokens_details":{"cached_tokens":64,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":8}}}`,
			Usage{Usage: engine.Usage{Input: 70, Output: 12, Cached: 64}, Reasoning: 8}},
		{"OpenAI's stream", "openai", sse, "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
			Usage{Usage: engine.Usage{Input: 7, Output: 2}}},
		{"OpenAI's responses", "openai", sse, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":1},\"total_tokens\":13}}}\n\n",
			Usage{Usage: engine.Usage{Input: 9, Output: 4, Cached: 3}, Reasoning: 1}},
		{"Anthropic", "anthropic", "", `{"content":[],"usage":{"input_tokens":12,"cache_creation_input_tokens":5,"cache_read_input_tokens":2048,"cache_creation":{"ephemeral_5m_input_tokens":5},"output_tokens":3}}`,
			Usage{Usage: engine.Usage{Input: 12, Output: 3, Cached: 2048}, CacheWrite: 5}},
		{"Anthropic's stream", "anthropic", sse, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
			Usage{Usage: engine.Usage{Input: 25, Output: 15, Cached: 100}}},
		{"Gemini's stream", "gemini", sse, "data: {\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":5,\"totalTokenCount\":6}}\r\n\r\ndata: {\"candidates\":[],\"usageMetadata\": {\"promptTokenCount\": 5,\"candidatesTokenCount\": 6,\"thoughtsTokenCount\": 30,\"cachedContentTokenCount\": 2,\"totalTokenCount\": 41}}\r\n\r\n",
			Usage{Usage: engine.Usage{Input: 5, Output: 36, Cached: 2}, Reasoning: 30}},
		{"a frame with an image", "gemini", sse, big, Usage{Usage: engine.Usage{Input: 7, Output: 1290}}},
		{"DeepSeek", "deepseek", "", `{"usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}}`, Usage{Usage: engine.Usage{Input: 10, Output: 3, Cached: 8}}},
		{"OpenRouter", "openrouter", "", `{"usage":{"prompt_tokens":10,"completion_tokens":3,"cost":0.00014,"cost_details":{"upstream_inference_cost":null}}}`, Usage{Usage: engine.Usage{Input: 10, Output: 3, CostUSD: 0.00014}, Priced: true}},
		{"AIMLAPI's headers", "aimlapi", "X-Aimlapi-Credits-Used: 2480\nX-Aimlapi-Usd-Spent: 0.001240000\n", `{"usage":{"prompt_tokens":7,"completion_tokens":12}}`, Usage{Usage: engine.Usage{Input: 7, Output: 12, CostUSD: 0.00124}, Priced: true}},
		{"AIMLAPI's stream", "aimlapi", sse, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":12}}\n\ndata: {\"meta\":{\"usage\":{\"credits_used\":2480,\"usd_spent\":0.00124}}}\n\ndata: [DONE]\n\n",
			Usage{Usage: engine.Usage{Input: 7, Output: 12, CostUSD: 0.00124}, Priced: true}},
		{"AIMLAPI's video", "aimlapi", "", `{"id":"x","status":"completed","video":{"url":"u"},"meta":{"usage":{"credits_used":2000000}}}`, Usage{Usage: engine.Usage{CostUSD: 1}, Priced: true}},
		{"MiniMax", "minimax", "", `{"usage":{"total_tokens":12},"base_resp":{"status_code":0}}`, Usage{Usage: engine.Usage{Input: 12}}},
		{"Cohere", "cohere", "", `{"usage":{"billed_units":{"input_tokens":5,"output_tokens":9},"tokens":{"input_tokens":70,"output_tokens":9}}}`, Usage{Usage: engine.Usage{Input: 5, Output: 9}}},
		{"nonsense", "openai", "", `{"usage":{"prompt_tokens":-5,"completion_tokens":"x","cost":-1,"prompt_tokens_details":7}}`, Usage{}},
		{"cut", "openai", "", `{"usage":{"prompt_tokens":5`, Usage{}},
	} {
		p, _ := Lookup(c.provider)
		a, err := ParseHTTP(strings.NewReader("HTTP/1.1 200 OK\n" + c.head + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			tap := p.Tap(a)
			for rest := []byte(c.body); len(rest) > 0; {
				n := min(1+rand.IntN(1+len(c.body)/8), len(rest))
				_, _ = tap.Write(rest[:n])
				rest = rest[n:]
			}
			got := tap.Usage()
			found := got.Input+got.Output > 0 || got.Priced
			if got.Found != found && c.name != "nonsense" {
				t.Errorf("%s: found is %v", c.name, got.Found)
			}
			got.Found, got.apart = false, false
			if math.Abs(got.CostUSD-c.want.CostUSD) < 1e-12 {
				got.CostUSD = c.want.CostUSD
			}
			if got != c.want {
				t.Fatalf("%s: %+v, want %+v", c.name, got, c.want)
			}
			if cap(tap.carry) > 2*maxCarry {
				t.Errorf("%s: kept %d bytes", c.name, cap(tap.carry))
			}
		}
	}
}

func TestTapEnds(t *testing.T) {
	for _, c := range []struct {
		name, stream  string
		ended, failed bool
	}{
		{"a chat", "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n", false, false},
		{"a chat's last chunk", "data: {\"choices\":[{\"delta\":{},\"finish_reason\": \"stop\"}]}\n\n", true, false},
		{"a chat's mark", "data: {\"choices\":[]}\n\ndata: [DONE]\n\n", true, false},
		{"a mark in the content", "data: {\"choices\":[{\"delta\":{\"content\":\"\\ndata: [DONE] \\\"finish_reason\\\":\\\"stop\\\"\"}}]}\n\n", false, false},
		{"a message", "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null}}\n\n", false, false},
		{"a message's end", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true, false},
		{"a response's end", "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":\"" + strings.Repeat("x", 50<<10) + "\",\"usage\":{\"input_tokens\":1}" + strings.Repeat(" ", 2000) + "}}\n\n", true, false},
		{"an error", "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"error\":{\"message\":\"Overloaded\"}}\n\n", true, true},
		{"no error", "data: {\"response\":{\"error\":null}}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\":1\"}}]}\n\n", false, false},
	} {
		p, _ := Lookup("openai")
		tap := p.Tap(Answer{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}})
		_, _ = tap.Write([]byte(c.stream))
		if _, failed := tap.Failure(); tap.Ended() != c.ended || failed != c.failed || (tap.Err() != nil) != failed {
			t.Errorf("%s: ended %v, failed %v", c.name, tap.Ended(), failed)
		}
	}
}

func TestIsUsageFrame(t *testing.T) {
	for data, want := range map[string]bool{
		`{"choices":[],"usage":{"prompt_tokens":1}}`: true, `{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}`: false, `{"choices":[],"usage":null}`: false, `[DONE]`: false, `{"usage":{"a":1}}`: false,
	} {
		if IsUsageFrame([]byte(data)) != want {
			t.Error(data)
		}
	}
}

const priceFile = `{
 "sample_spec": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "mode": "one of chat, embedding"},
 "gpt-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06, "max_tokens": 16384, "supports_vision": true},
 "gemini/gemini-2.5-pro": {"input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05},
 "free-model": {"input_cost_per_token": 0, "output_cost_per_token": 0},
 "dall-e-3": {"input_cost_per_pixel": 3.81469e-08, "output_cost_per_pixel": 0.0},
 "odd": {"input_cost_per_token": "much"}, "odder": 7, "mad": {"input_cost_per_token": -1}
}`

func TestPrices(t *testing.T) {
	prices, err := ReadPrices(strings.NewReader(priceFile))
	if err != nil || len(prices) != 3 {
		t.Fatal(prices, err)
	}
	used := Usage{Usage: engine.Usage{Input: 1000, Output: 100, Cached: 400}, Found: true}
	for _, c := range []struct {
		provider, model string
		usd             float64
		priced          bool
	}{
		{"openai", "gpt-4o", 600*2.5e-6 + 400*1.25e-6 + 100*1e-5, true},
		{"openai", "gpt-4o-2024-08-06", 600*2.5e-6 + 400*1.25e-6 + 100*1e-5, true},
		{"openrouter", "openai/gpt-4o", 600*2.5e-6 + 400*1.25e-6 + 100*1e-5, true},
		{"gemini", "models/gemini-2.5-pro", 1000*1.25e-6 + 100*1e-5, true},
		{"openai", "free-model", 0, true},
		{"openai", "gpt-4o-mini", 0, false},
		{"openai", "dall-e-3", 0, false},
		{"openai", "", 0, false},
	} {
		u := used
		u.Price(c.provider, c.model, nil, prices)
		if math.Abs(u.CostUSD-c.usd) > 1e-12 || u.Priced != c.priced {
			t.Errorf("%s %s costs %g, priced %v, want %g, %v", c.provider, c.model, u.CostUSD, u.Priced, c.usd, c.priced)
		}
	}
	told := used
	told.CostUSD, told.Priced = 7, true
	if told.Price("openai", "gpt-4o", prices); told.CostUSD != 7 {
		t.Error("what the provider reports does not stay")
	}
	apart := used
	apart.apart = true
	if apart.Price("openai", "gpt-4o", prices); math.Abs(apart.CostUSD-(1000*2.5e-6+400*1.25e-6+100*1e-5)) > 1e-12 {
		t.Error("cached tokens that input leaves out:", apart.CostUSD)
	}
	for _, bad := range []string{"", "[]", "{", `{"a":`, `{"a":{}`, "null"} {
		if _, err := ReadPrices(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	for model, p := range Builtin {
		if !p.sane() || p.Input == 0 || p.Output < p.Input || p.Cached > p.Input {
			t.Errorf("%s: %+v", model, p)
		}
	}
}

func FuzzPrices(f *testing.F) {
	f.Add([]byte(priceFile), "gpt-4o-2024-08-06")
	f.Add([]byte(`{"a":{"input_cost_per_token":1e-6}}`), "x/y/a-latest")
	f.Fuzz(func(t *testing.T, file []byte, model string) {
		prices, err := ReadPrices(bytes.NewReader(file))
		if err != nil {
			return
		}
		u := Usage{Usage: engine.Usage{Input: 1, Output: 2, Cached: 3}, Found: true}
		if u.Price("openai", model, prices); u.CostUSD < 0 || math.IsNaN(u.CostUSD) {
			t.Errorf("%g", u.CostUSD)
		}
	})
}

package provider

import (
	"strings"
	"testing"

	"keywheel/engine"
)

func TestOpening(t *testing.T) {
	const (
		hello   = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n"
		role    = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
		filters = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n"
		start   = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n"
		block   = "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
		broke   = "data: {\"error\":{\"code\":\"1113\",\"message\":\"欠费\"}}\n\n"
	)
	for _, c := range []struct {
		name, provider, stream string
		says                   Says
		kind                   engine.Kind
	}{
		{"content", "openai", role + hello, Content, engine.OK},
		{"a role alone", "openai", role, Nothing, engine.OK},
		{"Azure's filters", "azure-openai", filters + role, Nothing, engine.OK},
		{"comments", "openrouter", ": OPENROUTER PROCESSING\n\n: keep-alive\r\n\r\n", Nothing, engine.OK},
		{"reasoning is content", "deepseek", "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n", Content, engine.OK},
		{"a tool call is content", "openai", "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n", Content, engine.OK},
		{"an end without content", "openai", role + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", Content, engine.OK},
		{"money in the first frame", "zhipu", broke, Failure, engine.QuotaExhausted},
		{"an error after metadata", "anthropic", start + block + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", Failure, engine.UpstreamFault},
		{"metadata", "anthropic", start + block, Nothing, engine.OK},
		{"a failed response", "openai", "data: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}}}\n\n", Failure, engine.RateLimited},
		{"Gemini's content", "gemini", "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\r\n\r\n", Content, engine.OK},
		{"Gemini's error", "gemini", "data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}\r\n\r\n", Failure, engine.UpstreamFault},
		{"JSON instead of a stream", "zhipu", "{\"error\":{\"code\":\"1302\",\"message\":\"x\"}}\n", Failure, engine.RateLimited},
		{"a page instead of a stream", "openai", "<html><body>busy</body></html>\n", Failure, engine.UpstreamFault},
		{"a frame without an end", "openai", "data: " + strings.Repeat("x", 70<<10), Content, engine.OK},
		{"a frame cut", "openai", "data: {\"error\":{\"code\":\"insuff", Nothing, engine.OK},
		{"no JSON", "openai", "data: hello\n\n", Content, engine.OK},
	} {
		p, _ := Lookup(c.provider)
		for _, step := range []int{len(c.stream), 7, 1} {
			o := p.Open(Answer{Method: "POST", Path: "/v1/chat/completions", Status: 200})
			says := Nothing
			for rest := c.stream; rest != "" && says == Nothing; {
				n := min(step, len(rest))
				says = o.Feed([]byte(rest[:n]))
				rest = rest[n:]
			}
			if v := o.Verdict(); says != c.says || v.Kind != c.kind {
				t.Errorf("%s, %d bytes at a time: %d %s (%s), want %d %s", c.name, step, says, v.Kind, v.Rule, c.says, c.kind)
			}
		}
	}
}

func TestOpeningEnds(t *testing.T) {
	p, _ := Lookup("openai")
	o := p.Open(Answer{Method: "POST", Path: "/v1/chat/completions", Status: 200})
	o.Feed([]byte(": hello\n\n"))
	if says := o.End(); says != Failure || o.Verdict().Kind != engine.UpstreamFault || o.Verdict().Rule == "" {
		t.Errorf("an empty stream says %d, %+v", says, o.Verdict())
	}
	o = p.Open(Answer{Status: 200})
	o.Feed([]byte("data: {\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}"))
	if o.End() != Failure || o.Verdict().Kind != engine.QuotaExhausted {
		t.Errorf("a last frame without an end: %+v", o.Verdict())
	}
	if says, v := p.JudgeFrame(Answer{Status: 200}, []byte(`{"error":{"code":"invalid_api_key"}}`)); says != Failure || v.Kind != engine.InvalidKey {
		t.Error(says, v)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"x\"}}\n\n"), 3)
	f.Add([]byte(": c\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\ndata: [DONE]\n"), 1)
	f.Add([]byte("data: {\"usage\":{\"prompt_tokens\":1},\"meta\":{\"usage\":{\"usd_spent\":0.1}}}\n\n"), 5)
	f.Add([]byte("data: {\"usageMetadata\":{\"promptTokenCount\":1}}\n"), 2)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		step = min(max(step, 1), 1<<10)
		for i := range table {
			p := &table[i]
			a := Answer{Method: "POST", Path: "/v1/chat/completions", Status: 200, Header: map[string][]string{"Content-Type": {"text/event-stream"}}}
			o, tap := p.Open(a), p.Tap(a)
			for rest := stream; len(rest) > 0; {
				n := min(step, len(rest))
				o.Feed(rest[:n])
				_, _ = tap.Write(rest[:n])
				rest = rest[n:]
			}
			if o.End() == Nothing {
				t.Error("an ended stream says nothing")
			}
			if cap(tap.carry) > 4*maxCarry || cap(o.lines.part) > 4*maxOpening {
				t.Error("kept too much")
			}
			if u := tap.Usage(); u.Input < 0 || u.Output < 0 || u.CostUSD < 0 {
				t.Errorf("usage %+v", u)
			}
			tap.Ended()
			a.Body, a.Whole = stream, true
			p.Judge(a)
		}
	})
}

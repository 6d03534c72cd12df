package provider

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
)

var plainBody = []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"` + string(bytes.Repeat([]byte("words and words "), 60)) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":12,"total_tokens":19}}`)

func BenchmarkJudge(b *testing.B) {
	head := http.Header{"Content-Type": {"application/json"}, "Date": {"Tue, 10 Mar 2026 12:00:00 GMT"}, "X-Ratelimit-Remaining-Requests": {"499"}}
	for _, c := range []struct {
		name, provider string
		a              Answer
	}{
		{"plain 200", "openai", Answer{Method: "POST", Path: "/v1/chat/completions", Status: 200, Header: head, Body: plainBody}},
		{"unread 200", "openai", Answer{Method: "POST", Path: "/v1/chat/completions", Status: 200, Header: head}},
		{"an error", "openai", Answer{Method: "POST", Path: "/v1/chat/completions", Model: "gpt-4o", Status: 429, Header: head, Body: []byte(`{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000. Please try again in 6s. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`)}},
		{"words alone", "generic", Answer{Method: "POST", Path: "/v1/chat/completions", Model: "m", Status: 403, Header: head, Body: []byte(`{"message":"Something that no rule knows has happened to this request, which is why it is refused here.","path":"/v1/chat/completions"}`)}},
	} {
		p, _ := Lookup(c.provider)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Judge(c.a)
			}
		})
	}
}

func TestPlainAnswerAllocatesNothing(t *testing.T) {
	p, _ := Lookup("openai")
	a := Answer{Method: "POST", Path: "/v1/chat/completions", Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: plainBody}
	if n := testing.AllocsPerRun(100, func() { p.Judge(a) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// chunks are a stream as it comes: a small frame at a time.
func chunks() [][]byte {
	var all [][]byte
	for i := range 500 {
		all = append(all, fmt.Appendf(nil, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1773144000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word %d \"},\"finish_reason\":null}],\"usage\":null}\n\n", i))
	}
	return append(all, []byte("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":500}}\n\ndata: [DONE]\n\n"))
}

func BenchmarkTap(b *testing.B) {
	p, _ := Lookup("openai")
	a := Answer{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}}
	all := chunks()
	b.ReportAllocs()
	for b.Loop() {
		t := p.Tap(a)
		for _, c := range all {
			_, _ = t.Write(c)
		}
		if t.Usage().Output != 500 {
			b.Fatal("lost the usage")
		}
	}
}

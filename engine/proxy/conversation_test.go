package proxy

import (
	"net/http"
	"testing"
)

func TestConversationOf(t *testing.T) {
	t.Parallel()
	of := func(text string, header ...string) string {
		h := http.Header{}
		if len(header) == 2 {
			h.Set(header[0], header[1])
		}
		return conversationOf(h, &body{mem: []byte(text)})
	}
	const turn1 = `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hello"}]}`
	const turn2 = `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hello"},{"role":"assistant","content":"hi"},{"role":"user","content":"more"}]}`
	const other = `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"goodbye"}]}`
	if of(turn1) == "" || of(turn1) != of(turn2) || of(turn1) == of(other) {
		t.Error("the opening messages do not name the conversation")
	}
	if a, b := of(turn1, "X-Session-Id", "1"), of(other, "X-Session-Id", "1"); a != b || a == of(turn1, "X-Session-Id", "2") {
		t.Error("the header does not go before the messages")
	}
	for _, body := range []string{`{"prompt_cache_key":"%","input":[{"a":1}]}`, `{"metadata":{"user_id":"%"},"messages":[1]}`, `{"user":"%","messages":[2]}`,
		`{"instructions":"x%","input":[{"role":"user"}]}`, `{"systemInstruction":{"parts":[]},"contents":[{"parts":[{"text":"%"}]}]}`, `{"system":"x","messages":[{"role":"user","content":"%"}]}`} {
		if a := of(body); a == "" || a != of(body) {
			t.Errorf("%s: %q", body, a)
		}
	}
	for _, body := range []string{``, `[]`, `{}`, `{"input":"text"}`, "\xff\xfe", `{"messages":`} {
		if a := of(body); a != "" && body != `{"input":"text"}` {
			t.Errorf("%q names %q", body, a)
		}
	}
}

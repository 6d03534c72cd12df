package sim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tidwall/gjson"
)

// sse is one event of a stream.
type sse struct{ name, data string }

func events(t *testing.T, body string) (es []sse) {
	t.Helper()
	if !strings.HasSuffix(body, "\n\n") {
		t.Fatalf("a stream ends in %q", body[max(0, len(body)-40):])
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		var e sse
		for line := range strings.SplitSeq(block, "\n") {
			switch {
			case strings.HasPrefix(line, "event: "):
				e.name = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				e.data = line[len("data: "):]
			default:
				t.Fatalf("a line of a stream is %q", line)
			}
		}
		es = append(es, e)
	}
	return es
}

const (
	streamChat      = `{"model":"m1","stream":true,"max_tokens":40,"messages":[]}`
	streamChatUsage = `{"model":"m1","stream":true,"max_tokens":40,"stream_options":{"include_usage":true},"messages":[]}`
)

// TestStreams tells of each stream where its text is, how many tokens it says
// it had, and how it ends.
func TestStreams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, path, body string
		text             string // gjson path of a piece
		usage            string // gjson path of output tokens; "" is none
		last             sse    // "*" is any
		names            string // the distinct names in order
	}{
		{"openai", "/v1/chat/completions", streamChat, "choices.0.delta.content", "", sse{"", "[DONE]"}, ""},
		{"openai", "/v1/chat/completions", streamChatUsage, "choices.0.delta.content", "usage.completion_tokens", sse{"", "[DONE]"}, ""},
		{"groq", "/openai/v1/chat/completions", streamChatUsage, "choices.0.delta.content", "usage.completion_tokens", sse{"", "[DONE]"}, ""},
		{"zhipu", "/api/paas/v4/chat/completions", streamChat, "choices.0.delta.content", "usage.completion_tokens", sse{"", "[DONE]"}, ""},
		{"aimlapi", "/v1/chat/completions", streamChat, "choices.0.delta.content", "usage.completion_tokens", sse{"", "[DONE]"}, ""},
		{"openai", "/v1/responses", `{"model":"m1","stream":true,"max_output_tokens":40,"input":"x"}`, "delta", "response.usage.output_tokens", sse{"response.completed", "*"},
			"response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.completed"},
		{"anthropic", "/v1/messages", streamChat, "delta.text", "usage.output_tokens", sse{"message_stop", `{"type":"message_stop"}`},
			"message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop"},
		{"gemini", "/v1beta/models/m1:streamGenerateContent?alt=sse", `{"generationConfig":{"maxOutputTokens":40}}`, "candidates.0.content.parts.0.text", "usageMetadata.candidatesTokenCount", sse{"", "*"}, ""},
	} {
		what := c.kind + " " + c.path
		w := newBench(t, c.kind).do("one", "POST", c.path, c.body)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") || !w.Flushed {
			t.Errorf("%s: %d %v", what, w.Code, w.Header())
			continue
		}
		var text, names, usage string
		es := events(t, w.Body.String())
		for _, e := range es {
			text += gjson.Get(e.data, c.text).String()
			if !strings.HasSuffix(names, e.name) {
				names = strings.TrimSpace(names + " " + e.name)
			}
			if n := gjson.Get(e.data, "usage"); c.usage == "" && n.Exists() {
				t.Errorf("%s: usage that was not asked for: %s", what, e.data)
			}
			if n := gjson.Get(e.data, c.usage).String(); c.usage != "" && n != "" {
				usage = n
			}
			if e.name != "" && gjson.Get(e.data, "type").String() != e.name {
				t.Errorf("%s: event %s has data %s", what, e.name, e.data)
			}
		}
		if n := len(strings.Fields(text)); n == 0 || n > 40 {
			t.Errorf("%s: text of %d words", what, n)
		}
		if names != c.names {
			t.Errorf("%s: events %s", what, names)
		}
		if c.usage != "" && (usage == "" || usage == "0") {
			t.Errorf("%s: no usage", what)
		}
		if last := es[len(es)-1]; last.name != c.last.name || c.last.data != "*" && last.data != c.last.data {
			t.Errorf("%s: last event %v", what, last)
		}
	}
}

func TestUsageChunkHasNoChoices(t *testing.T) {
	t.Parallel()
	es := events(t, newBench(t, "openai").do("one", "POST", "/v1/chat/completions", streamChatUsage).Body.String())
	last := gjson.Parse(es[len(es)-2].data)
	if !last.Get("choices").IsArray() || last.Get("choices.#").Int() != 0 || last.Get("usage.total_tokens").Int() == 0 {
		t.Errorf("usage chunk %s", last)
	}
	if first := gjson.Get(es[0].data, "usage"); first.Type != gjson.Null || !first.Exists() {
		t.Errorf("usage of the first chunk is %q, want null", first.Raw)
	}
}

func TestAIMLStreamsTellTheirCost(t *testing.T) {
	t.Parallel()
	es := events(t, newBench(t, "aimlapi").do("one", "POST", "/v1/chat/completions", streamChat).Body.String())
	cost := gjson.Parse(es[len(es)-2].data)
	if cost.Get("meta.usage.usd_spent").Float() <= 0 || cost.Get("meta.usage.credits_used").Int() <= 0 || cost.Get("choices").Exists() {
		t.Errorf("cost chunk %s", cost)
	}
}

// TestCutStreams wants a stream that breaks off after some content, once.
func TestCutStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "anthropic")
		b.CutStreams(1)
		cut := func() (was any) {
			defer func() { was = recover() }()
			b.do("one", "POST", "/v1/messages", streamChat)
			return nil
		}
		if was := cut(); was != http.ErrAbortHandler {
			t.Errorf("the first stream ended with %v", was)
		}
		if was := cut(); was != nil {
			t.Errorf("the second stream ended with %v", was)
		}
		b.SetOutage(Cut)
		if was := cut(); fmt.Sprint(was) != http.ErrAbortHandler.Error() {
			t.Errorf("a cut outage ended with %v", was)
		}
	})
}

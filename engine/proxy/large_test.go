package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// withImages is the start of a chat whose images take about n bytes, as the
// Python SDK writes it: the messages come first.
func withImages(n int) string {
	image := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0K", n/16) + `"}}`
	return `{"messages":[{"role":"user","content":[` + image + `,` + image + `,{"type":"text","text":"say \"model\""}]}]`
}

// What is changed in a body is changed in one that is partly in a file, too,
// wherever the model stands, and in each attempt.
func TestLargeBodiesAreRewritten(t *testing.T) {
	t.Parallel()
	const added = `"stream_options":{"include_usage":true}`
	messages := func(n int) string { return strings.TrimPrefix(withImages(n), "{") }
	for _, c := range []struct {
		name     string
		in, want func(n int) string
	}{
		{"model last", func(n int) string { return withImages(n) + `,"model":"fast","temperature":0}` },
			func(n int) string { return withImages(n) + `,"model":"gpt-4o","temperature":0}` }},
		{"model first", func(n int) string { return `{"model":"fast",` + messages(n) + `}` },
			func(n int) string { return `{"model":"gpt-4o",` + messages(n) + `,"temperature":0.7}` }},
		{"stream", func(n int) string { return withImages(n) + `,"stream": true,"model": "GPT-4o" }` },
			func(n int) string {
				return withImages(n) + `,"stream": true,"model": "gpt-4o","temperature":0.7,` + added + ` }`
			}},
		{"says all", func(n int) string {
			return withImages(n) + `,"model":"gpt-4o","temperature":null,"stream":true,"stream_options":null}`
		}, nil},
		{"unknown model", func(n int) string { return withImages(n) + `,"temperature":1,"model":"other"}` }, nil},
		{"cut", func(n int) string { return withImages(n) + `,"model":"fast"` }, nil},
		{"two", func(n int) string { return withImages(n) + `,"model":"fast"}{}` }, nil},
		{"no object", func(n int) string { return "[" + withImages(n) + `,"model":"fast"}]` }, nil},
	} {
		if c.want == nil {
			c.want = c.in
		}
		for _, size := range []int{100 << 10, 900 << 10, 3 << 20} {
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d KiB, chunked %v", c.name, size>>10, chunked), func(t *testing.T) {
					t.Parallel()
					want := c.want(size)
					var calls atomic.Int32
					r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
						b, err := io.ReadAll(r.Body)
						if err != nil || string(b) != want {
							t.Errorf("%d bytes of %d, %v: %.60s...%s", len(b), len(want), err, b, b[max(0, len(b)-120):])
						}
						if calls.Add(1) == 1 {
							w.WriteHeader(401)
						}
					}, func(c *engine.Config, _ *Options) {
						c.Services[0].Models = []string{"gpt-4o"}
						c.Services[0].Aliases = map[string]string{"fast": "gpt-4o"}
						c.Services[0].Defaults = map[string]any{"temperature": 0.7}
					})
					var in io.Reader = strings.NewReader(c.in(size))
					if chunked {
						in = struct{ io.Reader }{in}
					}
					res, err := http.Post(r.url+"/svc/v1/chat/completions", "application/json", in)
					if err != nil {
						t.Fatal(err)
					}
					_ = res.Body.Close()
					if res.StatusCode != 200 || calls.Load() != 2 {
						t.Errorf("%d after %d calls", res.StatusCode, calls.Load())
					}
					waitFor(t, func() bool { return r.proxy.budget.left.Load() == 1<<30 })
				})
			}
		}
	}
}

// At the root a large chat finds its service, its limits and holds are those of
// its model, and a stream's usage is asked for, counted and hidden.
func TestALargeChatIsKnownByItsModel(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if gjson.GetBytes(b, "model").Str != "gpt-4o" || !gjson.GetBytes(b, "stream_options.include_usage").Bool() {
			t.Errorf("it was asked ...%s", b[len(b)-100:])
		}
		frames(w, `{"choices":[{"delta":{"content":"hello"}}]}`, `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`, "[DONE]")
	}, func(c *engine.Config, _ *Options) {
		c.Services[0].Models, c.Services[0].Aliases = []string{"gpt-4o"}, map[string]string{"fast": "gpt-4o"}
	})
	res, text := r.ask("POST", "/v1/chat/completions", withImages(3<<20)+`,"stream":true,"model":"fast"}`)
	if res.StatusCode != 200 || strings.Contains(text, "usage") || !strings.Contains(text, "hello") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	waitFor(t, func() bool { return r.engine.Snapshot().Keys[0].InputTokens == 3 })
	if got := r.engine.Requests(0)[0].Model; got != "gpt-4o" {
		t.Errorf("the request's model is %q", got)
	}
}

// What is not kept whole passes as it is.
func TestABodyTooLargeToKeepPassesAsItIs(t *testing.T) {
	t.Parallel()
	in := withImages(3<<20) + `,"model":"fast"}`
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, func(c *engine.Config, o *Options) {
		o.MaxReplay = 2 << 20
		c.Services[0].Aliases = map[string]string{"fast": "gpt-4o"}
		c.Services[0].Defaults = map[string]any{"temperature": 0.7}
	})
	if res, got := r.ask("POST", "/svc/v1/chat/completions", in); res.StatusCode != 200 || got != in {
		t.Errorf("%d: %d bytes of %d", res.StatusCode, len(got), len(in))
	}
}

// Of a body whose length is not said room is kept for the longest. What it does
// not need is there for others once it has been read.
func TestABodyKeepsOnlyTheRoomThatItNeeds(t *testing.T) {
	t.Parallel()
	const all = 64 << 20
	for _, size := range []int{0, 100, inMemory, inMemory + 1, 3 << 20} {
		room := &budget{}
		room.left.Store(all)
		kept, err := keep(io.NopCloser(strings.NewReader(strings.Repeat("x", size))), -1, 8<<20, room)
		if err != nil {
			t.Fatal(err)
		}
		if taken := all - room.left.Load(); taken != int64(max(size-inMemory, 0)) {
			t.Errorf("%d bytes take %d beyond memory", size, taken)
		}
		if kept.drop(); room.left.Load() != all {
			t.Errorf("%d bytes leave %d of %d", size, room.left.Load(), all)
		}
	}
}

// A large chat goes on in the conversation that it began as a small one, and to
// the account that has what it names.
func TestALargeBodysNames(t *testing.T) {
	t.Parallel()
	small := `{"messages":[{"role":"user"}],"prompt_cache_key":"c1"}`
	large := withImages(3<<20) + `,"prompt_cache_key":"c1","previous_response_id":"resp_1"}`
	room := &budget{}
	room.left.Store(64 << 20)
	kept, err := keep(io.NopCloser(strings.NewReader(large)), int64(len(large)), 64<<20, room)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.drop()
	if a, b := conversationOf(nil, &body{mem: []byte(small)}), conversationOf(nil, kept); a == "" || a != b {
		t.Errorf("conversation %q became %q", a, b)
	}
	openai, _ := provider.Lookup("openai")
	er := &engine.Request{Method: "POST", Path: "/v1/responses"}
	names(er, openai, "", topOf(er.Path, kept), kept)
	if fmt.Sprint(er.Bound) != "[resp_1]" {
		t.Errorf("it names %v", er.Bound)
	}
}

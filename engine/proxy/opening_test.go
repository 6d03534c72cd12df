package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/secret"
)

const sseHead = "text/event-stream"

// stream writes frames as a provider does.
func frames(w http.ResponseWriter, list ...string) {
	w.Header().Set("Content-Type", sseHead)
	for _, f := range list {
		fmt.Fprintf(w, "data: %s\n\n", f)
		w.(http.Flusher).Flush()
	}
}

func TestAnErrorBeforeContentGoesToTheNextKey(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]http.HandlerFunc{
		"at once": func(w http.ResponseWriter, r *http.Request) {
			frames(w, `{"error":{"message":"Rate limit reached","type":"rate_limit_error","code":"rate_limit_exceeded"}}`)
		},
		"after metadata": func(w http.ResponseWriter, r *http.Request) {
			frames(w, `{"id":"1","choices":[{"delta":{"role":"assistant","content":""}}]}`, `{"error":{"message":"The server is overloaded","type":"server_error","code":"server_is_overloaded"}}`)
		},
		"under a 200": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"error":{"message":"Rate limit reached","type":"rate_limit_error","code":"rate_limit_exceeded"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
				if key(r) == "k1" {
					first(w, r)
					return
				}
				frames(w, `{"choices":[{"delta":{"content":"hello"}}]}`, "[DONE]")
			})
			res, text := r.ask("POST", "/svc/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)
			if res.StatusCode != 200 || !strings.Contains(text, "hello") || strings.Contains(text, "error") || res.Header.Get("X-Keywheel-Attempts") != "2" {
				t.Errorf("%d %v %s", res.StatusCode, res.Header, text)
			}
			waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
			if p := r.engine.Snapshot().Proxy; p.Failures != 0 || p.Absorbed != 1 {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestAnErrorAfterContentIsToldAndCountedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		frames(w, `{"choices":[{"delta":{"content":"hel"}}]}`, `{"error":{"message":"The server had an error","type":"server_error"}}`)
	})
	res, text := r.ask("POST", "/svc/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)
	if res.StatusCode != 200 || !strings.Contains(text, "hel") || !strings.Contains(text, "had an error") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
	if s := r.engine.Snapshot(); s.Proxy.Failures != 1 || s.Keys[0].Failures != 1 || s.Keys[1].Requests != 0 {
		t.Errorf("%+v %+v", s.Proxy, s.Keys)
	}
}

func TestMetadataIsHeldNoLongerThanASecond(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		frames(w, `{"choices":[{"delta":{"role":"assistant","content":""}}]}`)
		<-release
		frames(w, `{"choices":[{"delta":{"content":"late"}}]}`, "[DONE]")
	})
	res, err := http.Post(r.url+"/svc/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
	if err != nil {
		t.Fatal(err) // the head came although there was no content yet
	}
	defer res.Body.Close()
	close(release)
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), "late") || !strings.Contains(string(text), "role") {
		t.Errorf("%s %v", text, err)
	}
}

func TestUsageIsAskedForAndHidden(t *testing.T) {
	t.Parallel()
	var asked string
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = string(b)
		list := []string{`{"choices":[{"delta":{"content":"hello"}}]}`}
		if gjson.Get(asked, "stream_options.include_usage").Bool() {
			list = append(list, `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`)
		}
		frames(w, append(list, "[DONE]")...)
	})
	_, text := r.ask("POST", "/svc/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)
	if !gjson.Get(asked, "stream_options.include_usage").Bool() || strings.Contains(text, "usage") || text != "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\ndata: [DONE]\n\n" {
		t.Errorf("asked %s, client saw %q", asked, text)
	}
	_, text = r.ask("POST", "/svc/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`)
	if !strings.Contains(text, `"usage"`) {
		t.Errorf("the client asked and does not see it: %s", text)
	}
	waitFor(t, func() bool { return r.engine.Snapshot().Keys[0].InputTokens == 6 })
}

func TestUsageHiderWithAnyChunks(t *testing.T) {
	t.Parallel()
	const in = "data: {\"choices\":[1]}\r\n\r\n: ping\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\ndata: cut"
	const want = "data: {\"choices\":[1]}\r\n\r\n: ping\n\ndata: [DONE]\n\ndata: cut"
	for name, reader := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "a byte": iotest.OneByteReader, "half": iotest.HalfReader, "with the error": iotest.DataErrReader} {
		got, err := io.ReadAll(&usageHider{ReadCloser: io.NopCloser(reader(bytes.NewReader([]byte(in))))})
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestAnAnswerThatComesByTheByteIsWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ provider, answer string }{
		"chat":              {"openai", `{"id":"1","object":"chat.completion","choices":[{"message":{"content":"an \"error\": none"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`},
		"message":           {"anthropic", `{"id":"1","type":"message","content":[{"type":"text","text":"hello"}],"usage":{"input_tokens":3,"output_tokens":2}}`},
		"no error":          {"openai", `{"error":null,"id":"1","status":"completed","usage":{"input_tokens":3,"output_tokens":2}}`},
		"after blanks":      {"openai", "\n\n  " + `{"id":"1","usage":{"prompt_tokens":3,"completion_tokens":2}}`},
		"of an unknown API": {"generic", `{"data":[1,2,3],"error":"","usage":{"prompt_tokens":3,"completion_tokens":2}}`},
		"Gemini's":          {"gemini", `{"candidates":[{"content":{"parts":[{"text":"hello"}]}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}`},
	} {
		for _, length := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", length known: ", length), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, c.provider, 2, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					if length {
						w.Header().Set("Content-Length", fmt.Sprint(len(c.answer)))
					}
					for i := range len(c.answer) {
						_, _ = io.WriteString(w, c.answer[i:i+1])
						w.(http.Flusher).Flush()
					}
				})
				res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody)
				if res.StatusCode != 200 || text != c.answer || res.Header.Get("X-Keywheel-Attempts") != "1" {
					t.Errorf("%d %v %s", res.StatusCode, res.Header, text)
				}
				waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
				if k := r.engine.Snapshot().Keys[0]; k.Verdicts.OK != 1 || k.Failures != 0 || k.InputTokens != 3 || k.OutputTokens != 2 {
					t.Errorf("%+v, %d in, %d out", k.Verdicts, k.InputTokens, k.OutputTokens)
				}
			})
		}
	}
}

// lateTrailer is a body that ends when it is told to, with a trailer.
type lateTrailer struct {
	res *http.Response
	end chan struct{}
}

func (b *lateTrailer) Read([]byte) (int, error) {
	<-b.end
	b.res.Trailer["X-Sum"] = []string{"1"}
	b.res.Trailer["X-More"] = []string{"2"}
	return 0, io.EOF
}

func (b *lateTrailer) Close() error { return nil }

// A trailer that comes while a stream's head goes out is the client's when it has
// read the body, and not before: whoever looks must not meet who writes.
func TestATrailerWaitsForItsReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := engine.Key{Name: "k1", Provider: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", Secret: secret.New(fake + "k1")}
		e, err := engine.New(engine.Config{Keys: []engine.Key{key}, Services: []engine.Service{{Name: "svc", Keys: []string{"k1"}}}})
		if err != nil {
			t.Fatal(err)
		}
		body := &lateTrailer{end: make(chan struct{})}
		rt := &Transport{Engine: e, Service: "svc", Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			body.res = &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {sseHead}}, Trailer: http.Header{"X-Sum": nil}, Body: body, ContentLength: -1, Request: r}
			return body.res, nil
		})}
		req, _ := http.NewRequest("POST", "https://api.example/v1/chat/completions", strings.NewReader(chatBody))
		res, err := rt.RoundTrip(req) // after the time that a stream without content is held
		if err != nil {
			t.Fatal(err)
		}
		close(body.end)
		synctest.Wait()
		if len(res.Trailer) != 1 || res.Trailer["X-Sum"] != nil {
			t.Errorf("before the body was read: %v", res.Trailer)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("X-More") != "2" {
			t.Errorf("after it: %v", res.Trailer)
		}
		_ = res.Body.Close()
	})
}

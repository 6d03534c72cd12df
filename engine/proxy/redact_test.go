package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"keywheel/engine"
	"keywheel/engine/secret"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	const text = `sk-"test"\not/a+key<1%3>=` // a key that every encoding has to escape
	k := &engine.Key{Name: "k1", Secret: secret.New(text)}
	quoted, _ := json.Marshal(text)
	inJSON := string(quoted[1 : len(quoted)-1])
	everyByte := ""
	for _, b := range []byte(text) {
		everyByte += fmt.Sprintf("%%%02X", b)
	}
	for name, spelled := range map[string]string{
		"as it is":             text,
		"a query":              url.QueryEscape(text),
		"a query, lower case":  strings.ToLower(url.QueryEscape(text)),
		"a path":               url.PathEscape(text),
		"every byte":           everyByte,
		"JSON":                 inJSON,
		"JSON, slashes too":    strings.ReplaceAll(inJSON, "/", `\/`),
		"JSON, only the least": strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(inJSON),
	} {
		if got := string(redact([]byte("you sent "+spelled+", "+spelled+"!"), k, false)); got != "you sent [key k1], [key k1]!" {
			t.Errorf("%s: %s", name, got)
		}
		for n := 1; n < len(spelled); n++ {
			if got := string(redact([]byte("you sent "+spelled[:n]), k, true)); got != "you sent " {
				t.Errorf("%s, cut after %d bytes: %s", name, n, got)
			}
		}
	}
	for _, same := range []string{"", "nothing of it", "sk-", "100%", `a\`, "sk-other and sk-\"test"} {
		if got := string(redact([]byte(same), k, false)); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
}

func TestNoKeyComesBackInAnyForm(t *testing.T) {
	t.Parallel()
	const odd = "sk-test-not/a+key="
	for name, answer := range map[string]func(w http.ResponseWriter){
		"in a long error, over the cut": func(w http.ResponseWriter) {
			w.WriteHeader(400)
			_, _ = w.Write(append(bytes.Repeat([]byte("x"), maxErrorBody-len(odd)/2), odd...))
		},
		"as part of an address": func(w http.ResponseWriter) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":{"message":"bad: /x?key=%s"}}`, url.QueryEscape(odd))
		},
		"in a head": func(w http.ResponseWriter) {
			w.Header().Set("X-Debug", "/x?key="+url.QueryEscape(odd))
			w.Header().Set("Www-Authenticate", "Bearer "+odd)
			w.WriteHeader(400)
		},
		"in an error under a 200": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: {\"error\":{\"message\":\"Rate limit reached for %s\",\"code\":\"rate_limit_exceeded\"}}\n\n", odd)
		},
		"in an error within a stream": func(w http.ResponseWriter) {
			frames(w, `{"choices":[{"delta":{"content":"hel"}}]}`, `{"error":{"message":"failed for `+odd+`","type":"server_error"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
				if key(r) == "k1" {
					w.WriteHeader(402) // a rotation's outcome tells how the next one went
					return
				}
				answer(w)
			}, func(c *engine.Config, _ *Options) { c.Keys[1].Secret = secret.New(odd) })
			res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody)
			waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
			told, err := json.Marshal(struct {
				Events   []engine.Event
				Snapshot engine.Snapshot
			}{r.engine.Events(0), r.engine.Snapshot()})
			if err != nil {
				t.Fatal(err)
			}
			all := fmt.Sprint(res.Header, string(told))
			if res.StatusCode != 200 { // a good answer passes as it is
				all += text
			}
			for _, part := range []string{odd, odd[:6], url.QueryEscape(odd)} {
				if strings.Contains(all, part) {
					t.Errorf("%q came out: %.400s", part, all)
				}
			}
		})
	}
}

func TestAnErrorThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for _, begun := range []string{"", `{"error":{"message":"Rate limit`} {
		r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
			if key(r) == "k1" {
				w.WriteHeader(429)
				_, _ = io.WriteString(w, begun)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			fmt.Fprint(w, "served")
		})
		// Its own bound lets go of the body, not the idle timeout of minutes.
		if res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody); res.StatusCode != 200 || text != "served" || res.Header.Get("X-Keywheel-Attempts") != "2" {
			t.Errorf("begun with %q: %d %v %s", begun, res.StatusCode, res.Header, text)
		}
		if k := r.engine.Snapshot().Keys[0]; k.RateLimited != 1 {
			t.Errorf("begun with %q: k1 is not held by its status: %+v", begun, k.Verdicts)
		}
	}
}

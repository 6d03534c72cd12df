package proxy

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
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
	r := newRedactor(&engine.Key{Name: "k1", Secret: secret.New(text)})
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
		if got := string(r.text([]byte("you sent "+spelled+", "+spelled+"!"), false)); got != "you sent [key k1], [key k1]!" {
			t.Errorf("%s: %s", name, got)
		}
		for n := 1; n < len(spelled); n++ {
			if got := string(r.text([]byte("you sent "+spelled[:n]), true)); got != "you sent " {
				t.Errorf("%s, cut after %d bytes: %s", name, n, got)
			}
		}
	}
	for _, same := range []string{"", "nothing of it", "sk-", "100%", `a\`, "sk-other and sk-\"tes"} {
		if got := string(r.text([]byte(same), false)); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
}

func TestPiecesAndEndsOfASecret(t *testing.T) {
	t.Parallel()
	const text = "sk-test-9Qw7Er5Ty3Ui1Op_As8Df6Gh4Jk2Lz" // a fake one
	r := newRedactor(&engine.Key{Name: "k1", Secret: secret.New(text)})
	inHTML := ""
	for _, b := range []byte(text) {
		inHTML += fmt.Sprintf("&#%d;", b)
	}
	twice := strings.ReplaceAll(url.QueryEscape(text+"&x"), "%", "%25")
	basic := base64.StdEncoding.EncodeToString([]byte("me:" + text + ":you"))
	for said, want := range map[string]string{
		text[:8]:                        "[key k1]",
		text[:7]:                        text[:7],
		"a" + text[9:20] + "b":          "a[key k1]b",
		strings.ToUpper(text):           "[key k1]",
		"x-" + strings.ToLower(text):    "x-[key k1]",
		text[:10] + "..." + text[20:31]: "[key k1][key k1]",
		text + text:                     "[key k1][key k1]",
		inHTML:                          "[key k1]",
		twice:                           "[key k1]%2526x",
		`{\"k\":\"` + text + `\"}`:      `{\"k\":\"[key k1]\"}`,
		"sk-t****k2Lz.":                 "[key k1].",
		"sk-t**********k2Lz":            "[key k1]",
		"key sk-te...2Lz is wrong":      "key [key k1] is wrong",
		"it ends in ••••k2Lz":           "it ends in [key k1]",
		`sk-t\u2022\u2022k2Lz`:          "[key k1]",
		"sk-****":                       "sk-****", // how every key begins
		"wait... k2Lz":                  "wait... k2Lz",
		"all of them: ***":              "all of them: ***",
	} {
		if got := r.words(said); got != want {
			t.Errorf("%s became %s, want %s", said, got, want)
		}
	}
	if got := r.words("Basic " + basic); strings.Contains(got, basic[8:16]) || !strings.Contains(got, "[key k1]") {
		t.Errorf("base64: %s of %s", got, basic)
	}
	if got := newRedactor(&engine.Key{Name: "k1", Secret: secret.New("ollama")}).words("ollama? OLLAMA. ollam"); got != "[key k1]? OLLAMA. ollam" {
		t.Errorf("a word: %s", got)
	}
}

// FuzzRedact mixes a piece of the secret into any text, spelled in any of the
// ways, and looks for what is left of it with its escapes undone.
func FuzzRedact(f *testing.F) {
	const text = "sk-test-9Qw7Er5Ty+Ui1Op/As8Df6Gh%4Jk2Lz"
	r := newRedactor(&engine.Key{Name: "k", Secret: secret.New(text)})
	f.Add("you sent ", " to us", uint8(0), uint8(39), uint8(0))
	f.Add("x%2", "%73%6b", uint8(3), uint8(17), uint8(1))
	f.Add(`"\`, `\u00`, uint8(5), uint8(20), uint8(2))
	f.Add("&#1", ";&amp", uint8(9), uint8(30), uint8(3))
	f.Fuzz(func(t *testing.T, before, after string, from, to, how uint8) {
		lo, hi := int(from)%len(text), int(to)%(len(text)+1)
		part := text[min(lo, hi):max(lo, hi)]
		switch how % 6 {
		case 1:
			part = url.QueryEscape(part)
		case 2:
			b, _ := json.Marshal(part)
			part = string(b)
		case 3:
			part = html.EscapeString(part)
		case 4:
			part = strings.ToUpper(part)
		case 5:
			part = url.QueryEscape(url.QueryEscape(part))
		}
		for _, cut := range []bool{false, true} {
			seen := view{text: r.text([]byte(before+part+after), cut)}
			for range 1 + unescapings {
				low := strings.ToLower(string(seen.text))
				for i := range len(text) - piece + 1 {
					if p := strings.ToLower(text[i : i+piece]); strings.Contains(low, p) {
						t.Fatalf("%q is left of %q: %q", p, before+part+after, seen.text)
					}
				}
				seen = seen.unescaped()
			}
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	r := newRedactor(&engine.Key{Name: "k1", Secret: secret.New("sk-test-9Qw7Er5Ty3Ui1Op_As8Df6Gh4Jk2Lz")})
	for name, text := range map[string][]byte{
		"words":   bytes.Repeat([]byte("the quick brown fox "), maxErrorBody/20),
		"escapes": bytes.Repeat([]byte(`%73\u006b&#45;`), maxErrorBody/15),
		"prefix":  bytes.Repeat([]byte("sk-test-9Qw7Er5"), maxErrorBody/15),
		"masks":   bytes.Repeat([]byte("sk-t**"), maxErrorBody/6),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.text(text, true)
			}
		})
	}
}

func TestNoFieldIsNamedByAKey(t *testing.T) {
	t.Parallel()
	const word = "sk-test-9Qw7Er5Ty3Ui1Op"
	up := func(w http.ResponseWriter, status int) {
		w.Header()["x-"+word] = []string{"1"}
		w.Header()["Trailer"] = []string{"X-End-" + word}
		w.Header().Set("X-Sk-Test-Id", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
		w.Header().Set("X-End-"+word, "1")
		w.Header().Set(http.TrailerPrefix+"Y-End-"+word, "1")
	}
	for _, status := range []int{200, 400} {
		r := newRig(t, "openai", 1, func(w http.ResponseWriter, _ *http.Request) { up(w, status) }, func(c *engine.Config, _ *Options) { c.Keys[0].Secret = secret.New(word) })
		res, _ := r.ask("POST", "/svc/v1/chat/completions", chatBody)
		if all := strings.ToLower(fmt.Sprint(res.Header, res.Trailer)); strings.Contains(all, strings.ToLower(word)) || res.Header.Get("X-Sk-Test-Id") != "7" {
			t.Errorf("%d: %s", res.StatusCode, all)
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
		"in a trailer": func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "X-Announced")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "{}")
			w.Header().Set("X-Announced", odd)
			w.Header().Set(http.TrailerPrefix+"X-Not-Announced", odd)
		},
		"in a good answer's trailer": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "{}")
			w.Header().Set(http.TrailerPrefix+"X-Not-Announced", odd)
		},
		"in the page of a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://elsewhere.example/?key="+odd)
			w.WriteHeader(302)
			fmt.Fprintf(w, "<a href=\"https://elsewhere.example/?key=%s\">", odd)
		},
		"behind a second Content-Encoding": func(w http.ResponseWriter) {
			w.Header()["Content-Encoding"] = []string{"identity", "gzip"}
			w.WriteHeader(400)
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, odd)
			_ = z.Close()
		},
		"in gzip that nobody announced": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, odd)
			_ = z.Close()
		},
		"as the code of an error under a 200": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"error":{"message":"Rate limit reached","type":"rate_limit_error","code":"%s"}}`, odd)
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
			all := fmt.Sprint(res.Header, res.Trailer, string(told))
			if z, err := gzip.NewReader(strings.NewReader(text)); err == nil {
				plain, _ := io.ReadAll(z)
				text += string(plain)
			}
			if res.StatusCode != 200 { // a good answer passes as it is
				all += text
			}
			for _, part := range []string{odd, odd[:6], url.QueryEscape(odd)} {
				if strings.Contains(strings.ToLower(all), strings.ToLower(part)) {
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

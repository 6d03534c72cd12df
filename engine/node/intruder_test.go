package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine/config"
)

// intruders is a running keywheel with services of every kind, whose upstream
// notes what reaches it.
type intruders struct {
	*home
	log  *buffer
	mu   sync.Mutex
	seen []*http.Request
	// answer is what the upstream says.
	answer http.HandlerFunc
}

const (
	tokenA = "test-token-of-locked-0001"
	tokenB = "test-token-of-paths-0002"
)

func newIntruders(t *testing.T) *intruders {
	t.Helper()
	x := &intruders{home: newHome(t), log: &buffer{}, answer: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		x.mu.Lock()
		x.seen = append(x.seen, r)
		x.mu.Unlock()
		x.answer(w, r)
	}))
	t.Cleanup(up.Close)
	x.write(".env", "KEY="+fake+"key\nTOKEN_A="+tokenA+"\nTOKEN_B="+tokenB+"\n")
	x.write("keywheel.toml", fmt.Sprintf(`listen = "127.0.0.1:0"
[providers.p]
kind = "openai"
base_url = "%s/v1"
[keys.k]
provider = "p"
secret = "env:KEY"
[services.open]
keys = ["k"]
models = ["open-model"]
[services.locked]
keys = ["k"]
models = ["locked-model"]
token = "env:TOKEN_A"
[services.paths]
keys = ["k"]
token = "env:TOKEN_B"
path_token = true
[services.narrow]
keys = ["k"]
allow = ["GET /v1/files/*", "POST /v1/embeddings"]
`, up.URL))
	load := config.Loader(x.options)
	cfg, err := load(true)
	if err != nil {
		t.Fatal(err)
	}
	if x.Node, err = Start(Options{Config: cfg, Load: load, Log: slog.New(slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Stop(context.Background()) })
	return x
}

// raw sends bytes as they are and gives all that comes back until the other side
// closes.
func (x *intruders) raw(text string) string {
	x.t.Helper()
	c, err := net.Dial("tcp", x.Addr())
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	_, _ = io.WriteString(c, text)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// reached are the requests that came through since it was last asked.
func (x *intruders) reached() []*http.Request {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.seen
	x.seen = nil
	return list
}

// TestNoWayIn tries what web pages, neighbours and proxies in between try. None
// of it reaches the upstream, where the key would go with it.
func TestNoWayIn(t *testing.T) {
	t.Parallel()
	x := newIntruders(t)
	const here = "Host: 127.0.0.1\n"
	const chat = "POST /open/v1/chat/completions HTTP/1.1\n"
	const body = "Content-Length: 2\n\n{}"
	const last = "GET /healthz HTTP/1.1\n" + here + "Connection: close\n\n"
	auth := func(token string) string { return "Authorization: Bearer " + token + "\n" }
	for _, c := range []struct{ name, raw, status string }{
		// Web pages: any of them can reach loopback.
		{"DNS rebinding", chat + "Host: evil.example:5399\n" + body, "403"},
		{"rebinding with a name that begins well", chat + "Host: 127.0.0.1.evil.example\n" + body, "403"},
		{"rebinding with a name that ends well", chat + "Host: evil-localhost\n" + body, "403"},
		{"rebinding with a user", chat + "Host: 127.0.0.1@evil.example\n" + body, "400"},
		{"an open address", chat + "Host: 0.0.0.0\n" + body, "403"},
		{"no host", "POST /open/v1/x HTTP/1.0\n" + body, "403"},
		{"an empty host", chat + "Host: \n" + body, "403"},
		{"two hosts", chat + here + "Host: evil.example\n" + body, "400"},
		{"a host that is forwarded", chat + "Host: evil.example\nX-Forwarded-Host: 127.0.0.1\nForwarded: host=127.0.0.1;for=127.0.0.1\nX-Forwarded-For: 127.0.0.1\n" + body, "403"},
		{"a foreign origin", chat + here + "Origin: https://evil.example\n" + body, "403"},
		{"a simple request of a page", chat + here + "Origin: https://evil.example\nContent-Type: text/plain\n" + body, "403"},
		{"an origin of another port here", chat + here + "Origin: http://127.0.0.1:3000\n" + body, "403"},
		{"no origin that it would say", chat + here + "Origin: null\n" + body, "403"},
		{"two origins", chat + here + "Origin: http://127.0.0.1\nOrigin: https://evil.example\nSec-Fetch-Site: cross-site\n" + body, "403"},
		{"an image", "GET /open/v1/models HTTP/1.1\n" + here + "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image\n\n", "403"},
		{"a neighbouring site", "GET /open/v1/models HTTP/1.1\n" + here + "Sec-Fetch-Site: same-site\n\n", "403"},
		{"a preflight", "OPTIONS /open/v1/models HTTP/1.1\n" + here + "Origin: https://evil.example\nAccess-Control-Request-Method: POST\n\n", "403"},

		// Tokens.
		{"no token", "POST /locked/v1/x HTTP/1.1\n" + here + body, "401"},
		{"an empty token", "POST /locked/v1/x HTTP/1.1\n" + here + auth("") + body, "401"},
		{"the beginning of the token", "POST /locked/v1/x HTTP/1.1\n" + here + auth(tokenA[:len(tokenA)-1]) + body, "401"},
		{"more than the token", "POST /locked/v1/x HTTP/1.1\n" + here + auth(tokenA+"1") + body, "401"},
		{"in other letters", "POST /locked/v1/x HTTP/1.1\n" + here + auth(strings.ToUpper(tokenA)) + body, "401"},
		{"another's token", "POST /locked/v1/x HTTP/1.1\n" + here + auth(tokenB) + body, "401"},
		{"another's token in the query", "POST /locked/v1/x?key=" + tokenB + " HTTP/1.1\n" + here + body, "401"},
		{"another's token in a cookie", "POST /locked/v1/x HTTP/1.1\n" + here + "Cookie: token=" + tokenB + "\n" + body, "401"},
		{"its token in a cookie, which pages can send", "POST /locked/v1/x HTTP/1.1\n" + here + "Cookie: Authorization=" + tokenA + "\n" + body, "401"},
		{"another's token as a subprotocol", "GET /locked/v1/realtime HTTP/1.1\n" + here + "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: realtime, openai-insecure-api-key." + tokenB + "\n\n", "401"},
		{"another's token in the path", "GET /t/" + tokenB + "/locked/v1/x HTTP/1.1\n" + here + "\n", "401"},
		{"a token in the path of a POST", "POST /t/" + tokenB + "/paths/v1/x HTTP/1.1\n" + here + body, "401"},
		{"a token in the path of a POST that says it is a GET", "POST /t/" + tokenB + "/paths/v1/x HTTP/1.1\n" + here + "X-HTTP-Method-Override: GET\n" + body, "401"},
		{"a locked service by its model", "POST /v1/chat/completions HTTP/1.1\n" + here + "Content-Length: 24\n\n" + `{"model":"locked-model"}`, "401"},

		// Paths.
		{"up", "GET /narrow/v1/files/../organization/keys HTTP/1.1\n" + here + "\n", "400"},
		{"up, encoded", "GET /narrow/v1/files/%2e%2e/organization/keys HTTP/1.1\n" + here + "\n", "400"},
		{"up, half encoded", "GET /narrow/v1/files/.%2E/organization/keys HTTP/1.1\n" + here + "\n", "400"},
		{"up, behind an encoded slash", "GET /narrow/v1/files/x%2f..%2f..%2forganization HTTP/1.1\n" + here + "\n", "400"},
		{"up, behind a backslash", "GET /narrow/v1/files/x%5c..%5c..%5corganization HTTP/1.1\n" + here + "\n", "400"},
		{"up, twice encoded", "GET /narrow/v1/files/%252e%252e/organization HTTP/1.1\n" + here + "\n", "400"},
		{"up, four times encoded", "GET /narrow/v1/files/%25252e%25252e/organization HTTP/1.1\n" + here + "\n", "400"},
		{"up, too often encoded to tell", "GET /narrow/v1/files/%" + strings.Repeat("25", 60) + "2e/organization HTTP/1.1\n" + here + "\n", "400"},
		{"up, with parameters", "GET /narrow/v1/files/..;x=1/organization HTTP/1.1\n" + here + "\n", "400"},
		{"up, overlong", "GET /narrow/v1/files/%c0%ae%c0%ae/organization HTTP/1.1\n" + here + "\n", "400"},
		{"a path that ends early", "GET /open/v1/organization%00.json HTTP/1.1\n" + here + "\n", "400"},
		{"a line end in the path", "GET /open/v1/x%0d%0aX-Evil:%201 HTTP/1.1\n" + here + "\n", "400"},
		{"management", "GET /open/v1/organization/admin_api_keys HTTP/1.1\n" + here + "\n", "403"},
		{"management, doubled slashes", "GET /open//v1///organization/costs HTTP/1.1\n" + here + "\n", "403"},
		{"management, with parameters", "GET /open/v1/organization;x=1/costs HTTP/1.1\n" + here + "\n", "403"},
		{"management, in large letters", "GET /open/v1/ORGANIZATION/costs HTTP/1.1\n" + here + "\n", "403"},
		{"management, as it stands", "GET /open/~/v1/organization/costs HTTP/1.1\n" + here + "\n", "403"},
		{"management, twice encoded", "GET /open/v1/%256frganization/costs HTTP/1.1\n" + here + "\n", "403"},
		{"management, with an end that is cut off", "GET /open/v1/organization%20./costs HTTP/1.1\n" + here + "\n", "403"},
		{"not allowed", "POST /narrow/v1/chat/completions HTTP/1.1\n" + here + body, "403"},
		{"not allowed with that method", "DELETE /narrow/v1/files/f HTTP/1.1\n" + here + "\n", "403"},
		{"allowed, in other letters", "GET /narrow/V1/files/f HTTP/1.1\n" + here + "\n", "403"},
		{"allowed, as it stands", "GET /narrow/~/v1/files/f HTTP/1.1\n" + here + "\n", "403"},
		{"a service with an encoded slash", "GET /narrow%2fv1/files/f HTTP/1.1\n" + here + "\n", "404"},

		// Other kinds of requests.
		{"absolute form", "GET http://127.0.0.1/open/v1/models HTTP/1.1\n" + here + "\n", "400"},
		{"absolute form of elsewhere", "GET http://evil.example/open/v1/models HTTP/1.1\n" + here + "\n", "400"},
		{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\n" + here + "\n", "400"},
		{"an asterisk", "OPTIONS * HTTP/1.1\n" + here + "\n", "200"},
		{"a method with a blank in it", "GET POST /open/v1/models HTTP/1.1\n" + here + "\n", "400"},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\n\nSM\n\n", "403"},

		// Lengths that two servers could read in two ways.
		{"two lengths", chat + here + "Content-Length: 2\nContent-Length: 40\n\n{}", "400"},
		{"a list of lengths", chat + here + "Content-Length: 2, 40\n\n{}", "400"},
		{"a length with a sign", chat + here + "Content-Length: +2\n\n{}", "400"},
		{"a length in hex", chat + here + "Content-Length: 0x2\n\n{}", "400"},
		{"a negative length", chat + here + "Content-Length: -2\n\n{}", "400"},
		{"a name with a blank before the colon", chat + here + "Transfer-Encoding : chunked\nContent-Length: 5\n\n0\n\n", "400"},
		{"an encoding that is not known", chat + here + "Transfer-Encoding: xchunked\n\n0\n\n", "501"},
		{"two encodings", chat + here + "Transfer-Encoding: chunked, identity\n\n0\n\n", "501"},
		{"two encodings in two lines", chat + here + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", "501"},
		{"an encoding before HTTP/1.1", "POST /narrow/v1/x HTTP/1.0\n" + here + "Transfer-Encoding: chunked\nContent-Length: 2\n\n5\nhello\n0\n\n", "403"},
		{"a chunk whose size is none", chat + here + "Transfer-Encoding: chunked\n\n-1\nx\n0\n\n", "400"},
		{"a header that goes on in the next line", chat + here + "X-A: b\n Transfer-Encoding: chunked\nX-B: \x00\n\n", "400"},
		{"a NUL in a header", chat + here + "X-A: \x00\n" + body, "400"},
		{"a CR in a header", chat + here + "X-A: b\rX-Evil: 1\n" + body, "400"},
	} {
		// A second request ends the connection, where the first has not.
		answer := x.raw(strings.ReplaceAll(c.raw+last, "\n", "\r\n"))
		if _, got, _ := strings.Cut(answer, " "); !strings.HasPrefix(got, c.status+" ") {
			t.Errorf("%s: want %s: %.300q", c.name, c.status, answer)
		}
		for _, r := range x.reached() {
			t.Errorf("%s: %s %s reached the upstream", c.name, r.Method, r.RequestURI)
		}
		if strings.Contains(answer, tokenA) || strings.Contains(answer, tokenB) || strings.Contains(answer, fake) {
			t.Errorf("%s: a secret came back: %q", c.name, answer)
		}
	}
	if s := x.log.String() + x.texts(); strings.Contains(s, tokenA) || strings.Contains(s, tokenB) || strings.Contains(s, fake) {
		t.Error("the log tells a secret")
	}
}

// TestNothingIsSmuggled sends requests that two servers could take for one and
// for two: the second, if it is one, has to pass the door like any other.
func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	x := newIntruders(t)
	const inner = "GET /narrow/v1/organization/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	const head = "POST /open/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	for name, raw := range map[string]string{
		"a length and chunks":     head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", 5+len(inner), inner),
		"chunks and a length":     head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + inner,
		"a chunk's extension":     head + "Transfer-Encoding: chunked\r\n\r\n2;x=\"\r\n0\r\n\r\n" + inner + "\"\r\n{}\r\n0\r\n\r\n",
		"line ends of LF alone":   strings.ReplaceAll(head+"Content-Length: 2\r\n\r\n{}"+inner, "\r\n", "\n"),
		"a body that is too long": head + "Content-Length: 2\r\n\r\n{}" + inner,
		"a GET with a body":       fmt.Sprintf("GET /open/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner),
		"an upgrade that is none": head + "Connection: Upgrade, Content-Length\r\nUpgrade: h2c\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner,
		"a length that is dropped": head + "Connection: Content-Length, Transfer-Encoding, Authorization, Host\r\nContent-Length: " + fmt.Sprint(len(inner)) +
			"\r\n\r\n" + inner,
		"chunks in a trailer": head + "Transfer-Encoding: chunked\r\nTrailer: Content-Length, Authorization, Transfer-Encoding\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 99\r\nAuthorization: Bearer x\r\n\r\n" + inner,
	} {
		answer := x.raw(raw + "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		for _, r := range x.reached() {
			if strings.Contains(r.RequestURI, "smuggled") || r.Header.Get("Authorization") != "Bearer "+fake+"key" || len(r.Trailer["Authorization"]) > 0 {
				t.Errorf("%s: the upstream got %s %s %v %v: %q", name, r.Method, r.RequestURI, r.Header, r.Trailer, answer)
			}
		}
	}
}

func TestNothingSteersTheUpstream(t *testing.T) {
	t.Parallel()
	x := newIntruders(t)
	steering := []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Host", "X-Forwarded-For",
		"X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "X-Real-Ip", "X-Host", "X-Original-Host"}
	head := ""
	for _, name := range steering {
		head += name + ": /v1/organization\r\n"
	}
	x.raw("GET /narrow/v1/files/f HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Custom: stays\r\nConnection: close\r\n" + head + "\r\n")
	got := x.reached()
	if len(got) != 1 || got[0].Header.Get("X-Custom") != "stays" {
		t.Fatalf("%v", got)
	}
	for _, name := range steering {
		if v := got[0].Header[name]; v != nil {
			t.Errorf("the upstream was told %s: %v", name, v)
		}
	}
}

// TestRedirectsAreTheClientsAffair has an upstream that sends elsewhere: the
// client is told, and the key stays.
func TestRedirectsAreTheClientsAffair(t *testing.T) {
	t.Parallel()
	x := newIntruders(t)
	var strayed sync.Map
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { strayed.Store(r.RequestURI, r.Header) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		x.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/taken?was="+r.Header.Get("Authorization"))
			w.WriteHeader(status)
		}
		answer := x.raw("POST /open/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.Contains(answer, "Location: "+elsewhere.URL+"/taken") || strings.Contains(answer, fake) {
			t.Errorf("%d: %q", status, answer)
		}
	}
	// Its own calls follow none either.
	if v, ok := x.proxy.Probe(context.Background(), "k"); !ok || v.Evidence.Status != 308 {
		t.Errorf("the test call: %+v, %v", v, ok)
	}
	strayed.Range(func(k, v any) bool { t.Errorf("the key went elsewhere: %v %v", k, v); return true })
}

// TestTextFromOutsideIsHarmless has a client and an upstream whose words do
// things on a terminal.
func TestTextFromOutsideIsHarmless(t *testing.T) {
	t.Parallel()
	x := newIntruders(t)
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\u2028=1+1"
	x.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("X-Ratelimit-Evil", "\x1b[2J")
		text, _ := json.Marshal(map[string]any{"error": map[string]any{"message": "no " + evil, "type": evil, "code": evil}})
		w.WriteHeader(429)
		_, _ = w.Write(text)
	}
	model, _ := json.Marshal(map[string]any{"model": "gpt" + evil, "metadata": map[string]string{"user": evil}})
	for _, raw := range []string{
		"POST /open/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: " + evil[2:8] + "\x7f\u009b31m\r\nContent-Length: " + fmt.Sprint(len(model)) + "\r\nConnection: close\r\n\r\n" + string(model),
		"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + fmt.Sprint(len(model)) + "\r\nConnection: close\r\n\r\n" + string(model),
		"GET /open/v1/models/%c2%9b31m%e2%80%ae HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
		"GET /%c2%9b31m%e2%80%ae HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
		"GET /open/v1/models HTTP/1.1\r\nHost: \u009b31m.example\r\nConnection: close\r\n\r\n",
		"GET /open/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://\u009b31m\r\nConnection: close\r\n\r\n",
	} {
		x.raw(raw)
	}
	told, err := json.Marshal([]any{x.Snapshot(), x.Events(0), x.Requests(0)})
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	_ = json.Unmarshal(told, &plain)
	for where, text := range map[string]string{"what is told": fmt.Sprint(plain), "the log": x.log.String()} {
		if i := strings.IndexFunc(text, func(r rune) bool {
			return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2028
		}); i >= 0 {
			t.Errorf("%s has %q", where, text[max(0, i-80):min(len(text), i+40)])
		}
	}
	if len(x.Requests(0)) < 2 {
		t.Errorf("%d requests were noted", len(x.Requests(0)))
	}
}

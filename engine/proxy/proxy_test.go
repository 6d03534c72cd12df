package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// rig is a proxy before one upstream that a test writes.
type rig struct {
	t      *testing.T
	engine *engine.Engine
	proxy  *Proxy
	url    string // of the proxy
	addr   string
	up     *httptest.Server
}

const fake = "sk-test-not-a-key-"

// newRig starts an upstream with handler h and a proxy with service "svc" of
// keys k1..kn of the provider kind.
func newRig(t *testing.T, kind string, n int, h http.HandlerFunc, change ...func(*engine.Config, *Options)) *rig {
	t.Helper()
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	base := map[string]string{"openai": "/v1", "anthropic": "/v1", "github": "", "gemini": "/v1beta", "aimlapi": "/v1", "generic": ""}[kind]
	cfg := engine.Config{Services: []engine.Service{{Name: "svc"}}}
	for i := range n {
		name := fmt.Sprintf("k%d", i+1)
		cfg.Keys = append(cfg.Keys, engine.Key{Name: name, Provider: kind, Kind: kind, BaseURL: up.URL + base, Secret: secret.New(fake + name)})
		cfg.Services[0].Keys = append(cfg.Services[0].Keys, name)
	}
	o := Options{}
	for _, f := range change {
		f(&cfg, &o)
	}
	o.Services, o.Keys = cfg.Services, cfg.Keys
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(e, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := p.Server()
	var served sync.WaitGroup
	served.Go(func() {
		if err := s.Serve(l); err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		served.Wait()
	})
	addr := l.Addr().String()
	return &rig{t, e, p, "http://" + addr, addr, up}
}

// ask sends one request and reads its answer.
func (r *rig) ask(method, path, body string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	if body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("reading the answer: %v", err)
	}
	return res, string(text)
}

func key(r *http.Request) string {
	return strings.TrimPrefix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), fake)
}

const chatBody = `{"model":"m","messages":[]}`

func TestClientsCredentialsStayAndKeysDoNotComeBack(t *testing.T) {
	t.Parallel()
	var seen http.Header
	var query string
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		seen, query = r.Header.Clone(), r.URL.RawQuery
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "0")
		w.Header().Set("X-Request-Id", "req_1")
		w.Header().Set("X-Debug", "you sent "+r.Header.Get("Authorization"))
		fmt.Fprint(w, `{}`)
	})
	res, _ := r.ask("POST", "/svc/v1/chat/completions?key=client-token&a=%2Fb&key=again&api_key=client-token&access_token=client-token", chatBody, "Authorization", "Bearer client-token", "X-Api-Key", "client-token",
		"Api-Key", "client-token", "X-Goog-Api-Key", "client-token", "Anthropic-Api-Key", "client-token", "X-Auth-Token", "client-token", "Cookie", "c=client-token", "OpenAI-Organization", "org-client", "User-Agent", "me/1",
		"Connection", "X-Hop", "X-Hop", "1", "X-Custom", "stays")
	if got := seen.Get("Authorization"); got != "Bearer "+fake+"k1" {
		t.Errorf("upstream saw Authorization %q", got)
	}
	if seen.Get("User-Agent") != "me/1" || seen.Get("X-Custom") != "stays" || query != "a=%2Fb" {
		t.Errorf("not as the client sent it: %v %q", seen, query)
	}
	for _, name := range []string{"X-Hop", "X-Forwarded-For", "Via", "Openai-Organization", "Cookie"} {
		if seen[name] != nil {
			t.Errorf("upstream saw %s: %q", name, seen[name])
		}
	}
	if text := fmt.Sprint(seen, query); strings.Contains(text, "client-token") {
		t.Errorf("the client's token went upstream: %s", text)
	}
	if text := fmt.Sprint(res.Header); strings.Contains(text, fake) {
		t.Errorf("the key came back: %s", text)
	}
	for name, want := range map[string]string{"Set-Cookie": "", "X-Ratelimit-Remaining-Requests": "", "X-Request-Id": "req_1", "X-Keywheel-Key": "k1", "X-Keywheel-Attempts": "1"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if res.Header.Get("X-Keywheel-Request") == "" {
		t.Error("no X-Keywheel-Request")
	}
}

func TestEchoedKeysAreTakenOutOfErrors(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"", "gzip", "br"} {
		r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
			text := []byte(`{"error":{"message":"bad request with ` + r.Header.Get("Authorization") + `"}}`)
			if encoding == "gzip" {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				_, _ = z.Write(text)
				_ = z.Close()
				text = b.Bytes()
			}
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			w.WriteHeader(400)
			_, _ = w.Write(text)
		})
		res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody)
		if res.StatusCode != 400 || strings.Contains(text, fake) {
			t.Errorf("%q: %d %s", encoding, res.StatusCode, text)
		}
		if encoding != "br" && !strings.Contains(text, "[key k1]") {
			t.Errorf("%q: the rest of the error is gone: %s", encoding, text)
		}
	}
}

func TestARejectedRequestIsRepeatedWhole(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 402, 403, 429} {
		var bodies []string
		r := newRig(t, "openai", 3, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(b))
			if key(r) != "k3" {
				w.WriteHeader(status)
				return
			}
			fmt.Fprint(w, "served")
		})
		res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody)
		if res.StatusCode != 200 || text != "served" || res.Header.Get("X-Keywheel-Key") != "k3" || res.Header.Get("X-Keywheel-Attempts") != "3" {
			t.Errorf("%d: client saw %d %q %v", status, res.StatusCode, text, res.Header)
		}
		if len(bodies) != 3 || bodies[0] != chatBody || bodies[2] != chatBody {
			t.Errorf("%d: upstream saw %q", status, bodies)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path string
		calls      int32
		status     int
	}{
		{"a chat goes to one other key", "/svc/v1/chat/completions", 2, 503},
		{"a create is never repeated", "/svc/v2/video/generations", 1, 503},
	} {
		var calls atomic.Int32
		r := newRig(t, "openai", 4, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.WriteHeader(503)
			fmt.Fprint(w, `{"error":{"message":"overloaded"}}`)
		})
		res, text := r.ask("POST", c.path, chatBody)
		if res.StatusCode != c.status || calls.Load() != c.calls || !strings.Contains(text, "overloaded") {
			t.Errorf("%s: %d after %d calls: %s", c.name, res.StatusCode, calls.Load(), text)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 2, func(http.ResponseWriter, *http.Request) {})
	r.up.Close()
	res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody)
	if res.StatusCode != 502 || gjson.Get(text, "error.message").Str != "openai gave no answer: connection refused" {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if h := res.Header; h.Get("X-Keywheel-Key") != "k2" || h.Get("X-Keywheel-Attempts") != "2" || h.Get("X-Keywheel-Request") == "" {
		t.Errorf("the last key of two: %v", h)
	}
}

func TestNoKeyIsAnsweredFromState(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(429)
	})
	for i := range 3 {
		res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody)
		if res.StatusCode != 429 || gjson.Get(text, "error.code").Str != "keywheel_no_key" || gjson.Get(text, "error.type").Str != "rate_limit_error" {
			t.Fatalf("%d: %d %s", i, res.StatusCode, text)
		}
		wantKey, wantAttempts := "k2", "2"
		if i > 0 {
			wantKey, wantAttempts = "", "0"
		}
		if h := res.Header; h.Get("X-Keywheel-Key") != wantKey || h.Get("X-Keywheel-Attempts") != wantAttempts || h.Get("X-Keywheel-Request") == "" {
			t.Errorf("%d: %v", i, h)
		}
		if ra, _ := strconv.Atoi(res.Header.Get("Retry-After")); ra > 21 || ra < 11 { // on a slow machine some has passed
			t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
		}
		if got := gjson.Get(text, "error.keys.#.key").String(); got != `["k1","k2"]` {
			t.Errorf("keys listed: %s", got)
		}
	}
	if calls.Load() != 2 {
		t.Errorf("%d calls upstream, want one for each key and none after", calls.Load())
	}
}

func TestNoKeyForLong(t *testing.T) {
	t.Parallel()
	for path, check := range map[string]string{
		"/svc/v1/chat/completions":         `error.type=insufficient_quota`,
		"/svc/v1/messages":                 `type=error`,
		"/svc/v1/models/g:generateContent": `error.status=RESOURCE_EXHAUSTED`,
	} {
		r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(402) })
		res, text := r.ask("POST", path, chatBody)
		at, want, _ := strings.Cut(check, "=")
		if res.StatusCode != 429 || res.Header.Get("Retry-After") != "" || res.Header.Get("X-Should-Retry") != "false" || gjson.Get(text, at).String() != want {
			t.Errorf("%s: %d %v %s", path, res.StatusCode, res.Header, text)
		}
	}
}

func TestStreamsPassAtOnce(t *testing.T) {
	t.Parallel()
	next, left := make(chan struct{}), make(chan struct{})
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "POST", r.url+"/svc/v1/chat/completions", strings.NewReader(chatBody))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		// The upstream sends no further chunk before this one has arrived.
		if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
		next <- struct{}{}
	}
	cancel()
	<-left // the client's leaving reached the upstream
	_ = res.Body.Close()
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
	if k := r.engine.Snapshot().Keys[0]; k.Failures != 0 {
		t.Errorf("a client that left was counted against the key: %+v", k.Verdicts)
	}
}

// waitFor polls until something that another goroutine does has happened.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	for !done() {
		select {
		case <-end.C:
			t.Fatal("it never happened")
		case <-tick.C:
		}
	}
}

func TestACutStreamIsABrokenConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	res, err := http.Post(r.url+"/svc/v1/chat/completions", "application/json", strings.NewReader(chatBody))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer looked whole: %q", text)
	}
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.Failures == 1 })
}

func TestACutStreamLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	res, err := http.Post(r.url+"/svc/v1/files", "application/octet-stream", bytes.NewReader(make([]byte, 3<<20)))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	waitFor(t, func() bool { return r.proxy.budget.left.Load() == 1<<30 })
}

func TestBodiesOfAnySize(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	for _, c := range []struct {
		name    string
		size    int
		chunked bool
		calls   int32
		status  int
	}{
		{"empty", 0, false, 2, 200},
		{"small", 1000, false, 2, 200},
		{"beyond one write", 100 << 10, false, 2, 200},
		{"a MiB", 1 << 20, false, 2, 200},
		{"in a file", 3 << 20, false, 2, 200},
		{"at the limit", limit, false, 2, 200},
		{"chunked", 2 << 20, true, 2, 200},
		{"too large to keep", limit + 1, false, 1, 429},
		{"too large, chunked", limit + 1, true, 1, 429},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := bytes.Repeat([]byte("0123456789abcdef"), c.size/16+1)[:c.size]
			want := sha256.Sum256(body)
			var calls atomic.Int32
			r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
				h := sha256.New()
				n, err := io.Copy(h, r.Body)
				if err != nil || n != int64(c.size) || [32]byte(h.Sum(nil)) != want {
					t.Errorf("call %d: %d bytes of %d, %v", calls.Load(), n, c.size, err)
				}
				if calls.Add(1) == 1 {
					w.WriteHeader(401)
				}
			}, func(_ *engine.Config, o *Options) { o.MaxReplay = limit })
			var in io.Reader = bytes.NewReader(body)
			if c.chunked {
				in = struct{ io.Reader }{in}
			}
			req, _ := http.NewRequest("POST", r.url+"/svc/v1/files", in)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != c.status || calls.Load() != c.calls {
				t.Errorf("%d after %d calls: %s", res.StatusCode, calls.Load(), text)
			}
			if c.status == 429 && gjson.GetBytes(text, "error.code").Str != "keywheel_send_again" {
				t.Errorf("%s", text)
			}
			waitFor(t, func() bool { return r.proxy.budget.left.Load() == 1<<30 }) // of bodies
		})
	}
}

func TestPassedAsItCame(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(`{"a":1}`))
	_ = z.Close()
	r := newRig(t, "generic", 1, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/zip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		case "/trailers":
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "X-Sum")
			_, _ = w.Write(b)
			w.Header().Set("X-Sum", r.Trailer.Get("X-Client-Sum"))
		case "/org%2Fmodel%3Afree":
			fmt.Fprint(w, r.URL.RawQuery, " ", r.Method)
		case "/head":
			w.Header().Set("Content-Length", "1234")
		case "/moved":
			w.Header().Set("Location", "http://"+r.Host+"/elsewhere?x=1")
			w.Header().Set("Link", "<http://"+r.Host+"/items?page=2>; rel=\"next\", <http://"+r.Host+"/items?page=9>; rel=\"last\"")
			w.WriteHeader(302)
		case "/cached":
			w.WriteHeader(304)
		}
	})
	if res, text := r.ask("GET", "/svc/zip", "", "Accept-Encoding", "gzip, br"); res.Header.Get("Content-Encoding") != "gzip" || text != zipped.String() {
		t.Errorf("gzip did not pass: %v", res.Header)
	}
	if _, text := r.ask("PATCH", "/svc/org%2Fmodel%3Afree?q=a+b%20c", "{}"); text != "q=a+b%20c PATCH" {
		t.Errorf("path or query changed: %q", text)
	}
	if res, _ := r.ask("HEAD", "/svc/head", ""); res.ContentLength != 1234 {
		t.Errorf("HEAD: length %d", res.ContentLength)
	}
	if res, _ := r.ask("GET", "/svc/cached", "", "If-None-Match", `"x"`); res.StatusCode != 304 {
		t.Errorf("304 became %d", res.StatusCode)
	}
	res, _ := r.ask("GET", "/svc/moved", "")
	if got, want := res.Header.Get("Location"), r.url+"/svc/~/elsewhere?x=1"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if got := res.Header.Get("Link"); strings.Count(got, r.url+"/svc/~/items") != 2 {
		t.Errorf("Link %q", got)
	}
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("POST", r.url+"/svc/trailers", pr)
	req.Trailer = http.Header{"X-Client-Sum": nil}
	go func() {
		_, _ = pw.Write([]byte("hello"))
		req.Trailer.Set("X-Client-Sum", "42")
		_ = pw.Close()
	}()
	tr, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(tr.Body)
	_ = tr.Body.Close()
	if string(text) != "hello" || tr.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%q, trailer %v", text, tr.Trailer)
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d", len(b))
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /svc/v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	lines := bufio.NewReader(c)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = lines.ReadString('\n') // ends the interim head
	fmt.Fprint(c, "hello")
	rest := make([]byte, 512)
	n, err := lines.Read(rest)
	if err != nil || !strings.Contains(string(rest[:n]), "200 OK") {
		t.Errorf("%q, %v", rest[:n], err)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		if key(r) == "k1" {
			w.WriteHeader(401)
			return
		}
		if r.Header.Get("Upgrade") != "websocket" || strings.Contains(fmt.Sprint(r.Header), "client-token") {
			t.Errorf("upstream saw %v", r.Header)
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(c, rw) // echo
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /svc/v1/realtime?model=m HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.client-token\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	lines := bufio.NewReader(c)
	res, err := http.ReadResponse(lines, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	fmt.Fprint(c, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(lines, got); err != nil || string(got) != "ping" {
		t.Errorf("%q %v", got, err)
	}
	if n := r.engine.Snapshot().Keys[1].InFlight; n != 1 {
		t.Errorf("the open socket holds %d leases", n)
	}
	_ = c.Close()
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
	if s := r.engine.Snapshot(); s.Proxy.Failures != 0 || s.Keys[1].Failures != 0 {
		t.Errorf("%+v", s.Proxy)
	}
	if res, _ := r.ask("GET", "/svc/v1/responses", "", "Upgrade", "websocket", "Connection", "Upgrade"); res.StatusCode != 426 {
		t.Errorf("/responses: %d, want 426", res.StatusCode)
	}
}

func TestTheDoor(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }
	r := newRig(t, "openai", 1, echo, func(c *engine.Config, o *Options) {
		c.Services[0].Models = []string{"m", "org/model"}
		svc := c.Services[0]
		locked, paths, narrow := svc, svc, svc
		locked.Name, locked.Models, locked.Token, locked.TokenRef = "locked", nil, secret.New("test-token-1"), "env:LOCKED_TOKEN"
		paths.Name, paths.Models, paths.Token, paths.PathToken = "paths", nil, secret.New("test-token-2"), true
		narrow.Name, narrow.Models, narrow.Allow = "narrow", nil, []string{"GET *", "POST /v1/embeddings"}
		c.Services = append(c.Services, locked, paths, narrow, engine.Service{Name: "later", Planned: true})
		o.CORSOrigins = []string{"https://ui.example"}
		o.AllowHosts = []string{"host.docker.internal"}
	})
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		contains                 string
	}{
		{"by prefix", "POST", "/svc/v1/chat/completions", chatBody, nil, 200, "/v1/chat/completions"},
		{"by model", "POST", "/v1/chat/completions", chatBody, nil, 200, "/v1/chat/completions"},
		{"by model with a slash", "POST", "/v1/chat/completions", `{"messages":[],"model":"org/model"}`, nil, 200, "/v1/chat/completions"},
		{"by token", "POST", "/v1/files", "x", []string{"Authorization", "Bearer test-token-1"}, 200, "/v1/files"},
		{"no such model", "POST", "/v1/chat/completions", `{"model":"nope"}`, nil, 404, `no service serves the model \"nope\"`},
		{"no such service", "POST", "/nope/v1/x", chatBody, nil, 404, "The services are: /locked, /narrow, /paths, /svc."},
		{"planned is not served", "GET", "/later/v1/x", "", nil, 404, "there is no service"},
		{"nothing", "GET", "/", "", nil, 404, "The services are"},
		{"models", "GET", "/v1/models", "", nil, 200, `"id":"org/model"`},
		{"health", "GET", "/healthz", "", nil, 200, `"ok":true`},
		{"no token", "POST", "/locked/v1/x", chatBody, nil, 401, "env:LOCKED_TOKEN"},
		{"wrong token", "POST", "/locked/v1/x", chatBody, []string{"X-Api-Key", "test-token-2"}, 401, "keywheel_wrong_token"},
		{"token in x-api-key", "POST", "/locked/v1/x", chatBody, []string{"X-Api-Key", "test-token-1"}, 200, "/v1/x"},
		{"token in api-key", "POST", "/locked/v1/x", chatBody, []string{"Api-Key", "test-token-1"}, 200, "/v1/x"},
		{"token in x-goog-api-key", "POST", "/locked/v1/x", chatBody, []string{"X-Goog-Api-Key", "test-token-1"}, 200, "/v1/x"},
		{"token as GitHub has it", "POST", "/locked/v1/x", chatBody, []string{"Authorization", "token test-token-1"}, 200, "/v1/x"},
		{"token in the query", "POST", "/locked/v1/x?key=test-token-1", chatBody, nil, 200, "/v1/x"},
		{"token in another parameter", "POST", "/locked/v1/x?access_token=test-token-1", chatBody, nil, 200, "/v1/x"},
		{"token in another header", "POST", "/locked/v1/x", chatBody, []string{"Anthropic-Api-Key", "test-token-1"}, 200, "/v1/x"},
		{"token in the path", "GET", "/t/test-token-2/paths/v1/x", "", nil, 200, "/v1/x"},
		{"token in the path of a POST", "POST", "/t/test-token-2/paths/v1/x", chatBody, nil, 401, "wrong_token"},
		{"token in the path where it may not", "GET", "/t/test-token-1/locked/v1/x", "", nil, 401, "wrong_token"},
		{"allow: yes", "POST", "/narrow/v1/embeddings", "{}", nil, 200, "/v1/embeddings"},
		{"allow: no", "POST", "/narrow/v1/chat/completions", "{}", nil, 403, "keywheel_not_allowed"},
		{"keys are not for managing keys", "GET", "/svc/v1/organization/admin_api_keys", "", nil, 403, "keywheel_not_allowed"},
		{"nor however that is written", "GET", "/svc/v1/v1/%6Frganization/costs", "", nil, 403, "keywheel_not_allowed"},
		{"nor behind an encoded slash", "GET", "/svc/v1%2Forganization/costs", "", nil, 403, "keywheel_not_allowed"},
		{"nor behind a doubled one", "GET", "/svc/v1//organization/costs", "", nil, 403, "keywheel_not_allowed"},
		{"encoded slashes elsewhere", "GET", "/svc/v1/models/org%2Fmodel", "", nil, 200, "/v1/models/org/model"},
		{"allow: not out of its path", "GET", "/narrow/v1/files/%2e%2e%2Forganization", "", nil, 400, "keywheel_bad_path"},
		{"allow: not by twice encoded dots", "GET", "/narrow/v1/files/%252e%252e%252Forganization", "", nil, 400, "keywheel_bad_path"},
		{"allow: not by backslashes", "GET", "/narrow/v1/files/..%5Corganization", "", nil, 400, "keywheel_bad_path"},
		{"dots", "GET", "/svc/v1/../../etc", "", nil, 400, "keywheel_bad_path"},
		{"encoded dots", "GET", "/svc/v1/%2e%2e/x", "", nil, 400, "keywheel_bad_path"},
		{"foreign host", "GET", "/svc/v1/x", "", []string{"Host", "evil.example"}, 403, "keywheel_foreign_host"},
		{"allowed host", "GET", "/svc/v1/x", "", []string{"Host", "host.docker.internal:5399"}, 200, "/v1/x"},
		{"IPv6 loopback", "GET", "/svc/v1/x", "", []string{"Host", "[::1]:5399"}, 200, "/v1/x"},
		{"foreign origin", "GET", "/svc/v1/x", "", []string{"Origin", "https://evil.example"}, 403, "keywheel_foreign_origin"},
		{"null origin", "GET", "/svc/v1/x", "", []string{"Origin", "null"}, 403, "keywheel_foreign_origin"},
		{"an image on a page", "GET", "/svc/v1/x", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "keywheel_foreign_origin"},
		{"typed by a person", "GET", "/svc/v1/x", "", []string{"Sec-Fetch-Site", "none"}, 200, "/v1/x"},
		{"listed origin", "GET", "/svc/v1/x", "", []string{"Origin", "https://ui.example", "Sec-Fetch-Site", "cross-site"}, 200, "/v1/x"},
		{"preflight", "OPTIONS", "/svc/v1/x", "", []string{"Origin", "https://ui.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}, 204, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, text := r.ask(c.method, c.path, c.body, c.headers...)
			if res.StatusCode != c.status || !strings.Contains(text, c.contains) {
				t.Errorf("%d %s", res.StatusCode, text)
			}
			if res.Header.Get("X-Keywheel-Request") == "" || res.Header.Get("X-Keywheel-Attempts") == "" {
				t.Errorf("which request was it? %v", res.Header)
			}
			if c.status >= 400 && (res.Header.Get("X-Keywheel-Attempts") != "0" || res.Header["X-Keywheel-Key"] != nil) {
				t.Errorf("no key was used at the door: %v", res.Header)
			}
			if c.status >= 400 {
				if !json.Valid([]byte(text)) || res.Header.Get("X-Should-Retry") != "false" {
					t.Errorf("%v %s", res.Header, text)
				}
				if strings.Contains(text, "test-token-") {
					t.Errorf("a token in an error: %s", text)
				}
			}
			if c.name == "preflight" && res.Header.Get("Access-Control-Allow-Headers") != "authorization" {
				t.Errorf("%v", res.Header)
			}
		})
	}
}

func TestAbsoluteFormAndConnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { t.Error("it came through") })
	for _, line := range []string{"GET http://127.0.0.1/svc/v1/x HTTP/1.1", "CONNECT 127.0.0.1:443 HTTP/1.1"} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "%s\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", line)
		answer, _ := io.ReadAll(c)
		_ = c.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
			t.Errorf("%s: %.200s", line, answer)
		}
	}
}

func TestKeysGoWhereTheProviderReadsThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, clientHeader, clientValue, header, want string }{
		{"openai", "Authorization", "Bearer c", "Authorization", "Bearer " + fake + "k1"},
		{"openai", "X-Api-Key", "c", "Authorization", "Bearer " + fake + "k1"},
		{"anthropic", "X-Api-Key", "c", "X-Api-Key", fake + "k1"},
		{"anthropic", "Authorization", "Bearer c", "Authorization", "Bearer " + fake + "k1"},
		{"gemini", "X-Goog-Api-Key", "c", "X-Goog-Api-Key", fake + "k1"},
		{"gemini", "Authorization", "Bearer c", "Authorization", "Bearer " + fake + "k1"},
		{"github", "Authorization", "token c", "Authorization", "Bearer " + fake + "k1"},
	} {
		var seen http.Header
		r := newRig(t, c.kind, 1, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
		r.ask("GET", "/svc/x", "", c.clientHeader, c.clientValue)
		n := 0
		for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
			n += len(seen[name])
		}
		if seen.Get(c.header) != c.want || n != 1 {
			t.Errorf("%s, client's in %s: %v", c.kind, c.clientHeader, seen)
		}
	}
}

func TestAServicesOwnHeadersAreNotTheClients(t *testing.T) {
	t.Parallel()
	var seen http.Header
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }, func(c *engine.Config, _ *Options) {
		c.Services[0].Headers = map[string]string{"OpenAI-Project": "proj-ours", "X-Title": "ours"}
	})
	r.ask("GET", "/svc/v1/x", "", "OpenAI-Project", "proj-client", "X-Title", "client")
	if seen.Get("OpenAI-Project") != "proj-ours" || seen.Get("X-Title") != "ours" {
		t.Errorf("%v", seen)
	}
}

func TestUsageIsReadAsItPasses(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 100 {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"%d\"}}]}\n\n", i)
		}
		fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\ndata: [DONE]\n\n")
	})
	r.ask("POST", "/svc/v1/chat/completions", chatBody)
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
	if k := r.engine.Snapshot().Keys[0]; k.InputTokens != 11 || k.OutputTokens != 7 || k.CachedTokens != 5 {
		t.Errorf("%d in, %d out, %d cached", k.InputTokens, k.OutputTokens, k.CachedTokens)
	}
}

func TestWhileOneKeyIsUsableClientsSeeNoError(t *testing.T) {
	t.Parallel()
	const keys, clients, each = 6, 8, 60
	var bad [keys]atomic.Int32 // the status each key answers with
	r := newRig(t, "openai", keys, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		var i int
		_, _ = fmt.Sscanf(key(r), "k%d", &i)
		if s := bad[i-1].Load(); s != 0 {
			w.WriteHeader(int(s))
			return
		}
		fmt.Fprint(w, "ok")
	})
	var done sync.WaitGroup
	var asked atomic.Int32
	for range clients {
		done.Go(func() {
			for range each {
				// One key after the other goes as the traffic flows.
				if n := int(asked.Add(1)) * keys / (clients * each); n < keys {
					for i := range n {
						bad[i].Store([]int32{401, 402, 429, 403, 401, 402}[i])
					}
				}
				if res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody); res.StatusCode != 200 {
					t.Errorf("client saw %d %s", res.StatusCode, text)
				}
			}
		})
	}
	done.Wait()
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
	s := r.engine.Snapshot()
	if s.Proxy.Requests != clients*each || s.Proxy.Failures != 0 || s.Proxy.Absorbed == 0 {
		t.Errorf("%+v", s.Proxy)
	}
}

func TestSilenceIsCalledThat(t *testing.T) {
	t.Parallel()
	short := func(header, idle time.Duration) func(*engine.Config, *Options) {
		return func(_ *engine.Config, o *Options) { o.Timeouts = Timeouts{Header: header, Idle: idle} }
	}
	t.Run("before the head", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, short(200*time.Millisecond, 0))
		res, text := r.ask("GET", "/svc/v1/x", "")
		if res.StatusCode != 502 || gjson.Get(text, "error.message").Str != "openai gave no answer: silent for too long" {
			t.Errorf("%d %s", res.StatusCode, text)
		}
	})
	for _, c := range []struct{ name, contentType, begun string }{
		{"in a stream", sseHead, "data: {\"choices\":[{\"delta\":{\"content\":\"hel\"}}]}\n\n"},
		{"in a stream without content yet", sseHead, ": ping\n\n"},
		{"in JSON", "application/json", `{"choices":[`},
		{"in a file", "application/octet-stream", "half"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
				if key(r) == "k1" {
					w.WriteHeader(402) // so that there is a rotation to read the outcome of
					return
				}
				w.Header().Set("Content-Type", c.contentType)
				_, _ = io.WriteString(w, c.begun)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}, short(0, 200*time.Millisecond)) // the other key's head is in time however slow it is
			res, err := http.Post(r.url+"/svc/v1/files", "application/json", strings.NewReader(chatBody))
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("half an answer looked whole: %q", text)
			}
			_ = res.Body.Close()
			waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
			s := r.engine.Snapshot()
			if last := s.Services[0].LastRotation; last == nil || last.Outcome != "the answer was cut: silent for too long" {
				t.Errorf("%+v", last)
			}
			if s.Proxy.Failures != 1 || s.Keys[1].Verdicts.UpstreamFault != 1 {
				t.Errorf("%+v %+v", s.Proxy, s.Keys[1].Verdicts)
			}
		})
	}
}

func TestBadClients(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/flood") {
			for range 1024 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			close(release)
			return
		}
		fmt.Fprint(w, "ok")
	}, func(_ *engine.Config, o *Options) {
		o.Timeouts = Timeouts{Idle: 2 * time.Second} // the upstream of a busy machine is not silent as long
	})
	t.Run("a megabyte of headers", func(t *testing.T) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go fmt.Fprintf(c, "GET /svc/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Big: %s\r\n\r\n", strings.Repeat("x", 1<<20))
		line, _ := bufio.NewReader(c).ReadString('\n')
		if !strings.Contains(line, "431") {
			t.Errorf("%q", line)
		}
	})
	t.Run("half a body", func(t *testing.T) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "POST /svc/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf")
		answer, _ := io.ReadAll(c) // ends: the connection is closed on it
		if !strings.Contains(string(answer), "keywheel_body_cut") {
			t.Errorf("%.300s", answer)
		}
	})
	t.Run("stops reading", func(t *testing.T) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /svc/v1/flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		<-release // the upstream was let go
	})
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
	if s := r.engine.Snapshot(); s.Proxy.Failures != 0 || s.Keys[0].Failures != 0 {
		t.Errorf("the key is blamed for a client that does not read: %+v", s.Keys[0].Verdicts)
	}
	if res, text := r.ask("GET", "/svc/v1/x", ""); res.StatusCode != 200 || text != "ok" {
		t.Errorf("the rest is not served: %d %s", res.StatusCode, text)
	}
}

func TestDrainRefusesNewAndFinishesOld(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		fmt.Fprint(w, "finished")
	})
	old := make(chan string)
	go func() {
		_, text := r.ask("GET", "/svc/v1/x", "")
		old <- text
	}()
	<-begun
	r.proxy.Drain()
	if res, text := r.ask("GET", "/svc/v1/x", ""); res.StatusCode != 503 || !strings.Contains(text, "keywheel_draining") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	close(release)
	if text := <-old; text != "finished" {
		t.Errorf("the old request got %q", text)
	}
}

func TestTransportIsARoundTripper(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if key(r) == "k1" {
			w.WriteHeader(429)
			return
		}
		fmt.Fprintf(w, "%s %s %s", key(r), r.URL.Path, b)
	})
	client := &http.Client{Transport: &Transport{Engine: r.engine, Service: "svc"}}
	res, err := client.Post("https://api.example/v1/chat/completions", "application/json", strings.NewReader(chatBody))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if string(text) != "k2 /v1/chat/completions "+chatBody {
		t.Errorf("%s", text)
	}
	if _, err := client.Get("https://api.example/v1/x"); err != nil {
		t.Errorf("the second: %v", err)
	}
}

// closing is a body that tells when it was closed.
type closing struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func TestTransportClosesBodiesAndEndsRequests(t *testing.T) {
	t.Parallel()
	cut := func() io.Reader { return io.MultiReader(strings.NewReader("x"), errReader{}) }
	for _, c := range []struct {
		name, service string
		size          int64
		body          io.Reader
		base          string // of the first of two keys; "" is right
		keys          int
		fails         bool
	}{
		{"served", "svc", 1000, nil, "", 1, false},
		{"beyond one write", "svc", 100 << 10, nil, "", 1, false},
		{"too large to keep", "svc", 3 << 20, nil, "", 1, false},
		{"no such service", "nope", 1000, nil, "", 1, true},
		{"no such service, too large to keep", "nope", 3 << 20, nil, "", 1, true},
		{"the body breaks", "svc", 1000, cut(), "", 1, true},
		{"a long body breaks", "svc", 100 << 10, cut(), "", 1, true},
		{"a key that leads nowhere", "svc", 1000, nil, "://", 1, true},
		{"a key that leads nowhere, and another", "svc", 1000, nil, "://", 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "openai", c.keys, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, key(r))
			}, func(cfg *engine.Config, _ *Options) {
				if c.base != "" {
					cfg.Keys[0].BaseURL = c.base
				}
			})
			if c.body == nil {
				c.body = bytes.NewReader(make([]byte, c.size))
			}
			body := &closing{Reader: c.body, closed: make(chan struct{})}
			req, err := http.NewRequest("POST", "https://api.example/v1/chat/completions", body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = c.size
			res, err := (&Transport{Engine: r.engine, Service: c.service, MaxReplay: 1 << 20}).RoundTrip(req)
			if (err != nil) != c.fails {
				t.Errorf("%v", err)
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			waitFor(t, func() bool {
				select {
				case <-body.closed:
					return r.engine.Snapshot().Proxy.InFlight == 0
				default:
					return false
				}
			})
		})
	}
}

// errReader breaks.
type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAnUpgradeToSomethingElseEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(io.Discard, rw)
	})
	if res, _ := r.ask("GET", "/svc/v1/realtime", "", "Upgrade", "websocket", "Connection", "Upgrade"); res.StatusCode != 502 || res.Header.Get("X-Keywheel-Key") != "k1" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	waitFor(t, func() bool { return r.engine.Snapshot().Proxy.InFlight == 0 })
}

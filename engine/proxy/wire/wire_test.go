package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http writes about the answers of these hosts
	os.Exit(m.Run())
}

// tuned is a base as the proxy has it.
func tuned() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 64, MaxIdleConns: 128, IdleConnTimeout: time.Minute, DisableCompression: true,
		MaxResponseHeaderBytes: 64 << 10, TLSHandshakeTimeout: 10 * time.Second, DialContext: (&net.Dialer{}).DialContext}
}

// scripted is an upstream that a test writes by hand: it gets each connection with
// the first request on it, read to its end if reads is set.
func scripted(t testing.TB, reads bool, answer func(c net.Conn, br *bufio.Reader)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				br := bufio.NewReader(c)
				if reads && !next(br) {
					return
				}
				answer(c, br)
			})
		}
	})
	return "http://" + l.Addr().String()
}

// next reads one request with its body.
func next(br *bufio.Reader) bool {
	r, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

// outcome is what a caller sees of an answer.
type outcome struct {
	status  int
	header  string
	length  int64
	body    string
	trailer string
	broken  bool // there is no answer, or it ends with an error
}

func ask(rt http.RoundTripper, req *http.Request) (o outcome, err error) {
	res, err := rt.RoundTrip(req)
	if err != nil {
		return outcome{broken: true}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return outcome{res.StatusCode, fmt.Sprint(res.Header), res.ContentLength, string(text), fmt.Sprint(res.Trailer), err != nil}, err
}

// odd are answers, right and wrong, as they stand on the wire; the connection
// then closes.
var odd = map[string]string{
	"plain":                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello",
	"kept alive":               "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello",
	"two wishes":               "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
	"names in any case":        "HTTP/1.1 200 OK\r\nx-request-ID: 1\r\ncontent-LENGTH: 5\r\nset-cookie:a\r\nSet-Cookie: \tb \r\n\r\nhello",
	"a name that is none":      "HTTP/1.1 200 OK\r\n: 1\r\nContent-Length: 5\r\n\r\nhello",
	"a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
	"a space before the first": "HTTP/1.1 200 OK\r\n X-A: 1\r\nContent-Length: 5\r\n\r\nhello",
	"an old no-cache":          "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 5\r\n\r\nhello",
	"letters of elsewhere":     "HTTP/1.1 200 Très bien\r\nX-A: é\r\nContent-Length: 5\r\n\r\nhello",
	"an empty field":           "HTTP/1.1 200 OK\r\nX-A:\r\nContent-Length: 5\r\n\r\nhello",
	"a length with zeros":      "HTTP/1.1 200 OK\r\nContent-Length: 0005\r\n\r\nhello",
	"a length that is no size": "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
	"a length beyond all":      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
	"an empty length":          "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
	"no status":                "HTTP/1.1 \r\nContent-Length: 5\r\n\r\nhello",
	"half a status":            "HTTP/1.1 20\r\nContent-Length: 5\r\n\r\nhello",
	"two spaces":               "HTTP/1.1 200  OK \r\nContent-Length: 5\r\n\r\nhello",
	"a reason of one letter":   "HTTP/1.1 200 K\r\nContent-Length: 5\r\n\r\nhello",
	"a lone return":            "HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 5\r\n\r\nhello",
	"both ends of lines":       "HTTP/1.1 200 OK\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello",
	"a great minor version":    "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"no reason":                "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
	"until it closes":          "HTTP/1.1 200 OK\r\n\r\nhello",
	"HTTP/1.0":                 "HTTP/1.0 200 OK\r\n\r\nhello",
	"chunked":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"chunked with a trailer":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
	"a trailer not announced":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
	"a trailer of megabytes":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: " + strings.Repeat("1", 100_000) + "\r\n\r\n",
	"chunk cut":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	"last chunk missing":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	"chunk of no size":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
	"chunk of too great size":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
	"body cut":                 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
	"body too long":            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhello",
	"two lengths":              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"one length twice":         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"a length below zero":      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	"a length with a sign":     "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
	"length and chunked":       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"an encoding nobody knows": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"204":                      "HTTP/1.1 204 No Content\r\n\r\n",
	"204 with a length":        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
	"304 with a length":        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	"100 first":                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"early hints first":        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"only 100":                 "HTTP/1.1 100 Continue\r\n\r\n",
	"interim heads for ever":   strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 5000),
	"connection: close":        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
	"nothing":                  "",
	"half a head":              "HTTP/1.1 200 OK\r\nContent-Le",
	"half a line":              "HTTP/1.",
	"garbage":                  "\x16\x03\x01 this is no HTTP\r\n\r\n",
	"another protocol":         "SSH-2.0-OpenSSH_9.6\r\n",
	"a status of four digits":  "HTTP/1.1 2000 OK\r\n\r\n",
	"a status in words":        "HTTP/1.1 two OK\r\n\r\n",
	"a field without a colon":  "HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\nhello",
	"a field with a space":     "HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 5\r\n\r\nhello",
	"a folded field":           "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 5\r\n\r\nhello",
	"bare line feeds":          "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
	"a zero byte":              "HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 5\r\n\r\nhello",
	"a huge head":              "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 100_000) + "\r\nContent-Length: 5\r\n\r\nhello",
	"many fields":              "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: 1\r\n", 20_000) + "\r\n",
	"two answers":              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld",
}

// TestAnswersReadAsByTransport puts odd answers to http.Transport and to wire:
// callers see the same.
func TestAnswersReadAsByTransport(t *testing.T) {
	t.Parallel()
	for name, answer := range odd {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(method+" "+name, func(t *testing.T) {
				t.Parallel()
				url := scripted(t, true, func(c net.Conn, br *bufio.Reader) { _, _ = io.WriteString(c, answer) })
				base := tuned()
				ours := New(tuned())
				defer base.CloseIdleConnections()
				defer ours.CloseIdleConnections()
				var got [2]outcome
				var errs [2]error
				for i, rt := range []http.RoundTripper{base, ours} {
					req, _ := http.NewRequest(method, url, nil)
					if method == "POST" {
						req, _ = http.NewRequest(method, url, strings.NewReader("prompt"))
					}
					got[i], errs[i] = ask(rt, req)
				}
				if got[0] != got[1] {
					t.Errorf("http.Transport: %+v, %v\nwire: %+v, %v", got[0], errs[0], got[1], errs[1])
				}
			})
		}
	}
}

// TestRequestsReadAsByTransport sends requests with both: a host sees the same.
func TestRequestsReadAsByTransport(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]string{}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen[r.Header.Get("X-By")] = fmt.Sprint(r.Method, r.RequestURI, r.Host, r.Header["User-Agent"], r.Header["X-A"], r.Header["Content-Length"], r.ContentLength, r.TransferEncoding, len(body), err)
	}))
	defer up.Close()
	for _, c := range []struct {
		method, path, body string
		change             func(*http.Request)
		fails              bool
	}{
		{method: "GET", path: "/"},
		{method: "", path: ""},
		{method: "GET", path: "/a%2Fb/ü?q=a+b%20c&d"},
		{method: "GET", path: "/?"},
		{method: "POST", path: "/", body: "prompt"},
		{method: "POST", path: "/"},
		{method: "DELETE", path: "/"},
		{method: "PATCH", path: "/", body: strings.Repeat("long ", 100_000)},
		{method: "POST", path: "/", body: strings.Repeat("x", oneGo)},
		{method: "POST", path: "/", body: strings.Repeat("x", oneGo+1)},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Header["X-A"] = []string{" 1 ", "2", ""} }},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Header["User-Agent"] = []string{""} }},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Header.Set("User-Agent", "me/1") }},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Host = "other.example:8080" }},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Host = "bücher.example" }},
		{method: "POST", path: "/", body: "x", change: func(r *http.Request) { r.ContentLength = -1 }},
		{method: "POST", path: "/", body: "xyz", change: func(r *http.Request) { r.ContentLength = 7 }, fails: true},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Header["X-A"] = []string{"1\r\nX-B: 2"} }, fails: true},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Header["X-A: 1\r\nX-B"] = []string{"2"} }, fails: true},
		{method: "GET", path: "/", change: func(r *http.Request) { r.Header[""] = []string{"2"} }, fails: true},
		{method: "GE T", path: "/", fails: true},
		{method: "GET", path: "/", change: func(r *http.Request) { r.URL.RawQuery = "a\r\nX-B: 2" }, fails: true},
	} {
		var got [2]string
		for i, rt := range []http.RoundTripper{tuned(), New(tuned())} {
			req, err := http.NewRequest("POST", up.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Method = c.method
			if c.body == "" {
				req.Body = nil
			}
			req.Header.Set("X-By", fmt.Sprint(i))
			if c.change != nil {
				c.change(req)
			}
			_, err = ask(rt, req)
			if (err != nil) != c.fails {
				t.Errorf("%d: %s %s: %v", i, c.method, c.path, err)
			}
			mu.Lock()
			got[i] = seen[fmt.Sprint(i)]
			delete(seen, fmt.Sprint(i))
			mu.Unlock()
		}
		if got[0] != got[1] && !c.fails {
			t.Errorf("%s %s\nhttp.Transport: %.300s\nwire:           %.300s", c.method, c.path, got[0], got[1])
		}
	}
}

// TestConnectionsAreUsedAgain counts the connections that a run of answers takes.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, answer string
		read         bool // the caller reads the body
		again        bool
	}{
		{"read to its end", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, true},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, true},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", false, true},
		{"given up", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, false},
		{"told to close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", true, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, false},
		{"more than was said", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, you", true, false},
		{"more than none", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int32
			url := scripted(t, false, func(s net.Conn, br *bufio.Reader) {
				conns.Add(1)
				for next(br) {
					_, _ = io.WriteString(s, c.answer)
				}
			})
			rt := New(tuned())
			defer rt.CloseIdleConnections()
			for range 3 {
				req, _ := http.NewRequest("POST", url, strings.NewReader("prompt"))
				res, err := rt.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				if c.read {
					_, _ = io.Copy(io.Discard, res.Body)
				}
				_ = res.Body.Close()
				_ = res.Body.Close()
			}
			if n := conns.Load(); (n == 1) != c.again {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestAStaleConnectionCostsNoRequest lets the host hang up on an idle
// connection, or say something that nobody asked for.
func TestAStaleConnectionCostsNoRequest(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"} {
		var calls atomic.Int32
		hungUp := make(chan struct{})
		url := scripted(t, true, func(c net.Conn, br *bufio.Reader) {
			n := calls.Add(1) // before the client has its answer
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
			if n == 1 {
				hungUp <- struct{}{}
				_, _ = io.WriteString(c, last)
				_ = c.Close()
				close(hungUp)
			}
		})
		rt := New(tuned())
		for range 2 {
			req, _ := http.NewRequest("POST", url, strings.NewReader("prompt"))
			if got, err := ask(rt, req); err != nil || got.body != "right" {
				t.Errorf("%q: %+v, %v", last, got, err)
			}
			if calls.Load() == 1 {
				<-hungUp
				<-hungUp
			}
		}
		if n := calls.Load(); n != 2 {
			t.Errorf("%q: %d calls", last, n)
		}
		rt.CloseIdleConnections()
	}
}

// TestLostRequests says which requests are sent again when a connection that
// was used before breaks after the request went out.
func TestLostRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method string
		key    bool
		said   string
		calls  int32
	}{
		{"GET", false, "", 3},
		{"POST", false, "", 2},
		{"POST", true, "", 3},
		{"GET", false, "HTTP/1.1 200 O", 2},
	} {
		var calls atomic.Int32
		url := scripted(t, false, func(s net.Conn, br *bufio.Reader) {
			for next(br) {
				if calls.Add(1) == 2 {
					_, _ = io.WriteString(s, c.said)
					return
				}
				_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		rt := New(tuned())
		var err error
		for range 2 {
			req, _ := http.NewRequest(c.method, url, strings.NewReader("prompt"))
			if c.key {
				req.Header.Set("Idempotency-Key", "1")
			}
			_, err = ask(rt, req)
		}
		if n := calls.Load(); n != c.calls || (err == nil) != (c.calls == 3) {
			t.Errorf("%+v: %d calls, %v", c, n, err)
		}
		rt.CloseIdleConnections()
	}
}

// TestAnAnswerBeforeTheBodyIsRead lets the host answer without reading, and
// hang up on the upload.
func TestAnAnswerBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1 << 10, oneGo, oneGo + 1, 8 << 20} {
		for _, hangsUp := range []bool{true, false} {
			release := make(chan struct{})
			url := scripted(t, false, func(c net.Conn, br *bufio.Reader) {
				_, _ = http.ReadRequest(br)
				_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
				if hangsUp {
					_ = c.(*net.TCPConn).CloseWrite()
				}
				<-release
			})
			rt := New(tuned())
			body := &noted{Reader: bytes.NewReader(make([]byte, size)), closed: make(chan struct{})}
			req, _ := http.NewRequest("POST", url, body)
			req.ContentLength = int64(size)
			if got, err := ask(rt, req); err != nil || got.status != 413 || got.body != "large" {
				t.Errorf("%d bytes: %+v, %v", size, got, err)
			}
			<-body.closed // the upload ended
			close(release)
		}
	}
}

// noted is a body that tells when it was closed.
type noted struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (n *noted) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// TestBodiesAreClosed whatever becomes of the request.
func TestBodiesAreClosed(t *testing.T) {
	t.Parallel()
	url := scripted(t, true, func(c net.Conn, br *bufio.Reader) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	broken := errors.New("the source broke")
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int64
		change func(*http.Request) *http.Request
		want   error
	}{
		{"served", strings.NewReader("ok"), 2, nil, nil},
		{"served, long", bytes.NewReader(make([]byte, 1<<20)), 1 << 20, nil, nil},
		{"a source that breaks", io.MultiReader(strings.NewReader("o"), broke{broken}), 2, nil, broken},
		{"a long source that breaks", io.MultiReader(strings.NewReader("o"), broke{broken}), 1 << 20, nil, broken},
		{"too short", strings.NewReader("o"), 2, nil, io.ErrUnexpectedEOF},
		{"too short, long", strings.NewReader("o"), 1 << 20, nil, io.ErrUnexpectedEOF},
		{"given up before", strings.NewReader("ok"), 2, func(r *http.Request) *http.Request { return r.WithContext(done) }, context.Canceled},
	} {
		rt := New(tuned())
		body := &noted{Reader: c.body, closed: make(chan struct{})}
		req, _ := http.NewRequest("POST", url, body)
		req.ContentLength = c.length
		if c.change != nil {
			req = c.change(req)
		}
		if _, err := ask(rt, req); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		<-body.closed
		rt.CloseIdleConnections()
	}
}

type broke struct{ error }

func (b broke) Read([]byte) (int, error) { return 0, b.error }

// TestGivingUp ends requests at every point; nothing is left behind.
func TestGivingUp(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, said := range []string{"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhel"} {
		for _, size := range []int{0, 1 << 10, 8 << 20} {
			ctx, cancel := context.WithCancel(t.Context())
			arrived, left := make(chan struct{}), make(chan struct{})
			url := scripted(t, false, func(c net.Conn, br *bufio.Reader) {
				_, _ = http.ReadRequest(br)
				_, _ = io.WriteString(c, said)
				close(arrived)
				_, _ = io.Copy(io.Discard, br) // ends when the caller hangs up
				close(left)
			})
			go func() { <-arrived; cancel() }()
			req, _ := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(make([]byte, size)))
			if _, err := ask(New(tuned()), req); !errors.Is(err, context.Canceled) {
				t.Errorf("%q, %d bytes: %v", said, size, err)
			}
			<-left
		}
	}
	awaitGoroutines(t, before+12) // the hosts still listen
}

func awaitGoroutines(t *testing.T, most int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if runtime.NumGoroutine() <= most {
			return
		}
		<-tick.C
	}
	buf := make([]byte, 1<<20)
	t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
}

// TestClosingABodyEndsItsRead does so while a Read waits.
func TestClosingABodyEndsItsRead(t *testing.T) {
	t.Parallel()
	url := scripted(t, true, func(c net.Conn, br *bufio.Reader) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
		_, _ = io.Copy(io.Discard, br)
	})
	closeWhileReading(t, New(tuned()), url)
}

// closeWhileReading closes the body of an answer of which three bytes come.
func closeWhileReading(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	req, _ := http.NewRequest("GET", url, nil)
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(res.Body, got); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := res.Body.Read(got); ended <- err }()
	_ = res.Body.Close()
	if err := <-ended; err == nil || err == io.EOF {
		t.Errorf("half an answer looked whole: %v", err)
	}
	if _, err := res.Body.Read(got); err == nil || err == io.EOF {
		t.Errorf("after Close: %v", err)
	}
}

// TestSilence is bounded before the head, and not within the body.
func TestSilence(t *testing.T) {
	t.Parallel()
	base := tuned()
	base.ResponseHeaderTimeout = 1500 * time.Millisecond // a busy machine's head is sooner
	rt := New(base)
	silent := scripted(t, true, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	var calls atomic.Int32
	slow := scripted(t, true, func(c net.Conn, br *bufio.Reader) {
		calls.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
		<-time.After(2 * base.ResponseHeaderTimeout)
		_, _ = io.WriteString(c, "k")
	})
	var all sync.WaitGroup
	for _, size := range []int{0, 1 << 20} {
		all.Go(func() {
			req, _ := http.NewRequest("POST", silent, bytes.NewReader(make([]byte, size)))
			_, err := ask(rt, req)
			if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
				t.Errorf("%d bytes: %v", size, err)
			}
		})
		all.Go(func() {
			req, _ := http.NewRequest("POST", slow, bytes.NewReader(make([]byte, size)))
			if got, err := ask(rt, req); err != nil || got.body != "ok" {
				t.Errorf("%d bytes: %+v, %v", size, got, err)
			}
		})
	}
	all.Wait()
}

// TestIdleConnections are bounded in number, and closed when they grow old.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	var open atomic.Int32
	gate := make(chan struct{})
	url := scripted(t, false, func(c net.Conn, br *bufio.Reader) {
		open.Add(1)
		defer open.Add(-1)
		for next(br) {
			<-gate
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	base := tuned()
	base.MaxIdleConnsPerHost, base.IdleConnTimeout = 3, 50*time.Millisecond
	rt := New(base)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			req, _ := http.NewRequest("GET", url, nil)
			if _, err := ask(rt, req); err != nil {
				t.Error(err)
			}
		})
	}
	for open.Load() < 8 {
		runtime.Gosched()
	}
	close(gate)
	all.Wait()
	rt.mu.Lock()
	if rt.idle > 3 {
		t.Errorf("%d are kept", rt.idle)
	}
	rt.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		if open.Load() == 0 {
			return
		}
		<-tick.C
	}
	t.Errorf("%d are open still", open.Load())
}

// TestTLS learns from the first answer what a host speaks.
func TestTLS(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		var conns atomic.Int32
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			_, _ = w.Write(text)
		}))
		up.EnableHTTP2 = http2
		up.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		up.StartTLS()
		base := tuned()
		base.ForceAttemptHTTP2 = true
		base.TLSClientConfig = &tls.Config{RootCAs: up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		rt := New(base)
		for i, size := range []int{10, 10, 40_000, 1 << 20, 10} {
			req, _ := http.NewRequest("POST", up.URL, bytes.NewReader(make([]byte, size)))
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || len(text) != size || res.TLS == nil || res.ProtoMajor == 2 != http2 {
				t.Errorf("%d: %s, %d bytes, %v", i, res.Proto, len(text), err)
			}
		}
		rt.mu.Lock()
		if n := conns.Load(); n != 1 || (rt.idle == 1) == http2 {
			t.Errorf("HTTP/2 %v: %d connections, %d idle", http2, n, rt.idle)
		}
		rt.mu.Unlock()
		rt.CloseIdleConnections()
		up.Close()
	}
}

// TestAHostNobodyVouchesFor gets no request.
func TestAHostNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got a request") }))
	up.StartTLS()
	defer up.Close()
	rt := New(tuned())
	rt.hosts[host{"https", up.Listener.Addr().String()}] = &pool{plain: true}
	req, _ := http.NewRequest("GET", up.URL, nil)
	if _, err := ask(rt, req); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("%v", err)
	}
}

// TestManyAtOnce mixes all that happens to requests; no answer goes to another.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Abort") != "" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Id"))
	}))
	defer up.Close()
	rt := New(tuned())
	defer rt.CloseIdleConnections()
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 60 {
				ctx, cancel := context.WithCancel(t.Context())
				id := fmt.Sprint(i, "-", j)
				req, _ := http.NewRequestWithContext(ctx, "POST", up.URL, bytes.NewReader(make([]byte, j*j*50)))
				req.Header.Set("X-Id", id)
				switch (i + j) % 8 {
				case 0:
					go cancel()
				case 1:
					req.Header.Set("X-Abort", "1")
				}
				if got, err := ask(rt, req); err == nil && got.body != id && (i+j)%8 > 1 {
					t.Errorf("%s got %+v", id, got)
				} else if err != nil && (i+j)%8 > 1 {
					t.Errorf("%s: %v", id, err)
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// FuzzAnswer gives http.Transport and wire any answer: both see the same.
func FuzzAnswer(f *testing.F) {
	for _, answer := range odd {
		f.Add(answer)
	}
	var answer atomic.Pointer[string]
	url := scripted(f, true, func(c net.Conn, br *bufio.Reader) { _, _ = io.WriteString(c, *answer.Load()) })
	base, ours := tuned(), New(tuned())
	f.Fuzz(func(t *testing.T, text string) {
		answer.Store(&text)
		var got [2]outcome
		for i, rt := range []http.RoundTripper{base, ours} {
			req, _ := http.NewRequest("POST", url, strings.NewReader("prompt"))
			got[i], _ = ask(rt, req)
			base.CloseIdleConnections()
			ours.CloseIdleConnections()
		}
		if got[0] != got[1] && got[0].status != http.StatusSwitchingProtocols {
			t.Errorf("http.Transport: %+v\nwire: %+v", got[0], got[1])
		}
	})
}

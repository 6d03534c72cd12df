package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rich is a handler that does all that handlers may do, by the request's path,
// and notes what it was asked.
type rich struct {
	mu   sync.Mutex
	seen []string
}

func (h *rich) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	var err error
	switch r.URL.Path {
	case "/unread":
	case "/late":
		_, _ = io.WriteString(w, "before ")
		w.(http.Flusher).Flush()
		fallthrough
	default:
		body, err = io.ReadAll(r.Body)
	}
	h.mu.Lock()
	h.seen = append(h.seen, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.URL, " ", r.Proto, " ", r.Host, " ", r.Header, " ", r.ContentLength, " ", r.TransferEncoding, " ", r.Close, " ", r.Trailer,
		" ", r.RemoteAddr != "", " ", len(body), string(body[:min(len(body), 100)]), " ", err))
	h.mu.Unlock()
	flush := w.(http.Flusher).Flush
	switch r.URL.Path {
	case "/nothing":
	case "/unread":
		_, _ = io.WriteString(w, "not read")
	case "/big":
		for range 100 {
			_, _ = w.Write(bytes.Repeat([]byte("0123456789"), 100))
		}
	case "/slow":
		time.Sleep(time.Second)
		_, _ = fmt.Fprintf(w, "slow %s", body)
	case "/length":
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "hello")
	case "/short":
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "hello")
	case "/long":
		w.Header().Set("Content-Length", "3")
		_, err := io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		if err == nil {
			panic("more than the length was written")
		}
	case "/bad-length":
		w.Header().Set("Content-Length", "five")
		_, _ = io.WriteString(w, "hello")
	case "/204", "/304":
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(map[string]int{"/204": 204, "/304": 304}[r.URL.Path])
		_, _ = io.WriteString(w, "hello")
	case "/599":
		w.WriteHeader(599)
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		flush()
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			flush()
		}
	case "/trailer", "/trailer-of-little":
		w.Header().Set("Trailer", "X-Sum, X-Other")
		w.Header().Add("Trailer", "x-third")
		_, _ = io.WriteString(w, "hello")
		if r.URL.Path == "/trailer" {
			flush()
		}
		w.Header().Set("X-Sum", "1")
		w.Header().Set("X-Not-Announced", "2")
	case "/bad-trailer":
		w.Header().Set("Trailer", "X-Sum, connection, Content-Type, If-Match, X Y, X-Sum, Set-Cookie")
		_, _ = io.WriteString(w, "hello")
		for name := range strings.SplitSeq("X-Sum,Connection,Content-Type,If-Match,X Y,Set-Cookie", ",") {
			w.Header()[name] = []string{"1"}
		}
	case "/late-trailer":
		_, _ = io.WriteString(w, "hello")
		flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	case "/panic":
		panic("a bug")
	case "/exit":
		runtime.Goexit()
	case "/abort":
		_, _ = io.WriteString(w, "hello")
		flush()
		panic(http.ErrAbortHandler)
	case "/abort-length":
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "hello")
		flush()
		panic(http.ErrAbortHandler)
	case "/close":
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "bye")
	case "/fields":
		w.Header()["X-Injected"] = []string{"a\r\nX-Evil: 1\r\n\r\n<html>", " trimmed ", "twice"}
		w.Header()["X-Bad Name"] = []string{"never"}
		w.Header()["Date"] = []string{"Thu, 01 Jan 1970 00:00:00 GMT"}
		w.Header()["Content-Encoding"] = []string{"gzip"}
		_, _ = io.WriteString(w, "<html>")
	case "/type":
		_, _ = io.WriteString(w, "<html>")
	case "/type-in-pieces":
		_, _ = io.WriteString(w, "<ht")
		_, _ = io.WriteString(w, "ml>"+strings.Repeat(" ", maxOpen))
	case "/twice":
		w.WriteHeader(201)
		w.WriteHeader(500)
		_, _ = io.WriteString(w, "one")
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintf(w, "%s %d", r.URL.Path, len(body))
	}
}

// conversations are what clients send on one connection; "|" is where the write
// ends and another begins.
var conversations = map[string]string{
	"a GET":                         "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"a POST":                        "POST /x?y=%20z HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: application/json\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\n{}",
	"POST without a length":         "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
	"two in a row":                  "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
	"plain, odd, plain":             "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nDELETE /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
	"in pieces":                     "GE|T /1 HTT|P/1.1\r\nHo|st: a\r\nContent-Length: 6\r|\n\r\n|abc|def",
	"a piece and no more":           "GET /1 HTTP/1.1\r\nHo",
	"a body cut":                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
	"a body not read":               "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"a long body not read":          "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"a body of 64 KB":               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat("x", 65536) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"a body of 2 MB":                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 2000000),
	"chunked":                       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"chunked, with a length":        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"two lengths":                   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	"one length twice":              "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"a list of lengths":             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
	"a length with a sign":          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
	"a length in hex":               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
	"no host":                       "GET / HTTP/1.1\r\n\r\n",
	"an empty host":                 "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"two hosts":                     "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"a bad host":                    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"a host with a path":            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"HTTP/1.0":                      "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	"HTTP/1.0, kept alive":          "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	"HTTP/1.2":                      "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
	"HTTP/2":                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"HEAD":                          "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS *":                     "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"CONNECT":                       "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
	"an absolute target":            "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"a target of two slashes":       "GET //b/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"a target with a fragment":      "GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n",
	"a target badly escaped":        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"a target with escapes":         "GET /a%2Fb%2e%2e/%E4 HTTP/1.1\r\nHost: a\r\n\r\n",
	"a target with a space":         "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
	"no target":                     "GET  HTTP/1.1\r\nHost: a\r\n\r\n",
	"a small method":                "get / HTTP/1.1\r\nHost: a\r\n\r\n",
	"a space before the colon":      "GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n",
	"a folded line":                 "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n",
	"a folded line first":           "GET / HTTP/1.1\r\n X-A: 1\r\nHost: a\r\n\r\n",
	"a line without a colon":        "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
	"an empty name":                 "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
	"an empty value":                "GET / HTTP/1.1\r\nHost: a\r\nX-A:\r\nX-B: \t \r\n\r\n",
	"NUL in a value":                "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\x002\r\n\r\n",
	"CR in a value":                 "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r2\r\n\r\n",
	"a tab in a value":              "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\t2\r\n\r\n",
	"UTF-8 in a value":              "GET / HTTP/1.1\r\nHost: a\r\nX-A: ä\r\n\r\n",
	"bare newlines":                 "GET / HTTP/1.1\nHost: a\n\n",
	"an empty line first":           "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"garbage":                       "\x16\x03\x01\x00\r\n\r\n",
	"a long head":                   "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 5000) + "\r\n\r\n",
	"many fields":                   "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: 1\r\nX-B: 2\r\n", 50) + "\r\n",
	"closing":                       "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"kept alive":                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"expecting":                     "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	"an upgrade":                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"pragma":                        "GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n",
	"a trailer":                     "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
	"newlines after a POST":         plain + "\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
	"more newlines after a POST":    plain + "\r\n\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
	"newlines after a GET":          "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
	"a request hidden in the body":  "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\nGET /hidden HTTP/1.1\r\nHost: hidden\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
	"a request after a broken body": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcdGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
}

func init() {
	for _, path := range []string{"nothing", "big", "length", "short", "long", "bad-length", "204", "304", "599", "stream", "trailer", "trailer-of-little", "bad-trailer", "late-trailer", "panic", "exit", "abort",
		"abort-length", "close", "fields", "type", "type-in-pieces", "twice", "late"} {
		conversations["the handler's "+path] = "POST /" + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /after HTTP/1.1\r\nHost: a\r\n\r\n"
	}
}

// serving starts a server and gives its address.
func serving(t testing.TB, serve func(net.Listener) error, stop func() error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		if err := serve(l); err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		served.Wait()
	})
	return l.Addr().String()
}

// heard is what a client hears of all that it said.
func heard(t *testing.T, addr, says string) []string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	return hears(c, says, 0, func() string { return "" })
}

// hears is what a client hears on a connection on which it pauses between two
// writes, each answer with when it came.
func hears(c net.Conn, says string, pause time.Duration, when func() string) (answers []string) {
	defer c.Close()
	var said sync.WaitGroup
	defer said.Wait()
	said.Go(func() {
		for piece := range strings.SplitSeq(says, "|") {
			if _, err := io.WriteString(c, piece); err != nil {
				return // the server has hung up
			}
			time.Sleep(pause)
		}
		_ = closeWrite(c)
	})
	br := bufio.NewReader(c)
	for {
		if _, err := br.Peek(1); err != nil {
			return append(answers, "the end: "+err.Error())
		}
		method := http.MethodPost
		if strings.HasPrefix(says, "HEAD") {
			method = http.MethodHead
		}
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return append(answers, err.Error())
		}
		came := when()
		body, err := io.ReadAll(res.Body)
		if date := res.Header["Date"]; len(date) == 1 && !strings.Contains(date[0], "1970") {
			if _, err := http.ParseTime(date[0]); err != nil {
				answers = append(answers, err.Error())
			}
			res.Header["Date"] = []string{"a date"}
		}
		answers = append(answers, fmt.Sprint(came, res.Status, " ", res.Header, " ", res.ContentLength, " ", res.TransferEncoding, " ", res.Close, " ", res.Trailer, " ", len(body), string(body[:min(len(body), 100)]), " ", err))
	}
}

// framed are the conversations that are answered in other frames than net/http's:
// it does not say that it hangs up after a body that was cut, and it sends in
// chunks what was given a length that is none.
var framed = map[string]bool{"a body cut": true, "the handler's bad-length": true}

// TestServesAsNetHTTPDoes says the same to both servers: their handlers are asked
// the same, and their clients hear the same.
func TestServesAsNetHTTPDoes(t *testing.T) {
	t.Parallel()
	for name, says := range conversations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told [2][]string
			var asked [2][]string
			for i := range told {
				h := &rich{}
				base := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
				s := &Server{Server: base}
				addr := serving(t, [...]func(net.Listener) error{base.Serve, s.Serve}[i], s.Close)
				told[i] = heard(t, addr, says)
				h.mu.Lock()
				asked[i] = h.seen
				h.mu.Unlock()
			}
			if !reflect.DeepEqual(asked[0], asked[1]) {
				t.Errorf("the handler is asked\n%s\nwith net/http\n%s", strings.Join(asked[1], "\n"), strings.Join(asked[0], "\n"))
			}
			if !framed[name] && !reflect.DeepEqual(told[0], told[1]) {
				t.Errorf("the client hears\n%s\nof net/http\n%s", strings.Join(told[1], "\n"), strings.Join(told[0], "\n"))
			}
		})
	}
}

// pause is what a client waits at each "|" of slowly.
const pause = 137 * time.Millisecond

// slowly are conversations on which time passes. What comes while the handler is
// slow comes to who looks for the client.
var slowly = map[string]string{
	"nothing":                           "",
	"a POST":                            slow,
	"in pieces":                         "P|OST /slow HTT|P/1.1\r\nHo|st: a\r\nContent-Length: 6\r|\n\r\n|abc|def",
	"two at once":                       slow + plain,
	"the next meanwhile":                slow + "|" + plain,
	"the next in pieces":                slow + "|P|OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
	"the next begun":                    slow + plain[:len(plain)-2] + "|{|}",
	"the next begun, and slow":          slow + slow[:len(slow)-2] + "|{||||}" + plain,
	"newlines meanwhile":                slow + "|\r\n|" + plain,
	"an odd one meanwhile":              slow + "|" + removal,
	"an odd one, its body meanwhile":    slow + removal[:len(removal)-10] + "|0123456789" + plain,
	"an odd one in pieces":              slow + removal[:5] + "|" + removal[5:20] + "||||" + removal[20:] + plain,
	"a long one, its head meanwhile":    slow + "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("0123456789", 600) + "\r\n\r\n|" + plain,
	"a long body, and the next at once": slow + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("0123456789", 900) + "|" + plain,
	"a body that takes its time":        plain + plain[:len(plain)-2] + strings.Repeat("|", 3000) + "{}" + plain,
	"a body not read, and late":         "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234|||56789" + plain,
	"a body read late":                  "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234|||56789" + plain,
	"bare newlines":                     "GET / HTTP/1.1\nHost: a\n\n",
	"a bare newline in the end":         "GET / HTTP/1.1\r\nHost: a\r\n\n",
	"a bare newline in the line":        "GET / HTTP/1.1\n|Host: a\r\n\r\n",
	"an empty line first":               "\r\n",
	"an empty line after a POST":        plain + "\r\n\r\n\r\n",
	"TLS":                               "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abc\ndef",
	"a newline and no more":             slow + "\r|\n",
	"a newline after a GET":             "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r|\n|" + plain,
	"newlines after a POST":             plain + "\r||\n|\r\n||" + plain,
	"an odd line":                       "DELETE / HTTP/1.1 x\r\n",
}

const (
	slow    = "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
	removal = "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
)

// pipes is a net.Listener of pipes.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return nil }

// TestServesSlowlyAsNetHTTPDoes: who takes his time hears the same of both
// servers, and at the same time.
func TestServesSlowlyAsNetHTTPDoes(t *testing.T) {
	t.Parallel()
	for name, says := range slowly {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { compare(t, says, time.Minute) })
		})
	}
}

// compare has a client say the same to both servers, which are so patient with
// heads. Time is virtual.
func compare(t *testing.T, says string, patient time.Duration) {
	var told, asked [2][]string
	for i := range told {
		h := &rich{}
		base := &http.Server{Handler: h, ReadHeaderTimeout: patient, IdleTimeout: 2 * patient, ErrorLog: log.New(io.Discard, "", 0)}
		s := &Server{Server: base}
		l := make(pipes)
		var served sync.WaitGroup
		served.Go(func() { _ = [...]func(net.Listener) error{base.Serve, s.serve}[i](l) })
		client, server := net.Pipe()
		l <- server
		begun := time.Now()
		told[i] = hears(client, says, pause, func() string { return time.Since(begun).String() + " " })
		_ = s.Close()
		served.Wait()
		time.Sleep(time.Minute) // a handler may still be slow
		asked[i] = h.seen
	}
	if !reflect.DeepEqual(asked[0], asked[1]) {
		t.Errorf("the handler is asked\n%s\nwith net/http\n%s", strings.Join(asked[1], "\n"), strings.Join(asked[0], "\n"))
	}
	if !reflect.DeepEqual(told[0], told[1]) {
		t.Errorf("the client hears\n%s\nof net/http\n%s", strings.Join(told[1], "\n"), strings.Join(told[0], "\n"))
	}
}

// TestServesAnybodyAsNetHTTPDoes makes conversations up: some requests in a row,
// in pieces, with pauses.
func TestServesAnybodyAsNetHTTPDoes(t *testing.T) {
	t.Parallel()
	paths := []string{"", "slow", "slow", "slow", "unread", "late", "stream", "big", "length", "short", "204", "304", "trailer", "close", "panic", "exit", "abort", "type-in-pieces"}
	for seed := range uint64(*made) {
		dice := rand.New(rand.NewPCG(seed, 0))
		var says string
		for range 1 + dice.IntN(5) {
			path, body := paths[dice.IntN(len(paths))], strings.Repeat("0123456789", 1000)[:[]int{0, 2, 10, 3000, 4096, 5000, 9000}[dice.IntN(7)]]
			switch dice.IntN(8) {
			case 0:
				says += fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			case 1:
				says += fmt.Sprintf("DELETE /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
			case 2:
				says += fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n0\r\n\r\n", path)
			case 3:
				says += fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: a\r\nX-A: %s\r\nContent-Length: 2\r\n\r\n{}", path, body)
			case 4:
				says += "\r\n"
			default:
				says += fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
			}
		}
		var pieces string
		for len(says) > 0 {
			n := min(len(says), 1+dice.IntN([]int{5, 100, 1000, 10000}[dice.IntN(4)]))
			pieces += says[:n] + strings.Repeat("|", max(1, dice.IntN(36)-24))
			says = says[n:]
		}
		synctest.Test(t, func(t *testing.T) {
			if compare(t, pieces, time.Hour); t.Failed() {
				t.Logf("conversation %d: %q", seed, pieces)
			}
		})
	}
}

var made = flag.Int("conversations", 100, "how many conversations are made up")

// FuzzRequest finds out whether every request that is taken for plain is read as
// net/http reads it, and ends where that says.
func FuzzRequest(f *testing.F) {
	for _, says := range conversations {
		f.Add([]byte(strings.ReplaceAll(says[:min(len(says), 1000)], "|", "")))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		br := bufio.NewReader(bytes.NewReader(raw))
		_, _ = br.Peek(1)
		plain, _ := plainRequest(br)
		if plain == nil {
			if br.Buffered() != min(len(raw), br.Size()) {
				t.Error("something was read")
			}
			return
		}
		for i := range bytes.Index(raw, []byte("\r\n\r\n")) {
			if !mayBePlain(raw[:i]) {
				t.Errorf("%q is not taken for the beginning of a plain one", raw[:i])
			}
		}
		theirs := bufio.NewReader(bytes.NewReader(raw))
		r, err := http.ReadRequest(theirs)
		if err != nil {
			t.Fatalf("net/http does not take it: %v", err)
		}
		body, _ := io.ReadAll(r.Body)
		rest, _ := io.ReadAll(theirs)
		own, _ := io.ReadAll(io.LimitReader(br, plain.ContentLength))
		ownRest, _ := io.ReadAll(br)
		if !bytes.Equal(body, own) || !bytes.Equal(rest, ownRest) {
			t.Errorf("body %q, rest %q; net/http: %q, %q", own, ownRest, body, rest)
		}
		delete(r.Header, "Host") // as the server does
		r.Body, r.Pattern = nil, ""
		if plain.URL.String() != r.URL.String() {
			t.Errorf("%s, net/http: %s", plain.URL, r.URL)
		}
		plain.URL, r.URL = nil, nil
		if got, want := fmt.Sprintf("%+v", plain), fmt.Sprintf("%+v", r); got != want {
			t.Errorf("%s, net/http: %s", got, want)
		}
	})
}

// pipe starts a server on one connection in a bubble of virtual time, and gives
// the client's end.
func pipe(t *testing.T, h http.HandlerFunc) net.Conn {
	s := &Server{Server: &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: log.New(io.Discard, "", 0)}}
	client, server := net.Pipe()
	f := &front{Listener: nobody{}, s: s, odd: make(chan accepted), done: make(chan struct{})}
	var served sync.WaitGroup
	served.Go(func() { f.serve(server) })
	served.Go(func() { _ = s.Server.Serve(f) })
	t.Cleanup(func() {
		_ = s.Close()
		served.Wait()
	})
	return client
}

// nobody is a listener that nobody comes to.
type nobody struct{ net.Listener }

func (nobody) Close() error   { return nil }
func (nobody) Addr() net.Addr { return &net.TCPAddr{} }

const plain = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"

// answerOf reads one answer.
func answerOf(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAClientThatLeavesIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stays, within time.Duration }{"after long": {time.Hour, 0}, "at once": {0, lookAfter}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				left := make(chan time.Time)
				client := pipe(t, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.ReadAll(r.Body)
					<-r.Context().Done()
					left <- time.Now()
				})
				_, _ = io.WriteString(client, plain)
				time.Sleep(c.stays)
				begun := time.Now()
				_ = client.Close()
				if took := (<-left).Sub(begun); took > c.within {
					t.Errorf("noticed after %v", took)
				}
			})
		})
	}
}

// TestWhatComesMeanwhileIsNotLost sends the next request while an answer takes its
// time, so that its first byte comes to who looks for the client.
func TestWhatComesMeanwhileIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := pipe(t, func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			time.Sleep(time.Second)
			if r.Context().Err() != nil {
				t.Error("the client was taken for gone")
			}
			_, _ = w.Write(text)
		})
		defer c.Close()
		br := bufio.NewReader(c)
		for i := range 5 {
			go func() {
				if i == 0 {
					_, _ = io.WriteString(c, plain)
				}
				if i < 4 { // else it would still be served at the end
					time.Sleep(500 * time.Millisecond)
					_, _ = io.WriteString(c, plain)
				}
			}()
			if got := answerOf(t, br); got != "{}" {
				t.Errorf("answer %d: %q", i, got)
			}
		}
		_ = c.Close()
	})
}

// TestWhatComesMeanwhileGoesOver: where the next request is not plain, net/http
// gets all of it, also what came to who looks for the client.
func TestWhatComesMeanwhileGoesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := pipe(t, func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			time.Sleep(time.Second)
			_, _ = w.Write(text)
		})
		defer c.Close()
		go func() {
			_, _ = io.WriteString(c, plain+"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab")
			time.Sleep(500 * time.Millisecond)
			_, _ = io.WriteString(c, "cdef")
		}()
		br := bufio.NewReader(c)
		for _, want := range []string{"{}", "abcdef"} {
			if got := answerOf(t, br); got != want {
				t.Errorf("%q instead of %q", got, want)
			}
		}
	})
}

// TestDeadlinesEndWithTheirAnswer: an answer without a deadline is not bound by
// that of the one before.
func TestDeadlinesEndWithTheirAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bound := true
		c := pipe(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			rc := http.NewResponseController(w)
			if bound {
				if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.SetReadDeadline(time.Now().Add(time.Minute))); err != nil {
					t.Error(err)
				}
				bound = false
			}
			time.Sleep(90 * time.Second * time.Duration(r.ContentLength-2))
			_, _ = io.WriteString(w, "here")
		})
		defer c.Close()
		br := bufio.NewReader(c)
		for range 3 {
			go func() { _, _ = io.WriteString(c, plain) }()
			if got := answerOf(t, br); got != "here" {
				t.Errorf("%q", got)
			}
			time.Sleep(90 * time.Second)
		}
		go func() { _, _ = io.WriteString(c, strings.Replace(plain, "2\r\n\r\n{}", "4\r\n\r\n{  }", 1)) }()
		if got := answerOf(t, br); got != "here" {
			t.Errorf("%q", got)
		}
	})
}

func TestASilentClientIsLetGo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says  string
		after time.Duration
	}{"from the start": {"", 30 * time.Second}, "after an answer": {plain, 2 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := pipe(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
				br := bufio.NewReader(client)
				if c.says != "" {
					go func() { _, _ = io.WriteString(client, c.says) }()
					answerOf(t, br)
				}
				begun := time.Now()
				if _, err := br.Peek(1); err != io.EOF {
					t.Error(err)
				}
				if took := time.Since(begun); took > c.after || took < c.after-c.after/8 {
					t.Errorf("let go after %v", took)
				}
			})
		})
	}
}

// TestShutdownWaits: who is being answered hears all of it, who is idle is let
// go, and who comes later is not let in.
func TestShutdownWaits(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := &Server{Server: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		if r.URL.Path == "/slow" {
			close(begun)
			<-goOn
		}
		_, _ = io.WriteString(w, "here")
	})}}
	addr := serving(t, s.Serve, s.Close)
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, bufio.NewReader(c)
	}
	resting, restingReader := dial()
	_, _ = io.WriteString(resting, plain)
	answerOf(t, restingReader)
	slow, slowReader := dial()
	_, _ = io.WriteString(slow, strings.Replace(plain, "/ ", "/slow ", 1))
	<-begun
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	if _, err := restingReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle one: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if c, err := net.Dial("tcp", addr); err == nil { // the listener may just be closing
		_, _ = io.WriteString(c, plain)
		if text, _ := io.ReadAll(c); len(text) > 0 {
			t.Errorf("let in: %q", text)
		}
		_ = c.Close()
	}
	close(goOn)
	res, err := http.ReadResponse(slowReader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); string(text) != "here" || err != nil || !res.Close {
		t.Errorf("%q %v, closing: %v", text, err, res.Close)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}), make(chan struct{})
	s := &Server{Server: &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		close(begun)
		<-r.Context().Done()
		close(left)
	})}}
	addr := serving(t, s.Serve, s.Close)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, plain)
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-left
}

// TestABugIsLogged as net/http logs it.
func TestABugIsLogged(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	s := &Server{Server: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }), ErrorLog: log.New(&said, "", 0)}}
	addr := serving(t, s.Serve, s.Close)
	heard(t, addr, plain)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if got := said.String(); !strings.HasPrefix(got, "http: panic serving 127.0.0.1:") || !strings.Contains(got, "a bug") || !strings.Contains(got, "serve_test.go") {
		t.Errorf("%q", got)
	}
}

// TestManyClientsAtOnce has both ways of serving under way, with clients that
// stop in the middle.
func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	s := &Server{Server: &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err == nil {
			_, _ = w.Write(text)
		}
	})}}
	addr := serving(t, s.Serve, s.Close)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 40 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				br := bufio.NewReader(c)
				for j := range 5 {
					text := fmt.Sprint(i, " ", n, " ", j)
					head := "POST / HTTP/1.1\r\nHost: a\r\n"
					if (i+n+j)%7 == 0 {
						head += "Expect: nothing\r\n"
					}
					if (i+n)%5 == 0 && j == 4 {
						_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(text)+1, text)
						break // and leaves
					}
					_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(text), text)
					res, err := http.ReadResponse(br, nil)
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(res.Body)
					if res.StatusCode == http.StatusExpectationFailed {
						break
					}
					if err != nil || string(got) != text {
						t.Errorf("%q instead of %q: %v", got, text, err)
					}
				}
				_ = c.Close()
			}
		})
	}
	all.Wait()
}

package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The tests below are of what httputil.ReverseProxy promises and the relay does
// as well; others are in proxy_test.go: credentials and Connection-named fields
// (TestClientsCredentialsStay...), flushing (TestStreamsPassAtOnce), cut answers
// (TestACutStreamIsABrokenConnection), trailers (TestPassedAsItCame), upgrades
// (TestWebSocket) and 100-continue (TestExpectContinue).

// raw sends a request as it is written and reads what comes until the proxy
// closes the connection.
func (r *rig) raw(request string) string {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	answer, _ := io.ReadAll(c)
	return string(answer)
}

func TestHopByHopFieldsStayOnTheirHop(t *testing.T) {
	t.Parallel()
	var seen http.Header
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		c, _, err := w.(http.Hijacker).Hijack() // net/http would write a Connection of its own
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: X-Up\r\nConnection: keep-alive, X-Up-2\r\nX-Up: 1\r\nX-Up-2: 1\r\nKeep-Alive: 1\r\n"+
			"Proxy-Authenticate: 1\r\nProxy-Connection: 1\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok")
		_ = c.Close()
	})
	answer := r.raw("GET /svc/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: X-Down, close\r\nConnection: X-Down-2\r\nX-Down: 1\r\nX-Down-2: 1\r\nKeep-Alive: timeout=5\r\n" +
		"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTe: gzip, trailers\r\nUpgrade: other\r\nX-Stays: 1\r\n\r\n")
	for _, name := range []string{"Connection", "X-Down", "X-Down-2", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade"} {
		if seen[name] != nil {
			t.Errorf("upstream saw %s: %q", name, seen[name])
		}
	}
	if seen.Get("X-Stays") != "1" || !slices.Equal(seen["Te"], []string{"trailers"}) {
		t.Errorf("upstream saw %v", seen)
	}
	for _, name := range []string{"X-Up:", "X-Up-2:", "Keep-Alive:", "Proxy-Authenticate:", "Proxy-Connection:"} {
		if strings.Contains(answer, "\r\n"+name) {
			t.Errorf("the client saw %s\n%s", name, answer)
		}
	}
	if !strings.Contains(answer, "\r\nX-Stays: 1\r\n") {
		t.Errorf("%s", answer)
	}
}

// Where a client comes from is no provider's business, and what it says of that
// would be believed: nothing of it goes up, and the proxy adds nothing of its own.
func TestForwardedFieldsStayHere(t *testing.T) {
	t.Parallel()
	var seen http.Header
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	for _, said := range [][]string{nil, {"X-Forwarded-For", "203.0.113.9"}} {
		r.ask("GET", "/svc/v1/x", "", said...)
		if seen["X-Forwarded-For"] != nil || seen["Forwarded"] != nil || seen["Via"] != nil {
			t.Errorf("client said %q: %v", said, seen)
		}
	}
}

// Interim answers are not the answer, and none of the client's business: the
// key they came by may yet be rejected.
func TestInterimAnswersAreNotTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		if key(r) == "k1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "ok")
	})
	answer := r.raw("GET /svc/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") || !strings.HasSuffix(answer, "ok") || strings.Contains(answer, "Link:") {
		t.Errorf("%s", answer)
	}
}

// A query that net/url would not take passes byte for byte, for the upstream
// reads it, not the proxy. It cannot hide a token.
func TestQueriesPassAsTheyAre(t *testing.T) {
	t.Parallel()
	var seen string
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) { seen = r.URL.RawQuery })
	for query, want := range map[string]string{"a=1;b=2": "a=1;b=2", "a=%zz&b": "a=%zz&b", "a=1&&&b=": "a=1&&&b=", "a=%zz&ke%79=client-token": "a=%zz"} {
		r.raw("GET /svc/v1/x?" + query + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		if seen != want {
			t.Errorf("%q became %q, want %q", query, seen, want)
		}
	}
}

// A body that upstream cuts ends in a broken connection, whether its length was
// said or not.
func TestCutBodiesBreakTheConnection(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"} {
		r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n%s\r\n4\r\nhalf\r\n", head)
			_ = c.Close()
		})
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /svc/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = io.ReadAll(res.Body)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", head, err)
		}
		_ = c.Close()
	}
}

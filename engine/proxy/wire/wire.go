// Package wire sends requests upstream, as a short http.RoundTripper before an
// http.Transport.
//
// http.Transport reads and writes every connection in two goroutines of its
// own. Handing each request over to them, and its answer back, is most of what
// a small request costs. Here nothing is handed over: the caller writes its
// request, waits for the answer, and reads it. Over HTTP/2, where requests share
// a connection, what many have to say goes up in one write. What wire cannot do,
// the http.Transport does: proxies, upgrades, bodies of unknown length.
//
// [Server] does the same for clients: plain requests are served on their
// connection's goroutine, before an http.Server that serves all others.
//
// The heads of plain requests and answers are read here, all others by net/http;
// tests hold that both read alike.
package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Transport is an http.RoundTripper. Make it with [New].
//
// It does not tell of connections and interim answers by net/http/httptrace.
type Transport struct {
	// base says how connections are made and bounds them, and sends what wire
	// does not.
	base *http.Transport
	// trust is base's TLS config as it was before base changed it for itself.
	trust *tls.Config
	// What base bounds, without its "0 is no bound".
	perHost, all        int   // idle connections
	maxHead             int64 // of an answer, in bytes
	idleTime, handshake time.Duration

	mu      sync.Mutex
	hosts   map[host]*pool
	idle    int         // connections in all pools
	sweeper *time.Timer // runs while there are any
}

// host is where connections lead.
type host struct{ scheme, addr string }

// pool is what is known of a host.
type pool struct {
	idle []*conn // the one used last at the end
	// shared are the connections of a host that speaks HTTP/2, plain is whether it
	// speaks HTTP/1.1 where it could have that; finding finds out.
	shared  []*mux
	plain   bool
	finding *finding
}

// line is what a request goes over: a connection of its own, or a place on one.
type line interface {
	wasUsed() bool
	exchange(req *http.Request, body io.ReadCloser) (*http.Response, lost, error)
}

// New makes a Transport that connects as base does. base must not be changed
// afterwards.
func New(base *http.Transport) *Transport {
	trust := base.TLSClientConfig.Clone()
	if trust == nil {
		trust = &tls.Config{}
	}
	return &Transport{base: base, trust: trust, hosts: map[host]*pool{},
		perHost:  cmp.Or(base.MaxIdleConnsPerHost, http.DefaultMaxIdleConnsPerHost),
		all:      cmp.Or(base.MaxIdleConns, 1<<20),
		maxHead:  cmp.Or(base.MaxResponseHeaderBytes, 10<<20),
		idleTime: cmp.Or(base.IdleConnTimeout, 90*time.Second), handshake: cmp.Or(base.TLSHandshakeTimeout, 10*time.Second)}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !simple(req) {
		return t.base.RoundTrip(req)
	}
	if t.base.Proxy != nil {
		if through, err := t.base.Proxy(req); through != nil || err != nil {
			return t.base.RoundTrip(req)
		}
	}
	return t.send(req, host{req.URL.Scheme, req.URL.Host})
}

// simple reports whether a request is one that wire can send: a body of known
// length or none, and a connection that stays HTTP.
func simple(r *http.Request) bool {
	u := r.URL
	return u != nil && (u.Scheme == "http" || u.Scheme == "https") && u.Opaque == "" && plainHost(u.Host) && (r.Host == "" || plainHost(r.Host)) &&
		r.Method != http.MethodConnect && (r.Body == nil || r.Body == http.NoBody) == (r.ContentLength == 0) && r.ContentLength >= 0 &&
		len(r.TransferEncoding) == 0 && r.Trailer == nil && !r.Close && r.Header != nil &&
		r.Header["Connection"] == nil && r.Header["Upgrade"] == nil && r.Header["Expect"] == nil
}

// plainHost reports whether a host is written as it goes into a head.
func plainHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '.' && c != '-' && c != ':' && c != '[' && c != ']' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}

const (
	// mostShared is how often a request is sent on connections that are shared: the
	// next one may have been used, too, and be no better. mostRefused is how often
	// where the host did not look at it.
	mostShared, mostRefused = 3, 6
	// breather is up to how long who was refused twice waits; each time after that
	// it is twice as much. All whom a host turns away at once would else meet again
	// on its next connection, and be too many there.
	breather = 40 * time.Millisecond
)

// send sends the request, and again when a connection that had been used before
// turns out to be of no use, or the host does not even look at it.
func (t *Transport) send(req *http.Request, h host) (*http.Response, error) {
	body := req.Body
	for tries := 0; ; {
		c, err := t.take(req.Context(), h)
		if err != nil {
			closeBody(body)
			return nil, err
		}
		used := c.wasUsed()
		res, lost, err := c.exchange(req, body)
		if err == nil {
			return res, nil
		}
		if cause := context.Cause(req.Context()); cause != nil {
			return nil, cause
		}
		if _, shared := c.(*mux); shared {
			tries++
			used = tries < mostShared && used || tries < mostRefused && lost == refused
		}
		if !used || !again(req, lost) {
			return nil, err
		}
		if tries > 1 && lost == refused {
			select {
			case <-time.After(rand.N(breather << (tries - 2))):
			case <-req.Context().Done():
				return nil, context.Cause(req.Context())
			}
		}
		if body != nil && body != http.NoBody {
			if body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// lost is how far a request came that got no answer.
type lost uint8

const (
	part    lost = iota // a part of an answer came, or the fault is not the connection's
	nothing             // no byte of an answer
	unsent              // not even the request went out
	refused             // it went out, and the host did not look at it
)

// again reports whether a lost request may be sent again, by the rules of
// http.Transport: nothing of it was sent, or the host hung up and asking twice
// is as good as once.
func again(req *http.Request, l lost) bool {
	if l == part || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	if l == unsent || l == refused {
		return true
	}
	return req.Method == "" || slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, req.Method) ||
		req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}

func closeBody(b io.Closer) {
	if b != nil {
		_ = b.Close()
	}
}

var (
	errHeadTooLarge = errors.New("the head of the answer is too large")
	errUpgraded     = errors.New("the host changed the protocol, which nobody asked for")
	errReadClosed   = errors.New("the body of the answer is closed")
)

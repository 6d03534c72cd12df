package proxy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/proxy/wire"
)

// maxErrorBody is how much of an error's body is read, judged and redacted.
const maxErrorBody = 64 << 10

// Timeouts bound what an upstream may take.
type Timeouts struct {
	// Header is from the request's last byte to the answer's head.
	Header time.Duration
	// Idle is the longest silence within a body, either way.
	Idle time.Duration
}

// Transport is an http.RoundTripper that sends each request with a key of a
// service, and again with the next key when one is rejected: the caller sees
// only the answer that counts. Whatever credentials a request bears are taken
// out. Its URL's path is mapped as the proxy maps what follows a service's
// name; host and scheme are the key's.
//
// When no key can serve, RoundTrip returns an *engine.NoKeyError.
type Transport struct {
	Engine *engine.Engine
	// Service is whose keys serve.
	Service string
	// Base sends; nil is [NewBase] with its defaults.
	Base http.RoundTripper
	Timeouts
	// MaxReplay bounds the bodies that are kept to be sent again, in bytes;
	// 0 is 64 MiB.
	MaxReplay int64

	once   sync.Once
	sender *sender
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.once.Do(func() {
		base := t.Base
		if base == nil {
			plain, _ := NewBase(BaseOptions{Header: t.Timeouts.orDefault().Header})
			base = wire.New(plain)
		}
		t.sender = &sender{engine: t.Engine, base: base, timeouts: t.Timeouts.orDefault(), prices: []provider.Prices{provider.Builtin}}
	})
	limit := t.MaxReplay
	if limit == 0 {
		limit = 64 << 20
	}
	total := &budget{}
	total.left.Store(limit)
	length := req.ContentLength
	if req.Body != nil && length == 0 {
		length = -1
	}
	kept, err := keep(req.Body, length, limit, total)
	switch {
	case req.Body == nil:
	case err == nil && kept.rest != nil:
		kept.source = req.Body // closed when it has gone up
	default:
		_ = req.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	path := req.URL.EscapedPath()
	o := &outgoing{method: req.Method, path: path, query: provider.StripQuery(req.URL.RawQuery), header: req.Header.Clone(), body: kept, trailer: req.Trailer}
	r := &engine.Request{ID: requestID(), Service: t.Service, Method: req.Method, Path: path}
	r.Scope, r.Repeatable = provider.Describe(req.Method, path)
	if need := t.Engine.Need(t.Service); need != "" {
		r.Scope = provider.Label(r.Scope, need)
	}
	says := topOf(path, kept)
	r.Model, o.unkept = says.model, says.unkept
	if p, ok := provider.Lookup(t.Engine.Kind(t.Service)); ok {
		names(r, p, o.query, says, kept)
	}
	res, err := t.sender.send(req.Context(), r, o)
	kept.drop()
	if res != nil {
		res.Request = req
	}
	return res, err
}

func (t Timeouts) orDefault() Timeouts {
	if t.Header == 0 {
		t.Header = 10 * time.Minute
	}
	if t.Idle == 0 {
		t.Idle = 5 * time.Minute
	}
	return t
}

// outgoing is a request as it goes upstream, but for what depends on the key.
type outgoing struct {
	method string
	path   string // percent-encoded, as the client sent it behind the service
	query  string
	// header is without hop-by-hop headers. The first attempt takes it as it
	// is; the others copy it, for the first may still be on its way.
	header http.Header
	// extra are the headers that the service adds to every request.
	extra map[string]string
	// place is where the client had its token; auth is the header that the last
	// attempt's key went into, "" before the first.
	place, auth string
	key         string // the last attempt's, by name
	body        *body
	// added counts the time since the request arrived; nil does not.
	added   *added
	arrived time.Time
	// unkept is set where the client asked that what is made is not stored.
	unkept bool
	// outlives is whether it goes on when its client leaves; end then ends it.
	outlives bool
	end      context.CancelFunc
	// trailer is filled when the client's body has been read.
	trailer http.Header
	url     url.URL // of the first attempt
}

// sender sends requests with the keys the engine chooses.
type sender struct {
	engine   *engine.Engine
	base     http.RoundTripper
	ways     *ways // of keys with a way out of their own; nil is none
	options  *Options
	timeouts Timeouts
	prices   []provider.Prices
	bound    func()   // see [Options.Bound]
	targets  sync.Map // *engine.Key -> *target
}

// target is what a key's configuration says of where its requests go.
type target struct {
	url      *url.URL
	provider *provider.Provider
	redactor *redactor
	name     []string // the key's, as the value of a header
}

func (s *sender) target(k *engine.Key) (*target, error) {
	if t, ok := s.targets.Load(k); ok {
		return t.(*target), nil
	}
	t, err := targetOf(k)
	if err == nil {
		s.targets.Store(k, t)
	}
	return t, err
}

func targetOf(k *engine.Key) (*target, error) {
	u, err := url.Parse(k.BaseURL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("key %s has no usable base URL", k.Name)
	}
	p, ok := provider.Lookup(k.Kind)
	if !ok {
		p, _ = provider.Lookup("generic")
	}
	return &target{u, p, newRedactor(k), []string{k.Name}}, nil
}

// TooLargeError says that a key was rejected and the request's body was too
// large to be kept for another: the client may send it again.
type TooLargeError struct{ Key string }

func (err *TooLargeError) Error() string {
	return fmt.Sprintf("key %s was rejected, and the body is too large to be sent again from here: send it again (`max_replay` is the bound)", err.Key)
}

// LostError says that upstream gave no answer.
type LostError struct{ Provider, What string }

func (err *LostError) Error() string {
	return fmt.Sprintf("%s gave no answer: %s", err.Provider, err.What)
}

// send sends the request with one key after the other until an answer counts.
// Closing that answer's body settles its lease.
func (s *sender) send(ctx context.Context, r *engine.Request, o *outgoing) (*http.Response, error) {
	r.Once = !o.body.repeatable()
	sending := ctx
	if o.outlives {
		sending, o.end = outlive(ctx)
	}
	for {
		lease, err := s.engine.Acquire(ctx, r)
		again := false
		var res *http.Response
		if err == nil {
			res, again, err = s.attempt(sending, r, o, lease)
		}
		if err != nil && o.end != nil {
			o.end()
		}
		if !again {
			return res, err
		}
	}
}

// attempt sends the request with one key. again asks for another: then there is
// neither an answer nor an error.
func (s *sender) attempt(ctx context.Context, r *engine.Request, o *outgoing, lease *engine.Lease) (res *http.Response, again bool, err error) {
	key := lease.Key()
	o.key = key.Name
	if o.added != nil && r.Attempts() == 1 {
		o.added.observe(lease.At().Sub(o.arrived))
	}
	t, err := s.target(key)
	if err != nil {
		if lease.Judge(provider.Lost(o.method, r.Path, err.Error())) {
			return nil, true, nil
		}
		lease.Close(engine.Usage{}, err)
		return nil, false, err
	}
	res, err = s.transport(key).RoundTrip(o.request(ctx, t, key))
	if err != nil {
		return s.lost(ctx, r, lease, err)
	}
	t.redactor.header(res.Header)
	t.redactor.header(res.Trailer) // what is announced
	a := &answerBody{ReadCloser: res.Body, lease: lease, parent: ctx, idle: s.timeouts.Idle, end: o.end, answer: res, redactor: t.redactor}
	answer := provider.Answer{Method: o.method, Path: r.Path, Model: r.Model, Status: res.StatusCode, Header: res.Header}
	v := engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: res.StatusCode}}
	switch {
	case res.StatusCode >= 400:
		answer.Body, answer.Whole = readError(res, t.redactor), true
		a.ReadCloser = res.Body
		v = t.provider.Judge(answer)
	case res.StatusCode == http.StatusNotModified:
		v.Free = t.provider.FreeUnchanged
	case res.StatusCode >= 200 && res.StatusCode < 300 && o.method != http.MethodHead:
		if a.form = formOf(res.Header); a.form == stream {
			res = a.apart(res)
		}
		if v = a.open(t.provider, answer, res); v.Kind != engine.OK {
			v.Evidence.Message, v.Evidence.Code, v.Model = t.redactor.words(v.Evidence.Message), t.redactor.words(v.Evidence.Code), t.redactor.words(v.Model)
		}
		if a.broke != nil && r.Repeatable { // nobody has seen anything of it
			a.discard()
			if a.silent.Load() {
				a.broke = errSilent
			}
			return s.lost(ctx, r, lease, a.broke)
		}
	case res.StatusCode >= 300 && res.StatusCode != http.StatusNotModified:
		readError(res, t.redactor)
		a.ReadCloser = res.Body
	}
	v.Account = t.provider.AccountOf(res.Header)
	v.Told, v.ToldScope = t.provider.Limits(answer, nil), t.provider.LimitsOf()
	if lease.Judge(v) {
		a.discard()
		return nil, true, nil
	}
	if r.Once && rejects(v.Kind) {
		a.discard()
		lease.Close(engine.Usage{}, nil)
		return nil, false, &TooLargeError{key.Name}
	}
	if v.Kind == engine.OK && a.form != opaque {
		if a.form == stream || a.failed != io.EOF {
			a.tap = t.provider.Tap(answer)
		}
		a.model, a.prices = r.Model, s.prices
	}
	if v.Kind == engine.OK && res.StatusCode >= 200 && res.StatusCode < 300 && !o.unkept {
		a.learn = s.learn(r, t, lease, res)
	}
	res.Body = a
	if rw, ok := a.ReadCloser.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		a.err = io.EOF
		res.Body = &upgraded{rw, a}
	}
	res.Header["X-Keywheel-Key"] = t.name[:1:1]
	res.Header["X-Keywheel-Attempts"] = attempts(r.Attempts())
	res.Header["X-Keywheel-Request"] = []string{r.ID}
	return res, false, nil
}

// rejects reports whether a verdict is a key's affair, not the client's.
func rejects(k engine.Kind) bool {
	return k == engine.RateLimited || k == engine.QuotaExhausted || k == engine.InvalidKey
}

func (s *sender) transport(k *engine.Key) http.RoundTripper {
	if s.ways == nil || k.ProxyURL == "" && k.CAFile == "" {
		return s.base
	}
	t, err := s.ways.to(s.options.way(k))
	if err != nil { // only if its file went since it was last read
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
	}
	return t
}

// lost judges an attempt that got no answer.
func (s *sender) lost(ctx context.Context, r *engine.Request, lease *engine.Lease, err error) (*http.Response, bool, error) {
	if ctx.Err() != nil {
		lease.Close(engine.Usage{}, engine.ErrClientLeft)
		return nil, false, ctx.Err()
	}
	if err := unsent(err); err != nil {
		lease.Close(engine.Usage{}, err)
		return nil, false, err
	}
	what := lostWords(err)
	if lease.Judge(provider.Lost(r.Method, r.Path, what)) {
		return nil, true, nil
	}
	lost := &LostError{lease.Key().Provider, what}
	lease.Close(engine.Usage{}, lost)
	return nil, false, lost
}

// unsent is the error of a request for which this machine had nothing left to
// send it by; nil is of any other. Names are looked up by sockets too, and their
// errors keep only the words.
func unsent(err error) error {
	for _, e := range [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return fmt.Errorf("%w: %s", engine.ErrNotSent, e.Error())
		}
	}
	return nil
}

var errSilent = errors.New("silent for too long")

// lostWords says why there was no answer without saying anything of addresses
// that could bear a secret.
func lostWords(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	var elsewhere x509.HostnameError
	var stranger x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, errSilent):
		return errSilent.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "its name was not found"
	case errors.As(err, &dns):
		return "its name could not be looked up"
	case errors.Is(err, errRefusing), errors.Is(err, wire.ErrRefused), errors.Is(err, context.Canceled): // by bodyless
		return errRefusing.Error()
	case errors.As(err, &stranger):
		return "its certificate is not trusted (ca_file says who vouches for it)"
	case errors.As(err, &elsewhere):
		return "its certificate is another host's"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the proxy at proxy_url could not be reached"
	case errors.Is(err, wire.ErrBrokenOff):
		return "it broke the request off"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &op) && op.Op == "dial":
		return "could not connect"
	case errors.As(err, &timeout) && timeout.Timeout():
		return errSilent.Error()
	case strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: "):
		return "TLS failed"
	case strings.Contains(err.Error(), "GOAWAY"):
		return "connection closed"
	default:
		return "not a proper answer"
	}
}

// request builds the request for one key.
func (o *outgoing) request(ctx context.Context, t *target, k *engine.Key) *http.Request {
	u := &o.url
	if o.auth != "" { // the attempt before may still look at its own
		u = new(url.URL)
	}
	*u = *t.url
	u.RawPath = t.provider.Target(t.url.Path, o.path)
	u.Path = u.RawPath
	if strings.IndexByte(u.RawPath, '%') >= 0 {
		if p, err := url.PathUnescape(u.RawPath); err == nil {
			u.Path = p
		}
	} else {
		u.RawPath = ""
	}
	u.RawQuery = o.query
	h := o.header
	if o.auth == "" {
		o.place = t.provider.Strip(h)
		for name, value := range o.extra {
			h[http.CanonicalHeaderKey(name)] = []string{value}
		}
		if h["User-Agent"] == nil {
			h["User-Agent"] = noUserAgent // net/http would add its own
		}
	} else {
		h = maps.Clone(h)
		delete(h, o.auth)
		o.header = h
	}
	o.auth = t.provider.Authorize(h, k, o.place)
	req := (&http.Request{Method: o.method, URL: u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
		ContentLength: o.body.length, Trailer: o.trailer}).WithContext(ctx)
	if req.Body = o.body.open(); req.Body == nil {
		if u.Scheme == "https" {
			return bodyless(ctx, req)
		}
		return req
	}
	if o.trailer != nil {
		req.ContentLength = -1
	}
	if o.body.repeatable() {
		// net/http itself repeats a request whose connection broke before
		// anything was sent.
		o.body.begun, o.body.agains = time.Now(), 0
		req.GetBody = o.body.again
	}
	return req
}

var noUserAgent = []string{""}

// errorTime is how long an error's body may take: what counts is mostly in its
// head, and the next key waits.
const errorTime = time.Second

// readError reads the start of a body that is none of a success, decodes it, and
// takes the key out of it, so that it can be judged and shown. What is longer, or
// late, is cut.
func readError(res *http.Response, r *redactor) []byte {
	body := res.Body
	late := time.AfterFunc(errorTime, func() { _ = body.Close() })
	raw, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	late.Stop()
	_ = body.Close()
	r.header(res.Trailer)
	text, decoded, whole := decode(raw, strings.Join(res.Header["Content-Encoding"], ","))
	if decoded {
		delete(res.Header, "Content-Encoding")
	}
	text = r.text(text, err != nil || !whole || len(raw) == maxErrorBody)
	shown := text
	if err != nil && len(text) == 0 {
		shown = []byte(`{"error":{"message":"the provider's error could not be read","type":"upstream_error"}}`)
	}
	res.Body = io.NopCloser(bytes.NewReader(shown))
	res.ContentLength = int64(len(shown))
	res.TransferEncoding = nil
	if res.Request == nil || res.Request.Method != http.MethodHead {
		res.Header["Content-Length"] = []string{strconv.Itoa(len(shown))}
	}
	return text
}

// gzipped is how what gzip made begins.
var gzipped = []byte("\x1f\x8b\x08")

// decode undoes a content encoding. A body that cannot be read could hide a
// key, so it is dropped. whole is false where it stops in the middle.
func decode(raw []byte, encoding string) (text []byte, decoded, whole bool) {
	var r io.Reader
	var err error
	encoding = strings.ToLower(strings.TrimSpace(encoding))
	if (encoding == "" || encoding == "identity") && bytes.HasPrefix(raw, gzipped) {
		encoding = "gzip" // which is not said, but seen
	}
	switch encoding {
	case "", "identity":
		return raw, false, true
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(raw))
	default:
		return nil, true, true
	}
	if err != nil {
		return nil, true, true
	}
	text, err = io.ReadAll(io.LimitReader(r, maxErrorBody))
	return text, true, err == nil && len(text) < maxErrorBody
}

// Package proxy is the local proxy: one http.Handler that clients point their
// base URL at (door, relay) over one http.RoundTripper that sends each request
// with a key of its service and again with the next when one is rejected
// (rotation).
package proxy

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/proxy/wire"
)

// Options are what a [Proxy] needs beside its engine.
type Options struct {
	Services []engine.Service
	Keys     []engine.Key
	// AllowHosts are names beyond loopback that clients may call the proxy by;
	// CORSOrigins are web origins that may use it.
	AllowHosts, CORSOrigins []string
	Timeouts
	Dial time.Duration
	// MaxReplay bounds one kept body, MaxReplayTotal all of them together, in
	// bytes; 0 is 64 MiB and 1 GiB.
	MaxReplay, MaxReplayTotal int64
	// Prices are what models cost, the first that knows a model decides; the
	// built-in table comes last.
	Prices []provider.Prices
	// Bound is called when an answer has told of something made upstream, after
	// [engine.Lease.Bind] and before the client has it: it may wait a moment.
	// nil is nobody.
	Bound func()
	// Log is told of requests refused at the door; nil is nobody. It must not
	// block.
	Log func(Refused)
}

// Refused is a request that was turned away at the door.
type Refused struct {
	From, Method, Path, Why string
	Status                  int
}

// Proxy is the handler of the listener. Make it with [New].
type Proxy struct {
	engine   *engine.Engine
	table    atomic.Pointer[table]
	ways     ways
	budget   budget
	draining atomic.Bool
	refused  atomic.Int64
	started  time.Time
}

// New makes the proxy of an engine.
func New(e *engine.Engine, o Options) (*Proxy, error) {
	p := &Proxy{engine: e, started: time.Now()}
	use, err := p.Prepare(o)
	if err != nil {
		return nil, err
	}
	use()
	return p, nil
}

// Drain makes the proxy refuse new requests; those under way finish.
func (p *Proxy) Drain() { p.draining.Store(true) }

// Close closes the connections to upstream that nothing is under way on. It is
// for when the proxy is drained.
func (p *Proxy) Close() { p.ways.close() }

// Server is a server for the proxy, with the bounds that keep a bad client from
// taking more than its share. The caller sets its ErrorLog and serves it.
func (p *Proxy) Server() *wire.Server {
	return &wire.Server{Server: &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10,
	}}
}

// visit is one client request on its way in.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	table   *table        // in force when it came
	at      time.Duration // of its arrival, from the proxy's start on
	id      string
	service *served
	path    string // percent-encoded, behind the service's name
	query   string
	body    *body
	top     top
	pathTok string // a token that came in the path
	// What pass makes of it, here so that all of a request is made at once.
	request  engine.Request
	outgoing outgoing
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{w: w, r: r, table: p.table.Load(), at: time.Since(p.started), id: requestID(), query: r.URL.RawQuery}
	defer func() { // also when a broken stream panics
		if v.body != nil {
			v.body.drop()
		}
	}()
	if ref := p.enter(v); ref != nil {
		p.turnAway(v, ref)
		return
	}
	if v.service == nil {
		return // answered by the door itself
	}
	p.pass(v)
}

// sign tells on an answer of keywheel itself which request it is to, with how
// many keys that was tried, and the last of them, "" if none.
func (v *visit) sign(attempted int, key string) {
	h := v.w.Header()
	h["X-Keywheel-Request"] = []string{v.id}
	h["X-Keywheel-Attempts"] = attempts(attempted)
	if key != "" {
		h["X-Keywheel-Key"] = []string{key}
	}
}

// enter decides whether and as what a request comes in. It leaves the service
// nil when it has answered itself.
func (p *Proxy) enter(v *visit) *refusal {
	r := v.r
	switch {
	case p.draining.Load():
		v.w.Header().Set("Connection", "close")
		return &refusal{status: http.StatusServiceUnavailable, kind: "api_error", code: "keywheel_draining", message: "keywheel is shutting down: it takes no new requests", retry: 5}
	case r.Method == http.MethodConnect, r.URL.Host != "":
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "keywheel_not_a_forward_proxy",
			message: "keywheel is not a forward proxy: use it as the base URL, not as HTTP_PROXY", final: true}
	}
	if ref := p.hostAndOrigin(v); ref != nil || v.r == nil {
		return ref
	}
	path := r.URL.EscapedPath()
	if path == "/healthz" {
		v.sign(0, "")
		p.healthz(v.w)
		return nil
	}
	if misleading(r.URL.Path) {
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "keywheel_bad_path", message: "the path has a . or .. segment, or characters that no path has", final: true}
	}
	if rest, ok := strings.CutPrefix(path, "/t/"); ok {
		v.pathTok, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	name, _, _ := strings.Cut(path[1:], "/")
	if s := v.table.services[name]; s != nil {
		v.service, v.path = s, cmp.Or(path[1+len(name):], "/")
	} else if ref := p.root(v, path); ref != nil || v.service == nil {
		return ref
	}
	if ref := p.admit(v); ref != nil {
		return ref
	}
	if v.body == nil {
		return p.readBody(v)
	}
	return nil
}

// root finds the service of a request that names none in its path: by the
// client's token, else by the model in the body.
func (p *Proxy) root(v *visit, path string) *refusal {
	tokens := v.tokens()
	for _, name := range v.table.names {
		s := v.table.services[name]
		if !s.Token.Empty() && holds(tokens, s) {
			v.service, v.path = s, path
			break
		}
	}
	if path == "/v1/models" && v.r.Method == http.MethodGet && v.service == nil {
		v.sign(0, "")
		p.models(v)
		return nil
	}
	if v.service != nil {
		return nil
	}
	if !strings.HasPrefix(path, "/v") {
		return v.table.noService(path)
	}
	if ref := p.readBody(v); ref != nil {
		return ref
	}
	if s := v.table.ofModel(v.top.model); s != nil {
		v.service, v.path = s, path
		return nil
	}
	if v.top.model == "" {
		return v.table.noService(path)
	}
	return &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", final: true,
		message: fmt.Sprintf("no service serves the model %q here. %s", provider.Clean(v.top.model, 100), v.table.listing())}
}

// readBody keeps the body and finds the model that the request is for.
func (p *Proxy) readBody(v *visit) *refusal {
	r := v.r
	var in io.ReadCloser = r.Body
	if r.ContentLength != 0 {
		in = &patient{r.Body, v.w, v.table.o.Idle}
	}
	kept, err := keep(in, r.ContentLength, v.table.o.MaxReplay, &p.budget)
	if err != nil {
		v.w.Header().Set("Connection", "close")
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "keywheel_body_cut", message: "the request's body ended early"}
	}
	v.body = kept
	v.top = topOf(r.URL.Path, kept)
	return nil
}

// patient reads a client's body as long as something comes.
type patient struct {
	io.ReadCloser
	w    http.ResponseWriter
	idle time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if d, ok := p.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(time.Now().Add(p.idle))
	}
	n, err := p.ReadCloser.Read(b)
	if err == io.EOF { // else the connection is of no more use
		if d, ok := p.w.(interface{ SetReadDeadline(time.Time) error }); ok {
			_ = d.SetReadDeadline(time.Time{})
		}
	}
	return n, err
}

// listPatience is how long a list of models may wait for a key: clients ask for
// it as they start, and give up after five seconds.
const listPatience = 2 * time.Second

// pass sends the request upstream and its answer back.
func (p *Proxy) pass(v *visit) {
	hide := v.asksUsage()
	v.rewrite(hide)
	r, s := v.r, v.service
	er, o := &v.request, &v.outgoing
	*er = engine.Request{ID: v.id, Service: s.Name, Method: r.Method, Path: s.shown(v.path), Model: v.top.model}
	er.Scope, er.Repeatable = provider.Describe(r.Method, v.path)
	if s.need != "" {
		er.Scope = provider.Label(er.Scope, s.need)
	}
	if s.Strategy == engine.Affinity {
		er.Conversation = conversationOf(r.Header, v.body)
	}
	if r.Method == http.MethodGet && strings.HasSuffix(v.path, "/models") {
		er.Patience = listPatience
	}
	er.InputTokens, er.MaxOutput = v.top.inputTokens(v.body.size), v.top.maxOutput
	names(er, s.provider, v.query, v.top, v.body)
	*o = outgoing{unkept: v.top.unkept, method: r.Method, path: v.path, query: provider.StripQuery(v.query), header: make(http.Header, len(r.Header)+1), extra: s.Headers, body: v.body,
		arrived: p.started.Add(v.at), added: s.added}
	for name, values := range r.Header {
		if !steers(name) {
			o.header[name] = values
		}
	}
	if isWebSocket(r) {
		p.upgrade(v, er, o)
		return
	}
	dropHopByHop(o.header)
	if te := r.Header.Get("Te"); strings.Contains(te, "trailers") {
		o.header["Te"] = []string{"trailers"}
	}
	decodable(o.header)
	if s.provider.Learns(er.Method, er.Path, er.Repeatable) && o.header["Accept-Encoding"] != nil {
		o.header["Accept-Encoding"] = identity
	}
	o.outlives = creates(er)
	if len(r.Trailer) > 0 {
		o.trailer = r.Trailer
	}
	res, err := v.table.sender.send(r.Context(), er, o)
	if err != nil {
		if !gone(r.Context()) {
			v.sign(er.Attempts(), o.key)
			refusalOf(err).write(v.w, dialectOf(v.path, s.provider))
		}
		return
	}
	v.body.drop() // else it would be kept as long as a stream is open
	v.body = nil
	v.redirectHere(res)
	if hide && res.StatusCode == http.StatusOK && formOf(res.Header) == stream {
		res.Body = &usageHider{ReadCloser: res.Body}
	}
	if !relay(v.w, res, v.table.o.Idle) {
		// The connection breaks, so that nobody takes half an answer for whole.
		panic(http.ErrAbortHandler)
	}
}

// identity asks for an answer as it is, so that it can be read as it passes.
var identity = []string{"identity"}

// decodable leaves of Accept-Encoding what keywheel can decode, so that an
// error's body can be read and redacted.
func decodable(h http.Header) {
	all := h["Accept-Encoding"]
	if all == nil {
		return
	}
	var keep []string
	for part := range strings.SplitSeq(strings.Join(all, ","), ",") {
		switch name, _, _ := strings.Cut(strings.TrimSpace(part), ";"); strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "deflate", "identity":
			keep = append(keep, strings.TrimSpace(part))
		}
	}
	if len(keep) == 0 {
		keep = []string{"identity"}
	}
	h["Accept-Encoding"] = []string{strings.Join(keep, ", ")}
}

// upgrade passes a WebSocket through with the key set.
func (p *Proxy) upgrade(v *visit, er *engine.Request, o *outgoing) {
	var answer io.Closer
	defer func() { // an upgrade that does not come about leaves it open
		if answer != nil {
			_ = answer.Close()
		}
	}()
	(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			// Only the upgrade itself is needed: the sender makes the rest.
			pr.Out.URL = &url.URL{Scheme: "http", Host: "upstream"}
		},
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			o.header["Connection"], o.header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
			res, err := v.table.sender.send(req.Context(), er, o)
			if err == nil {
				answer = res.Body
				v.redirectHere(res)
				for name := range res.Header {
					if ofOneKey(name) {
						delete(res.Header, name)
					}
				}
			}
			return res, err
		}),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			v.sign(er.Attempts(), o.key)
			refusalOf(err).write(w, dialectOf(v.path, v.service.provider))
		},
	}).ServeHTTP(v.w, v.r)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// pointers are the headers that hold absolute URLs of the upstream.
var pointers = []string{"Location", "Link", "X-Goog-Upload-Url"}

// redirectHere makes absolute URLs of the upstream point at the proxy: else the
// client would go there with its own token.
func (v *visit) redirectHere(res *http.Response) {
	h, ups := res.Header, v.service.upstream
	if !slices.ContainsFunc(pointers, func(name string) bool { return h[name] != nil }) {
		return
	}
	if res.Request != nil { // a key that is lent to the service may live elsewhere
		if up := res.Request.URL.Scheme + "://" + res.Request.URL.Host; !slices.Contains(ups, up) {
			ups = append(slices.Clip(ups), up)
		}
	}
	for _, name := range pointers {
		for i, value := range h[name] {
			scheme := "http://"
			if v.r.TLS != nil {
				scheme = "https://"
			}
			for _, up := range ups {
				value = strings.ReplaceAll(value, up+"/", scheme+v.r.Host+"/"+v.service.Name+"/~/")
			}
			h[name][i] = value
		}
	}
}

// requestID is short enough to read aloud and long enough for a day's traffic.
func requestID() string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [10]byte
	n := rand.Uint64()
	for i := range b {
		b[i] = digits[n&31]
		n >>= 5
	}
	return string(b[:])
}

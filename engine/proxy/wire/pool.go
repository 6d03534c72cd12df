package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// conn is a connection to a host: idle in its pool, or one exchange's.
type conn struct {
	t     *Transport
	host  host
	net   net.Conn
	tls   *tls.ConnectionState // nil without TLS
	br    *bufio.Reader
	limit int64 // how many more bytes may be read
	used  bool  // before this exchange
	since time.Time
	// begun is when the exchange began, writeBy until when it may write. brisk is
	// whether reads end early, so that whoever waits long is watched only then.
	begun, writeBy time.Time
	brisk          bool
	x              *exchange
	// raw is the socket, nil where the system has none; quiet tells, when it
	// last looked, whether it had neither ended nor brought anything.
	raw   syscall.RawConn
	look  func(fd uintptr) bool
	quiet bool
}

// wasUsed reports whether the connection had an exchange before.
func (c *conn) wasUsed() bool { return c.used }

// pool is the host's. The caller holds the lock.
func (t *Transport) pool(h host) *pool {
	p := t.hosts[h]
	if p == nil {
		p = &pool{}
		t.hosts[h] = p
	}
	return p
}

// take is a line to the host: a place on a connection that it shares, or the
// connection used last, else a new one. One of its own waits for what it sends,
// and reads no longer than for an answer's head.
func (t *Transport) take(ctx context.Context, h host) (line, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		t.mu.Lock()
		p := t.pool(h)
		for _, m := range p.shared {
			if m.book() {
				t.mu.Unlock()
				return m, nil
			}
		}
		if n := len(p.idle); n > 0 {
			c := p.idle[n-1]
			p.idle[n-1] = nil
			p.idle = p.idle[:n-1]
			t.idle--
			t.mu.Unlock()
			if c.begin(); c.alive() {
				return c, nil
			}
			_ = c.net.Close()
			continue
		}
		if h.scheme == "http" || p.plain {
			t.mu.Unlock()
			return t.dial(ctx, h)
		}
		c, err := t.find(ctx, h, p)
		if err != nil {
			return nil, err
		}
		if c != nil {
			c.begin()
			return c, nil
		}
	}
}

// finding is a connection to a host of which is not known what it speaks, or that
// shares its connections, while it is made. Whoever needs one waits for the same.
type finding struct {
	done    chan struct{}
	waiting int
	err     error
	conn    *conn // HTTP/1.1, of the first to take it
}

// find waits until a connection is made that the host and we agree on. It is one's
// own, or else one finds it, or knows what to do, by looking again. The caller
// holds the lock, which is released.
func (t *Transport) find(ctx context.Context, h host, p *pool) (*conn, error) {
	f := p.finding
	if f == nil {
		f = &finding{done: make(chan struct{})}
		p.finding = f
		go t.agree(context.WithoutCancel(ctx), h, p, f)
	}
	f.waiting++
	t.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.waiting--
	c := f.conn
	if err := context.Cause(ctx); err != nil {
		if c != nil && f.waiting == 0 {
			f.conn = nil
			go c.net.Close()
		}
		return nil, err
	}
	f.conn = nil
	return c, f.err
}

// agree makes a connection, over HTTP/2 if the host speaks it.
func (t *Transport) agree(ctx context.Context, h host, p *pool, f *finding) {
	offers := []string{"http/1.1"}
	if t.base.ForceAttemptHTTP2 {
		offers = []string{"h2", "http/1.1"}
	}
	c, err := t.connect(ctx, h, offers)
	var m *mux
	if err == nil && c.tls.NegotiatedProtocol == "h2" {
		m = newMux(t, c)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(f.done)
	p.finding = nil
	switch f.err = err; {
	case err != nil:
	case m != nil:
		if n := len(p.shared); n > 0 {
			m.most = p.shared[n-1].takes() // until it says so itself
		}
		p.shared = append(p.shared, m)
		m.start()
	default:
		p.plain = true
		if f.waiting > 0 {
			f.conn = c
		} else {
			go c.net.Close()
		}
	}
}

// forget takes a connection off its pool, which ends or takes no new requests.
func (t *Transport) forget(m *mux) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pool(m.host)
	p.shared = slices.DeleteFunc(p.shared, func(other *mux) bool { return other == m })
}

// put keeps a connection for the next request, if there is room.
func (t *Transport) put(c *conn) {
	c.used, c.since = true, time.Now()
	t.mu.Lock()
	p := t.pool(c.host)
	if len(p.idle) >= t.perHost || t.idle >= t.all || t.base.DisableKeepAlives {
		t.mu.Unlock()
		_ = c.net.Close()
		return
	}
	p.idle = append(p.idle, c)
	if t.idle++; t.sweeper == nil {
		t.sweeper = time.AfterFunc(t.idleTime/sweeps, t.sweep)
	}
	t.mu.Unlock()
}

// sweeps is how often idle connections are looked at within the time that they
// may be idle: hosts hang up on them, and nobody reads that.
const sweeps = 6

// sweep closes the connections that were idle for too long or are dead.
func (t *Transport) sweep() {
	t.close(func(c *conn) bool {
		c.begin()
		return time.Since(c.since) >= t.idleTime || !c.alive()
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle == 0 {
		t.sweeper = nil
		return
	}
	t.sweeper.Reset(t.idleTime / sweeps)
}

// CloseIdleConnections closes those that no request is on.
func (t *Transport) CloseIdleConnections() {
	t.close(func(*conn) bool { return true })
	t.mu.Lock()
	var shared []*mux
	for _, p := range t.hosts {
		shared = append(shared, p.shared...)
	}
	t.mu.Unlock()
	for _, m := range shared {
		m.endIdle()
	}
	t.base.CloseIdleConnections()
}

// close closes those idle connections that are to be.
func (t *Transport) close(which func(*conn) bool) {
	t.mu.Lock()
	var gone []*conn
	for _, p := range t.hosts {
		p.idle = slices.DeleteFunc(p.idle, func(c *conn) bool {
			if which(c) {
				gone = append(gone, c)
				return true
			}
			return false
		})
	}
	t.idle -= len(gone)
	t.mu.Unlock()
	for _, c := range gone { // TLS says good-bye, which may take a moment
		_ = c.net.Close()
	}
}

// dial makes a connection for HTTP/1.1. A host for which that fails may come back
// speaking HTTP/2, and nothing else: what it speaks is then found out anew.
func (t *Transport) dial(ctx context.Context, h host) (line, error) {
	c, err := t.connect(ctx, h, []string{"http/1.1"})
	if err != nil {
		t.mu.Lock()
		t.pool(h).plain = false
		t.mu.Unlock()
		return nil, err
	}
	c.begin()
	return c, nil
}

// connect makes a connection. With TLS it offers to speak the protocols.
func (t *Transport) connect(ctx context.Context, h host, offers []string) (*conn, error) {
	name, port, err := net.SplitHostPort(h.addr)
	if err != nil {
		name, port = h.addr, map[string]string{"http": "80", "https": "443"}[h.scheme]
		if n := len(name); n > 1 && name[0] == '[' && name[n-1] == ']' {
			name = name[1 : n-1]
		}
	}
	nc, err := t.base.DialContext(ctx, "tcp", net.JoinHostPort(name, port))
	if err != nil {
		return nil, err
	}
	c := &conn{t: t, host: h, net: nc}
	if s, ok := nc.(syscall.Conn); ok {
		if c.raw, err = s.SyscallConn(); err != nil {
			c.raw = nil
		}
	}
	c.look = c.lookAt
	if h.scheme == "https" {
		if err := c.secure(ctx, name, offers); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	c.br = bufio.NewReader((*limited)(c))
	return c, nil
}

// briskTime is how long reads may take before they are slow. Most answers come
// sooner, and are spared what watching costs.
const briskTime = 100 * time.Millisecond

// begin bounds what the connection sends and reads next.
func (c *conn) begin() {
	c.begun, c.brisk = time.Now(), true
	_ = c.net.SetReadDeadline(c.begun.Add(briskTime))
	// Minutes need not be exact: a bound that is nearly whole stays.
	if d := c.t.base.ResponseHeaderTimeout; d > 0 && c.writeBy.Sub(c.begun) < d-d/16 {
		c.writeBy = c.begun.Add(d)
		_ = c.net.SetWriteDeadline(c.writeBy)
	}
}

// secure puts TLS on the connection.
func (c *conn) secure(ctx context.Context, name string, offers []string) error {
	config := c.t.trust.Clone()
	if config.ServerName == "" {
		config.ServerName = name
	}
	config.NextProtos = offers
	ctx, cancel := context.WithTimeout(ctx, c.t.handshake)
	defer cancel()
	s := tls.Client(c.net, config)
	if err := s.HandshakeContext(ctx); err != nil {
		return err
	}
	state := s.ConnectionState()
	c.net, c.tls = s, &state
	return nil
}

// alive reports whether a connection that was idle can be used: the host has
// not hung up, and said nothing that nobody asked for.
func (c *conn) alive() bool {
	if c.raw != nil && (c.raw.Read(c.look) != nil || !c.quiet) {
		return false
	}
	if c.tls == nil {
		return true
	}
	// TLS may have read on. What it has comes at once, or never.
	c.limit, c.brisk = 1, false
	_ = c.net.SetReadDeadline(time.Unix(1, 0))
	_, err := c.br.Peek(1)
	c.begin()
	return late(err)
}

// late reports whether a read ended because of its time.
func late(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// limited reads from a connection as much as it may.
type limited conn

func (l *limited) Read(p []byte) (int, error) {
	if l.limit <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), l.limit)]
	n, err := l.net.Read(p)
	if l.brisk && n == 0 && late(err) {
		l.x.slow()
		n, err = l.net.Read(p)
	}
	l.limit -= int64(n)
	return n, err
}

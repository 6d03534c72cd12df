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

// pool is the host's. The caller holds the lock.
func (t *Transport) pool(h host) *pool {
	p := t.hosts[h]
	if p == nil {
		p = &pool{}
		t.hosts[h] = p
	}
	return p
}

// take is a connection to the host, the one used last, else a new one. It waits
// for what it sends and reads no longer than for an answer's head.
func (t *Transport) take(ctx context.Context, h host) (*conn, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		t.mu.Lock()
		p := t.pool(h)
		n := len(p.idle)
		if n == 0 {
			t.mu.Unlock()
			return t.dial(ctx, h)
		}
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		t.idle--
		t.mu.Unlock()
		if c.begin(); c.alive() {
			return c, nil
		}
		_ = c.net.Close()
	}
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

// dial makes a connection.
func (t *Transport) dial(ctx context.Context, h host) (*conn, error) {
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
		if err := c.secure(ctx, name); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	c.br = bufio.NewReader((*limited)(c))
	c.begin()
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
func (c *conn) secure(ctx context.Context, name string) error {
	config := c.t.base.TLSClientConfig.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = name
	}
	config.NextProtos = []string{"http/1.1"}
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

package wire

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server is an http.Server that takes less for plain requests: each is read,
// answered and ended on the connection's one goroutine, and its client is
// watched only when the answer takes its time. A connection that brings anything
// else goes over to the http.Server, with all that it brought, and stays there.
//
// Of the http.Server's settings it heeds Handler, ErrorLog, ReadHeaderTimeout and
// IdleTimeout for plain requests. Their contexts have no values, and their
// writers are http.Flushers that set deadlines, and no http.Hijackers.
type Server struct {
	*http.Server

	mu      sync.Mutex
	clients map[*client]struct{}
	emptied []chan struct{} // closed when the last client has gone
	closing atomic.Bool
}

// Serve is that of http.Server. Only what comes over bare TCP is served with
// less.
func (s *Server) Serve(l net.Listener) error {
	if _, bare := l.(*net.TCPListener); !bare {
		return s.Server.Serve(l)
	}
	return s.serve(l)
}

// serve serves plain requests with less, wherever they come from.
func (s *Server) serve(l net.Listener) error {
	f := &front{Listener: l, s: s, odd: make(chan accepted), done: make(chan struct{})}
	go f.accept()
	return s.Server.Serve(f)
}

// Shutdown is that of http.Server: it waits for the requests under way.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true) // nobody comes in from now on
	s.mu.Lock()
	for c := range s.clients {
		c.leaveIdle()
	}
	emptied := make(chan struct{})
	if len(s.clients) == 0 {
		close(emptied)
	} else {
		s.emptied = append(s.emptied, emptied)
	}
	s.mu.Unlock()
	err := s.Server.Shutdown(ctx)
	select {
	case <-emptied:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close is that of http.Server: it waits for nothing.
func (s *Server) Close() error {
	s.closing.Store(true)
	err := s.Server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		_ = c.net.Close()
	}
	return err
}

// come takes a client in, unless the server is closing.
func (s *Server) come(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	if s.clients == nil {
		s.clients = map[*client]struct{}{}
	}
	s.clients[c] = struct{}{}
	return true
}

func (s *Server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	if len(s.clients) == 0 {
		for _, e := range s.emptied {
			close(e)
		}
		s.emptied = nil
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// front is the listener that the http.Server sees: it gives it what is not
// served here, and what goes wrong.
type front struct {
	net.Listener
	s     *Server
	odd   chan accepted
	done  chan struct{}
	close sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// accept lets clients in. An error is the http.Server's affair: it comes back
// for the next after a while.
func (f *front) accept() {
	for {
		nc, err := f.Listener.Accept()
		if err == nil {
			go f.serve(nc)
			continue
		}
		select {
		case f.odd <- accepted{nil, err}:
		case <-f.done:
			return
		}
	}
}

// Accept implements net.Listener.
func (f *front) Accept() (net.Conn, error) {
	select {
	case a := <-f.odd:
		return a.conn, a.err
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *front) Close() error {
	f.close.Do(func() { close(f.done) })
	return f.Listener.Close()
}

func (f *front) serve(nc net.Conn) {
	c := &client{s: f.s, net: nc, from: nc.RemoteAddr().String(), least: 1}
	c.br = bufio.NewReader((*source)(c))
	c.seen.L = &c.mu
	if !f.s.come(c) {
		_ = nc.Close()
		return
	}
	given := false
	defer func() { // also when a handler ends the goroutine
		if !given {
			_ = nc.Close()
		}
		f.s.leave(c)
	}()
	patience := f.s.ReadHeaderTimeout
	for c.await(patience) {
		r := c.request()
		if r == nil {
			given = true
			f.handOver(c)
			return
		}
		if !c.answer(r) {
			return
		}
		patience, c.least, c.posted = f.s.IdleTimeout, 4, r.Method == http.MethodPost // as net/http has it
	}
}

// handOver gives the connection to the http.Server.
func (f *front) handOver(c *client) {
	_ = c.net.SetDeadline(time.Time{})
	brought, _ := c.br.Peek(c.br.Buffered())
	if c.isAhead {
		brought = append(slices.Clip(brought), c.ahead[0])
	}
	select {
	case f.odd <- accepted{&replayed{c.net, brought}, nil}:
	case <-f.done:
		_ = c.net.Close()
	}
}

// replayed is a connection of which something was read already.
type replayed struct {
	net.Conn
	brought []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.brought) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.brought)
	r.brought = r.brought[n:]
	return n, nil
}

// CloseWrite lets net/http say good-bye before it hangs up.
func (r *replayed) CloseWrite() error { return closeWrite(r.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// What a client is at.
const (
	idle int32 = iota
	busy       // with a request
	gone
)

// client is a connection that a client made.
type client struct {
	s     *Server
	net   net.Conn
	from  string
	br    *bufio.Reader
	state atomic.Int32
	least int // bytes begin the next request
	// posted is whether the request before was a POST: old clients send newlines
	// after it.
	posted bool
	// readBy and writeBy are the deadlines in force; zero is none.
	readBy, writeBy time.Time

	mu      sync.Mutex
	under   *reply      // the one under way, nil if none is
	timer   *time.Timer // begins to look whether the client is still there
	looking bool        // a read waits for what the client does
	seen    sync.Cond
	ahead   [1]byte // what came meanwhile
	isAhead bool
}

// await waits for the next request, and reports whether one begins.
func (c *client) await(patience time.Duration) bool {
	c.state.Store(idle)
	if c.s.closing.Load() {
		return false
	}
	c.readWithin(patience)
	begin, err := c.br.Peek(c.least)
	if err == nil && c.posted {
		_, _ = c.br.Discard(c.least - len(bytes.TrimLeft(begin, "\r\n")))
		_, err = c.br.Peek(1)
	}
	if err != nil {
		return false
	}
	return c.state.CompareAndSwap(idle, busy)
}

// request reads the request that begins, nil if it is not a plain one. A head may
// come in pieces.
func (c *client) request() *http.Request {
	for pieces := 0; ; pieces++ {
		r, odd := plainRequest(c.br)
		if r != nil || odd || c.br.Buffered() == c.br.Size() {
			return r
		}
		if pieces == 0 {
			c.readWithin(c.s.ReadHeaderTimeout)
		}
		if _, err := c.br.Peek(c.br.Buffered() + 1); err != nil {
			return nil // net/http says what is to be said
		}
	}
}

// leaveIdle closes a connection on which there is no request.
func (c *client) leaveIdle() {
	if c.state.CompareAndSwap(idle, gone) {
		_ = c.net.Close()
	}
}

// readWithin bounds the next reads. Minutes need not be exact: a bound that is
// nearly whole stays.
func (c *client) readWithin(d time.Duration) {
	if d <= 0 {
		if !c.readBy.IsZero() {
			c.readBy = time.Time{}
			_ = c.net.SetReadDeadline(c.readBy)
		}
		return
	}
	by := time.Now().Add(d)
	if early := by.Sub(c.readBy); early < 0 || early > d/16 {
		c.readBy = by
		_ = c.net.SetReadDeadline(by)
	}
}

// lookAfter is how long an answer may take before somebody looks whether its
// client is still there.
const lookAfter = 100 * time.Millisecond

// answer has the handler answer a request, and reports whether the connection
// can bring another.
func (c *client) answer(r *http.Request) (again bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &reply{c: c, cancel: cancel, header: http.Header{}, length: -1}
	w.body.c = c
	w.body.left.Store(r.ContentLength)
	r.RemoteAddr = c.from
	if r.Body = http.NoBody; r.ContentLength > 0 {
		r.Body = &w.body
	}
	if r.ContentLength > int64(c.br.Buffered()) {
		c.readWithin(0) // how long a body may be silent is the handler's affair
	}
	c.watch(w)
	defer func() {
		e := recover()
		c.unwatch()
		_ = w.body.Close()
		w.drop()
		switch {
		case e != nil:
			again = false
			if e != http.ErrAbortHandler {
				c.s.logf("http: panic serving %v: %v\n%s", c.from, e, debug.Stack())
			}
		case !again && w.body.left.Load() > 0:
			c.linger()
		}
	}()
	c.s.Handler.ServeHTTP(w, r.WithContext(ctx))
	return w.finish()
}

// linger hangs up in a way that lets the client read the answer to a request that
// it has not sent whole.
func (c *client) linger() {
	if closeWrite(c.net) == nil {
		_ = c.net.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, _ = io.CopyN(io.Discard, c.net, maxUnread)
	}
}

// watch has somebody look for the client when the answer takes long.
func (c *client) watch(w *reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under = w; c.timer == nil {
		c.timer = time.AfterFunc(lookAfter, c.look)
		return
	}
	c.timer.Reset(lookAfter)
}

// look waits for what the client does: if it leaves, the request's context ends.
func (c *client) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.under
	switch {
	case w == nil || c.looking:
		return
	case w.body.left.Load() > 0: // the handler is still reading, maybe what is ahead
		c.timer.Reset(lookAfter)
		return
	case c.isAhead:
		return
	}
	c.looking = true
	c.readBy = time.Time{}
	_ = c.net.SetReadDeadline(c.readBy)
	c.mu.Unlock()
	n, err := c.net.Read(c.ahead[:])
	c.mu.Lock()
	c.looking, c.isAhead = false, n > 0
	if err != nil && c.under == w {
		w.cancel()
	}
	c.seen.Signal()
}

// unwatch ends the looking: from now on reads are the connection's.
func (c *client) unwatch() {
	c.timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under = nil; !c.looking {
		return
	}
	c.readBy = time.Unix(1, 0)
	_ = c.net.SetReadDeadline(c.readBy)
	for c.looking {
		c.seen.Wait()
	}
}

// source is what comes of a client, with what came while it was looked for.
type source client

func (s *source) Read(p []byte) (int, error) {
	if s.isAhead && len(p) > 0 {
		p[0], s.isAhead = s.ahead[0], false
		return 1, nil
	}
	return s.net.Read(p)
}

// requestBody is the body of a plain request.
type requestBody struct {
	c    *client
	mu   sync.Mutex
	done bool
	left atomic.Int64
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.left.Load()
	switch {
	case b.done:
		return 0, http.ErrBodyReadAfterClose
	case left == 0:
		return 0, io.EOF
	}
	n, err := b.c.br.Read(p[:min(int64(len(p)), left)])
	left -= int64(n)
	b.left.Store(left)
	switch {
	case left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements io.Closer. What was not read stays for the server.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	return nil
}

// maxUnread is how much of a body that the handler did not read is read for it.
const maxUnread = 256 << 10

// discard reads what the handler left of the body, so that the next request
// begins where it ends. It reports whether that is so.
func (b *requestBody) discard() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.left.Load()
	if left == 0 {
		return true
	}
	if left > maxUnread {
		return false
	}
	b.c.readWithin(b.c.s.ReadHeaderTimeout)
	n, err := io.CopyN(io.Discard, b.c.br, left)
	b.done = err == nil // the handler must not take what it has for the whole
	b.left.Store(left - n)
	return err == nil
}

package wire

import (
	"context"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// oneGo is up to where a body goes up in one write with its head, before the
	// answer is waited for: a system takes that much off our hands even when the
	// host does not read. A longer one goes up while the answer is awaited, for
	// some hosts answer before they have read it.
	oneGo = 72 << 10
	// chunk is how much of a longer body goes up at a time.
	chunk = 64 << 10
	// lastWords is how long a host that broke off an upload may take to say why.
	lastWords = time.Second
)

// exchange is a request and its answer on a connection, and the body of that
// answer. The connection goes back to its pool when the body was read to its
// end, and is closed when the body is given up before.
type exchange struct {
	c     *conn
	ctx   context.Context
	body  io.Reader // nil is what the head leaves, left bytes
	left  int64
	keep  bool // the connection may outlive the exchange
	ready bool // the whole body came with the head
	over  atomic.Bool
	whole atomic.Bool // over, and the body was read to its end

	mu       sync.Mutex
	unwatch  func() bool // stops to watch ctx; nil while that is not watched
	answered bool        // the head has come
	sending  bool        // an upload is not through
	failed   error       // how it failed
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// exchange sends a request, closes its body, and reads the head of its answer.
func (c *conn) exchange(req *http.Request, body io.ReadCloser) (*http.Response, lost, error) {
	length := max(req.ContentLength, 0)
	buf := buffers.Get().(*[]byte)
	out, err := appendHead((*buf)[:0], req)
	if err == nil && length <= oneGo {
		out, err = appendBody(out, body, int(length))
	}
	*buf = out[:0]
	if err != nil {
		buffers.Put(buf)
		closeBody(body)
		c.t.put(c) // nothing has happened to it
		return nil, part, err
	}
	x := &exchange{c: c, ctx: req.Context()}
	c.x = x
	if length <= oneGo {
		closeBody(body)
		n, err := c.net.Write(out)
		buffers.Put(buf)
		if err != nil {
			x.slow()
			x.breaks(err)
		}
		if n == 0 {
			x.end(false)
			return nil, unsent, err
		}
	} else {
		x.sending = true
		x.slow() // there is no hurry until all is sent
		go x.upload(buf, len(out), body, length)
	}
	res, l, err := x.readHead(req)
	if err != nil {
		x.end(false)
		return nil, l, x.cause(err)
	}
	x.mu.Lock()
	x.answered = true
	x.ready = res.ContentLength >= 0 && int64(c.br.Buffered()) >= res.ContentLength
	if !x.ready && !c.brisk {
		_ = c.net.SetReadDeadline(time.Time{}) // how long a body may be silent is the reader's affair
	}
	x.mu.Unlock()
	res.TLS = c.tls
	x.keep = !res.Close && res.StatusCode > 199 && !c.t.base.DisableKeepAlives
	switch res.Body {
	case http.NoBody:
		x.end(true)
	case nil:
		x.left, res.Body = res.ContentLength, x
	default:
		x.body, res.Body = res.Body, x
	}
	return res, part, nil
}

// slow is told that the exchange takes its time: from now on it ends with its
// context, and reads have all the time that they may have.
func (x *exchange) slow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.c
	c.brisk = false
	var until time.Time
	if d := c.t.base.ResponseHeaderTimeout; d > 0 && !x.answered && !x.sending {
		until = c.begun.Add(d)
	}
	_ = c.net.SetReadDeadline(until)
	if x.ctx.Done() != nil && !x.over.Load() {
		x.unwatch = context.AfterFunc(x.ctx, func() { _ = c.net.Close() })
	}
}

// patience is until when something must come, or go out; zero is for ever.
func (c *conn) patience() time.Time {
	if d := c.t.base.ResponseHeaderTimeout; d > 0 {
		return time.Now().Add(d)
	}
	return time.Time{}
}

// appendBody appends a body of the given length.
func appendBody(b []byte, body io.Reader, length int) ([]byte, error) {
	if length == 0 {
		return b, nil
	}
	head := len(b)
	b = slices.Grow(b, length)[:head+length]
	_, err := io.ReadFull(body, b[head:])
	return b, err
}

// upload sends the head that buf begins with, and the body. It runs beside the
// reading of the answer.
func (x *exchange) upload(buf *[]byte, head int, body io.ReadCloser, left int64) {
	defer buffers.Put(buf)
	defer closeBody(body)
	c, used := x.c, head
	b := slices.Grow((*buf)[:head], chunk)
	*buf = b[:0]
	for left > 0 {
		n, err := body.Read(b[used : used+int(min(left, chunk))])
		used, left = used+n, left-int64(n)
		if err != nil && left > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			x.breaks(err)
			_ = c.net.Close() // the host waits for what will not come
			return
		}
		_ = c.net.SetWriteDeadline(c.patience())
		if _, err := c.net.Write(b[:used]); err != nil {
			x.breaks(err)
			return
		}
		used = 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sending = false
	if !x.answered {
		_ = c.net.SetReadDeadline(c.patience())
	}
}

// breaks notes that the request could not be sent. The host may have said why.
func (x *exchange) breaks(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.failed = err
	if !x.answered {
		_ = x.c.net.SetReadDeadline(time.Now().Add(lastWords))
	}
}

// cause says why an exchange failed whose answer could not be read.
func (x *exchange) cause(err error) error {
	if cause := context.Cause(x.ctx); cause != nil {
		return cause
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failed != nil {
		return x.failed
	}
	return err
}

// readHead reads the head of the answer, and those of interim answers before it.
// The body of one that is plain is nil: it is what follows.
func (x *exchange) readHead(req *http.Request) (*http.Response, lost, error) {
	c := x.c
	c.limit = c.t.maxHead
	if _, err := c.br.Peek(1); err != nil {
		if late(err) {
			return nil, part, err // it may well be at it
		}
		return nil, nothing, err
	}
	if res := plainHead(c.br, req); res != nil {
		c.limit = math.MaxInt64
		return res, part, nil
	}
	for {
		res, err := http.ReadResponse(c.br, req)
		switch {
		case err != nil && c.limit <= 0:
			return nil, part, errHeadTooLarge
		case err != nil:
			return nil, part, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, part, errUpgraded
		case res.StatusCode < 100 || res.StatusCode > 199:
			c.limit = math.MaxInt64
			return res, part, nil
		}
	}
}

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	if x.over.Load() {
		if x.whole.Load() {
			return 0, io.EOF
		}
		return 0, errReadClosed
	}
	n, err := x.read(p)
	switch {
	case err == io.EOF:
		x.end(true)
	case err != nil:
		err = x.cause(err)
		x.end(false)
	}
	return n, err
}

// read reads what is left of the body.
func (x *exchange) read(p []byte) (int, error) {
	if x.body != nil {
		return x.body.Read(p)
	}
	n, err := x.c.br.Read(p[:min(int64(len(p)), x.left)])
	x.left -= int64(n)
	switch {
	case x.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Ready reports whether no Read has to wait for the host.
func (x *exchange) Ready() bool { return x.ready }

// Close implements io.Closer. It does not wait for a Read.
func (x *exchange) Close() error {
	x.end(false)
	return nil
}

// end ends the exchange, once.
func (x *exchange) end(whole bool) {
	if x.over.Swap(true) {
		return
	}
	x.whole.Store(whole)
	x.mu.Lock()
	unwatched := x.unwatch == nil || x.unwatch()
	sent := !x.sending && x.failed == nil
	x.mu.Unlock()
	if whole && x.keep && sent && unwatched && x.c.br.Buffered() == 0 {
		x.c.t.put(x.c)
		return
	}
	_ = x.c.net.Close()
}

package wire

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// streamWindow is how much of an answer waits for its reader, where the base
	// does not say.
	streamWindow = 256 << 10
	// connWindow is how much may be on its way to us on one connection. What came
	// is returned at once, for each stream is bounded by itself.
	connWindow = 1 << 30
	// roomy is up to how much goes out at once: uploads wait while there is more.
	roomy = 256 << 10
	// sure is how much a system takes off our hands even when the host does not
	// read: up to there whoever asks writes.
	sure = 16 << 10
	// tooMuch waits to be sent where a connection takes no more requests, tooMany
	// answers to pings and the like are more than a host that reads leaves there.
	tooMuch, tooMany = 4 << 20, 10000
	// firstStreams is how many requests a host may be asked before it said how
	// many it takes, anyStreams how many if it does not say.
	firstStreams, anyStreams = 100, 1000
)

// mux is an HTTP/2 connection, which many requests share. Requests put what they
// send into out. Where few ask, each writes that at once; where many do, one
// goroutine writes for all, so that what they say goes up together. Another reads,
// and wakes those whose answers came.
type mux struct {
	t      *Transport
	host   host
	net    net.Conn
	tls    *tls.ConnectionState
	br     *bufio.Reader
	frames *http2.Framer // reads for the one, writes into out for those who hold mu
	some   chan struct{} // there is something in out; closed with the connection
	woken  []*stream     // to be woken by the one that reads

	until time.Time // when a write must have ended, for the one who writes

	mu         sync.Mutex
	out, spare []byte             // spare is the next out
	writing    bool               // somebody writes what was in out
	unread     int                // bytes of requests that are not answered
	owed       int                // answers to pings and settings that are in out
	streams    map[uint32]*stream // that are open
	booked     int                // how many are open or about to be
	next       uint32             // the next one's number
	encoder    *hpack.Encoder
	block      bytes.Buffer // of the encoder
	waiting    []*stream    // uploads that have no room, first come first
	// What the host allows: streams at a time, bytes in a frame, bytes to a new
	// stream, bytes to all.
	most          int
	frame         int
	first, window int64
	// inflow is what the host may still send, taken what of it came and was not
	// returned yet.
	inflow, taken int64
	heard         uint64 // frames that came
	leaving       bool   // takes no new streams
	failed        error  // why nothing more can be sent
	ended         error  // why it is closed
	idle          time.Time

	pulse *time.Timer
	seen  uint64        // of heard, at the last pulse
	quiet time.Duration // since something was heard
}

var (
	errQuiet     = lateError("the connection is dead: the host does not answer pings")
	errNotRead   = lateError("the host does not read what is sent")
	errLate      = lateError("the answer did not begin in time")
	errHostLeft  = errors.New("the host sent GOAWAY")
	errNotNeeded = errors.New("the connection was idle")
)

// ErrRefused says that the host would not even look at a request, again and again.
var ErrRefused = errors.New("the host refuses streams")

// ErrBrokenOff says that the host ended one request over HTTP/2 without a whole
// answer.
var ErrBrokenOff = errors.New("the host broke it off")

// lateError is of a host that takes too long.
type lateError string

func (err lateError) Error() string { return string(err) }
func (lateError) Timeout() bool     { return true }
func (lateError) Temporary() bool   { return false }

// newMux makes what speaks HTTP/2 on a connection on which both sides agreed to.
func newMux(t *Transport, c *conn) *mux {
	m := &mux{t: t, host: c.host, net: c.net, tls: c.tls, br: bufio.NewReaderSize(c.net, 32<<10), some: make(chan struct{}, 1), streams: map[uint32]*stream{}, next: 1,
		most: firstStreams, frame: 16 << 10, first: 65535, window: 65535, inflow: connWindow + 65535, idle: time.Now()}
	m.encoder = hpack.NewEncoder(&m.block)
	m.frames = http2.NewFramer((*outlet)(m), m.br)
	m.frames.SetReuseFrames()
	m.frames.SetMaxReadFrameSize(16 << 10)
	m.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	m.frames.MaxHeaderListSize = uint32(min(t.maxHead, math.MaxInt32))
	m.out = append(m.out, http2.ClientPreface...)
	_ = m.frames.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(t.window())},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: m.frames.MaxHeaderListSize})
	_ = m.frames.WriteWindowUpdate(0, connWindow)
	m.some <- struct{}{}
	return m
}

// start lets it go. It may end at once.
func (m *mux) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pulse = time.AfterFunc(m.t.idleTime/sweeps, m.beat)
	go m.write()
	go m.read()
}

// window is how much of an answer waits for its reader.
func (t *Transport) window() int64 {
	if c := t.base.HTTP2; c != nil {
		return int64(cmp.Or(c.MaxReceiveBufferPerStream, streamWindow))
	}
	return streamWindow
}

// outlet is where frames are written: to out. The writer holds mu.
type outlet mux

func (o *outlet) Write(p []byte) (int, error) {
	o.out = append(o.out, p...)
	return len(p), nil
}

// book takes a place for a request, and reports whether there is one.
func (m *mux) book() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended != nil || m.leaving || m.booked >= m.most || len(m.out) > tooMuch {
		return false
	}
	m.booked++
	return true
}

// unbook gives a place back. The last one's is the end of a connection that the
// host wants to end. The caller holds the lock.
func (m *mux) unbook() {
	if m.booked--; m.booked == 0 {
		if m.idle = time.Now(); m.leaving {
			go m.end(errHostLeft)
		}
	}
}

// takes is how many requests the host takes at a time.
func (m *mux) takes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}

// wasUsed reports whether the host has been heard.
func (m *mux) wasUsed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard > 0
}

// open opens a stream in the place that was booked, and sends its head and what
// there is room for of text; whole is whether that is all. What is left of text
// comes back.
func (m *mux) open(s *stream, head []hpack.HeaderField, text []byte, whole bool) (rest []byte, err error) {
	m.mu.Lock()
	rest, err = m.enter(s, head, text, whole)
	if err == nil && m.unread <= sure && !m.writing {
		m.writeOut()
	} else {
		m.flush()
	}
	m.mu.Unlock()
	return rest, err
}

// enter puts the beginning of a stream into out. The caller holds the lock.
func (m *mux) enter(s *stream, head []hpack.HeaderField, text []byte, whole bool) (rest []byte, err error) {
	if m.ended != nil || m.leaving {
		m.unbook()
		return nil, errors.Join(errHostLeft, m.ended)
	}
	if m.leaving = m.t.base.DisableKeepAlives || m.next >= math.MaxInt32-2; m.leaving {
		go m.t.forget(m)
	}
	s.id, s.window, s.inflow = m.next, m.first, m.t.window()
	m.next += 2
	m.streams[s.id] = s
	m.block.Reset()
	for _, f := range head {
		_ = m.encoder.WriteField(f)
	}
	block := m.block.Bytes()
	s.tells(len(block))
	first := block[:min(len(block), m.frame)]
	_ = m.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: first, EndStream: whole && len(text) == 0, EndHeaders: len(first) == len(block)})
	for block = block[len(first):]; len(block) > 0; block = block[len(first):] {
		first = block[:min(len(block), m.frame)]
		_ = m.frames.WriteContinuation(s.id, len(first) == len(block), first)
	}
	if whole && len(text) == 0 {
		s.isSent()
	} else if len(m.waiting) == 0 { // who waits is first
		text = text[m.send(s, text, whole):]
	}
	return text, nil
}

// send sends what there is room for of text. The caller holds the lock, and
// flushes.
func (m *mux) send(s *stream, text []byte, whole bool) int {
	sent := 0
	for sent < len(text) {
		n := min(len(text)-sent, m.frame, int(s.window), int(m.window), roomy-len(m.out))
		if n <= 0 {
			return sent
		}
		end := whole && sent+n == len(text)
		flags := http2.Flags(0)
		if end {
			flags = http2.FlagDataEndStream
		}
		m.out = append(m.out, byte(n>>16), byte(n>>8), byte(n), byte(http2.FrameData), byte(flags), byte(s.id>>24), byte(s.id>>16), byte(s.id>>8), byte(s.id))
		m.out = append(m.out, text[sent:sent+n]...) // the Framer would copy it twice
		s.window -= int64(n)
		m.window -= int64(n)
		s.tells(n)
		if sent += n; end {
			s.isSent()
		}
	}
	return sent
}

// feed wakes the uploads that there is room for. The caller holds the lock.
func (m *mux) feed() {
	room := min(int(m.window), roomy-len(m.out))
	still := m.waiting[:0]
	for i, s := range m.waiting {
		if room <= 0 {
			still = append(still, m.waiting[i:]...)
			break
		}
		if s.window <= 0 {
			still = append(still, s)
			continue
		}
		room -= min(s.want, int(s.window))
		wake(s.room)
	}
	clear(m.waiting[len(still):])
	m.waiting = still
}

// flush has what is in out written, by who writes already or by the goroutine that
// does. The caller holds the lock.
func (m *mux) flush() {
	if m.ended == nil && !m.writing {
		wake(m.some)
	}
}

// wake wakes whoever waits, or will next.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write writes out, for those who do not, until the connection ends.
func (m *mux) write() {
	for range m.some {
		runtime.Gosched() // who is about to send something does so first
		m.mu.Lock()
		if !m.writing {
			m.writeOut()
		}
		m.mu.Unlock()
	}
}

// writeOut writes what is in out. The caller holds the lock, which is released
// meanwhile.
func (m *mux) writeOut() {
	out := m.out
	if len(out) == 0 || m.failed != nil {
		return
	}
	m.out, m.spare, m.owed, m.writing = m.spare[:0], nil, 0, true
	m.feed()
	m.mu.Unlock()
	if d := m.t.base.ResponseHeaderTimeout; d > 0 && time.Until(m.until) < d-d/16 {
		m.until = time.Now().Add(d)
		_ = m.net.SetWriteDeadline(m.until)
	}
	if _, err := m.net.Write(out); err != nil {
		m.breaks(err)
	}
	m.mu.Lock()
	m.writing = false
	if cap(out) <= 2*roomy {
		m.spare = out
	}
	if len(m.out) > 0 {
		m.flush()
	}
}

// breaks notes that nothing more can be sent. The host may have said why.
func (m *mux) breaks(err error) {
	m.mu.Lock()
	m.leaving, m.failed = true, err
	m.mu.Unlock()
	m.t.forget(m)
	_ = m.net.SetReadDeadline(time.Now().Add(lastWords))
}

// reset breaks a stream off, and says so to the host. The caller holds the lock.
func (m *mux) reset(s *stream, code http2.ErrCode, err error) {
	if m.streams[s.id] != s {
		return
	}
	_ = m.frames.WriteRSTStream(s.id, code)
	m.flush()
	s.fail(err, part)
}

// drop forgets a stream that is over. The caller holds the lock.
func (m *mux) drop(s *stream) {
	if m.streams[s.id] != s {
		return
	}
	delete(m.streams, s.id)
	s.isRead()
	if s.late != nil {
		s.late.Stop()
	}
	if s.room != nil {
		wake(s.room)
		m.waiting = slices.DeleteFunc(m.waiting, func(w *stream) bool { return w == s })
		m.feed() // it may have been its turn
	}
	m.unbook()
}

// end closes the connection. Whoever still waits on it is told why.
func (m *mux) end(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // of all that was to come
	}
	m.mu.Lock()
	if m.ended != nil {
		m.mu.Unlock()
		return
	}
	m.ended = err
	m.pulse.Stop()
	for _, s := range m.streams {
		s.fail(err, nothing)
	}
	close(m.some)
	m.mu.Unlock()
	m.t.forget(m)
	_ = m.net.Close()
}

// endIdle closes the connection if no request is on it.
func (m *mux) endIdle() {
	m.mu.Lock()
	idle := m.booked == 0
	m.leaving = m.leaving || idle
	m.mu.Unlock()
	if idle {
		m.end(errNotNeeded)
	}
}

// beat looks now and then whether the connection is needed, and whether there is
// still somebody at its other end.
func (m *mux) beat() {
	tick := m.t.idleTime / sweeps
	m.mu.Lock()
	idle := m.booked == 0 && time.Since(m.idle) >= m.t.idleTime
	if m.quiet += tick; m.heard != m.seen {
		m.seen, m.quiet = m.heard, 0
	}
	dead := false
	if c := m.t.base.HTTP2; c != nil && c.SendPingTimeout > 0 && m.quiet >= c.SendPingTimeout {
		_ = m.frames.WritePing(false, [8]byte{})
		m.flush()
		dead = m.quiet >= c.SendPingTimeout+max(c.PingTimeout, tick) // it was sent one before
	}
	if m.ended == nil {
		m.pulse.Reset(tick)
	}
	m.mu.Unlock()
	switch {
	case dead:
		m.end(errQuiet)
	case idle:
		m.endIdle()
	}
}

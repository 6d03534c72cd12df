package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream is a request and its answer on a mux, and the body of that answer.
type stream struct {
	m    *mux
	ctx  context.Context
	head bool          // it asks for no body
	wake chan struct{} // wakes the one who asks, or reads
	res  *http.Response
	gone atomic.Bool // the body is closed, or was read to its end

	// What follows is guarded by m.mu.
	id uint32
	// window is how much the host takes now, want what an upload has left for it,
	// room wakes that.
	window int64
	want   int
	room   chan struct{}
	sent   bool // all of the request
	unread int  // bytes of it, until it is answered
	// inflow is what the host may still send, due what was read of that and not
	// returned yet.
	inflow, due int64
	answer      *http2.MetaHeadersFrame
	interim     uint32 // the size of the heads before it
	left        int64  // of the body, -1 where it is not said
	came        *[]byte
	read        int // of came
	trailer     *http2.MetaHeadersFrame
	whole       bool  // the answer
	done        bool  // it was read to its end
	err         error // why no more comes
	lost        lost
	late        *time.Timer
}

// exchange sends a request in the place that was booked, closes its body, and
// gives its answer.
func (m *mux) exchange(req *http.Request, body io.ReadCloser) (*http.Response, lost, error) {
	var few [24]hpack.HeaderField
	head, err := headOf(few[:0], req)
	length := max(req.ContentLength, 0)
	buf := buffers.Get().(*[]byte)
	text := (*buf)[:0]
	if err == nil && length <= oneGo {
		text, err = appendBody(text, body, int(length))
		*buf = text[:0]
	}
	if err != nil {
		buffers.Put(buf)
		closeBody(body)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.unbook()
		return nil, part, err
	}
	s := &stream{m: m, ctx: req.Context(), head: req.Method == http.MethodHead, wake: make(chan struct{}, 1), left: -1}
	rest, err := m.open(s, head, text, length <= oneGo)
	if err != nil {
		buffers.Put(buf)
		closeBody(body)
		return nil, refused, err
	}
	if length <= oneGo && len(rest) == 0 {
		buffers.Put(buf)
		closeBody(body)
	} else {
		go s.upload(buf, rest, body, length-int64(len(text)))
	}
	return s.await(req)
}

// await waits for the answer.
func (s *stream) await(req *http.Request) (*http.Response, lost, error) {
	m := s.m
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			s.giveUp(http2.ErrCodeCancel)
			return nil, part, context.Cause(s.ctx)
		}
		m.mu.Lock()
		answer, whole, err, l := s.answer, s.whole && s.came == nil && s.trailer == nil, s.err, s.lost
		m.mu.Unlock()
		switch {
		case answer != nil:
			s.res = response(answer, req)
			s.res.TLS = m.tls
			if whole || s.head {
				s.giveUp(http2.ErrCodeNo) // the host may not have all of the request
			} else {
				s.res.Body = s
			}
			return s.res, part, nil
		case err != nil:
			return nil, l, err
		}
	}
}

// response is the answer that a head announces. It has no body yet.
func response(f *http2.MetaHeadersFrame, req *http.Request) *http.Response {
	fields := f.RegularFields()
	code, _ := strconv.Atoi(f.PseudoValue("status"))
	res := &http.Response{StatusCode: code, Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header, len(fields)), ContentLength: -1, Body: http.NoBody, Request: req}
	if res.Status = "200 OK"; code != http.StatusOK {
		res.Status = strconv.Itoa(code) + " " + http.StatusText(code)
	}
	values := make([]string, len(fields)) // of all: most have one
	for i, hf := range fields {
		name := textproto.CanonicalMIMEHeaderKey(hf.Name)
		switch name {
		case "Content-Length":
			res.ContentLength, _ = strconv.ParseInt(hf.Value, 10, 64)
		case "Trailer":
			res.Trailer = announced(res.Trailer, hf.Value)
			continue
		}
		if res.Header[name] != nil {
			res.Header[name] = append(res.Header[name], hf.Value)
			continue
		}
		values[i] = hf.Value
		res.Header[name] = values[i : i+1 : i+1]
	}
	if f.StreamEnded() && res.ContentLength < 0 && req.Method != http.MethodHead {
		res.ContentLength = 0
	}
	return res
}

// announced adds the trailers that a field announces.
func announced(t http.Header, value string) http.Header {
	for name := range strings.SplitSeq(value, ",") {
		if name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)); name != "" {
			if t == nil {
				t = http.Header{}
			}
			t[name] = nil
		}
	}
	return t
}

// upload sends what is left of the request's body: rest, which lies in buf, and
// then as much as is left in body.
func (s *stream) upload(buf *[]byte, rest []byte, body io.ReadCloser, left int64) {
	defer buffers.Put(buf)
	defer closeBody(body)
	m := s.m
	m.mu.Lock()
	s.room = make(chan struct{}, 1)
	m.mu.Unlock()
	d := m.t.base.ResponseHeaderTimeout
	var patience *time.Timer
	var tooLong <-chan time.Time
	if d > 0 {
		patience = time.NewTimer(d)
		defer patience.Stop()
		tooLong = patience.C
	}
	for {
		for len(rest) > 0 {
			n, over := s.push(rest, left == 0)
			if over {
				return
			}
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
			if patience != nil {
				patience.Reset(d)
			}
			select {
			case <-s.room:
			case <-s.ctx.Done():
				s.breaks(context.Cause(s.ctx))
				return
			case <-tooLong:
				s.breaks(errNotRead)
				return
			}
		}
		if left == 0 {
			return
		}
		b := slices.Grow((*buf)[:0], chunk)[:min(left, chunk)]
		*buf = b[:0]
		n, err := body.Read(b)
		rest = b[:n]
		left -= int64(n)
		if err != nil && left > 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			s.breaks(err)
			return
		}
	}
}

// breaks ends the stream because the request could not be sent. Room that it was
// given is another's then.
func (s *stream) breaks(err error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.reset(s, http2.ErrCodeCancel, err)
}

// push sends what there is room for, or gets in line for it. over is whether
// nobody wants it any more.
func (s *stream) push(text []byte, whole bool) (n int, over bool) {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.streams[s.id] != s {
		return 0, true
	}
	n = m.send(s, text, whole)
	if n > 0 {
		m.flush()
	}
	if n < len(text) {
		s.want = len(text) - n
		m.waiting = append(m.waiting, s)
	}
	return n, false
}

// tells counts what is sent of the request. The caller holds the lock.
func (s *stream) tells(n int) {
	s.unread += n
	s.m.unread += n
}

// isRead is told that what was sent is most likely read. The caller holds the lock.
func (s *stream) isRead() {
	s.m.unread -= s.unread
	s.unread = 0
}

// isSent is told that all of the request is on its way. The caller holds the lock.
func (s *stream) isSent() {
	s.sent = true
	if s.whole {
		s.m.drop(s)
		return
	}
	if d := s.m.t.base.ResponseHeaderTimeout; d > 0 && s.answer == nil {
		s.late = time.AfterFunc(d, func() {
			s.m.mu.Lock()
			defer s.m.mu.Unlock()
			if s.answer == nil {
				s.m.reset(s, http2.ErrCodeCancel, errLate)
			}
		})
	}
}

// fields takes in a head, or the trailers. What the host may not send breaks the
// stream off.
func (s *stream) fields(f *http2.MetaHeadersFrame) (http2.ErrCode, error) {
	switch {
	case f.Truncated:
		return http2.ErrCodeCancel, errHeadTooLarge
	case s.whole:
		return http2.ErrCodeStreamClosed, errors.New("the host answered twice")
	case s.answer != nil:
		if !f.StreamEnded() || len(f.PseudoFields()) > 0 {
			return http2.ErrCodeProtocol, errors.New("the answer has two heads")
		}
		s.trailer = f
		return s.end()
	}
	status := f.PseudoValue("status")
	if len(status) != 3 || status[0] < '1' || status[0] > '9' || !isDigits(status) {
		return http2.ErrCodeProtocol, errors.New("the answer has no status")
	}
	if status[0] == '1' {
		for _, hf := range f.Fields {
			s.interim += hf.Size()
		}
		switch {
		case status == "101":
			return http2.ErrCodeProtocol, errUpgraded
		case f.StreamEnded():
			return http2.ErrCodeProtocol, io.ErrUnexpectedEOF
		case int64(s.interim) > s.m.t.maxHead:
			return http2.ErrCodeCancel, errHeadTooLarge
		}
		return 0, nil
	}
	for _, hf := range f.RegularFields() {
		if hf.Name != "content-length" {
			continue
		}
		n, err := strconv.ParseUint(hf.Value, 10, 63)
		if err != nil || s.left >= 0 {
			return http2.ErrCodeProtocol, errors.New("the answer's length cannot be made out")
		}
		s.left = int64(n)
	}
	if s.head || status == "204" || status == "304" {
		s.left = 0 // they speak of a body that does not come
	}
	s.answer = f
	s.isRead()
	if s.late != nil {
		s.late.Stop()
	}
	if f.StreamEnded() {
		return s.end()
	}
	return 0, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// data takes in a piece of the body.
func (s *stream) data(f *http2.DataFrame) (http2.ErrCode, error) {
	text := f.Data()
	switch {
	case s.answer == nil:
		return http2.ErrCodeProtocol, errors.New("the answer has no head")
	case s.whole:
		return http2.ErrCodeStreamClosed, errors.New("the host answered twice")
	}
	if s.inflow -= int64(f.Length); s.inflow < 0 {
		return http2.ErrCodeFlowControl, errors.New("the host sent more than it may")
	}
	s.due += int64(f.Length) - int64(len(text)) // nobody reads the padding
	if s.left >= 0 {
		if s.left -= int64(len(text)); s.left < 0 {
			return http2.ErrCodeProtocol, errors.New("the answer is longer than it says")
		}
	}
	if len(text) > 0 {
		if s.came == nil {
			s.came = buffers.Get().(*[]byte)
			*s.came = (*s.came)[:0]
		}
		if s.read > len(*s.came)/2 { // what was read makes room
			*s.came = (*s.came)[:copy(*s.came, (*s.came)[s.read:])]
			s.read = 0
		}
		*s.came = append(*s.came, text...)
	}
	if f.StreamEnded() {
		return s.end()
	}
	s.refund()
	return 0, nil
}

// end takes in that no more comes.
func (s *stream) end() (http2.ErrCode, error) {
	if s.left > 0 {
		return http2.ErrCodeProtocol, io.ErrUnexpectedEOF
	}
	s.whole = true
	return 0, nil
}

// broken is told that the host broke the stream off.
func (s *stream) broken(code http2.ErrCode) {
	switch {
	case s.whole: // it does not want the rest of the request
		s.m.drop(s)
	case code == http2.ErrCodeRefusedStream && s.answer == nil:
		s.fail(fmt.Errorf("%w: %v", ErrRefused, code), refused)
	default:
		s.fail(fmt.Errorf("%w: %v", ErrBrokenOff, code), part)
	}
}

// fail ends a stream whose answer is not whole. The caller holds the lock.
func (s *stream) fail(err error, l lost) {
	if s.err == nil && !s.whole {
		s.err, s.lost = err, l
	}
	s.m.drop(s)
	wake(s.wake)
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := s.next(p)
		if n > 0 || err != nil || len(p) == 0 {
			if err == io.EOF {
				s.giveUp(http2.ErrCodeNo) // the host may not have all of the request
			}
			return n, err
		}
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			s.giveUp(http2.ErrCodeCancel)
			return 0, context.Cause(s.ctx)
		}
	}
}

// next reads what has come.
func (s *stream) next(p []byte) (n int, err error) {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.came != nil {
		n = copy(p, (*s.came)[s.read:])
		if s.read += n; s.read == len(*s.came) {
			s.free()
		}
		s.due += int64(n)
		s.refund()
	}
	switch {
	case s.came != nil:
	case s.gone.Load() && !s.done:
		err = errReadClosed
	case s.whole:
		if err, s.done = io.EOF, true; s.trailer != nil {
			s.addTrailer()
		}
	case n == 0:
		err = s.err
	}
	return n, err
}

// refund lets the host send as much as was read. The caller holds the lock.
func (s *stream) refund() {
	if m := s.m; s.due >= m.t.window()/4 && m.streams[s.id] == s && !s.whole {
		_ = m.frames.WriteWindowUpdate(s.id, uint32(s.due))
		m.flush()
		s.inflow, s.due = s.inflow+s.due, 0
	}
}

// addTrailer gives the answer its trailers.
func (s *stream) addTrailer() {
	for _, hf := range s.trailer.RegularFields() {
		if s.res.Trailer == nil {
			s.res.Trailer = http.Header{}
		}
		name := textproto.CanonicalMIMEHeaderKey(hf.Name)
		s.res.Trailer[name] = append(s.res.Trailer[name], hf.Value)
	}
	s.trailer = nil
}

// Ready reports whether no Read has to wait for the host.
func (s *stream) Ready() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.whole
}

// Close implements io.Closer. It does not wait for a Read.
func (s *stream) Close() error {
	s.giveUp(http2.ErrCodeCancel)
	return nil
}

// giveUp ends the stream, if it is not over, and what is left of its answer.
func (s *stream) giveUp(code http2.ErrCode) {
	if s.gone.Swap(true) {
		return
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reset(s, code, errReadClosed)
	if s.came != nil {
		s.free()
	}
	wake(s.wake)
}

// free gives back what lay in came. The caller holds the lock.
func (s *stream) free() {
	if cap(*s.came) <= 2*chunk { // few answers need more
		buffers.Put(s.came)
	}
	s.came, s.read = nil, 0
}

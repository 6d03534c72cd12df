package wire

import (
	"context"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxOpen is how much of a body is kept to see whether that is all of it.
	maxOpen = 2 << 10
	// sniffed is how much of a body tells its type.
	sniffed = 512
	// maxOut is how much goes out at a time.
	maxOut = 8 << 10
)

// reply is the http.ResponseWriter of a plain request. It does what net/http's
// does for HTTP/1.1, but is not for 1xx answers.
type reply struct {
	c      *client
	cancel context.CancelFunc // of the request
	body   requestBody
	header http.Header
	// status is 0 before the head is written; headed is whether it is whole.
	status int
	headed bool
	buf    *[]byte // of buffers, what goes out next; nil is nothing
	held   []byte  // of a body whose length is not known yet
	length int64   // as the handler said, -1 if it did not
	sent   int64   // of the body
	// What the handler's fields say.
	dated, typed, encoded, chunked bool
	trailers                       []string
	close                          bool // the connection ends with this answer
	bounded                        bool // writes have a deadline of this answer's
	err                            error
}

// Header implements http.ResponseWriter.
func (w *reply) Header() http.Header { return w.header }

// SetWriteDeadline bounds the next writes of this answer, all but exactly.
func (w *reply) SetWriteDeadline(t time.Time) error {
	w.bounded = true
	if early := t.Sub(w.c.writeBy); !t.IsZero() && early >= 0 && early < time.Until(t)/16 {
		return nil
	}
	w.c.writeBy = t
	return w.c.net.SetWriteDeadline(t)
}

// SetReadDeadline bounds the reads of the body. Where all of it is there, nothing
// needs a bound.
func (w *reply) SetReadDeadline(t time.Time) error {
	if w.body.left.Load() <= int64(w.c.br.Buffered()) {
		return nil
	}
	w.c.readBy = t
	return w.c.net.SetReadDeadline(t)
}

// out is what goes out next.
func (w *reply) out() *[]byte {
	if w.buf == nil {
		w.buf = buffers.Get().(*[]byte)
		*w.buf = (*w.buf)[:0]
	}
	return w.buf
}

// hasBody reports whether an answer of this status has a body.
func hasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// WriteHeader implements http.ResponseWriter.
func (w *reply) WriteHeader(status int) {
	if w.status != 0 {
		w.c.s.logf("http: superfluous response.WriteHeader call")
		return
	}
	if status < 200 || status > 999 {
		w.c.s.logf("http: no status of an answer: %d", status)
		status = http.StatusInternalServerError
	}
	w.status = status
	buf := w.out()
	b := append(strconv.AppendInt(append(*buf, "HTTP/1.1 "...), int64(status), 10), ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = strconv.AppendInt(append(b, "status code "...), int64(status), 10)
	}
	b = append(b, "\r\n"...)
	var few [24]string
	for _, name := range sortedNames(w.header, few[:0]) {
		if values := w.header[name]; isToken(name) && w.pass(name, values) {
			b = appendLines(b, name, values)
		}
	}
	*buf = b
}

// pass notes what a field of the handler's says, and reports whether it is
// written as it stands.
func (w *reply) pass(name string, values []string) bool {
	switch name {
	case "Content-Length":
		if !hasBody(w.status) {
			return false
		}
		n, err := strconv.ParseUint(textproto.TrimString(first(values)), 10, 63)
		if err != nil {
			w.c.s.logf("http: invalid Content-Length of %q", first(values))
			return false
		}
		w.length = int64(n)
		return false // written in the end, once
	case "Content-Type":
		w.typed = true
		return w.status != http.StatusNotModified
	case "Content-Encoding":
		w.encoded = first(values) != ""
	case "Date":
		w.dated = true
	case "Connection":
		w.close = w.close || strings.EqualFold(first(values), "close")
		return false
	case "Transfer-Encoding":
		return false
	case "Trailer":
		for _, v := range values {
			for t := range strings.SplitSeq(v, ",") {
				if t = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(t)); mayTrail(t) {
					w.trailers = append(w.trailers, t)
				}
			}
		}
	default:
		return true
	}
	return true
}

// mayTrail reports whether a field may come after the body: none that says how
// to read the message, or what to do with it.
func mayTrail(name string) bool {
	return isToken(name) && !strings.HasPrefix(name, "If-") && !slices.Contains(untrailed, name)
}

var untrailed = []string{"Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Expect", "Host",
	"Keep-Alive", "Max-Forwards", "Pragma", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Range", "Realm", "Te", "Trailer", "Transfer-Encoding", "Www-Authenticate"}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// appendLines appends a field as net/http does: no value can end its line.
func appendLines(b []byte, name string, values []string) []byte {
	for _, v := range values {
		b = append(append(b, name...), ": "...)
		at := len(b)
		b = append(append(b, textproto.TrimString(v)...), "\r\n"...)
		for i, c := range b[at : len(b)-2] {
			if c == '\r' || c == '\n' {
				b[at+i] = ' '
			}
		}
	}
	return b
}

// endHead ends the head, before begin, the beginning of the body; all is whether
// that is all of it.
func (w *reply) endHead(begin []byte, all bool) {
	w.headed = true
	if w.c.s.closing.Load() || !w.close && !w.body.discard() {
		w.close = true
	}
	buf := w.out()
	b := *buf
	if hasBody(w.status) {
		if all && w.length < 0 && len(w.trailers) == 0 && !w.hasLateTrailers() {
			w.length = int64(len(begin))
		}
		if w.length >= 0 {
			b = append(strconv.AppendInt(append(b, "Content-Length: "...), w.length, 10), "\r\n"...)
		} else {
			w.chunked = true
		}
		if !w.typed && !w.encoded && len(begin) > 0 {
			b = append(append(append(b, "Content-Type: "...), http.DetectContentType(begin)...), "\r\n"...)
		}
	}
	if !w.dated {
		b = append(time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat), "\r\n"...)
	}
	if w.close {
		b = append(b, "Connection: close\r\n"...)
	}
	if w.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	*buf = append(b, "\r\n"...)
}

// Write implements http.ResponseWriter.
func (w *reply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case len(p) == 0:
		return 0, nil
	case !hasBody(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && w.sent+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	}
	w.sent += int64(len(p))
	if !w.headed && w.length < 0 && len(w.held)+len(p) <= maxOpen {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	w.open(p)
	w.frame(p)
	if len(*w.out()) >= maxOut {
		w.flush()
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// open ends the head, if that is still to be done, and lets out what was held;
// next is what follows.
func (w *reply) open(next []byte) {
	if w.headed {
		return
	}
	held := w.held
	if len(held) > 0 {
		next = append(held, next[:min(len(next), sniffed)]...)
	}
	w.endHead(next, false)
	if w.held = nil; len(held) > 0 {
		w.frame(held)
	}
}

// frame lets out some of the body.
func (w *reply) frame(p []byte) {
	buf := w.out()
	b := *buf
	if w.chunked {
		b = append(strconv.AppendInt(b, int64(len(p)), 16), "\r\n"...)
	}
	b = append(b, p...)
	if w.chunked {
		b = append(b, "\r\n"...)
	}
	*buf = b
}

// Flush implements http.Flusher.
func (w *reply) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.open(nil)
	w.flush()
}

// flush sends what is to go out.
func (w *reply) flush() {
	if w.buf == nil {
		return
	}
	if !w.bounded && !w.c.writeBy.IsZero() { // that was the last answer's
		_ = w.SetWriteDeadline(time.Time{})
	}
	if len(*w.buf) > 0 && w.err == nil {
		if _, w.err = w.c.net.Write(*w.buf); w.err != nil {
			w.cancel()
		}
	}
	w.drop()
}

// drop lets go of what was to go out.
func (w *reply) drop() {
	if w.buf != nil {
		buffers.Put(w.buf)
		w.buf = nil
	}
}

// hasLateTrailers reports whether there are trailers that were not announced.
func (w *reply) hasLateTrailers() bool {
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// finish ends the answer, and reports whether the connection can bear another.
func (w *reply) finish() bool {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.headed {
		held := w.held
		w.endHead(held, true)
		if len(held) > 0 {
			w.frame(held)
		}
	}
	if w.chunked {
		buf := w.out()
		b := append(*buf, "0\r\n"...)
		for _, name := range w.trailers {
			b = appendLines(b, name, w.header[name])
		}
		for name, values := range w.header {
			if late, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && isToken(late) {
				b = appendLines(b, late, values)
			}
		}
		*buf = append(b, "\r\n"...)
	}
	w.flush()
	return w.err == nil && !w.close && (!hasBody(w.status) || w.length < 0 || w.sent == w.length)
}

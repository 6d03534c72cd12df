package sim

import (
	"io"
	"net/http"
	"time"
)

// stream writes server-sent events, each flushed at once.
type stream struct {
	c    *call
	to   *http.ResponseController
	gap  time.Duration
	left int // pieces until a cut
	gone bool
}

// openStream waits for the first token and starts an event stream whose pieces
// spread over the rest of the answer's time.
func (c *call) openStream() *stream {
	first := c.took / 3
	if !c.pause(first) {
		panic(http.ErrAbortHandler)
	}
	h := c.w.Header()
	if c.u.dialect.stamp != nil {
		c.u.dialect.stamp(c, h)
	}
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	s := &stream{c: c, to: http.NewResponseController(c.w), left: -1,
		gap: (c.took - first) / time.Duration(max(1, len(c.pieces)))}
	if c.cut {
		s.left = len(c.pieces) / 2
	}
	return s
}

// event sends one event; name "" sends data alone.
func (s *stream) event(name string, v any) { s.raw(name, encode(v)) }

func (s *stream) raw(name, data string) {
	if s.gone {
		return
	}
	if name != "" {
		name = "event: " + name + "\n"
	}
	if _, err := io.WriteString(s.c.w, name+"data: "+data+"\n\n"); err != nil || s.to.Flush() != nil {
		s.gone = true
	}
}

// each sends the answer's pieces, one after the other.
func (s *stream) each(send func(piece string)) {
	for _, piece := range s.c.pieces {
		if s.left == 0 || s.gone || !s.c.pause(s.gap) {
			panic(http.ErrAbortHandler) // no clean end
		}
		s.left--
		send(piece)
	}
}

package proxy

import (
	"io"
	"net/http"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
)

const (
	// maxHeld and holdTime bound what of a stream's beginning is held back
	// while it is only metadata.
	maxHeld  = 64 << 10
	holdTime = time.Second
	// maxPeek is the largest JSON body that is read whole before its head goes
	// out: errors that hide under a 200 are small.
	maxPeek = 16 << 10
)

// form is what a body is, as far as it concerns reading it in passing.
type form uint8

const (
	opaque form = iota // not read: other types, or encoded
	document
	stream
)

func formOf(h http.Header) form {
	if enc := h["Content-Encoding"]; len(enc) > 0 && enc[0] != "identity" {
		return opaque
	}
	ct := h["Content-Type"]
	switch {
	case len(ct) == 0:
		return opaque
	case strings.HasPrefix(ct[0], "text/event-stream"):
		return stream
	case strings.HasPrefix(ct[0], "application/json"):
		return document
	default:
		return opaque
	}
}

// open looks at the beginning of an answer that says it is a success, and says
// what it is. What was read is given to the client first.
func (a *answerBody) open(p *provider.Provider, answer provider.Answer, res *http.Response) engine.Verdict {
	a.guard()
	switch a.form {
	case stream:
		return a.openStream(p.Open(answer))
	case document:
		buf := copyBuffers.Get().(*[maxPeek]byte)
		a.peek = buf
		n, whole := 0, false
		var err error
		if res.ContentLength >= 0 && res.ContentLength <= maxPeek {
			n, err = io.ReadFull(guarded{a}, buf[:res.ContentLength])
			whole = err == nil
		} else {
			// Of unknown length: what comes first tells enough, and is not
			// held back longer than that.
			n, err = a.ReadCloser.Read(buf[:])
			whole = err == io.EOF
		}
		if err == io.ErrUnexpectedEOF || err != nil && err != io.EOF {
			a.failed, a.broke = err, err
		} else if whole {
			a.failed = io.EOF
		}
		a.held = buf[:n]
		answer.Body, answer.Whole = a.held, whole
		v := p.Judge(answer)
		if whole && v.Kind == engine.OK {
			a.usage = p.UsageOf(answer)
		}
		return v
	default:
		return p.Judge(answer)
	}
}

// guarded reads a body as long as something comes.
type guarded struct{ *answerBody }

func (g guarded) Read(p []byte) (int, error) {
	g.guard()
	return g.ReadCloser.Read(p)
}

// arrival is what one read of a stream brought.
type arrival struct {
	buf []byte
	err error
}

// openStream holds a stream back until its first content, an error, or the
// bounds.
func (a *answerBody) openStream(o *provider.Opening) engine.Verdict {
	limit := time.NewTimer(holdTime)
	defer limit.Stop()
	for {
		// The read may outlast the patience: then the body waits for it.
		arrived := make(chan arrival, 1)
		go func() {
			buf := make([]byte, 4<<10)
			n, err := a.ReadCloser.Read(buf)
			arrived <- arrival{buf[:n], err}
		}()
		select {
		case got := <-arrived:
			a.held = append(a.held, got.buf...)
			says := o.Feed(got.buf)
			if got.err != nil {
				a.failed = got.err
				if got.err == io.EOF {
					says = o.End()
				}
			}
			if says == provider.Failure {
				return o.Verdict()
			}
			if says == provider.Content || got.err != nil || len(a.held) >= maxHeld {
				if says != provider.Content && got.err != io.EOF {
					a.broke = got.err
				}
				return succeeded
			}
		case <-limit.C:
			a.pending = arrived
			return succeeded
		}
	}
}

var succeeded = engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: http.StatusOK}}

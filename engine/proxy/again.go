package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"
)

// net/http itself repeats a request that upstream says it has not looked at: an
// HTTP/2 stream refused, or one after a GOAWAY. It does so six times in half a
// minute, while another key may be well. againTime is how long after its start
// a request may still be repeated so; then it is lost, and the next key's.
const againTime = 500 * time.Millisecond

var errRefusing = errors.New("it goes on refusing what is sent")

// again is what net/http asks for the body of a repeat.
func (b *body) again(begun time.Time) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if time.Since(begun) > againTime {
			return nil, errRefusing
		}
		return b.open(), nil
	}
}

// bodyless bounds the repeats of a request without a body, for which net/http
// asks nobody. The client's end of ctx releases what it takes.
func bodyless(ctx context.Context, req *http.Request) *http.Request {
	begun, tries := time.Now(), 0
	ctx, cancel := context.WithCancelCause(ctx)
	return req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if tries++; tries > 1 && time.Since(begun) > againTime {
			cancel(errRefusing)
		}
	}}))
}

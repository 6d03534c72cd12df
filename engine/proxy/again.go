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
// minute, while another key may be well. It may do so twice, which covers an
// upstream that moves on, and more often for againTime; then the request is
// lost, and the next key's.
const (
	againTime  = 2 * time.Second
	mostAgains = 2
)

var errRefusing = errors.New("it goes on refusing what is sent")

// again is what net/http asks for the body of a repeat.
func (b *body) again() (io.ReadCloser, error) {
	if b.agains++; b.agains > mostAgains && time.Since(b.begun) > againTime {
		return nil, errRefusing
	}
	return b.open(), nil
}

// bodyless bounds the repeats of a request without a body, for which net/http
// asks nobody. The client's end of ctx releases what it takes.
func bodyless(ctx context.Context, req *http.Request) *http.Request {
	begun, tries := time.Now(), 0
	ctx, cancel := context.WithCancelCause(ctx)
	return req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if tries++; tries > 1+mostAgains && time.Since(begun) > againTime {
			cancel(errRefusing)
		}
	}}))
}

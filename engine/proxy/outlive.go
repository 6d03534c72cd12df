package proxy

import (
	"context"
	"io"
	"net/http"
	"time"

	"keywheel/engine"
)

const (
	// runsOn is how long a create goes on whose client left, so that what it made
	// and what that cost are known; maxDrain is how much of its answer is read.
	runsOn   = time.Minute
	maxDrain = 64 << 20
)

// creates reports whether a request may make something that is billed whether
// or not the client is there to hear of it.
func creates(r *engine.Request) bool { return r.Method == http.MethodPost && !r.Repeatable }

// outlive is a context that ends runsOn after the client's does, or with end.
func outlive(client context.Context) (ctx context.Context, end context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() { time.AfterFunc(runsOn, cancel) })
	return ctx, func() {
		stop()
		cancel()
	}
}

// drain reads what the client left of the answer to a create.
func (a *answerBody) drain() {
	if a.err != nil {
		return
	}
	limit := time.AfterFunc(runsOn, a.end)
	defer limit.Stop()
	_, _ = io.CopyN(io.Discard, a, maxDrain)
}

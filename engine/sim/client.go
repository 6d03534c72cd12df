package sim

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Clients is what the world's clients saw.
type Clients struct {
	// Served requests were answered with 2xx, to the end; Failed ones were
	// not, after the retries that SDKs make; Left are clients that went away.
	Served, Failed, Left int64
	// Retried counts the retries.
	Retried int64
	// Status counts every answer by its status; 0 is none at all.
	Status map[int]int64
}

// Clients tells what the clients saw so far.
func (w *World) Clients() Clients {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clients
	c.Status = maps.Clone(c.Status)
	return c
}

func (w *World) tally(f func(*Clients)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.clients)
}

// errLeft is a client that went away on purpose.
var errLeft = errors.New("sim: the client left")

// retries is how often SDKs try again.
const retries = 2

// request does one request as an SDK would: twice again after a 408, 409, 429,
// 5xx or a broken connection before the answer, unless told not to.
func (w *World) request(ctx context.Context, base string, a ask) (body []byte, ok bool) {
	for attempt := 0; ; attempt++ {
		status, header, body, err := w.once(ctx, base, a)
		switch {
		case ctx.Err() != nil:
			return nil, false
		case errors.Is(err, errLeft):
			w.tally(func(c *Clients) { c.Left++ })
			return nil, false
		case err == nil && status < 400:
			w.tally(func(c *Clients) { c.Status[status]++; c.Served++ })
			return body, true
		}
		w.tally(func(c *Clients) { c.Status[status]++ })
		again, wait := retry(status, header, attempt)
		if !again || attempt == retries || status != 0 && status < 400 {
			w.tally(func(c *Clients) { c.Failed++ })
			return nil, false
		}
		w.tally(func(c *Clients) { c.Retried++ })
		if !sleepUntil(ctx, time.Now().Add(w.real(time.Duration(float64(wait)*a.jitter)))) {
			return nil, false
		}
	}
}

// retry is the rule of the official SDKs.
func retry(status int, header http.Header, attempt int) (bool, time.Duration) {
	wait := min(500*ms<<attempt, 8*sec)
	if after, err := strconv.ParseFloat(header.Get("Retry-After"), 64); err == nil && after > 0 && after <= 60 {
		wait = time.Duration(after * float64(sec))
	}
	switch should := header.Get("X-Should-Retry"); {
	case should == "true":
		return true, wait
	case should == "false":
		return false, 0
	}
	return status == 0 || status == 408 || status == 409 || status == 429 || status >= 500, wait
}

// once sends a request and reads the answer to its end.
func (w *World) once(ctx context.Context, base string, a ask) (int, http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, a.method, base+a.path, strings.NewReader(a.body))
	if err != nil {
		return 0, nil, nil, err
	}
	if a.header != nil {
		r.Header = a.header.Clone()
	}
	r.Header.Set("User-Agent", "keywheel-demo-client/1")
	if r.Header.Get("X-Api-Key") == "" {
		r.Header.Set("Authorization", "Bearer "+clientKey)
	}
	if a.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	if a.leaves && answer.StatusCode < 400 {
		_, _ = io.ReadFull(answer.Body, make([]byte, 256))
		return answer.StatusCode, answer.Header, nil, errLeft
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	return answer.StatusCode, answer.Header, body, err
}

package proxy

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// answerBody is the body of an answer that counts. It passes everything through
// as it comes, ends when upstream is silent for too long, and settles its lease
// when it is closed.
type answerBody struct {
	io.ReadCloser
	lease  *engine.Lease
	parent context.Context // the client's
	// watch closes the body when it is silent for idle; nil before the first
	// read that may have to wait.
	watch  *time.Timer
	idle   time.Duration
	silent atomic.Bool
	form   form
	tap    *provider.Tap // reads what was used as it passes; nil where that is known or cannot be
	usage  provider.Usage
	peek   *[maxPeek]byte // what held lies in, of copyBuffers; nil if it does not
	// held is what was read before the head went out, pending a read that was
	// still on its way then, failed how reading ended already.
	held    []byte
	pending chan arrival
	failed  error
	// broke is failed where that came before there was anything to let out.
	broke error
	// prices are what the model costs.
	prices []provider.Prices
	model  string
	learn  *learner // reads what was made as it passes; nil where nothing was
	// answer is whose body it is, redactor what its trailer passes. base has the
	// trailer where a read may go on unseen; nil is answer.
	answer   *http.Response
	base     *http.Response
	redactor *redactor
	// end ends the request that outlives its client; nil of one that does not.
	end    context.CancelFunc
	err    error // how the client's reading ended; nil while it has not
	closed sync.Once
}

func (a *answerBody) Read(p []byte) (n int, err error) {
	switch {
	case len(a.held) > 0:
		n = copy(p, a.held)
		a.held = a.held[n:]
	case a.pending != nil:
		a.guard()
		got := <-a.pending
		a.pending, a.held, a.failed = nil, got.buf, got.err
		return a.Read(p)
	case a.failed == nil:
		a.guard()
		n, err = a.ReadCloser.Read(p)
	}
	a.unguard() // a client that takes its time is not upstream's silence
	if err == nil && len(a.held) == 0 && a.failed != nil {
		err = a.failed
	}
	if n > 0 && a.tap != nil {
		_, _ = a.tap.Write(p[:n])
	}
	if a.learn != nil && !a.learn.pass(p[:n], err == io.EOF) {
		a.learn = nil
	}
	if err != nil {
		a.err = err
		if a.base != nil {
			a.answer.Trailer = a.base.Trailer
		}
		a.redactor.header(a.answer.Trailer)
	}
	return n, err
}

// apart is the answer for others to look at while a read of its body is still on
// its way, which may bring its trailer.
func (a *answerBody) apart(res *http.Response) *http.Response {
	answer := *res
	answer.Trailer = maps.Clone(res.Trailer)
	a.base, a.answer = res, &answer
	return a.answer
}

// guard begins to watch, or begins anew, for a body that says nothing.
func (a *answerBody) guard() {
	if b, ok := a.ReadCloser.(interface{ Ready() bool }); ok && b.Ready() {
		return // nothing is awaited
	}
	if a.watch != nil {
		a.watch.Reset(a.idle)
		return
	}
	a.watch = time.AfterFunc(a.idle, func() {
		a.silent.Store(true)
		_ = a.ReadCloser.Close()
	})
}

// unguard ends the watch.
func (a *answerBody) unguard() {
	if a.watch != nil {
		a.watch.Stop()
	}
}

// Close ends the answer and settles its lease. A body that was not read to its
// end is one whose client left, unless its last event had passed: some clients
// always leave then.
func (a *answerBody) Close() (err error) {
	a.closed.Do(func() {
		if a.end != nil {
			a.drain()
			defer a.end()
		}
		err = a.ReadCloser.Close()
		a.unguard()
		u := a.usage
		var inStream error
		ended := false
		if a.tap != nil {
			u, inStream, ended = a.tap.Usage(), a.tap.Err(), a.tap.Ended()
		}
		if u.Found {
			u.Price(a.lease.Key().Kind, a.model, a.prices...)
		}
		if a.peek != nil {
			a.held = nil
			copyBuffers.Put(a.peek)
		}
		cut := a.err
		switch {
		case inStream != nil:
			cut = errors.New(a.redactor.words(inStream.Error()))
		case cut == io.EOF, ended:
			cut = nil
		case a.silent.Load():
			cut = errSilent
		case cut == nil, a.parent.Err() != nil:
			cut = engine.ErrClientLeft
		default:
			cut = errors.New(lostWords(cut))
		}
		used := u.Usage
		used.Unpriced = u.Found && !u.Priced
		a.lease.Close(used, cut)
	})
	return err
}

// discard drops an answer whose request goes to another key.
func (a *answerBody) discard() {
	a.unguard()
	if a.peek != nil {
		a.held = nil
		copyBuffers.Put(a.peek)
	}
	_ = a.ReadCloser.Close()
}

// upgraded is a connection that is no longer HTTP: both ways pass, however
// silent they are, and however it ends it was served.
type upgraded struct {
	io.ReadWriteCloser
	answer *answerBody
}

func (u *upgraded) Close() error { return u.answer.Close() }

var copyBuffers = sync.Pool{New: func() any { return new([maxPeek]byte) }}

// hopByHop are the headers of a connection, not of a message.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade"}

// dropHopByHop deletes them, and those that Connection names.
func dropHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// ofOneKey reports whether a header speaks of one key alone: told to the client
// of a pool it would be untrue.
func ofOneKey(name string) bool {
	return strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-") ||
		name == "Ratelimit" || strings.HasPrefix(name, "Ratelimit-") || name == "Set-Cookie" ||
		name == "Openai-Organization" || name == "Openai-Project" || name == "Anthropic-Organization-Id"
}

// writeDeadliner is the part of net/http's response writer that bounds a write.
type writeDeadliner interface{ SetWriteDeadline(time.Time) error }

// relay passes an answer to the client, each chunk at once, and closes it. It
// reports whether the client has all of it; false breaks the connection.
func relay(w http.ResponseWriter, res *http.Response, idle time.Duration) (whole bool) {
	defer res.Body.Close()
	h := w.Header()
	dropHopByHop(res.Header)
	for name, values := range res.Header {
		if !ofOneKey(name) {
			h[name] = values
		}
	}
	announced := len(res.Trailer)
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	deadline, _ := w.(writeDeadliner)
	extend := func() {
		if deadline != nil {
			_ = deadline.SetWriteDeadline(time.Now().Add(idle))
		}
	}
	extend()
	w.WriteHeader(res.StatusCode)
	// What has no length is a stream: its head and each chunk go at once.
	flusher, _ := w.(http.Flusher)
	flowing := res.ContentLength < 0 && flusher != nil
	if flowing {
		flusher.Flush()
	}
	buf := copyBuffers.Get().(*[maxPeek]byte)
	defer copyBuffers.Put(buf)
	for first := true; ; first = false {
		n, err := res.Body.Read(buf[:])
		if n > 0 {
			if !first {
				extend()
			}
			if _, werr := w.Write(buf[:n]); werr != nil {
				return false
			}
			if flowing {
				flusher.Flush()
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			if flusher != nil {
				extend()
				flusher.Flush() // what came is the client's: it may tell what was made
			}
			return false
		}
	}
	prefix := ""
	if len(res.Trailer) != announced {
		prefix = http.TrailerPrefix
	}
	for name, values := range res.Trailer {
		for _, v := range values {
			h.Add(prefix+name, v)
		}
	}
	return true
}

// attemptWords are the usual numbers of attempts, so that most answers need no
// allocation for theirs.
var attemptWords = [...][]string{{"0"}, {"1"}, {"2"}, {"3"}, {"4"}}

func attempts(n int) []string {
	if n < len(attemptWords) {
		return attemptWords[n][:1:1]
	}
	return []string{strconv.Itoa(n)}
}

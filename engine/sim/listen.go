package sim

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// listener is an upstream's server on a loopback port.
type listener struct {
	server *http.Server
	url    string
	cancel context.CancelFunc
	conns  sync.WaitGroup

	mu      sync.Mutex
	closing bool
}

// Start listens on a free port of 127.0.0.1 until [Upstream.Close].
func (u *Upstream) Start() error {
	if u.listener != nil {
		return errors.New("sim: upstream is started already")
	}
	socket, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{url: "http://" + socket.Addr().String(), cancel: cancel}
	l.server = &http.Server{
		Handler:           u,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         l.track,
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
	u.listener = l
	l.conns.Go(func() { _ = l.server.Serve(socket) }) // ends with ErrServerClosed
	return nil
}

// track counts connections, so that Close can wait for the last.
func (l *listener) track(c net.Conn, to http.ConnState) {
	switch to {
	case http.StateNew:
		l.conns.Add(1) // never from zero: Serve itself is counted
		l.mu.Lock()
		closing := l.closing
		l.mu.Unlock()
		if closing {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		l.conns.Done()
	}
}

// URL is where it listens, without a path; "" before [Upstream.Start].
func (u *Upstream) URL() string {
	if u.listener == nil {
		return ""
	}
	return u.listener.url
}

// BaseURL is what a config names as the provider's base URL.
func (u *Upstream) BaseURL() string { return u.URL() + u.BasePath() }

// Close stops listening, breaks what is running, and waits for it to end. An
// upstream that was not started needs no Close.
func (u *Upstream) Close() error {
	l := u.listener
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.cancel()
	err := l.server.Close()
	l.conns.Wait()
	return err
}

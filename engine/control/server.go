package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"keywheel/engine"
)

// Source is what a server shows and steers: the engine as a node presents it.
type Source interface {
	Snapshot() engine.Snapshot
	Events(after uint64) []engine.Event
	Do(engine.Action) (engine.Result, error)
}

// Server serves a source over a unix socket.
type Server struct {
	source Source
	http   http.Server
	done   chan struct{}
}

// Serve begins to serve on l. [Server.Close] ends it.
func Serve(l net.Listener, s Source) *Server {
	srv := &Server{source: s, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/snapshot", srv.snapshot)
	mux.HandleFunc("GET /v1/events", srv.events)
	mux.HandleFunc("POST /v1/actions", srv.actions)
	srv.http = http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			uid, err := peer(c)
			return context.WithValue(ctx, peerKey{}, peerInfo{uid, err})
		},
	}
	go func() {
		defer close(srv.done)
		_ = srv.http.Serve(l)
	}()
	return srv
}

// Close ends the server and waits for it.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

type peerKey struct{}

type peerInfo struct {
	uid int // -1: the system does not tell
	err error
}

// let tells who is at the other end, and refuses all but the owner and root.
func let(w http.ResponseWriter, r *http.Request) (who string, ok bool) {
	p, _ := r.Context().Value(peerKey{}).(peerInfo)
	if p.err != nil || p.uid >= 0 && p.uid != os.Getuid() && p.uid != 0 {
		fail(w, http.StatusForbidden, errors.New("only the owner of this keywheel may use its socket"))
		return "", false
	}
	who = "operator"
	if p.uid >= 0 {
		who = "uid " + strconv.Itoa(p.uid)
		if u, err := user.LookupId(strconv.Itoa(p.uid)); err == nil {
			who = u.Username
		}
	}
	return who, true
}

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	if who, ok := let(w, r); ok {
		snap := s.source.Snapshot()
		snap.You = who
		reply(w, http.StatusOK, snap)
	}
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if _, ok := let(w, r); !ok {
		return
	}
	after := uint64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			fail(w, http.StatusBadRequest, fmt.Errorf("after: %q is not a sequence number", text))
			return
		}
		after = n
	}
	list := s.source.Events(after)
	if list == nil {
		list = []engine.Event{}
	}
	reply(w, http.StatusOK, list)
}

func (s *Server) actions(w http.ResponseWriter, r *http.Request) {
	who, ok := let(w, r)
	if !ok {
		return
	}
	var a engine.Action
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("not an action: %w", err))
		return
	}
	a.By = who
	result, err := s.source.Do(a)
	if err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	reply(w, http.StatusOK, result)
}

// failure is how an error goes over the socket.
type failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, err error) { reply(w, status, failure{err.Error()}) }

func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

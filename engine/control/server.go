package control

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// Source is what a server shows and steers: the engine as a node presents it.
type Source interface {
	Snapshot() engine.Snapshot
	Events(after uint64) []engine.Event
	// Wait returns the events after a sequence number as soon as there is one,
	// or ctx's error.
	Wait(ctx context.Context, after uint64) ([]engine.Event, error)
	// Requests returns those that ended after a sequence number, the oldest
	// first.
	Requests(after uint64) []engine.RequestRecord
	Do(engine.Action) (engine.Result, error)
}

// Server serves a source over a unix socket.
type Server struct {
	source Source
	feed   *feed
	http   http.Server
	done   chan struct{}
	// stop ends the requests that last.
	stop context.CancelFunc
	// streams holds one place for each stream.
	streams chan struct{}
	// patience is how long a client may take to read what is sent to it.
	patience time.Duration
}

// readPatience is the patience of a [Server].
const readPatience = 10 * time.Second

// Watching is how many follow the events: one for each attached monitor, one
// for each `keywheel events --follow`.
func (s *Server) Watching() int { return len(s.streams) }

// Serve begins to serve on l. [Server.Close] ends it.
func Serve(l net.Listener, s Source) *Server { return serveTo(l, s, readPatience) }

func serveTo(l net.Listener, s Source, patience time.Duration) *Server {
	ctx, stop := context.WithCancel(context.Background())
	srv := &Server{source: s, feed: newFeed(s), done: make(chan struct{}), stop: stop, streams: make(chan struct{}, maxStreams), patience: patience}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/snapshot", srv.snapshot)
	mux.HandleFunc("GET /v1/events", srv.events)
	mux.HandleFunc("GET /v1/requests", srv.requests)
	mux.HandleFunc("GET /v1/system", srv.system)
	mux.HandleFunc("GET /v1/spent", srv.spent)
	mux.HandleFunc("POST /v1/actions", srv.actions)
	mux.HandleFunc("POST /v1/replace", srv.replace)
	mux.HandleFunc("POST /v1/migrate", srv.migrate)
	mux.HandleFunc("POST /v1/test", srv.test)
	mux.Handle("GET /metrics", metricsHandler(s))
	srv.http = http.Server{
		Handler:           guard(mux),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // a stream has its own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			uid, pid, err := peer(c)
			return context.WithValue(ctx, peerKey{}, peerInfo{uid, pid, err})
		},
	}
	go func() {
		defer close(srv.done)
		_ = srv.http.Serve(l)
	}()
	return srv
}

// closing is how long the requests under way may take when a server is closed.
// Streams end at once.
const closing = time.Second

// Close ends the server and waits for it.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

type peerKey struct{}

type peerInfo struct {
	uid int // -1: the system does not tell
	pid int // 0: the system does not tell
	err error
}

// mayEnter reports whether the peer is the owner or root; where the system
// does not tell, the socket's permissions have let it in.
func (p peerInfo) mayEnter() bool {
	return p.err == nil && (p.uid < 0 || p.uid == os.Getuid() || p.uid == 0)
}

// name is who the peer is, for people, without where it sits.
func (p peerInfo) name() string {
	if p.uid < 0 {
		return "operator"
	}
	if u, err := user.LookupId(strconv.Itoa(p.uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(p.uid)
}

// nameOf is who asks, for people: the user by the socket's word, and the
// terminal by the client's own, so that one user at two terminals is two. Who
// names no terminal is known by its process.
func nameOf(r *http.Request) string {
	p := peerOf(r)
	if t := r.Header.Get(terminalHeader); isTerminal(t) {
		return p.name() + " " + t
	}
	if p.pid > 0 {
		return p.name() + " pid " + strconv.Itoa(p.pid)
	}
	return p.name()
}

func peerOf(r *http.Request) peerInfo {
	p, ok := r.Context().Value(peerKey{}).(peerInfo)
	if !ok {
		p.err = errors.New("nobody knows who it is")
	}
	return p
}

// guard refuses all but the owner and root, whatever they ask for.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !peerOf(r).mayEnter() {
			fail(w, http.StatusForbidden, errors.New("only the owner of this keywheel may use its socket"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("since") {
		s.delta(w, r)
		return
	}
	snap := s.source.Snapshot()
	snap.You = nameOf(r)
	reply(w, http.StatusOK, snap)
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	after, err := afterOf(r)
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, err)
	case wantsStream(r):
		s.stream(w, r, after)
	default:
		replyList(w, s.source.Events(after))
	}
}

func (s *Server) requests(w http.ResponseWriter, r *http.Request) {
	after, err := afterOf(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	replyList(w, s.source.Requests(after))
}

// system tells of the process, where the source knows it: an engine by itself
// does not.
func (s *Server) system(w http.ResponseWriter, _ *http.Request) {
	if p, ok := s.source.(interface{ System() engine.SystemStatus }); ok {
		reply(w, http.StatusOK, p.System())
		return
	}
	fail(w, http.StatusNotFound, errors.New("nobody here knows of the process"))
}

// spent tells what was used since the start, where the source counts it.
func (s *Server) spent(w http.ResponseWriter, _ *http.Request) {
	if p, ok := s.source.(interface{ Spent() []engine.Spent }); ok {
		reply(w, http.StatusOK, p.Spent())
		return
	}
	fail(w, http.StatusNotFound, errors.New("nobody here counts what was used"))
}

func (s *Server) actions(w http.ResponseWriter, r *http.Request) {
	var a engine.Action
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("not an action: %w", err))
		return
	}
	a.By = nameOf(r)
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

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, failure{secret.Hide(err.Error())})
}

func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// replyList answers with a list, also where it is empty.
func replyList[T any](w http.ResponseWriter, list []T) {
	if list == nil {
		list = []T{}
	}
	reply(w, http.StatusOK, list)
}

// replyCompressed is an answer of 200 that may be long.
func replyCompressed(w http.ResponseWriter, r *http.Request, v any) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		reply(w, http.StatusOK, v)
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, errors.New("the answer could not be written"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(w)
	_, _ = z.Write(text)
	_ = z.Close()
}

// compressors are used again: each is most of a megabyte.
var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one there is
	return z
}}

package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine"
)

// source is an engine that remembers what it was asked.
type source struct {
	mu      sync.Mutex
	actions []engine.Action
}

func (s *source) Snapshot() engine.Snapshot {
	return engine.Snapshot{Version: 1, Services: []engine.ServiceStatus{{Name: "svc"}}, Keys: []engine.KeyStatus{{Name: "k1", State: engine.Revoked}}}
}

func (s *source) Events(after uint64) []engine.Event {
	if after >= 2 {
		return nil
	}
	return []engine.Event{{Seq: 2, Kind: engine.EventDown, Text: "down"}}
}

func (s *source) Wait(ctx context.Context, after uint64) ([]engine.Event, error) {
	if list := s.Events(after); len(list) > 0 {
		return list, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *source) Requests(after uint64) []engine.RequestRecord {
	if after >= 7 {
		return nil
	}
	return []engine.RequestRecord{{Seq: 7, Service: "svc", Attempts: []engine.AttemptRecord{{Key: "k1", Verdict: engine.RateLimited, Status: 429}}}}
}

func (s *source) System() engine.SystemStatus {
	return engine.SystemStatus{Version: "v9", Journal: &engine.JournalStatus{Queued: 3}}
}

func (s *source) Do(a engine.Action) (engine.Result, error) {
	if a.Key == "bad" {
		return engine.Result{}, errors.New("there is no key \"bad\"")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions = append(s.actions, a)
	return engine.Result{Text: "done", Undoable: true}, nil
}

// serveSource serves a source over a socket until the test ends.
func serveSource(t testing.TB, src Source, patience time.Duration) (*Client, *Server) {
	t.Helper()
	l, err := Listen(filepath.Join(t.TempDir(), "dir", "5399.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := serveTo(l, src, patience)
	t.Cleanup(func() { _ = s.Close() })
	return NewClient(l.Addr().String()), s
}

func serve(t *testing.T) (*Client, *source, string) {
	t.Helper()
	src := &source{}
	c, _ := serveSource(t, src, readPatience)
	return c, src, c.Socket()
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	c, src, path := serve(t)
	ctx := context.Background()
	s, err := c.Snapshot(ctx)
	if err != nil || s.Version != 1 || s.Services[0].Name != "svc" || s.Keys[0].State != engine.Revoked {
		t.Errorf("%+v, %v", s, err)
	}
	for after, want := range map[uint64]int{0: 1, 2: 0} {
		if list, err := c.Events(ctx, after); err != nil || len(list) != want {
			t.Errorf("after %d: %v, %v", after, list, err)
		}
	}
	for after, want := range map[uint64]int{0: 1, 7: 0} {
		list, err := c.Requests(ctx, after)
		if err != nil || len(list) != want || want > 0 && list[0].Attempts[0].Verdict != engine.RateLimited {
			t.Errorf("requests after %d: %v, %v", after, list, err)
		}
	}
	if s, err := c.System(ctx); err != nil || s.Version != "v9" || s.Journal.Queued != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	if r, err := c.Do(ctx, engine.Action{Verb: engine.VerbDisable, Key: "k1", ForS: 60, By: "somebody else"}); err != nil || r.Text != "done" || !r.Undoable {
		t.Errorf("%+v, %v", r, err)
	}
	if a := src.actions[0]; a.Verb != engine.VerbDisable || a.Key != "k1" || a.ForS != 60 || a.By == "somebody else" || a.By == "" {
		t.Errorf("arrived as %+v", a)
	}
	if _, err := c.Do(ctx, engine.Action{Verb: engine.VerbDisable, Key: "bad"}); err == nil || err.Error() != "there is no key \"bad\"" {
		t.Errorf("got %v", err)
	}
	for want, at := range map[os.FileMode]string{0o600: path, 0o700: filepath.Dir(path)} {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", at, info.Mode().Perm(), err, want)
		}
	}
}

func TestWhatTheSocketDoesNotTake(t *testing.T) {
	t.Parallel()
	c, src, _ := serve(t)
	for _, r := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/actions", `{"verb":"disable","key":"k1","unknown":1}`, 400},
		{"POST", "/v1/actions", `{"verb":`, 400},
		{"POST", "/v1/actions", strings.Repeat("x", 100<<10), 400},
		{"GET", "/v1/events?after=-1", "", 400},
		{"GET", "/v1/requests?after=x", "", 400},
		{"GET", "/v1/nothing", "", 404},
		{"DELETE", "/v1/snapshot", "", 405},
	} {
		req, _ := http.NewRequest(r.method, "http://keywheel"+r.path, strings.NewReader(r.body))
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != r.status {
			t.Errorf("%s %s: %d, want %d", r.method, r.path, res.StatusCode, r.status)
		}
	}
	if len(src.actions) > 0 {
		t.Errorf("carried out %+v", src.actions)
	}
}

func TestOnlyTheOwnerAndRootEnter(t *testing.T) {
	t.Parallel()
	h := guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for _, c := range []struct {
		name   string
		peer   any
		status int
	}{
		{"the owner", peerInfo{uid: os.Getuid()}, 200},
		{"root", peerInfo{uid: 0}, 200},
		{"a system that does not tell", peerInfo{uid: -1}, 200},
		{"another", peerInfo{uid: os.Getuid() + 1}, 403},
		{"one who could not be asked", peerInfo{uid: os.Getuid(), err: errors.New("no")}, 403},
		{"nobody", nil, 403},
	} {
		for _, path := range []string{"/v1/snapshot", "/v1/events", "/metrics"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, path, nil)
			if h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, c.peer))); w.Code != c.status {
				t.Errorf("%s on %s: %d, want %d", c.name, path, w.Code, c.status)
			}
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := func(name string) (string, bool) {
		return dir, name == "XDG_RUNTIME_DIR"
	}
	var none *NoInstanceError
	if _, err := Find(env); !errors.As(err, &none) {
		t.Errorf("nothing runs: %v", err)
	}
	open := func(port string, demo bool) string {
		path, err := Path(env, port, demo)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		s := Serve(l, &source{})
		t.Cleanup(func() { _ = s.Close() })
		return path
	}
	demo := open("1234", true)
	if got, err := Find(env); got != demo {
		t.Errorf("only a demo runs: %q, %v", got, err)
	}
	first := open("5399", false)
	if got, err := Find(env); got != first {
		t.Errorf("one runs beside a demo: %q, %v", got, err)
	}
	open("5400", false)
	var several *SeveralError
	if _, err := Find(env); !errors.As(err, &several) || len(several.Sockets) != 2 {
		t.Errorf("two run: %v", err)
	}
	named := func(name string) (string, bool) { return "/x/y.sock", name == "KEYWHEEL_SOCKET" }
	if got, err := Find(named); got != "/x/y.sock" || err != nil {
		t.Errorf("named: %q, %v", got, err)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wide := filepath.Join(dir, "keywheel")
	if err := os.Mkdir(wide, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(wide, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	for _, c := range []struct {
		named string
		demo  bool
		want  string
	}{
		{"", false, wide + "/5399.sock"},
		{"", true, wide + "/demo-5399.sock"},
		{"/x/y.sock", false, "/x/y.sock"},
		{"/x/y.sock", true, wide + "/demo-5399.sock"},
	} {
		env := map[string]string{"XDG_RUNTIME_DIR": dir, "KEYWHEEL_SOCKET": c.named}
		got, err := Path(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, "5399", c.demo)
		if got != c.want || err != nil {
			t.Errorf("KEYWHEEL_SOCKET=%s, demo %v: %s, %v", c.named, c.demo, got, err)
		}
	}
	if info, err := os.Stat(wide); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("our directory is open to others: %v, %v", info.Mode(), err)
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 100))); err == nil || !strings.Contains(err.Error(), "--socket") {
		t.Errorf("a path that is too long: %v", err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "5399.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another keywheel is alive") {
		t.Errorf("over a live one: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close() // as after kill -9: the socket stays behind
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("over a stale one: %v", err)
	}
	_ = l.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("a file that is no socket was taken away")
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	_, err := NewClient(filepath.Join(t.TempDir(), "gone.sock")).Do(context.Background(), engine.Action{Verb: engine.VerbUndo})
	if err == nil || !strings.HasPrefix(err.Error(), "not done: keywheel is not running") {
		t.Errorf("got %v", err)
	}
}

func TestAStrangersSocketIsNotTrusted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		uid, self int
		want      bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 0, true}, {-1, 1000, true}, {1001, 1000, false}} {
		if got := trusted(tt.uid, tt.self); got != tt.want {
			t.Errorf("the socket of %d, seen by %d: %v", tt.uid, tt.self, got)
		}
	}
}

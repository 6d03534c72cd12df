package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/secret"
)

const fake = "sk-test-not-a-key-"

// home is a node on a config of real files, before an upstream that takes the
// secrets it is told to.
type home struct {
	t   *testing.T
	dir string
	up  *httptest.Server
	*Node
	options config.Options

	mu sync.Mutex
	// served counts by secret, without fake; refused are those it rejects.
	served  map[string]int
	refused map[string]bool
	// hold keeps the streams open.
	hold chan struct{}
}

func newHome(t *testing.T) *home {
	h := &home{t: t, dir: t.TempDir(), served: map[string]int{}, refused: map[string]bool{}, hold: make(chan struct{})}
	h.up = httptest.NewServer(http.HandlerFunc(h.answer))
	t.Cleanup(h.up.Close)
	state := filepath.Join(h.dir, "state")
	h.options = config.Options{Path: filepath.Join(h.dir, "keywheel.toml"), Dir: h.dir, LookupEnv: func(name string) (string, bool) {
		v, ok := map[string]string{"XDG_STATE_HOME": state, "PATH": os.Getenv("PATH")}[name]
		return v, ok
	}}
	return h
}

func (h *home) answer(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "+fake)
	h.mu.Lock()
	bad := h.refused[key]
	if !bad && r.Method == http.MethodPost {
		h.served[key]++
	}
	h.mu.Unlock()
	if bad {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(401)
		fmt.Fprint(w, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}`)
		return
	}
	if r.URL.Path == "/v1/files" {
		fmt.Fprint(w, `{"id":"file-abc123","object":"file"}`)
		return
	}
	if r.URL.Path == "/v1/responses" {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"first\"}\n\n")
		w.(http.Flusher).Flush()
		<-h.hold
		fmt.Fprint(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n")
		return
	}
	fmt.Fprint(w, `{"object":"list","data":[]}`)
}

// write puts a file in place as editors do.
func (h *home) write(name, text string) {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		h.t.Fatal(err)
	}
}

// toml writes a config of service "svc" with keys "name ref".
func (h *home) toml(keys ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "listen = \"127.0.0.1:0\"\n[providers.p]\nkind = \"openai\"\nbase_url = %q\n", h.up.URL+"/v1")
	var names []string
	for _, k := range keys {
		name, ref, _ := strings.Cut(k, " ")
		names = append(names, fmt.Sprintf("%q", name))
		fmt.Fprintf(&b, "[keys.%s]\nprovider = \"p\"\nsecret = %q\n", name, ref)
	}
	fmt.Fprintf(&b, "[services.svc]\nkeys = [%s]\n", strings.Join(names, ", "))
	h.write("keywheel.toml", b.String())
}

func (h *home) start() {
	h.t.Helper()
	load := config.Loader(h.options)
	cfg, err := load(true)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.Node, err = Start(Options{Config: cfg, Load: load}); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = h.Stop(context.Background()) })
}

// post makes one request and gives its answer's status and text.
func (h *home) post(path string) (int, string) {
	res, err := http.Post("http://"+h.Addr()+"/svc/v1"+path, "application/json", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// stream begins a stream and waits for its first event; what it returns reads
// the rest.
func (h *home) stream() (rest func() string) {
	h.t.Helper()
	res, err := http.Post("http://"+h.Addr()+"/svc/v1/responses", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
	if err != nil {
		h.t.Fatal(err)
	}
	in := bufio.NewReader(res.Body)
	if line, err := in.ReadString('\n'); err != nil || res.StatusCode != 200 {
		h.t.Fatalf("%d %q %v", res.StatusCode, line, err)
	}
	return func() string {
		defer res.Body.Close()
		text, err := io.ReadAll(in)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
}

// await waits for an event after which done holds.
func (h *home) await(what string, done func(engine.Snapshot) bool) engine.Snapshot {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for after := uint64(0); ; {
		if s := h.Snapshot(); done(s) {
			return s
		}
		wait, stop := context.WithTimeout(ctx, 250*time.Millisecond) // not all that changes has an event
		list, err := h.Wait(wait, after)
		stop()
		if wait.Err() != nil && ctx.Err() == nil {
			continue
		}
		if err != nil {
			h.t.Fatalf("%s: never; %s", what, h.texts())
		}
		after = list[len(list)-1].Seq
	}
}

func (h *home) awaitEvent(text string) {
	h.t.Helper()
	h.await(text, func(engine.Snapshot) bool { return strings.Contains(h.texts(), text) })
}

func (h *home) texts() string {
	var all []string
	for _, ev := range h.Events(0) {
		all = append(all, string(ev.Kind)+" "+ev.Text)
	}
	return strings.Join(all, "\n")
}

func (h *home) count(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.served[key]
}

func (h *home) refuse(key string, yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[key] = yes
}

func (h *home) key(name string) engine.KeyStatus { return h.statusOf(name) }

// TestReloadsUnderLoad reloads 200 times while clients ask without pause. No
// request fails, and nothing is left of it. How long a reload takes is logged.
//
//	KEYWHEEL_RELOADS=1000 go test -run ReloadsUnderLoad -v ./engine/node
func TestReloadsUnderLoad(t *testing.T) { // alone, for it counts what is left
	reloads := 200
	if n, err := strconv.Atoi(os.Getenv("KEYWHEEL_RELOADS")); err == nil && n > reloads {
		reloads = n
	}
	h := newHome(t)
	for i := range 4 {
		h.write(fmt.Sprint("key", i), fake+fmt.Sprint(i))
	}
	configs := [][]string{
		{"a file:key0", "b file:key1"}, {"b file:key1", "c file:key2", "d file:key3"}, {"a file:key2", "d file:key3"},
	}
	h.toml(configs[0]...)
	h.start()
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	ended := sync.OnceFunc(func() { close(stop); clients.Wait() })
	defer ended()
	for range 6 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if status, text := h.post("/chat/completions"); status != 200 {
					failed.Add(1)
					t.Errorf("%d %s", status, text)
				}
			}
		})
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var took []time.Duration
	var before uint64
	goroutines := 0
	for i := range reloads {
		if i == 50 { // what is made once is made by now
			before, goroutines = heap(), runtime.NumGoroutine()
		}
		h.toml(configs[i%len(configs)]...)
		h.write("key3", fake+"3-"+fmt.Sprint(i))
		was, begun := asked.Load(), time.Now()
		if err := h.Reload(false); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begun))
		waitFor(t, func() bool { return asked.Load() > was }) // however slow the clients are
	}
	after := heap()
	ended()
	slices.Sort(took)
	t.Logf("%d requests, %d failed; reloads took %v in the middle, %v at most; heap %d KB, then %d KB", asked.Load(), failed.Load(),
		took[reloads/2], took[reloads-1], before>>10, after>>10)
	if after > before+8<<20 {
		t.Errorf("heap grew from %d to %d", before, after)
	}
	await(t, func() bool { return runtime.NumGoroutine() <= goroutines+20 }, func() string {
		return fmt.Sprintf("goroutines grew from %d to %d", goroutines, runtime.NumGoroutine())
	})
	if asked.Load() < 200 || h.Snapshot().Proxy.InFlight != 0 {
		t.Errorf("%d asked, %d in flight", asked.Load(), h.Snapshot().Proxy.InFlight)
	}
}

func TestABrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.start()
	for _, broken := range []struct {
		text string
		line int
		want string
	}{
		{"listen = \"127.0.0.1:0\"\n[keys.a]\nprovider = ?\n", 3, ""},
		{"[keys.a]\nprovider = \"openai\"\nsecret = \"file:key\"\nwieght = 3\n[services.svc]\nkeys = [\"a\"]\n", 4, "did you mean \"weight\""},
	} {
		h.write("keywheel.toml", broken.text)
		s := h.await("a problem", func(s engine.Snapshot) bool {
			return len(s.Config.Problems) > 0 && s.Config.Problems[0].Line == broken.line
		})
		if p := s.Config.Problems[0]; p.File != "keywheel.toml" || !strings.Contains(p.Text, broken.want) {
			t.Errorf("%+v", p)
		}
		if status, text := h.post("/chat/completions"); status != 200 {
			t.Errorf("%d %s", status, text)
		}
		if got := h.System().ReloadError; !strings.HasPrefix(got, fmt.Sprintf("keywheel.toml:%d", broken.line)) {
			t.Errorf("the system says %q", got)
		}
		h.awaitEvent(fmt.Sprintf("reload_failed not reloaded, all goes on as before: keywheel.toml:%d: ", broken.line))
	}
	h.write("key", fake+"b")
	h.toml("a file:key")
	h.await("no problem", func(s engine.Snapshot) bool {
		return len(s.Config.Problems) == 0 && strings.Contains(h.texts(), "a: new secret")
	})
	if h.post("/chat/completions"); h.count("b") != 1 {
		t.Error("the new secret is not used")
	}
}

func TestAChangedDotenvLiftsRevoked(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(".env", "KEY_A="+fake+"old\n")
	h.write("key", fake+"b")
	h.toml("a env:KEY_A", "b file:key")
	h.refuse("old", true)
	h.start()
	if status, text := h.post("/chat/completions"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	h.await("revoked", func(engine.Snapshot) bool { return h.key("a").State == engine.Revoked })
	h.write(".env", "KEY_A="+fake+"new\n")
	h.await("active", func(engine.Snapshot) bool { return h.key("a").State == engine.Active })
	h.awaitEvent("no longer revoked: it has a new secret")
	for range 2 {
		h.post("/chat/completions")
	}
	if h.count("new") != 1 {
		t.Errorf("served: %v", h.served)
	}
	if strings.Contains(h.texts(), fake) {
		t.Error("a secret is on the timeline")
	}
}

// TestKubernetesSecrets swaps the directory that links lead through, as a
// kubelet does; the file itself is never touched.
func TestKubernetesSecrets(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("secrets/..v1/key", fake+"v1")
	h.write("secrets/..v2/key", fake+"v2")
	at := func(name string) string { return filepath.Join(h.dir, "secrets", name) }
	for _, err := range []error{os.Symlink("..v1", at("..data")), os.Symlink("..data/key", at("key"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.toml("a file:secrets/key")
	h.start()
	if err := errors.Join(os.Symlink("..v2", at("..tmp")), os.Rename(at("..tmp"), at("..data"))); err != nil {
		t.Fatal(err)
	}
	h.awaitEvent("a: new secret")
	if h.post("/chat/completions"); h.count("v2") != 1 {
		t.Errorf("served: %v", h.served)
	}
}

func TestTheStreamOfARemovedKeyFinishes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.write("other", fake+"b")
	h.toml("a file:key")
	h.start()
	rest := h.stream()
	h.toml("b file:other")
	h.awaitEvent("+1 key (b), -1 key (a)")
	if status, _ := h.post("/chat/completions"); status != 200 || h.count("b") != 1 {
		t.Errorf("%d, served %v", status, h.served)
	}
	if s := h.Snapshot(); s.Proxy.InFlight != 1 || len(s.Keys) != 1 {
		t.Errorf("%d in flight, %d keys", s.Proxy.InFlight, len(s.Keys))
	}
	close(h.hold)
	if got := rest(); !strings.Contains(got, "response.completed") {
		t.Errorf("the stream ended with %q", got)
	}
	h.awaitEvent("of a is retired: nothing is in flight on it")
}

func TestCommandsRunOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("vault", fake+"one")
	h.write("key", fake+"b")
	h.toml("a cmd:cat vault", "b file:key")
	h.start()
	h.write("vault", fake+"two")
	h.write("key", fake+"c")
	h.awaitEvent("1 changed (b: new secret)")
	now := time.Now().Add(time.Second)
	if err := os.Chtimes(h.options.Path, now, now); err != nil {
		t.Fatal(err)
	}
	h.awaitEvent("1 changed (a: new secret)")
	h.write("vault", fake+"three")
	if err := h.Reload(true); err != nil || strings.Count(h.texts(), "a: new secret") != 2 {
		t.Errorf("%v; %s", err, h.texts())
	}
}

func TestWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.start()
	text, err := os.ReadFile(h.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	addr := h.Addr()
	h.write("keywheel.toml", "patience = \"3s\"\n"+strings.Replace(string(text), "127.0.0.1:0", "127.0.0.1:9", 1))
	h.awaitEvent(`reload listen = "127.0.0.1:9": takes effect with a restart`)
	s := h.Snapshot()
	if len(s.Config.Restart) != 1 || s.Proxy.Listen != addr || len(s.Config.Problems) != 0 {
		t.Errorf("%+v, listens on %s", s.Config, s.Proxy.Listen)
	}
	if got := h.inForce().Patience; got != 3*time.Second {
		t.Errorf("the rest is not in force: patience %v", got)
	}
	if status, _ := h.post("/chat/completions"); status != 200 {
		t.Errorf("%d", status)
	}
}

func TestAnOpenListenerStaysGuarded(t *testing.T) {
	t.Parallel()
	open, guarded := config.Defaults(), config.Defaults()
	open.Engine.Services = []engine.Service{{Name: "svc"}}
	guarded.Engine.Services = []engine.Service{{Name: "svc", Token: secret.New("test-not-a-token")}, {Name: "later", Planned: true}}
	for listen, wide := range map[string]bool{"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, "0.0.0.0:1": true, ":1": true, "192.0.2.1:1": true} {
		force := config.Defaults()
		force.Listen = listen
		if err := stillGuarded(force, open); (err != nil) != wide {
			t.Errorf("%s: %v", listen, err)
		}
		if err := stillGuarded(force, guarded); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestNothingToReload(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	n, err := Start(Options{Config: oneService(h.up.URL)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	if err := n.Reload(true); err == nil || n.Snapshot().Config != nil {
		t.Errorf("%v, %+v", err, n.Snapshot().Config)
	}
}

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// oneService is a config with service "svc" and keys k1, k2 at an upstream.
func oneService(upstream string) *config.Config {
	cfg := config.Defaults()
	cfg.Listen = "127.0.0.1:0"
	for _, name := range []string{"k1", "k2"} {
		cfg.Engine.Keys = append(cfg.Engine.Keys, engine.Key{Name: name, Provider: "openai", Kind: "openai", BaseURL: upstream + "/v1",
			Secret: secret.New("sk-test-not-a-key-" + name)})
	}
	cfg.Engine.Services = []engine.Service{{Name: "svc", Keys: []string{"k1", "k2"}}}
	return cfg
}

func TestStopFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		fmt.Fprint(w, "finished")
	}))
	defer up.Close()
	n, err := Start(Options{Config: oneService(up.URL)})
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + n.Addr() + "/svc/v1/models")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answer <- string(text)
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(context.Background()) }()
	waitFor(t, func() bool {
		c, err := net.Dial("tcp", n.Addr())
		if err == nil {
			_ = c.Close()
		}
		return err != nil // new ones are refused
	})
	close(release)
	if got := <-answer; got != "finished" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// waitFor waits until something holds that another goroutine brings about.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	await(t, done, func() string { return "it never happened" })
}

// await is waitFor that says how it is if that never comes.
func await(t testing.TB, done func() bool, is func() string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	for !done() {
		select {
		case <-end.C:
			t.Fatal(is())
		case <-tick.C:
		}
	}
}

func TestStopCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	defer up.Close()
	n, err := Start(Options{Config: oneService(up.URL)})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = http.Get("http://" + n.Addr() + "/svc/v1/models") }()
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := n.Stop(ctx); err == nil || !strings.Contains(err.Error(), "were cut") {
		t.Errorf("stopped with %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	cfg := oneService("http://127.0.0.1:1")
	n, err := Start(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	cfg.Listen = n.Addr()
	_, err = Start(Options{Config: cfg})
	var busy *PortInUseError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), "lsof") {
		t.Errorf("got %v", err)
	}
}

// TestTheWorld runs the simulated world through a real node: what it is for.
func TestTheWorld(t *testing.T) {
	t.Parallel()
	world, err := sim.NewWorld(7, 4) // a speed that slow machines keep up with
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	cfg := config.Defaults()
	cfg.Listen, cfg.Engine = "127.0.0.1:0", world.Config()
	var logged buffer
	socket := filepath.Join(t.TempDir(), "kw.sock")
	n, err := Start(Options{Config: cfg, Socket: func(string) (string, error) { return socket, nil }, Seed: 7, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { world.Traffic(ctx, "http://"+n.Addr()) })
	running.Go(func() { world.Script(ctx) })
	client := control.NewClient(socket)
	revoked := ""
	waitFor(t, func() bool {
		s, err := client.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range s.Keys {
			if k.State == engine.Revoked {
				revoked = k.Name
			}
		}
		return revoked != "" && s.Proxy.Requests > 100
	})
	if r, err := client.Do(ctx, engine.Action{Verb: engine.VerbReset, Key: revoked, By: "forged"}); err != nil || !strings.Contains(r.Text, revoked) {
		t.Errorf("reset: %+v, %v", r, err)
	}
	if _, err := client.Do(ctx, engine.Action{Verb: engine.VerbEnable, Key: "nope"}); err == nil || !strings.Contains(err.Error(), `no key "nope"`) {
		t.Errorf("an action that cannot be: %v", err)
	}
	list, err := client.Events(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[engine.EventKind]int{}
	for _, ev := range list {
		kinds[ev.Kind]++
		if ev.By == "forged" {
			t.Errorf("the socket took the client's word for who it is: %+v", ev)
		}
	}
	for _, want := range []engine.EventKind{engine.EventRotation, engine.EventProbe, engine.EventHold, engine.EventOperator} {
		if kinds[want] == 0 {
			t.Errorf("no %s among %v", want, kinds)
		}
	}
	stop()
	running.Wait()
	if err := n.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	s := n.Snapshot()
	if s.Proxy.InFlight != 0 {
		t.Errorf("%d in flight at rest", s.Proxy.InFlight)
	}
	if text := logged.String(); strings.Contains(text, "not-a-real-key") || !strings.Contains(text, "rotation") {
		t.Errorf("log: %.500s", text)
	}
	for _, up := range []string{"openai", "anthropic", "github", "aimlapi", "zhipu", "siliconflow"} {
		if foreign := world.Upstream(up).Foreign(); len(foreign) > 0 {
			t.Errorf("%s saw credentials that are not its own: %v", up, foreign)
		}
	}
}

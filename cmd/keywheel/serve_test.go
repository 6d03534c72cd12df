package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// notes is a log to look into while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

// await waits until the log holds text.
func (n *notes) await(t testing.TB, text string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 120_000 { // two minutes
		n.mu.Lock()
		found := strings.Contains(n.b.String(), text)
		n.mu.Unlock()
		if found {
			return
		}
		<-tick.C
	}
	t.Fatalf("%q never came", text)
}

func TestSIGHUPDoesNotEndServe(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "kw") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &flags{config: filepath.Join(dir, "keywheel.toml"), listen: "127.0.0.1:0", socket: filepath.Join(dir, "kw.sock"), noJournal: true}
	text := "[keys.a]\nprovider = \"openai\"\nsecret = \"file:key\"\n[services.ui]\nkeys = [\"a\"]\n"
	for name, text := range map[string]string{f.config: text, filepath.Join(dir, "key"): "sk-test-not-a-key-a\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log, ended := &notes{}, make(chan error, 1)
	go func() { ended <- serve(ctx, f, slog.New(slog.NewTextHandler(log, nil))) }()
	log.await(t, "listening")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.await(t, "reloaded: no key and no service changed")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	log.await(t, "stopped")
}

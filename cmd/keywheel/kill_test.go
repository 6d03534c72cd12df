package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/control"
)

// TestKilled kills the real program again and again while clients and an
// operator keep it busy. Whatever the operator was told is done is done after
// the next start, and it serves.
func TestKilled(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"c","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}}`)
	}))
	defer up.Close()
	dir, err := os.MkdirTemp("", "kw") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const keys = 6 // the last is never disabled
	var toml strings.Builder
	fmt.Fprintf(&toml, "listen = \"127.0.0.1:0\"\njournal = \"kw.db\"\n[providers.up]\nkind = \"openai\"\nbase_url = \"%s/v1\"\n", up.URL)
	for i := range keys {
		fmt.Fprintf(&toml, "[keys.k%d]\nprovider = \"up\"\nsecret = \"env:KEY_%d\"\n", i, i)
	}
	toml.WriteString("[services.ui]\nkeys = [\"k0\", \"k1\", \"k2\", \"k3\", \"k4\", \"k5\"]\n")
	if err := os.WriteFile(filepath.Join(dir, "keywheel.toml"), []byte(toml.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &killed{t: t, dir: dir, disabled: map[string]bool{}, rng: rand.New(rand.NewPCG(1, 2))}
	for i := range keys {
		k.env = append(k.env, fmt.Sprintf("KEY_%d=sk-test-not-a-key-%d", i, i))
	}
	for round := range 20 {
		k.round(round)
	}
	if k.acknowledged < 60 {
		t.Errorf("only %d actions were acknowledged", k.acknowledged)
	}
}

type killed struct {
	t   *testing.T
	dir string
	env []string
	rng *rand.Rand
	// disabled is what the operator was told of each key, unsure the key that
	// the last action, which nobody answered, was about.
	disabled     map[string]bool
	unsure       string
	acknowledged int
}

// round starts the program, looks at how it stands, keeps it busy and kills it.
func (k *killed) round(round int) {
	t, ctx := k.t, k.t.Context()
	socket := filepath.Join(k.dir, "kw.sock")
	c := exec.CommandContext(ctx, "keywheel", "serve", "--config", filepath.Join(k.dir, "keywheel.toml"), "--socket", socket)
	c.Env = append([]string{"HOME=" + k.dir, "PATH=" + os.Getenv("PATH")}, k.env...)
	log := &notes{}
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	log.await(t, "listening")
	client := control.NewClient(socket)
	s, err := client.Snapshot(ctx)
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	for _, key := range s.Keys {
		switch is := key.State == engine.Disabled; {
		case key.Name == k.unsure:
			k.disabled[key.Name] = is
		case is != k.disabled[key.Name]:
			t.Fatalf("round %d: %s is %v, but an operator was told disabled=%v", round, key.Name, key.State, k.disabled[key.Name])
		}
	}
	k.unsure = ""
	base := "http://" + s.Proxy.Listen + "/ui/v1/chat/completions"
	if status := chatOnce(ctx, base); status != http.StatusOK {
		t.Fatalf("round %d: the first request was answered %d", round, status)
	}
	busy, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for busy.Err() == nil {
				chatOnce(busy, base)
			}
		})
	}
	for range 3 + k.rng.IntN(8) {
		k.act(ctx, client)
	}
	// The next action is on its way when it dies.
	dying := make(chan struct{})
	go func() {
		defer close(dying)
		tick := time.NewTimer(time.Duration(k.rng.Int64N(int64(3 * time.Millisecond))))
		defer tick.Stop()
		<-tick.C
		_ = c.Process.Kill()
	}()
	for k.unsure == "" {
		k.act(ctx, client)
	}
	<-dying
	stop()
	clients.Wait()
}

// act disables or enables a key. If nobody answers, it is unsure.
func (k *killed) act(ctx context.Context, client *control.Client) {
	name := fmt.Sprintf("k%d", k.acknowledged%5)
	verb := engine.VerbDisable
	if k.disabled[name] {
		verb = engine.VerbEnable
	}
	r, err := client.Do(ctx, engine.Action{Verb: verb, Key: name})
	switch {
	case err != nil:
		k.unsure = name
	case r.Unsaved != "":
		k.t.Fatalf("not on disk: %s", r.Unsaved)
	default:
		k.disabled[name] = verb == engine.VerbDisable
		k.acknowledged++
	}
}

// chatOnce sends a request; 0 is no answer.
func chatOnce(ctx context.Context, url string) (status int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

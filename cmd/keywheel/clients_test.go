package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// TestRealClients has the official clients of OpenAI and Anthropic work through
// the real program while keys die. They come from package registries, so it
// only runs where they have been fetched: .ci/clients does both.
func TestRealClients(t *testing.T) {
	if os.Getenv("KEYWHEEL_CLIENTS") == "" {
		t.Skip("run it with .ci/clients, which fetches the clients")
	}
	t.Parallel()
	for language, command := range map[string][]string{
		"javascript": {"node", "testdata/clients/node/client.mjs"},
		"go":         {filepath.Join(os.Getenv("KEYWHEEL_CLIENTS"), "client")},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			t.Run("no error while keys die", func(t *testing.T) { keysDie(t, command) })
			t.Run("their own retries wait as they are told", func(t *testing.T) { allRest(t, command) })
			t.Run("no retry where none helps", func(t *testing.T) { allGone(t, command) })
		})
	}
}

// keysDie revokes keys and limits others, in the middle of the work.
func keysDie(t *testing.T, command []string) {
	s := clientsServed(t, "10s")
	client := exec.CommandContext(t.Context(), command[0], append(command[1:], "work")...)
	client.Env = s.clientEnv
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	client.Stderr = os.Stderr
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	limit := func(name string) func(*sim.Upstream) {
		return func(u *sim.Upstream) { u.Limit(u.Kind()+name, 12) } // what is bound to it waits for less than the patience
	}
	revoke := func(name string) func(*sim.Upstream) {
		return func(u *sim.Upstream) { u.Revoke(u.Kind() + name) }
	}
	found := func(k engine.KeyStatus) bool {
		return strings.HasSuffix(k.Name, "-a1") || strings.HasSuffix(k.Name, "-b2")
	}
	deaths := map[string]func(*sim.Upstream){"round 2": revoke("-a1"), "round 3": limit("-c1"), "round 4": revoke("-b2")}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "failed") {
			rest, _ := io.ReadAll(out)
			t.Errorf("%s\n%s", lines.Text(), rest)
		}
		if die := deaths[lines.Text()]; die != nil {
			die(s.openai)
			die(s.anthropic)
		}
		if lines.Text() == "round 7" {
			_ = in.Close()
		}
	}
	if err := client.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	snap := s.snapshot(t)
	for i := 0; i < 1200 && !t.Failed(); i++ { // what clients gave up may end after them, and a revocation is confirmed
		if snap.Proxy.InFlight == 0 && !slices.ContainsFunc(snap.Keys, func(k engine.KeyStatus) bool { return found(k) != (k.State == engine.Revoked) }) {
			break
		}
		<-time.After(50 * time.Millisecond)
		snap = s.snapshot(t)
	}
	for _, k := range snap.Keys {
		switch dead := found(k); {
		case dead && k.State != engine.Revoked:
			t.Errorf("%s is %v, and should have been found out", k.Name, k.State)
		case !dead && k.State != engine.Active && k.State != engine.Cooling:
			t.Errorf("%s is %v %s", k.Name, k.State, k.Reason)
		}
	}
	if p := snap.Proxy; p.InFlight != 0 || p.Waiting != 0 || p.Failures != 0 {
		t.Errorf("in the end: %+v", p)
	}
	for _, u := range []*sim.Upstream{s.openai, s.anthropic} {
		if foreign := u.Foreign(); len(foreign) > 0 {
			t.Errorf("%s saw the client's credentials: %v", u.Kind(), foreign)
		}
	}
}

// allRest has every key rest for longer than a request may wait here: the
// clients are told when to come back, and do.
func allRest(t *testing.T, command []string) {
	s := clientsServed(t, "100ms")
	if out, err := s.run(t, command, "retry", func() { s.disableAll(t, 4) }); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if p := s.snapshot(t).Proxy; p.Requests < 4 {
		t.Errorf("%d requests: nobody was refused", p.Requests)
	}
}

// allGone takes every key away for good: one request, one honest error.
func allGone(t *testing.T, command []string) {
	s := clientsServed(t, "100ms")
	s.disableAll(t, 0)
	out, err := s.run(t, command, "gone", nil)
	if err != nil || !strings.Contains(out, "429") || !strings.Contains(out, "openai-a1") || !strings.Contains(out, "anthropic-c1") {
		t.Errorf("%v\n%s", err, out)
	}
	if p := s.snapshot(t).Proxy; p.Requests != 2 {
		t.Errorf("%d requests, want one of each client", p.Requests)
	}
}

// clientsServe is a running keywheel with five keys of three accounts at each
// of the two providers.
type clientsServe struct {
	*program
	openai, anthropic *sim.Upstream
	clientEnv         []string
}

func clientsServed(t *testing.T, patience string) *clientsServe {
	p := newProgram(t)
	var toml strings.Builder
	fmt.Fprintf(&toml, "listen = \"127.0.0.1:0\"\npatience = %q\n", patience)
	upstream := func(kind, model string) *sim.Upstream {
		var keys []sim.Key
		for _, name := range []string{"a1", "a2", "b1", "b2", "c1"} {
			keys = append(keys, sim.Key{Name: kind + "-" + name, Account: kind + "-account-" + name[:1],
				Secret:  secret.New("sk-test-not-a-key-" + kind + "-" + name),
				Latency: sim.Latency{Median: 20 * time.Millisecond, Max: 40 * time.Millisecond}})
		}
		u, err := sim.NewUpstream(kind, sim.Options{Seed: 1, Models: []string{model}}, keys...)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = u.Close() })
		fmt.Fprintf(&toml, "[providers.%s-sim]\nkind = %q\nbase_url = %q\n", kind, kind, u.BaseURL())
		for _, k := range keys {
			file := filepath.Join(p.dir, k.Name)
			write(t, file, k.Secret.Reveal())
			fmt.Fprintf(&toml, "[keys.%s]\nprovider = \"%s-sim\"\nsecret = \"file:%s\"\naccount = %q\n", k.Name, kind, file, k.Account)
		}
		fmt.Fprintf(&toml, "[services.%s]\nkeys = [\"%s\"]\ntoken = \"env:TOKEN\"\n", kind+"-clients",
			strings.Join(u.Keys(), `", "`))
		return u
	}
	s := &clientsServe{program: p, openai: upstream("openai", "gpt-4o"), anthropic: upstream("anthropic", "claude-test-1")}
	write(t, p.config, toml.String())
	p.env = append(p.env, "TOKEN=the-clients-token")
	p.serve(t)
	s.clientEnv = append(plainEnv(p.dir), "OPENAI_BASE_URL="+p.url("/openai-clients/v1"), "OPENAI_API_KEY=the-clients-token",
		"ANTHROPIC_BASE_URL="+p.url("/anthropic-clients"), "ANTHROPIC_API_KEY=the-clients-token")
	return s
}

// disableAll disables every key for some seconds; 0 is until enabled.
func (s *clientsServe) disableAll(t *testing.T, seconds float64) {
	t.Helper()
	for _, name := range append(s.openai.Keys(), s.anthropic.Keys()...) {
		if _, err := s.client.Do(t.Context(), engine.Action{Verb: engine.VerbDisable, Key: name, ForS: seconds}); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs the client to its end. Where there is something to be done before it
// asks, it waits for that when it is ready.
func (s *clientsServe) run(t *testing.T, command []string, mode string, first func()) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	client := exec.CommandContext(ctx, command[0], append(command[1:], mode)...)
	client.Env = s.clientEnv
	out := &notes{}
	client.Stdout, client.Stderr = out, out
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	if first != nil {
		out.await(t, "ready")
		first()
		_, _ = io.WriteString(in, "\n")
	}
	err = client.Wait()
	return out.text(), err
}

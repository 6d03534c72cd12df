package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/secret"
)

// replace replaces and gives the steps.
func (h *home) replace(key, text string) (string, error) {
	var steps []string
	err := h.Replace(context.Background(), key, secret.New(fake+text), "you", func(step string) { steps = append(steps, step) })
	all := strings.Join(steps, "\n")
	if strings.Contains(all+h.texts(), fake) {
		h.t.Error("a secret was told")
	}
	return all, err
}

// wants fails unless text has all the words, in this order.
func wants(t *testing.T, text string, words ...string) {
	t.Helper()
	rest := text
	for _, w := range words {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Errorf("no %q here, or not in its place:\n%s", w, text)
			return
		}
		rest = after
	}
}

func (h *home) kept(key string) string {
	return filepath.Join(h.inForce().StateDir, "keys.d", key)
}

func TestALeakedKey(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(".env", "KEY_A="+fake+"leaked\n")
	h.toml("a env:KEY_A")
	h.start()
	h.post("/files")
	rest := h.stream()
	var mu sync.Mutex
	var steps []string
	done := make(chan error, 1)
	go func() {
		done <- h.Replace(context.Background(), "a", secret.New(fake+"new"), "you", func(step string) {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, step)
		})
	}()
	h.awaitEvent("draining ·")
	if k := h.key("a"); k.State != engine.Active || k.Override != "keys.d/a" || len(k.Retiring) != 1 || k.Retiring[0].InFlight != 1 {
		t.Errorf("%v, override %q, retiring %+v", k.State, k.Override, k.Retiring)
	}
	if h.post("/chat/completions"); h.count("new") != 1 || h.count("leaked") != 2 {
		t.Errorf("served: %v", h.served)
	}
	close(h.hold)
	if got := rest(); !strings.Contains(got, "response.completed") {
		t.Errorf("the stream ended with %q", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wants(t, strings.Join(steps, "\n"), "replacing the secret of a (·", "which serves svc", "env:KEY_A of a running process cannot change", "keyring:",
		"tested: p accepts it", "kept in ", "switched a to ·", "bindings stay with the name, if the new secret is of the same account: file-abc123", "draining ·", "1 in flight finish", "retired ·")
	wants(t, h.texts(), "operator replacing", "operator tested", "operator kept", "1 changed (a: new secret)", "operator switched", "operator draining", "operator retired")
	for file, mode := range map[string]os.FileMode{h.kept("a"): 0o600, filepath.Dir(h.kept("a")): 0o700} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", file, info, err)
		}
	}
	if list, _ := os.ReadDir(filepath.Dir(h.kept("a"))); len(list) != 1 {
		t.Errorf("%d files are left", len(list))
	}
	// It survives reloads and restarts.
	if err := h.Reload(true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Do(engine.Action{Verb: engine.VerbUndo}); err == nil || !strings.Contains(err.Error(), "another replacement") {
		t.Errorf("undone: %v", err)
	}
	h.post("/chat/completions")
	cfg, err := config.Load(h.options)
	if err != nil || cfg.Engine.Keys[0].Override != "keys.d/a" || !slices.ContainsFunc(cfg.Notes, func(p config.Problem) bool { return strings.Contains(p.Text, "overridden by") }) {
		t.Errorf("%v, notes %v", err, cfg.Notes)
	}
	if h.count("new") != 2 {
		t.Errorf("served: %v", h.served)
	}
}

func TestARejectedSecretChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.refuse("bad", true)
	h.start()
	for text, want := range map[string]string{"bad": "p rejects it (401 ", "a": "that is the secret that a has already", "a b": "this cannot be a key"} {
		if _, err := h.replace("a", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := h.replace("nope", "x"); err == nil || !strings.Contains(err.Error(), `there is no key "nope"`) {
		t.Error(err)
	}
	if _, err := os.Stat(h.kept("a")); err == nil || h.key("a").Override != "" {
		t.Error("it was kept")
	}
	if h.post("/chat/completions"); h.count("a") != 1 {
		t.Errorf("served: %v", h.served)
	}
	wants(t, h.texts(), "operator not replaced: p rejects it")
}

func TestANewerSecretInTheSourceWins(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.start()
	for _, text := range []string{"b", "c"} {
		if _, err := h.replace("a", text); err != nil {
			t.Fatal(err)
		}
	}
	if h.post("/chat/completions"); h.count("c") != 1 {
		t.Errorf("served: %v", h.served)
	}
	h.write("key", fake+"d")
	h.awaitEvent("1 changed (a: new secret)")
	h.await("the newer", func(engine.Snapshot) bool { return h.key("a").Override == "" })
	if h.post("/chat/completions"); h.count("d") != 1 {
		t.Errorf("served: %v", h.served)
	}
	// And one that was kept for another provider's key goes nowhere else.
	h.write("key", fake+"a")
	h.await("the override again", func(engine.Snapshot) bool { return h.key("a").Override != "" })
	text, err := os.ReadFile(h.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	h.write("keywheel.toml", strings.ReplaceAll(strings.ReplaceAll(string(text), `"p"`, `"q"`), "providers.p", "providers.q"))
	h.await("another provider", func(engine.Snapshot) bool { k := h.key("a"); return k.Provider == "q" && k.Override == "" })
}

func TestTwoNamesOfALeakedSecret(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key", "b file:key")
	h.start()
	do := func(a engine.Action) {
		if _, err := h.Do(a); err != nil {
			t.Fatal(err)
		}
	}
	do(engine.Action{Verb: engine.VerbDisable, Key: "a"})
	steps, err := h.replace("a", "new")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, steps, "a is still disabled: `keywheel enable a`", "is still that of b: replace it there too")
	if steps, err = h.replace("b", "new"); err != nil {
		t.Fatal(err)
	}
	wants(t, steps, "a and b have one secret now", "retired ·")
}

func TestTestingAndSpending(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key", "b file:nothing")
	h.start()
	test := func(names ...string) (said []string, err error) {
		err = h.Test(context.Background(), names, "you", func(k engine.KeyTest) { said = append(said, k.Key+" "+k.Words()) })
		slices.Sort(said)
		return said, err
	}
	said, err := test()
	if err != nil || len(said) != 2 || said[0] != "a p accepts it" || !strings.HasPrefix(said[1], "b not tested: its secret is missing") {
		t.Errorf("%q %v", said, err)
	}
	h.refuse("a", true)
	if said, err = test("a"); err != nil || len(said) != 1 || said[0] != "a p rejects it" || h.key("a").State != engine.Active {
		t.Errorf("%q %v, and a is %v", said, err, h.key("a").State)
	}
	if _, err = test("c"); err == nil || !strings.Contains(err.Error(), `no key "c"`) {
		t.Error(err)
	}
	wants(t, h.texts(), "operator tested: p accepts it", "operator tested: p rejects it (401 Incorrect API key provided)")
	h.refuse("a", false)
	h.post("/chat/completions")
	h.await("what it used", func(engine.Snapshot) bool {
		list := h.Spent()
		return len(list) == 1 && list[0].Service == "svc" && list[0].Key == "a" && list[0].Requests == 1
	})
}

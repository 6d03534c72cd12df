package node

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// migrating runs a migration beside the test; steps gives what it told when it
// is over.
func (h *home) migrating(ctx context.Context, m engine.Migration, text string) (steps func() (string, error)) {
	var list []string
	s := secret.Secret{}
	if text != "" {
		s = secret.New(fake + text)
	}
	done := make(chan error, 1)
	go func() { done <- h.Migrate(ctx, m, s, "you", func(step string) { list = append(list, step) }) }()
	return func() (string, error) {
		err := <-done
		all := strings.Join(list, "\n")
		if strings.Contains(all+h.texts(), fake) {
			h.t.Error("a secret was told")
		}
		return all, err
	}
}

func (h *home) keysOf() []string { return h.Snapshot().Services[0].Keys }

func TestAServiceMovesToANewKeyUnderTraffic(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.start()
	steps := h.migrating(t.Context(), engine.Migration{Service: "svc", Key: "own", For: time.Minute, Requests: 2}, "own")
	h.awaitEvent("step 3 of 3")
	for range 2 {
		if code, text := h.post("/chat/completions"); code != 200 {
			t.Errorf("%d %s", code, text)
		}
	}
	said, err := steps()
	if err != nil {
		t.Fatal(err)
	}
	wants(t, said, "step 1 of 3", "own for svc, which has a", "tested: p accepts it", "added own, like a; its secret is kept in ", "permissions:", "quota:",
		"step 2 of 3, switched", "the old goes on to serve (a)", "step 3 of 3, verify", "own served a request: POST /v1/chat/completions, 200", "own served", "migrated svc from a to own", "keywheel undo")
	if !slices.Equal(h.keysOf(), []string{"own"}) || h.count("own") != 2 || h.count("a") != 0 {
		t.Errorf("keys %v, served %v", h.keysOf(), h.served)
	}
	// A reload of the config changes nothing of it.
	if err := h.Reload(true); err != nil {
		t.Fatal(err)
	}
	if h.post("/chat/completions"); h.count("own") != 3 {
		t.Errorf("served %v", h.served)
	}
	if _, err := h.Do(engine.Action{Verb: engine.VerbUndo}); err != nil || !slices.Equal(h.keysOf(), []string{"a"}) {
		t.Errorf("%v, keys %v", err, h.keysOf())
	}
}

// The test call accepts the key, real requests do not: the client never hears
// of it.
func TestAMoveThatFailsIsRolledBack(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.start()
	steps := h.migrating(t.Context(), engine.Migration{Service: "svc", Key: "own", For: time.Minute}, "own")
	h.awaitEvent("step 3 of 3")
	h.refuse("own", true)
	if code, text := h.post("/chat/completions"); code != 200 || h.count("a") != 1 {
		t.Errorf("%d %s, served %v", code, text, h.served)
	}
	said, err := steps()
	if err == nil || !strings.Contains(err.Error(), "own could not serve POST /v1/chat/completions: ") {
		t.Errorf("%v", err)
	}
	wants(t, said, "step 3 of 3", "rolled back: svc goes out with a again", "took own out again, with its secret")
	if _, err := os.Stat(h.kept("own")); err == nil || !slices.Equal(h.keysOf(), []string{"a"}) || h.Snapshot().Services[0].Trying != "" {
		t.Errorf("it is still there: keys %v", h.keysOf())
	}
	wants(t, h.texts(), "not migrated, svc is as before")
}

func TestAMoveThatIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("key", fake+"a")
	h.toml("a file:key")
	h.start()
	ctx, cancel := context.WithCancel(t.Context())
	steps := h.migrating(ctx, engine.Migration{Service: "svc", Key: "own"}, "own")
	h.awaitEvent("step 3 of 3")
	cancel()
	if _, err := steps(); err == nil || !slices.Equal(h.keysOf(), []string{"a"}) {
		t.Errorf("%v, keys %v", err, h.keysOf())
	}
	for _, c := range []struct{ service, key, text, want string }{
		{"svc", "own", "", "the config has no key own"}, {"svc", "a", "x", "there is a key a already"}, {"svc", "own", "a b", "this cannot be a key"},
		{"svc", "own", "a", "that is the secret of a"}, {"svc", "a", "", "svc is on a already"}, {"nope", "own", "x", `there is no service "nope"`}, {"svc", "../x", "x", "the name of a key must"},
	} {
		if _, err := h.migrating(t.Context(), engine.Migration{Service: c.service, Key: c.key}, c.text)(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.key, c.text, err)
		}
	}
	// Nobody asks for anything: the test call decides.
	if said, err := h.migrating(t.Context(), engine.Migration{Service: "svc", Key: "own", For: time.Millisecond}, "own")(); err != nil || !strings.Contains(said, "verified by the provider's test call alone") {
		t.Errorf("%s: %v", said, err)
	}
}

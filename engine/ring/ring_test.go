package ring

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// Nothing of the machine's own environment is read.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ring")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"KEYWHEEL_CONFIG", "LLM_MODEL_CONFIGS", "API_KEY", "API_BASE", "LLM_MODEL", "LLM_PROVIDER", "LLM_TEMPERATURE"} {
		_ = os.Unsetenv(name)
	}
	_, _ = os.Setenv("XDG_CONFIG_HOME", dir), os.Setenv("HOME", dir)
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// fakes are so many secrets.
func fakes(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("sk-test-not-a-key-%d", i+1))
	}
	return list
}

// newRing is the ring of model "m" with so many keys m-1, m-2, ..., and its log.
func newRing(t *testing.T, n int) (*Ring, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	r, err := (&Registry{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}).Model("m", fakes(n)...)
	if err != nil {
		t.Fatal(err)
	}
	return r, &log
}

// is checks which key an answer was.
func is(t *testing.T, what string, want string) func(Key, error) Key {
	return func(k Key, err error) Key {
		t.Helper()
		if err != nil || k.Name != want || !k.Secret.Equal("sk-test-not-a-key-"+strings.TrimPrefix(want, "m-")) {
			t.Errorf("%s: %v, %v; want %s", what, k, err, want)
		}
		return k
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	r, log := newRing(t, 3)
	is(t, "first", "m-1")(r.Current())
	is(t, "rotated", "m-2")(r.Rotate())
	second := is(t, "it stays", "m-2")(r.Current())
	is(t, "the second failed", "m-3")(r.MarkFailed(second))
	is(t, "the same failure, told again", "m-3")(r.MarkFailed(second))
	if n, all := r.Remaining(), r.Keys(); n != 2 || fmt.Sprint(all) != "[m-1 m-2 m-3]" {
		t.Errorf("%d of %v remain", n, all)
	}
	is(t, "round", "m-1")(r.Rotate())
	is(t, "over the one that failed", "m-3")(r.Rotate())
	if err := r.Reset(fakes(4)...); err != nil {
		t.Fatal(err)
	}
	is(t, "anew", "m-1")(r.Current())
	is(t, "a failure from before", "m-1")(r.MarkFailed(second))
	if n := r.Remaining(); n != 4 {
		t.Errorf("%d remain after the reset", n)
	}
	second = is(t, "anew", "m-1")(r.Current())
	is(t, "it failed", "m-2")(r.MarkFailed(second))
	if err := r.Reset(); err != nil || r.Remaining() != 4 {
		t.Errorf("%v, %d remain of the same keys", err, r.Remaining())
	}
	is(t, "the first again", "m-1")(r.Current())
	for _, want := range []string{`level=INFO msg="APIKeyManager initialized for 'm' with 3 keys"`, `level=INFO msg="Rotated API key for 'm'. Remaining keys: 3" key=m-2`,
		`level=INFO msg="Rotated API key for 'm'. Remaining keys: 2" key=m-3`, `level=INFO msg="Reset API keys for 'm'. Remaining keys: 4"`, `level=DEBUG msg="Current API key for 'm'" key=m-2`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, log)
		}
	}
	if n := strings.Count(log.String(), "Rotated"); n != 5 {
		t.Errorf("%d rotations in the log", n)
	}
	if strings.Contains(log.String(), "sk-test") {
		t.Error("a secret is in the log")
	}
}

// A key that was left by hand and failed nevertheless is out; the ring stays.
func TestRingFailureOfAKeyThatWasLeft(t *testing.T) {
	t.Parallel()
	r, _ := newRing(t, 3)
	first := is(t, "first", "m-1")(r.Current())
	is(t, "rotated", "m-2")(r.Rotate())
	is(t, "the one before failed", "m-2")(r.MarkFailed(first))
	is(t, "next", "m-3")(r.Rotate())
	is(t, "over it", "m-2")(r.Rotate())
	is(t, "no key at all", "m-2")(r.MarkFailed(Key{}))
	if r.Remaining() != 2 {
		t.Errorf("%d remain", r.Remaining())
	}
}

func TestRingOfOne(t *testing.T) {
	t.Parallel()
	r, log := newRing(t, 1)
	k := is(t, "rotated", "m-1")(r.Rotate())
	_, err := r.MarkFailed(k)
	var none *engine.NoKeyError
	if !errors.As(err, &none) || none.Service != "m" || len(none.Reasons) != 1 || strings.Contains(log.String(), "Rotated") || strings.Contains(err.Error(), "sk-test") {
		t.Errorf("%v\n%s", err, log)
	}
	if !strings.Contains(log.String(), `level=ERROR msg="No API key for 'm' can be used"`) {
		t.Errorf("log %s", log)
	}
}

// All keys fail, and come back; time is virtual.
func TestRingComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := newRing(t, 2)
		first := is(t, "first", "m-1")(r.Current())
		second := is(t, "the first failed", "m-2")(r.MarkFailed(first))
		time.Sleep(time.Minute)
		is(t, "it stays though the first may be tried again", "m-2")(r.Current())
		if r.Remaining() != 2 {
			t.Errorf("%d remain", r.Remaining())
		}
		first = is(t, "the second failed too", "m-1")(r.MarkFailed(second))
		_, err := r.MarkFailed(first)
		var none *engine.NoKeyError
		if !errors.As(err, &none) || none.RetryAfter != 30*time.Second || len(none.Reasons) != 2 || r.Remaining() != 0 {
			t.Fatalf("%v, %d remain", err, r.Remaining())
		}
		if _, err := r.Rotate(); !errors.As(err, &none) {
			t.Errorf("rotated to %v", err)
		}
		time.Sleep(31 * time.Second)
		k, err := r.Current()
		if err != nil || r.Remaining() != 2 {
			t.Fatalf("%v, %v, %d remain", k, err, r.Remaining())
		}
		if again, err := r.MarkFailed(first); err != nil || again != k {
			t.Errorf("a late failure: %v, %v; want %v", again, err, k)
		}
		if other, err := r.MarkFailed(k); err != nil || other.Name == k.Name {
			t.Errorf("after %v came %v, %v", k, other, err)
		}
	})
}

// Many goroutines fail with one key at once: that is one rotation.
func TestRingBurst(t *testing.T) {
	t.Parallel()
	r, log := newRing(t, 5)
	for want := 1; want <= 3; want++ {
		k := is(t, "current", fmt.Sprintf("m-%d", want))(r.Current())
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() { is(t, "next", fmt.Sprintf("m-%d", want+1))(r.MarkFailed(k)) })
		}
		all.Wait()
	}
	if n := strings.Count(log.String(), "Rotated"); n != 3 {
		t.Errorf("%d rotations", n)
	}
}

// Everything at once, for the race detector; whatever comes is one of the keys.
func TestRingFromManyGoroutines(t *testing.T) {
	t.Parallel()
	g := &Registry{Log: slog.New(slog.DiscardHandler)}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			r, err := g.Model("m", fakes(8)...)
			if err != nil {
				t.Error(err)
				return
			}
			for j := range 200 {
				k, err := r.Current()
				switch (i + j) % 8 {
				case 0:
					k, err = r.Rotate()
				case 1:
					k, err = r.MarkFailed(k)
				case 2:
					if len(r.Keys()) != 8 || r.Remaining() > 8 {
						t.Errorf("%v", r.Keys())
					}
				case 3:
					if j%20 == 0 {
						err = r.Reset(fakes(8)...)
					}
				}
				if none := (*engine.NoKeyError)(nil); err != nil && !errors.As(err, &none) {
					t.Error(err)
				}
				if err == nil && k.Name != "" && !slices.Contains(fakes(8), k.Secret.Reveal()) {
					t.Errorf("got %v", k)
				}
			}
		})
	}
	all.Wait()
}

func TestKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	r, _ := newRing(t, 1)
	k, _ := r.Current()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, r.Keys()); strings.Contains(text, "sk-test") {
			t.Errorf("%s shows %s", verb, text)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	key := func(name string) engine.Key {
		return engine.Key{Name: name, Provider: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", Secret: secret.New("sk-test-not-a-key-" + name)}
	}
	gone := key("gone")
	gone.Secret, gone.Missing = secret.Secret{}, "env:GONE is not set"
	g := &Registry{Log: slog.New(slog.DiscardHandler), Config: engine.Config{Keys: []engine.Key{key("c"), key("b"), gone, key("a")}, Services: []engine.Service{
		{Name: "ui", Models: []string{"gpt-4o", "org/gpt-4o"}, Keys: []string{"gone", "a", "b"}, Fallback: []string{"c"}}, {Name: "plain", Keys: []string{"c"}}}}}
	r, err := g.Model("org/gpt-4o")
	if err != nil {
		t.Fatal(err)
	}
	if k, err := r.Current(); err != nil || k.Name != "a" || fmt.Sprint(r.Keys()) != "[gone a b c]" || r.Remaining() != 3 {
		t.Errorf("%v, %v of %v", k, err, r.Keys())
	}
	if same, err := g.Model("org/gpt-4o", "sk-test-not-a-key-x"); err != nil || same != r {
		t.Errorf("another ring: %v", err)
	}
	if r, err := g.Model("plain"); err != nil || fmt.Sprint(r.Keys()) != "[c]" {
		t.Errorf("by its own name: %v", err)
	}
	if r, err := g.Model("gpt-4o", "sk-test-not-a-key-x", " sk-test-not-a-key-x\n"); err != nil || fmt.Sprint(r.Keys()) != "[gpt-4o-1]" {
		t.Errorf("keys of the code: %v, %v", r, err)
	}
	for want, call := range map[string]func() error{
		`no keys are known for the model "gpt-5": give them to Model, or name one of gpt-4o, org/gpt-4o, plain`: func() error { _, err := g.Model("gpt-5"); return err },
		`no keys are known for the model "gpt-5": give them to Model`:                                           func() error { _, err := new(Registry).Model("gpt-5"); return err },
		`key 2 of the model "x" holds a placeholder, not a key`:                                                 func() error { _, err := g.Model("x", "sk-test-not-a-key-x", "sk-key2..."); return err },
		`key 1 of the model "org/gpt-4o" is empty`:                                                              func() error { return r.Reset("") },
	} {
		if err := call(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if fmt.Sprint(r.Keys()) != "[gone a b c]" {
		t.Errorf("a failed reset left %v", r.Keys())
	}
}

func BenchmarkCurrent(b *testing.B) {
	r, err := (&Registry{Log: slog.New(slog.DiscardHandler)}).Model("m", fakes(10)...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Current(); err != nil {
			b.Fatal(err)
		}
	}
}

package ring_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"keywheel/engine"
	"keywheel/engine/ring"
)

// models is what a .env file or the environment says.
const models = `{
  "gpt-4o": {
    "api_key": ["sk-test-key-1", "sk-test-key-2", "sk-test-key-3"],
    "api_base": "https://api.openai.com/v1"
  },
  "glm-4.7": {
    "api_key": "sk-test-single-key",
    "api_base": "https://open.bigmodel.cn/api/paas/v4",
    "temperature": 1.0
  }
}`

// The first key serves until it is rotated or fails; then the next does.
func Example() {
	_ = os.Setenv("LLM_MODEL_CONFIGS", models)
	defer os.Unsetenv("LLM_MODEL_CONFIGS")
	slog.SetDefault(plain(slog.LevelInfo))

	reg, err := ring.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	gpt, err := reg.Model("gpt-4o")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := gpt.Current()
	fmt.Println("current:", key)

	key, _ = gpt.Rotate()
	fmt.Println("rotated:", key)

	key, _ = gpt.MarkFailed(key)
	fmt.Println("after a failure:", key)
	fmt.Println("remaining:", gpt.Remaining(), "of", len(gpt.Keys()))

	// Output:
	// level=INFO msg="APIKeyManager initialized for 'gpt-4o' with 3 keys"
	// current: gpt-4o-1
	// level=INFO msg="Rotated API key for 'gpt-4o'. Remaining keys: 3" key=gpt-4o-2
	// rotated: gpt-4o-2
	// level=INFO msg="Rotated API key for 'gpt-4o'. Remaining keys: 2" key=gpt-4o-3
	// after a failure: gpt-4o-3
	// remaining: 2 of 3
}

// Keys of the program itself come before those of the environment.
func ExampleRegistry_Model() {
	var reg ring.Registry
	reg.Log = slog.New(slog.DiscardHandler)
	gpt, err := reg.Model("gpt-4o", "sk-test-key-1", "sk-test-key-2")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := gpt.Current()
	fmt.Println(key, key.Secret, len(key.Secret.Reveal()))
	same, _ := reg.Model("gpt-4o") // one for each model
	fmt.Println(same == gpt)
	// Output:
	// gpt-4o-1 **** 13
	// true
}

// Of many requests that failed with one key, the first moves on to the next;
// the others find it gone already. When the last has failed, the error says of
// each why.
func ExampleRing_MarkFailed() {
	reg := ring.Registry{Log: slog.New(slog.DiscardHandler)}
	gpt, err := reg.Model("gpt-4o", "sk-test-key-1", "sk-test-key-2")
	if err != nil {
		fmt.Println(err)
		return
	}
	first, _ := gpt.Current()
	second, _ := gpt.MarkFailed(first)
	fmt.Println(second)
	second, _ = gpt.MarkFailed(first) // another request with the first
	fmt.Println(second)
	_, err = gpt.MarkFailed(second)
	var none *engine.NoKeyError
	fmt.Println(errors.As(err, &none), len(none.Reasons))
	// Output:
	// gpt-4o-2
	// gpt-4o-2
	// true 2
}

// Keys are taken in turn, in their order and round again; one that failed is
// passed over.
func ExampleRing_Rotate() {
	reg := ring.Registry{Log: slog.New(slog.DiscardHandler)}
	gpt, err := reg.Model("gpt-4o", "sk-test-key-1", "sk-test-key-2", "sk-test-key-3")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		key, _ := gpt.Rotate()
		fmt.Println(key)
	}
	second, _ := gpt.Current()
	fmt.Println(gpt.MarkFailed(second))
	fmt.Println(gpt.Rotate())
	fmt.Println(gpt.Rotate())
	// Output:
	// gpt-4o-2
	// gpt-4o-3
	// gpt-4o-1
	// gpt-4o-2
	// gpt-4o-3 <nil>
	// gpt-4o-1 <nil>
	// gpt-4o-3 <nil>
}

// A program that sends its requests itself tries each key once; when all have
// failed, one error says of each why.
func ExampleRing_Current() {
	reg := ring.Registry{Log: slog.New(slog.DiscardHandler)}
	gpt, err := reg.Model("gpt-4o", "sk-test-key-1", "sk-test-key-2", "sk-test-key-3")
	if err != nil {
		fmt.Println(err)
		return
	}
	send := func(secret string) error { return errors.New("401") }
	key, err := gpt.Current()
	for err == nil {
		if send(key.Secret.Reveal()) == nil {
			break
		}
		fmt.Println(key, "failed")
		key, err = gpt.MarkFailed(key)
	}
	var none *engine.NoKeyError
	fmt.Println(errors.As(err, &none), gpt.Remaining())
	// Output:
	// gpt-4o-1 failed
	// gpt-4o-2 failed
	// gpt-4o-3 failed
	// true 0
}

// Any number of goroutines may find a key failed at once: that is one rotation.
// Debug shows each choice.
func ExampleRing() {
	reg := ring.Registry{Log: plain(slog.LevelDebug)}
	gpt, err := reg.Model("gpt-4o", "sk-test-key-1", "sk-test-key-2", "sk-test-key-3")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := gpt.Current()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _, _ = gpt.MarkFailed(key) })
	}
	all.Wait()
	_, _ = gpt.Current()
	// Output:
	// level=INFO msg="APIKeyManager initialized for 'gpt-4o' with 3 keys"
	// level=DEBUG msg="Current API key for 'gpt-4o'" key=gpt-4o-1
	// level=INFO msg="Rotated API key for 'gpt-4o'. Remaining keys: 2" key=gpt-4o-2
	// level=DEBUG msg="Current API key for 'gpt-4o'" key=gpt-4o-2
}

// Reset changes the keys while the program runs: more of them, or fewer.
func ExampleRing_Reset() {
	reg := ring.Registry{Log: slog.New(slog.DiscardHandler)}
	gpt, err := reg.Model("gpt-4o", "sk-test-key-1", "sk-test-key-2")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = gpt.Reset("sk-test-key-1", "sk-test-key-2", "sk-test-key-3", "sk-test-key-4")
	fmt.Println(len(gpt.Keys()), err)
	err = gpt.Reset("sk-test-key-2", "sk-test-key-3") // the others rest
	fmt.Println(len(gpt.Keys()), err)
	err = gpt.Reset("sk-test-key-2", "sk-...") // a placeholder: nothing has changed
	fmt.Println(len(gpt.Keys()), err)
	// Output:
	// 4 <nil>
	// 2 <nil>
	// 2 key 2 of the model "gpt-4o" holds a placeholder, not a key
}

// plain logs to stdout, without the time.
func plain(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

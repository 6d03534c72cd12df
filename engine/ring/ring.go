package ring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// Ring is the keys of one model. It stays on one key until that is marked failed
// or until it is rotated; then it goes on to the next that can serve, in the
// order of the config, round and round. A key that was marked failed may be
// tried again after half a minute, when its turn comes. A Ring is safe for any
// number of goroutines.
type Ring struct {
	model string
	log   *slog.Logger
	like  engine.Key // whose provider new keys are of
	// anew makes all keys fresh, those of the last Reset or of the beginning.
	anew func() error

	mu     sync.Mutex
	engine *engine.Engine
	keys   []Key // in their order; what of them can serve, the engine knows
	// given numbers what is handed out: a key has another number after it
	// failed, so that a late failure is told from a new one.
	given uint64
}

// Key is one key as it was handed out. Printed, it is its name.
type Key struct {
	Name   string
	Secret secret.Secret

	number uint64
}

// String gives the name.
func (k Key) String() string { return k.Name }

// service is what a ring's engine calls its one service.
const service = "ring"

// fill gives the ring its keys, all of them fresh.
func (r *Ring) fill(s engine.Service, keys []engine.Key, accounts []engine.Account) error {
	s.Name, s.Strategy, s.Planned = service, engine.Failover, false
	e, err := engine.New(engine.Config{Keys: keys, Services: []engine.Service{s}, Accounts: accounts})
	if err != nil {
		return fmt.Errorf("the keys of the model %q: %w", r.model, err)
	}
	byName := map[string]engine.Key{}
	for _, k := range keys {
		byName[k.Name] = k
	}
	r.anew = func() error { return r.fill(s, keys, accounts) }
	r.engine, r.keys = e, nil
	for _, tier := range [][]string{s.Keys, s.Fallback} {
		for _, name := range tier {
			r.given++
			r.keys = append(r.keys, Key{Name: name, Secret: byName[name].Secret, number: r.given})
		}
	}
	return nil
}

// Current is the key to use now. When none can serve, the error is an
// *engine.NoKeyError that says of each key why.
func (r *Ring) Current() (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, err := r.current()
	if err == nil {
		r.log.Debug(fmt.Sprintf("Current API key for '%s'", r.model), "key", k.Name)
	}
	return k, err
}

func (r *Ring) current() (Key, error) {
	if name := r.engine.Snapshot().Services[0].KeyInUse; name != "" {
		return r.named(name), nil
	}
	lease, err := r.engine.Acquire(context.Background(), &engine.Request{Service: service, Repeatable: true})
	if none := (*engine.NoKeyError)(nil); errors.As(err, &none) {
		none.Service = r.model
	}
	if err != nil {
		return Key{}, err
	}
	// All have failed, and one of them may be tried again.
	lease.Close(engine.Usage{}, engine.ErrClientLeft)
	return r.named(lease.Key().Name), nil
}

func (r *Ring) named(name string) Key {
	return r.keys[slices.IndexFunc(r.keys, func(k Key) bool { return k.Name == name })]
}

// Rotate goes on to the next key and returns it: the same one where no other can
// serve.
func (r *Ring) Rotate() (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotate("Rotate")
	return r.current()
}

// rotate moves on if there is another key, and reports whether it did.
func (r *Ring) rotate(by string) bool {
	_, err := r.engine.Do(engine.Action{Verb: engine.VerbRotate, Service: service, By: by})
	if err != nil {
		return false // no other key can take over
	}
	if by == "Rotate" {
		r.sayRotated()
	}
	return true
}

// MarkFailed says that a key did not work, and returns the one to use instead:
// the next, if it was the current one. That it fails again while it is known to,
// for requests that left with it before, changes nothing.
func (r *Ring) MarkFailed(k Key) (Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.keys {
		if r.keys[i].number == k.number && k.number != 0 {
			r.fail(&r.keys[i])
		}
	}
	return r.current()
}

func (r *Ring) fail(k *Key) {
	r.given++
	k.number = r.given
	// First on, then out: the ring stays where it went when the key comes back.
	rotated := false
	if c, err := r.current(); err == nil && c.Name == k.Name {
		rotated = r.rotate("MarkFailed")
	}
	if _, err := r.engine.Do(engine.Action{Verb: engine.VerbFail, Key: k.Name, By: "MarkFailed"}); err != nil {
		r.log.Warn(err.Error())
	}
	if rotated {
		r.sayRotated()
	} else if r.remaining() == 0 {
		r.log.Error(fmt.Sprintf("No API key for '%s' can be used", r.model))
	}
}

func (r *Ring) sayRotated() {
	key := ""
	if k, err := r.current(); err == nil {
		key = k.Name
	}
	r.log.Info(fmt.Sprintf("Rotated API key for '%s'. Remaining keys: %d", r.model, r.remaining()), "key", key)
}

// Keys are all keys, in their order, those that failed too.
func (r *Ring) Keys() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Key(nil), r.keys...)
}

// Remaining is how many keys can be used now.
func (r *Ring) Remaining() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remaining()
}

func (r *Ring) remaining() (n int) {
	for _, k := range r.engine.Snapshot().Keys {
		if k.Usable() || k.Trial {
			n++
		}
	}
	return n
}

// Reset puts other keys in the place of all there are, and begins anew with the
// first; without keys it begins anew with those there are. When they cannot be
// used, the error says why and nothing has changed.
func (r *Ring) Reset(keys ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	anew := r.anew
	if len(keys) > 0 {
		list, err := r.keysOf(keys)
		if err != nil {
			return err
		}
		anew = func() error { return r.fill(engine.Service{Keys: names(list)}, list, nil) }
	}
	if err := anew(); err != nil {
		return err
	}
	r.log.Info(fmt.Sprintf("Reset API keys for '%s'. Remaining keys: %d", r.model, r.remaining()))
	return nil
}

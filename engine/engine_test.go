package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"keywheel/engine/secret"
)

// testEngine has one service "svc" with keys k1, k2, ... of provider "p".
func testEngine(t testing.TB, keys int, strategy string, change ...func(*Config)) *Engine {
	t.Helper()
	cfg := Config{Services: []Service{{Name: "svc", Strategy: strategy}}}
	for i := range keys {
		name := fmt.Sprintf("k%d", i+1)
		cfg.Keys = append(cfg.Keys, Key{Name: name, Provider: "p", Secret: secret.New("sk-test-not-a-key-" + name)})
		cfg.Services[0].Keys = append(cfg.Services[0].Keys, name)
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(cfg, WithSeed(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range e.creds {
		c.proven = true // they have served before
	}
	return e
}

func request() *Request {
	return &Request{ID: "req-1", Service: "svc", Method: "POST", Path: "/v1/chat/completions", Model: "m", Scope: "chat", Repeatable: true}
}

// acquire fails the test when there is no key.
func acquire(t testing.TB, e *Engine, r *Request) *Lease {
	t.Helper()
	l, err := e.Acquire(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve sends one request whose answer is a success and names its key.
func serve(t testing.TB, e *Engine) string {
	t.Helper()
	l := acquire(t, e, request())
	l.Judge(ok)
	l.Close(Usage{}, nil)
	return l.Key().Name
}

// answered sends one request that is answered as said by each key in turn, and
// names the keys it went to.
func answered(t testing.TB, e *Engine, vs ...Verdict) []string {
	t.Helper()
	r := request()
	var keys []string
	for i, v := range vs {
		l, err := e.Acquire(context.Background(), r)
		if err != nil {
			var none *NoKeyError
			if !errors.As(err, &none) {
				t.Fatal(err)
			}
			return append(keys, "none")
		}
		keys = append(keys, l.Key().Name)
		if !l.Judge(v) {
			l.Close(Usage{}, nil)
			if i < len(vs)-1 {
				t.Fatalf("answer %d (%v) ended the request", i, v.Kind)
			}
		} else if i == len(vs)-1 {
			e.Abandon(r)
		}
	}
	return keys
}

func answer(k Kind, status int) Verdict {
	return Verdict{Kind: k, Scope: ScopeKey, Evidence: Evidence{Status: status}}
}

var (
	ok           = Verdict{Kind: OK, Evidence: Evidence{Status: 200}}
	tooMany      = answer(RateLimited, 429)
	unauthorized = answer(InvalidKey, 401)
	noMoney      = answer(QuotaExhausted, 402)
	forbidden    = answer(PermissionDenied, 403)
	badRequest   = answer(ClientError, 400)
	unavailable  = answer(UpstreamFault, 503)
)

func stateOf(t testing.TB, e *Engine, name string) State {
	t.Helper()
	return keyOf(t, e, name).State
}

func keyOf(t testing.TB, e *Engine, name string) KeyStatus {
	t.Helper()
	for _, k := range e.Snapshot().Keys {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no key %q in the snapshot", name)
	return KeyStatus{}
}

func do(t testing.TB, e *Engine, a Action) Result {
	t.Helper()
	r, err := e.Do(a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeyInUseCanServe(t *testing.T) {
	t.Parallel()
	for _, verb := range []Verb{VerbDisable, VerbDrain, VerbFail} {
		e := testEngine(t, 2, RoundRobin)
		last := serve(t, e)
		if got := e.Snapshot().Services[0].KeyInUse; got != last {
			t.Errorf("%s is in use, want %s, which served last", got, last)
		}
		if _, err := e.Do(Action{Verb: verb, Key: last, By: "you"}); err != nil {
			t.Fatal(err)
		}
		if got := e.Snapshot().Services[0].KeyInUse; got == last || got == "" {
			t.Errorf("%q is in use after %s of %s, want the one that can serve", got, verb, last)
		}
	}
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// accounts gives k1 and k2 the account a, k3 and k4 the account b, and so on.
func accounts(cfg *Config) {
	for i := range cfg.Keys {
		cfg.Keys[i].Account = string(rune('a' + i/2))
	}
}

// made binds ids to a key, as the answer to a create does.
func made(t testing.TB, e *Engine, key string, ids ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bind(e.keyBy[key], &Request{Method: "POST"}, ids, time.Now())
}

// get is a request that reads what has these ids, post one that uses them.
func get(ids ...string) *Request {
	return &Request{ID: "req-1", Service: "svc", Method: "GET", Path: "/v1/files/" + strings.Join(ids, "/"), Repeatable: true, Bound: ids}
}

func post(ids ...string) *Request {
	r := request()
	r.Bound = ids
	return r
}

var (
	notFound  = answer(ClientError, 404)
	elsewhere = Verdict{Kind: ClientError, Elsewhere: true, Evidence: Evidence{Status: 400}}
)

// servedBy sends a request of which each key answers as said, and names the keys
// it went to.
func servedBy(t testing.TB, e *Engine, r *Request, says map[string]Verdict) string {
	t.Helper()
	var keys []string
	for {
		l, err := e.Acquire(context.Background(), r)
		if err != nil {
			return strings.Join(append(keys, "error: "+err.Error()), " ")
		}
		name := l.Key().Name
		keys = append(keys, name)
		v, ok := says[name]
		if !ok {
			v = Verdict{Kind: OK, Evidence: Evidence{Status: 200}}
		}
		if !l.Judge(v) {
			l.Close(Usage{}, nil)
			return strings.Join(keys, " ")
		}
	}
}

// unblamed fails if any answer left a mark on a key.
func unblamed(t testing.TB, e *Engine) {
	t.Helper()
	for _, k := range e.Snapshot().Keys {
		if len(k.Holds) > 0 || k.State != Active || k.Failures > 0 {
			t.Errorf("%s is blamed: %s, %+v, %d failures", k.Name, k.State, k.Holds, k.Failures)
		}
	}
}

func TestWhatIsBoundGoesToItsAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(*Config)
		before []Action
		want   string // the keys of five requests in a row
	}{
		{what: "to the key that made it", want: "k4 k4 k4 k4 k4"},
		{what: "to its account, when that key cannot", before: []Action{{Verb: VerbDisable, Key: "k4"}}, want: "k3 k3 k3 k3 k3"},
		{what: "whatever is pinned", before: []Action{{Verb: VerbPin, Service: "svc", Key: "k1"}}, want: "k4 k4 k4 k4 k4"},
		{what: "whatever the tiers are", change: func(cfg *Config) {
			cfg.Services[0].Keys, cfg.Services[0].Fallback = []string{"k1", "k2"}, []string{"k3", "k4"}
		}, want: "k4 k4 k4 k4 k4"},
		{what: "whatever the strategy is", change: func(cfg *Config) { cfg.Services[0].Strategy = Failover }, want: "k4 k4 k4 k4 k4"},
		{what: "without accounts, only to that key", change: func(cfg *Config) {
			for i := range cfg.Keys {
				cfg.Keys[i].Account = ""
			}
		}, want: "k4 k4 k4 k4 k4"},
	} {
		change := c.change
		if change == nil {
			change = func(*Config) {}
		}
		e := testEngine(t, 4, RoundRobin, accounts, change)
		made(t, e, "k4", "file-1")
		for _, a := range c.before {
			do(t, e, a)
		}
		events := len(e.Events(0))
		var got []string
		for range 5 {
			got = append(got, servedBy(t, e, post("file-1"), nil))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.what, got, c.want)
		}
		if n := len(e.Events(0)); n != events {
			t.Errorf("%s: it is no rotation, but %+v", c.what, e.Events(uint64(events)))
		}
	}
}

// TestABindingKeepsNoAnswer: what is learned is a part of a text that may be
// long, and 200,000 of those are kept.
func TestABindingKeepsNoAnswer(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	text := strings.Repeat("long ", 1000) + "file-1"
	id := text[len(text)-len("file-1"):]
	made(t, e, "k1", id)
	e.bindings.notFound("svc", []string{id}, time.Now())
	for n := range e.bindings.unknown {
		if unsafe.StringData(n.id) == unsafe.StringData(id) {
			t.Error("the id that nobody knows is still a part of the text")
		}
	}
	if b := e.bindings.find(e.Snapshot().Keys[0].Provider, id); b == nil || unsafe.StringData(b.ID) == unsafe.StringData(id) {
		t.Errorf("the binding is still a part of the text: %+v", b)
	}
}

func TestABoundRequestWaitsForItsAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 4, accounts)
		made(t, e, "k1", "video-1")
		account := cooling(3 * time.Second)
		account.Scope = ScopeAccount
		answered(t, e, account, ok)
		w := waitFor(e, context.Background(), get("video-1"))
		synctest.Wait()
		if got := serve(t, e); got != "k4" && got != "k3" {
			t.Errorf("who waits for account a is in the way of others: %s", got)
		}
		got := <-w
		if got.err != nil || got.lease.Key().Name != "k1" || got.took < 3*time.Second || got.took > 4*time.Second {
			t.Errorf("%+v", got)
		}
	})
}

// Who waits for one account is not in the way of who waits for another.
func TestWaitersForOtherAccountsPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2)
		made(t, e, "k1", "file-1")
		answered(t, e, cooling(6*time.Second), cooling(2*time.Second))
		first := waitFor(e, context.Background(), post("file-1"))
		synctest.Wait()
		second := waitFor(e, context.Background(), request())
		if got := <-second; got.err != nil || got.lease.Key().Name != "k2" || got.took > 3*time.Second {
			t.Errorf("behind a request for k1: %+v", got)
		}
		if got := <-first; got.err != nil || got.lease.Key().Name != "k1" {
			t.Errorf("%+v", got)
		}
	})
}

func TestABoundRequestIsToldWhyItCannotBeServed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(*Config)
		before func(*testing.T, *Engine)
		ids    []string
		want   string
		retry  bool
	}{
		{what: "disabled", before: func(t *testing.T, e *Engine) {
			do(t, e, Action{Verb: VerbDisable, Key: "k1"})
			do(t, e, Action{Verb: VerbDisable, Key: "k2"})
			answered(t, e, cooling(3*time.Second), cooling(3*time.Second)) // that others come back does not help
		}, want: "no key of svc can serve this request: file-1 belongs to account a (made with key k1), and only that can use it: k1 disabled by operator; k2 disabled by operator"},
		{what: "cools for long", before: func(t *testing.T, e *Engine) {
			v := cooling(time.Minute)
			v.Scope = ScopeAccount
			answered(t, e, v, ok)
		}, want: "k1 cooling: 429 rate limited", retry: true},
		{what: "not a key of this service", change: func(cfg *Config) { cfg.Services[0].Keys = []string{"k3", "k4"} },
			want: "file-1 belongs to account a (made with key k1), and only that can use it: k1 is not a key of svc"},
		{what: "of two accounts", before: func(t *testing.T, e *Engine) { made(t, e, "k3", "file-2") }, ids: []string{"file-1", "file-2"},
			want: "file-1 belongs to account a (made with key k1), but file-2 to account b (made with key k3): no key can use both"},
	} {
		changes := []func(*Config){accounts}
		if c.change != nil {
			changes = append(changes, c.change)
		}
		synctest.Test(t, func(t *testing.T) {
			e := patient(t, 4, changes...)
			made(t, e, "k1", "file-1")
			if c.before != nil {
				c.before(t, e)
			}
			if c.ids == nil {
				c.ids = []string{"file-1"}
			}
			begun := time.Now()
			_, err := e.Acquire(context.Background(), post(c.ids...))
			var none *NoKeyError
			if !errors.As(err, &none) || !strings.Contains(err.Error(), c.want) || none.RetryAfter > 0 != c.retry {
				t.Errorf("%s: %v (retry after %v)", c.what, err, none.RetryAfter)
			}
			if took := time.Since(begun); took > 0 {
				t.Errorf("%s: told after %v, though waiting does not help", c.what, took)
			}
		})
	}
}

func TestABindingOutlivesAReplacedSecretAndARemovedKey(t *testing.T) {
	t.Parallel()
	old := []Binding{{ID: "file-1", Provider: "p", Key: "k4", Account: "b", At: time.Now()}, {ID: "file-1", Provider: "p", Key: "k1", Account: "a", At: time.Now().Add(-time.Hour)}, {ID: "file-2", Provider: "p", Key: "k9", Account: "b", At: time.Now()},
		{ID: "file-3", Provider: "p", Key: "k9", At: time.Now()}, {ID: "file-4", Provider: "q", Key: "k1", At: time.Now()}}
	e := testEngine(t, 4, RoundRobin, accounts)
	WithBindings(old)(e)
	for _, c := range []struct{ id, want string }{
		{"file-1", "k4"},
		{"file-2", "k3"}, // the account is still there
		{"file-3", "error: no key of svc can serve this request: file-3 belongs to key k9, and only that can use it: k9 is no longer in the configuration"},
		{"file-4", "k1"}, // another provider's ids are not ours
	} {
		if got := servedBy(t, e, post(c.id), nil); got != c.want {
			t.Errorf("%s: %s, want %s", c.id, got, c.want)
		}
	}
	if n := len(e.BindingsSince(0)); n != 0 {
		t.Errorf("%d bindings of before are told as new", n)
	}
}

// No key is asked twice, nor two of one account; who knows it is remembered, and
// nobody is blamed.
func TestAnUnknownIDIsAskedAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		says   Verdict // what accounts say that do not have it
		r      func(...string) *Request
		has    string // who has it
		first  string
		second string
	}{
		{"a GET, found in the third account", notFound, get, "k5 k6", "k1 k3 k5", "k5"},
		{"a GET that is forbidden", forbidden, get, "k5 k6", "k1 k3 k5", "k5"},
		{"a GET, found at once", notFound, get, "k1 k2", "k1", "k1"},
		{"a GET that nobody knows", notFound, get, "", "k1 k3 k5", "k2"},
		{"a POST that is refused", elsewhere, post, "k5 k6", "k1 k3 k5", "k5"},
		{"a POST that nobody can serve", elsewhere, post, "", "k1 k3 k5", "k2"},
	} {
		e := testEngine(t, 6, RoundRobin, accounts)
		says := map[string]Verdict{}
		for i := range 6 {
			if k := fmt.Sprintf("k%d", i+1); !strings.Contains(c.has, k) {
				says[k] = c.says
			}
		}
		if got := servedBy(t, e, c.r("file-1"), says); got != c.first {
			t.Errorf("%s: asked %s, want %s", c.what, got, c.first)
		}
		if got := servedBy(t, e, c.r("file-1"), says); got != c.second {
			t.Errorf("%s, again: asked %s, want %s", c.what, got, c.second)
		}
		unblamed(t, e)
	}
}

func TestAnIDThatNobodyKnowsIsAskedForAgainLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin)
		none := map[string]Verdict{"k1": notFound, "k2": notFound}
		for _, c := range []struct {
			after time.Duration
			asked int
		}{{0, 2}, {0, 1}, {9 * time.Minute, 1}, {2 * time.Minute, 2}} {
			time.Sleep(c.after)
			if got := servedBy(t, e, get("file-1"), none); len(strings.Fields(got)) != c.asked {
				t.Errorf("after %v asked %s, want %d keys", c.after, got, c.asked)
			}
		}
		// One that is made meanwhile is known at once.
		made(t, e, "k2", "file-1")
		if got := servedBy(t, e, get("file-1"), nil); got != "k2" {
			t.Errorf("asked %s", got)
		}
	})
}

// While an account cannot be asked, nobody says that it does not know.
func TestAnAccountThatCannotAnswerIsNotTakenForANo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin)
		answered(t, e, cooling(time.Minute), ok)
		says := map[string]Verdict{"k2": notFound}
		if got := servedBy(t, e, get("file-1"), says); got != "k2" {
			t.Errorf("asked %s", got)
		}
		time.Sleep(2 * time.Minute)
		for range 2 {
			if got := servedBy(t, e, get("file-1"), says); got != "k1" && got != "k2 k1" {
				t.Errorf("asked %s", got)
			}
		}
	})
}

func TestWhatOnlyLooksLikeAnID(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	guess := func() *Request {
		r := get("report-2024")
		r.Guessed = true
		return r
	}
	var got []string
	for range 4 {
		got = append(got, servedBy(t, e, guess(), nil))
	}
	if want := []string{"k1", "k2", "k1", "k2"}; !slices.Equal(got, want) {
		t.Errorf("what every key has is bound to one: %v", got)
	}
	says := map[string]Verdict{"k1": notFound}
	if got := servedBy(t, e, guess(), says) + ", " + servedBy(t, e, guess(), says); got != "k1 k2, k2" {
		t.Errorf("what one key has is not learned: %s", got)
	}
}

// A POST that used an id it did not know shows nothing, for many upstreams pass
// over what they do not know.
func TestAPostDoesNotBindWhatItNames(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	if got := servedBy(t, e, post("conv-1"), nil) + " " + servedBy(t, e, post("conv-1"), nil); got != "k1 k2" {
		t.Errorf("served by %s", got)
	}
}

// Two keys of one account may be of different workspaces: the maker is asked
// when the other does not know it.
func TestTheMakerIsAskedWhenItsAccountDoesNotKnow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := patient(t, 2, accounts)
		made(t, e, "k1", "batch-1")
		answered(t, e, cooling(3*time.Second), ok) // k1
		begun := time.Now()
		if got := servedBy(t, e, get("batch-1"), map[string]Verdict{"k2": notFound}); got != "k2 k1" {
			t.Errorf("asked %s", got)
		}
		if took := time.Since(begun); took < 3*time.Second {
			t.Errorf("k1 was asked after %v, while it cooled", took)
		}
		if got := servedBy(t, e, get("batch-1"), nil); got != "k1" {
			t.Errorf("then asked %s", got)
		}
		do(t, e, Action{Verb: VerbDisable, Key: "k1"})
		if got := servedBy(t, e, get("batch-1"), map[string]Verdict{"k2": forbidden}); got != "k2" {
			t.Errorf("asked %s", got)
		}
		if holds := keyOf(t, e, "k2").Holds; len(holds) > 0 {
			t.Errorf("k2 is blamed for another workspace's id: %+v", holds)
		}
	})
}

// The maker itself is blamed as ever: it is its own id.
func TestAnAccountsOwnIDExcusesNothing(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	made(t, e, "k1", "file-1")
	got := servedBy(t, e, post("file-1"), map[string]Verdict{"k1": forbidden})
	if holds := keyOf(t, e, "k1").Holds; got != "k1" || len(holds) != 1 || holds[0].Model != "m" {
		t.Errorf("asked %s, holds %+v", got, holds)
	}
}

func TestARejectedKeyOfABoundRequest(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 4, RoundRobin, accounts)
	made(t, e, "k1", "file-1")
	if got := servedBy(t, e, post("file-1"), map[string]Verdict{"k1": unauthorized}); got != "k1 k2" {
		t.Errorf("went to %s", got)
	}
	if got := servedBy(t, e, post("file-1"), map[string]Verdict{"k2": unauthorized}); !strings.HasPrefix(got, "k2 error: no key of svc can serve this request: file-1 belongs to account a") {
		t.Errorf("went to %s", got)
	}
}

func TestAPinHoldsForWhatIsUnknown(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2"})
	if got := servedBy(t, e, get("file-1"), map[string]Verdict{"k2": notFound}); got != "k2" {
		t.Errorf("asked %s", got)
	}
	do(t, e, Action{Verb: VerbUnpin, Service: "svc"})
	if got := servedBy(t, e, get("file-1"), map[string]Verdict{"k2": notFound}); got != "k1" && got != "k2 k1" {
		t.Errorf("then asked %s", got)
	}
}

func TestAnUnreadBodyIsNotAskedAround(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	r := post("file-1")
	r.Once = true
	if got := servedBy(t, e, r, map[string]Verdict{"k1": elsewhere}); got != "k1" {
		t.Errorf("sent to %s", got)
	}
}

func TestBindingsAreToldInOrder(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	made(t, e, "k1", "file-1", "file-2")
	made(t, e, "k1", "file-1") // known
	made(t, e, "k2", "file-2") // it is another's after all
	l := acquire(t, e, get("file-1"))
	l.Forget("file-1", "file-9")
	l.Judge(ok)
	l.Close(Usage{}, nil)
	var told []string
	for _, b := range e.BindingsSince(1) {
		told = append(told, fmt.Sprintf("%d %s %s %v", b.Seq, b.ID, b.Key, b.Gone))
	}
	if want := []string{"2 file-2 k1 false", "3 file-2 k2 false", "4 file-1 k1 true"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if list := e.Bindings(); len(list) != 1 || list[0].ID != "file-2" || list[0].Key != "k2" {
		t.Errorf("known: %+v", list)
	}
	if a, b := keyOf(t, e, "k1").Bindings, keyOf(t, e, "k2").Bindings; a != 0 || b != 1 {
		t.Errorf("the snapshot counts %d and %d", a, b)
	}
}

func TestWaitBindings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		told := make(chan []Binding, 1)
		go func() {
			list, _ := e.WaitBindings(context.Background(), 0)
			told <- list
		}()
		synctest.Wait()
		made(t, e, "k1", "file-1")
		if list := <-told; len(list) != 1 || list[0].ID != "file-1" {
			t.Errorf("told %+v", list)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := e.WaitBindings(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestBindingsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin)
		for i := range maxBindings + 10 {
			made(t, e, "k1", fmt.Sprintf("file-%d", i))
		}
		if n := len(e.Bindings()); n != maxBindings {
			t.Errorf("%d kept", n)
		}
		for id, want := range map[string]bool{"file-9": false, "file-10": true} {
			if known := e.bindings.find(e.Snapshot().Keys[0].Provider, id) != nil; known != want {
				t.Errorf("%s is known: %v", id, known)
			}
		}
		time.Sleep(bindingAge + time.Hour)
		made(t, e, "k2", "file-new")
		if list := e.Bindings(); len(list) != 1 || keyOf(t, e, "k1").Bindings != 0 {
			t.Errorf("after a year %d are kept", len(list))
		}
		for i := range maxUnknown + 10 {
			e.mu.Lock()
			e.bindings.notFound("svc", []string{fmt.Sprintf("x-%d", i)}, time.Now())
			e.mu.Unlock()
		}
		if n := len(e.bindings.unknown); n > maxUnknown {
			t.Errorf("%d unknown ids kept", n)
		}
	})
}

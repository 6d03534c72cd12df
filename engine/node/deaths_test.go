//go:build unix

package node

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywheel/engine"
)

// death is how a provider takes all keys of a service away, and how they come
// back.
type death struct {
	atOnce bool // else one by one
	// newSecrets come in the file that they are read from, which nobody has to
	// say; else the provider takes the old ones again, and a person resets them.
	newSecrets bool
}

func (d death) String() string {
	how, back := "one by one", "reset"
	if d.atOnce {
		how = "all at once"
	}
	if d.newSecrets {
		back = "replaced"
	}
	return "keys revoked " + how + ", then " + back
}

// deaths are rows of [TestFaults].
var deaths = []death{{}, {newSecrets: true}, {atOnce: true}, {atOnce: true, newSecrets: true}}

// stage is how far a death is.
type stage int32

const (
	alive  stage = iota // a key is good
	last                // the last is being revoked
	gone                // none is left, and keywheel knows
	coming              // they are coming back
	back                // they are back
	stages
)

// want is what a client may see then.
var want = [stages]seen{alive: served, last: served | comeLater | keyless, gone: keyless, coming: served | keyless, back: served}

const (
	dyingKeys = 5
	callers   = 8
)

// dying is a service under load whose provider rejects what it is told to.
type dying struct {
	*home
	*asker
	stage atomic.Int32
	// answers counts those of each client that began and ended in a stage.
	answers [callers][stages]atomic.Int64

	mu      sync.Mutex
	revoked map[string]bool
	// tests are the test calls with a revoked secret, rejected the requests.
	tests, rejected map[string]int
	sent            map[string]int // by id and secret
	made            map[string]int // by id: answers that were good
}

func newDying(t *testing.T) *dying {
	d := &dying{home: newHome(t), revoked: map[string]bool{}, tests: map[string]int{}, rejected: map[string]int{}, sent: map[string]int{}, made: map[string]int{}}
	d.up = httptest.NewServer(d)
	t.Cleanup(d.up.Close)
	d.secrets("old")
	var keys []string
	for i := range dyingKeys {
		keys = append(keys, fmt.Sprintf("k%d env:K%d", i, i))
	}
	d.toml(keys...)
	d.start()
	d.asker = newAsker(t, d.Node)
	return d
}

// secrets writes the file that the keys are read from.
func (d *dying) secrets(age string) {
	var text strings.Builder
	for i := range dyingKeys {
		fmt.Fprintf(&text, "K%d=%s\n", i, secretOf(i, age))
	}
	d.write(".env", text.String())
}

func secretOf(i int, age string) string { return fmt.Sprintf("%s%s-%d", fake, age, i) }

// ServeHTTP is the provider.
func (d *dying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	k, id := kindOf(r)
	who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	rejects := d.revoked[who]
	switch {
	case id == "" && rejects:
		d.tests[who]++
	case rejects:
		d.rejected[who]++
	default:
		d.made[id]++
	}
	if id != "" {
		d.sent[id+" "+who]++
	}
	d.mu.Unlock()
	w.Header().Set("Content-Type", k.contentType())
	if rejects {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}`)
		return
	}
	_, _ = io.WriteString(w, k.answer(id))
}

func (d *dying) revoke(all bool, secrets ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range secrets {
		d.revoked[s] = all
	}
}

// calls is how often the provider was asked with a revoked secret.
func (d *dying) calls() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, counts := range []map[string]int{d.tests, d.rejected} {
		for c := range maps.Values(counts) {
			n += c
		}
	}
	return n
}

// are waits until all keys, or one, are in a state.
func (d *dying) are(state engine.State, names ...string) {
	d.t.Helper()
	waitFor(d.t, func() bool {
		return !slices.ContainsFunc(d.Snapshot().Keys, func(k engine.KeyStatus) bool {
			return (len(names) == 0 || slices.Contains(names, k.Name)) && k.State != state
		})
	})
}

// more waits until every client has had n more answers in the present stage.
func (d *dying) more(n int64) {
	d.t.Helper()
	s := d.stage.Load()
	var from [callers]int64
	for i := range from {
		from[i] = d.answers[i][s].Load()
	}
	waitFor(d.t, func() bool {
		for i := range from {
			if d.answers[i][s].Load() < from[i]+n && !d.t.Failed() {
				return false
			}
		}
		return true
	})
}

// load asks until it is stopped.
func (d *dying) load(i int, stop <-chan struct{}) {
	pace := time.NewTicker(time.Millisecond) // errors come at once
	defer pace.Stop()
	for n := i; ; n++ {
		select {
		case <-stop:
			return
		case <-pace.C:
		}
		before := stage(d.stage.Load())
		got, why := d.ask("svc", kind(n)%kinds)
		after := stage(d.stage.Load())
		may := seen(0)
		for s := before; s <= after; s++ {
			may |= want[s]
		}
		if got&may == 0 {
			d.t.Errorf("in stage %d to %d a %s was %s, want %s: %s", before, after, kind(n)%kinds, got, may, why)
			return
		}
		if got == keyless || got == comeLater {
			for i := range dyingKeys {
				if !strings.Contains(why, fmt.Sprintf("k%d: ", i)) {
					d.t.Errorf("k%d is not spoken of: %s", i, why)
				}
			}
		}
		if before == after {
			d.answers[i][before].Add(1)
		}
	}
}

// goes is the whole of it: while a key is good all are served; when none is,
// each client is told at once that a person must act, and the provider is left
// alone; when they are back all are served again.
func (d *dying) goes(how death) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range callers {
		clients.Go(func() { d.load(i, stop) })
	}
	end := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer end()
	d.more(4)
	var old []string
	for i := range dyingKeys {
		old = append(old, secretOf(i, "old"))
	}
	if !how.atOnce {
		for i, s := range old[:dyingKeys-1] {
			d.revoke(true, s)
			d.are(engine.Revoked, fmt.Sprint("k", i))
			d.more(2)
		}
	}
	d.stage.Store(int32(last))
	d.revoke(true, old...)
	d.are(engine.Revoked)
	d.stage.Store(int32(gone))
	d.more(1) // what was under way has come in
	calls := d.calls()
	if !how.newSecrets {
		d.revoke(false, old...) // which nobody here knows
	}
	d.more(4)
	d.stage.Store(int32(coming))
	if how.newSecrets {
		d.secrets("new")
	} else if _, err := d.Do(engine.Action{Verb: engine.VerbReset, Service: "svc", By: "you"}); err != nil {
		d.t.Error(err)
	}
	d.are(engine.Active)
	d.stage.Store(int32(back))
	d.more(4)
	end()

	if p := d.Snapshot().Proxy; p.InFlight != 0 || p.Waiting != 0 || p.Requests != d.asked.Load() {
		d.t.Errorf("at rest, of %d requests: %+v", d.asked.Load(), p)
	}
	if n := d.calls(); n != calls {
		d.t.Errorf("a key that is known to be revoked was asked %d times", n-calls)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range old {
		// Whoever had it when the first was rejected learns it by itself.
		if d.tests[s] != 1 || d.rejected[s] > callers || !how.atOnce && d.rejected[s] == 0 {
			d.t.Errorf("%s was rejected to %d requests and %d test calls", s, d.rejected[s], d.tests[s])
		}
	}
	for what, n := range d.sent {
		if n > 1 {
			d.t.Errorf("%s was sent %d times", what, n)
		}
	}
	for id, n := range d.made {
		if n > 1 && id != "" {
			d.t.Errorf("%s was made %d times", id, n)
		}
	}
}

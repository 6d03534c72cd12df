package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/journal"
	"keywheel/engine/sim"
)

// aimlTown has five keys of four accounts at a simulated AIMLAPI, and a service
// for each kind of work.
func aimlTown(t *testing.T, jobTime time.Duration) *town {
	const toml = `
[keys.main-1]
provider = "aimlapi"
secret   = "env:MAIN_1"
account  = "team-a"

[keys.main-2]
provider = "aimlapi"
secret   = "env:MAIN_2"
account  = "team-a"

[keys.video-1]
provider = "aimlapi"
secret   = "env:VIDEO_1"
account  = "team-b"
scopes   = ["video"]
limits   = { usd_per_month = 50.0 }

[keys.video-2]
provider = "aimlapi"
secret   = "env:VIDEO_2"
account  = "team-c"
scopes   = ["video"]

[keys.code-1]
provider = "aimlapi"
secret   = "env:CODE_1"
account  = "team-d"
scopes   = ["code"]

[services.librechat-ui]
needs = ["chat", "image"]
keys  = ["main-1", "main-2"]

[services.code-proxy]
needs = ["code"]
keys  = ["code-1"]

[services.video-proxy]
needs = ["video"]
keys  = ["video-1", "video-2"]
`
	env := map[string]string{}
	var keys []sim.Key
	for name, account := range map[string]string{"main-1": "team-a", "main-2": "team-a", "video-1": "team-b", "video-2": "team-c", "code-1": "team-d"} {
		env[strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = fakeSecret(name)
		k := sim.Key{Name: name, Account: account, Budget: 40}
		if account == "team-b" || account == "team-c" {
			k.Scopes = []string{"video"}
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b sim.Key) int { return strings.Compare(a.Name, b.Name) })
	return newTown(t, toml, env, upstream(t, "aimlapi", sim.Options{Seed: 3, JobTime: jobTime,
		Models: []string{"gpt-4o", "flux/schnell", "deepseek-coder", "minimax/hailuo-02", "kling-video/v1"}}, keys...))
}

// calls is how many requests of any kind a key's provider has seen.
func (w *town) calls(key string) int64 {
	c := w.up["aimlapi"].Counts(key)
	return c.Accepted + c.Free + c.TotalRefused()
}

// Everything that AIMLAPI does for the services of such an installation, and
// what it costs in the books.
func TestAIMLAPI(t *testing.T) {
	t.Parallel()
	w := aimlTown(t, 0)
	for range 4 {
		for _, body := range []string{`{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`, `{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}`} {
			r := w.send("POST", "/librechat-ui/v1/chat/completions", body)
			if r.status != 200 || r.header.Get("X-Inference-Id") == "" || !strings.HasPrefix(r.key(), "main-") {
				t.Errorf("chat: %d %s", r.status, r.body)
			}
		}
		if r := w.send("POST", "/librechat-ui/v1/images/generations", `{"model":"flux/schnell","prompt":"a cat"}`); r.status != 200 {
			t.Errorf("image: %d %s", r.status, r.body)
		}
		if r := w.send("POST", "/code-proxy/v1/chat/completions", `{"model":"deepseek-coder","messages":[{"role":"user","content":"sort"}]}`); r.status != 200 || r.key() != "code-1" {
			t.Errorf("code: %d %s", r.status, r.body)
		}
	}
	// The older paths have the vendor in them.
	for model, at := range map[string]string{"minimax/hailuo-02": "/v2/video/generations", "kling-video/v1": "/v2/generate/video/kling/generation"} {
		for range 2 {
			r := w.send("POST", "/video-proxy"+at, fmt.Sprintf(`{"model":%q,"prompt":"a cat"}`, model))
			id := gjson.Get(r.body, "id").String() // it ends in the vendor
			for range 3 {
				done := w.send("GET", "/video-proxy"+at+"?generation_id="+id, "")
				if done.status != 200 || done.key() != r.key() || gjson.Get(done.body, "video.url").String() == "" {
					t.Errorf("video: %d %s", done.status, done.body)
				}
			}
		}
	}
	books := w.books(journal.ByService, journal.ByModel)
	for who, want := range map[journal.Who]struct {
		requests int64
		usd      float64 // 0 is by its tokens
	}{
		{Service: "librechat-ui", Model: "gpt-4o"}: {8, 0}, {Service: "librechat-ui", Model: "flux/schnell"}: {4, 4 * 0.03},
		{Service: "code-proxy", Model: "deepseek-coder"}:     {4, 0},
		{Service: "video-proxy", Model: "minimax/hailuo-02"}: {2, 2 * 0.2}, {Service: "video-proxy", Model: "kling-video/v1"}: {2, 2 * 0.2},
	} {
		got := books[who]
		if got.Requests != want.requests || got.Failures+got.Unpriced != 0 || got.CostUSD <= 0 || want.usd > 0 && !near(got.CostUSD, want.usd) {
			t.Errorf("%s at %s: %+v, want %v", who.Model, who.Service, got, want)
		}
	}
	if looks := books[journal.Who{Service: "video-proxy"}]; looks.Requests != 12 || looks.CostUSD != 0 {
		t.Errorf("looking at videos: %+v", looks)
	}
	for key, got := range w.books(journal.ByKey) {
		if billed := w.up["aimlapi"].Counts(key.Key).CostUSD; !near(got.CostUSD, billed) {
			t.Errorf("%s cost %v, and %v is billed", key.Key, got.CostUSD, billed)
		}
	}
	if foreign := w.up["aimlapi"].Foreign(); len(foreign) > 0 {
		t.Errorf("upstream saw credentials that are not its own: %v", foreign)
	}
}

// A job is polled with the account that made it, whatever the rotation says,
// also after a restart, and is paid for once.
func TestVideoJobsWhileKeysRotate(t *testing.T) {
	t.Parallel()
	const jobs = 8
	w := aimlTown(t, 300*time.Millisecond)
	made := map[string]string{} // by generation id
	for range jobs {
		r := w.send("POST", "/video-proxy/v2/video/generations", `{"model":"minimax/hailuo-02","prompt":"a cat"}`)
		id := gjson.Get(r.body, "generation_id").String()
		if r.status != 201 || id == "" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		made[id] = r.key()
	}
	poll := func() (completed int) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for id, key := range made {
			all.Go(func() {
				r := w.send("GET", "/video-proxy/v2/video/generations?generation_id="+id, "")
				mu.Lock()
				defer mu.Unlock()
				if r.status != 200 || r.key() != key || r.header.Get("X-Keywheel-Attempts") != "1" {
					t.Errorf("the job of %s was asked of %s, which answered %d %s", key, r.key(), r.status, r.body)
				}
				if gjson.Get(r.body, "status").String() == "completed" {
					completed++
				}
			})
		}
		all.Wait()
		return completed
	}
	poll()
	for range 3 {
		w.act(engine.Action{Verb: engine.VerbRotate, Service: "video-proxy"})
		poll()
	}
	w.act(engine.Action{Verb: engine.VerbPin, Service: "video-proxy", Key: "video-2"}) // what is bound beats it
	w.restart()
	w.act(engine.Action{Verb: engine.VerbUnpin, Service: "video-proxy"})
	waitFor(t, func() bool { return poll() == jobs })
	w.restart()
	if n := poll(); n != jobs {
		t.Errorf("%d are completed after the second restart", n)
	}
	for _, key := range []string{"video-1", "video-2"} {
		want := float64(jobs/2) * 0.2
		if got := w.key(key); !near(got.CostUSD, want) || got.Bindings != jobs/2 {
			t.Errorf("%s cost %v with %d bindings, want %v with %d", key, got.CostUSD, got.Bindings, want, jobs/2)
		}
		if got := w.books(journal.ByKey, journal.ByService, journal.ByModel)[journal.Who{Key: key, Service: "video-proxy", Model: "minimax/hailuo-02"}]; !near(got.CostUSD, want) || got.Requests != jobs/2 {
			t.Errorf("%s in the books: %+v, want %v of %d requests", key, got, want, jobs/2)
		}
		if l := w.key("video-1").Limits[0]; !near(l.Remaining, 50-want) {
			t.Errorf("of video-1's $50 a month %v are left", l.Remaining)
		}
	}
	// The account's other key may look for one that is out; here there is none.
	w.act(engine.Action{Verb: engine.VerbDisable, Key: "video-1"})
	for id, key := range made {
		if r := w.send("GET", "/video-proxy/v2/video/generations?generation_id="+id, ""); key == "video-1" && (r.status != 429 || !strings.Contains(r.body, "belongs to account team-b (made with key video-1)")) {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

// What no key of a service is for is refused here, in the client's own dialect.
func TestAVideoKeyRefusesChat(t *testing.T) {
	t.Parallel()
	w := aimlTown(t, 0)
	for path, kind := range map[string]string{
		"/video-proxy/v1/chat/completions":   "error.type=permission_error",
		"/video-proxy/v1/responses":          "error.code=keywheel_no_key",
		"/video-proxy/v1/messages":           "type=error",
		"/video-proxy/v1/images/generations": "error.type=permission_error",
	} {
		r := w.send("POST", path, `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`)
		where, want, _ := strings.Cut(kind, "=")
		if r.status != 403 || gjson.Get(r.body, where).String() != want || r.header.Get("X-Should-Retry") != "false" || r.header.Get("Retry-After") != "" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
		if text := gjson.Get(r.body, "error.message").String(); !strings.Contains(text, "No key of video-proxy is for") || !strings.Contains(text, "video-1: is for video, not for") {
			t.Errorf("%s says %q", path, text)
		}
	}
	for _, key := range []string{"video-1", "video-2"} {
		if c := w.up["aimlapi"].Counts(key); c.Accepted+c.TotalRefused() != 0 {
			t.Errorf("%s was asked upstream: %+v", key, c)
		}
		if k := w.key(key); k.State != engine.Active || k.Failures != 0 || len(k.Holds) != 0 {
			t.Errorf("%s is blamed: %+v", key, k)
		}
	}
	if s := w.service("video-proxy"); s.Health != engine.HealthOK || s.Failures != 0 {
		t.Errorf("%s, %d failures", s.Health, s.Failures)
	}
	// What no path tells is let through: it is a service for video.
	if r := w.send("GET", "/video-proxy/v1/models", ""); r.status != 200 || gjson.Get(r.body, "data.#").Int() != 5 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Money is asked for where it costs nothing, and so is whether a key is valid.
func TestAIMLAPIBillingAndTestCall(t *testing.T) {
	t.Parallel()
	w := aimlTown(t, 0)
	for range 3 {
		w.send("POST", "/librechat-ui/v1/images/generations", `{"model":"flux/schnell","prompt":"a cat"}`)
	}
	w.money.mu.Lock()
	for _, p := range w.money.purses {
		p.next = time.Time{}
	}
	w.money.mu.Unlock()
	w.money.askDue(context.Background())
	for key, want := range map[string]float64{"main-1": 40 - 3*0.03, "main-2": 40 - 3*0.03, "video-1": 40, "code-1": 40} {
		await(t, func() bool { // a slow start may have begun to ask by itself
			b := w.key(key).Balance
			return b != nil && b.Amount != nil && *b.Amount > want-0.01 && *b.Amount < want+0.01 && b.Currency == "USD"
		}, func() string { return fmt.Sprintf("%s has %+v, want %v", key, w.key(key).Balance, want) })
	}
	// A key that is dead upstream is found out by the free call alone.
	w.up["aimlapi"].Revoke("video-2")
	for key, want := range map[string]engine.Kind{"main-1": engine.OK, "video-1": engine.OK, "video-2": engine.InvalidKey} {
		before := w.up["aimlapi"].Counts(key)
		if v, ok := w.proxy.Probe(t.Context(), key); !ok || v.Kind != want {
			t.Errorf("%s: %v, %v", key, v.Kind, ok)
		}
		if after := w.up["aimlapi"].Counts(key); after.Accepted != before.Accepted || after.Free+after.FreeRefused == before.Free+before.FreeRefused {
			t.Errorf("%s: %+v after %+v", key, after, before)
		}
	}
	// Money and keys themselves are no client's affair.
	for _, path := range []string{"/v2/billing", "/v2/billing/transactions", "/v1/keys", "/v1/billing/balance"} {
		before := w.calls("main-1") + w.calls("main-2")
		if r := w.send("GET", "/librechat-ui"+path, ""); r.status != 403 || !strings.Contains(r.body, "keywheel_not_allowed") || w.calls("main-1")+w.calls("main-2") != before {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

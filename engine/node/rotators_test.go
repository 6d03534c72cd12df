package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine/sim"
)

// mixes are ways in which four of five keys are of no use, the good one last:
// what happens upstream before the call of a number.
var mixes = []struct {
	name, kind string
	happens    map[int]func(u *sim.Upstream)
}{
	{"four revoked", "openai", at0(revoked(1), revoked(2), revoked(3), revoked(4))},
	{"four without quota", "openai", at0(spent(1), spent(2), spent(3), spent(4))},
	{"four rate limited", "openai", at0(slow(1), slow(2), slow(3), slow(4))},
	{"four without credits at AIMLAPI", "aimlapi", at0(spent(1), spent(2), spent(3), spent(4))},
	{"one of each", "openai", at0(slow(1), spent(2), revoked(3), func(u *sim.Upstream) { u.Restrict("k-4", "image") })},
	{"they die on the way", "openai", map[int]func(*sim.Upstream){200: slow(1), 400: spent(2), 600: revoked(3), 800: revoked(4)}},
}

func at0(all ...func(*sim.Upstream)) map[int]func(*sim.Upstream) {
	return map[int]func(*sim.Upstream){0: func(u *sim.Upstream) {
		for _, f := range all {
			f(u)
		}
	}}
}

func revoked(k int) func(*sim.Upstream) {
	return func(u *sim.Upstream) { u.Revoke(fmt.Sprint("k-", k)) }
}
func spent(k int) func(*sim.Upstream) {
	return func(u *sim.Upstream) { u.Exhaust(fmt.Sprint("k-", k), time.Time{}) }
}
func slow(k int) func(*sim.Upstream) {
	return func(u *sim.Upstream) { u.Limit(fmt.Sprint("k-", k), 1) }
}

// thousand makes 1,000 calls, eight at a time, and counts those that succeeded.
func thousand(happens map[int]func(u *sim.Upstream), u *sim.Upstream, call func() bool) (served int64) {
	var next, good atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		all.Go(func() {
			for {
				mu.Lock()
				n := int(next.Add(1)) - 1
				if f := happens[n]; f != nil {
					f(u)
				}
				mu.Unlock()
				if n >= 1000 {
					return
				}
				if call() {
					good.Add(1)
				}
			}
		})
	}
	all.Wait()
	return good.Load()
}

// dsLighting rotates keys as the LLM service of DSLighting does, which
// LLM_MODEL_CONFIGS comes from: it stays on a key until a call with it is
// answered 429, or tells of no balance, and takes the next for all calls; after
// a 401, 403 or 404 it gives up, after anything else it tries the same key again.
// A call has three tries in all. Its pauses before the same key are left out.
type dsLighting struct {
	mu    sync.Mutex
	keys  []string
	index int
}

func (d *dsLighting) current() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[d.index]
}

func (d *dsLighting) switchKey() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index = (d.index + 1) % len(d.keys)
}

func (d *dsLighting) call(ask func(key string) (status int, body string)) bool {
	for range 3 {
		status, body := ask(d.current())
		words := strings.ToLower(body)
		switch {
		case status == http.StatusOK && gjson.Get(body, "choices.0.message.content").String() != "":
			return true
		case status == http.StatusTooManyRequests:
			d.switchKey()
		case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
			return false
		case strings.Contains(words, "insufficient") && strings.Contains(words, "balance"), strings.Contains(words, "insufficient_quota"), strings.Contains(words, "insufficient quota"):
			d.switchKey()
		}
	}
	return false
}

// TestFourOfFiveKeysDead has the same 1,000 calls made through keywheel and by
// what the users of LLM_MODEL_CONFIGS had before, where one key of five works.
func TestFourOfFiveKeysDead(t *testing.T) {
	t.Parallel()
	for _, m := range mixes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			const chat = `{"model":"gpt-4o","max_tokens":4,"messages":[{"role":"user","content":"hi"}]}`
			var keys []sim.Key
			old := &dsLighting{}
			for i := range 5 {
				keys = append(keys, sim.Key{Name: fmt.Sprint("k-", i+1)})
				old.keys = append(old.keys, fakeSecret(keys[i].Name))
			}
			w := newTown(t, fmt.Sprintf("[keysets.k]\nprovider = %q\nsecrets = \"env:KEYS\"\n[services.gpt-4o]\nkeys = [\"k\"]\n", m.kind),
				map[string]string{"KEYS": strings.Join(old.keys, ",")}, upstream(t, m.kind, sim.Options{Seed: 1}, keys...))
			ours := thousand(m.happens, w.up[m.kind], func() bool {
				r := w.send("POST", "/gpt-4o/v1/chat/completions", chat)
				return r.status == 200 && gjson.Get(r.body, "choices.0.message.content").String() != ""
			})
			u := upstream(t, m.kind, sim.Options{Seed: 1}, keys...)
			theirs := thousand(m.happens, u, func() bool {
				return old.call(func(key string) (int, string) {
					r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(chat))
					r.Header.Set("Authorization", "Bearer "+key)
					rec := httptest.NewRecorder()
					u.ServeHTTP(rec, r)
					return rec.Code, rec.Body.String()
				})
			})
			t.Logf("%s: of 1,000 calls keywheel served %d, the old rotation %d", m.name, ours, theirs)
			if ours != 1000 {
				t.Errorf("keywheel served %d of 1,000: %+v", ours, w.service("gpt-4o"))
			}
		})
	}
}

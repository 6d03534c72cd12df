package node

import (
	"fmt"
	"maps"
	"os"
	"regexp"
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

// The three strategies of config.example.toml, before a simulated AIMLAPI: one
// key for all, a key for each service, a main key and dedicated ones. What
// happens to one service's key must be felt by those that share it, and by
// nobody else.

// aimlKeys are the example's keys there, by the variables they are read from.
var aimlKeys = map[string]string{"AI_ML_API_KEY": "aimlapi-main", "AI_ML_API_KEY_VIDEO": "aimlapi-video", "AI_ML_API_KEY_IMAGE": "aimlapi-image",
	"AI_ML_API_KEY_CODE": "aimlapi-code"}

// newStrategy starts the example with one of its strategies in force.
func newStrategy(t *testing.T, n int) *town {
	t.Helper()
	text, err := os.ReadFile("../../config.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n# Strategy ")
	if len(parts) != 4 {
		t.Fatalf("the example has %d strategies", len(parts)-1)
	}
	chosen := parts[n]
	if n > 1 {
		chosen = regexp.MustCompile(`(?m)^# (\[|[a-z_]\S* +=)`).ReplaceAllString(chosen, "$1")
	}
	chosen = strings.ReplaceAll(chosen, "planned  = true", "") // here it is served
	env := map[string]string{}
	for _, name := range []string{"GITHUB_TOKEN", "ANTHROPIC_API_KEY", "OPENAI_API_KEY_A", "OPENAI_API_KEY_B", "GLM_API_KEYS", "SILICONFLOW_API_KEYS"} {
		env[name] = fakeSecret(strings.ToLower(name))
	}
	var keys []sim.Key
	for name, key := range aimlKeys {
		env[name] = fakeSecret(key)
		k := sim.Key{Name: key}
		if scope, ok := strings.CutPrefix(key, "aimlapi-"); ok && scope != "main" && scope != "code" {
			k.Scopes = []string{scope}
		}
		keys = append(keys, k)
	}
	return newTown(t, parts[0]+"\n# Strategy "+chosen, env, upstream(t, "aimlapi", sim.Options{Seed: 1}, keys...))
}

// work is a service's usual request.
func (w *town) work(service string) reply {
	const chat = `{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}`
	switch service {
	case "video-proxy":
		return w.send("POST", "/video-proxy/v2/video/generations", `{"model":"minimax/hailuo-02","prompt":"a cat"}`)
	case "image-proxy":
		return w.send("POST", "/image-proxy/v1/images/generations", `{"model":"flux/schnell","prompt":"a cat"}`)
	default:
		return w.send("POST", "/"+service+"/v1/chat/completions", chat)
	}
}

// underLoad has every service of the strategy work at once, lets trouble come in
// the middle, and tells of each service how its requests from then on ended.
func (w *town) underLoad(services []string, trouble func()) map[string]map[int]int {
	const before, after = 4, 12
	w.t.Helper()
	var warm, all sync.WaitGroup
	struck := make(chan struct{})
	var mu sync.Mutex
	ended := map[string]map[int]int{}
	for _, s := range services {
		ended[s] = map[int]int{}
		warm.Add(1)
		all.Go(func() {
			for range before {
				if r := w.work(s); r.status/100 != 2 {
					w.t.Errorf("%s before anything happened: %d %s", s, r.status, r.body)
				}
			}
			warm.Done()
			<-struck
			for range after {
				r := w.work(s)
				mu.Lock()
				ended[s][r.status/100*100]++
				mu.Unlock()
			}
		})
		all.Go(func() { // and while it comes
			warm.Wait()
			for range before {
				w.work(s)
			}
		})
	}
	warm.Wait()
	trouble()
	close(struck)
	all.Wait()
	return ended
}

// untouched checks that nothing can be seen of others' trouble at a service and
// its key.
func (w *town) untouched(service, key string) {
	w.t.Helper()
	s, k := w.service(service), w.key(key)
	if s.Health != engine.HealthOK || s.Failures != 0 || s.Refused != 0 || s.Rotations != 0 || s.KeyInUse != key || s.Verdicts.Failed() != 0 || s.Verdicts.OK != s.Requests {
		w.t.Errorf("%s felt it: %s, %d failures, %d refused, %d rotations, %+v", service, s.Health, s.Failures, s.Refused, s.Rotations, s.Verdicts)
	}
	if k.State != engine.Active || len(k.Holds) != 0 || k.Failures != 0 || k.RateLimited != 0 || k.LastFailure != nil {
		w.t.Errorf("%s felt it: %v %s, %d failures", key, k.State, k.Reason, k.Failures)
	}
	for _, ev := range w.Events(0) {
		if ev.Service == service || ev.Key == key {
			w.t.Errorf("%s and %s have an event of it: %s", service, key, ev.Text)
		}
	}
	if c := w.up["aimlapi"].Counts(key); c.TotalRefused() != 0 {
		w.t.Errorf("the provider refused %s: %v", key, c.Refused)
	}
}

// troubles are what can happen to a key upstream, and which state that is.
var troubles = map[string]struct {
	strike func(u *sim.Upstream, key string)
	state  engine.State
}{
	"its quota is used up": {func(u *sim.Upstream, key string) { u.Exhaust(key, time.Time{}) }, engine.Exhausted},
	"it is revoked":        {(*sim.Upstream).Revoke, engine.Revoked},
	"it is restricted":     {func(u *sim.Upstream, key string) { u.Restrict(key, "embedding") }, engine.Active},
}

var keyOf = map[string]string{"librechat-ui": "aimlapi-main", "video-proxy": "aimlapi-video", "image-proxy": "aimlapi-image", "code-proxy": "aimlapi-code"}

// A key of its own isolates a service: quota, revocation and permissions.
func TestAKeyForEachServiceIsolates(t *testing.T) {
	t.Parallel()
	for n, services := range map[int][]string{2: {"librechat-ui", "video-proxy"}, 3: {"librechat-ui", "video-proxy", "image-proxy", "code-proxy"}} {
		for _, victim := range services {
			for what, trouble := range troubles {
				t.Run(fmt.Sprintf("strategy %d, %s: %s", n, victim, what), func(t *testing.T) {
					t.Parallel()
					w := newStrategy(t, n)
					key, falls := keyOf[victim], n == 3 && victim == "video-proxy"
					ended := w.underLoad(services, func() { trouble.strike(w.up["aimlapi"], key) })
					for _, s := range services {
						switch got := ended[s]; {
						case s == victim && falls: // the main key steps in
							if len(got) != 1 || got[200] == 0 {
								t.Errorf("%s: %v", s, got)
							}
						case s == victim:
							if len(got) != 1 || got[400] == 0 {
								t.Errorf("%s was not stopped: %v", s, got)
							}
						default:
							if len(got) != 1 || got[200] == 0 {
								t.Errorf("%s felt what happened to %s: %v", s, victim, got)
							}
							// The main key now has guests, and the videos no key to fall back on.
							if !falls && (n == 2 || victim != "librechat-ui" || s != "video-proxy") || s != "librechat-ui" && s != "video-proxy" {
								w.untouched(s, keyOf[s])
							}
						}
					}
					waitFor(t, func() bool { return w.key(key).State == trouble.state }) // a revocation is confirmed
					if !falls && w.service(victim).Failures == 0 && w.service(victim).Refused == 0 {
						t.Errorf("%s does not tell of it", victim)
					}
				})
			}
		}
	}
}

// One key for all shares its fate, and says so.
func TestOneKeyForAllShares(t *testing.T) {
	t.Parallel()
	for what, trouble := range troubles {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newStrategy(t, 1)
			services := []string{"librechat-ui", "video-proxy"}
			ended := w.underLoad(services, func() { trouble.strike(w.up["aimlapi"], "aimlapi-main") })
			for _, s := range services {
				if got := ended[s]; len(got) != 1 || got[400] == 0 {
					t.Errorf("%s: %v", s, got)
				}
			}
			waitFor(t, func() bool { return w.key("aimlapi-main").State == trouble.state })
			if got := w.key("aimlapi-main").Services; !slices.Equal(got, services) {
				t.Errorf("the key's services are %v", got)
			}
		})
	}
}

// What a service costs is told apart, whether or not it has a key of its own,
// and by key it is what the provider counts.
func TestCostsAreToldApart(t *testing.T) {
	t.Parallel()
	for n, services := range map[int][]string{1: {"librechat-ui", "video-proxy"}, 2: {"librechat-ui", "video-proxy"},
		3: {"librechat-ui", "video-proxy", "image-proxy", "code-proxy"}} {
		t.Run(fmt.Sprint("strategy ", n), func(t *testing.T) {
			t.Parallel()
			w := newStrategy(t, n)
			w.underLoad(services, func() {})
			const sent = 4 + 4 + 12
			// A video is paid for when it is done, and that is seen by looking.
			id := gjson.Get(w.work("video-proxy").body, "generation_id").String()
			for range 3 {
				w.send("GET", "/video-proxy/v2/video/generations?generation_id="+id, "")
			}
			ofService, ofKey := w.books(journal.ByService), w.books(journal.ByKey)
			if len(ofService) != len(services) {
				t.Errorf("books of %v", slices.Collect(maps.Keys(ofService)))
			}
			total := 0.0
			for _, s := range services {
				got := ofService[journal.Who{Service: s}]
				want := int64(sent)
				if s == "video-proxy" {
					want += 4
					if !near(got.CostUSD, 0.2) {
						t.Errorf("one video was looked at, and %v paid for", got.CostUSD)
					}
				}
				if got.Requests != want || got.Failures != 0 || w.service(s).Requests != want {
					t.Errorf("%s: %+v, %d requests; %d were sent", s, got, w.service(s).Requests, want)
				}
				total += got.CostUSD
			}
			for _, key := range aimlKeys {
				if n < 3 && key != "aimlapi-main" && (n == 1 || key != "aimlapi-video") {
					continue
				}
				got, billed := ofKey[journal.Who{Key: key}], w.up["aimlapi"].Counts(key).CostUSD
				if n == 1 || key == "aimlapi-video" {
					billed -= 0.2 * sent // videos at which nobody has looked
				}
				if !near(got.CostUSD, billed) || !near(w.key(key).CostUSD, billed) || billed <= 0 {
					t.Errorf("%s cost %v by the journal and %v by the screen, and %v is billed", key, got.CostUSD, w.key(key).CostUSD, billed)
				}
				total -= got.CostUSD
			}
			if !near(total, 0) {
				t.Errorf("by key and by service it is not the same: %v", total)
			}
		})
	}
}

// A budget is a service's own, also on a key that others use.
func TestABudgetStopsItsServiceAlone(t *testing.T) {
	t.Parallel()
	w := newTown(t, `
[keys.main]
provider = "aimlapi"
secret   = "env:AI_ML_API_KEY"

[services.librechat-ui]
keys = ["main"]

[services.image-proxy]
keys   = ["main"]
limits = { usd_per_month = 0.10 }
`, map[string]string{"AI_ML_API_KEY": fakeSecret("main")}, upstream(t, "aimlapi", sim.Options{}, sim.Key{Name: "main"}))
	var last reply
	served := 0
	for range 10 {
		if last = w.work("image-proxy"); last.status == 200 {
			served++
		}
	}
	if served != 4 || last.status != 429 || !strings.Contains(last.body, "the service has used its limit of money") || last.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%d images at 3 cents each for 10; then %d %s", served, last.status, last.body)
	}
	if w.up["aimlapi"].Counts("main").Accepted != 4 {
		t.Error("refused images went upstream")
	}
	for range 5 {
		if r := w.work("librechat-ui"); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if k := w.key("main"); k.State != engine.Active || len(k.Holds) != 0 {
		t.Errorf("main is %v %s", k.State, k.Reason)
	}
	if s := w.service("librechat-ui"); s.Health != engine.HealthOK || s.Failures != 0 || len(s.Limits) != 0 {
		t.Errorf("%+v", s)
	}
}

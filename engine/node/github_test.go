package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/quota"
	"keywheel/engine/sim"
)

// proxyConfig is the service that serves librechat.yaml to LibreChat, whose fetch
// of CONFIG_PATH can send no header: the token stands in the path, and the file
// is asked for as it is.
const proxyConfig = `
[keysets.gh]
provider = "github"
secrets  = "env:GITHUB_TOKENS"

[services.proxy-config]
project    = "librechat-config"
purpose    = "pulls librechat.yaml from GitHub"
required   = true
keys       = ["gh"]
strategy   = "failover"
token      = "env:PROXY_CONFIG_TOKEN"
path_token = true
headers    = { Accept = "application/vnd.github.raw+json" }
`

const (
	configToken = "fake-config-token"
	configFile  = "/proxy-config/repos/acme/librechat-config/contents/librechat.yaml"
	configPath  = "/t/" + configToken + configFile
)

func gitHubTown(t *testing.T, change ...func(*sim.Key)) *town {
	keys := []sim.Key{{Name: "gh-1"}, {Name: "gh-2"}, {Name: "gh-3"}}
	var secrets []string
	for i := range keys {
		secrets = append(secrets, fakeSecret(keys[i].Name))
		for _, f := range change {
			f(&keys[i])
		}
	}
	return newTown(t, proxyConfig, map[string]string{"GITHUB_TOKENS": strings.Join(secrets, ","), "PROXY_CONFIG_TOKEN": configToken},
		upstream(t, "github", sim.Options{Seed: 1}, keys...))
}

// fetch is LibreChat's at its start: axios.get(CONFIG_PATH), and nothing more.
func (w *town) fetch(header ...string) reply {
	return w.send("GET", configPath, "", append([]string{"Accept", "application/json, text/plain, */*", "User-Agent", "axios/1.13.2"}, header...)...)
}

func TestLibreChatsConfigPath(t *testing.T) {
	t.Parallel()
	w := gitHubTown(t)
	r := w.fetch()
	if r.status != 200 || !strings.HasPrefix(r.body, "version: 1.2.8\nendpoints:") || r.key() != "gh-1" {
		t.Errorf("%d %s", r.status, r.body)
	}
	sent := w.up["github"].LastHeaders()
	if sent.Get("Authorization") != "Bearer key gh-1" || sent.Get("Accept") != "application/vnd.github.raw+json" || sent.Get("User-Agent") != "axios/1.13.2" {
		t.Errorf("upstream saw %v", sent)
	}
	if r.header.Get("X-Ratelimit-Remaining") != "" {
		t.Error("one token's limit was told to the client of three")
	}
	accepted := func() (n int64) {
		for _, k := range w.up["github"].Keys() {
			n += w.up["github"].Counts(k).Accepted
		}
		return n
	}
	before := accepted()
	for _, c := range []struct {
		method, path, header string
		status               int
		code                 string
	}{
		{"GET", configFile, "", 401, "keywheel_wrong_token"},
		{"GET", "/t/wrong" + configFile, "", 401, "keywheel_wrong_token"},
		{"GET", "/t/" + configFile, "", 401, "keywheel_wrong_token"},
		// The path is for reading; so are the keys.
		{"POST", "/t/" + configToken + "/proxy-config/repos/acme/librechat-config/issues", "", 401, "keywheel_wrong_token"},
		{"POST", "/proxy-config/repos/acme/librechat-config/issues", "Bearer " + configToken, 403, "keywheel_not_allowed"},
		{"DELETE", configFile, "token " + configToken, 403, "keywheel_not_allowed"},
	} {
		r := w.send(c.method, c.path, "", "Authorization", c.header)
		if r.status != c.status || gjson.Get(r.body, "code").String() != c.code || gjson.Get(r.body, "message").String() == "" || r.header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
	}
	if n := accepted(); n != before {
		t.Errorf("%d refused requests went upstream", n-before)
	}
	if r := w.send("GET", configFile, "", "Authorization", "token "+configToken); r.status != 200 { // as octokit shows it
		t.Errorf("%d %s", r.status, r.body)
	}
	if text := fmt.Sprintf("%+v %+v %+v", w.Snapshot(), w.Events(0), w.Requests(0)); strings.Contains(text, configToken) {
		t.Error("the token in the path is shown")
	}
	if foreign := w.up["github"].Foreign(); len(foreign) > 0 {
		t.Errorf("upstream saw credentials that are not its own: %v", foreign)
	}
}

// What a client has already is not sent again, and costs nothing of the hour's
// limit, here as there.
func TestWhatHasNotChangedIsFree(t *testing.T) {
	t.Parallel()
	w := gitHubTown(t, func(k *sim.Key) { k.Quota, k.Per = 100, time.Hour })
	etag := w.fetch().header.Get("Etag")
	for range 20 {
		if r := w.fetch("If-None-Match", etag); r.status != 304 || r.body != "" || r.key() != "gh-1" || r.header.Get("Etag") != etag {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	k := w.key("gh-1")
	if l := k.Limits; len(l) != 1 || l[0].Unit != string(quota.Requests) || l[0].Remaining != 99 || l[0].Source != quota.Header || l[0].BurnPerMin > k.PerMin/10 {
		t.Errorf("%v requests a minute, limits %+v", k.PerMin, l)
	}
	// An ETag is one token's own: another answers in full.
	w.act(engine.Action{Verb: engine.VerbRotate, Service: "proxy-config"})
	r := w.fetch("If-None-Match", etag)
	if r.status != 200 || r.key() != "gh-2" || r.header.Get("Etag") == etag {
		t.Errorf("%s answered %d", r.key(), r.status)
	}
	if r := w.fetch("If-None-Match", r.header.Get("Etag")); r.status != 304 {
		t.Errorf("%s answered %d", r.key(), r.status)
	}
}

// GitHub tells of both its limits with 403 or with 429: no fetch fails while
// there is a token, and then all are told when to come back.
func TestGitHubsLimits(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := gitHubTown(t)
			speaks := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w.up["github"].ServeHTTP(&rewriter{rw, http.StatusForbidden, status}, r)
			}))
			t.Cleanup(speaks.Close)
			for i := range w.cfg.Engine.Keys {
				w.cfg.Engine.Keys[i].BaseURL = speaks.URL
			}
			w.restart()
			if r := w.fetch(); r.status != 200 || r.key() != "gh-1" {
				t.Fatalf("%d %s", r.status, r.body)
			}
			// The hour's limit: x-ratelimit-remaining is 0.
			back := time.Now().Add(20 * time.Minute)
			w.up["github"].Exhaust("gh-1", back)
			if r := w.fetch(); r.status != 200 || r.key() != "gh-2" || r.header.Get("X-Keywheel-Attempts") != "2" {
				t.Errorf("%s answered %d after %s", r.key(), r.status, r.header.Get("X-Keywheel-Attempts"))
			}
			// Too fast: Retry-After.
			w.up["github"].Limit("gh-2", 1)
			for range 10 {
				if r := w.fetch(); r.status != 200 || r.key() != "gh-3" {
					t.Errorf("%s answered %d", r.key(), r.status)
				}
			}
			if n := w.up["github"].Counts("gh-2").Refused[http.StatusForbidden]; n != 1 {
				t.Errorf("gh-2 was asked %d times though it had said when to come back", n)
			}
			for key, until := range map[string]time.Time{"gh-1": back, "gh-2": time.Now().Add(time.Minute)} {
				k := w.key(key)
				if k.State != engine.Cooling && k.State != engine.Exhausted || k.Until == nil || k.Until.Before(until.Add(-time.Minute)) || k.Until.After(until.Add(time.Minute)) {
					t.Errorf("%s is %v until %v, want about %v", key, k.State, k.Until, until)
				}
			}
			w.up["github"].Revoke("gh-3")
			r := w.fetch()
			if r.status != 429 || r.header.Get("Retry-After") == "" || gjson.Get(r.body, "code").String() != "keywheel_no_key" || gjson.Get(r.body, "keys.#").Int() != 3 {
				t.Errorf("%d %v %s", r.status, r.header, r.body)
			}
		})
	}
}

// rewriter answers with another status.
type rewriter struct {
	http.ResponseWriter
	from, to int
}

func (w *rewriter) WriteHeader(status int) {
	if status == w.from {
		status = w.to
	}
	w.ResponseWriter.WriteHeader(status)
}

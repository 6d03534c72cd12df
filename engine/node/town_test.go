package node

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/journal"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// town is a whole installation: a keywheel on a config as a person writes it,
// before simulated providers.
type town struct {
	*house
	up     map[string]*sim.Upstream // by their kinds
	client *http.Client
}

// newTown starts it. The environment of the config is env, and the keys of its
// providers go to those of upstreams that are of their kind.
func newTown(t *testing.T, toml string, env map[string]string, upstreams ...*sim.Upstream) *town {
	t.Helper()
	w := &town{up: map[string]*sim.Upstream{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}}
	for _, u := range upstreams {
		if err := u.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = u.Close() })
		w.up[u.Kind()] = u
	}
	path := filepath.Join(t.TempDir(), "keywheel.toml")
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, Dir: filepath.Dir(path), Listen: "127.0.0.1:0",
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range cfg.Engine.Keys {
		if u := w.up[cfg.Engine.Keys[i].Kind]; u != nil {
			cfg.Engine.Keys[i].BaseURL = u.BaseURL()
		}
	}
	w.house = newHouse(t, cfg)
	t.Cleanup(w.client.CloseIdleConnections) // or stopping waits for them
	return w
}

func (w *town) restart() {
	w.client.CloseIdleConnections()
	w.house.restart()
}

// upstream is a provider that has keys of these names and secrets.
func upstream(t *testing.T, kind string, o sim.Options, keys ...sim.Key) *sim.Upstream {
	t.Helper()
	for i := range keys {
		if keys[i].Secret.Empty() {
			keys[i].Secret = secret.New(fakeSecret(keys[i].Name))
		}
	}
	u, err := sim.NewUpstream(kind, o, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func fakeSecret(name string) string { return "sk-test-not-a-key-" + name }

// reply is an answer that was read to its end; status 0 is none.
type reply struct {
	status int
	header http.Header
	body   string
}

// key is whose answer it is.
func (r reply) key() string { return r.header.Get("X-Keywheel-Key") }

// send sends a request with headers (name, value, ...). It may be called by many
// goroutines.
func (w *town) send(method, path, body string, header ...string) (r reply) {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://"+w.Addr()+path, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return r
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Error(err)
		return r
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Error(err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

func (w *town) service(name string) engine.ServiceStatus {
	w.t.Helper()
	for _, s := range w.Snapshot().Services {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("no service %s", name)
	return engine.ServiceStatus{}
}

// books is what the journal has counted, as `keywheel usage` reads it.
func (w *town) books(by ...string) map[journal.Who]journal.Usage {
	w.t.Helper()
	waitFor(w.t, func() bool { return w.Snapshot().Journal.Queued == 0 })
	rows, err := w.keeper.journal.Usage(context.Background(), journal.UsageQuery{By: by, Since: time.Now().Add(-time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[journal.Who]journal.Usage{}
	for _, r := range rows {
		all[r.Who] = r.Usage
	}
	return all
}

// near is whether two sums of money are the same but for how they were added up.
func near(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 }

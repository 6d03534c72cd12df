package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywheel/engine"
	"keywheel/engine/client"
	"keywheel/engine/config"
	"keywheel/engine/node"
)

const before = `[providers.sim]
kind = "aimlapi"
base_url = %q
[keys.main]
provider = "sim"
secret = "env:AI_ML_API_KEY"
[services.librechat-ui]
keys = ["main"]
models = ["gpt-4o", "it's"]
[services."glm-4.7"]
keys = ["main"]
`

// put puts the text for keywheel.toml where it says it belongs: what stands
// before the first table at the top, the rest into the tables that are there.
func put(toml, text string) string {
	top, tables, _ := strings.Cut(text, "\n[")
	for _, table := range strings.Split("["+tables, "\n[") {
		head, lines, _ := strings.Cut("["+strings.TrimPrefix(table, "["), "\n")
		toml = strings.Replace(toml, head+"\n", head+"\n"+lines+"\n", 1)
	}
	return top + "\n" + toml
}

func load(t *testing.T, dir, toml string, env map[string]string) *config.Config {
	t.Helper()
	file := filepath.Join(dir, "keywheel.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: file, Dir: dir, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatalf("%v\n%s", err, toml)
	}
	return cfg
}

func settings(t *testing.T, cfg *config.Config, service string) client.Settings {
	t.Helper()
	s, err := node.Look(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, sv := range s.Services {
		if sv.Name == service {
			return client.Of(s, sv, true)
		}
	}
	t.Fatalf("no service %s", service)
	return client.Settings{}
}

// What is printed for Docker works together: with it in the config, a request
// under that host name and with that token comes through, and no other.
func TestForDocker(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"object":"list","data":[{"id":%q}]}`, r.Header.Get("Authorization"))
	}))
	defer up.Close()
	dir := t.TempDir()
	env := map[string]string{"AI_ML_API_KEY": "sk-test-not-a-key", "LIBRECHAT_UI_TOKEN": "test-not-a-token", "GLM_4_7_TOKEN": "test-not-a-token-2"}
	toml := fmt.Sprintf(before, up.URL+"/v1")
	e := settings(t, load(t, dir, toml, env), "librechat-ui")
	if len(e.Notes) != 3 {
		t.Errorf("notes: %q", e.Notes)
	}
	toml = put(toml, e.TOML)
	cfg := load(t, dir, toml, env)
	if cfg.Listen != "0.0.0.0:5399" {
		t.Errorf("listen %s", cfg.Listen)
	}
	again := settings(t, cfg, "librechat-ui")
	if len(again.Notes) != 0 || again.TOML != e.TOML {
		t.Errorf("with it in the config there is more to do: %q\n%s", again.Notes, again.TOML)
	}
	cfg.Listen = "127.0.0.1:0" // a test keeps to this machine
	n, err := node.Start(node.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(t.Context()) })
	host, path, _ := strings.Cut(strings.TrimPrefix(e.BaseURL, "http://"), "/")
	for _, c := range []struct {
		host, token string
		want        int
	}{{host, "test-not-a-token", 200}, {host, "anything", 401}, {"evil.example.com", "test-not-a-token", 403}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.Addr()+"/"+path+"/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		req.Header.Set("Authorization", "Bearer "+c.token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s with %s: %d, want %d", c.host, c.token, res.StatusCode, c.want)
		}
	}
	want := "endpoints:\n  custom:\n    - name: 'librechat-ui via keywheel'\n      apiKey: '${AI_ML_API_KEY}'\n" +
		"      baseURL: 'http://host.docker.internal:5399/librechat-ui/v1'\n      models: { default: ['gpt-4o', 'it''s'], fetch: true }\n"
	if e.LibreChat != want {
		t.Errorf("librechat.yaml\n%s", e.LibreChat)
	}
	parts := e.Parts()
	if got := parts[1].Text; got != "OPENAI_BASE_URL=http://host.docker.internal:5399/librechat-ui/v1\nOPENAI_API_KEY=${LIBRECHAT_UI_TOKEN}\nAI_ML_API_KEY=${LIBRECHAT_UI_TOKEN}\n" {
		t.Errorf("variables\n%s", got)
	}
	for _, p := range parts {
		if p.Text == "" || strings.Contains(p.Text, "not-a-") {
			t.Errorf("%s: %q", p.Name, p.Text)
		}
	}
}

func TestOnThisMachine(t *testing.T) {
	t.Parallel()
	s := engine.Snapshot{Proxy: engine.ProxyStatus{Listen: "0.0.0.0:80"}}
	e := client.Of(s, engine.ServiceStatus{Name: "claude", Kind: "anthropic", TokenRef: "file:token"}, false)
	if e.BaseURL != "http://127.0.0.1:80/claude" || e.Variables[1].Line(false) != "# ANTHROPIC_API_KEY: what file:token holds" || e.TOML != "" {
		t.Errorf("%+v", e)
	}
	for kind, want := range map[string]string{"anthropic": "provider: 'anthropic'\n", "github": ""} {
		if got := client.Of(s, engine.ServiceStatus{Name: "x", Kind: kind}, true).LibreChat; !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s in LibreChat: %q", kind, got)
		}
	}
}

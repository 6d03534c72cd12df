package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const fake = "sk-test-not-a-key-0001"

// setup is a working directory and an environment to load a config from.
type setup struct {
	files map[string]string
	env   map[string]string
	mode  os.FileMode
	path  string
	// listen is what the flag says.
	listen string
	// toLookAt is set where nothing is to run.
	toLookAt bool
}

// load writes the files and loads what is there.
func (s setup) load(t testing.TB) (*Config, error) {
	t.Helper()
	return s.loadIn(t, t.TempDir())
}

func (s setup) loadIn(t testing.TB, dir string) (*Config, error) {
	t.Helper()
	if s.mode == 0 {
		s.mode = 0o600
	}
	for name, text := range s.files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), s.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, s.mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	return Load(Options{
		Path: s.path, Dir: dir, Listen: s.listen,
		LookupEnv: func(name string) (string, bool) { v, ok := s.env[name]; return v, ok },
		Keyring:   func(service, user string) (string, error) { return "", errors.New("no keyring here") },
		Now:       time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
		ToLookAt:  s.toLookAt,
	})
}

// fine loads what has to be right.
func (s setup) fine(t testing.TB) *Config {
	t.Helper()
	c, err := s.load(t)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// texts gives problems as the person sees them.
func strs(list []Problem) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// same compares lists and says how they differ.
func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got  %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// one is a config that is right, for what is added to it.
const one = "[keys.main]\nprovider = \"openai\"\nsecret = \"env:KEY\"\n[services.ui]\nkeys = [\"main\"]\n"

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := setup{files: map[string]string{"keywheel.toml": one}, env: map[string]string{"KEY": fake}}.fine(t)
	if c.Listen != "127.0.0.1:5399" || c.Patience != 10*time.Second || c.MaxWaiting != 1024 || c.MaxReplay != 64<<20 ||
		c.MaxReplayTotal != 1<<30 || c.DialTimeout != 10*time.Second || c.HeaderTimeout != 10*time.Minute ||
		c.IdleTimeout != 5*time.Minute || c.ASCII || c.TLSCert != "" || c.AllowHosts != nil {
		t.Errorf("defaults are %+v", c)
	}
	k, s := c.Engine.Keys[0], c.Engine.Services[0]
	if k.Name != "main" || k.Provider != "openai" || k.Kind != "openai" || k.BaseURL != "https://api.openai.com/v1" ||
		k.Secret.Reveal() != fake || k.Missing != "" || k.Ref != "env:KEY" || k.Source != "keywheel.toml:1" || !k.CanTest {
		t.Errorf("key is %+v", k)
	}
	if s.Name != "ui" || !slices.Equal(s.Keys, []string{"main"}) || s.Strategy != "round-robin" || s.Source != "keywheel.toml:4" || !s.Token.Empty() {
		t.Errorf("service is %+v", s)
	}
	same(t, "warnings", strs(c.Warnings), nil)
	same(t, "sources", c.Sources, []string{"1 key, 1 service from keywheel.toml"})
}

func TestWhereItLooks(t *testing.T) {
	t.Parallel()
	named := func(service string) string { return strings.Replace(one, "services.ui", "services."+service, 1) }
	files := map[string]string{"keywheel.toml": named("here"), "home/.config/keywheel/keywheel.toml": named("home"),
		"xdg/keywheel/keywheel.toml": named("xdg"), "other.toml": named("other"), "third.toml": named("third")}
	for _, tc := range []struct {
		name string
		drop []string
		path string
		env  map[string]string
		want string
	}{
		{name: "the working directory", want: "here"},
		{name: "the flag", path: "other.toml", env: map[string]string{"KEYWHEEL_CONFIG": "third.toml"}, want: "other"},
		{name: "the variable", env: map[string]string{"KEYWHEEL_CONFIG": "third.toml"}, want: "third"},
		{name: "home", drop: []string{"keywheel.toml"}, want: "home"},
		{name: "xdg", drop: []string{"keywheel.toml"}, env: map[string]string{"XDG_CONFIG_HOME": "DIR/xdg"}, want: "xdg"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := setup{files: map[string]string{}, env: map[string]string{"KEY": fake, "HOME": filepath.Join(dir, "home")}, path: tc.path}
			for name, text := range files {
				if !slices.Contains(tc.drop, name) {
					s.files[name] = text
				}
			}
			for name, value := range tc.env {
				s.env[name] = strings.Replace(value, "DIR", dir, 1)
			}
			c, err := s.loadIn(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Engine.Services[0].Name; got != tc.want || !filepath.IsAbs(c.Path) {
				t.Errorf("got %s from %s, want %s", got, c.Path, tc.want)
			}
		})
	}
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	_, err := setup{env: map[string]string{"HOME": "/nowhere"}, files: map[string]string{".env": "OTHER=1\n"}}.load(t)
	var none *NotFoundError
	if !errors.As(err, &none) || len(none.Looked) != 4 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"/nowhere/.config/keywheel/keywheel.toml", ".env", "LLM_MODEL_CONFIGS", "keywheel demo", "keywheel init", "keywheel import"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	for by, s := range map[string]setup{"--config": {path: "nope.toml"}, "KEYWHEEL_CONFIG": {env: map[string]string{"KEYWHEEL_CONFIG": "nope.toml"}}} {
		_, err := s.load(t)
		if err == nil || !strings.HasPrefix(err.Error(), by+" names ") || !strings.HasSuffix(err.Error(), "nope.toml: there is no such file") {
			t.Errorf("%s: got %v", by, err)
		}
	}
}

func TestMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o640: "", 0o400: "",
		0o644: "warning: keywheel.toml: others on this machine may read it: chmod 600 keywheel.toml",
		0o660: "warning: keywheel.toml: everyone in its group may change it, and with it where your keys go: chmod 600 keywheel.toml",
		0o602: "error: keywheel.toml: others on this machine may change it, and with it where your keys go: chmod 600 keywheel.toml",
	} {
		c, err := setup{files: map[string]string{"keywheel.toml": one}, env: map[string]string{"KEY": fake}, mode: mode}.load(t)
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else if len(c.Warnings) > 0 {
			got = "warning: " + strings.Join(strs(c.Warnings), "|")
		}
		if got != want {
			t.Errorf("%v: got %q, want %q", mode, got, want)
		}
	}
}

// A directory may be a stranger's, with a config that wants the shell's keys.
func TestAStrangersConfig(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to somebody else")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "keywheel.toml")
	text := "[providers.evil]\nkind = \"generic\"\nbase_url = \"https://evil.example\"\n" + strings.Replace(one, `"openai"`, `"evil"`, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	s := setup{env: map[string]string{"KEY": fake}}
	if _, err := s.loadIn(t, dir); err == nil || !strings.Contains(err.Error(), "keywheel.toml: it is another user's") {
		t.Errorf("it was used: %v", err)
	}
	s.path = "keywheel.toml" // a person has said that it is to be
	if _, err := s.loadIn(t, dir); err != nil {
		t.Error(err)
	}
}

// A config in another directory: its relative paths, and its .env, are there.
func TestOtherDirectory(t *testing.T) {
	t.Parallel()
	s := setup{path: "etc/keywheel.toml", files: map[string]string{
		"etc/keywheel.toml": "[keys.a]\nprovider = \"openai\"\nsecret = \"file:a.key\"\n[keys.b]\nprovider = \"openai\"\nsecret = \"env:KEY_B\"\n[services.ui]\nkeys = [\"a\", \"b\"]\n",
		"etc/a.key":         "sk-test-not-a-key-000a\n",
		"etc/.env":          "KEY_B=sk-test-not-a-key-000b\n",
		".env":              "KEY_B=sk-test-wrong\nAPI_KEY=sk-test-wrong\nAPI_BASE=https://example.com\n",
	}}
	c := s.fine(t)
	if len(c.Engine.Keys) != 2 || c.Engine.Keys[0].Secret.Reveal() != "sk-test-not-a-key-000a" || c.Engine.Keys[1].Secret.Reveal() != "sk-test-not-a-key-000b" {
		t.Errorf("got %+v", c.Engine.Keys)
	}
	if c.Engine.Keys[0].Source != "etc/keywheel.toml:1" {
		t.Errorf("source is %s", c.Engine.Keys[0].Source)
	}
	s.env = map[string]string{"KEY_B": "sk-test-not-a-key-env"}
	if c := s.fine(t); c.Engine.Keys[1].Secret.Reveal() != "sk-test-not-a-key-env" {
		t.Error("the .env beats the environment")
	}
}

func BenchmarkLoad100Keys(b *testing.B) {
	toml, env := manyKeys(100)
	s := setup{files: map[string]string{"keywheel.toml": toml}, env: env}
	benchmark(b, s)
}

func BenchmarkLoad100ModelConfigKeys(b *testing.B) {
	benchmark(b, setup{env: map[string]string{"LLM_MODEL_CONFIGS": manyModels(100)}})
}

func benchmark(b *testing.B, s setup) {
	dir := b.TempDir()
	for b.Loop() {
		c, err := s.loadIn(b, dir)
		if err != nil || len(c.Engine.Keys) != 100 {
			b.Fatalf("%d keys, %v", len(c.Engine.Keys), err)
		}
	}
}

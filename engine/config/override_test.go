package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywheel/engine/secret"
)

func TestOverrides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("keywheel.toml", "[keys.a]\nprovider = \"openai\"\nsecret = \"file:a\"\n[keys.b]\nprovider = \"openai\"\nsecret = \"file:b\"\n[services.s]\nkeys = [\"a\", \"b\"]\n", 0o600)
	write("b", "sk-test-not-a-key-b", 0o600)
	load := func() *Config {
		t.Helper()
		cfg, err := Load(Options{Path: filepath.Join(dir, "keywheel.toml"), Dir: dir, LookupEnv: func(name string) (string, bool) {
			return map[string]string{"XDG_STATE_HOME": dir + "/state"}[name], name == "XDG_STATE_HOME"
		}})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	// One that is missing can be replaced too.
	cfg := load()
	next, where, err := cfg.Replace("a", secret.New("sk-test-not-a-key-new"))
	if err != nil || cfg.Engine.Keys[0].Missing == "" || next.Engine.Keys[0].Missing != "" || where != filepath.Join(cfg.StateDir, "keys.d", "a") {
		t.Fatalf("%v, %q", err, where)
	}
	if k := load().Engine.Keys[0]; k.Override != "keys.d/a" || k.Missing != "" || k.Secret != secret.New("sk-test-not-a-key-new") {
		t.Errorf("override %q, missing %q", k.Override, k.Missing)
	}
	if _, _, err := cfg.Replace("nope", secret.New("sk-test-not-a-key-new")); err == nil {
		t.Error("a key that is not there was replaced")
	}
	kept, err := os.ReadFile(where)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(){
		"others on this machine may read or change it": func() { _ = os.Chmod(where, 0o644) },
		"does not say what it replaces":                func() { _ = os.WriteFile(where, []byte("sk-test-not-a-key-new\n"), 0o600) },
		"its secret was given for openai at evil.example": func() {
			_ = os.WriteFile(where, []byte(strings.Replace(string(kept), "api.openai.com", "evil.example", 1)), 0o600)
		},
	} {
		_ = os.Remove(where)
		if err := os.WriteFile(where, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		change()
		cfg := load()
		var warned []string
		for _, w := range cfg.Warnings {
			warned = append(warned, w.String())
		}
		all := strings.Join(warned, "\n")
		if cfg.Engine.Keys[0].Override != "" || !strings.Contains(all, want) || !strings.Contains(all, "keywheel.toml:3: keys.a: ") || strings.Contains(all, "not-a-key") {
			t.Errorf("override %q, warned of %s, want %s", cfg.Engine.Keys[0].Override, all, want)
		}
	}
}

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	const env = `
OPENAI_API_KEY=sk-test-not-a-key-1
OPENAI_API_KEY_2=sk-test-not-a-key-2
AI_ML_API_KEY="sk-test-not-a-key-3"
GITHUB_TOKEN=your_key
ACME_API_KEY=sk-test-not-a-key-4
LLM_MODEL_CONFIGS='{"gpt-4o": {"api_key": "sk-test-not-a-key-5"}}'
COLOUR=blue
not a line
`
	if err := os.WriteFile(file, []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := Import([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[keys.openai]\nprovider = \"openai\"\nsecret   = \"dotenv:" + file + "#OPENAI_API_KEY\"", "[keys.openai-2]", "[keys.ai-ml]",
		"[services.openai]\nkeys = [\"openai\", \"openai-2\"]", "# GITHUB_TOKEN in " + file + " holds a placeholder", "# ACME_API_KEY in",
		"# LLM_MODEL_CONFIGS in " + file + " needs nothing", ":9 is not NAME=value"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "not-a-key") || strings.Contains(text, "COLOUR") {
		t.Errorf("a secret, or what is none of its business:\n%s", text)
	}
	path := filepath.Join(dir, "keywheel.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(Options{Path: path, Dir: dir, LookupEnv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range cfg.Engine.Keys {
		if k.Secret.Empty() {
			t.Errorf("%s cannot be read: %s", k.Name, k.Missing)
		}
	}
	if len(cfg.Engine.Services) != 3 {
		t.Errorf("%d services", len(cfg.Engine.Services))
	}
}

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	text, err := Import([]string{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[keys.openai]\nprovider = \"openai\"\nsecret   = \"dotenv:" + file + "#OPENAI_API_KEY\"", "[keys.openai-2]", "[keys.ai-ml]",
		"[services.openai]\nkeys = [\"openai\", \"openai-2\"]", "# GITHUB_TOKEN in " + file + " holds a placeholder", "# ACME_API_KEY in",
		"[keysets.gpt-4o]\nprovider = \"openai\"\nsecrets  = \"dotenv:" + file + "#LLM_MODEL_CONFIGS/gpt-4o\"", "models = [\"gpt-4o\"]", "left where they are in " + file + ":\n#   COLOUR", ":9 is not NAME=value"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "not-a-key") {
		t.Errorf("a secret:\n%s", text)
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

// Three projects: one name with two values is two keys, one with one value is
// one key; the models of LLM_MODEL_CONFIGS are services; nothing is dropped
// without a word.
func TestImportOfSeveralProjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files []string
	for name, text := range map[string]string{
		"librechat":   "AI_ML_API_KEY=sk-test-not-a-key-ui\nOPENAI_API_KEY=user_provided\nGOOGLE_KEY=sk-test-not-a-key-google\nJWT_SECRET=not-a-key-jwt\nHOST=localhost\nPORT=3080\nMONGO_URI=mongodb://x\n",
		"video-proxy": "AI_ML_API_KEY=sk-test-not-a-key-video\nPORT=8080\nGITHUB_TOKEN=ghp_test_not-a-key_1\n",
		"proxy":       "GITHUB_TOKEN=ghp_test_not-a-key_1\n",
		"dslighting": "LLM_MODEL_CONFIGS='{\n \"glm-4.7\": {\"api_key\": [\"sk-test-not-a-key-1\", # account 1\n \"sk-test-not-a-key-2\"], \"api_base\": \"https://open.bigmodel.cn/api/paas/v4\", \"temperature\": 0},\n" +
			" \"openai/deepseek-ai/DeepSeek-V3\": {\"api_key\": \"sk-test-not-a-key-3\", \"api_base\": \"https://api.siliconflow.cn/v1\"},\n \"mine\": {\"api_key\": \"sk-test-not-a-key-4\", \"api_base\": \"https://llm.example.com/v1\"},\n" +
			" \"ph\": {\"api_key\": \"your_key\", \"api_base\": \"https://api.openai.com/v1\"}}'\nAPI_KEY=sk-test-not-a-key-5\nAPI_BASE=https://api.deepseek.com/v1\nLLM_MODEL=deepseek-chat\nLLM_TEMPERATURE=0.5\n",
	} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name, ".env")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	slices.Sort(files)
	text, err := Import(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "not-a-key") {
		t.Errorf("a secret:\n%s", text)
	}
	for _, name := range []string{"JWT_SECRET", "HOST", "PORT", "MONGO_URI", "OPENAI_API_KEY", "model ph"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is dropped without a word:\n%s", name, text)
		}
	}
	path := filepath.Join(dir, "keywheel.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(Options{Path: path, Dir: dir, LookupEnv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var got []string
	for _, k := range cfg.Engine.Keys {
		got = append(got, fmt.Sprintf("%s %s %s %s", k.Name, k.Kind, strings.TrimPrefix(k.Secret.Reveal(), "sk-test-not-a-key-"), k.BaseURL))
	}
	same(t, "keys", got, []string{
		"deepseek-chat-1 deepseek 5 https://api.deepseek.com/v1", "glm-4.7-1 zhipu 1 https://open.bigmodel.cn/api/paas/v4", "glm-4.7-2 zhipu 2 https://open.bigmodel.cn/api/paas/v4",
		"openai-deepseek-ai-deepseek-v3-1 siliconflow 3 https://api.siliconflow.cn/v1", "mine-1 generic 4 https://llm.example.com/v1",
		"ai-ml-librechat aimlapi ui https://api.aimlapi.com/v1", "google gemini google https://generativelanguage.googleapis.com/v1beta",
		"github github ghp_test_not-a-key_1 https://api.github.com", "ai-ml-video-proxy aimlapi video https://api.aimlapi.com/v1",
	})
	got = nil
	for _, s := range cfg.Engine.Services {
		got = append(got, fmt.Sprintf("%s %s %v %v %v %v", s.Name, s.Project, s.Keys, s.Models, s.Aliases, s.Defaults))
	}
	same(t, "services", got, []string{
		"deepseek-chat dslighting [deepseek-chat-1] [deepseek-chat] map[] map[temperature:0.5]",
		"glm-4.7 dslighting [glm-4.7-1 glm-4.7-2] [glm-4.7] map[] map[temperature:0]",
		"openai-deepseek-ai-deepseek-v3 dslighting [openai-deepseek-ai-deepseek-v3-1] [openai/deepseek-ai/DeepSeek-V3 deepseek-ai/DeepSeek-V3] map[openai/deepseek-ai/DeepSeek-V3:deepseek-ai/DeepSeek-V3] map[temperature:0.5]",
		"mine dslighting [mine-1] [mine] map[] map[temperature:0.5]",
		"librechat-aimlapi librechat [ai-ml-librechat] [] map[] map[]", "librechat-gemini librechat [google] [] map[] map[]",
		"proxy proxy [github] [] map[] map[]", "video-proxy-aimlapi video-proxy [ai-ml-video-proxy] [] map[] map[]", "video-proxy-github video-proxy [github] [] map[] map[]",
	})
}

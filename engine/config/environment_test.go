package config

import (
	"fmt"
	"strings"
	"testing"
)

// facts tells keys and services in lines.
func facts(c *Config) []string {
	var out []string
	for _, k := range c.Engine.Keys {
		out = append(out, fmt.Sprintf("key %s: %s %s %s %s %s @%s", k.Name, k.Provider, k.Kind, k.BaseURL, k.Secret.Reveal(), k.Ref, k.Source))
	}
	for _, s := range c.Engine.Services {
		out = append(out, fmt.Sprintf("service %s: %v %v %v %v @%s", s.Name, s.Keys, s.Models, s.Aliases, s.Defaults, s.Source))
	}
	return out
}

// The three examples of the guide that people come from, with real-looking keys.
func TestModelConfigsInDotenv(t *testing.T) {
	t.Parallel()
	c := setup{files: map[string]string{".env": `# .env file
LLM_MODEL_CONFIGS='{
  "glm-4.7": {
    "api_key": ["sk-test-key1", "sk-test-key2", "sk-test-key3"],
    "api_base": "https://open.bigmodel.cn/api/paas/v4",
    "temperature": 1.0,
    "provider": "openai"
  },
  "openai/deepseek-ai/DeepSeek-V3": {
    "api_key": [
      "sk-test-ds1",  # account 1
      "sk-test-ds2"   # account 2
    ],
    "api_base": "https://api.siliconflow.cn/v1",
    "temperature": 0
  },
  "gpt-4o": {
    "api_key": "sk-test-single",
    "api_base": "https://api.openai.com/v1"
  },
  "claude-3-5-sonnet": {
    "api_key": ["sk-test-ant-1", "sk-test-ant-2"],
    "api_base": "https://api.anthropic.com/v1"
  },
  "local": {
    "api_key": "EMPTY",
    "api_base": "http://127.0.0.1:8000/v1/",
    "provider": "openai"
  }
}'
`}}.fine(t)
	same(t, "facts", facts(c), []string{
		"key glm-4.7-1: zhipu zhipu https://open.bigmodel.cn/api/paas/v4 sk-test-key1 LLM_MODEL_CONFIGS#glm-4.7[0] @.env",
		"key glm-4.7-2: zhipu zhipu https://open.bigmodel.cn/api/paas/v4 sk-test-key2 LLM_MODEL_CONFIGS#glm-4.7[1] @.env",
		"key glm-4.7-3: zhipu zhipu https://open.bigmodel.cn/api/paas/v4 sk-test-key3 LLM_MODEL_CONFIGS#glm-4.7[2] @.env",
		"key openai-deepseek-ai-deepseek-v3-1: siliconflow siliconflow https://api.siliconflow.cn/v1 sk-test-ds1 LLM_MODEL_CONFIGS#openai/deepseek-ai/DeepSeek-V3[0] @.env",
		"key openai-deepseek-ai-deepseek-v3-2: siliconflow siliconflow https://api.siliconflow.cn/v1 sk-test-ds2 LLM_MODEL_CONFIGS#openai/deepseek-ai/DeepSeek-V3[1] @.env",
		"key gpt-4o-1: openai openai https://api.openai.com/v1 sk-test-single LLM_MODEL_CONFIGS#gpt-4o[0] @.env",
		"key claude-3-5-sonnet-1: anthropic anthropic https://api.anthropic.com/v1 sk-test-ant-1 LLM_MODEL_CONFIGS#claude-3-5-sonnet[0] @.env",
		"key claude-3-5-sonnet-2: anthropic anthropic https://api.anthropic.com/v1 sk-test-ant-2 LLM_MODEL_CONFIGS#claude-3-5-sonnet[1] @.env",
		"key local-1: 127.0.0.1:8000 generic http://127.0.0.1:8000/v1 EMPTY LLM_MODEL_CONFIGS#local[0] @.env",
		"service glm-4.7: [glm-4.7-1 glm-4.7-2 glm-4.7-3] [glm-4.7] map[] map[temperature:1] @.env",
		"service openai-deepseek-ai-deepseek-v3: [openai-deepseek-ai-deepseek-v3-1 openai-deepseek-ai-deepseek-v3-2] " +
			"[openai/deepseek-ai/DeepSeek-V3 deepseek-ai/DeepSeek-V3] map[openai/deepseek-ai/DeepSeek-V3:deepseek-ai/DeepSeek-V3] map[temperature:0] @.env",
		"service gpt-4o: [gpt-4o-1] [gpt-4o] map[] map[] @.env",
		"service claude-3-5-sonnet: [claude-3-5-sonnet-1 claude-3-5-sonnet-2] [claude-3-5-sonnet] map[] map[] @.env",
		"service local: [local-1] [local] map[] map[] @.env",
	})
	same(t, "warnings", strs(c.Warnings), nil)
	same(t, "sources", c.Sources, []string{
		"model glm-4.7 from LLM_MODEL_CONFIGS in .env: 3 keys",
		"model openai/deepseek-ai/DeepSeek-V3 from LLM_MODEL_CONFIGS in .env: 2 keys",
		"model gpt-4o from LLM_MODEL_CONFIGS in .env: 1 key",
		"model claude-3-5-sonnet from LLM_MODEL_CONFIGS in .env: 2 keys",
		"model local from LLM_MODEL_CONFIGS in .env: 1 key",
	})
}

// Keys as the guide writes them, cut short, are recognised and left out.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	env := `A=1
LLM_MODEL_CONFIGS='{
  "gpt-4o": {
    "api_key": ["sk-key1...", "sk-test-real", "your_key", ""],
    "api_base": "https://api.openai.com/v1"
  },
  "glm-4.7": {"api_key": ["sk-key1...", "sk-key2..."], "api_base": "https://open.bigmodel.cn/api/paas/v4"},
  "gpt-4o-mini": {"api_base": "https://api.openai.com/v1"}
}'
`
	c := setup{files: map[string]string{".env": env}}.fine(t)
	same(t, "facts", facts(c), []string{
		"key gpt-4o-2: openai openai https://api.openai.com/v1 sk-test-real LLM_MODEL_CONFIGS#gpt-4o[1] @.env",
		"service gpt-4o: [gpt-4o-2] [gpt-4o] map[] map[] @.env",
	})
	same(t, "warnings", strs(c.Warnings), []string{
		".env:3: LLM_MODEL_CONFIGS: gpt-4o: key 1 holds a placeholder, not a key; it is left out",
		".env:3: LLM_MODEL_CONFIGS: gpt-4o: key 3 holds a placeholder, not a key; it is left out",
		".env:3: LLM_MODEL_CONFIGS: gpt-4o: key 4 is empty; it is left out",
		".env:7: LLM_MODEL_CONFIGS: glm-4.7: key 1 holds a placeholder, not a key; it is left out",
		".env:7: LLM_MODEL_CONFIGS: glm-4.7: key 2 holds a placeholder, not a key; it is left out",
		".env:7: LLM_MODEL_CONFIGS: glm-4.7: no key of it can be used, so it is left out",
		".env:8: LLM_MODEL_CONFIGS: gpt-4o-mini: no key of it can be used, so it is left out",
	})
	_, err := setup{files: map[string]string{".env": strings.Replace(env, "sk-test-real", "sk-...", 1)}}.load(t)
	if err == nil || !strings.HasPrefix(err.Error(), "there is no service: no variable holds a key that can be used\n.env:3: ") {
		t.Errorf("only placeholders: %v", err)
	}
}

func TestSlugsCollide(t *testing.T) {
	t.Parallel()
	c := setup{env: map[string]string{modelConfigs: `{
		"a/b": {"api_key": ["sk-test-1"], "api_base": "https://api.openai.com/v1"},
		"a-b": {"api_key": ["sk-test-2", "sk-test-1", "sk-test-2"], "api_base": "https://api.openai.com/v1/"},
		"openai/a-b": {"api_key": ["sk-test-1"], "api_base": "https://llm.example.com/v1"}}`}}.fine(t)
	same(t, "facts", facts(c), []string{
		"key a-b-1: openai openai https://api.openai.com/v1 sk-test-1 LLM_MODEL_CONFIGS#a/b[0] @environment",
		"key a-b-2-1: openai openai https://api.openai.com/v1 sk-test-2 LLM_MODEL_CONFIGS#a-b[0] @environment",
		"key openai-a-b-1: llm.example.com generic https://llm.example.com/v1 sk-test-1 LLM_MODEL_CONFIGS#openai/a-b[0] @environment",
		"service a-b: [a-b-1] [a/b] map[] map[] @environment",
		"service a-b-2: [a-b-2-1 a-b-1] [a-b] map[] map[] @environment",
		"service openai-a-b: [openai-a-b-1] [openai/a-b] map[openai/a-b:a-b] map[] @environment",
	})
	same(t, "warnings", strs(c.Warnings), []string{"LLM_MODEL_CONFIGS:3: a-b: key 3 is there twice; it counts once"})
}

func TestSimpleVariables(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		env    map[string]string
		dotenv string
		want   string // facts, with |
		err    string
	}{
		{name: "all of them", env: map[string]string{"API_KEY": "sk-test-1", "API_BASE": "https://api.deepseek.com", "LLM_MODEL": "deepseek-chat", "LLM_PROVIDER": "openai", "LLM_TEMPERATURE": "0"},
			want: "key deepseek-chat-1: deepseek deepseek https://api.deepseek.com sk-test-1 API_KEY @environment|" +
				"service deepseek-chat: [deepseek-chat-1] [deepseek-chat] map[] map[temperature:0] @environment"},
		{name: "no model", env: map[string]string{"API_KEY": "sk-test-1", "API_BASE": "https://api.openai.com/v1/"},
			want: "key default-1: openai openai https://api.openai.com/v1 sk-test-1 API_KEY @environment|" +
				"service default: [default-1] [] map[] map[] @environment"},
		{name: "a provider instead of a URL", env: map[string]string{"API_KEY": "sk-test-1,sk-test-2", "LLM_PROVIDER": "anthropic"},
			want: "key default-1: anthropic anthropic https://api.anthropic.com/v1 sk-test-1 API_KEY[0] @environment|" +
				"key default-2: anthropic anthropic https://api.anthropic.com/v1 sk-test-2 API_KEY[1] @environment|" +
				"service default: [default-1 default-2] [] map[] map[] @environment"},
		{name: "a model that tells", env: map[string]string{"API_KEY": "sk-test-1", "LLM_MODEL": "claude-3-5-sonnet", "LLM_PROVIDER": "openai"},
			want: "key claude-3-5-sonnet-1: anthropic anthropic https://api.anthropic.com/v1 sk-test-1 API_KEY @environment|" +
				"service claude-3-5-sonnet: [claude-3-5-sonnet-1] [claude-3-5-sonnet] map[] map[] @environment"},
		{name: "unknown host, its language told", env: map[string]string{"API_KEY": "sk-test-1", "API_BASE": "https://relay.example.com", "LLM_PROVIDER": "anthropic"},
			want: "key default-1: relay.example.com anthropic https://relay.example.com sk-test-1 API_KEY @environment|" +
				"service default: [default-1] [] map[] map[] @environment"},
		{name: "nowhere to go", env: map[string]string{"API_KEY": fake},
			err: "API_KEY: does not say where its keys belong: set API_BASE in the environment too"},
		{name: "a placeholder", dotenv: "X=1\nAPI_KEY=your_key\nAPI_BASE=https://api.openai.com/v1\n",
			err: "there is no service: no variable holds a key that can be used|.env:2: API_KEY: key 1 holds a placeholder, not a key; it is left out|.env:2: API_KEY: no key of it can be used, so it is left out"},
		{name: "a URL that is none", env: map[string]string{"API_KEY": fake, "API_BASE": "api.openai.com"},
			err: `API_KEY: API_BASE must be a URL like "https://api.example.com/v1"`},
		{name: "plain http", env: map[string]string{"API_KEY": fake, "API_BASE": "http://llm.example.com"},
			err: "API_KEY: API_BASE would send keys over plain http: use https, or write a keywheel.toml with insecure = true"},

		// A secret goes only to a URL of its own source.
		{name: "the URL of a stranger's .env", env: map[string]string{"API_KEY": fake}, dotenv: "API_BASE=https://evil.example.com\nLLM_PROVIDER=deepseek\nLLM_MODEL=deepseek-chat\n",
			err: "API_KEY: does not say where its keys belong: set API_BASE in the environment too"},
		{name: "the shell's URL, the .env's key", env: map[string]string{"API_BASE": "https://evil.example.com"}, dotenv: "API_KEY=" + fake + "\n",
			err: ".env:1: API_KEY: does not say where its keys belong: set API_BASE in .env too"},
		{name: "both whole: the environment's", env: map[string]string{"API_KEY": "sk-test-env", "API_BASE": "https://env.example.com"},
			dotenv: "API_KEY=sk-test-file\nAPI_BASE=https://file.example.com\nLLM_MODEL=m\n",
			want: "key m-1: env.example.com generic https://env.example.com sk-test-env API_KEY @environment|" +
				"service m: [m-1] [m] map[] map[] @environment"},
		{name: "only the .env's whole", env: map[string]string{"API_KEY": "sk-test-env", "LLM_TEMPERATURE": "0.5"}, dotenv: "API_KEY=sk-test-file\nAPI_BASE=https://file.example.com\n",
			want: "key default-1: file.example.com generic https://file.example.com sk-test-file API_KEY @.env|" +
				"service default: [default-1] [] map[] map[temperature:0.5] @.env"},
		{name: "model configs of the shell, URL of the .env", env: map[string]string{modelConfigs: `{"m": {"api_key": "` + fake + `"}}`},
			dotenv: "API_BASE=https://evil.example.com\n",
			err:    "LLM_MODEL_CONFIGS:1: m: does not say where its keys belong: set api_base in the environment too"},
		{name: "model configs and URL of one source", dotenv: "LLM_MODEL_CONFIGS={\"m\": {\"api_key\": \"sk-test-1\"}}\nAPI_BASE=https://file.example.com\n",
			want: "key m-1: file.example.com generic https://file.example.com sk-test-1 LLM_MODEL_CONFIGS#m[0] @.env|" +
				"service m: [m-1] [m] map[] map[] @.env"},
		{name: "the shell's key by name in the .env", env: map[string]string{"OPENAI_API_KEY": fake}, dotenv: "API_KEY=${OPENAI_API_KEY}\nAPI_BASE=https://evil.example.com\n",
			err: "there is no service: no variable holds a key that can be used|.env:1: API_KEY: key 1 holds a placeholder, not a key; it is left out|.env:1: API_KEY: no key of it can be used, so it is left out"},
		{name: "nothing of a .env is run", dotenv: "API_KEY=$(cat /etc/passwd)\nAPI_BASE=https://evil.example.com\n",
			err: "there is no service: no variable holds a key that can be used|.env:1: API_KEY: key 1 holds a blank or another character that no key has; it is left out|.env:1: API_KEY: no key of it can be used, so it is left out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := setup{env: tc.env, files: map[string]string{}}
			if tc.dotenv != "" {
				s.files[".env"] = tc.dotenv
			}
			c, err := s.load(t)
			if tc.err != "" {
				if got := strings.ReplaceAll(fmt.Sprint(err), "\n", "|"); got != tc.err {
					t.Errorf("got  %s\nwant %s", got, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			same(t, "facts", facts(c), strings.Split(tc.want, "|"))
			same(t, "warnings", strs(c.Warnings), nil)
		})
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	models := func(key string) string {
		return fmt.Sprintf(`{"ui": {"api_key": "%s-ui", "api_base": "https://api.openai.com/v1"}, "m": {"api_key": "%s-m", "api_base": "https://api.openai.com/v1"}}`, key, key)
	}
	s := setup{
		files: map[string]string{
			"keywheel.toml": one + "models = [\"m\"]\nproject = \"p\"\n",
			".env":          "LLM_MODEL_CONFIGS='" + models("sk-test-file") + "'\nAPI_KEY=sk-test-simple\nAPI_BASE=https://api.openai.com/v1\nLLM_MODEL=m\n",
		},
		env: map[string]string{"KEY": fake, modelConfigs: models("sk-test-env")},
	}
	c := s.fine(t)
	same(t, "facts", facts(c), []string{
		"key main: openai openai https://api.openai.com/v1 " + fake + " env:KEY @keywheel.toml:1",
		"key m-1: openai openai https://api.openai.com/v1 sk-test-env-m LLM_MODEL_CONFIGS#m[0] @environment",
		"service ui: [main] [m] map[] map[] @keywheel.toml:4",
		"service m: [m-1] [] map[] map[] @environment",
	})
	same(t, "sources", c.Sources, []string{
		"1 key, 1 service from keywheel.toml",
		"model ui from LLM_MODEL_CONFIGS in the environment is not used, the service ui of keywheel.toml stands",
		"model m from LLM_MODEL_CONFIGS in the environment: 1 key",
		"LLM_MODEL_CONFIGS in .env:1 is not used, that of the environment stands",
		"model m from API_KEY in .env is not used, the service m of LLM_MODEL_CONFIGS stands",
	})
	same(t, "warnings", strs(c.Warnings), []string{"LLM_MODEL_CONFIGS:1: m: model m is routed to service ui"})

	delete(s.env, modelConfigs)
	c = s.fine(t)
	if got := c.Engine.Keys[1].Secret.Reveal(); got != "sk-test-file-m" {
		t.Errorf("without the environment's, the .env's LLM_MODEL_CONFIGS counts; got %s", got)
	}
	s.files[".env"] = strings.Replace(s.files[".env"], modelConfigs, "OTHER", 1)
	c = s.fine(t)
	if got := c.Engine.Keys[1].Secret.Reveal(); got != "sk-test-simple" {
		t.Errorf("without either, the simple variables count; got %s", got)
	}
}

// A stray API_KEY, and a neighbour's broken .env, are none of a config's business.
func TestStrayVariables(t *testing.T) {
	t.Parallel()
	c := setup{files: map[string]string{"keywheel.toml": one, ".env": "nonsense\nX='\n"}, env: map[string]string{"KEY": fake, "API_KEY": "sk-test-1"}}.fine(t)
	same(t, "facts", facts(c)[1:], []string{"service ui: [main] [] map[] map[] @keywheel.toml:4"})
	same(t, "warnings", strs(c.Warnings), nil)
}

func TestDotenvWarnings(t *testing.T) {
	t.Parallel()
	s := setup{files: map[string]string{".env": "nonsense\nAPI_KEY=sk-test-1\nAPI_BASE=https://example.com\nLLM_TEMPERATURE=warm\n"}, mode: 0o644}
	same(t, "warnings", strs(s.fine(t).Warnings), []string{
		".env: others on this machine may read it: chmod 600 .env",
		".env:1: is not NAME=value, or a quote is not closed",
		".env:4: LLM_TEMPERATURE: must be a number; it is left out",
	})
	s = setup{files: map[string]string{".env": "A=1\nLLM_MODEL_CONFIGS='{\n  \"m\": {\"api_key\": \"" + fake + "\"\n}'\n"}}
	if _, err := s.load(t); fmt.Sprint(err) != ".env:4: LLM_MODEL_CONFIGS: is not JSON: unexpected end of JSON input; in a .env file the whole of it belongs in single quotes" {
		t.Errorf("got %v", err)
	}
	s = setup{files: map[string]string{".env": "A=1\nexport LLM_MODEL_CONFIGS='{\n\"m\": {}\n}\n"}}
	if _, err := s.load(t); fmt.Sprint(err) != ".env:2: LLM_MODEL_CONFIGS: the quote that begins it is not closed" {
		t.Errorf("got %v", err)
	}
}

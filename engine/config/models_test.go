package config

import (
	"fmt"
	"strings"
	"testing"

	"keywheel/engine/secret"
)

// manyModels is a value of LLM_MODEL_CONFIGS with n keys.
func manyModels(n int) string {
	var b strings.Builder
	b.WriteString("{")
	for m := range n / 5 {
		if m > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n  \"model-%d\": {\"api_key\": [", m)
		for k := range 5 {
			if k > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "\"sk-test-not-a-key-%d-%d\"", m, k)
		}
		b.WriteString("], \"api_base\": \"https://api.openai.com/v1\", \"temperature\": 0.7}")
	}
	b.WriteString("\n}")
	return b.String()
}

func TestParseModels(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, value, want string }{
		{"a list", `{"glm-4.7": {"api_key": ["a", "b"], "api_base": "u", "temperature": 1.0, "provider": "openai"}}`,
			"1 glm-4.7 [a b] u openai 1"},
		{"one string", `{"m": {"api_key": "a"}}`, "1 m [a]   -"},
		{"zero is a value", `{"m": {"api_key": "a", "temperature": 0}}`, "1 m [a]   0"},
		{"a number as text", `{"m": {"api_key": "a", "temperature": "0.7"}}`, "1 m [a]   0.7"},
		{"null is nothing", `{"m": {"api_key": "a", "temperature": null, "api_base": null}}`, "1 m [a]   -"},
		{"api_keys wins", `{"m": {"api_key": "a", "api_keys": ["b"]}, "n": {"api_keys": ["b"], "api_key": "a"}}`, "1 m [b]   -|1 n [b]   -"},
		{"empty api_keys does not", `{"m": {"api_keys": [], "api_key": "a"}, "n": {"api_key": "a", "api_keys": []}}`, "1 m [a]   -|1 n [a]   -"},
		{"order and lines", "{\n\"b\": {},\n\n\"a\": {}}", "2 b []   -|4 a []   -"},
		{"comments", "{ # all\n\"m\": { \"api_key\": [\n\"a#1\", # account 1\n\"b\", # 账户 2, \"c\"\n# \"d\"\n] } }", "2 m [a#1 b]   -"},
		{"commas at the end", "{\"m\": {\"api_key\": [\"a\", ], }, \n}", "1 m [a]   -"},
		{"comma in a string", `{"m": {"api_key": ",]", "api_base": "\"#,}"}}`, `1 m [,]] "#,}  -`},
		{"not used", `{"m": {"api_key": "a", "workflow": "aide", "api_kei": "b"}}`,
			`1 m [a]   -|1? m: workflow is not used here|1? m: api_kei is not used here, did you mean "api_key"?`},
		{"wrong types", "{\"m\": {\"api_key\": 7,\n\"api_base\": [],\n\"provider\": {}, \"temperature\": true}}",
			"1 m []   -|1! m: api_key must be a string or a list of strings, not a number|2! m: api_base must be a string, not a list|" +
				"3! m: provider must be a string, not an object|3! m: temperature must be a number, not true or false"},
		{"wrong item", `{"m": {"api_key": ["a", null]}}`, "1 m [a]   -|1! m: api_key item 2 must be a string, not null"},
		{"no object", `{"m": "a", "n": {}}`, `1 n []   -|1! m: must be an object: {"api_key": [...], "api_base": "..."}`},
		{"twice", "{\"m\": {},\n\"m\": {}}", "1 m []   -|2! m: is there twice"},
		{"no name", `{"": {}}`, "1! : a model needs a name"},
		{"control characters", `{"a\u001b[31m": {}}`, `1! "a\x1b[31m": the name must not hold control characters or line ends`},
		{"a list of models", `[]`, `1! must be a JSON object: {"model": {"api_key": [...], "api_base": "..."}}`},
		{"cut off", `{`, "1! is not JSON: unexpected end of JSON input; in a .env file the whole of it belongs in single quotes"},
		{"no JSON", "{\n\"m\": {'api_key': 1}}", "2! is not JSON: invalid character '\\'' looking for beginning of object key string"},
		{"empty", ``, "1! is not JSON: unexpected end of JSON input; in a .env file the whole of it belongs in single quotes"},
	} {
		var got []string
		entries, remarks := parseModels(tc.value)
		for _, e := range entries {
			temperature := "-"
			if e.temperature != nil {
				temperature = fmt.Sprint(*e.temperature)
			}
			got = append(got, fmt.Sprintf("%d %s %v %s %s %s", e.line, e.name, e.keys, e.base, e.dialect, temperature))
		}
		for _, r := range remarks {
			sign := map[bool]string{true: "!", false: "?"}[r.fatal]
			got = append(got, fmt.Sprintf("%d%s %s", r.line, sign, r.text))
		}
		if g := strings.Join(got, "|"); g != tc.want {
			t.Errorf("%s:\n got  %s\n want %s", tc.name, g, tc.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{
		"gpt-4o": "gpt-4o", "glm-4.7": "glm-4.7", "openai/deepseek-ai/DeepSeek-V3": "openai-deepseek-ai-deepseek-v3",
		"": "default", "v1": "model-v1", "通义千问": "model", "GPT 4o (新)": "gpt-4o", "..": "model", "a//b": "a-b", "-x_": "x",
		strings.Repeat("a", 90): strings.Repeat("a", 48),
	} {
		if got := slug(model); got != want || serviceName(got) != "" {
			t.Errorf("%q becomes %q, want %q", model, got, want)
		}
	}
	for _, tc := range []struct{ model, kind, want string }{
		{"gpt-4o", "openai", "gpt-4o"},
		{"openai/deepseek-ai/DeepSeek-V3", "siliconflow", "deepseek-ai/DeepSeek-V3"},
		{"deepseek-ai/DeepSeek-V3", "siliconflow", "deepseek-ai/DeepSeek-V3"},
		{"anthropic/claude-3-5-sonnet", "anthropic", "claude-3-5-sonnet"},
		{"openai/gpt-4o", "openrouter", "openai/gpt-4o"},
		{"openai/anthropic/claude-3", "openrouter", "anthropic/claude-3"},
		{"openrouter/auto", "openrouter", "openrouter/auto"},
		{"groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"},
		{"openai/", "openai", "openai/"},
	} {
		if got := withoutPrefix(tc.model, tc.kind); got != tc.want {
			t.Errorf("%s at %s is %s, want %s", tc.model, tc.kind, got, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"listen", "patience", "keys", "keysets", "services", "rpm", "tpm"}
	for written, want := range map[string]string{"lisen": "listen", "Listen": "listen", "pateince": "patience", "key": "keys", "keyset": "keysets",
		"service": "services", "rmp": "rpm", "zzz": "", "": "", "listen": ""} {
		if got := nearest(written, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", written, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"abc", "abd", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(tc.a, tc.b); got != tc.want || distance(tc.b, tc.a) != tc.want {
			t.Errorf("%q to %q is %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func FuzzParseModels(f *testing.F) {
	for _, s := range []string{`{"m": {"api_key": ["a"], "temperature": 0}}`, "{ # c\n\"m\": {\"api_key\": \"a\",},}", `{"a":{"api_key":[[]]}}`, `[`, "{\"\\u0000\":{}}", `{"m":{"temperature":1e999}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		entries, remarks := parseModels(value)
		lines := strings.Count(value, "\n") + 1
		for _, e := range entries {
			if e.name == "" || harmless(e.name) != "" || e.line < 1 || e.line > lines {
				t.Errorf("model %q on line %d of %d", e.name, e.line, lines)
			}
			if serviceName(slug(e.name)) != "" {
				t.Errorf("%q becomes %q", e.name, slug(e.name))
			}
		}
		for _, r := range remarks {
			if r.line < 1 || r.line > lines || harmless(r.text) != "" {
				t.Errorf("%q on line %d of %d", r.text, r.line, lines)
			}
		}
		if len(secret.PlainJSON(value)) != len(value) {
			t.Error("comments were not blanked out")
		}
	})
}

func FuzzLoadModels(f *testing.F) {
	f.Add(`{"m": {"api_key": ["sk-test-a", "sk-test-b"], "api_base": "https://x/v1"}}`, "")
	f.Add(`{"a/b": {"api_key": "sk-test-a"}, "a-b": {}}`, "A='\nLLM_MODEL_CONFIGS={")
	f.Fuzz(func(t *testing.T, value, file string) {
		c, err := setup{env: map[string]string{modelConfigs: value}, files: map[string]string{".env": file}}.load(t)
		if err == nil && len(c.Engine.Services) == 0 {
			t.Errorf("neither a service nor an error of %q", value)
		}
	})
}

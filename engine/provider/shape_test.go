package provider

import (
	"strings"
	"testing"

	"keywheel/engine"
	"keywheel/engine/secret"
)

func TestMisshapen(t *testing.T) {
	t.Parallel()
	const body = "not-a-key-0123456789"
	for _, tc := range []struct {
		kind, text, odd string
		sure            bool
	}{
		{"openai", "sk-proj-" + body, "", false},
		{"openai", "sk-" + body, "", false},
		{"openai", "sk-admin-" + body, "is an admin key", true},
		{"openai", "sk-ant-api03-" + body, "looks like a key of anthropic, and goes to openai", true},
		{"openai", "hf_" + body, "looks like a key of Hugging Face", true},
		{"openai", body, "does not begin as keys of openai do (sk-)", false},
		{"openai", "sk-1", "is shorter than any key", false},
		{"anthropic", "sk-ant-api03-" + body, "", false},
		{"anthropic", "sk-ant-oat01-" + body, "", false},
		{"anthropic", "sk-ant-admin01-" + body, "is an admin key", true},
		{"anthropic", "sk-or-v1-" + body, "looks like a key of openrouter", true},
		{"anthropic", "sk-" + body, "does not begin as keys of anthropic do", false},
		{"deepseek", "sk-" + body, "", false}, // sk- is nobody's in particular
		{"deepseek", "sk-svcacct-" + body, "looks like a key of openai", true},
		{"aimlapi", "sk-aimlapi-key-1", "", false},
		{"aimlapi", "0123456789abcdef0123456789abcdef", "", false},
		{"aimlapi", "ghp_" + body, "looks like a key of github", true},
		{"github", "github_pat_" + body, "", false},
		{"github", "0123456789abcdef0123456789abcdef01234567", "", false},
		{"github", "ghr_" + body, "is a refresh token", true},
		{"gemini", "AIza" + body, "", false},
		{"gemini", "AQ." + body, "", false},
		{"gemini", "gsk_" + body, "looks like a key of groq", true},
		{"zhipu", body + "." + body, "", false},
		{"aimlapi", "AI_ML_API_KEY=sk-" + body, "holds NAME=value", true},
		{"aimlapi", "AB_CD==", "is shorter", false},
		{"aimlapi", "sk-" + body + ",sk-" + body, "holds several keys", true},
		{"aimlapi", "https://aimlapi.com/app/keys", "is a URL", true},
		{"aimlapi", `"sk-` + body, "holds a quote", true},
		{"aimlapi", "env:AI_ML_API_KEY", "is a reference", true},
	} {
		p, _ := Lookup(tc.kind)
		odd, sure := Misshapen(&engine.Key{Kind: tc.kind, BaseURL: p.BaseURL, Secret: secret.New(tc.text)})
		if (odd == "") != (tc.odd == "") || !strings.Contains(odd, tc.odd) || sure != tc.sure {
			t.Errorf("%s: got %q %v, want %q %v", tc.kind, odd, sure, tc.odd, tc.sure)
		}
		if strings.Contains(odd, body) {
			t.Errorf("%s: it shows the key: %s", tc.kind, odd)
		}
	}
}

func TestGatewaysGiveOutKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"sk-ant-not-a-key-0001": false, "none": false, "KEY_A=not-a-key": true} {
		odd, _ := Misshapen(&engine.Key{Kind: "openai", BaseURL: "http://127.0.0.1:11434/v1", Secret: secret.New(text)})
		if (odd != "") != want {
			t.Errorf("got %q", odd)
		}
	}
}

func TestShapesAreOfProviders(t *testing.T) {
	t.Parallel()
	for name := range shapes {
		if _, ok := Lookup(name); !ok && strings.ToLower(name) == name {
			t.Errorf("there is no provider %q", name)
		}
	}
}

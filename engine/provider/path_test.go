package provider

import "testing"

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ provider, base, path, want string }{
		// A base path stands, or takes the place of /v1.
		{"openai", "/v1", "/v1/chat/completions", "/v1/chat/completions"},
		{"openai", "/v1", "/chat/completions", "/v1/chat/completions"},
		{"openai", "/v1", "/v1", "/v1"},
		{"openai", "/v1", "/v1/v1/models", "/v1/models"},
		{"zhipu", "/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"},
		{"zhipu", "/api/paas/v4", "/chat/completions", "/api/paas/v4/chat/completions"},
		{"zhipu", "/api/paas/v4", "/api/paas/v4/chat/completions", "/api/paas/v4/chat/completions"},
		{"zhipu", "/api/paas/v4", "/api/anthropic/v1/messages", "/api/anthropic/v1/messages"},
		{"groq", "/openai/v1", "/v1/models", "/openai/v1/models"},
		{"openrouter", "/api/v1/", "/v1/chat/completions", "/api/v1/chat/completions"},
		// Whole segments only.
		{"openai", "/v1", "/v1x/models", "/v1x/models"},
		{"openai", "/v1", "/v10/models", "/v10/models"},
		// Another version is at the host's root.
		{"aimlapi", "/v1", "/v2/video/generations", "/v2/video/generations"},
		{"aimlapi", "/v1", "/v1/chat/completions", "/v1/chat/completions"},
		// Anthropic's clients may end their base URL in /v1 or not.
		{"anthropic", "/v1", "/v1/messages", "/v1/messages"},
		{"anthropic", "/v1", "/messages", "/v1/messages"},
		// An empty base path changes nothing.
		{"github", "", "/repos/o/r/contents/a%2Fb.yaml", "/repos/o/r/contents/a%2Fb.yaml"},
		{"deepseek", "", "/v1/chat/completions", "/v1/chat/completions"},
		{"deepseek", "", "/chat/completions", "/chat/completions"},
		// Gemini: both dialects.
		{"gemini", "/v1beta", "/v1beta/models/g:generateContent", "/v1beta/models/g:generateContent"},
		{"gemini", "/v1beta", "/v1/models/g:generateContent", "/v1/models/g:generateContent"},
		{"gemini", "/v1beta", "/v1/chat/completions", "/v1beta/openai/chat/completions"},
		{"gemini", "/v1beta", "/upload/v1beta/files", "/upload/v1beta/files"},
		{"dashscope", "/compatible-mode/v1", "/api/v1/tasks/x", "/api/v1/tasks/x"},
		// ~ is verbatim.
		{"zhipu", "/api/paas/v4", "/~/v1/anything", "/v1/anything"},
		{"openai", "/v1", "/~", ""},
	} {
		p, ok := Lookup(c.provider)
		if !ok {
			t.Fatal(c.provider)
		}
		if got := p.Target(c.base, c.path); got != c.want {
			t.Errorf("%s at %q: %q goes to %q, want %q", c.provider, c.base, c.path, got, c.want)
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ scope, need, want string }{
		{"", "video", "video"}, {"video", "video", "video"},
		// A path that plainly tells something else is believed.
		{"chat", "video", "chat"}, {"image", "chat", "image"}, {"embedding", "chat", "embedding"},
		// Code is written in chats, and nowhere else.
		{"chat", "code", "code"}, {"", "code", "code"}, {"image", "code", "image"},
		// No path tells a word of somebody's own.
		{"chat", "translation", "translation"}, {"audio", "speech", "speech"},
	} {
		if got := Label(c.scope, c.need); got != c.want {
			t.Errorf("%q at a service for %s counts as %q, want %q", c.scope, c.need, got, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, scope string
		repeatable          bool
	}{
		{"POST", "/v1/chat/completions", "chat", true},
		{"POST", "/v1/messages", "chat", true},
		{"POST", "/v1/messages/count_tokens", "chat", true},
		{"POST", "/v1/messages/batches", "chat", false},
		{"POST", "/v1/responses", "chat", true},
		{"POST", "/v1/embeddings", "embedding", true},
		{"POST", "/v1/images/generations", "image", false},
		{"POST", "/v2/video/generations", "video", false},
		{"GET", "/v2/video/generations", "video", true},
		{"POST", "/v1/audio/speech", "audio", false},
		{"POST", "/v1beta/models/g:streamGenerateContent", "chat", true},
		{"POST", "/v1/files", "", false},
		{"GET", "/repos/o/r", "", true},
		{"DELETE", "/v1/files/x", "", false},
	} {
		scope, repeatable := Describe(c.method, c.path)
		if scope != c.scope || repeatable != c.repeatable {
			t.Errorf("%s %s: %q, %v; want %q, %v", c.method, c.path, scope, repeatable, c.scope, c.repeatable)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider, base, method, path string
		want                         bool
	}{
		{"openai", "/v1", "POST", "/v1/chat/completions", true},
		{"openai", "/v1", "GET", "/v1/organization/costs", false},
		{"openai", "/v1", "GET", "/~/v1/organization/costs", false},
		{"openai", "/v1", "GET", "/organization", false},
		{"aimlapi", "/v1", "POST", "/v1/keys", false},
		{"aimlapi", "/v1", "POST", "/v2/video/generations", true},
		{"github", "", "GET", "/repos/o/r", true},
		{"github", "", "HEAD", "/repos/o/r", true},
		{"github", "", "POST", "/repos/o/r/issues", false},
		{"github", "", "DELETE", "/repos/o/r", false},
		// However it is written.
		{"openai", "/v1", "GET", "/v1/v1/organization/costs", false},
		{"openai", "/v1", "GET", "/v1/v1/v1/organization/costs", false},
		{"openai", "/v1", "GET", "/v1//organization/costs", false},
		{"openai", "/v1", "GET", "//v1/organization/costs", false},
		{"openai", "/v1", "GET", "/V1/Organization/costs", false},
		{"openai", "/v1", "GET", "/v1/%6Frganization/costs", false},
		{"openai", "/v1", "GET", "/v1/%256Frganization/costs", false},
		{"openai", "/v1", "GET", "/v1%2Forganization/costs", false},
		{"openai", "/v1", "GET", "/v1/organization%2Fcosts", false},
		{"openai", "/v1", "GET", "/v1/organization%5Ccosts", false},
		{"openai", "/v1", "GET", "/~//v1/organization/costs", false},
		{"openai", "/v1", "GET", "/%76%31/organization", false},
		{"openai", "", "GET", "/v1/organization", false},
		// Behind whatever base.
		{"openrouter", "/api/v1", "GET", "/api/v1/keys", false},
		{"openrouter", "/api/v1/", "GET", "/v1/keys", false},
		{"openrouter", "/api/v1", "GET", "/~/api/v1/keys", false},
		{"openrouter", "/api", "GET", "/v1/keys", false},
		{"generic", "/users/me/v1", "POST", "/v1/chat/completions", true},
		{"generic", "/users/me/v1", "GET", "/v1/users", false},
		// Names that only hold such a word.
		{"openai", "/v1", "GET", "/v1/models/org%2Fmodel", true},
		{"openai", "/v1", "GET", "/v1/models/organization%2Fmodel", true},
		{"openai", "/v1", "GET", "/v1/models/users/keys", true},
		{"openai", "/v1", "GET", "/v1/keysets", true},
	} {
		p, _ := Lookup(c.provider)
		if got := p.Allows(c.method, c.base, c.path); got != c.want {
			t.Errorf("%s at %q: %s %s allowed: %v", c.provider, c.base, c.method, c.path, got)
		}
	}
}

func TestPathModel(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v1beta/models/gemini-2.5-pro:generateContent": "gemini-2.5-pro",
		"/openai/deployments/gpt-4o/chat/completions":   "gpt-4o",
		"/v1/models":           "",
		"/v1/models/":          "",
		"/v1/chat/completions": "",
		"/v1beta/models/gemini-2.5-flash:streamGenerateContent": "gemini-2.5-flash",
	} {
		if got := PathModel(path); got != want {
			t.Errorf("%s names the model %q, want %q", path, got, want)
		}
	}
}

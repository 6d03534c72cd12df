package provider

import (
	"net/http"
	"strings"
	"testing"
)

func TestAccountOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider string
		headers  []string
		want     string
	}{
		{"openai", []string{"openai-organization", "acme", "openai-project", "proj_1"}, "acme/proj_1"},
		{"openai", []string{"OpenAI-Organization", " user-x1 "}, "user-x1"},
		{"openai", []string{"openai-project", "proj_1"}, ""}, // a part of what?
		{"openai", []string{"anthropic-organization-id", "acme"}, ""},
		{"openai", nil, ""},
		{"openai", []string{"openai-organization", "a\x1b[31m"}, ""},
		{"openai", []string{"openai-organization", "a/b"}, ""},
		{"openai", []string{"openai-organization", strings.Repeat("a", 65)}, ""},
		{"openai", []string{"openai-organization", "a", "openai-organization", "b"}, ""},
		{"openai", []string{"openai-organization", "acme", "openai-project", "a b"}, "acme"},
		{"anthropic", []string{"anthropic-organization-id", "0a1b2c3d-0000-4000-8000-000000000000"}, "0a1b2c3d-0000-4000-8000-000000000000"},
		{"generic", []string{"openai-organization", "the-gateways-own"}, ""},
		{"aimlapi", []string{"openai-organization", "the-gateways-own"}, ""},
	} {
		h := http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			h.Add(c.headers[i], c.headers[i+1])
		}
		p, _ := Lookup(c.provider)
		if got := p.AccountOf(h); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.provider, c.headers, got, c.want)
		}
	}
}

package provider

import (
	"net/http"
	"slices"
	"testing"
)

func TestClientsTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, header, query string
		tokens              []string
		sent                string
	}{
		{"none", "", "a=%2Fb&c", nil, "a=%2Fb&c"},
		{"names that only sound like it", "", "page_token=1&token=2&monkey=3&keys=4", nil, "page_token=1&token=2&monkey=3&keys=4"},
		{"Gemini's", "X-Goog-Api-Key", "key=t&a=%2Fb&key=t", []string{"t", "t", "t"}, "a=%2Fb"},
		{"GitHub's", "Authorization", "a=1&access_token=t", []string{"t", "t"}, "a=1"},
		{"other spellings", "Anthropic-Api-Key", "api_key=t&apikey=t&API-Key=t&b", []string{"t", "t", "t", "t"}, "b"},
		{"encoded", "X-Auth-Token", "%6Bey=t&api%5Fkey=t", []string{"t", "t", "t"}, ""},
		{"a cookie is no token", "Cookie", "key=", nil, ""},
	} {
		h := http.Header{"X-Custom": {"stays"}}
		if c.header != "" {
			h[c.header] = []string{"t"}
		}
		if got := ClientTokens(h, c.query); !slices.Equal(got, c.tokens) {
			t.Errorf("%s: tokens %q, want %q", c.name, got, c.tokens)
		}
		p, _ := Lookup("openai")
		if p.Strip(h); len(h) != 1 {
			t.Errorf("%s: upstream would see %v", c.name, h)
		}
		if got := StripQuery(c.query); got != c.sent {
			t.Errorf("%s: upstream would see %q, want %q", c.name, got, c.sent)
		}
	}
}

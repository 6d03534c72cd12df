package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"keywheel/engine/provider"
)

// slug makes the name of a service of a model's: "openai/deepseek-ai/V3" is
// "openai-deepseek-ai-v3". Without a model it is "default".
func slug(model string) string {
	if model == "" {
		return "default"
	}
	var b strings.Builder
	for _, r := range strings.ToLower(model) {
		if r > '~' || !serviceByte(byte(r)) {
			r = '-'
		}
		if r != '-' || !strings.HasSuffix(b.String(), "-") {
			b.WriteRune(r)
		}
	}
	name := strings.Trim(b.String(), "-._")
	name = strings.TrimRight(name[:min(len(name), maxSlug)], "-._")
	switch {
	case name == "":
		return "model"
	case slices.Contains(reserved, name):
		return "model-" + name
	default:
		return name
	}
}

// maxSlug leaves room in a name for what makes it unique.
const maxSlug = 48

func serviceByte(c byte) bool { return bareByte(c) || c == '.' }

// unique adds a number, from 2 up, to a name that is taken.
func unique(name string, taken func(string) bool) string {
	free := name
	for n := 2; taken(free); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

// withoutPrefix is what a model is called upstream: "openai/" before a name,
// or that of the provider itself, says only how to speak to it. OpenRouter's
// own names all begin with a maker's.
func withoutPrefix(model, kind string) string {
	prefix, rest, found := strings.Cut(model, "/")
	if !found || rest == "" || prefix != "openai" && prefix != kind || kind == "openrouter" && !strings.Contains(rest, "/") {
		return model
	}
	return rest
}

// families are the names that models of one maker begin with.
var families = []struct{ prefix, kind string }{
	{"gpt-", "openai"}, {"chatgpt-", "openai"}, {"o1", "openai"}, {"o3", "openai"}, {"o4", "openai"},
	{"claude-", "anthropic"}, {"gemini-", "gemini"}, {"deepseek-", "deepseek"}, {"glm-", "zhipu"}, {"grok-", "xai"},
}

// familyOf is the provider a model belongs to by its name; "" if it does not say.
func familyOf(model string) string {
	prefix, rest, found := strings.Cut(model, "/")
	if found && prefix == "openai" {
		return familyOf(rest)
	}
	if found {
		if p, ok := provider.Lookup(prefix); ok {
			return p.Name
		}
		return ""
	}
	for _, f := range families {
		if strings.HasPrefix(strings.ToLower(model), f.prefix) {
			return f.kind
		}
	}
	return ""
}

// hostOf is a URL's host, with its port if it has one.
func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

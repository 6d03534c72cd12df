package proxy

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"keywheel/engine/provider"
)

// called are what models are called upstream, by what clients may call them.
type called struct {
	exact map[string]string
	// folded has the names in small letters, for clients that write them so, and
	// the service's own name, which is its first model.
	folded map[string]string
}

func callings(service string, models []string, aliases map[string]string) called {
	c := called{map[string]string{}, map[string]string{}}
	for _, m := range models {
		c.exact[m] = m
	}
	for asked, name := range aliases {
		c.exact[asked] = name
	}
	for _, asked := range slices.Sorted(maps.Keys(c.exact)) {
		for _, name := range []string{asked, c.exact[asked]} {
			if fold := strings.ToLower(name); c.folded[fold] == "" {
				c.folded[fold] = c.exact[asked]
			}
		}
	}
	if len(models) > 0 && c.folded[service] == "" {
		c.folded[service] = c.exact[models[0]]
	}
	return c
}

// upstream is what a model asked for is called there: mostly the same.
func (c called) upstream(asked string) string {
	if name, ok := c.exact[asked]; ok {
		return name
	}
	if name, ok := c.folded[strings.ToLower(asked)]; ok {
		return name
	}
	return asked
}

// rewrite calls the model what it is called upstream, and adds the service's
// defaults to a JSON body where it says nothing of them. Whatever the client
// says stands: 0, false and null too.
func (v *visit) rewrite() {
	asked, inPath := v.top.model, provider.PathModel(v.path)
	v.top.model = v.service.called.upstream(asked)
	renamed := v.top.model != asked && asked != ""
	if renamed && inPath == asked {
		for _, mark := range []string{"/models/", "/deployments/"} {
			v.path = strings.Replace(v.path, mark+asked, mark+url.PathEscape(v.top.model), 1)
		}
	}
	text, ok := v.body.object()
	if !ok {
		return
	}
	changed := false
	set := func(path string, value any) {
		if t, err := sjson.SetBytes(text, path, value); err == nil {
			text, changed = t, true
		}
	}
	if renamed && inPath == "" {
		set("model", v.top.model)
	}
	for name, value := range v.service.Defaults {
		if path := gjson.Escape(name); !gjson.GetBytes(text, path).Exists() && fits(name, v.r.Method, v.path) {
			set(path, value)
		}
	}
	if changed {
		v.body.replace(text)
	}
}

// object is the body if it is, as far as its first sign tells, a JSON object
// that is whole and in memory.
func (b *body) object() ([]byte, bool) {
	start := skipSpace(b.mem, 0)
	return b.mem, b.rest == nil && b.file == nil && start < len(b.mem) && b.mem[start] == '{'
}

// sampling are the fields that say how a text is made. Requests that make none
// are refused with them.
var sampling = []string{"temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "max_tokens", "max_completion_tokens", "stop", "seed"}

// fits reports whether a default belongs in a request: one that says how a text
// is made, only where one is, and at the top of its body.
func fits(name, method, path string) bool {
	if !slices.Contains(sampling, name) {
		return true
	}
	switch scope, answered := provider.Describe(method, path); scope {
	case "chat": // but neither batches nor counting, nor Gemini, which has them further down
		return answered && !strings.HasSuffix(path, "/count_tokens") && !strings.Contains(path, ":")
	case "":
		return !answered // a path that is not known, and no moderation
	default:
		return false
	}
}

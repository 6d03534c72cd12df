package proxy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"keywheel/engine"
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

// field is one that a body gets: its name, and all of it as JSON.
type field struct {
	name string
	text []byte
}

// tellUsage asks a stream for its usage.
var tellUsage = field{"stream_options", []byte(`"stream_options":{"include_usage":true}`)}

// fieldsOf are the defaults of a service.
func fieldsOf(s *engine.Service) (fields []field, err error) {
	for _, name := range slices.Sorted(maps.Keys(s.Defaults)) {
		text, err := json.Marshal(map[string]any{name: s.Defaults[name]})
		if err != nil {
			return nil, fmt.Errorf("service %s: defaults: %s cannot stand in a body: %w", s.Name, name, err)
		}
		fields = append(fields, field{name, text[1 : len(text)-1]})
	}
	return fields, nil
}

// rewrite calls the model what it is called upstream, and adds to a JSON body
// the service's defaults, where it says nothing of them, and on demand that its
// usage is told. Whatever the client says stands: 0, false and null too.
func (v *visit) rewrite(usage bool) {
	asked, inPath := v.top.model, provider.PathModel(v.path)
	v.top.model = v.service.called.upstream(asked)
	renamed := v.top.model != asked && asked != ""
	if renamed && inPath == asked {
		for _, mark := range []string{"/models/", "/deployments/"} {
			v.path = strings.Replace(v.path, mark+asked, mark+url.PathEscape(v.top.model), 1)
		}
	}
	if !v.top.whole {
		return
	}
	if renamed && inPath == "" {
		name, _ := json.Marshal(v.top.model)
		v.body.edit(v.top.modelAt, v.top.modelEnd, name)
	}
	missing := v.unsaid()
	if usage {
		missing = append(missing, tellUsage)
	}
	var text []byte
	for i, f := range missing {
		if i > 0 || v.top.fields {
			text = append(text, ',')
		}
		text = append(text, f.text...)
	}
	if text != nil {
		v.body.edit(v.top.end, v.top.end, text)
	}
}

// unsaid are the defaults that belong in the request and that its body says
// nothing of.
func (v *visit) unsaid() (fields []field) {
	for _, f := range v.service.defaults {
		if fits(f.name, v.r.Method, v.path) {
			fields = append(fields, f)
		}
	}
	if fields == nil {
		return nil
	}
	s := v.body.scan()
	defer s.close()
	for s.next() {
		fields = slices.DeleteFunc(fields, func(f field) bool { return f.name == string(s.name()) })
	}
	if !s.whole { // the file could not be read again
		return nil
	}
	return fields
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

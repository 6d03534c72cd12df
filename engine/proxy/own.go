package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// turnAway answers a request that does not come in.
func (p *Proxy) turnAway(v *visit, ref *refusal) {
	p.refused.Add(1)
	ref.message = v.table.hide(ref.message)
	v.table.o.Log(Refused{From: provider.Clean(v.r.RemoteAddr, 60), Method: provider.Clean(v.r.Method, 20), Path: provider.Clean(v.table.hide(v.r.URL.Path), 120), Why: ref.message, Status: ref.status})
	var pr *provider.Provider
	if v.service != nil {
		pr = v.service.provider
	}
	v.sign(0, "")
	ref.write(v.w, dialectOf(v.r.URL.Path, pr))
}

// hide takes out of a path, or of words about one, what a client should have
// shown elsewhere: the tokens of services, and what looks like a key.
func (t *table) hide(text string) string {
	for _, s := range t.services {
		text = s.shown(text)
	}
	return hideToken(text)
}

// shown is a path as it may be noted.
func (s *served) shown(path string) string {
	if !s.Token.Empty() {
		path = strings.ReplaceAll(path, s.Token.Reveal(), "****")
	}
	return secret.Hide(path)
}

// noService refuses a path that leads to no service, and lists those there are.
func (t *table) noService(path string) *refusal {
	name, _, _ := strings.Cut(strings.TrimPrefix(hideToken(path), "/"), "/")
	return &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "keywheel_no_service", final: true,
		message: fmt.Sprintf("there is no service %q here. %s", provider.Clean(name, 60), t.listing())}
}

func (t *table) listing() string {
	if len(t.names) == 0 {
		return "No service is configured."
	}
	return "The services are: /" + strings.Join(t.names, ", /") + "."
}

// healthz answers whether every required service can serve.
func (p *Proxy) healthz(w http.ResponseWriter) {
	status, down := http.StatusOK, []string{}
	for _, s := range p.engine.Snapshot().Services {
		if s.Health == engine.HealthDown && !s.Planned {
			down = append(down, s.Name)
			if s.Required {
				status = http.StatusServiceUnavailable
			}
		}
	}
	text, _ := json.Marshal(map[string]any{"ok": status == http.StatusOK, "down": down})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// models answers the root's GET /v1/models with the models that are routed.
func (p *Proxy) models(v *visit) {
	w, t := v.w, v.table
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	list := []model{}
	for _, name := range t.names {
		for _, m := range t.services[name].Models {
			list = append(list, model{m, "model", p.started.Unix(), name})
		}
	}
	text, _ := json.Marshal(map[string]any{"object": "list", "data": list})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// turnAway answers a request that does not come in.
func (p *Proxy) turnAway(v *visit, ref *refusal) {
	p.refused.Add(1)
	v.table.o.Log(Refused{From: provider.Clean(v.r.RemoteAddr, 60), Method: provider.Clean(v.r.Method, 20), Path: provider.Clean(hideToken(v.r.URL.Path), 120), Why: ref.message, Status: ref.status})
	var pr *provider.Provider
	if v.service != nil {
		pr = v.service.provider
	}
	v.sign(0, "")
	ref.write(v.w, dialectOf(v.r.URL.Path, pr))
}

// noService refuses a path that leads to no service, and lists those there are.
func (t *table) noService(path string) *refusal {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
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

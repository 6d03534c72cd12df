// Package client says what a client of a service has to be set to: its
// variables, and where it runs in a container all that has to fit together with
// them.
package client

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// DockerHost is the name that a container calls its machine by.
const DockerHost = "host.docker.internal"

// Settings are what a client of a service needs. It is the JSON form.
type Settings struct {
	Version   int        `json:"version"`
	From      string     `json:"from"`
	Service   string     `json:"service"`
	BaseURL   string     `json:"base_url"`
	Variables []Variable `json:"variables"`
	Notes     []string   `json:"notes"`
	// For a client in a container: what keywheel.toml needs to say, what the
	// client's docker-compose.yml does, and LibreChat's librechat.yaml.
	TOML      string `json:"toml,omitempty"`
	Compose   string `json:"compose,omitempty"`
	LibreChat string `json:"librechat_yaml,omitempty"`
}

// Variable is one to set. Of a token it has the reference, never the value.
type Variable struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	TokenRef string `json:"token_ref"`
}

// Line is the variable as a shell reads it, or as an env file has it.
func (v Variable) Line(envFile bool) string {
	export, value := "export ", v.Value
	if envFile {
		export = ""
	}
	if v.TokenRef != "" {
		name, inEnv := strings.CutPrefix(v.TokenRef, "env:")
		if !inEnv {
			return fmt.Sprintf("# %s: what %s holds", v.Name, v.TokenRef)
		}
		value = "${" + name + "}"
		if !envFile {
			value = `"` + value + `"`
		}
	}
	return export + v.Name + "=" + value
}

// Of are the settings of a service's clients, in a container or on this machine.
func Of(s engine.Snapshot, sv engine.ServiceStatus, docker bool) Settings {
	kind, ok := provider.Lookup(sv.Kind)
	if !ok {
		kind, _ = provider.Lookup("generic")
	}
	names := kind.Dialect.Client()
	host, port, _ := net.SplitHostPort(s.Proxy.Listen)
	e := Settings{Version: 1, Service: sv.Name, Notes: []string{}}
	if sv.Planned {
		e.Notes = append(e.Notes, sv.Name+" is planned: it is not served yet")
	}
	if docker {
		host = DockerHost
		e.Notes = append(e.Notes, missing(s, sv)...)
	} else if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() || host == "" {
		host = "127.0.0.1"
	}
	scheme := "http"
	if s.Proxy.TLS {
		scheme = "https"
	}
	e.BaseURL = scheme + "://" + net.JoinHostPort(host, port) + "/" + sv.Name + names.Path
	token := Variable{Name: names.Token, TokenRef: sv.TokenRef}
	switch {
	case sv.TokenRef != "":
	case docker:
		token.TokenRef = tokenOf(sv)
	default:
		token.Value = "anything"
	}
	e.Variables = []Variable{{Name: names.BaseURL, Value: e.BaseURL}, token}
	if !docker {
		return e
	}
	// What the service's own settings call its key is its token now.
	if name := provider.Variable(sv.Kind); name != "" && name != token.Name {
		token.Name = name
		e.Variables = append(e.Variables, token)
	}
	e.TOML, e.Compose, e.LibreChat = tomlFor(s), composeFor(), libreChat(e.BaseURL, token.Name, sv, kind.Dialect)
	return e
}

// local reports whether only this machine reaches an address.
func local(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// missing says what keeps a container from using the service as things are.
func missing(s engine.Snapshot, sv engine.ServiceStatus) (notes []string) {
	_, port, _ := net.SplitHostPort(s.Proxy.Listen)
	if !slices.Contains(s.Proxy.AllowHosts, DockerHost) {
		notes = append(notes, fmt.Sprintf("keywheel refuses this name until the config says allow_hosts = [%q]", DockerHost))
	}
	if local(s.Proxy.Listen) {
		notes = append(notes, fmt.Sprintf("a container does not reach %s: the config needs listen = \"0.0.0.0:%s\", and a restart", s.Proxy.Listen, port))
	}
	if sv.TokenRef == "" {
		notes = append(notes, "beyond loopback every service needs a token, and "+sv.Name+" has none")
	}
	return notes
}

// tokenOf is where a service's token is read from, or would best be.
func tokenOf(sv engine.ServiceStatus) string {
	if sv.TokenRef != "" {
		return sv.TokenRef
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(sv.Name))
	name += "_TOKEN"
	if provider.OfVariable(name) != "" { // it may hold a provider's key: that is no token for clients
		name = "KEYWHEEL_" + name
	}
	return "env:" + name
}

// tomlFor is what the config has to say so that containers come in: who listens
// beyond loopback wants a token for every service.
func tomlFor(s engine.Snapshot) string {
	_, port, _ := net.SplitHostPort(s.Proxy.Listen)
	listen := s.Proxy.Listen
	if local(listen) {
		listen = "0.0.0.0:" + port
	}
	hosts := slices.Clone(s.Proxy.AllowHosts)
	if !slices.Contains(hosts, DockerHost) {
		hosts = append(hosts, DockerHost)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen      = %q\nallow_hosts = [\"%s\"]\n", listen, strings.Join(hosts, `", "`))
	for _, sv := range s.Services {
		if !sv.Planned {
			fmt.Fprintf(&b, "\n[services.%s]\ntoken = %q\n", TOMLName(sv.Name), tokenOf(sv))
		}
	}
	return b.String()
}

func composeFor() string {
	return "extra_hosts:\n  - \"" + DockerHost + ":host-gateway\"\n"
}

// libreChat is a custom endpoint of LibreChat, "" where the service is nothing
// that chats.
func libreChat(base, variable string, sv engine.ServiceStatus, dialect provider.Dialect) string {
	more, fetch := "", "true"
	switch dialect {
	case provider.DialectOpenAI:
	case provider.DialectAnthropic:
		more, fetch = "      provider: 'anthropic'\n", "false"
	default:
		return ""
	}
	models := sv.Models
	if len(models) == 0 {
		models = []string{"gpt-4o"}
	}
	var quoted []string
	for _, m := range models {
		quoted = append(quoted, yamlText(m))
	}
	return fmt.Sprintf("endpoints:\n  custom:\n    - name: %s\n      apiKey: '${%s}'\n      baseURL: %s\n%s      models: { default: [%s], fetch: %s }\n",
		yamlText(sv.Name+" via keywheel"), variable, yamlText(base), more, strings.Join(quoted, ", "), fetch)
}

func yamlText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// TOMLName is a name as a key of TOML has it.
func TOMLName(name string) string {
	for _, r := range name {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}

// A Part is one of the texts that have to fit together, with where it belongs.
type Part struct{ Name, Where, Text string }

// Parts are the texts for a client in a container, in the order they are needed.
func (e Settings) Parts() []Part {
	var lines strings.Builder
	for _, v := range e.Variables {
		lines.WriteString(v.Line(true) + "\n")
	}
	list := []Part{
		{"toml", "keywheel.toml: the first lines at its top, each token into the table that is there", e.TOML},
		{"variables", "the client's variables: its .env, or on Zeabur the service, Variables, Edit Raw Variables", lines.String()},
		{"compose", "docker-compose.yml, at the client", e.Compose},
		{"librechat", "librechat.yaml, if the client is LibreChat", e.LibreChat},
	}
	return slices.DeleteFunc(list, func(p Part) bool { return p.Text == "" })
}

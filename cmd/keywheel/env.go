package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// dockerHost is the name that a container calls its machine by.
const dockerHost = "host.docker.internal"

func envCommand(f *flags) *cobra.Command {
	var asJSON, docker bool
	c := &cobra.Command{
		Use:   "env SERVICE",
		Short: "What to set in a service's client: its base URL, and where its token comes from",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, from, err := f.look(c.Context())
			if err != nil {
				return err
			}
			sv := serviceOf(s, args[0])
			if sv == nil {
				return unknownService(s, args[0], from)
			}
			e := clientEnv(s.Proxy, *sv, docker)
			e.From = from
			if asJSON {
				return printJSON(e)
			}
			tellFrom(from)
			for _, note := range e.Notes {
				fmt.Fprintln(os.Stderr, "note:", note)
			}
			for _, v := range e.Variables {
				fmt.Println(v.line(docker))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&docker, "docker", false, "for a client in a container: as lines of an env file, through "+dockerHost)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, stable and versioned")
	return c
}

func unknownService(s engine.Snapshot, name, from string) error {
	var names []string
	for _, sv := range s.Services {
		names = append(names, sv.Name)
	}
	return fmt.Errorf("%s has no service %q; there are: %s", from, name, strings.Join(names, ", "))
}

// clientSettings are what a client of a service needs. It is the JSON form.
type clientSettings struct {
	Version   int        `json:"version"`
	From      string     `json:"from"`
	Service   string     `json:"service"`
	BaseURL   string     `json:"base_url"`
	Variables []variable `json:"variables"`
	Notes     []string   `json:"notes"`
}

// variable is one to set. Of a token it has the reference, never the value.
type variable struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	TokenRef string `json:"token_ref"`
}

// line is the variable as a shell reads it, or as an env file has it.
func (v variable) line(envFile bool) string {
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

func clientEnv(p engine.ProxyStatus, sv engine.ServiceStatus, docker bool) clientSettings {
	kind, ok := provider.Lookup(sv.Kind)
	if !ok {
		kind, _ = provider.Lookup("generic")
	}
	client := kind.Dialect.Client()
	host, port, _ := net.SplitHostPort(p.Listen)
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	e := clientSettings{Version: 1, Service: sv.Name, Notes: []string{}}
	if sv.Planned {
		e.Notes = append(e.Notes, sv.Name+" is planned: it is not served yet")
	}
	switch {
	case docker:
		host = dockerHost
		if !slices.Contains(p.AllowHosts, dockerHost) {
			e.Notes = append(e.Notes, fmt.Sprintf("keywheel refuses this name until the config says allow_hosts = [%q]", dockerHost))
		}
		if local {
			e.Notes = append(e.Notes, fmt.Sprintf("a container does not reach %s: the config needs listen = \"0.0.0.0:%s\"", p.Listen, port))
		}
		if sv.TokenRef == "" {
			e.Notes = append(e.Notes, "beyond loopback every service needs a token, and "+sv.Name+" has none")
		}
	case ip != nil && ip.IsUnspecified(), host == "":
		host = "127.0.0.1"
	}
	scheme := "http"
	if p.TLS {
		scheme = "https"
	}
	e.BaseURL = scheme + "://" + net.JoinHostPort(host, port) + "/" + sv.Name + client.Path
	token := variable{Name: client.Token, TokenRef: sv.TokenRef}
	if sv.TokenRef == "" {
		token.Value = "anything"
	}
	e.Variables = []variable{{Name: client.BaseURL, Value: e.BaseURL}, token}
	return e
}

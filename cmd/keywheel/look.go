package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/node"
)

// look is what the running instance shows, the one on --config where that names
// a file; where none runs, what the configuration says. from tells which.
func (f *flags) look(ctx context.Context) (s engine.Snapshot, from string, err error) {
	client, err := f.client()
	if err == nil {
		s, err = client.Snapshot(ctx)
	}
	switch {
	case err == nil:
		return s, "the running keywheel on " + client.Socket(), nil
	case !f.nothingRuns(err):
		return s, "", err
	}
	cfg, err := config.Load(config.Options{Path: f.config, Listen: f.listen, ToLookAt: true})
	if err != nil {
		return s, "", err
	}
	from = "the environment"
	if cfg.Path != "" {
		from = cfg.Path
	}
	s, err = node.Look(cfg)
	return s, from, err
}

// keyOf finds a key by name.
func keyOf(s engine.Snapshot, name string) *engine.KeyStatus {
	for i := range s.Keys {
		if s.Keys[i].Name == name {
			return &s.Keys[i]
		}
	}
	return nil
}

// serviceOf finds a service by name.
func serviceOf(s engine.Snapshot, name string) *engine.ServiceStatus {
	for i := range s.Services {
		if s.Services[i].Name == name {
			return &s.Services[i]
		}
	}
	return nil
}

// jsonFlag is the flag of a verb that has a JSON form.
func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "as JSON, stable and versioned")
}

// columns aligns what is written with tabs between, once it is flushed.
func columns(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// printJSON prints a verb's JSON form.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// tellFrom says on stderr where the data came from.
func tellFrom(from string) { fmt.Fprintln(os.Stderr, "keywheel: from", from) }

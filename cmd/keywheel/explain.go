package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/proxy"
)

func explainCommand() *cobra.Command {
	var name, method, path, model string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain --provider P",
		Short: "What a response (as `curl -i` prints it, on stdin) says of its key, and why",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, ok := provider.Lookup(name)
			if !ok {
				return usageError{fmt.Errorf("there is no provider %q: %s", name, strings.Join(provider.Names(), ", "))}
			}
			a, err := provider.ParseHTTP(os.Stdin)
			if err != nil {
				return err
			}
			a.Method, a.Path, a.Model = method, path, model
			x := p.Explain(a)
			if asJSON {
				return printJSON(x)
			}
			text, err := json.Marshal(x)
			if err != nil {
				return err
			}
			return printExplanation(text)
		},
	}
	c.Flags().StringVar(&name, "provider", "", "whose answer it is: "+strings.Join(provider.Names(), ", "))
	c.Flags().StringVar(&method, "method", "POST", "how it was asked")
	c.Flags().StringVar(&path, "path", "", "what was asked")
	c.Flags().StringVar(&model, "model", "", "the model that was asked for")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	_ = c.MarkFlagRequired("provider")
	return c
}

// printExplanation prints the JSON form's fields a line each, what is null left
// out.
func printExplanation(text []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, name := range []string{"verdict", "scope", "model", "retry_after_ms", "until", "limit", "code", "message", "rule", "evidence"} {
		switch v := fields[name].(type) {
		case nil:
		case string:
			if v != "" {
				fmt.Fprintf(t, "%s\t%s\n", name, v)
			}
		case float64:
			fmt.Fprintf(t, "%s\t%.0f\n", name, v)
		default:
			text, err := json.Marshal(v)
			if err != nil {
				return err
			}
			fmt.Fprintf(t, "%s\t%s\n", name, text)
		}
	}
	return t.Flush()
}

func testCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "test [KEY...]",
		Short: "The provider's free test call for every key, or for those named; exit code 3 if one is not well",
		RunE: func(c *cobra.Command, names []string) error {
			cfg, err := f.load()
			if err != nil {
				return err
			}
			e, err := engine.New(cfg.Engine)
			if err != nil {
				return err
			}
			p, err := proxy.New(e, proxy.Options{Services: cfg.Engine.Services, Keys: cfg.Engine.Keys, Dial: cfg.DialTimeout})
			if err != nil {
				return err
			}
			var keys []engine.Key
			for _, k := range cfg.Engine.Keys {
				if len(names) == 0 || slices.Contains(names, k.Name) {
					keys = append(keys, k)
				}
			}
			for _, n := range names {
				if keyOf(e.Snapshot(), n) == nil {
					return &engine.NotFoundError{What: "key", Name: n}
				}
			}
			return testKeys(c.Context(), p, keys)
		},
	}
}

// testKeys asks for all keys at once, eight at a time, and prints a table.
func testKeys(ctx context.Context, p *proxy.Proxy, keys []engine.Key) error {
	rows, well := make([]string, len(keys)), make([]bool, len(keys))
	places := make(chan struct{}, 8)
	var running sync.WaitGroup
	for i, k := range keys {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if k.Missing != "" {
				rows[i] = fmt.Sprintf("%s\t%s\tmissing\t\t%s", k.Name, k.Provider, k.Missing)
				return
			}
			ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			begun := time.Now()
			v, ok := p.Probe(ctx, k.Name)
			took := time.Since(begun).Round(time.Millisecond)
			switch {
			case !ok:
				rows[i], well[i] = fmt.Sprintf("%s\t%s\tuntested\t\tthis provider has no free test call", k.Name, k.Provider), true
			default:
				well[i] = v.Kind == engine.OK
				rows[i] = fmt.Sprintf("%s\t%s\t%s\t%s\t%s", k.Name, k.Provider, v.Kind.Words(), took, strings.TrimSpace(fmt.Sprintf("%d %s", v.Evidence.Status, v.Evidence.Message)))
			}
		})
	}
	running.Wait()
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tPROVIDER\tSAYS\tTOOK\tANSWER")
	all := true
	for i, row := range rows {
		fmt.Fprintln(t, row)
		all = all && well[i]
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !all {
		return exit(exitPerson)
	}
	return nil
}

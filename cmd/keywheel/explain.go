package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keywheel/engine/provider"
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
	t := columns(os.Stdout)
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

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/node"
)

func testCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "test [KEY...]",
		Short: "The provider's free test call for every key, or for those named; exit code 3 if one is not well",
		RunE: func(c *cobra.Command, names []string) error {
			var list []engine.KeyTest
			if err := f.test(c.Context(), names, func(t engine.KeyTest) { list = append(list, t) }); err != nil {
				return err
			}
			return printTests(list)
		},
	}
}

// test has the running instance test keys, so that it learns from it; where none
// runs, it is done here.
func (f *flags) test(ctx context.Context, names []string, tell func(engine.KeyTest)) error {
	client, err := f.client()
	if err == nil {
		err = client.Test(ctx, names, "", tell)
	}
	if err == nil || !f.nothingRuns(err) {
		return err
	}
	cfg, err := f.load()
	if err != nil {
		return err
	}
	return node.Test(ctx, cfg, names, tell)
}

// printTests prints a table of what was said.
func printTests(list []engine.KeyTest) error {
	slices.SortFunc(list, func(a, b engine.KeyTest) int { return strings.Compare(a.Key, b.Key) })
	t := columns(os.Stdout)
	fmt.Fprintln(t, "KEY\tPROVIDER\tSAYS\tTOOK\tANSWER")
	well := true
	for _, k := range list {
		switch {
		case k.Missing:
			fmt.Fprintf(t, "%s\t%s\tmissing\t\t%s\n", k.Key, k.Provider, k.Untested)
			well = false
		case k.Untested != "":
			fmt.Fprintf(t, "%s\t%s\tuntested\t\t%s\n", k.Key, k.Provider, k.Untested)
		default:
			well = well && k.Well()
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Key, k.Provider, k.Verdict.Words(), time.Duration(k.TookMS)*time.Millisecond,
				strings.TrimSpace(fmt.Sprintf("%d %s", k.Status, k.Message)))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !well {
		return exit(exitPerson)
	}
	return nil
}

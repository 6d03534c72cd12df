package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
)

// completeTime is how long a shell may wait for names.
const completeTime = 500 * time.Millisecond

// completeNames makes the shell complete the names of keys and services, those
// of the running instance, where a command's usage line has KEY or SERVICE.
func completeNames(f *flags, c *cobra.Command) {
	if c.ValidArgsFunction == nil {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			words := strings.Fields(c.Use)[1:]
			var what string
			switch {
			case len(args) < len(words):
				what = words[len(args)]
			case len(words) > 0 && strings.Contains(words[len(words)-1], "..."):
				what = words[len(words)-1]
			}
			if strings.Contains(what, "FILE") {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return f.names(c.Context(), what, args), cobra.ShellCompDirectiveNoFileComp
		}
	}
	if c.Flags().Lookup("to") != nil {
		_ = c.RegisterFlagCompletionFunc("to", func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return f.names(c.Context(), "KEY", args), cobra.ShellCompDirectiveNoFileComp
		})
	}
}

// names are those that fit a word of a usage line, each with what it is. Keys
// behind a service are its own.
func (f *flags) names(ctx context.Context, what string, before []string) (list []string) {
	client, err := f.client()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	s, err := client.Snapshot(ctx)
	if err != nil {
		return nil
	}
	var of *engine.ServiceStatus
	if len(before) > 0 {
		of = serviceOf(s, before[0])
	}
	if strings.Contains(what, "KEY") {
		for _, k := range s.Keys {
			if !slices.Contains(before, k.Name) && (of == nil || slices.Contains(of.Keys, k.Name) || slices.Contains(of.Fallback, k.Name)) {
				list = append(list, k.Name+"\t"+k.State.String()+" "+k.Provider+" key")
			}
		}
	}
	if strings.Contains(what, "SERVICE") {
		for _, sv := range s.Services {
			list = append(list, sv.Name+"\tservice, "+sv.Health)
		}
	}
	return list
}

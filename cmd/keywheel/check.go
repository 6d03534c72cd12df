package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"keywheel/engine/config"
)

func checkCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Is the config right, can every key be read; exit code 3 if something needs a person",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(config.Options{Path: f.config, Listen: f.listen})
			var wrong config.Errors
			if err != nil && !errors.As(err, &wrong) {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintln(os.Stderr, "warning:", w)
			}
			if err != nil {
				return err
			}
			for _, s := range cfg.Sources {
				fmt.Println(s)
			}
			printValues(os.Stdout, cfg.Values)
			for _, n := range cfg.Notes {
				fmt.Println("note:", n)
			}
			missing := 0
			for _, k := range cfg.Engine.Keys {
				if k.Missing != "" {
					missing++
				}
			}
			fmt.Printf("%d services, %d keys, %d of them missing, listen on %s\n", len(cfg.Engine.Services), len(cfg.Engine.Keys), missing, cfg.Listen)
			if missing > 0 || len(cfg.Warnings) > 0 {
				return exit(exitPerson)
			}
			return nil
		},
	}
}

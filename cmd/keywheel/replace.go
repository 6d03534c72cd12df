package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"keywheel/engine/secret"
)

func replaceCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "replace KEY",
		Short: "Give a leaked or old key a new secret: it is read from stdin, tested, put in force, and the old one drained",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := f.client()
			if err != nil {
				return err
			}
			if s, err := client.Snapshot(c.Context()); err != nil {
				return err
			} else if keyOf(s, args[0]) == nil {
				return fmt.Errorf("there is no key %q", args[0])
			}
			text, err := readSecret(os.Stdin, "keywheel replace "+args[0])
			if err != nil {
				return err
			}
			return client.Replace(c.Context(), args[0], secret.New(text), "", func(step string) { fmt.Println(step) })
		},
	}
}

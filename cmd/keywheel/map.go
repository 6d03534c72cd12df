package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keywheel/engine/keymap"
)

func mapCommand(f *flags) *cobra.Command {
	o := keymap.Options{}
	c := &cobra.Command{
		Use:   "map",
		Short: "The key mapping table: which service uses which key, what for, and how it is",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			s, from, err := f.look(c.Context())
			if err != nil {
				return err
			}
			tellFrom(from)
			return keymap.Of(s, from).Write(os.Stdout, o)
		},
	}
	c.Flags().StringVar(&o.Format, "format", keymap.Formats[0], strings.Join(keymap.Formats, ", "))
	c.Flags().StringVar(&o.Lang, "lang", keymap.Languages[0], strings.Join(keymap.Languages, ", "))
	c.Flags().BoolVar(&o.Wide, "wide", false, "with whether it is required, tier, provider, account, fingerprint, scopes, and where the secret is")
	return c
}

package main

import (
	"github.com/spf13/cobra"

	"keywheel/engine/control"
	"keywheel/tui"
)

func attachCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "attach",
		Short: "The monitor, on a running keywheel; quitting it changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := needTerminal("`keywheel status`"); err != nil {
				return err
			}
			client, err := f.client()
			if err != nil {
				return err
			}
			m, err := control.NewMirror(c.Context(), client)
			if err != nil {
				return err
			}
			defer m.Close()
			return tui.Run(c.Context(), m, tui.Options{})
		},
	}
}

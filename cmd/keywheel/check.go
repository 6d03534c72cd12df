package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"keywheel/engine/checkup"
	"keywheel/engine/config"
)

func checkCommand(f *flags) *cobra.Command {
	var live, asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Is the config right, is every key good for what it is for, why a 401; exit code 3 if something needs a person",
		Long: `Check looks at every key and every service of the config, and at what is known
of them: from the keywheel that runs on it, else from its journal. Of each key:
can it be read, does it look like a key of its provider, is it active, may it do
what its services need, what quota is left, who shares its account, does it
expire soon. Of each service: can it serve, what does it share with others. Then
advice, and of every setting which source won it. --live asks the providers too, by calls that are free.

Exit code 2: the config is wrong. 3: a key or a service needs a person.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Options{Path: f.config, Listen: f.listen, ToLookAt: true})
			if err != nil {
				var wrong config.Errors
				if errors.As(err, &wrong) {
					for _, w := range cfg.Warnings {
						fmt.Fprintln(os.Stderr, "warning:", w)
					}
				}
				return err
			}
			seen, err := f.seen(c.Context(), cfg)
			if err == nil && live {
				fmt.Fprintln(os.Stderr, "keywheel: asking the providers, by calls that cost nothing")
				seen.Told, err = checkup.Ask(c.Context(), cfg)
			}
			if err != nil {
				return err
			}
			r := checkup.Of(cfg, seen)
			if asJSON {
				err = printJSON(r)
			} else {
				width, _, _ := term.GetSize(os.Stdout.Fd()) // 0 where it is none
				err = r.Write(os.Stdout, width)
				printValues(os.Stdout, r.Values)
			}
			if err == nil && r.Mark == checkup.Act {
				err = exit(exitPerson)
			}
			return err
		},
	}
	c.Flags().BoolVar(&live, "live", false, "ask the providers too, by their free test calls: nothing is spent")
	jsonFlag(c, &asJSON)
	return c
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/client"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

func migrateCommand(f *flags) *cobra.Command {
	var key string
	var lasts ago
	var requests int
	var back bool
	c := &cobra.Command{
		Use:   "migrate SERVICE",
		Short: "Move a service to another key: test it, switch, verify with live traffic, or roll back",
		Long: `Moves a service from the key that it shares to one of its own, in three steps:
the new key is tested for what the service needs, it serves the service while
the old keys stand by behind it, and when it has served real requests the move
is final. If it fails, all is as before. No client notices, and none restarts.

--key names a key of the config, or a new one: its secret is then read from
stdin, and not shown where it is typed.`,
		Example: `  keywheel migrate video-proxy --key video-2             # a key of the config
  keywheel migrate video-proxy --key video-2 < new-key   # a new one
  keywheel migrate video-proxy --back                    # as the config says`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (key == "") == !back {
				return usageError{errors.New("say --key NEW, or --back to go back to the keys of the config")}
			}
			running, err := f.client()
			if err != nil {
				return err
			}
			s, err := running.Snapshot(c.Context())
			if err != nil {
				return err
			}
			sv := serviceOf(s, args[0])
			if sv == nil {
				return unknownService(s, args[0], "the running keywheel")
			}
			if back {
				r, err := running.Do(c.Context(), engine.Action{Verb: engine.VerbMigrate, Service: sv.Name})
				if err == nil {
					fmt.Println(r.Text)
				}
				return err
			}
			var fresh secret.Secret
			if keyOf(s, key) == nil {
				if secret.LooksSecret(key) {
					return usageError{errors.New("--key wants a name; what stands there looks like the key itself: its secret goes to stdin")}
				}
				if page := provider.KeyPage(sv.Kind); page != "" {
					fmt.Fprintf(os.Stderr, "There is no key %s yet. Make one at %s, and see that its permissions and quota suffice.\n", key, page)
				}
				text, err := readSecret(os.Stdin, "keywheel migrate "+sv.Name+" --key "+key)
				if err != nil {
					return err
				}
				fresh = secret.New(text)
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt) // ctrl+c rolls back
			defer stop()
			m := engine.Migration{Service: sv.Name, Key: key, For: time.Duration(lasts), Requests: requests}
			if err := running.Migrate(ctx, m, fresh, "", func(step string) { fmt.Println(step) }); err != nil {
				if ctx.Err() != nil {
					return fmt.Errorf("given up: %s has its old keys", sv.Name)
				}
				return err
			}
			tellPasting(s, *sv, key)
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the new key: one of the config, or a new name")
	c.Flags().Var(&lasts, "verify-for", "how long to wait for real requests (default 2m)")
	c.Flags().IntVar(&requests, "requests", 1, "how many of them the new key must have served")
	c.Flags().BoolVar(&back, "back", false, "go back to the keys of the config")
	return c
}

// tellPasting says what makes a move last beyond keywheel: in the config, and
// on the platform that runs the service.
func tellPasting(s engine.Snapshot, sv engine.ServiceStatus, key string) {
	fmt.Printf("\nTo have it in the config too:\n\n[services.%s]\nkeys = [%q]\n", client.TOMLName(sv.Name), key)
	fmt.Printf("\nThe service itself restarts nowhere: it goes on with what `keywheel env %s` prints. On a platform\n"+
		"(Zeabur: the service, Variables, Edit Raw Variables) that is\n\n", sv.Name)
	for _, v := range client.Of(s, sv, true).Variables {
		fmt.Println(v.Line(true))
	}
	if page := provider.KeyPage(sv.Kind); page != "" {
		fmt.Printf("\nUsage of the key as its provider sees it: %s\n", page)
	}
}

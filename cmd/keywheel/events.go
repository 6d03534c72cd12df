package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/control"
)

func eventsCommand(f *flags) *cobra.Command {
	var asJSON, follow bool
	var since time.Duration
	c := &cobra.Command{
		Use:   "events",
		Short: "What happened and why, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if since < 0 {
				return usageError{fmt.Errorf("--since %s: want a duration such as 90s, 2h or 24h", since)}
			}
			client, err := f.client()
			if err != nil {
				return err
			}
			p := eventPrinter{asJSON: asJSON}
			if since > 0 {
				p.from = time.Now().Add(-since)
			}
			list, err := client.Events(c.Context(), 0)
			if err != nil {
				return err
			}
			after := uint64(0)
			for _, ev := range list {
				after = ev.Seq
				if err := p.print(ev); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return client.Follow(c.Context(), after, func(n control.News) error {
				if n.Event == nil {
					fmt.Fprintln(os.Stderr, "keywheel:", n.Gap)
					return nil
				}
				return p.print(*n.Event)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	c.Flags().BoolVar(&follow, "follow", false, "go on as things happen")
	c.Flags().DurationVar(&since, "since", 0, "only what happened in the last 90s, 2h, 24h (default: all that is remembered)")
	return c
}

// eventPrinter prints events to stdout, one a line.
type eventPrinter struct {
	asJSON bool
	from   time.Time
}

func (p eventPrinter) print(ev engine.Event) error {
	if ev.At.Before(p.from) {
		return nil
	}
	if p.asJSON {
		return json.NewEncoder(os.Stdout).Encode(ev)
	}
	subject := ev.Service
	if subject == "" {
		subject = ev.Key
	}
	_, err := fmt.Printf("%s  %-12s  %-16s  %s  (by %s)\n", ev.At.Local().Format(time.DateTime), ev.Kind, subject, ev.Text, ev.By)
	return err
}

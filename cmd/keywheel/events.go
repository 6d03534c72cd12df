package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/control"
	"keywheel/engine/journal"
)

func eventsCommand(f *flags) *cobra.Command {
	var asJSON, follow bool
	var since ago
	c := &cobra.Command{
		Use:   "events",
		Short: "What happened and why, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p := eventPrinter{asJSON: asJSON}
			if since > 0 {
				p.from = time.Now().Add(-time.Duration(since))
			}
			var list []engine.Event
			client, err := f.client()
			if err == nil {
				list, err = client.Events(c.Context(), 0)
			}
			if err != nil && !follow && f.nothingRuns(err) {
				return f.pastEvents(c.Context(), p)
			}
			if err != nil {
				return err
			}
			if since > 0 && len(list) > 0 && list[0].At.After(p.from) {
				if err := f.olderEvents(c.Context(), p, list[0].Seq); err != nil {
					return err
				}
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
	c.Flags().Var(&since, "since", "only what happened in the last 90s, 24h, 7d (default: all that is remembered)")
	return c
}

// maxPast is how many events of a journal are printed where nobody says since
// when: as many as a running keywheel remembers.
const maxPast = 2000

// pastEvents prints what the journal tells.
func (f *flags) pastEvents(ctx context.Context, p eventPrinter) error {
	j, err := f.past(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	last, err := j.Events(ctx, journal.EventQuery{Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	at := time.Time{}
	if len(last) > 0 {
		at = last[0].At
	}
	j.tell(at)
	if !p.from.IsZero() {
		return p.printPast(ctx, j.Reader, math.MaxInt64)
	}
	list, err := j.Events(ctx, journal.EventQuery{Newest: true, Limit: maxPast})
	for _, ev := range slices.Backward(list) {
		if err == nil {
			err = p.print(ev)
		}
	}
	return err
}

// olderEvents prints what the running keywheel has in its journal and does not
// remember any more.
func (f *flags) olderEvents(ctx context.Context, p eventPrinter, before uint64) error {
	j, err := f.past(ctx)
	if err != nil {
		return nil // it keeps none
	}
	defer j.Close()
	return p.printPast(ctx, j.Reader, before)
}

// printPast prints the events of a journal up to a sequence number.
func (p eventPrinter) printPast(ctx context.Context, r *journal.Reader, before uint64) error {
	for after := uint64(0); ; {
		list, err := r.Events(ctx, journal.EventQuery{After: after, Since: p.from})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, ev := range list {
			if after = ev.Seq; after >= before {
				return nil
			}
			if err := p.print(ev); err != nil {
				return err
			}
		}
	}
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

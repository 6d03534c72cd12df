package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/control"
)

func whyCommand(f *flags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "why KEY|SERVICE|REQUEST-ID",
		Short: "What holds a key, why a service changed its key, what a request met",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := f.client()
			if err != nil {
				return err
			}
			s, err := client.Snapshot(c.Context())
			if err != nil {
				return err
			}
			events, err := client.Events(c.Context(), 0)
			if err != nil {
				return err
			}
			w, found := control.FindWhy(args[0], s, events)
			if !found {
				return fmt.Errorf("there is no key and no service %q, and no request of that id that changed anything or is still remembered", args[0])
			}
			if asJSON {
				return printJSON(w)
			}
			return printWhy(os.Stdout, w)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func printWhy(w io.Writer, why control.Why) error {
	t := columns(w)
	say := func(label, format string, args ...any) {
		if text := strings.TrimSpace(fmt.Sprintf(format, args...)); text != "" {
			fmt.Fprintf(t, "%s\t%s\n", label, text)
		}
	}
	if k := why.Key; k != nil {
		sayKey(say, k, why.Ends)
	}
	if s := why.Service; s != nil {
		say("service", "%s is %s, %d of %d keys can serve", s.Name, s.Health, s.Usable, len(s.Keys)+len(s.Fallback))
		if s.LastRotation == nil {
			say("rotation", "none yet: no key had to be left")
		} else {
			sayRotation(say, s.LastRotation)
		}
	}
	if why.Key == nil && why.Service == nil { // a request
		for _, ev := range why.Events {
			sayEvent(say, ev)
			if ev.Rotation != nil {
				sayRotation(say, ev.Rotation)
			} else if ev.Hold != nil {
				say("rule", "%s", ev.Hold.Rule)
				sayEvidence(say, &ev.Hold.Evidence)
			}
		}
		return t.Flush()
	}
	for _, ev := range why.Events {
		sayEvent(say, ev)
	}
	return t.Flush()
}

// sayer prints one fact; none when it is empty.
type sayer func(label, format string, args ...any)

func sayKey(say sayer, k *engine.KeyStatus, ends []string) {
	state := k.State.String()
	if k.Draining {
		state += ", draining: no new requests until it is enabled"
	}
	say("key", "%s is %s", named(k.Name, k.Fingerprint), state)
	if len(k.Holds) == 0 && !k.Draining {
		say("holds", "nothing holds it")
	}
	for i, h := range k.Holds {
		what := h.State.String()
		if h.Model != "" {
			what += " for " + h.Model + " only"
		}
		if h.Account != "" {
			what += " with all of account " + h.Account
		}
		say("hold", "%s: %s", what, h.Why)
		say("since", "%s, by %s", h.Since.Local().Format(time.DateTime), h.By)
		if h.Until != nil {
			say("until", "%s", h.Until.Local().Format(time.DateTime))
		}
		say("ends", "%s", ends[i])
		say("rule", "%s", h.Rule)
		sayEvidence(say, &h.Evidence)
	}
}

func sayRotation(say sayer, r *engine.Rotation) {
	say("rotation", "%s: %s → %s at %s", r.Service, r.From, orNone(r.To), r.At.Local().Format(time.DateTime))
	say("cause", "%s (by %s)", r.Cause, r.By)
	sayEvidence(say, &r.Evidence)
	say("rule", "%s", r.Rule)
	for _, c := range r.Candidates {
		until := ""
		if c.Until != nil {
			until = ", until " + c.Until.Local().Format(time.DateTime)
		}
		say("candidate", "%s: %s%s", c.Key, c.Why, until)
	}
	outcome := r.Outcome
	if outcome == "" {
		outcome = "the request still runs"
	}
	say("outcome", "%s", outcome)
	say("next", "%s", r.Next)
}

func sayEvidence(say sayer, e *engine.Evidence) {
	seen := strings.TrimSpace(e.Method + " " + e.Path)
	if e.Status != 0 {
		seen = fmt.Sprintf("%d %s", e.Status, seen)
	}
	if e.TookMS > 0 {
		seen += fmt.Sprintf(" after %d ms", e.TookMS)
	}
	say("evidence", "%s", seen)
	say("said", "%s", strings.TrimSpace(e.Code+"  "+e.Message))
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		say("header", "%s: %s", name, e.Headers[name])
	}
	say("request", "%s", e.Request)
}

func sayEvent(say sayer, ev engine.Event) {
	say("event", "%s  %s  %s  (by %s)", ev.At.Local().Format(time.DateTime), ev.Kind, ev.Text, ev.By)
}

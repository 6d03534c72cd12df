package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/node"
)

func statusCommand(f *flags) *cobra.Command {
	var asJSON, health bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Services and keys of the running keywheel, or as they were last; exit code 3 if something needs a person",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s engine.Snapshot
			client, err := f.client()
			if err == nil {
				s, err = client.Snapshot(c.Context())
			}
			if health {
				if err == nil {
					err = canServe(s)
				}
				return err
			}
			print := printStatus
			if err != nil && f.nothingRuns(err) {
				print = printTables
				s, err = f.lastStatus(c.Context())
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s)
			} else {
				err = print(os.Stdout, s)
			}
			if err == nil && needsPerson(s) {
				err = exit(exitPerson)
			}
			return err
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&health, "health", false, "no tables: exit code 0 while every required service can serve, else 1, like /healthz")
	return c
}

// canServe is nil while every required service can serve.
func canServe(s engine.Snapshot) error {
	var down []string
	for _, sv := range s.Services {
		if sv.Required && !sv.Planned && sv.Health == engine.HealthDown {
			down = append(down, sv.Name)
		}
	}
	if len(down) > 0 {
		return fmt.Errorf("no key can serve %s: `keywheel status` says why", strings.Join(down, ", "))
	}
	return nil
}

// lastStatus is how things stood when the journal was written last, as far as
// they still do.
func (f *flags) lastStatus(ctx context.Context) (engine.Snapshot, error) {
	p, err := f.past(ctx)
	if err != nil {
		return engine.Snapshot{}, err
	}
	defer p.Close()
	cfg, err := f.load()
	if err != nil {
		return engine.Snapshot{}, err
	}
	s, at, err := node.LookBack(ctx, cfg, p.Reader)
	if err != nil {
		return engine.Snapshot{}, err
	}
	p.tell(at)
	s.At, s.UptimeS = at, 0
	return s, nil
}

// needsPerson reports whether something will not mend itself: a service is
// down, a key waits for a person, the config as it is now was not taken, or the
// journal cannot be written.
func needsPerson(s engine.Snapshot) bool {
	if s.Journal != nil && s.Journal.Error != "" {
		return true
	}
	if s.Config != nil && len(s.Config.Problems) > 0 {
		return true
	}
	for _, sv := range s.Services {
		if sv.Health == engine.HealthDown && !sv.Planned {
			return true
		}
	}
	for _, k := range s.Keys {
		switch k.State {
		case engine.Revoked, engine.Expired, engine.Missing:
			return true
		case engine.Exhausted:
			if k.Until == nil {
				return true
			}
		}
	}
	return false
}

func printStatus(w io.Writer, s engine.Snapshot) error {
	p := s.Proxy
	fmt.Fprintf(w, "%s  up %s  %d requests, %.1f/s, %d in flight  clients saw %d failures, %d absorbed\n\n", p.Listen,
		(time.Duration(s.UptimeS) * time.Second).String(), p.Requests, p.PerS, p.InFlight, p.Failures, p.Absorbed)
	return printTables(w, s)
}

func printTables(w io.Writer, s engine.Snapshot) error {
	printNotes(w, s)
	t := columns(w)
	fmt.Fprintln(t, "SERVICE\tHEALTH\tKEY IN USE\tKEYS\tREQUESTS\tFAILED\tLAST ROTATION")
	for _, sv := range s.Services {
		health := sv.Health
		if sv.Planned {
			health = "planned"
		}
		key := sv.KeyInUse
		switch {
		case sv.Pinned != "":
			key = sv.Pinned + " (pinned)"
		case sv.Strategy == engine.RoundRobin && sv.Usable > 1:
			key = fmt.Sprintf("%d in turn", sv.Usable)
		case key == "":
			key = "none usable"
		}
		last := "never"
		if r := sv.LastRotation; r != nil {
			last = fmt.Sprintf("%s %s → %s  %s", r.At.Local().Format(time.TimeOnly), r.From, orNone(r.To), r.Cause)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%d\t%d\t%s\n", sv.Name, health, key, sv.Usable, len(sv.Keys)+len(sv.Fallback), sv.Requests, sv.Failures, last)
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "KEY\tSTATE\tPROVIDER\tREQUESTS\tFAILED\tSERVICES\tWHY")
	for _, k := range s.Keys {
		state := k.State.String()
		if k.Draining {
			state += ", draining"
		}
		why := k.Reason
		if k.Override != "" {
			why = strings.TrimPrefix(why+"; secret from "+k.Override, "; ")
		}
		if k.Until != nil {
			why += ", until " + k.Until.Local().Format(time.DateTime)
		}
		why = strings.TrimPrefix(why+partHolds(k), "; ")
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", named(k.Name, k.Fingerprint), state, k.Provider, k.Requests, k.Failures, strings.Join(k.Services, ", "), why)
	}
	return t.Flush()
}

// partHolds tells of what holds a key for one model or scope only, and so does
// not change its state.
func partHolds(k engine.KeyStatus) (text string) {
	for _, h := range k.Holds {
		if h.Model == "" {
			continue
		}
		text += fmt.Sprintf("; not for %s: %s", h.Model, h.Why)
		if h.Until != nil {
			text += ", until " + h.Until.Local().Format(time.DateTime)
		}
	}
	return text
}

// printNotes tells of what differs from the files, what from the config, and of
// a journal that cannot be written.
func printNotes(w io.Writer, s engine.Snapshot) {
	var lines []string
	if c := s.Config; c != nil {
		for _, p := range c.Problems {
			lines = append(lines, "not reloaded: "+config.ProblemOf(p).String())
		}
		for _, setting := range c.Restart {
			lines = append(lines, setting+" takes effect with a restart")
		}
	}
	for _, sv := range s.Services {
		if m := sv.Moved; m != nil {
			lines = append(lines, fmt.Sprintf("%s was moved to %s by %s, %s; the config says %s", sv.Name, m.Key, m.By, m.At.Local().Format(time.DateTime), strings.Join(m.From, ", ")))
		}
		if sv.Trying != "" {
			lines = append(lines, fmt.Sprintf("%s is being moved to %s, which is not verified yet", sv.Name, sv.Trying))
		}
		for _, l := range sv.Lent {
			lines = append(lines, fmt.Sprintf("%s lent to %s until %s", l.Key, l.Service, l.Until.Local().Format(time.DateTime)))
		}
	}
	if j := s.Journal; j != nil && j.Error != "" {
		lines = append(lines, fmt.Sprintf("the journal is behind by %s, %d entries wait and %d were dropped: %s", age(time.Duration(j.BehindS)*time.Second), j.Queued, j.Dropped, j.Error))
	}
	if len(lines) > 0 {
		fmt.Fprintln(w, strings.Join(lines, "\n")+"\n")
	}
}

func orNone(key string) string {
	if key == "" {
		return "none usable"
	}
	return key
}

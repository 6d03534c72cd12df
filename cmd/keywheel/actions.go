package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
)

// verb is one operator action on the command line.
type verb struct {
	use, short string
	args       cobra.PositionalArgs
	// action makes the action of the arguments.
	action func(args []string) engine.Action
	// lasting verbs take --for, reasoned ones --reason.
	lasting, reasoned bool
	// target verbs take --to KEY.
	target bool
	// either takes a key's name or a service's: which is asked of the instance.
	either bool
}

func onKey(v engine.Verb) func([]string) engine.Action {
	return func(args []string) engine.Action { return engine.Action{Verb: v, Key: args[0]} }
}

func onService(v engine.Verb) func([]string) engine.Action {
	return func(args []string) engine.Action { return engine.Action{Verb: v, Service: args[0]} }
}

func lendAction(v engine.Verb) func([]string) engine.Action {
	return func(args []string) engine.Action { return engine.Action{Verb: v, Key: args[0], Service: args[1]} }
}

var verbs = []verb{
	{use: "rotate SERVICE", short: "Move a service to its next key", args: cobra.ExactArgs(1), action: onService(engine.VerbRotate), target: true},
	{use: "pin SERVICE KEY", short: "Serve a service with this key alone", args: cobra.ExactArgs(2), lasting: true,
		action: func(a []string) engine.Action { return engine.Action{Verb: engine.VerbPin, Service: a[0], Key: a[1]} }},
	{use: "unpin SERVICE", short: "End a pin", args: cobra.ExactArgs(1), action: onService(engine.VerbUnpin)},
	{use: "disable KEY", short: "Take a key out everywhere", args: cobra.ExactArgs(1), action: onKey(engine.VerbDisable), lasting: true, reasoned: true},
	{use: "enable KEY", short: "Let a disabled or draining key serve again", args: cobra.ExactArgs(1), action: onKey(engine.VerbEnable)},
	{use: "drain KEY", short: "Give a key no new requests; those under way finish", args: cobra.ExactArgs(1), action: onKey(engine.VerbDrain)},
	{use: "fail KEY", short: "Mark a key failed and move on", args: cobra.ExactArgs(1), action: onKey(engine.VerbFail), reasoned: true},
	{use: "lift KEY|SERVICE", short: "Lift what holds a key, or all keys of a service", args: cobra.ExactArgs(1), action: onKey(engine.VerbLift), either: true},
	{use: "reset KEY|SERVICE", short: "Lift holds and zero the counters", args: cobra.ExactArgs(1), action: onKey(engine.VerbReset), either: true},
	{use: "lend KEY SERVICE", short: "Let a key serve another service too, for a time", args: cobra.ExactArgs(2), action: lendAction(engine.VerbLend), lasting: true},
	{use: "unlend KEY SERVICE", short: "End a lend before its time", args: cobra.ExactArgs(2), action: lendAction(engine.VerbUnlend)},
	{use: "undo", short: "Take the last operator action back", args: cobra.NoArgs,
		action: func([]string) engine.Action { return engine.Action{Verb: engine.VerbUndo} }},
}

// actionCommands are the verbs as commands that ask the running instance.
func actionCommands(f *flags) []*cobra.Command {
	var list []*cobra.Command
	for _, v := range verbs {
		var lasts ago
		var reason, to string
		c := &cobra.Command{Use: v.use, Short: v.short, Args: v.args, RunE: func(c *cobra.Command, args []string) error {
			a := v.action(args)
			a.Reason = reason
			if to != "" {
				a.Key = to
			}
			a.ForS = time.Duration(lasts).Seconds()
			client, err := f.client()
			if err != nil {
				return err
			}
			if v.either {
				s, err := client.Snapshot(c.Context())
				if err != nil {
					return err
				}
				if keyOf(s, a.Key) == nil && serviceOf(s, a.Key) != nil {
					a.Service, a.Key = a.Key, ""
				}
			}
			r, err := client.Do(c.Context(), a)
			if err != nil {
				return err
			}
			fmt.Println(r.Text)
			return nil
		}}
		if v.lasting {
			c.Flags().Var(&lasts, "for", "how long: 90s, 2h, 7d (default: until a person ends it)")
		}
		if v.reasoned {
			c.Flags().StringVar(&reason, "reason", "", "why, for the timeline")
		}
		if v.target {
			c.Flags().StringVar(&to, "to", "", "the key to move to")
		}
		list = append(list, c)
	}
	return list
}

package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
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
			r := &remote{ctx: c.Context(), client: client}
			if r.last, err = client.Snapshot(c.Context()); err != nil {
				return err
			}
			return tui.Run(c.Context(), r, tui.Options{})
		},
	}
}

// remote is a running instance as a source for the monitor. While it does not
// answer, the monitor goes on seeing the last snapshot, and shows its age.
type remote struct {
	ctx    context.Context
	client *control.Client
	mu     sync.Mutex
	last   engine.Snapshot
}

// remoteTimeout bounds one look at a running instance.
const remoteTimeout = 2 * time.Second

func (r *remote) Snapshot() engine.Snapshot {
	ctx, cancel := context.WithTimeout(r.ctx, remoteTimeout)
	defer cancel()
	s, err := r.client.Snapshot(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.last = s
	}
	return r.last
}

func (r *remote) Events(after uint64) []engine.Event {
	ctx, cancel := context.WithTimeout(r.ctx, remoteTimeout)
	defer cancel()
	list, err := r.client.Events(ctx, after)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range list {
		if list[i].By == r.last.You {
			list[i].By = "you"
		}
	}
	return list
}

func (r *remote) Do(a engine.Action) (engine.Result, error) { return r.client.Do(r.ctx, a) }

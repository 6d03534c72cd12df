package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"

	"keywheel/engine"
	"keywheel/engine/checkup"
	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/journal"
	"keywheel/engine/node"
)

// seen is what is known of the keys of a configuration: what the keywheel that
// runs on it shows, else what its journal tells, else only what it says itself.
func (f *flags) seen(ctx context.Context, cfg *config.Config) (seen checkup.Seen, err error) {
	client, s, err := f.runningOn(ctx, cfg)
	if err != nil {
		return seen, err
	}
	if client != nil {
		return checkup.Seen{From: "the running keywheel on " + client.Socket(), Snapshot: s, Running: true}, nil
	}
	from := "the config alone: no keywheel has run on it"
	_, port, _ := net.SplitHostPort(cfg.Listen)
	if path, err := node.JournalPath(cfg, os.LookupEnv, port); err == nil {
		r, err := journal.OpenReadOnly(path)
		if err == nil {
			defer r.Close()
			s, at, err := node.LookBack(ctx, cfg, r)
			if err == nil && !at.IsZero() {
				return checkup.Seen{From: fmt.Sprintf("the journal %s, last written %s ago; nothing runs now", path, age(s.At.Sub(at))), Snapshot: s}, nil
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			from = "the config alone: its journal cannot be read"
			fmt.Fprintln(os.Stderr, "keywheel: without the journal:", err)
		}
	}
	s, err = node.Look(cfg)
	return checkup.Seen{From: from, Snapshot: s, Untried: true}, err
}

// runningOn is the keywheel that runs on a configuration; nil is none.
func (f *flags) runningOn(ctx context.Context, cfg *config.Config) (*control.Client, engine.Snapshot, error) {
	named := f.socket
	if named == "" {
		named = os.Getenv("KEYWHEEL_SOCKET")
	}
	if named != "" {
		client := control.NewClient(named)
		s, err := client.Snapshot(ctx)
		if err != nil && f.nothingRuns(err) {
			return nil, engine.Snapshot{}, nil
		}
		return client, s, err
	}
	found, err := control.Find(os.LookupEnv)
	sockets := []string{found}
	var several *control.SeveralError
	switch {
	case errors.As(err, &several):
		sockets = several.Sockets
	case err != nil:
		return nil, engine.Snapshot{}, nil
	}
	for _, socket := range sockets {
		client := control.NewClient(socket)
		s, err := client.Snapshot(ctx)
		if err == nil && s.Config != nil && slices.ContainsFunc(cfg.Files, func(file string) bool { return slices.Contains(s.Config.Files, file) }) &&
			(cfg.Path == "" || slices.Contains(s.Config.Files, cfg.Path)) {
			return client, s, nil
		}
	}
	return nil, engine.Snapshot{}, nil
}

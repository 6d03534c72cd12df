package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"

	"keywheel/engine/config"
	"keywheel/engine/node"
	"keywheel/tui"
)

// runMonitor runs proxy and monitor on the user's config.
func runMonitor(ctx context.Context, f *flags) error {
	cfg, err := f.load()
	noTerminal := needTerminal("`keywheel serve`")
	var none *config.NotFoundError
	if errors.As(err, &none) && noTerminal == nil {
		var ready bool
		if ready, err = begin(ctx, f, none); ready {
			cfg, err = f.load()
		}
	}
	if err == nil {
		err = noTerminal
	}
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(os.Stderr, "keywheel: warning:", w)
	}
	if cfg.Path == "" { // there is no file to look into
		for _, s := range cfg.Sources {
			fmt.Fprintln(os.Stderr, "keywheel:", s)
		}
	}
	ctx, unhook := signal.NotifyContext(ctx, endings(false)...)
	defer unhook()
	n, err := start(f, cfg, nil, 0, "")
	if err != nil {
		return err
	}
	err = monitor(ctx, n, tui.Options{ASCII: cfg.ASCII, Bell: cfg.Alerts.Bell, WindowTitle: cfg.Alerts.Title})
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if busy := n.Snapshot().Proxy.InFlight; busy > 0 {
		fmt.Fprintf(os.Stderr, "keywheel: draining, %d in flight\n", busy)
	}
	if stopErr := n.Stop(drain); err == nil {
		err = stopErr
	}
	return err
}

// endings are the signals that end keywheel in order. With a screen ctrl+c is a
// key, and a lost terminal ends it too.
func endings(headless bool) []os.Signal {
	if headless {
		return []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	}
	return []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
}

// needTerminal says what to run instead where there is no terminal to draw on.
func needTerminal(instead string) error {
	if term.IsTerminal(os.Stdin.Fd()) && term.IsTerminal(os.Stdout.Fd()) {
		return nil
	}
	return fmt.Errorf("the monitor needs a terminal, and there is none here: %s runs without", instead)
}

// monitor shows a node until the person quits, the terminal is lost, or the
// listener fails.
func monitor(ctx context.Context, n *node.Node, o tui.Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		select {
		case err := <-n.Failed():
			cancel(err)
		case <-ended:
		}
	}()
	defer close(ended)
	o.Own = true
	return tui.Run(ctx, n, o)
}

// waitForSignal runs a node without a screen until ctx ends.
func waitForSignal(ctx context.Context, n *node.Node) error {
	select {
	case err := <-n.Failed():
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = n.Stop(drain)
	return nil
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/node"
)

// drainTime is how long requests in flight may take to finish when keywheel is
// asked to stop.
const drainTime = 30 * time.Second

func serveCommand(f *flags) *cobra.Command {
	var debug, asJSON bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the proxy without a screen; SIGTERM drains",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if debug {
				level = slog.LevelDebug
			}
			var h slog.Handler = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})
			if asJSON {
				h = slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})
			}
			return serve(c.Context(), f, slog.New(h))
		},
	}
	c.Flags().BoolVar(&debug, "debug", false, "log more")
	c.Flags().BoolVar(&asJSON, "log-json", false, "log as JSON")
	return c
}

func serve(ctx context.Context, f *flags, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cfg, err := f.load()
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		log.Warn(w.String())
	}
	for _, s := range cfg.Sources {
		log.Info(s)
	}
	n, err := start(f, cfg, log, 0, false)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", n.Addr(), "services", len(cfg.Engine.Services), "keys", len(cfg.Engine.Keys))
	select {
	case err := <-n.Failed():
		_ = n.Stop(ctx)
		return err
	case <-ctx.Done():
	}
	stop() // a second signal ends it at once
	log.Info("draining: new requests are refused", "in_flight", n.Snapshot().Proxy.InFlight)
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := n.Stop(drain); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// start starts a node with its control socket where it belongs.
func start(f *flags, cfg *config.Config, log *slog.Logger, seed uint64, demo bool) (*node.Node, error) {
	socket := f.socket
	if socket == "" {
		_, port, err := net.SplitHostPort(cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		if demo {
			port = fmt.Sprint(os.Getpid()) // its port is not known yet
		}
		if socket, err = control.Path(os.LookupEnv, port, demo); err != nil {
			return nil, err
		}
	}
	return node.Start(node.Options{Config: cfg, Log: log, Socket: socket, Seed: seed})
}

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/node"
)

// drainTime is how long requests in flight may take to finish when keywheel is
// asked to stop.
const drainTime = 30 * time.Second

func serveCommand(f *flags) *cobra.Command {
	var debug bool
	format := logFormat("text")
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the proxy without a screen; SIGTERM drains, SIGHUP reads the config again",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if debug {
				level = slog.LevelDebug
			}
			return serve(c.Context(), f, slog.New(format.handler(os.Stderr, level)))
		},
	}
	c.Flags().BoolVar(&debug, "debug", false, "log each request too, with the keys that were chosen for it")
	c.Flags().Var(&format, "log-format", "text or json, a line each on stderr")
	return c
}

// logFormat is how log lines are written: text or json.
type logFormat string

// Set takes the flag's value.
func (f *logFormat) Set(value string) error {
	if value != "text" && value != "json" {
		return errors.New("it is text or json")
	}
	*f = logFormat(value)
	return nil
}

// String is the flag's value.
func (f *logFormat) String() string { return string(*f) }

// Type is what the help calls it.
func (f *logFormat) Type() string { return "format" }

func (f *logFormat) handler(w io.Writer, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if *f == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

func serve(ctx context.Context, f *flags, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(ctx, endings(true)...)
	defer stop()
	hup := make(chan os.Signal, 1) // unheard it would end the process
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
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
	n, err := start(f, cfg, log, 0, "")
	if err != nil {
		return err
	}
	for _, k := range n.Snapshot().Keys {
		if k.State != engine.Missing {
			log.Info("key loaded", "key", named(k.Name, k.Fingerprint), "provider", k.Provider, "services", strings.Join(k.Services, ", "))
		}
	}
	log.Info("listening", "addr", n.Addr(), "services", len(cfg.Engine.Services), "keys", len(cfg.Engine.Keys))
	for ctx.Err() == nil {
		select {
		case err := <-n.Failed():
			_ = n.Stop(ctx)
			return err
		case <-hup:
			_ = n.Reload(true) // how it went is an event
		case <-ctx.Done():
		}
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

// start starts a node with its control socket where it belongs. A notice is told
// to everybody who looks, and makes it a demo: it keeps nothing.
func start(f *flags, cfg *config.Config, log *slog.Logger, seed uint64, notice string) (*node.Node, error) {
	demo := notice != ""
	o := node.Options{Config: cfg, Load: f.again, Log: log, Seed: seed, Notice: notice, Socket: func(port string) (string, error) {
		if f.socket != "" {
			return f.socket, nil
		}
		return control.Path(os.LookupEnv, port, demo)
	}}
	if !demo && !f.noJournal {
		o.Journal = func(port string) (string, error) { return node.JournalPath(cfg, os.LookupEnv, port) }
	}
	return node.Start(o)
}

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine/config"
	"keywheel/engine/sim"
	"keywheel/tui"
)

func demoCommand(f *flags) *cobra.Command {
	o := demoOptions{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "The same on simulated providers and traffic; needs nothing",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return demo(c.Context(), f, o) },
	}
	c.Flags().Uint64Var(&o.seed, "seed", 1, "the same number gives the same run again")
	c.Flags().Float64Var(&o.speed, "speed", 1, "how fast time runs, 0.1 to 20")
	c.Flags().BoolVar(&o.quiet, "no-traffic", false, "no traffic and no trouble of its own: point your own client at it")
	c.Flags().BoolVar(&o.headless, "no-screen", false, "no monitor: run until SIGTERM or SIGINT")
	return c
}

type demoOptions struct {
	seed     uint64
	speed    float64
	quiet    bool
	headless bool
}

// demo runs the real engine, proxy and monitor on a world that does not exist.
func demo(ctx context.Context, f *flags, o demoOptions) error {
	if o.speed < 0.1 || o.speed > 20 {
		return usageError{fmt.Errorf("--speed %g: want 0.1 to 20", o.speed)}
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil && f.listen != "" {
		return usageError{fmt.Errorf("--listen %s: want an address and a port like 127.0.0.1:5399", f.listen)}
	}
	if !o.headless {
		if err := needTerminal("`keywheel demo --no-screen`"); err != nil {
			return err
		}
	}
	// From here on a signal ends it in order.
	ctx, unhook := signal.NotifyContext(ctx, endings(o.headless)...)
	defer unhook()
	world, err := sim.NewWorld(o.seed, o.speed)
	if err != nil {
		return err
	}
	defer world.Close()
	listen := f.listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cfg := config.Defaults()
	cfg.Listen, cfg.Engine = listen, world.Config()
	notice := fmt.Sprintf("DEMO seed %d: simulated providers, simulated traffic", o.seed)
	if o.quiet {
		notice = fmt.Sprintf("DEMO seed %d: simulated providers, point a client at it", o.seed)
	}
	n, err := start(f, cfg, nil, o.seed, notice)
	if err != nil {
		return err
	}
	base := "http://" + n.Addr()
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() {
		stop()
		running.Wait()
	}()
	if o.quiet {
		hint := "The demo's proxy is " + base + ". Try, in another terminal:\n  " + strings.Join(world.Hint(base), "\n  ")
		fmt.Fprintln(os.Stderr, hint)
		if !o.headless {
			// Time to read it before the screen opens; it stands there again
			// when the screen has closed.
			defer fmt.Fprintln(os.Stderr, hint)
		}
	} else {
		running.Go(func() { world.Traffic(ctx, base) })
		running.Go(func() { world.Script(ctx) })
	}
	if o.headless {
		fmt.Fprintln(os.Stderr, "The demo's proxy is", base)
		return waitForSignal(ctx, n)
	}
	err = monitor(ctx, n, tui.Options{})
	stop()
	drain, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = n.Stop(drain) // a demo's requests may be cut
	return err
}

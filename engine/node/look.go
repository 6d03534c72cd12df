package node

import (
	"context"
	"log/slog"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/journal"
)

// Look is what a node on a configuration would show before its first request.
// Nothing is started.
func Look(cfg *config.Config) (engine.Snapshot, error) {
	e, err := engine.New(cfg.Engine)
	if err != nil {
		return engine.Snapshot{}, err
	}
	s := e.Snapshot()
	describe(&s, cfg, cfg.Listen)
	return s, nil
}

// LookBack is what a node on a configuration would show if it went on now from
// what a journal tells, written last at at. Nothing is started.
func LookBack(ctx context.Context, cfg *config.Config, r *journal.Reader) (s engine.Snapshot, at time.Time, err error) {
	p, err := recall(ctx, r, slog.New(slog.DiscardHandler))
	if err != nil {
		return s, at, err
	}
	e, err := engine.New(cfg.Engine, engine.WithMemory(p.Memory))
	if err != nil {
		return s, at, err
	}
	s = e.Snapshot()
	describe(&s, cfg, cfg.Listen)
	return s, p.at, nil
}

// describe puts into a snapshot how clients come in.
func describe(s *engine.Snapshot, cfg *config.Config, listen string) {
	s.Proxy.Listen, s.Proxy.TLS = listen, cfg.TLSCert != ""
	s.Proxy.AllowHosts = append([]string{}, cfg.AllowHosts...)
}

package node

import (
	"keywheel/engine"
	"keywheel/engine/config"
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

// describe puts into a snapshot how clients come in.
func describe(s *engine.Snapshot, cfg *config.Config, listen string) {
	s.Proxy.Listen, s.Proxy.TLS = listen, cfg.TLSCert != ""
	s.Proxy.AllowHosts = append([]string{}, cfg.AllowHosts...)
}

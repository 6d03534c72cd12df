package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"keywheel/engine"
)

// tellRequests logs each request that has ended, with every key that was chosen
// for it, until ctx ends. It looks often enough for all that are remembered.
func (n *Node) tellRequests(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	after := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, r := range n.engine.Requests(after) {
			after = r.Seq
			if r.Outcome == engine.OutcomeTurnedAway {
				continue // said already
			}
			var keys []string
			for _, a := range r.Attempts {
				keys = append(keys, fmt.Sprintf("%s: %s", a.Key, a.Verdict.Words()))
			}
			n.log.LogAttrs(ctx, slog.LevelDebug, "request", slog.String("id", r.ID), slog.String("service", r.Service), slog.String("model", r.Model),
				slog.String("keys", strings.Join(keys, ", ")), slog.Int("status", r.Status), slog.String("outcome", r.Outcome))
		}
	}
}

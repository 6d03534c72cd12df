package node

import (
	"context"
	"os"
	"time"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/child"
	"keywheel/engine/config"
)

// watchEvery is how often it is looked for what needs a person.
const watchEvery = time.Second

// watchAlerts goes over to other alerts.
func (n *Node) watchAlerts(cfg config.Alerts) {
	if n.stopAlerts != nil {
		n.stopAlerts()
		n.stopAlerts = nil
	}
	if cfg.Any() {
		ctx, stop := context.WithCancel(n.ctx)
		n.stopAlerts = stop
		n.tasks.Go(func() { alerts(ctx, n.engine, cfg) })
	}
}

// alerts watches an engine until ctx ends. Each alert is delivered, and is an
// event: by that the monitor rings, wherever it is attached.
func alerts(ctx context.Context, e *engine.Engine, cfg config.Alerts) {
	watch := alert.NewWatch(cfg.On, cfg.Quiet)
	sender := alert.NewSender(alert.Options{Command: cfg.Command, Place: child.Place{Dir: cfg.Dir, LookupEnv: os.LookupEnv}, Webhook: cfg.Webhook,
		Failed: func(a alert.Alert, err error) {
			note(e, a, "alert not delivered: "+err.Error())
		}})
	delivered := make(chan struct{})
	go func() {
		sender.Run(ctx)
		close(delivered)
	}()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			<-delivered
			return
		case <-tick.C:
		}
		for _, a := range watch.Look(e.Snapshot()) {
			note(e, a, "alert: "+a.Text)
			sender.Send(a)
		}
	}
}

// note puts an alert on the timeline.
func note(e *engine.Engine, a alert.Alert, text string) {
	ev := engine.Event{Kind: engine.EventAlert, Service: a.Service, Key: a.Key, State: engine.Failing, Text: text}
	if a.Key == "" && a.Kind == alert.Incident {
		ev.Key = a.Provider // as the incident's own events have it
	}
	if a.Resolved {
		ev.State = engine.Active
	}
	e.Note(ev)
}

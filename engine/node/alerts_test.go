package node

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/secret"
)

// A node tells a command of what it sees, says so, and says what it could not
// tell.
func TestAlerts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := oneService("http://127.0.0.1:1")
	cfg.Alerts.Command, cfg.Alerts.Dir = []string{"sh", "-c", "cat > part; mv part told"}, dir
	cfg.Alerts.Webhook = secret.New("http://127.0.0.1:1/hidden") // nobody there
	var logged buffer
	n, err := Start(Options{Config: cfg, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Do(engine.Action{Verb: engine.VerbDisable, Key: "k1", By: "you"}); err != nil {
		t.Fatal(err)
	}
	var told []byte
	waitFor(t, func() bool {
		told, _ = os.ReadFile(filepath.Join(dir, "told"))
		return told != nil && strings.Contains(logged.String(), "alert not delivered")
	})
	var a alert.Alert
	if err := json.Unmarshal(bytes.TrimSpace(told), &a); err != nil || a.Kind != alert.OneKeyLeft || a.Service != "svc" || a.Resolved {
		t.Errorf("told %s, %v", told, err)
	}
	var texts []string
	for _, ev := range n.Events(0) {
		if ev.Kind == engine.EventAlert {
			texts = append(texts, ev.Text)
		}
	}
	if all := strings.Join(texts, "\n"); !strings.Contains(all, "alert: service svc: one key left of 2: k2 active, k1 disabled by you") || !strings.Contains(all, "alert not delivered: webhook at 127.0.0.1:1: ") {
		t.Errorf("events %s", all)
	}
	if strings.Contains(logged.String(), "hidden") {
		t.Errorf("the URL is in the log: %s", logged.String())
	}
	if err := n.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

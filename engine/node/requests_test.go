package node

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// At debug the log tells of each request which keys were chosen for it.
func TestRequestsAreLogged(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer up.Close()
	var log buffer
	n, err := Start(Options{Config: oneService(up.URL), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(t.Context()) })
	for _, service := range []string{"nobody", "svc"} { // the first is turned away
		res, err := http.Get("http://" + n.Addr() + "/" + service + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	waitFor(t, func() bool { return strings.Contains(log.String(), "msg=request") })
	if text := log.String(); strings.Count(text, "msg=request") != 1 || !strings.Contains(text, `service=svc`) || !strings.Contains(text, `keys="k1: ok" status=200 outcome=served`) || strings.Contains(text, "not-a-key") {
		t.Error(text)
	}
}

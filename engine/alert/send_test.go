package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywheel/engine/child"
	"keywheel/engine/secret"
)

var sample = Alert{Version: 1, ID: "no_usable_key service svc 1", Kind: NoUsableKey, Subject: "service svc", Service: "svc",
	Text: `service svc: no key can serve: k1 revoked ($HOME; id)`}

// inDir is a place whose environment holds one thing that a program needs and
// one that it must not see.
func inDir(dir string) child.Place {
	env := map[string]string{"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "sk-test-not-a-key"}
	return child.Place{Dir: dir, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

// program writes a program into a directory of its own.
func program(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "alarm"), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A sender runs a real program and asks a real server, and brings both the same.
func TestSendBoth(t *testing.T) {
	t.Parallel()
	dir := program(t, "cat > stdin; env > environment; echo \"$1|$2\" > arguments; mv arguments done\n")
	posted := make(chan string, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		posted <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(text)
	}))
	defer hook.Close()
	s := NewSender(Options{Command: []string{"./alarm", "-u", "{text}"}, Place: inDir(dir), Webhook: secret.New(hook.URL + "/T0/secret"),
		Failed: func(_ Alert, err error) { t.Error(err) }})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	s.Send(sample)
	want, _ := json.Marshal(sample)
	if got := <-posted; got != "POST /T0/secret application/json "+string(want) {
		t.Errorf("posted %s", got)
	}
	waitForFile(t, filepath.Join(dir, "done"))
	if got := content(t, dir, "stdin"); got != string(want)+"\n" {
		t.Errorf("stdin %s", got)
	}
	if got := content(t, dir, "done"); got != "-u|"+sample.Text+"\n" {
		t.Errorf("arguments %s", got)
	}
	if got := content(t, dir, "environment"); strings.Contains(got, "sk-test") || !strings.Contains(got, "PATH=/usr/bin:/bin") {
		t.Errorf("environment %s", got)
	}
	stop()
	<-ended
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-end.C:
			t.Fatalf("there is no %s", path)
		case <-tick.C:
		}
	}
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSendCommandThatFails(t *testing.T) {
	t.Parallel()
	dir := program(t, "echo sk-test-not-a-key >&2; exit 3\n")
	stuck := program(t, "sleep 60 & sleep 60\n")
	for _, c := range []struct {
		dir     string
		argv    []string
		timeout time.Duration
		want    string
	}{
		{dir, []string{"./alarm"}, patience, "command ./alarm failed (exit status 3): run it by hand to see why"},
		{dir, []string{"./nothing"}, patience, "command ./nothing: there is no such program: install it, or write its whole path"},
		{dir, []string{"alarm"}, patience, "command alarm: there is no such program: install it, or write its whole path"}, // not of this directory
		{stuck, []string{"./alarm"}, 100 * time.Millisecond, "command ./alarm did not end within 100ms"},
		{dir, []string{"true"}, patience, "<nil>"}, // reads no stdin
	} {
		err := (&command{c.argv, inDir(c.dir), c.timeout}).deliver(context.Background(), sample)
		if fmt.Sprint(err) != c.want {
			t.Errorf("%v: %v, want %s", c.argv, err, c.want)
		}
	}
}

func TestSendWebhook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		codes []int // answered in turn, the last for ever
		want  string
		tries int32
	}{
		{"taken", []int{204}, "<nil>", 1},
		{"taken the second time", []int{503, 200}, "<nil>", 2},
		{"slow down", []int{429, 200}, "<nil>", 2},
		{"never taken", []int{500}, "answered 500", 2},
		{"not understood", []int{400}, "answered 400", 1},
		{"elsewhere", []int{302}, "answered 302", 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int32
			var strayed atomic.Bool
			hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				strayed.Store(strayed.Load() || r.URL.Path != "/T0/hidden")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.codes[min(int(tries.Add(1)), len(c.codes))-1])
			}))
			defer hook.Close()
			h := newWebhook(secret.New(hook.URL + "/T0/hidden?token=hidden"))
			h.pause = time.Millisecond
			err := h.deliver(context.Background(), sample)
			if got := fmt.Sprint(err); !strings.HasSuffix(got, c.want) || strings.Contains(got, "hidden") || tries.Load() != c.tries || strayed.Load() {
				t.Errorf("%v after %d tries, want %s after %d", err, tries.Load(), c.want, c.tries)
			}
		})
	}
}

func TestSendWebhookWithoutAnswer(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	h := newWebhook(secret.New(hook.URL + "/hidden"))
	h.timeout, h.pause = 100*time.Millisecond, time.Millisecond
	if err := h.deliver(context.Background(), sample); err == nil || !strings.HasSuffix(err.Error(), "did not answer within 100ms") || tries.Load() > 2 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
	hook.Close()
	if err := h.deliver(context.Background(), sample); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("nobody there: %v", err)
	}
}

// Whoever hands an alert over never waits, and hears of what is given up.
func TestSendNeverBlocks(t *testing.T) {
	t.Parallel()
	lost := 0
	s := NewSender(Options{Command: []string{"true"}, Webhook: secret.New("http://127.0.0.1:1/"), Failed: func(_ Alert, err error) {
		lost++
		if err.Error() != "64 others wait to be delivered" {
			t.Error(err)
		}
	}})
	for range waiting + 10 {
		s.Send(sample)
	}
	if lost != 20 {
		t.Errorf("%d given up", lost)
	}
}

func TestCheckWebhook(t *testing.T) {
	t.Parallel()
	for url, fine := range map[string]bool{
		"https://hooks.example.com/T0/B0": true, "https://example.com:8443": true, "http://127.0.0.1:9/x": true, "http://[::1]:9/x": true, "http://localhost:9": true,
		"http://hooks.example.com/": false, "http://192.168.1.1/": false, "http://localhost.example.com": false,
		"ftp://example.com": false, "example.com/hook": false, "https://": false, "": false, "https://a b/": false,
	} {
		if wrong := CheckWebhook(url); (wrong == "") != fine {
			t.Errorf("%s: %q", url, wrong)
		}
	}
}

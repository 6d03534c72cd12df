//go:build unix

package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestClientsThatStopReading opens streams without end for many clients that do
// not read them. They take little memory, everybody else is served meanwhile,
// and they are cut when they have taken nothing for the idle timeout; their key
// is not blamed.
//
//	KEYWHEEL_STUCK=5000 go test -run '^TestClientsThatStopReading$' -v ./engine/node
func TestClientsThatStopReading(t *testing.T) { // alone, for it counts what is left
	stuck := 40
	if n, err := strconv.Atoi(os.Getenv("KEYWHEEL_STUCK")); err == nil {
		stuck = n
	}
	flood := &flood{}
	plain, secure := httptest.NewServer(flood), httptest.NewUnstartedServer(flood)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	cfg := oneService("")
	cfg.Engine.Keys[0].BaseURL = plain.URL + "/v1"
	cfg.Engine.Keys[1].BaseURL, cfg.Engine.Keys[1].CAFile = secure.URL+"/v1", certificateFile(t, secure)
	cfg.IdleTimeout = 12 * time.Second // a busy machine has them all at once, and no upstream that is silent for as long
	if stuck > 1000 {
		cfg.IdleTimeout = 20 * time.Second
	}
	n, err := Start(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	goroutines, files, heap := runtime.NumGoroutine(), openFiles(), inUse()
	clients := make([]net.Conn, stuck)
	var dialing sync.WaitGroup
	for part := range 16 {
		dialing.Go(func() {
			for i := part; i < stuck; i += 16 {
				c, err := net.Dial("tcp", n.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
				fmt.Fprintf(c, "GET /svc/v1/models HTTP/1.1\r\nHost: %s\r\n\r\n", n.Addr())
				clients[i] = c
			}
		})
	}
	dialing.Wait()
	defer func() {
		for _, c := range clients {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	most, peak := int64(0), uint64(0)
	way := &http.Transport{}
	client := &http.Client{Transport: way, Timeout: time.Minute}
	served := 0
	begun := time.Now()
	gone := func() bool { // all came, and all were cut
		now := flood.flowing.Load()
		most = max(most, now)
		peak = max(peak, inUse())
		method, path, body := chat.request("x")
		req, err := http.NewRequest(method, "http://"+n.Addr()+"/svc/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("somebody else: %v", err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("somebody else is answered %d", res.StatusCode)
		}
		served++
		s := n.Snapshot()
		return s.Proxy.Requests == int64(stuck+served) && s.Proxy.InFlight == 0
	}
	for pace := time.Tick(5 * time.Millisecond); !gone(); <-pace {
		if time.Since(begun) > 5*time.Minute {
			t.Fatalf("%d are still in flight", n.Snapshot().Proxy.InFlight)
		}
	}
	way.CloseIdleConnections()
	each := (int64(peak) - int64(heap)) / int64(stuck)
	t.Logf("%d clients, at most %d streams at once, %d KiB of heap each at most (both ends of both connections), all cut after %v; %d others served meanwhile",
		stuck, most, each>>10, time.Since(begun).Round(time.Millisecond), served)
	if each > 1<<20 {
		t.Errorf("each takes %d KiB", each>>10)
	}
	for _, k := range n.Snapshot().Keys {
		if k.Verdicts.UpstreamFault > 0 {
			t.Errorf("%s is blamed: %+v", k.Name, k.Verdicts)
		}
	}
	waitFor(t, func() bool { return flood.flowing.Load() == 0 })
	for i, c := range clients {
		_ = c.Close()
		clients[i] = nil
	}
	waitFor(t, func() bool {
		return runtime.NumGoroutine() <= goroutines+20 && openFiles() <= files+20
	})
}

// flood is an upstream whose lists never end.
type flood struct{ flowing atomic.Int64 }

func (f *flood) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Method == http.MethodPost {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, chatAnswer)
		return
	}
	f.flowing.Add(1)
	defer f.flowing.Add(-1)
	w.Header().Set("Content-Type", "application/octet-stream")
	chunk := make([]byte, 16<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(chunk); err != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
}

// inUse is how much the heap holds.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

package control

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// crowd is an engine with many keys that have limits, in ten services.
func crowd(t testing.TB, n int) *engine.Engine {
	t.Helper()
	cfg := engine.Config{}
	for i := range n {
		cfg.Keys = append(cfg.Keys, engine.Key{Name: fmt.Sprintf("key-%04d", i), Provider: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1",
			Account: fmt.Sprintf("team-%d", i), Ref: fmt.Sprintf("file:/etc/keywheel/key-%04d", i), Secret: secret.New(fmt.Sprintf("sk-test-not-a-key-%04d", i)),
			Limits: []quota.Limit{{Unit: quota.Requests, Amount: 600, Window: time.Minute}, {Unit: quota.Tokens, Amount: 2e6, Window: time.Minute}}})
	}
	for i := range 10 {
		s := engine.Service{Name: fmt.Sprintf("service-%d", i)}
		for j := i; j < n; j += 10 {
			s.Keys = append(s.Keys, cfg.Keys[j].Name)
		}
		cfg.Services = append(cfg.Services, s)
	}
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// traffic lets an engine serve n requests.
func traffic(t testing.TB, e *engine.Engine, n int) {
	t.Helper()
	for i := range n {
		l, err := e.Acquire(context.Background(), &engine.Request{Service: fmt.Sprintf("service-%d", i%10), Model: "gpt-4o", Repeatable: true})
		if err != nil {
			t.Fatal(err)
		}
		l.Judge(engine.Verdict{Kind: engine.OK})
		l.Close(engine.Usage{Input: 1000, Output: 100}, nil)
	}
}

// counted is a connection that counts.
type counted struct {
	net.Conn
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// countBytes makes a client count what passes over its socket.
func countBytes(c *Client) *atomic.Int64 {
	bytes := &atomic.Int64{}
	c.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
		return counted{conn, bytes}, err
	}
	return bytes
}

// cpu is the processor time this process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAttach is a second of an attached monitor on an instance with 2,000
// keys that serves 500 requests a second: what passes over the socket, and what
// the instance's side of it takes of a core. "snapshots" is the same with whole
// snapshots.
//
//	go test -bench Attach ./engine/control
func BenchmarkAttach(b *testing.B) {
	for _, whole := range []bool{false, true} {
		b.Run(map[bool]string{false: "deltas", true: "snapshots"}[whole], func(b *testing.B) {
			e := crowd(b, 2000)
			traffic(b, e, 4000)
			c, s := serveSource(b, e, readPatience)
			var spent time.Duration
			inner := s.http.Handler
			s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				was := cpu()
				inner.ServeHTTP(w, r)
				spent += cpu() - was // the client waits meanwhile
			})
			m := &Mirror{client: c, ctx: b.Context()}
			took, err := m.look()
			if err != nil {
				b.Fatal(err)
			}
			bytes, looks := countBytes(c), 0
			c.http.CloseIdleConnections()
			runtime.GC()
			spent = 0
			for b.Loop() {
				for second := time.Duration(0); second < time.Second; {
					rest := max(freshness, share*took)
					traffic(b, e, int(500*rest/time.Second))
					if whole {
						_, err = c.Snapshot(b.Context())
						took = 0
					} else {
						took, err = m.look()
					}
					if err != nil {
						b.Fatal(err)
					}
					second += rest
					looks++
				}
			}
			n := float64(b.N)
			b.ReportMetric(float64(bytes.Load())/n/1e3, "KB/s")
			b.ReportMetric(100*spent.Seconds()/n, "%-of-a-core")
			b.ReportMetric(float64(looks)/n, "looks/s")
		})
	}
}

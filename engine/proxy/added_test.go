package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

func TestAddedCountsByBucket(t *testing.T) {
	t.Parallel()
	var a added
	for _, d := range []time.Duration{0, 50 * time.Microsecond, 51 * time.Microsecond, time.Millisecond, 11 * time.Second} {
		a.observe(d)
	}
	h := engine.Histogram{}
	a.addTo(&h)
	a.addTo(&h) // a second service's
	for i, want := range map[int]int64{0: 4, 1: 2, 4: 2, 12: 2, 2: 0} {
		if h.Counts[i] != want {
			t.Errorf("bucket %d holds %d, want %d", i, h.Counts[i], want)
		}
	}
	if len(h.LE) != 12 || len(h.Counts) != 13 || h.Sum < 22002 || h.Sum > 22003 {
		t.Errorf("%+v", h)
	}
}

// The second request waits 30 ms in line for the first, and is counted once
// though it takes two keys.
func TestAddedHoldsTheWaitInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := engine.Service{Name: "svc", Keys: []string{"k1", "k2"}, Limits: []quota.Limit{{Unit: quota.Concurrent, Amount: 1, Source: "config"}}}
		var keys []engine.Key
		for _, n := range service.Keys {
			keys = append(keys, engine.Key{Name: n, Provider: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", Secret: secret.New(fake + n)})
		}
		e, err := engine.New(engine.Config{Keys: keys, Services: []engine.Service{service}}, engine.WithPatience(time.Second, 10))
		if err != nil {
			t.Fatal(err)
		}
		p, err := New(e, Options{Keys: keys, Services: []engine.Service{service}})
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int32
		p.table.Load().sender.base = roundTripper(func(*http.Request) (*http.Response, error) {
			res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}
			switch calls.Add(1) {
			case 1:
				time.Sleep(30 * time.Millisecond)
			case 2:
				res.StatusCode = http.StatusTooManyRequests
			}
			return res, nil
		})
		ask := func() {
			r := httptest.NewRequest(http.MethodPost, "/svc/v1/chat/completions", strings.NewReader(chatBody))
			r.Host = "127.0.0.1:5399"
			w := httptest.NewRecorder()
			if p.ServeHTTP(w, r); w.Code != http.StatusOK {
				t.Errorf("%d: %s", w.Code, w.Body)
			}
		}
		go ask()
		synctest.Wait()
		ask()
		s := e.Snapshot()
		p.FillIn(&s)
		h := s.Proxy.AddedMS
		if h.Counts[0] != 1 || h.Counts[9] != 1 || h.Sum != 30 {
			t.Errorf("counted %+v, want one of nothing and one of 30 ms", h)
		}
		if got := s.Services[0].AddedMS; got == nil || got.Sum != h.Sum {
			t.Errorf("the only service has %+v, all have %+v", got, h)
		}
	})
}

// BenchmarkAdded is what counting costs each request.
//
//	go test -bench Added ./engine/proxy
func BenchmarkAdded(b *testing.B) {
	var a added
	started, chosen := time.Now(), time.Now()
	for b.Loop() {
		at := time.Since(started)
		a.observe(chosen.Sub(started.Add(at)))
	}
}

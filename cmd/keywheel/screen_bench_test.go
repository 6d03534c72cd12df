package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkScreen runs the program in a terminal of 120x36 with 20 services of
// three keys each, and reports what the screen costs and how soon it shows what
// happens. It takes two minutes and wants a quiet machine:
//
//	go test -bench Screen -benchtime 1x ./cmd/keywheel
func BenchmarkScreen(b *testing.B) {
	up := newRefuser()
	defer up.Close()
	path := build(b)
	b.Run("traffic", func(b *testing.B) {
		s := show(b, path, up.URL)
		for b.Loop() {
			ctx, stop := context.WithCancel(b.Context())
			var busy sync.WaitGroup
			busy.Go(func() { s.traffic(ctx, 60) })
			time.Sleep(2 * time.Second)
			b.ReportMetric(float64(s.written(10*time.Second))/10/1000, "KB/s")
			stop()
			busy.Wait()
		}
	})
	b.Run("idle", func(b *testing.B) {
		s := show(b, path, up.URL)
		for b.Loop() {
			time.Sleep(2 * time.Second)
			was := cpu(b, s.pid())
			n := s.written(10 * time.Second)
			b.ReportMetric(100*(cpu(b, s.pid())-was).Seconds()/10, "%CPU")
			b.ReportMetric(float64(n)/10, "B/s")
		}
	})
	b.Run("answer shown", func(b *testing.B) {
		s := show(b, path, up.URL)
		for b.Loop() {
			var took []time.Duration
			for i := range services {
				up.refuse.Store(true)
				s.ask(b.Context(), i)
				s.until(b, fmt.Sprintf(`model-%02d .*429`, i))
				took = append(took, time.Since(*up.refused.Load()))
			}
			report(b, took)
		}
	})
	b.Run("key shown", func(b *testing.B) {
		s := show(b, path, up.URL)
		for b.Loop() {
			ctx, stop := context.WithCancel(b.Context())
			var busy sync.WaitGroup
			busy.Go(func() { s.traffic(ctx, 60) })
			var took []time.Duration
			for range 5 {
				for _, k := range []struct{ key, shown string }{{"2", ` Keys \d+ `}, {"3", ` Timeline [^│┃]*newest first`}, {"1", ` Services \d+ `},
					{"r", `✓ rotated`}, {"u", `✓ undid`}} {
					at := time.Now()
					s.typed(b, k.key)
					s.until(b, k.shown)
					took = append(took, time.Since(at))
				}
			}
			stop()
			busy.Wait()
			report(b, took)
		}
	})
	b.Run("CPU of requests", func(b *testing.B) {
		with, without := show(b, path, up.URL), serveAlone(b, path, up.URL)
		for b.Loop() {
			var ratios []float64
			for range 10 {
				var on, off time.Duration
				for range 8 { // what else the machine does falls on both
					on += with.cpuOf(b, 500)
					off += without.cpuOf(b, 500)
				}
				ratios = append(ratios, float64(on)/float64(off))
			}
			slices.Sort(ratios)
			b.ReportMetric((ratios[4]+ratios[5])/2, "times")
			b.ReportMetric(ratios[0], "times-least")
			b.ReportMetric(ratios[9], "times-most")
		}
	})
}

const services = 20

// refuser is an upstream that answers at once, and refuses the next request
// when it is told to.
type refuser struct {
	*httptest.Server
	refuse  atomic.Bool
	refused atomic.Pointer[time.Time]
}

func newRefuser() *refuser {
	u := &refuser{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if u.refuse.CompareAndSwap(true, false) {
			now := time.Now()
			u.refused.Store(&now)
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},`+
			`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`)
	}))
	return u
}

// twenty is the program with 20 services of three keys each, from its
// environment.
type twenty struct {
	*program
	*screen
}

func newTwenty(b *testing.B, path, upstream string) *program {
	b.Helper()
	p := newProgram(b)
	p.path, p.workdir = path, p.dir
	p.env = append(p.env, "LLM_MODEL_CONFIGS="+modelConfigs(b, services, 3, upstream+"/v1"))
	return p
}

// show runs it with its screen until the benchmark ends.
func show(b *testing.B, path, upstream string) *twenty {
	p := newTwenty(b, path, upstream)
	s := inTerminal(b, p.command(b.Context(), "--listen", "127.0.0.1:0", "--socket", p.socket), 120, 36)
	s.until(b, `Services 20`)
	p.awaitAnswer(b)
	return &twenty{p, s}
}

// serveAlone runs it without a screen until the benchmark ends. It has a
// terminal all the same: Linux shares the processors among terminals first, and
// who shares one with the clients is stopped less often in the middle of a
// request.
func serveAlone(b *testing.B, path, upstream string) *twenty {
	p := newTwenty(b, path, upstream)
	s := unseen(b, p.command(b.Context(), "serve", "--listen", "127.0.0.1:0", "--socket", p.socket))
	p.awaitAnswer(b)
	return &twenty{p, s}
}

func (s *twenty) pid() int { return s.screen.cmd.Process.Pid }

// written is how many bytes the terminal gets in a time.
func (s *twenty) written(in time.Duration) int {
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.raw.Len()
	}
	was := count()
	time.Sleep(in)
	return count() - was
}

// ask sends one request to the i-th service.
func (s *twenty) ask(ctx context.Context, i int) error {
	name := fmt.Sprintf("model-%02d", i%services)
	body := []byte(`{"model":"` + name + `","messages":[{"role":"user","content":"Say hello."}]}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("/"+name+"/v1/chat/completions"), bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// traffic asks all services in turn, so many times a second.
func (s *twenty) traffic(ctx context.Context, perSecond int) {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.ask(ctx, i)
		}
	}
}

// cpuOf is the CPU time that n requests take, as fast as they go.
func (s *twenty) cpuOf(b *testing.B, n int) time.Duration {
	was := cpu(b, s.pid())
	for i := range n {
		if err := s.ask(b.Context(), i); err != nil {
			b.Fatal(err)
		}
	}
	return cpu(b, s.pid()) - was
}

// cpu is the time that a process has had of the processors so far.
func cpu(b *testing.B, pid int) (sum time.Duration) {
	b.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		first, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(first, 10, 64)
		sum += time.Duration(ns)
	}
	if sum == 0 {
		b.Skip("this system does not tell the CPU time of threads")
	}
	return sum
}

func report(b *testing.B, took []time.Duration) {
	slices.SortFunc(took, cmp.Compare)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-median")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-most")
}

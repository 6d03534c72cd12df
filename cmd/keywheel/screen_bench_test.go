package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// BenchmarkScreen runs the program in a terminal of 120x36 with 20 services of
// three keys each, and reports what the screen costs and how soon it shows what
// happens. It takes two minutes and wants a quiet machine:
//
//	go test -bench Screen -benchtime 1x ./cmd/keywheel
func BenchmarkScreen(b *testing.B) {
	up := newRefuser()
	defer up.Close()
	dir, err := os.MkdirTemp("", "kw")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	b.Run("traffic", func(b *testing.B) {
		s := show(b, program, up.URL)
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
		s := show(b, program, up.URL)
		for b.Loop() {
			time.Sleep(2 * time.Second)
			was := cpu(b, s.cmd.Process.Pid)
			n := s.written(10 * time.Second)
			b.ReportMetric(100*(cpu(b, s.cmd.Process.Pid)-was).Seconds()/10, "%CPU")
			b.ReportMetric(float64(n)/10, "B/s")
		}
	})
	b.Run("answer shown", func(b *testing.B) {
		s := show(b, program, up.URL)
		for b.Loop() {
			var took []time.Duration
			for i := range services {
				up.refuse.Store(true)
				s.ask(b.Context(), i)
				at := s.until(b, fmt.Sprintf(`model-%02d .*429`, i))
				took = append(took, at.Sub(*up.refused.Load()))
			}
			report(b, took)
		}
	})
	b.Run("key shown", func(b *testing.B) {
		s := show(b, program, up.URL)
		for b.Loop() {
			ctx, stop := context.WithCancel(b.Context())
			var busy sync.WaitGroup
			busy.Go(func() { s.traffic(ctx, 60) })
			var took []time.Duration
			for range 5 {
				for _, k := range []struct{ key, shown string }{{"2", ` Keys \d+ `}, {"3", ` Timeline [^│┃]*newest first`}, {"1", ` Services \d+ `},
					{"r", `✓ rotated`}, {"u", `✓ undid`}} {
					at := time.Now()
					if _, err := io.WriteString(s.pty, k.key); err != nil {
						b.Fatal(err)
					}
					took = append(took, s.until(b, k.shown).Sub(at))
				}
			}
			stop()
			busy.Wait()
			report(b, took)
		}
	})
	b.Run("CPU of requests", func(b *testing.B) {
		with, without := show(b, program, up.URL), serveAlone(b, program, up.URL)
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

// running is a program that runs, in a terminal or without.
type running struct {
	cmd  *exec.Cmd
	base string
	pty  *os.File

	mu      sync.Mutex
	term    *vt.Emulator
	changed chan struct{}
	bytes   int64
}

func command(b *testing.B, program, upstream string, args ...string) *running {
	b.Helper()
	dir, err := os.MkdirTemp("", "kw")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_ = l.Close()
	models := map[string]map[string]any{}
	for i := range services {
		keys := make([]string, 3)
		for j := range keys {
			keys[j] = fmt.Sprintf("sk-test-not-a-key-%d-%d", i, j)
		}
		models[fmt.Sprintf("model-%02d", i)] = map[string]any{"api_key": keys, "api_base": upstream + "/v1"}
	}
	configs, err := json.Marshal(models)
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(program, append(args, "--listen", l.Addr().String())...)
	c.Dir = dir
	c.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "TERM=xterm-256color", "LANG=C.UTF-8", "LLM_MODEL_CONFIGS=" + string(configs)}
	return &running{cmd: c, base: "http://" + l.Addr().String()}
}

// show runs it with its screen until the benchmark ends.
func show(b *testing.B, program, upstream string) *running {
	s := command(b, program, upstream)
	f, err := pty.StartWithSize(s.cmd, &pty.Winsize{Cols: 120, Rows: 36})
	if err != nil {
		b.Fatal(err)
	}
	s.pty, s.term, s.changed = f, vt.NewEmulator(120, 36), make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() { s.watch(f) })
	busy.Go(func() { _, _ = io.Copy(f, s.term) }) // what the terminal answers
	b.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
		_ = f.Close()
		_ = s.term.InputPipe().(io.Closer).Close()
		busy.Wait()
	})
	s.until(b, `Services 20`)
	return s
}

// serveAlone runs it without a screen until the benchmark ends. It has a
// terminal all the same: Linux shares the processors among terminals first, and
// who shares one with the clients is stopped less often in the middle of a
// request.
func serveAlone(b *testing.B, program, upstream string) *running {
	s := command(b, program, upstream, "serve")
	f, err := pty.Start(s.cmd)
	if err != nil {
		b.Fatal(err)
	}
	var busy sync.WaitGroup
	busy.Go(func() { _, _ = io.Copy(io.Discard, f) })
	b.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
		_ = f.Close()
		busy.Wait()
	})
	for range 500 {
		if s.ask(b.Context(), 0) == nil {
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatal("it never listened")
	return nil
}

// watch shows what the program writes, until it ends.
func (s *running) watch(r io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		s.mu.Lock()
		_, _ = s.term.Write(buf[:n])
		s.bytes += int64(n)
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits until the screen shows a pattern, and returns when it did.
func (s *running) until(b testing.TB, pattern string) time.Time {
	b.Helper()
	want := regexp.MustCompile(pattern)
	late := time.After(2 * time.Minute)
	for {
		s.mu.Lock()
		text, changed := s.term.String(), s.changed
		s.mu.Unlock()
		if want.MatchString(text) {
			return time.Now()
		}
		select {
		case <-changed:
		case <-late:
			b.Fatalf("the screen did not show %s:\n%s", pattern, text)
		}
	}
}

// written is how many bytes the terminal gets in a time.
func (s *running) written(in time.Duration) int64 {
	count := func() int64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.bytes
	}
	was := count()
	time.Sleep(in)
	return count() - was
}

// ask sends one request to the i-th service.
func (s *running) ask(ctx context.Context, i int) error {
	name := fmt.Sprintf("model-%02d", i%services)
	body := []byte(`{"model":"` + name + `","messages":[{"role":"user","content":"Say hello."}]}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/"+name+"/v1/chat/completions", bytes.NewReader(body))
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
func (s *running) traffic(ctx context.Context, perSecond int) {
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
func (s *running) cpuOf(b *testing.B, n int) time.Duration {
	was := cpu(b, s.cmd.Process.Pid)
	for i := range n {
		if err := s.ask(b.Context(), i); err != nil {
			b.Fatal(err)
		}
	}
	return cpu(b, s.cmd.Process.Pid) - was
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

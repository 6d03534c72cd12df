package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// swap is the least that stands between clients and a world: it gives every
// request a key of its service, the next one if that is refused, and takes the
// client's own away.
type swap struct {
	config engine.Config
	client http.Client
	leak   bool // let the client's credentials through
	each   func(n int)

	mu   sync.Mutex
	n    int
	turn map[string]int
}

func newSwap(t *testing.T, w *World, each func(n int)) *swap {
	s := &swap{config: w.Config(), each: each, turn: map[string]int{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	s.client.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	return s
}

func (s *swap) key(name string) engine.Key {
	i := slices.IndexFunc(s.config.Keys, func(k engine.Key) bool { return k.Name == name })
	return s.config.Keys[i]
}

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, rest, _ := strings.Cut(r.URL.Path, "/")
	name, path, _ := strings.Cut(rest, "/")
	i := slices.IndexFunc(s.config.Services, func(v engine.Service) bool { return v.Name == name })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	service := s.config.Services[i]
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.n++
	n, turn := s.n, s.turn[name]
	if service.Strategy == engine.RoundRobin {
		s.turn[name]++
	}
	s.mu.Unlock()
	if s.each != nil {
		s.each(n)
	}
	for try := range service.Keys {
		k := s.key(service.Keys[(turn+try)%len(service.Keys)])
		answer, err := s.send(r, k, "/"+path, body)
		if err != nil {
			continue
		}
		if refused := answer.StatusCode == 401 || answer.StatusCode == 402 || answer.StatusCode == 403 || answer.StatusCode == 429; refused && try < len(service.Keys)-1 {
			_ = answer.Body.Close()
			if service.Strategy == engine.Failover {
				s.mu.Lock()
				s.turn[name] = turn + try + 1
				s.mu.Unlock()
			}
			continue
		}
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, err = io.Copy(w, answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (s *swap) send(r *http.Request, k engine.Key, path string, body []byte) (*http.Response, error) {
	base := k.BaseURL
	if root, ok := strings.CutSuffix(base, "/v1"); ok {
		base = root
	} else if v1, ok := strings.CutPrefix(path, "/v1/"); ok {
		path = "/" + v1
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, base+path+"?"+r.URL.RawQuery, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	if !s.leak {
		out.Header.Del("Authorization")
		out.Header.Del("X-Api-Key")
	}
	p, _ := provider.Lookup(k.Kind)
	out.Header.Set(p.AuthHeader, p.AuthPrefix+k.Secret.Reveal())
	return s.client.Do(out)
}

func newWorld(t *testing.T, seed uint64, speed float64) *World {
	t.Helper()
	w, err := NewWorld(seed, speed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestConfigIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	c := w.Config()
	if len(c.Keys) != 25 || len(c.Services) != 8 {
		t.Errorf("%d keys, %d services", len(c.Keys), len(c.Services))
	}
	keys, used := map[string]engine.Key{}, map[string]bool{}
	for _, k := range c.Keys {
		keys[k.Name] = k
		if _, ok := provider.Lookup(k.Kind); !ok || !k.CanTest {
			t.Errorf("%s is of kind %q, can be tested: %t", k.Name, k.Kind, k.CanTest)
		}
		if !strings.HasPrefix(k.BaseURL, "http://127.0.0.1:") || strings.HasSuffix(k.BaseURL, "/") {
			t.Errorf("%s lives at %s", k.Name, k.BaseURL)
		}
		if !strings.HasPrefix(k.Secret.Reveal(), "sk-demo-not-a-real-key-") || k.Source != "demo" || k.Account == "" || k.Ref == "" {
			t.Errorf("%s: source %q, account %q, ref %q", k.Name, k.Source, k.Account, k.Ref)
		}
		for _, l := range k.Limits {
			if l.Amount <= 0 || l.Source != "config" || l.Window == 0 && l.Calendar == "" {
				t.Errorf("%s has limit %+v", k.Name, l)
			}
		}
	}
	word := regexp.MustCompile(`^[a-z0-9._-]+$`)
	for _, s := range c.Services {
		if !word.MatchString(s.Name) || s.Project == "" || s.Purpose == "" || !slices.Contains(engine.Strategies, s.Strategy) {
			t.Errorf("service %+v", s)
		}
		kinds := map[string]bool{}
		for _, name := range slices.Concat(s.Keys, s.Fallback) {
			used[name], kinds[keys[name].Kind] = true, true
		}
		if len(kinds) != 1 || kinds[""] {
			t.Errorf("%s has keys of %v", s.Name, kinds)
		}
		if !slices.ContainsFunc(crowds, func(c crowd) bool { return c.service == s.Name }) {
			t.Errorf("%s has no clients", s.Name)
		}
	}
	if len(used) != len(c.Keys) {
		t.Errorf("%d of %d keys are used", len(used), len(c.Keys))
	}
	c.Keys[0].Limits[0].Amount, c.Services[0].Keys[0] = 0, "x"
	if again := w.Config(); again.Keys[0].Limits[0].Amount == 0 || again.Services[0].Keys[0] == "x" {
		t.Error("a caller can change the world's config")
	}
}

// TestSpeedScalesWhatRolls keeps what a day allows and scales what a minute does.
func TestSpeedScalesWhatRolls(t *testing.T) {
	t.Parallel()
	one, ten := newWorld(t, 1, 1).Config(), newWorld(t, 1, 10).Config()
	for i, k := range one.Keys {
		for j, l := range k.Limits {
			want := l.Amount
			if l.Window > 0 {
				want *= 10
			}
			if got := ten.Keys[i].Limits[j].Amount; got != want {
				t.Errorf("%s: %g per %s at speed 10, want %g", k.Name, got, l.Per(), want)
			}
		}
	}
}

// TestTraffic runs clients and script through a proxy for some hundreds of
// requests, fast.
func TestTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7, 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	proxy := httptest.NewServer(newSwap(t, w, func(n int) {
		if n == 1500 {
			cancel()
		}
	}))
	defer proxy.Close()
	var running sync.WaitGroup
	running.Go(func() { w.Script(ctx) })
	w.Traffic(ctx, proxy.URL)
	running.Wait()

	c := w.Clients()
	t.Logf("clients saw %+v", c)
	if c.Served < 900 || c.Failed > c.Served/5 {
		t.Errorf("clients saw %+v", c)
	}
	for status := range c.Status {
		if status == 400 || status == 404 {
			t.Errorf("clients ask for what is not there: %+v", c.Status)
		}
	}
	var accepted int64
	for kind, u := range w.upstreams {
		if got := u.Foreign(); len(got) != 0 {
			t.Errorf("%s saw foreign credentials in %v", kind, got)
		}
		for place, values := range u.LastHeaders() {
			if strings.Contains(strings.Join(values, " "), clientKey) {
				t.Errorf("%s saw the client's key in %s", kind, place)
			}
		}
		for _, name := range u.Keys() {
			accepted += u.Counts(name).Accepted
		}
	}
	if accepted < 700 {
		t.Errorf("upstreams accepted %d", accepted)
	}
	if got := w.Upstream("anthropic").Counts("claude-1").Refused[401]; got == 0 {
		t.Error("claude-1 was never seen revoked")
	}
}

// TestLeakIsSeen is the test of the test hook: a proxy that forwards what
// clients send is found out.
func TestLeakIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7, 50)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := newSwap(t, w, func(n int) {
		if n == 400 {
			cancel()
		}
	})
	s.leak = true
	proxy := httptest.NewServer(s)
	defer proxy.Close()
	w.Traffic(ctx, proxy.URL)
	// With x-api-key swapped, the Bearer of half of Anthropic's clients stays.
	if got := w.Upstream("anthropic").Foreign(); got["Authorization"] == 0 {
		t.Errorf("foreign: %v", got)
	}
}

// TestHints does what the hints say.
func TestHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 20)
	proxy := httptest.NewServer(newSwap(t, w, nil))
	defer proxy.Close()
	curl := regexp.MustCompile(`^curl (?:-N )?(\S+) -H '([^:]+): ([^']+)'(?: -d '(.+)')?$`)
	env := regexp.MustCompile(`^export (OPENAI|ANTHROPIC)_BASE_URL=(\S+) (OPENAI|ANTHROPIC)_API_KEY=anything$`)
	worked, lines := 0, w.Hint(proxy.URL)
	for _, line := range lines {
		if m := curl.FindStringSubmatch(line); m != nil {
			method := http.MethodGet
			if m[4] != "" {
				method = http.MethodPost
				if !json.Valid([]byte(m[4])) {
					t.Errorf("not JSON: %s", m[4])
				}
			}
			r, err := http.NewRequestWithContext(t.Context(), method, m[1], strings.NewReader(m[4]))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set(m[2], m[3])
			answer, err := w.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != 200 {
				t.Errorf("%s: %s", line, answer.Status)
			}
			_ = answer.Body.Close()
			worked++
		}
		if m := env.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[2], proxy.URL+"/") {
			worked++
		}
	}
	if worked != len(lines) || worked < 3 {
		t.Errorf("%d of %d hints work: %q", worked, len(lines), lines)
	}
}

// TestNothingStaysBehind looks for goroutines by a label that they inherit.
func TestNothingStaysBehind(t *testing.T) {
	t.Parallel()
	label := pprof.Labels("sim-test", t.Name())
	pprof.Do(t.Context(), label, func(ctx context.Context) {
		w, err := NewWorld(3, 20)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(ctx)
		s := newSwap(t, w, func(n int) {
			if n == 150 {
				cancel()
			}
		})
		proxy := httptest.NewServer(s)
		var running sync.WaitGroup
		running.Go(func() { w.Script(ctx) })
		w.Traffic(ctx, proxy.URL)
		running.Wait()
		proxy.Close()
		s.client.CloseIdleConnections()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); ; runtime.Gosched() {
		var b bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), t.Name()+`"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines stay behind:\n%s", b.String())
		}
	}
}

func TestCloseBreaksWhatRuns(t *testing.T) {
	t.Parallel()
	u := newBench(t, "openai", Key{Name: "one", Latency: Latency{time.Hour, 0}})
	if u.URL() != "" {
		t.Errorf("not started, and at %s", u.URL())
	}
	if err := u.Start(); err != nil {
		t.Fatal(err)
	}
	if err := u.Start(); err == nil {
		t.Error("it started twice")
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", u.BaseURL()+"/chat/completions", strings.NewReader(plainChat))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-test-one-secret")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	failed := make(chan error, 1)
	go func() {
		answer, err := transport.RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		failed <- err
	}()
	for u.Counts("one").Accepted == 0 {
		runtime.Gosched()
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a request outlived its upstream")
	}
}

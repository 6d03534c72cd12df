package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// upstreamFor answers each request with 1 KB of JSON.
func upstreamFor(tb testing.TB) *httptest.Server {
	answer := []byte(`{"id":"x","object":"chat.completion","choices":[{"message":{"role":"assistant","content":"` + strings.Repeat("a", 850) +
		`"}}],"usage":{"prompt_tokens":10,"completion_tokens":20}}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	}))
	tb.Cleanup(s.Close)
	return s
}

// keywheelFor is a proxy of ten keys before an upstream.
func keywheelFor(tb testing.TB, upstream string) string {
	cfg := engine.Config{Services: []engine.Service{{Name: "svc", Strategy: engine.RoundRobin}}}
	for i := range 10 {
		name := fmt.Sprintf("k%d", i+1)
		cfg.Keys = append(cfg.Keys, engine.Key{Name: name, Provider: "openai", Kind: "openai", BaseURL: upstream + "/v1", Secret: secret.New("sk-test-not-a-key-" + name)})
		cfg.Services[0].Keys = append(cfg.Services[0].Keys, name)
	}
	e, err := engine.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := New(e, Options{Services: cfg.Services, Keys: cfg.Keys})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := p.Server()
	go func() { _ = s.Serve(l) }()
	tb.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// bareFor is a tuned httputil.ReverseProxy before an upstream: what one would
// write who wants nothing but to pass requests on.
func bareFor(tb testing.TB, upstream string) string {
	u, err := url.Parse(upstream)
	if err != nil {
		tb.Fatal(err)
	}
	base, err := NewBase(BaseOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/svc")
			r.Out.Header.Set("Authorization", "Bearer sk-test-not-a-key")
		},
		Transport:  base,
		ErrorLog:   discardLog,
		BufferPool: &pool{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	})
	tb.Cleanup(s.Close)
	return s.URL
}

// discardLog keeps net/http from writing about connections that tests break.
var discardLog = log.New(io.Discard, "", 0)

type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] }
func (p *pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

// chat is a request body of about n bytes with the model first or last.
func chat(n int, modelLast bool) []byte {
	messages := `"messages":[{"role":"user","content":"` + strings.Repeat(`some \"quoted\" text\n and more of it, `, max(n-60, 0)/38) + `"}]`
	if modelLast {
		return []byte(`{` + messages + `,"model":"gpt-4o"}`)
	}
	return []byte(`{"model":"gpt-4o",` + messages + `}`)
}

// perRound is how many requests each of them makes before the next has its turn.
const perRound = 50

// BenchmarkProxy compares keywheel with a bare reverse proxy in one run:
//
//	go test -bench Proxy ./engine/proxy
//
// Client, proxy and upstream share the process, so the times are the whole
// process's CPU per request. "x-bare" is their ratio; "x-bare-alone" leaves
// client and upstream out: what the proxy adds to a direct request, over what
// the bare one adds.
func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"1KB", chat(1<<10, false)},
		{"64KB", chat(64<<10, false)},
		{"64KB, model last", chat(64<<10, true)},
	} {
		b.Run(c.name, func(b *testing.B) {
			up := upstreamFor(b)
			direct, bare, ours := up.URL+"/v1/chat/completions", bareFor(b, up.URL)+"/svc/v1/chat/completions", keywheelFor(b, up.URL)+"/svc/v1/chat/completions"
			clients := [3]*http.Client{newClient(), newClient(), newClient()}
			var cpu [3]time.Duration
			// Rounds take turns, so that all three see the same machine.
			for b.Loop() {
				for i, u := range []string{direct, bare, ours} {
					cpu[i] += cpuOf(func() { post(b, clients[i], u, c.body, perRound) })
				}
			}
			per := func(i int) float64 { return float64(cpu[i].Microseconds()) / float64(perRound*b.N) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(per(0), "direct-µs")
			b.ReportMetric(per(1), "bare-µs")
			b.ReportMetric(per(2), "keywheel-µs")
			b.ReportMetric(per(2)/per(1), "x-bare")
			b.ReportMetric((per(2)-per(0))/(per(1)-per(0)), "x-bare-alone")
		})
	}
}

// BenchmarkProxyStream reports the memory that one open stream takes.
func BenchmarkProxyStream(b *testing.B) {
	const streams = 500
	for b.Loop() {
		var held [2]float64
		for i, start := range []func(testing.TB, string) string{bareFor, keywheelFor} {
			release := make(chan struct{})
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: {}\n\n")
				w.(http.Flusher).Flush()
				<-release
			}))
			addr := strings.TrimPrefix(start(b, up.URL), "http://")
			before := memory()
			conns := openStreams(b, addr, streams)
			held[i] = (memory() - before) / streams
			close(release)
			for _, c := range conns {
				_ = c.Close()
			}
			up.CloseClientConnections()
			up.Close()
		}
		b.ReportMetric(held[0], "bare-B/stream")
		b.ReportMetric(held[1], "keywheel-B/stream")
		b.ReportMetric(held[1]/held[0], "x-bare")
	}
}

// BenchmarkTap reports what reading the usage in passing adds to the CPU time
// of a stream of 500 small chunks: the same stream, once under a type that is
// not read.
func BenchmarkTap(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", strings.TrimPrefix(r.URL.Path, "/v1/x/"))
		flush := w.(http.Flusher)
		for i := range 500 {
			fmt.Fprintf(w, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word %d \"}}]}\n\n", i)
			flush.Flush()
		}
		fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":500}}\n\ndata: [DONE]\n\n")
	}))
	defer up.Close()
	url := keywheelFor(b, up.URL) + "/svc/v1/x/"
	client := newClient()
	get := func(kind string) {
		res, err := client.Post(url+kind, "application/json", strings.NewReader(`{"model":"m","stream":true}`))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n < 50_000 {
			b.Fatal(n, err)
		}
		_ = res.Body.Close()
	}
	var with, without time.Duration
	for b.Loop() {
		without += cpuOf(func() { get("text/plain") })
		with += cpuOf(func() { get("text/event-stream") })
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(with)/float64(without), "x-untapped")
}

// openStreams opens n streams by hand, so that the client takes next to no
// memory, and waits for the first chunk of each.
func openStreams(tb testing.TB, addr string, n int) []net.Conn {
	body := chat(1<<10, false)
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(c, "POST /svc/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		conns = append(conns, c)
	}
	for _, c := range conns {
		r := bufio.NewReaderSize(c, 16)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				tb.Fatal(err)
			}
			if strings.HasPrefix(line, "data:") {
				break
			}
		}
	}
	return conns
}

func memory() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
}

func post(tb testing.TB, c *http.Client, u string, body []byte, n int) {
	for range n {
		res, err := c.Post(u, "application/json", bytes.NewReader(body))
		if err != nil {
			tb.Fatal(err)
		}
		got, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 200 || got < 900 {
			tb.Fatalf("%s: %d, %d bytes, %v", u, res.StatusCode, got, err)
		}
	}
}

func cpuOf(f func()) time.Duration {
	before := cpuTime()
	f()
	return cpuTime() - before
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

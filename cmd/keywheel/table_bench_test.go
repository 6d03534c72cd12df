package main

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keywheel/engine/proxy"
)

// BenchmarkTable prints what keywheel costs over a bare, tuned
// httputil.ReverseProxy, each in a process of its own: what README's table has.
// keywheel has all on: journal, limits, usage and prices, and a screen whose
// terminal is thrown away. It takes some minutes:
//
//	go test -run xxx -bench Table -benchtime 1x -timeout 30m ./cmd/keywheel
func BenchmarkTable(b *testing.B) {
	for _, c := range []struct {
		name  string
		start func(b *testing.B, h http.Handler) upstream
		body  int
	}{
		{"1KB", startPlain, 1 << 10},
		{"64KB", startPlain, 64 << 10},
		{"1KB over TLS", startTLS, 1 << 10},
		{"64KB over TLS", startTLS, 64 << 10},
		{"1KB over HTTP2", startHTTP2, 1 << 10},
		{"64KB over HTTP2", startHTTP2, 64 << 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			up := c.start(b, completion)
			for b.Loop() {
				compareCPU(b, startBare(b, up), startKeywheel(b, up, 1, 10), c.body)
			}
		})
	}
	b.Run("64 keys of 8 services over 1 of 1", func(b *testing.B) {
		up := startPlain(b, completion)
		for b.Loop() {
			compareCPU(b, startKeywheel(b, up, 1, 1), startKeywheel(b, up, 8, 64), 1<<10)
		}
	})
	for _, c := range []struct {
		name  string
		start func(b *testing.B, h http.Handler) upstream
	}{{"", startPlain}, {" over TLS", startTLS}, {" over HTTP2", startHTTP2}} {
		b.Run("added at 1000 a second"+c.name, func(b *testing.B) { benchmarkAdded(b, c.start(b, completion)) })
		b.Run("5000 streams"+c.name, func(b *testing.B) { benchmarkStreams(b, c.start) })
	}
}

// pairs is how often two rivals are compared; the median counts.
const pairs = 10

// compareCPU reports the CPU time that a request takes of the two, in turns, at
// 64 connections.
func compareCPU(b *testing.B, bare, keywheel *rival, size int) {
	const clients, each = 64, 60
	body := bytes.Repeat([]byte("some text and more of it. "), size/26)
	round := func(r *rival) float64 {
		was := cpu(b, r.pid)
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() { r.client(b, i).ask(b, body, each) })
		}
		all.Wait()
		return float64((cpu(b, r.pid) - was).Microseconds()) / (clients * each)
	}
	round(bare) // warm
	round(keywheel)
	var a, k, ratios []float64
	for range pairs {
		was, is := round(bare), round(keywheel)
		a, k, ratios = append(a, was), append(k, is), append(ratios, is/was)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(a), "µs-bare")
	b.ReportMetric(median(k), "µs-keywheel")
	b.ReportMetric(median(ratios), "x-bare")
}

// benchmarkAdded reports what a request takes longer than without a proxy, in
// the middle, at a rate that does not depend on the answers.
func benchmarkAdded(b *testing.B, up upstream) {
	const rate, rounds = 1000, 6
	direct := startPlain(b, completion) // keywheel and the bare one differ by what is added to this
	body := bytes.Repeat([]byte("some text and more of it. "), 40)
	for b.Loop() {
		rivals := []*rival{{addr: strings.TrimPrefix(direct.url, "http://")}, startBare(b, up), startKeywheel(b, up, 1, 10)}
		var took [3][]time.Duration
		for round := range rounds {
			for i, r := range rivals {
				free := make(chan *caller, 64)
				for n := range cap(free) {
					free <- r.client(b, n)
				}
				var mu sync.Mutex
				var all sync.WaitGroup
				tick := time.NewTicker(time.Second / rate)
				for range rate {
					<-tick.C
					all.Go(func() {
						begun := time.Now()
						c := <-free
						c.ask(b, body, 1)
						free <- c
						mu.Lock()
						defer mu.Unlock()
						if round > 0 { // the first is to warm
							took[i] = append(took[i], time.Since(begun))
						}
					})
				}
				all.Wait()
				tick.Stop()
			}
		}
		middle := func(i int) float64 {
			slices.Sort(took[i])
			return float64(took[i][len(took[i])/2].Nanoseconds()) / 1000
		}
		direct := middle(0)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(direct, "µs-direct")
		b.ReportMetric(middle(1)-direct, "µs-bare")
		b.ReportMetric(middle(2)-direct, "µs-keywheel")
		b.ReportMetric((middle(2)-direct)/(middle(1)-direct), "x-bare")
	}
}

// benchmarkStreams reports how much memory a process takes for each of 5,000
// open streams.
func benchmarkStreams(b *testing.B, begin func(b *testing.B, h http.Handler) upstream) {
	const streams = 5000
	for b.Loop() {
		var a, k, ratios []float64
		for range 3 {
			var held [2]float64
			for i, start := range []func(*testing.B, upstream) *rival{startBare, func(b *testing.B, up upstream) *rival { return startKeywheel(b, up, 1, 10) }} {
				r := start(b, begin(b, http.HandlerFunc(sayAWord)))
				r.client(b, 0).ask(b, []byte("{}"), 1)
				before := residentKB(r.pid)
				var conns []net.Conn
				for range streams {
					conns = append(conns, r.stream(b))
				}
				held[i] = float64(residentKB(r.pid)-before) / streams
				for _, c := range conns {
					_ = c.Close()
				}
				r.stop()
			}
			a, k, ratios = append(a, held[0]), append(k, held[1]), append(ratios, held[1]/held[0])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(a), "KB-bare")
		b.ReportMetric(median(k), "KB-keywheel")
		b.ReportMetric(median(ratios), "x-bare")
	}
}

// upstream is where requests go; ca vouches for it.
type upstream struct{ url, ca string }

func startPlain(b *testing.B, h http.Handler) upstream {
	s := httptest.NewServer(h)
	b.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return upstream{url: s.URL}
}

func startTLS(b *testing.B, h http.Handler) upstream   { return startSecure(b, h, false) }
func startHTTP2(b *testing.B, h http.Handler) upstream { return startSecure(b, h, true) }

func startSecure(b *testing.B, h http.Handler, http2 bool) upstream {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.StartTLS()
	b.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	ca := filepath.Join(b.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		b.Fatal(err)
	}
	return upstream{s.URL, ca}
}

// completion answers with about 1 KB.
var completion = answering(`"` + strings.Repeat("a", 850) + `"`)

// answering answers with a completion of one text, about 1 KB.
func answering(text string) http.HandlerFunc {
	answer := []byte(`{"id":"x","object":"chat.completion","choices":[{"message":{"role":"assistant","content":` + text + `}}],"usage":{"prompt_tokens":10,"completion_tokens":20}}`)
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	}
}

// empty answers with as little as there is.
var empty = answering(`""`)

// sayAWord says the first word of a stream and then nothing, but answers a request
// of two bytes.
func sayAWord(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 2 {
		empty(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// rival is a proxy in a process of its own.
type rival struct {
	pid     int
	addr    string
	stop    func()
	mu      sync.Mutex
	clients []*caller
}

// caller is one connection to a rival.
type caller struct {
	net.Conn
	br *bufio.Reader
}

// client is the i-th connection, made with its first use.
func (r *rival) client(b *testing.B, i int) *caller {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.clients) <= i {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		r.clients = append(r.clients, &caller{c, bufio.NewReader(c)})
	}
	return r.clients[i]
}

func head(length int) string {
	return fmt.Sprintf("POST /s0/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: OpenAI/Python 1.99.0\r\nAccept: application/json\r\n"+
		"Authorization: Bearer sk-test-not-a-key\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

// ask sends a prompt n times.
func (c *caller) ask(b *testing.B, text []byte, n int) {
	body := text
	if len(text) > 2 {
		body = fmt.Appendf(nil, `{"model":"gpt-4o","messages":[{"role":"user","content":"%s"}]}`, text)
	}
	request := append([]byte(head(len(body))), body...)
	for range n {
		_, err := c.Write(request)
		if err == nil {
			var res *http.Response
			if res, err = http.ReadResponse(c.br, nil); err == nil {
				if res.StatusCode != http.StatusOK {
					err = fmt.Errorf("answered %s", res.Status)
				}
				_, _ = io.Copy(io.Discard, res.Body)
			}
		}
		if err != nil {
			b.Error(err)
			return
		}
	}
}

// stream opens a stream and waits for its first word.
func (r *rival) stream(b *testing.B) net.Conn {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		b.Fatal(err)
	}
	body := `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"` + strings.Repeat("a", 900) + `"}]}`
	if _, err := io.WriteString(c, head(len(body))+body); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReaderSize(c, 512)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		if strings.HasPrefix(line, "data:") {
			return c
		}
	}
}

// startBare starts a bare reverse proxy.
func startBare(b *testing.B, up upstream) *rival {
	c := exec.Command("bareproxy", up.url, up.ca)
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	r := &rival{pid: c.Process.Pid, addr: strings.TrimSpace(addr), stop: func() { kill(c) }}
	b.Cleanup(r.stop)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// bareProxy is a program of its own: what one would write who wants nothing but
// to pass requests on, tuned as keywheel is.
func bareProxy() {
	up, err := url.Parse(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	base, err := proxy.NewBase(proxy.BaseOptions{CAFile: os.Args[2]})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	log.Fatal(http.Serve(l, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(up)
			r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/s0")
			r.Out.Header.Set("Authorization", "Bearer sk-test-not-a-key")
		},
		Transport:  base,
		ErrorLog:   log.New(io.Discard, "", 0),
		BufferPool: &copyBuffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	}))
}

type copyBuffers struct{ sync.Pool }

func (p *copyBuffers) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] }
func (p *copyBuffers) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

// startKeywheel starts the real program with its screen.
func startKeywheel(b *testing.B, up upstream, services, keys int) *rival {
	p := newProgram(b)
	var toml strings.Builder
	fmt.Fprintf(&toml, "listen = \"127.0.0.1:0\"\njournal = \"kw.db\"\n[providers.up]\nkind = \"openai\"\nbase_url = \"%s/v1\"\n", up.url)
	if up.ca != "" {
		fmt.Fprintf(&toml, "ca_file = %q\n", up.ca)
	}
	of := make([][]string, services)
	for i := range keys {
		p.env = append(p.env, fmt.Sprintf("KEY_%d=sk-test-not-a-key-%d", i, i))
		fmt.Fprintf(&toml, "[keys.k%d]\nprovider = \"up\"\nsecret = \"env:KEY_%d\"\nlimits = { rpm = 100_000_000, tpm = 1_000_000_000_000 }\n", i, i)
		of[i%services] = append(of[i%services], fmt.Sprintf("%q", fmt.Sprintf("k%d", i)))
	}
	for i, list := range of {
		fmt.Fprintf(&toml, "[services.s%d]\nkeys = [%s]\n", i, strings.Join(list, ", "))
	}
	write(b, p.config, toml.String())
	s := unseen(b, p.command(b.Context(), "--config", p.config, "--socket", p.socket))
	p.awaitAnswer(b)
	return &rival{pid: s.cmd.Process.Pid, addr: p.addr, stop: func() { s.end(syscall.SIGKILL) }}
}

//go:build unix

package node

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/secret"
)

// seen is what came of a request in the client's eyes, or what may come of it.
type seen int

const (
	served    seen            = 1 << iota // its own answer, whole
	refused                               // one error, in the client's dialect, that says why
	cut                                   // an answer that began, and a connection that broke
	comeLater                             // one error: no key can serve now, and when to come again
	keyless                               // one error: no key can serve until a person acts
	wrong                                 // anything else
	either    = refused | cut             // by how much of it came at once
)

func (s seen) String() string {
	var words []string
	for i, word := range [...]string{"served", "refused", "cut", "told to come later", "told that no key is left", "wrong"} {
		if s&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, " or ")
}

// kind is a sort of request.
type kind int

const (
	chat   kind = iota // a small JSON answer
	stream             // server-sent events
	create             // an image: never to be made twice
	list               // a GET with a large answer
	kinds
)

func (k kind) String() string { return [...]string{"chat", "stream", "create", "list"}[k] }

// repeatable is whether it may be sent again when nobody knows what came of it.
func (k kind) repeatable() bool { return k != create }

// sees are what a client sees of each kind where every key has the fault.
type sees [kinds]seen

var (
	// The fault is there before anything was said: one error says so.
	allRefused = sees{refused, refused, refused, refused}
	// The answer has begun. What is looked at whole before it goes out is
	// another's to answer, or an error; but half of what was made is better
	// than nothing.
	allCut    = sees{refused, cut, cut, cut}
	allServed = sees{served, served, served, served}
)

// fault is one way in which an upstream fails.
type fault struct {
	name string
	// do has a connection to itself.
	do   func(u *faulty, c net.Conn)
	sees sees
	// tls speaks HTTP/2 where it is well; dns is reached by name; down does not
	// listen.
	tls, down bool
	dns       nameAnswer
	// parting tells the other side now and then to come by another connection.
	parting bool
	// slow ends by a timeout of keywheel's, which is set to patient.
	slow bool
	// heavy is much to read, for fewer at once.
	heavy bool
}

// patient is as short as a busy machine allows: what is well must not seem to
// hang too. atOnce is for how many rows clients ask without pause at a time.
const (
	patient = 8 * time.Second
	atOnce  = 3
)

// TestFaults takes upstreams through each way of failing, while clients ask of a
// service where another key's upstream is well, and of one where none is. Every
// client sees its own answer, one honest error, or a broken connection; nothing
// is made twice; and when the fault ends all is as before.
//
//	go test -race -run '^TestFaults$' -v ./engine/node
func TestFaults(t *testing.T) { // alone, for it counts what is left
	log.SetOutput(io.Discard) // where net/http says what an upstream says out of turn
	http.DefaultClient.CloseIdleConnections()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	var rows, busy sync.WaitGroup
	turn := make(chan struct{}, atOnce) // more starve each other on a slow machine
	for _, f := range faults {          // before any of them begins to wait
		if !f.slow {
			busy.Add(1)
		}
	}
	for i, f := range faults {
		rows.Go(func() {
			t.Run(f.name, func(t *testing.T) {
				s := newSick(t, f, i)
				if f.slow {
					busy.Wait() // else what is well may seem to hang too
					s.suffer(16)
				} else {
					func() {
						defer busy.Done()
						turn <- struct{}{}
						defer func() { <-turn }()
						if f.heavy {
							s.suffer(4)
						} else {
							s.suffer(32)
						}
					}()
				}
				s.recover()
			})
		})
	}
	rows.Wait()
	for _, d := range deaths { // which would make what is slow slower
		rows.Go(func() { t.Run(d.String(), func(t *testing.T) { newDying(t).goes(d) }) })
	}
	rows.Wait()
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines+2 && openFiles() <= files+2 })
}

// sick is a node before an upstream with a fault and one that is well.
type sick struct {
	*Node
	t     *testing.T
	fault fault
	bad   *faulty
	well  *faulty
	*asker
}

func newSick(t *testing.T, f fault, i int) *sick {
	s := &sick{t: t, fault: f, bad: newFaulty(t, f, i), well: newFaulty(t, fault{}, i)}
	cfg := config.Defaults()
	cfg.Listen = "127.0.0.1:0"
	cfg.DialTimeout = time.Minute // what is well may be slow
	if f.slow {
		cfg.DialTimeout, cfg.HeaderTimeout, cfg.IdleTimeout = patient, patient, patient
	}
	for name, up := range map[string]*faulty{"bad": s.bad, "well": s.well, "alone1": s.bad, "alone2": s.bad} {
		provider := "openai"
		if strings.HasPrefix(name, "alone") {
			provider = "sick"
		}
		cfg.Engine.Keys = append(cfg.Engine.Keys, engine.Key{Name: name, Provider: provider, Kind: "openai", BaseURL: up.url + "/v1", CAFile: up.ca, Secret: secret.New(fake + name)})
	}
	cfg.Engine.Services = []engine.Service{{Name: "beside", Keys: []string{"bad", "well"}}, {Name: "alone", Keys: []string{"alone1", "alone2"}}}
	n, err := Start(Options{Config: cfg, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Node = n
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.asker = newAsker(t, n)
	return s
}

// suffer is the time of the fault, for at most n requests of each service.
func (s *sick) suffer(n int) {
	var loads sync.WaitGroup
	loads.Go(func() {
		s.load("beside", n, func(k kind) seen {
			is := s.fault.sees[k]
			if k.repeatable() {
				is &^= refused // by the other key
			}
			return is | served
		})
	})
	loads.Go(func() { s.load("alone", n, func(k kind) seen { return s.fault.sees[k] }) })
	for k := range kinds {
		loads.Go(func() {
			if got, why := s.askOnce("alone", k); got&s.fault.sees[k] == 0 {
				s.t.Errorf("a %s by itself was %s, want %s: %s", k, got, s.fault.sees[k], why)
			}
		})
	}
	loads.Wait()
}

// recover is the end of the fault, and what is left of it.
func (s *sick) recover() {
	s.bad.mend()
	well := func(kind) seen { return served }
	was := s.bad.count()
	// A create may still meet a connection that went with the fault.
	soon := func(k kind) seen {
		if k.repeatable() {
			return served
		}
		return served | refused
	}
	s.comesBack(func() bool { // whoever comes brings it back; nobody is turned away meanwhile
		s.load("beside", 4, soon)
		s.load("alone", 4, soon)
		snap := s.Snapshot()
		return len(snap.Incidents) == 0 && s.bad.count() > was && !slices.ContainsFunc(snap.Keys, func(k engine.KeyStatus) bool { return k.State != engine.Active })
	})
	s.load("beside", 16, well)
	s.load("alone", 16, well)
	snap := s.Snapshot()
	if snap.Proxy.InFlight != 0 || snap.Proxy.Waiting != 0 || snap.Proxy.Requests != s.asked.Load() {
		s.t.Errorf("at rest, of %d requests: %+v", s.asked.Load(), snap.Proxy)
	}
	for id, n := range merged(s.bad.seen(), s.well.seen()) {
		most := 3 // one other key, and one more try where a connection broke at once
		if strings.HasPrefix(id, create.String()) {
			most = 1
		}
		if n > most {
			s.t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// comesBack looks now and then until all is well, or is not.
func (s *sick) comesBack(well func() bool) {
	s.t.Helper()
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for range 1200 {
		if well() || s.t.Failed() {
			return
		}
		<-pace.C
	}
	snap := s.Snapshot()
	s.t.Errorf("it does not come back: %+v", snap.Incidents)
	for _, k := range snap.Keys {
		s.t.Errorf("%s is %s: %s, %+v", k.Name, k.State, k.Reason, k.Verdicts)
	}
}

func merged(a, b map[string]int) map[string]int {
	for id, n := range b {
		a[id] += n
	}
	return a
}

// load asks n times, of every kind, or as often as can begin within a second,
// and looks at what the clients see.
func (s *sick) load(service string, n int, want func(kind) seen) {
	s.t.Helper()
	var clients sync.WaitGroup
	var next atomic.Int64
	var mu sync.Mutex
	told := map[string]int{}
	begun := time.Now()
	for range min(n, 16) {
		clients.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				k := kind(i % int64(kinds))
				if got, why := s.ask(service, k); got&want(k) == 0 {
					mu.Lock()
					told[fmt.Sprintf("of %s, a %s was %s, want %s: %s", service, k, got, want(k), why)]++
					mu.Unlock()
				}
				if time.Since(begun) > time.Second {
					return
				}
			}
		})
	}
	clients.Wait()
	for _, what := range slices.Sorted(maps.Keys(told))[:min(len(told), 8)] {
		s.t.Errorf("%s (%d times)", what, told[what])
	}
}

// asker is the clients of a node.
type asker struct {
	addr   string
	client *http.Client
	asked  atomic.Int64
}

func newAsker(t *testing.T, n *Node) *asker {
	way := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(way.CloseIdleConnections) // or stopping waits for them
	return &asker{addr: n.Addr(), client: &http.Client{Transport: way, Timeout: 5 * time.Minute}}
}

// request is the next of its kind.
func (a *asker) request(service string, k kind) (req *http.Request, id string, err error) {
	id = fmt.Sprintf("%s-%d", k, a.asked.Add(1))
	method, path, body := k.request(id)
	req, err = http.NewRequest(method, "http://"+a.addr+"/"+service+"/v1"+path, strings.NewReader(body))
	if err != nil {
		return nil, id, err
	}
	req.Header.Set("X-Test-Id", id)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, id, nil
}

// ask makes one request and says what came of it.
func (a *asker) ask(service string, k kind) (seen, string) {
	req, id, err := a.request(service, k)
	if err != nil {
		return wrong, err.Error()
	}
	res, err := a.client.Do(req)
	if err != nil {
		return wrong, "no answer: " + err.Error()
	}
	return k.see(id, res)
}

// askOnce asks over a connection of its own, and looks at all that comes back
// over it: that is one answer, and nothing behind it.
func (a *asker) askOnce(service string, k kind) (seen, string) {
	req, id, err := a.request(service, k)
	if err != nil {
		return wrong, err.Error()
	}
	c, err := net.Dial("tcp", a.addr)
	if err != nil {
		return wrong, err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	req.Close = true
	if err := req.Write(c); err != nil {
		return wrong, err.Error()
	}
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, req)
	if err != nil {
		return wrong, "no answer: " + err.Error()
	}
	got, why := k.see(id, res)
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil && got != cut {
		return wrong, fmt.Sprintf("%s, and behind it %.100q, %v", got, rest, err)
	}
	return got, why
}

// see says what an answer is to its client.
func (k kind) see(id string, res *http.Response) (seen, string) {
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	head, code := res.Header, gjson.GetBytes(text, "error.code").Str
	retry, _ := strconv.Atoi(head.Get("Retry-After"))
	says := fmt.Sprintf("%s (%s at attempt %s)", gjson.GetBytes(text, "error.message").Str, head.Get("X-Keywheel-Key"), head.Get("X-Keywheel-Attempts"))
	switch kind := gjson.GetBytes(text, "error.type").Str; {
	case err != nil && res.StatusCode == http.StatusOK:
		return cut, err.Error()
	case err != nil:
		return wrong, fmt.Sprintf("a broken error %d: %v", res.StatusCode, err)
	case res.StatusCode == http.StatusOK && string(text) == k.answer(id):
		return served, head.Get("X-Keywheel-Key")
	case head.Get("X-Keywheel-Request") == "":
	case res.StatusCode == http.StatusBadGateway && code == "keywheel_upstream":
		return refused, says
	case res.StatusCode != http.StatusTooManyRequests || code != "keywheel_no_key":
	case kind == "rate_limit_error" && retry >= 1 && retry <= 30 && head["X-Should-Retry"] == nil:
		return comeLater, says
	case kind == "insufficient_quota" && head["Retry-After"] == nil && head.Get("X-Should-Retry") == "false":
		return keyless, says
	}
	return wrong, strings.ReplaceAll(fmt.Sprintf("%d %v %.300s", res.StatusCode, head, text), id, "ID")
}

func (k kind) request(id string) (method, path, body string) {
	switch k {
	case list:
		return http.MethodGet, "/models", ""
	case create:
		return http.MethodPost, "/images/generations", `{"model":"gpt-image-1","prompt":"` + id + `"}`
	case stream:
		return http.MethodPost, "/chat/completions", `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"` + id + `"}]}`
	default:
		return http.MethodPost, "/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"` + id + `"}]}`
	}
}

// answer is what an upstream that is well says to it.
func (k kind) answer(id string) string {
	switch k {
	case list:
		return `{"object":"list","data":[` + strings.Repeat(`{"id":"gpt-4o","object":"model"},`, 1000) + `{"id":"` + id + `"}]}`
	case create:
		return `{"created":1,"data":[{"url":"https://example.test/` + id + `"}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`
	case stream:
		return `data: {"choices":[{"delta":{"content":"` + id + `"}}]}` + "\n\n" +
			strings.Repeat(`data: {"choices":[{"delta":{"content":"and so on"}}]}`+"\n\n", 4) +
			`data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}` + "\n\ndata: [DONE]\n\n"
	default:
		return `{"id":"` + id + `","object":"chat.completion","choices":[{"message":{"role":"assistant","content":"` + strings.Repeat("so ", 100) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	}
}

func (k kind) contentType() string {
	if k == stream {
		return "text/event-stream"
	}
	return "application/json"
}

// kindOf tells a request's kind by its id.
func kindOf(r *http.Request) (kind, string) {
	id := r.Header.Get("X-Test-Id")
	for k := range kinds {
		if strings.HasPrefix(id, k.String()) {
			return k, id
		}
	}
	return 0, id
}

// faulty is an upstream: well, once its fault is mended.
type faulty struct {
	t    *testing.T
	url  string
	ca   string // a file, where it speaks TLS
	addr string
	// fault is what each connection has, nil once mended.
	fault atomic.Pointer[fault]
	hired *handover
	// cert is what it speaks TLS by.
	server *httptest.Server

	mu    sync.Mutex
	l     net.Listener
	conns map[net.Conn]bool // those with the fault
	got   map[string]int    // by id
	work  sync.WaitGroup
}

func newFaulty(t *testing.T, f fault, i int) *faulty {
	u := &faulty{t: t, conns: map[net.Conn]bool{}, got: map[string]int{}, hired: &handover{conns: make(chan net.Conn), closed: make(chan struct{})}}
	if f.do != nil || f.down || f.dns != 0 || f.parting {
		u.fault.Store(&f)
	}
	// One that goes down wants its port back: nobody else takes ports there.
	u.addr = "127.0.0.1:0"
	if f.down && runtime.GOOS == "linux" {
		u.addr = fmt.Sprintf("127.77.0.%d:0", i+1)
	}
	u.listen()
	u.server = httptest.NewUnstartedServer(u)
	u.server.EnableHTTP2 = true
	_ = u.server.Listener.Close()
	u.hired.addr = u.l.Addr()
	u.server.Listener = u.hired
	u.url = "http://" + u.addr
	if f.tls {
		u.server.StartTLS()
		u.url = "https://" + u.addr
		u.ca = certificateFile(t, u.server)
	} else {
		u.server.Start()
	}
	if f.dns != 0 {
		name := fmt.Sprintf("row%d.faults.test", i)
		setName(name, f.dns)
		_, port, _ := net.SplitHostPort(u.addr)
		u.url = "http://" + name + ":" + port
	}
	if f.down {
		_ = u.l.Close()
	} else {
		u.accept()
	}
	t.Cleanup(func() {
		u.mend()
		_ = u.l.Close()
		u.server.Close()
		u.work.Wait()
	})
	return u
}

// certificateFile is a file that vouches for a server.
func certificateFile(t *testing.T, s *httptest.Server) string {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (u *faulty) listen() {
	u.t.Helper()
	l, err := net.Listen("tcp", u.addr)
	if err != nil {
		u.t.Fatal(err)
	}
	u.l, u.addr = l, l.Addr().String()
}

func (u *faulty) accept() {
	l := u.l
	u.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.take(c)
		}
	})
}

// take gives a connection to the fault, or to the server where there is none.
func (u *faulty) take(c net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.fault.Load()
	if f == nil || f.do == nil {
		select {
		case u.hired.conns <- c:
		case <-u.hired.closed:
			_ = c.Close()
		}
		return
	}
	u.conns[c] = true
	u.work.Go(func() {
		f.do(u, c)
		_ = c.Close()
		u.mu.Lock()
		delete(u.conns, c)
		u.mu.Unlock()
	})
}

// mend ends the fault.
func (u *faulty) mend() {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.fault.Swap(nil)
	for c := range u.conns {
		_ = c.Close()
	}
	if f != nil && f.down {
		u.listen()
		u.accept()
	}
	if f != nil && f.dns != 0 {
		name, _, _ := net.SplitHostPort(strings.TrimPrefix(u.url, "http://"))
		setName(name, found)
	}
}

// ServeHTTP is the upstream that is well.
func (u *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	k, id := kindOf(r)
	n := u.note(id)
	w.Header().Set("Content-Type", k.contentType())
	if f := u.fault.Load(); f != nil && f.parting && n%4 == 0 {
		w.Header().Set("Connection", "close") // over HTTP/2 a GOAWAY
	}
	_, _ = io.WriteString(w, k.answer(id))
}

// note counts a request; it is the nth.
func (u *faulty) note(id string) (nth int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.got[id]++
	return len(u.got)
}

func (u *faulty) seen() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.got)
}

func (u *faulty) count() (n int) {
	for _, c := range u.seen() {
		n += c
	}
	return n
}

// handover is a listener of connections that another accepted.
type handover struct {
	conns  chan net.Conn
	addr   net.Addr
	closed chan struct{}
	once   sync.Once
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.addr }

// call is a request that a fault answers.
type call struct {
	net.Conn
	kind kind
	id   string
	// head and body are the answer it should get.
	head, body string
}

// write sends text; what the other side does with it is its own affair.
func (c *call) write(text string) { _, _ = io.WriteString(c, text) }

// half is as much of the body as tells something.
func (c *call) half() string {
	if c.kind == stream {
		first, _, _ := strings.Cut(c.body, "\n\n")
		return first + "\n\n"
	}
	return c.body[:len(c.body)/2]
}

// hang waits until the other side has had enough.
func (c *call) hang() { _, _ = io.Copy(io.Discard, c) }

// reset closes so that the other side sees a reset.
func (c *call) reset() { reset(c.Conn) }

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// begun sends the head and half of the body.
func (c *call) begun() *call {
	c.write(c.head + c.half())
	return c
}

// chunked sends the head of a body of unknown length, and half of it.
func (c *call) chunked() *call {
	head := strings.ReplaceAll(c.head, fmt.Sprintf("Content-Length: %d", len(c.body)), "Transfer-Encoding: chunked")
	c.write(fmt.Sprintf("%s%x\r\n%s\r\n", head, len(c.half()), c.half()))
	return c
}

// drip sends text by the byte.
func (c *call) drip(text string, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := range len(text) {
		<-tick.C
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
	}
}

// answers is a fault that is in the answer to each request; again says that the
// connection takes another.
func answers(how func(c *call) (again bool)) func(*faulty, net.Conn) {
	return func(u *faulty, conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			c := &call{Conn: conn}
			c.kind, c.id = kindOf(r)
			u.note(c.id)
			c.body = c.kind.answer(c.id)
			c.head = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", c.kind.contentType(), len(c.body))
			if !how(c) {
				return
			}
		}
	}
}

// ends is a fault after which the connection takes no more.
func ends(how func(c *call)) func(*faulty, net.Conn) {
	return answers(func(c *call) bool {
		how(c)
		return false
	})
}

var faults = []fault{
	{name: "hangs before its head", slow: true, sees: allRefused, do: ends((*call).hang)},
	{name: "closes without a word", sees: allRefused, do: ends(func(c *call) {})},
	{name: "resets", sees: allRefused, do: ends((*call).reset)},
	{name: "talks garbage", sees: allRefused, do: ends(func(c *call) { c.write(strings.Repeat("\x00\xff<html>\r\n", 400)) })},
	{name: "half a head", sees: allRefused, do: ends(func(c *call) { c.write(c.head[:len(c.head)-9]) })},
	{name: "half a head and hangs", slow: true, sees: allRefused, do: ends(func(c *call) {
		c.write(c.head[:len(c.head)-9])
		c.hang()
	})},
	{name: "a head by drops", slow: true, sees: allRefused, do: ends(func(c *call) {
		c.write("HTTP/1.1 200 OK\r\n")
		c.drip(strings.Repeat("X-Drop: 1\r\n", 1000), 20*time.Millisecond)
	})},
	{name: "a head of 100 MB", heavy: true, sees: allRefused, do: ends(func(c *call) {
		c.write("HTTP/1.1 200 OK\r\n")
		line := "X-Much: " + strings.Repeat("x", 100_000) + "\r\n"
		for range 1000 {
			if _, err := io.WriteString(c, line); err != nil {
				return
			}
		}
	})},
	{name: "a line of 100 MB", heavy: true, sees: allRefused, do: ends(func(c *call) {
		for range 1000 {
			if _, err := io.WriteString(c, strings.Repeat("x", 100_000)); err != nil {
				return
			}
		}
	})},
	{name: "hints without end", heavy: true, sees: allRefused, do: ends(func(c *call) {
		for range 10_000 {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"); err != nil {
				return
			}
		}
	})},
	{name: "two lengths", sees: allRefused, do: ends(func(c *call) {
		c.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ntext")
	})},
	{name: "hangs in the body", slow: true, sees: allCut, do: ends(func(c *call) { c.begun().hang() })},
	{name: "closes in the body", sees: allCut, do: ends(func(c *call) { c.begun() })},
	{name: "resets in the body", sees: allCut, do: ends(func(c *call) { c.begun().reset() })},
	{name: "hangs between chunks", slow: true, sees: sees{cut, cut, cut, cut}, do: ends(func(c *call) { c.chunked().hang() })},
	{name: "no last chunk", sees: sees{either, cut, cut, either}, do: ends(func(c *call) { c.chunked() })},
	{name: "garbage between chunks", sees: sees{either, cut, cut, either}, do: ends(func(c *call) { c.chunked().write("no number\r\n") })},
	{name: "says more than it told", sees: allServed, do: answers(func(c *call) bool {
		c.write(c.head + c.body + "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\nforged")
		return true
	})},
	{name: "a slow drip", sees: allServed, do: ends(func(c *call) {
		last := max(len(c.body)-100, 0)
		c.write(strings.Replace(c.head, "\r\n", "\r\nConnection: close\r\n", 1) + c.body[:last])
		c.drip(c.body[last:], time.Millisecond)
	})},
	{name: "does not listen", sees: allRefused, down: true},
	{name: "its name is not known", sees: allRefused, dns: unknown},
	{name: "the names' server fails", sees: allRefused, dns: failing},
	{name: "the names' server hangs", slow: true, sees: allRefused, dns: silent},
	{name: "no TLS", sees: allRefused, tls: true, do: func(_ *faulty, c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	}},
	{name: "TLS hangs", slow: true, sees: allRefused, tls: true, do: func(_ *faulty, c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
	{name: "TLS breaks off", sees: allRefused, tls: true, do: func(_ *faulty, c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 100))
		reset(c)
	}},
	{name: "TLS of somebody else", sees: allRefused, tls: true, do: func(_ *faulty, c net.Conn) { _ = stranger(c).Handshake() }},
	// Whoever is slow to read may find that it has hung up in the middle.
	{name: "GOAWAY with an answer", sees: sees{served | refused, served | either, served | either, served | either}, tls: true, parting: true},
	{name: "GOAWAY at once", sees: allRefused, tls: true, do: streams(func(c *h2, stream uint32) { c.goAway(0) })},
	{name: "GOAWAY instead of an answer", sees: allRefused, tls: true, do: streams(func(c *h2, stream uint32) { c.goAway(stream) })},
	{name: "GOAWAY in the body", sees: sees{either, either, either, either}, tls: true, do: streams(func(c *h2, stream uint32) {
		c.frame(headersFrame, endHeaders, stream, []byte{status200})
		c.frame(dataFrame, 0, stream, []byte("half"))
		c.goAway(stream)
	})},
	{name: "every stream is refused", sees: allRefused, tls: true, do: streams(func(c *h2, stream uint32) { c.frame(resetFrame, 0, stream, []byte{0, 0, 0, refusedStream}) })},
	{name: "frames of garbage", sees: allRefused, tls: true, do: streams(func(c *h2, stream uint32) { c.frame(headersFrame, endHeaders, stream, []byte("garbage")) })},
}

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keywheel/engine"
)

// real is the real program, started again and again on one config and journal,
// before an upstream that counts what it is asked.
type real struct {
	*program
	t    *testing.T
	up   *httptest.Server
	held chan struct{} // open while an upstream's stream shall not end
	// answer is what upstream says instead, where it is set.
	answer http.HandlerFunc

	mu   sync.Mutex
	seen map[string]int // by the client's id

	asked atomic.Int64
}

func newReal(t *testing.T, keys int) *real {
	r := &real{program: newProgram(t), t: t, seen: map[string]int{}, held: make(chan struct{})}
	r.up = httptest.NewServer(r)
	t.Cleanup(func() {
		r.up.CloseClientConnections()
		r.up.Close()
	})
	r.configure(t, r.up.URL, keys)
	return r
}

// ServeHTTP is the upstream: a stream tells its id in two events, anything else
// at once.
func (r *real) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	id := req.Header.Get("X-Test-Id")
	r.mu.Lock()
	r.seen[id]++
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req)
		return
	}
	if !strings.HasPrefix(id, "stream") {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, id)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 2 {
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", id)
		w.(http.Flusher).Flush()
		if i == 0 && strings.HasPrefix(id, "stream-held") {
			select {
			case <-r.held:
			case <-req.Context().Done():
			}
		}
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func (r *real) times(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[id]
}

// chat is where chats are asked for.
func (r *real) chat() string { return r.url("/ui/v1/chat/completions") }

// The views of a client.
const (
	wholeView    = "its answer"
	drainingView = "a word that it is shutting down"
	nothingView  = "no answer"
	cutView      = "half an answer and a broken connection"
	// what it needs is not to be had on this machine
	exhaustedView = "that it is out of descriptors"
)

// ask sends a request and says what its client sees.
func (r *real) ask(client *http.Client, sort string) (id, view string) {
	id = fmt.Sprintf("%s-%d", sort, r.asked.Add(1))
	req, err := http.NewRequest(http.MethodPost, r.chat(), strings.NewReader(`{"model":"gpt-4o","stream":`+fmt.Sprint(sort != "chat")+`,"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		return id, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Test-Id", id)
	res, err := client.Do(req)
	if err != nil {
		return id, nothingView
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	switch said := string(text); {
	case err != nil && res.StatusCode == http.StatusOK:
		return id, cutView
	case res.StatusCode == http.StatusServiceUnavailable && strings.Contains(said, "keywheel_draining"):
		return id, drainingView
	case res.StatusCode == http.StatusServiceUnavailable && strings.Contains(said, "keywheel_exhausted"):
		return id, exhaustedView
	case res.StatusCode == http.StatusOK && (sort == "chat" && strings.Contains(said, `"`+id+`"`) || strings.Count(said, `"`+id+`"`) == 2 && strings.HasSuffix(said, "[DONE]\n\n")):
		return id, wholeView
	default:
		return id, fmt.Sprintf("%d %.300s %v", res.StatusCode, said, err)
	}
}

// TestSignals sends the real program each signal at random times while clients
// keep it busy. A reload is not seen by any of them, nor that it stood still for
// a while. When it is asked to stop, each request is answered whole, told that it
// is shutting down, or never came in: no answer means that upstream was not
// asked. Killed, it breaks off, but no answer looks whole that is not. The next
// start goes on where it stood.
//
//	go test -race -run '^TestSignals$' -v ./cmd/keywheel
func TestSignals(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	r := newReal(t, 2)
	for round, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		r.serve(t)
		if before, killed := r.requests(), round == 3; before != r.upstreamCalls() && !killed {
			t.Errorf("round %d: %d requests are remembered, upstream was asked %d", round, before, r.upstreamCalls())
		} else if killed { // what was under way is not known
			r.mu.Lock()
			clear(r.seen)
			r.seen["before"] = before
			r.mu.Unlock()
		}
		views := r.load(rng, end)
		err := r.cmd.Wait()
		var how *exec.ExitError
		if killed := errors.As(err, &how) && how.Sys().(syscall.WaitStatus).Signaled(); killed != (end == syscall.SIGKILL) || !killed && err != nil {
			t.Errorf("round %d: after %v it ended with %v\n%s", round, end, err, r.log.text())
		}
		if end != syscall.SIGKILL {
			r.log.await(t, "stopped")
		}
		t.Logf("%v: %v", end, views)
		for view := range views {
			if view != wholeView && view != nothingView && view != drainingView && (view != cutView || end != syscall.SIGKILL) {
				t.Errorf("round %d: under %v a client saw %s", round, end, view)
			}
		}
		if views[wholeView] < 20 {
			t.Errorf("round %d: only %d were answered", round, views[wholeView])
		}
	}
}

// load keeps it busy, has it reload now and then, and sends it a last signal. It
// counts what clients see.
func (r *real) load(rng *rand.Rand, end syscall.Signal) map[string]int {
	way := &http.Transport{MaxIdleConnsPerHost: 16}
	defer way.CloseIdleConnections()
	client := &http.Client{Transport: way, Timeout: 5 * time.Minute}
	var mu sync.Mutex
	var clients sync.WaitGroup
	views := map[string]int{}
	whole := make(chan struct{}, 1000)
	for i := range 8 {
		sort := []string{"chat", "stream"}[i%2]
		clients.Go(func() {
			for {
				id, view := r.ask(client, sort)
				if n := r.times(id); n > 1 || view == drainingView && n > 0 || view == nothingView && n > 0 && end != syscall.SIGKILL {
					r.t.Errorf("under %v, %s got %s, and upstream was asked %d times", end, id, view, n)
				}
				mu.Lock()
				views[view]++
				mu.Unlock()
				if view != wholeView {
					return
				}
				select {
				case whole <- struct{}{}:
				default:
				}
			}
		})
	}
	signals := []syscall.Signal{syscall.SIGHUP, syscall.SIGSTOP, syscall.SIGHUP, end}
	for _, s := range signals {
		for range 10 + rng.IntN(20) { // at a random time
			<-whole
		}
		if s == end {
			time.Sleep(time.Duration(rng.IntN(int(2 * time.Millisecond))))
		}
		if err := r.cmd.Process.Signal(s); err != nil {
			r.t.Error(err)
		}
		if s == syscall.SIGSTOP { // as when the machine sleeps
			time.Sleep(time.Duration(rng.IntN(int(100 * time.Millisecond))))
			if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				r.t.Error(err)
			}
		}
	}
	clients.Wait()
	return views
}

// requests is how often keys were asked, as the program remembers.
func (r *real) requests() (n int) {
	for _, k := range r.snapshot(r.t).Keys {
		n += int(k.Requests)
	}
	return n
}

func (r *real) upstreamCalls() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, k := range r.seen {
		if id == "" {
			continue // its own calls
		}
		n += k
	}
	return n
}

// begins is a way that tells when an answer has begun.
type begins struct{ begun chan<- struct{} }

func (b begins) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	close(b.begun)
	return res, err
}

// A second signal does not wait for what runs.
func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	r := newReal(t, 1)
	r.serve(t)
	begun, views := make(chan struct{}), make(chan string, 1)
	go func() {
		_, view := r.ask(&http.Client{Transport: begins{begun}}, "stream-held")
		views <- view
	}()
	<-begun
	for _, text := range []string{"draining", ""} {
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		r.log.await(t, text)
	}
	var how *exec.ExitError
	if err := r.cmd.Wait(); !errors.As(err, &how) || !how.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("it ended with %v", err)
	}
	if view := <-views; view != cutView {
		t.Errorf("the client saw %s", view)
	}
}

// TestOutOfDescriptors lets clients take all file descriptors that the real
// program may have. Whoever comes in gets its answer or one honest error,
// whoever does not waits; no key is blamed, and when they leave all is as before.
//
//	go test -race -run '^TestOutOfDescriptors$' -v ./cmd/keywheel
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	r := newReal(t, 2)
	r.first = "ulimit -n 64;"
	r.serve(t)
	before := r.requests() // and the socket has its connection
	const crowd = 100
	views := make(chan string, crowd)
	answered, leave := make(chan struct{}, crowd), make(chan struct{})
	var clients sync.WaitGroup
	for range crowd {
		clients.Go(func() {
			way := &http.Transport{} // its connection stays open until it leaves
			defer way.CloseIdleConnections()
			_, view := r.ask(&http.Client{Transport: way, Timeout: 5 * time.Minute}, "chat")
			views <- view
			answered <- struct{}{}
			<-leave
		})
	}
	for range 20 {
		<-answered
	}
	close(leave)
	clients.Wait()
	close(views)
	seen := map[string]int{}
	for view := range views {
		seen[view]++
	}
	t.Logf("%v", seen)
	if seen[wholeView]+seen[exhaustedView] != crowd || seen[wholeView] == 0 {
		t.Errorf("clients saw %v", seen)
	}
	for range 40 {
		if id, view := r.ask(http.DefaultClient, "chat"); view != wholeView {
			t.Errorf("afterwards %s got %s", id, view)
		}
	}
	s := r.snapshot(t)
	if len(s.Incidents) > 0 || s.Proxy.InFlight > 0 || s.Journal.Error != "" {
		t.Errorf("afterwards: %+v %+v %+v", s.Incidents, s.Proxy, s.Journal)
	}
	for _, k := range s.Keys {
		if k.State != engine.Active || k.Verdicts.UpstreamFault > 0 || int(k.Requests) < before+20 {
			t.Errorf("%s is %s: %+v", k.Name, k.State, k.Verdicts)
		}
	}
}

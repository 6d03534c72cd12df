package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// TestSoak has the real program serve mixed traffic, for as long as
// KEYWHEEL_SOAK says, while its provider fails in every way, its config changes
// and operators act, all at random. Afterwards the books balance to the request
// and the program takes what it took before.
//
//	KEYWHEEL_SOAK=30m go test -run '^TestSoak$' -v -timeout 40m ./cmd/keywheel
func TestSoak(t *testing.T) {
	t.Parallel()
	long, err := time.ParseDuration(cmp.Or(os.Getenv("KEYWHEEL_SOAK"), "3s"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSoak(t)
	before := s.system(t)
	s.calm(t)
	s.storm(t, long)
	s.calm(t)
	s.balance(t)
	s.rest(t, before)
}

// soak is the program, its provider and what both saw.
type soak struct {
	*program
	up      *sim.Upstream
	fronts  [2]*httptest.Server // before it: HTTP/1.1, and HTTP/2 over TLS
	clients *http.Client
	keys    []string
	// calls counts what reached the provider, by the key's secret. One in
	// faulty of those is not answered as it should be; 0 is none.
	calls  map[string]*atomic.Int64
	faulty atomic.Int64
	// What the clients saw: every request is one of served, refused (by status)
	// and broken, or its client left.
	sent, served, broken, left atomic.Int64
	refused                    [600]atomic.Int64
	reloads, actions, made     atomic.Int64
}

func newSoak(t *testing.T) *soak {
	s := &soak{program: newProgram(t), calls: map[string]*atomic.Int64{}}
	s.clients = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 5 * time.Minute}
	var keys []sim.Key
	for i := range 8 {
		k := sim.Key{Name: fmt.Sprintf("k%d", i), Account: fmt.Sprintf("a%d", i/2), Secret: secret.New(fmt.Sprintf("sk-test-not-a-key-%d", i)),
			Latency: sim.Latency{Median: 4 * time.Millisecond, Max: 20 * time.Millisecond}}
		s.keys, keys = append(s.keys, k.Name), append(keys, k)
		s.calls["Bearer "+k.Secret.Reveal()] = &atomic.Int64{}
		write(t, filepath.Join(s.dir, k.Name), k.Secret.Reveal())
	}
	var err error
	if s.up, err = sim.NewUpstream("openai", sim.Options{Seed: 1, Models: []string{"gpt-4o"}}, keys...); err != nil {
		t.Fatal(err)
	}
	s.fronts = [2]*httptest.Server{httptest.NewServer(s), httptest.NewUnstartedServer(s)}
	s.fronts[1].EnableHTTP2 = true
	s.fronts[1].StartTLS()
	for _, f := range s.fronts {
		t.Cleanup(f.Close)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.fronts[1].Certificate().Raw})
	write(t, filepath.Join(s.dir, "ca.pem"), string(ca))
	write(t, s.config, s.toml("round-robin"))
	s.serve(t)
	return s
}

// toml is the config with a strategy. Each half of the keys has a front.
func (s *soak) toml(strategy string) string {
	var b strings.Builder
	b.WriteString("listen = \"127.0.0.1:0\"\njournal = \"kw.db\"\npatience = \"1s\"\n")
	for i, f := range s.fronts {
		fmt.Fprintf(&b, "[providers.up%d]\nkind = \"openai\"\nbase_url = \"%s/v1\"\nca_file = %q\n", i, f.URL, filepath.Join(s.dir, "ca.pem"))
	}
	for i, name := range s.keys {
		fmt.Fprintf(&b, "[keys.%s]\nprovider = \"up%d\"\nsecret = \"file:%s\"\naccount = \"a%d\"\n", name, i*len(s.fronts)/len(s.keys), name, i/2)
	}
	fmt.Fprintf(&b, "[services.ui]\nkeys = [\"%s\"]\nstrategy = %q\n", strings.Join(s.keys, `", "`), strategy)
	return b.String()
}

// ServeHTTP is the provider: it counts, and now and then fails as no provider
// says it does.
func (s *soak) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/models" { // the free test call, which is nobody's request
		s.up.ServeHTTP(w, r)
		return
	}
	if n := s.calls[r.Header.Get("Authorization")]; n != nil {
		n.Add(1)
	}
	// Where the connection of a GET breaks, Go's Transport asks again, unseen.
	f := s.faulty.Load()
	if f == 0 || rand.Int64N(f) > 0 || r.Method == http.MethodGet {
		s.up.ServeHTTP(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	switch rand.IntN(5) {
	case 0: // resets
		panic(http.ErrAbortHandler)
	case 1: // ends in the middle
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"id":`)
		panic(http.ErrAbortHandler)
	case 2: // garbage
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(c, "\x00\xff garbage\r\n\r\n")
			_ = c.Close()
		} else {
			panic(http.ErrAbortHandler) // over HTTP/2 nobody gets at the connection
		}
	case 3: // a proxy's page
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>bad gateway</html>")
	case 4: // no word for a while, then an answer
		select {
		case <-time.After(time.Duration(rand.IntN(300)) * time.Millisecond):
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// errand is something a client does.
type errand struct {
	weight int
	do     func(*soak, context.Context)
}

var errands = []errand{
	{50, func(s *soak, ctx context.Context) { s.ask(ctx, chatBody(20, false), 0) }},
	{25, func(s *soak, ctx context.Context) { s.ask(ctx, chatBody(20, true), 0) }},
	{8, func(s *soak, ctx context.Context) { s.ask(ctx, chatBody(20, true), 1) }}, // leaves
	{7, func(s *soak, ctx context.Context) { s.ask(ctx, chatBody(300_000, false), 0) }},
	{10, func(s *soak, ctx context.Context) {
		text := s.do(ctx, http.MethodPost, "/files", "multipart/form-data; boundary=x", strings.Repeat("--x--", 10_000), 0)
		if _, id, ok := strings.Cut(text, `"id":"`); ok {
			s.made.Add(1)
			id, _, _ = strings.Cut(id, `"`)
			s.do(ctx, http.MethodGet, "/files/"+id, "", "", 0)
		}
	}},
}

func chatBody(size int, stream bool) string {
	return fmt.Sprintf(`{"model":"gpt-4o","stream":%v,"max_tokens":60,"messages":[{"role":"user","content":%q}]}`, stream, strings.Repeat("x", size))
}

func (s *soak) ask(ctx context.Context, body string, leaveAfter int) {
	s.do(ctx, http.MethodPost, "/chat/completions", "application/json", body, leaveAfter)
}

// do sends a request, counts what becomes of it, and returns what came. A
// client that leaves does so after so many bytes.
func (s *soak) do(ctx context.Context, method, path, kind, body string, leaveAfter int) string {
	req, err := http.NewRequestWithContext(ctx, method, s.url("/ui/v1"+path), strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", kind)
	s.sent.Add(1)
	res, err := s.clients.Do(req)
	if err != nil {
		s.broken.Add(1)
		return ""
	}
	defer res.Body.Close()
	if leaveAfter > 0 && res.StatusCode == http.StatusOK {
		_, _ = io.CopyN(io.Discard, res.Body, int64(leaveAfter))
		s.left.Add(1)
		return ""
	}
	var text bytes.Buffer
	switch _, err := text.ReadFrom(res.Body); {
	case err != nil:
		s.broken.Add(1)
	case res.StatusCode != http.StatusOK:
		s.refused[res.StatusCode].Add(1)
		<-time.After(50 * time.Millisecond) // clients do not hammer
	default:
		s.served.Add(1)
		return text.String()
	}
	return ""
}

// calm serves until nothing has failed for a moment, which it must come to by
// itself within a minute: nobody acts, and nothing fails.
func (s *soak) calm(t *testing.T) {
	t.Helper()
	for range 600 {
		served, sent := s.served.Load(), s.sent.Load()
		s.crowd(t.Context(), 16, func() bool { return s.served.Load() >= served+500 || s.sent.Load() >= sent+2000 })
		snap := s.snapshot(t)
		usable := 0
		for _, k := range snap.Keys {
			if k.State == engine.Active {
				usable++
			}
		}
		if usable == len(s.keys) && snap.Proxy.InFlight == 0 && snap.Proxy.Waiting == 0 && len(snap.Incidents) == 0 {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	snap := s.snapshot(t)
	for _, k := range snap.Keys {
		t.Errorf("after a minute of calm %s is %v %s %+v", k.Name, k.State, k.Reason, k.Holds)
	}
	t.Fatalf("after a minute of calm: %+v, incidents %+v", snap.Proxy, snap.Incidents)
}

// crowd has as many clients run errands until enough.
func (s *soak) crowd(ctx context.Context, clients int, enough func() bool) {
	total := 0
	for _, e := range errands {
		total += e.weight
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for !enough() && ctx.Err() == nil {
				n, i := rand.IntN(total), 0
				for ; n >= errands[i].weight; i++ {
					n -= errands[i].weight
				}
				errands[i].do(s, ctx)
			}
		})
	}
	all.Wait()
}

// storm is everything at once, for some time.
func (s *soak) storm(t *testing.T, long time.Duration) {
	var over atomic.Bool
	var all sync.WaitGroup
	// every does something again and again, at random moments around a time.
	every := func(d time.Duration, do func()) {
		all.Go(func() {
			for !over.Load() {
				<-time.After(d/2 + rand.N(d))
				do()
			}
		})
	}
	name := func() string { return s.keys[rand.IntN(len(s.keys))] }
	s.faulty.Store(50)
	every(500*time.Millisecond, func() {
		key := name()
		switch rand.IntN(6) {
		case 0:
			s.up.Limit(key, 1200)
		case 1:
			s.up.Exhaust(key, time.Now().Add(2*time.Second))
		case 2:
			s.up.Revoke(key)
		case 3:
			s.up.CutStreams(1 + rand.IntN(3))
		case 4:
			s.up.SetOutage([]int{503, 500, 529}[rand.IntN(3)])
			<-time.After(200 * time.Millisecond)
			s.up.SetOutage(0)
		case 5:
			s.up.SetSlow(1 + 10*rand.Float64())
		}
	})
	every(500*time.Millisecond, func() {
		key := name()
		s.up.Restore(key)
		_, _ = s.client.Do(t.Context(), engine.Action{Verb: engine.VerbLift, Key: key}) // revoked stands until a person acts
	})
	every(200*time.Millisecond, func() {
		verbs := []engine.Verb{engine.VerbDisable, engine.VerbEnable, engine.VerbEnable, engine.VerbRotate, engine.VerbPin, engine.VerbUnpin,
			engine.VerbDrain, engine.VerbEnable, engine.VerbFail, engine.VerbLift, engine.VerbUndo}
		a := engine.Action{Verb: verbs[rand.IntN(len(verbs))], Service: "ui", Key: name(), ForS: 1}
		if _, err := s.client.Do(t.Context(), a); err == nil {
			s.actions.Add(1)
		}
	})
	every(700*time.Millisecond, func() {
		text := s.toml([]string{"round-robin", "failover", "headroom", "affinity"}[rand.IntN(4)])
		if rand.IntN(4) == 0 {
			text = "this is [no TOML"
		}
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		s.reloads.Add(1)
	})
	until := time.Now().Add(long)
	s.crowd(t.Context(), 24, func() bool { return time.Now().After(until) })
	over.Store(true)
	all.Wait()
	// The provider is well again, and the operator takes back what he did.
	s.faulty.Store(0)
	s.up.SetOutage(0)
	s.up.SetSlow(1)
	s.up.CutStreams(0)
	write(t, s.config, s.toml("round-robin"))
	_, _ = s.client.Do(t.Context(), engine.Action{Verb: engine.VerbUnpin, Service: "ui"})
	for _, key := range s.keys {
		s.up.Restore(key)
		for _, verb := range []engine.Verb{engine.VerbEnable, engine.VerbLift} { // a revoked key waits for a person
			_, _ = s.client.Do(t.Context(), engine.Action{Verb: verb, Key: key})
		}
	}
}

func (s *soak) system(t *testing.T) engine.SystemStatus {
	t.Helper()
	st, err := s.client.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// balance compares what the clients, the program and the provider counted.
func (s *soak) balance(t *testing.T) {
	snap := s.snapshot(t)
	refused := int64(0)
	for i := range s.refused {
		if n := s.refused[i].Load(); n > 0 {
			refused += n
			t.Logf("%d answered %d", n, i)
		}
	}
	sent, served, broken, left := s.sent.Load(), s.served.Load(), s.broken.Load(), s.left.Load()
	t.Logf("%d requests: %d served, %d refused, %d broken, %d left; %d reloads, %d actions; %+v", sent, served, refused, broken, left, s.reloads.Load(), s.actions.Load(), snap.Proxy)
	if served+refused+broken+left != sent {
		t.Errorf("of %d requests %d were answered or left", sent, served+refused+broken+left)
	}
	if snap.Proxy.Requests != sent {
		t.Errorf("keywheel counts %d requests, the clients sent %d", snap.Proxy.Requests, sent)
	}
	if served < sent/2 {
		t.Errorf("only %d of %d were served", served, sent)
	}
	var ofKeys, ofProvider int64
	for _, k := range snap.Keys {
		ofKeys += k.Requests
	}
	for _, n := range s.calls {
		ofProvider += n.Load()
	}
	if ofKeys != ofProvider {
		t.Errorf("the keys count %d requests together, their provider saw %d", ofKeys, ofProvider)
	}
	inJournal := s.used(t)
	for range 600 { // it may be a moment behind
		if inJournal == ofProvider {
			break
		}
		<-time.After(100 * time.Millisecond)
		inJournal = s.used(t)
	}
	if inJournal != ofProvider {
		t.Errorf("the journal has %d requests, their provider saw %d", inJournal, ofProvider)
	}
}

// used is how many requests the journal has.
func (s *soak) used(t *testing.T) (sum int64) {
	out, err := s.command(t.Context(), "usage", "--by", "key", "--json", "--config", s.config, "--socket", s.socket).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range gjson.GetBytes(out, "rows.#.requests").Array() {
		sum += row.Int()
	}
	return sum
}

// rest waits until the program takes what it took before it ever served, once
// its connections have ended; of the heap, what its rings and books may hold, and
// where each of the files is that were made.
func (s *soak) rest(t *testing.T, before engine.SystemStatus) {
	s.clients.CloseIdleConnections()
	for _, f := range s.fronts {
		f.Config.SetKeepAlivesEnabled(false)
	}
	const more, ofFile = 4, 600 // goroutines and files; bytes
	var now engine.SystemStatus
	for range 240 {
		now = s.system(t)
		if now.Goroutines <= before.Goroutines+more && now.Files <= before.Files+more {
			break
		}
		<-time.After(250 * time.Millisecond)
	}
	t.Logf("%d files were made; before: %d goroutines, %d descriptors, %.1f MiB; after: %d, %d, %.1f MiB", s.made.Load(), before.Goroutines, before.Files, float64(before.HeapBytes)/(1<<20),
		now.Goroutines, now.Files, float64(now.HeapBytes)/(1<<20))
	if now.Goroutines > before.Goroutines+more || now.Files > before.Files+more || now.HeapBytes > before.HeapBytes+32<<20+ofFile*uint64(s.made.Load()) {
		t.Error("it takes more than before, and keeps it")
	}
}

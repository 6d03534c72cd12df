package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/journal"
	"keywheel/engine/quota"
)

// house is a node that is started again and again on one journal.
type house struct {
	*Node
	t    testing.TB
	cfg  *config.Config
	path string
}

func newHouse(t testing.TB, cfg *config.Config) *house {
	h := &house{t: t, cfg: cfg, path: filepath.Join(t.TempDir(), "kw.db")}
	h.start()
	t.Cleanup(func() { _ = h.Stop(context.Background()) })
	return h
}

func (h *house) start() {
	h.t.Helper()
	n, err := Start(Options{Config: h.cfg, Seed: 1, Journal: func(string) (string, error) { return h.path, nil }})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Node = n
	h.keeper.deedPatience = time.Minute // this machine's disk may be busy
}

func (h *house) restart() {
	h.t.Helper()
	if err := h.Stop(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	h.start()
}

func (h *house) act(a engine.Action) {
	h.t.Helper()
	r, err := h.Do(a)
	if err != nil || r.Unsaved != "" {
		h.t.Fatalf("%+v, %v", r, err)
	}
}

func (h *house) key(name string) engine.KeyStatus {
	h.t.Helper()
	for _, k := range h.Snapshot().Keys {
		if k.Name == name {
			return k
		}
	}
	h.t.Fatalf("no key %s", name)
	return engine.KeyStatus{}
}

// call sends a request and returns the key that served it.
func (h *house) call(method, path, body string) (key string, status int) {
	h.t.Helper()
	req, err := http.NewRequest(method, "http://"+h.Addr()+"/svc/v1/"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Header.Get("X-Keywheel-Key"), res.StatusCode
}

const chatAnswer = `{"id":"c","object":"chat.completion","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100000,"completion_tokens":1000,"total_tokens":101000}}`

const chatBody = `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`

// upstreamOf answers chats, and as told for a key.
func upstreamOf(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, key string) bool) string {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer sk-test-not-a-key-")
		w.Header().Set("Content-Type", "application/json")
		if answer == nil || !answer(w, r, key) {
			fmt.Fprint(w, chatAnswer)
		}
	}))
	t.Cleanup(up.Close)
	return up.URL
}

func TestARestartForgetsNothing(t *testing.T) {
	t.Parallel()
	var limited atomic.Bool
	limited.Store(true)
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request, key string) bool {
		if key != "k1" || !limited.Load() {
			return false
		}
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`)
		return true
	})
	cfg := oneService(up)
	cfg.Engine.Keys[1].Limits = []quota.Limit{{Unit: quota.USD, Amount: 100, Calendar: "month", Source: "config"}}
	h := newHouse(t, cfg)
	for range 4 {
		if key, status := h.call("POST", "chat/completions", chatBody); key != "k2" || status != 200 {
			t.Fatalf("%s answered %d", key, status)
		}
	}
	limited.Store(false)
	h.act(engine.Action{Verb: engine.VerbPin, Service: "svc", Key: "k2", By: "you"})
	before := h.Snapshot()
	for range 2 {
		h.restart()
		k1, k2 := h.key("k1"), h.key("k2")
		// This provider's limits are a model's.
		if len(k1.Holds) != 1 || k1.Holds[0].State != engine.Cooling || time.Until(*k1.Holds[0].Until) < 9*time.Minute {
			t.Errorf("k1 is held by %+v", k1.Holds)
		}
		if k2.CostUSD == 0 || k2.CostUSD != before.Keys[1].CostUSD || k2.Requests != 4 || k2.Limits[0].Used != before.Keys[1].Limits[0].Used {
			t.Errorf("k2: %+v", k2)
		}
		s := h.Snapshot()
		if sv := s.Services[0]; sv.Pinned != "k2" || sv.Requests != 4 || sv.LastRotation == nil || sv.LastRotation.Outcome == "" {
			t.Errorf("service: %+v", sv)
		}
		if s.LastSeq < before.LastSeq || s.Journal == nil || s.Journal.Path != h.path || s.Journal.Error != "" {
			t.Errorf("last event %d, journal %+v", s.LastSeq, s.Journal)
		}
		if events := h.Events(0); len(events) != int(before.LastSeq) || events[0].Kind != engine.EventRotation || events[0].Rotation.Outcome == "" {
			t.Errorf("%d events: %+v", len(events), events)
		}
	}
	h.act(engine.Action{Verb: engine.VerbUndo})
	h.restart()
	if s := h.Snapshot(); s.Services[0].Pinned != "" || s.Undo != "" {
		t.Errorf("pinned to %q, undo %q", s.Services[0].Pinned, s.Undo)
	}
	h.act(engine.Action{Verb: engine.VerbDisable, Key: "k2"})
	h.act(engine.Action{Verb: engine.VerbLift, Key: "k1"})
	h.restart()
	if k := h.key("k2"); k.State != engine.Disabled {
		t.Errorf("k2 is %v", k.State)
	}
	if key, status := h.call("POST", "chat/completions", chatBody); key != "k1" || status != 200 {
		t.Errorf("%s answered %d", key, status)
	}
	// What came of each key is counted by the minute.
	waitFor(t, func() bool { return h.Snapshot().Journal.Queued == 0 })
	rows, err := h.keeper.journal.Usage(t.Context(), journal.UsageQuery{By: []string{journal.ByKey, journal.ByModel}})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for i, want := range []journal.Usage{{Requests: 2, Failures: 1, RateLimited: 1, InputTokens: 100_000, OutputTokens: 1000},
		{Requests: 4, InputTokens: 400_000, OutputTokens: 4000}} {
		got := rows[i].Usage
		if got.CostUSD <= 0 || rows[i].Model != "gpt-4o" {
			t.Errorf("%+v", rows[i])
		}
		got.CostUSD = 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", rows[i].Key, got, want)
		}
	}
}

func TestBindingsAreKeptBeforeTheClientHasThem(t *testing.T) {
	t.Parallel()
	var made atomic.Int64
	up := upstreamOf(t, func(w http.ResponseWriter, r *http.Request, key string) bool {
		switch {
		case r.Method == "POST":
			fmt.Fprintf(w, `{"id":"file-%s-%d","object":"file"}`, key, made.Add(1))
		case r.Method == "DELETE":
			fmt.Fprint(w, `{"id":"gone","object":"file","deleted":true}`)
		case !strings.Contains(r.URL.Path, "-"+key+"-"):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"message":"No such File object","code":"not_found"}}`)
		default:
			fmt.Fprint(w, `{"object":"file"}`)
		}
		return true
	})
	h := newHouse(t, oneService(up))
	h.keeper.patience = time.Minute // this machine may be busy
	var ids []string
	for range 6 {
		res, err := http.Post("http://"+h.Addr()+"/svc/v1/files", "multipart/form-data; boundary=x", strings.NewReader("--x--"))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ ID string }
		err = json.NewDecoder(res.Body).Decode(&answer)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		// The client has the id: then the disk has it.
		key := res.Header.Get("X-Keywheel-Key")
		b, ok, err := h.keeper.journal.Binding(t.Context(), "openai", answer.ID)
		if err != nil || !ok || b.Key != key {
			t.Errorf("%s of %s is bound to %+v, %v", answer.ID, key, b, err)
		}
		ids = append(ids, answer.ID)
	}
	h.restart()
	for _, id := range ids {
		if key, status := h.call("GET", "files/"+id, ""); status != 200 || !strings.Contains(id, key) {
			t.Errorf("%s was asked of %s: %d", id, key, status)
		}
	}
	h.call("DELETE", "files/"+ids[0], "")
	h.restart() // flushes
	if _, ok, err := h.keeper.journal.Binding(t.Context(), "openai", ids[0]); ok || err != nil {
		t.Errorf("what was deleted is still bound, %v", err)
	}
}

func TestAnActionStandsThoughTheDiskFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t, oneService(upstreamOf(t, nil)))
	h.act(engine.Action{Verb: engine.VerbDisable, Key: "k1"})
	if err := os.Rename(h.path, h.path+".away"); err != nil {
		t.Fatal(err)
	}
	r, err := h.Do(engine.Action{Verb: engine.VerbDisable, Key: "k2"})
	if err != nil || r.Unsaved == "" || !strings.Contains(r.Text, "disabled k2 (not in the journal") {
		t.Errorf("%+v, %v", r, err)
	}
	if s := h.Snapshot(); s.Keys[1].State != engine.Disabled || s.Journal.Error == "" || s.Journal.Queued == 0 || s.Journal.BehindS <= 0 {
		t.Errorf("%v, %+v", s.Keys[1].State, s.Journal)
	}
	if err := os.Rename(h.path+".away", h.path); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { st := h.Snapshot().Journal; return st.Error == "" && st.Queued == 0 })
	h.restart()
	if k := h.key("k2"); k.State != engine.Disabled {
		t.Errorf("after the restart k2 is %v", k.State)
	}
}

// TestActionsAtOnceAreKeptInTheirOrder has many operators change one key.
func TestActionsAtOnceAreKeptInTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, oneService(upstreamOf(t, nil)))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 30 {
				verb := []engine.Verb{engine.VerbDisable, engine.VerbEnable}[i%2]
				_, _ = h.Do(engine.Action{Verb: verb, Key: "k1"})
			}
		})
	}
	all.Wait()
	before := h.key("k1").State
	h.restart()
	if got := h.key("k1").State; got != before {
		t.Errorf("k1 was %v and is %v", before, got)
	}
}

func TestAJournalThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	cfg := oneService("http://127.0.0.1:1")
	h := newHouse(t, cfg)
	open := func(path string) error {
		n, err := Start(Options{Config: cfg, Journal: func(string) (string, error) { return path, nil }})
		if err == nil {
			_ = n.Stop(context.Background())
		}
		return err
	}
	var locked *journal.LockedError
	if err := open(h.path); !errors.As(err, &locked) || !strings.Contains(err.Error(), "--no-journal") {
		t.Errorf("locked: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "bad.db")
	if err := os.WriteFile(bad, []byte("this is not a journal, it is a letter to a friend"), 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *journal.CorruptError
	if err := open(bad); !errors.As(err, &corrupt) {
		t.Errorf("corrupt: %v", err)
	}
	if text, _ := os.ReadFile(bad); !strings.HasPrefix(string(text), "this is not a journal") {
		t.Errorf("the file is %q now", text)
	}
}

func TestWhatIsNotUnderstoodIsPassedOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, oneService(upstreamOf(t, nil)))
	h.act(engine.Action{Verb: engine.VerbDisable, Key: "k1"})
	h.keeper.journal.Save(journal.State{Kind: keyDoc, Name: "k2", Doc: []byte(`{"disabled":"yes"}`)},
		journal.State{Kind: "key/99", Name: "k2", Doc: []byte(`{}`)}, journal.State{Kind: credentialDoc, Name: "x", Doc: []byte(`{"slots":[{"hold":{"state":"asleep"}}]}`)})
	h.restart()
	if h.key("k1").State != engine.Disabled || h.key("k2").State != engine.Active {
		t.Errorf("k1 is %v, k2 is %v", h.key("k1").State, h.key("k2").State)
	}
}

func TestModelsThatClientsInventAreBounded(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	for i := range maxModels + 5 {
		if got := k.model(fmt.Sprint("m", i)); i < maxModels == (got == otherModel) {
			t.Fatalf("model %d is counted as %s", i, got)
		}
	}
	if got := k.model("m7"); got != "m7" {
		t.Errorf("a known one is counted as %s", got)
	}
}

func BenchmarkUsed(b *testing.B) {
	h := newHouse(b, oneService("http://127.0.0.1:1"))
	u := engine.Used{At: time.Now(), Key: "k1", Service: "svc", Model: "gpt-4o", Usage: engine.Usage{Input: 100, Output: 20, CostUSD: 0.001}}
	b.ReportAllocs()
	for b.Loop() {
		h.keeper.used(u)
	}
}

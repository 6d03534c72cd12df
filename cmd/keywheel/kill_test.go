package main

import (
	"context"
	cryptorand "crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/control"
)

// TestKilled kills the real program again and again while clients and an
// operator keep it busy. Whatever the operator was told is done is done after
// the next start, a file whose upload was answered is asked of the key that
// made it, and it serves. In the end the journal is whole.
//
//	KEYWHEEL_KILLS=200 go test -run Killed -v ./cmd/keywheel
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("KEYWHEEL_KILLS")); err == nil {
		kills = n
	}
	k := &killed{t: t, disabled: map[string]bool{}, rng: rand.New(rand.NewPCG(1, 2))}
	up := httptest.NewServer(k)
	defer up.Close()
	k.program = newProgram(t)
	k.configure(t, up.URL, 6) // the last is never disabled
	for round := range kills {
		k.round(round)
	}
	t.Logf("%d kills, %d actions and %d uploads answered", kills, k.acknowledged, len(k.files))
	if k.acknowledged < 3*kills || len(k.files) < kills {
		t.Errorf("only %d actions and %d uploads were answered", k.acknowledged, len(k.files))
	}
	if stray, home := k.stray.Load(), k.home.Load(); stray > 0 || home < int64(kills) {
		t.Errorf("%d requests for a file went out with another key than its own, %d with that", stray, home)
	}
	db, err := sql.Open("sqlite", filepath.Join(k.dir, "kw.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("the journal: %s, %v", verdict, err)
	}
}

type killed struct {
	*program
	t   *testing.T
	rng *rand.Rand
	// disabled is what the operator was told of each key; unsure are the keys of
	// actions that nobody answered, or that the disk was too slow for.
	disabled     map[string]bool
	unsure       map[string]bool
	dead         bool // the program does not answer any more
	acknowledged int
	// files are the uploads that were answered.
	filesMu sync.Mutex
	files   []string
	// made says of every upload which key made it, as upstream saw it; stray
	// counts requests for a file with another key, home those with its own.
	made        sync.Map
	stray, home atomic.Int64
}

// ServeHTTP is the upstream.
func (k *killed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	who := r.Header.Get("Authorization")
	id, isFile := strings.CutPrefix(r.URL.Path, "/v1/files/")
	switch {
	case isFile:
		if maker, ok := k.made.Load(id); ok && maker != who {
			k.stray.Add(1)
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"message":"No such File object","code":"not_found"}}`)
			return
		}
		k.home.Add(1)
	case r.URL.Path == "/v1/files":
		id = "file-" + cryptorand.Text()
		k.made.Store(id, who)
	default:
		fmt.Fprint(w, `{"id":"c","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}}`)
		return
	}
	fmt.Fprintf(w, `{"id":%q,"object":"file","bytes":2,"purpose":"batch","filename":"a.jsonl"}`, id)
}

// upload makes a file and notes it if that was answered. A slow answer may have
// gone out without its binding: it waits 50 ms for the disk and no longer. Then
// it is noted once the journal has all that was known when it was answered.
func (k *killed) upload(ctx context.Context, client *control.Client, base string) {
	begun := time.Now()
	status, text := ask(ctx, http.MethodPost, base+"/files", `{"purpose":"batch","file":"{}"}`)
	answered := time.Now()
	var made struct{ ID string }
	if status != http.StatusOK || json.Unmarshal([]byte(text), &made) != nil {
		return
	}
	for kept := answered.Sub(begun) < 50*time.Millisecond; !kept; {
		since := time.Since(answered)
		s, err := client.Snapshot(ctx)
		if err != nil {
			return
		}
		kept = s.Journal.BehindS < since.Seconds()
	}
	k.filesMu.Lock()
	defer k.filesMu.Unlock()
	k.files = append(k.files, made.ID)
}

// uploads is how many are noted.
func (k *killed) uploads() int {
	k.filesMu.Lock()
	defer k.filesMu.Unlock()
	return len(k.files)
}

// round starts the program, looks at how it stands, keeps it busy and kills it.
func (k *killed) round(round int) {
	t, ctx := k.t, k.t.Context()
	k.serve(t)
	c, client := k.cmd, k.client
	defer kill(c)
	s := k.snapshot(t)
	for _, key := range s.Keys {
		switch is := key.State == engine.Disabled; {
		case k.unsure[key.Name]:
			k.disabled[key.Name] = is
		case is != k.disabled[key.Name]:
			t.Fatalf("round %d: %s is %v, but an operator was told disabled=%v", round, key.Name, key.State, k.disabled[key.Name])
		}
	}
	k.unsure, k.dead = map[string]bool{}, false
	base := k.url("/ui/v1")
	if status := chatOnce(ctx, base); status != http.StatusOK {
		t.Fatalf("round %d: the first request was answered %d", round, status)
	}
	for _, id := range k.files[max(0, len(k.files)-10):] { // upstream notes which key asks
		ask(ctx, http.MethodGet, base+"/files/"+id, "")
	}
	busy, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	before := k.uploads()
	for range 4 {
		clients.Go(func() {
			for busy.Err() == nil {
				chatOnce(busy, base)
			}
		})
	}
	clients.Go(func() {
		for busy.Err() == nil {
			k.upload(busy, client, base)
		}
	})
	for n := 3 + k.rng.IntN(8); n > 0 || k.uploads() == before && !k.dead; n-- {
		k.act(ctx, client)
	}
	// The next action is on its way when it dies.
	dying := make(chan struct{})
	go func() {
		defer close(dying)
		tick := time.NewTimer(time.Duration(k.rng.Int64N(int64(3 * time.Millisecond))))
		defer tick.Stop()
		<-tick.C
		_ = c.Process.Kill()
	}()
	for !k.dead {
		k.act(ctx, client)
	}
	<-dying
	stop()
	clients.Wait()
}

// act disables or enables a key.
func (k *killed) act(ctx context.Context, client *control.Client) {
	name := fmt.Sprintf("k%d", k.acknowledged%5)
	verb := engine.VerbDisable
	if k.disabled[name] {
		verb = engine.VerbEnable
	}
	r, err := client.Do(ctx, engine.Action{Verb: verb, Key: name})
	if err != nil {
		k.unsure[name], k.dead = true, true
		return
	}
	k.disabled[name] = verb == engine.VerbDisable
	if k.acknowledged++; r.Unsaved != "" {
		k.unsure[name] = true
	} else {
		delete(k.unsure, name) // it is known again
	}
}

// chatOnce sends a request; 0 is no answer.
func chatOnce(ctx context.Context, base string) int {
	status, _ := ask(ctx, http.MethodPost, base+"/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`)
	return status
}

// ask sends a request and reads its answer; 0 is none, or not all of it.
func ask(ctx context.Context, method, url, body string) (status int, text string) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(got)
}

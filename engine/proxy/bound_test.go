package proxy

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// simRig is a proxy with service "svc" before a simulated provider that has keys
// k1..kn, each of an account of its own.
func simRig(t *testing.T, kind string, n int, change ...func(*engine.Config, *Options)) (*rig, *sim.Upstream) {
	t.Helper()
	var keys []sim.Key
	for i := range n {
		name := fmt.Sprintf("k%d", i+1)
		keys = append(keys, sim.Key{Name: name, Secret: secret.New(fake + name), Account: "account-" + name})
	}
	up, err := sim.NewUpstream(kind, sim.Options{Seed: 1, JobTime: time.Hour}, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, kind, n, up.ServeHTTP, change...), up
}

// made asks for something that makes a resource, and gives its id and the key
// that made it.
func (r *rig) made(path, body string) (id, key string) {
	r.t.Helper()
	res, text := r.ask("POST", path, body)
	if id = gjson.Get(text, "id").Str; res.StatusCode >= 300 || id == "" {
		r.t.Fatalf("POST %s: %d %s", path, res.StatusCode, text)
	}
	return id, res.Header.Get("X-Keywheel-Key")
}

// went says how a request was answered, and by which key on which attempt.
func went(res *http.Response) string {
	return fmt.Sprintf("%d %s on %s", res.StatusCode, res.Header.Get("X-Keywheel-Key"), res.Header.Get("X-Keywheel-Attempts"))
}

// unblamed fails if any answer left a mark on a key.
func (r *rig) unblamed() {
	r.t.Helper()
	for _, k := range r.engine.Snapshot().Keys {
		if len(k.Holds) > 0 || k.State != engine.Active {
			r.t.Errorf("%s is blamed: %s, %+v", k.Name, k.State, k.Holds)
		}
	}
}

const videoBody = `{"model":"kling-video/v1/standard/text-to-video","prompt":"a wheel"}`

func TestVideosArePolledWhereTheyAreMade(t *testing.T) {
	t.Parallel()
	r, _ := simRig(t, "aimlapi", 4)
	by := map[string]string{}
	for range 8 {
		id, key := r.made("/svc/v2/video/generations", videoBody)
		by[id] = key
	}
	for range 3 {
		for id, key := range by {
			res, text := r.ask("GET", "/svc/v2/video/generations?generation_id="+id, "")
			if got := went(res); got != "200 "+key+" on 1" {
				t.Errorf("the video of %s: %s %s", key, got, text)
			}
			r.ask("POST", "/svc/v1/chat/completions", chatBody) // the turn goes on
		}
	}
	keys := map[string]bool{}
	for _, key := range by {
		keys[key] = true
	}
	if len(keys) != 4 {
		t.Errorf("videos were made with %v only", keys)
	}
	r.unblamed()
}

func TestAFileIsUsedWhereItIs(t *testing.T) {
	t.Parallel()
	r, up := simRig(t, "openai", 3)
	r.ask("POST", "/svc/v1/chat/completions", chatBody)
	id, key := r.made("/svc/v1/files", `not JSON at all`)
	use := `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"` + id + `"}},{"type":"text","text":"read it"}]}]}`
	for range 4 {
		if res, text := r.ask("POST", "/svc/v1/chat/completions", use); went(res) != "200 "+key+" on 1" {
			t.Errorf("%s %s", went(res), text)
		}
	}
	// Its account is gone: no other can help, and the client is told so.
	up.Revoke(key)
	res, text := r.ask("POST", "/svc/v1/chat/completions", use)
	if want := id + " belongs to key " + key + ", and only that can use it. " + key + ":"; res.StatusCode != 429 || !strings.Contains(text, want) {
		t.Errorf("%d %s, want %q", res.StatusCode, text, want)
	}
	other, second := r.made("/svc/v1/files", `x`)
	res, text = r.ask("POST", "/svc/v1/chat/completions", strings.Replace(use, `"messages"`, `"file_ids":["`+other+`"],"messages"`, 1))
	if want := "no key can use both"; res.StatusCode != 400 || !strings.Contains(text, want) || !strings.Contains(text, second) {
		t.Errorf("%d %s, want %q", res.StatusCode, text, want)
	}
}

func TestADeletedFileIsForgotten(t *testing.T) {
	t.Parallel()
	r, _ := simRig(t, "openai", 2)
	id, key := r.made("/svc/v1/files", `x`)
	if res, text := r.ask("DELETE", "/svc/v1/files/"+id, ""); went(res) != "200 "+key+" on 1" {
		t.Errorf("%s %s", went(res), text)
	}
	if list := r.engine.Bindings(); len(list) != 0 {
		t.Errorf("still known: %+v", list)
	}
	if res, _ := r.ask("GET", "/svc/v1/files/"+id, ""); res.StatusCode != 404 || res.Header.Get("X-Keywheel-Attempts") != "2" {
		t.Errorf("%s", went(res))
	}
	if res, _ := r.ask("GET", "/svc/v1/files/"+id, ""); res.StatusCode != 404 || res.Header.Get("X-Keywheel-Attempts") != "1" {
		t.Errorf("asked around again: %s", went(res))
	}
	r.unblamed()
}

func TestResponsesGoOnWhereTheyBegan(t *testing.T) {
	t.Parallel()
	r, _ := simRig(t, "openai", 3)
	for _, stream := range []string{"false", "true"} {
		res, text := r.ask("POST", "/svc/v1/responses", `{"model":"m","input":"hi","stream":`+stream+`}`)
		_, rest, _ := strings.Cut(text, `"resp_`)
		id, _, _ := strings.Cut(rest, `"`)
		id = "resp_" + id
		key := res.Header.Get("X-Keywheel-Key")
		for range 3 {
			res, text = r.ask("POST", "/svc/v1/responses", `{"model":"m","input":"go on","previous_response_id":"`+id+`"}`)
			if went(res) != "200 "+key+" on 1" {
				t.Errorf("stream %s: %s %s", stream, went(res), text)
			}
		}
		if res, text = r.ask("GET", "/svc/v1/responses/"+id, ""); went(res) != "200 "+key+" on 1" {
			t.Errorf("stream %s: %s %s", stream, went(res), text)
		}
	}
	known := len(r.engine.Bindings())
	r.ask("POST", "/svc/v1/responses", `{"model":"m","input":"hi","store":false}`)
	if n := len(r.engine.Bindings()); n != known {
		t.Errorf("one that is not stored is remembered")
	}
	r.unblamed()
}

// What was made before keywheel came is found with one question to each account.
func TestAnUnknownIDIsFoundInTheSecondAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, create, body, read string }{
		{"openai", "/v1/files", `x`, "GET /svc/v1/files/"},
		{"openai", "/v1/responses", `{"model":"m","input":"hi"}`, `POST /svc/v1/responses {"model":"m","input":"go on","previous_response_id":"`},
		{"aimlapi", "/v2/video/generations", videoBody, "GET /svc/v2/video/generations?generation_id="},
	} {
		r, up := simRig(t, c.kind, 3)
		req := httptest.NewRequest("POST", c.create, strings.NewReader(c.body))
		req.Header.Set("Authorization", "Bearer "+fake+"k2")
		w := httptest.NewRecorder()
		up.ServeHTTP(w, req)
		id := gjson.Get(w.Body.String(), "id").Str
		method, path, _ := strings.Cut(c.read, " ")
		path, body, isPost := strings.Cut(path, " ")
		if isPost {
			body += id + `"}`
		} else {
			path += id
		}
		for i, want := range []string{"200 k2 on 2", "200 k2 on 1", "200 k2 on 1"} {
			if res, text := r.ask(method, path, body); went(res) != want {
				t.Errorf("%s %s, time %d: %s, want %s: %s", c.kind, path, i+1, went(res), want, text)
			}
		}
		r.unblamed()
	}
}

// However the answer to a create comes, its id is known before the client can
// use it.
func TestIDsAreReadHoweverTheyCome(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	for what, answer := range map[string]http.HandlerFunc{
		"in one piece": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"id":"file-abc"}`)
		},
		"in pieces": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for _, piece := range []string{`{"object":{"a":1}`, `,"id":"fil`, `e-abc"`, `}`} {
				fmt.Fprint(w, piece)
				w.(http.Flusher).Flush()
			}
		},
		"without a type": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"id":"file-abc"}`) },
		"before much else": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"id":"file-abc","text":"`+long+`"}`)
		},
		"packed, though it was not asked for": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, `{"id":"file-abc"}`)
			_ = z.Close()
		},
	} {
		r := newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
			if enc := r.Header.Get("Accept-Encoding"); enc != "identity" {
				t.Errorf("%s: upstream was asked for %q", what, enc)
			}
			answer(w, r)
		})
		r.ask("POST", "/svc/v1/files", "x", "Accept-Encoding", "gzip")
		if list := r.engine.Bindings(); len(list) != 1 || list[0].ID != "file-abc" || list[0].Key != "k1" {
			t.Errorf("%s: known is %+v", what, list)
		}
	}
}

// leaving is a proxy before an upstream that answers when it is told to. Its
// client goes as soon as upstream is asked.
type leaving struct {
	*rig
	asked, left, answer, rest, cancelled chan struct{}
}

func newLeaving(t *testing.T) *leaving {
	l := &leaving{asked: make(chan struct{}), left: make(chan struct{}), answer: make(chan struct{}), rest: make(chan struct{}), cancelled: make(chan struct{})}
	l.rig = newRig(t, "openai", 2, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(l.asked)
		select {
		case <-l.answer:
		case <-r.Context().Done():
			close(l.cancelled)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"video_1",`)
		w.(http.Flusher).Flush()
		<-l.rest
		fmt.Fprint(w, `"usage":{"prompt_tokens":7,"completion_tokens":5},"status":"queued"}`)
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { close(l.left) })
		l.proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	l.url = front.URL
	return l
}

// leave sends a request, goes when upstream has it, and waits until the proxy
// knows.
func (l *leaving) leave(path, body string) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "POST", l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		<-l.asked
		cancel()
	}()
	if res, err := (&http.Client{Transport: &http.Transport{}}).Do(req); err == nil {
		_ = res.Body.Close()
		l.t.Fatal("the client did not leave")
	}
	<-l.left
}

const orderBody = `{"model":"sora-2","prompt":"a wheel"}`

func TestACreateGoesOnWhenItsClientLeft(t *testing.T) {
	t.Parallel()
	l := newLeaving(t)
	l.leave("/svc/v1/videos", orderBody)
	close(l.answer)
	close(l.rest)
	l.kept()
	select {
	case <-l.cancelled:
		t.Error("upstream was cancelled")
	default:
	}
}

// kept fails if what was ordered is not known, or what it cost.
func (l *leaving) kept() {
	l.t.Helper()
	waitFor(l.t, func() bool { return l.engine.Snapshot().Proxy.InFlight == 0 })
	if list := l.engine.Bindings(); len(list) != 1 || list[0].ID != "video_1" || list[0].Key != "k1" {
		l.t.Errorf("known: %+v", list)
	}
	if k := l.engine.Snapshot().Keys[0]; k.InputTokens != 7 || k.OutputTokens != 5 || k.Verdicts.OK != 1 {
		l.t.Errorf("not settled: %+v", k)
	}
}

// deaf is a client that takes nothing; the rest comes when it was offered some.
type deaf struct {
	http.ResponseWriter
	rest chan struct{}
}

func (d deaf) Write([]byte) (int, error) {
	close(d.rest)
	return 0, io.ErrClosedPipe
}

func TestACreateIsReadToItsEndForAClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	l := newLeaving(t)
	close(l.answer)
	func() {
		defer func() { _ = recover() }() // the connection is broken
		req := httptest.NewRequest("POST", "/svc/v1/videos", strings.NewReader(orderBody))
		req.Host = "127.0.0.1"
		l.proxy.ServeHTTP(deaf{httptest.NewRecorder(), l.rest}, req)
	}()
	l.kept()
}

func TestAChatEndsWithItsClient(t *testing.T) {
	t.Parallel()
	l := newLeaving(t)
	defer close(l.answer)
	l.leave("/svc/v1/chat/completions", chatBody)
	select {
	case <-l.cancelled:
	case <-time.After(runsOn / 3):
		t.Error("upstream goes on")
	}
	waitFor(t, func() bool { return l.engine.Snapshot().Proxy.InFlight == 0 })
	l.unblamed()
}

func TestOutlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, leave := context.WithCancel(context.Background())
		ctx, end := outlive(client)
		defer end()
		time.Sleep(time.Hour)
		leave()
		time.Sleep(runsOn - time.Second)
		if ctx.Err() != nil {
			t.Error("it ended early")
		}
		time.Sleep(2 * time.Second)
		if ctx.Err() == nil {
			t.Error("it goes on for ever")
		}
	})
}

// A stream of Responses tells its id in its first event, which may be long.
func TestLearnerReadsTheFirstEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, "openai", 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		event := `event: response.created` + "\n" + `data: {"type":"response.created","response":{"id":"resp_1","instructions":"` + strings.Repeat("x", 40<<10) + `"}}` + "\n\n"
		for len(event) > 0 {
			n := min(len(event), 1000)
			_, _ = io.WriteString(w, event[:n])
			event = event[n:]
		}
		fmt.Fprint(w, "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n")
	})
	r.ask("POST", "/svc/v1/responses", `{"model":"m","input":"hi","stream":true}`)
	if list := r.engine.Bindings(); len(list) != 1 || list[0].ID != "resp_1" {
		t.Errorf("known: %+v", list)
	}
}

func TestAResumableUploadStaysWithItsKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, "gemini", 3, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("upload_id") == "" {
			w.Header().Set("X-Goog-Upload-URL", "http://"+r.Host+"/upload/v1beta/files?upload_id=AHmgz&upload_protocol=resumable")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"file":{"name":"files/abc-123"}}`)
	})
	res, _ := r.ask("POST", "/svc/upload/v1beta/files", `{"file":{}}`)
	key := res.Header.Get("X-Keywheel-Key")
	path := strings.TrimPrefix(res.Header.Get("X-Goog-Upload-Url"), r.url)
	for range 2 {
		if res, text := r.ask("POST", path, "bytes"); went(res) != "200 "+key+" on 1" {
			t.Errorf("%s %s", went(res), text)
		}
		if res, text := r.ask("GET", "/svc/v1beta/files/abc-123", ""); went(res) != "200 "+key+" on 1" {
			t.Errorf("%s %s", went(res), text)
		}
	}
}

// The library does as the proxy does.
func TestTransportBinds(t *testing.T) {
	t.Parallel()
	r, _ := simRig(t, "openai", 3)
	client := &http.Client{Transport: &Transport{Engine: r.engine, Service: "svc"}}
	res, err := client.Post("http://any/v1/files", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	key := res.Header.Get("X-Keywheel-Key")
	for range 3 {
		res, err := client.Get("http://any/v1/files/" + gjson.GetBytes(text, "id").Str)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if went(res) != "200 "+key+" on 1" {
			t.Errorf("%s, want %s", went(res), key)
		}
	}
}

// What most requests are costs nothing: they name nothing and make nothing.
func TestAPlainChatAllocatesNothingForBindings(t *testing.T) {
	body := chat(64<<10, true)
	for _, kind := range provider.Names() {
		p, _ := provider.Lookup(kind)
		tg := &target{provider: p}
		r := &engine.Request{Method: "POST", Path: "/v1/chat/completions", Repeatable: true}
		if n := testing.AllocsPerRun(100, func() { names(r, p, "", readTop(&scan{view: body}), nil); _ = (&sender{}).learn(r, tg, nil, nil) }); n > 1 { // one is the model's name
			t.Errorf("%s: %v allocations", kind, n)
		}
		if len(r.Bound) > 0 {
			t.Errorf("%s: it names %v", kind, r.Bound)
		}
	}
}

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// shapes are how the keys of some providers look; the others' are all random.
var shapes = map[string]string{"openai": "sk-proj-%s", "anthropic": "sk-ant-api03-%s", "gemini": "AIza%s", "github": "ghp_%s", "groq": "gsk_%s", "xai": "xai-%s",
	"openrouter": "sk-or-v1-%s", "deepseek": "sk-%s", "zhipu": "id.%s", "azure": "odd-%s"}

// TestCanary runs the program with secrets that nobody else has, has it say all
// that it can say of them, breaks it, and looks for any eight characters of any
// of them in all that it wrote: terminal, logs, answers, journal, socket, its
// children, what it left on the disk.
//
// Two kinds of files are there to hold a secret and are left out: those in
// keys.d, and the one that `init` makes. So are the bodies of good answers, which
// pass as they are.
func TestCanary(t *testing.T) {
	t.Parallel()
	x := newAviary(t)
	x.serve(t)
	x.run("", "disable", "spare", "--socket", x.socket) // which there is an alert of
	x.everyError()
	x.atTheDoor()
	x.verbs()
	x.live()
	x.demo()
	x.screens()
	x.replaced()
	x.brokenFiles()
	x.overTheSocket()
	x.log.await(t, "command "+x.dir+"/in/alert failed")
	x.log.await(t, "alert not delivered: webhook")
	x.crash(syscall.SIGQUIT)
	x.serve(t) // with the journal of the one before
	x.run("", "events", "--socket", x.socket)
	x.overTheSocket()
	x.crash(syscall.SIGABRT)
	x.both()
	for _, c := range rootCommand().Commands() {
		if _, ran := x.ran.Load(c.Name()); !ran && c.Name() != "serve" {
			t.Errorf("`keywheel %s` was not run", c.Name())
		}
	}

	x.look("what clients got", x.answers.text())
	x.look("what the webhook got", x.hooked.text())
	for _, f := range []string{"child.txt", "alert.txt"} {
		if info, err := os.Stat(filepath.Join(x.dir, "out", f)); err != nil || info.Size() == 0 {
			t.Errorf("no child wrote %s: %v", f, err)
		}
	}
	x.journal()
	if files := x.lookFiles(x.dir, "in/*", "in/env/.env", "state/keywheel/*/keys.d/*", "init/keys/*"); files < 8 {
		t.Errorf("only %d files were looked through", files)
	}
}

// aviary is the program, its surroundings, and all that it says.
type aviary struct {
	*cage
	*program
	up      *httptest.Server
	answers notes // what clients got
	hooked  notes // what the webhook got
	// rejected are the secrets that test calls refuse.
	rejected sync.Map
	ran      sync.Map // the verbs
	asked    atomic.Int64
}

func newAviary(t *testing.T) *aviary {
	x := &aviary{cage: newCage(t), program: newProgram(t)}
	dir := x.dir
	x.config, x.workdir = filepath.Join(dir, "in", "keywheel.toml"), filepath.Join(dir, "cwd")
	x.first = "ulimit -c unlimited; umask 0;" // careless of files' rights and of core dumps
	x.answersAt(filepath.Join(dir, "run", "kw.sock"))
	for _, d := range []string{"in", "out", "run", "home", "state", "tmp", "cwd", "init"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	x.up = httptest.NewServer(http.HandlerFunc(x.upstream))
	t.Cleanup(x.up.Close)
	x.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir + "/home", "XDG_RUNTIME_DIR=" + dir + "/run", "XDG_STATE_HOME=" + dir + "/state", "TMPDIR=" + dir + "/tmp",
		"TERM=xterm-256color", "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0", "GOTRACEBACK=crash",
		"CANARY_TOKEN=" + x.hatch("token", "%s"), "CANARY_HOOK=" + x.up.URL + "/hook/" + x.hatch("webhook", "%s")}
	x.configure()
	return x
}

// file writes a file that the program reads.
func (x *aviary) file(name, text string, mode os.FileMode) {
	if err := os.WriteFile(filepath.Join(x.dir, "in", name), []byte(text), mode); err != nil {
		x.t.Fatal(err)
	}
}

// configure makes a service of each provider, with secrets from everywhere.
func (x *aviary) configure() {
	var toml, dotenv strings.Builder
	in := filepath.Join(x.dir, "in")
	x.file("give", "#!/bin/sh\n{ env; echo \"$@\"; tr '\\0' ' ' </proc/$PPID/cmdline; } >>"+x.dir+"/out/child.txt\ncat "+in+"/$1.key\n", 0o700)
	x.file("alert", "#!/bin/sh\n{ env; echo \"$@\"; cat; } >>"+x.dir+"/out/alert.txt\necho \"$@\" >&2; exit 1\n", 0o700)
	fmt.Fprintf(&toml, "listen = \"127.0.0.1:0\"\npatience = \"10ms\"\njournal = %q\n[alerts]\ncommand = [%q, \"{text}\"]\nwebhook = \"env:CANARY_HOOK\"\n", x.dir+"/state/kw.db", in+"/alert")
	names := append(provider.Names(), "pool-a", "pool-b", "cmd", "spare")
	for i, name := range names {
		kind := name
		shape := shapes[kind]
		if _, ok := provider.Lookup(kind); !ok {
			kind, shape = "openai", "sk-proj-%s"
		} else {
			fmt.Fprintf(&toml, "[providers.p-%s]\nkind = %q\nbase_url = \"%s/%s\"\n[services.%s]\nkeys = [%q]\n", kind, kind, x.up.URL, kind, kind, kind)
		}
		if shape == "" {
			shape = "%s"
		}
		s, variable := x.hatch(name, shape), fmt.Sprintf("CANARY_%d", i)
		var ref string
		switch {
		case name == "cmd":
			ref = "cmd:" + in + "/give cmd"
			x.file("cmd.key", s+"\n", 0o600)
		case i%3 == 0:
			ref = "env:" + variable
			x.env = append(x.env, variable+"="+s)
		case i%3 == 1:
			ref = "file:" + in + "/" + name + ".key"
			x.file(name+".key", s+"\n", 0o600)
		default:
			ref = "dotenv:" + in + "/keys.env#" + variable
			fmt.Fprintf(&dotenv, "%s=%s\n", variable, s)
		}
		fmt.Fprintf(&toml, "[keys.%s]\nprovider = \"p-%s\"\nsecret = %q\n", name, kind, ref)
	}
	toml.WriteString("[services.pool]\nkeys = [\"pool-a\", \"pool-b\"]\nrequired = true\nmodels = [\"gpt-4o\"]\n[services.spare]\nkeys = [\"spare\"]\n[services.locked]\nkeys = [\"cmd\"]\ntoken = \"env:CANARY_TOKEN\"\npath_token = true\n")
	x.file("vars.env", "OPENAI_API_KEY="+x.all["openai"].secret+"\nLLM_MODEL_CONFIGS={\"m\": {\"api_key\": \""+x.all["openai"].secret+"\"}}\n", 0o600)
	x.file("keys.env", dotenv.String(), 0o600)
	x.file("keywheel.toml", toml.String(), 0o600)
}

// upstream is every provider: it finds the key wherever it is, and echoes it as
// the client has asked for. Whatever else arrives is for keywheel itself.
func (x *aviary) upstream(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/hook/") {
		_, _ = io.Copy(&x.hooked, r.Body)
		fmt.Fprintf(&x.hooked, "%v", r.Header)
		errorJSON(w, 500, "no such hook: "+r.URL.Path, "x")
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	key := ""
	x.mu.Lock()
	for _, c := range x.all {
		for _, values := range r.Header {
			if strings.HasSuffix(values[0], c.secret) {
				key = c.secret
			}
		}
	}
	x.mu.Unlock()
	var echo, status int
	if n, _ := fmt.Sscanf(r.Header.Get("X-Say"), "%d %d", &echo, &status); n == 2 && key != "" {
		x.asked.Add(1)
		echoes[echo].tell(w, status, key)
		return
	}
	if _, rejected := x.rejected.Load(key); rejected {
		errorJSON(w, 401, "Incorrect API key provided: "+key[:14]+"****"+key[len(key)-12:]+". You can find your API key at https://x.example/?key="+key, "invalid_api_key")
		return
	}
	_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
}

// serve starts the program, which tells all it can.
func (x *aviary) serve(t *testing.T) { x.program.serve(t, "--debug") }

// ask sends a request, and notes what comes back but for the body of a good
// answer.
func (x *aviary) ask(method, path, body string, headers ...string) int {
	req, err := http.NewRequest(method, x.url(path), strings.NewReader(body))
	if err != nil {
		x.t.Error(err)
		return 0
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil { // it may break off, but not hang
		fmt.Fprintln(&x.answers, err)
		return 0
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if res.StatusCode/100 == 2 || res.StatusCode == http.StatusSwitchingProtocols {
		text = nil
	} else if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		x.t.Errorf("an error came in %s, which nobody looked into", coding)
	}
	if z, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		text, _ = io.ReadAll(z)
	}
	fmt.Fprintln(&x.answers, res.Status, res.Header, res.Trailer, string(text), err)
	return res.StatusCode
}

// everyError has each provider tell its key in every way. Whatever is held for
// that is lifted again.
func (x *aviary) everyError() {
	statuses := []int{400, 401, 403, 429, 500, 402, 404}
	var all sync.WaitGroup
	requests := []struct {
		method, path string
		headers      []string
	}{
		{"POST", "/v1/chat/completions", []string{"Content-Type", "application/json"}},
		{"POST", "/v1/files", []string{"Content-Type", "application/json", "Accept-Encoding", "br, zstd, deflate, gzip;q=0.5"}},
		{"GET", "/v1/realtime?model=gpt-4o", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}},
	}
	for n, name := range provider.Names() {
		all.Go(func() {
			for i := range echoes {
				r := requests[(n+i)%len(requests)]
				body := `{"model":"gpt-4o","stream":true,"messages":[]}`
				if r.method == "GET" {
					body = ""
				}
				x.ask(r.method, "/"+name+r.path, body, append(r.headers, "X-Say", fmt.Sprint(i, statuses[(n+i)%len(statuses)]))...)
				_, _ = x.client.Do(x.t.Context(), engine.Action{Verb: engine.VerbReset, Key: name})
			}
		})
	}
	all.Wait()
	if got, want := x.asked.Load(), int64(len(echoes)*len(provider.Names())); got < want*8/10 {
		x.t.Errorf("only %d of %d echoes were made", got, want)
	}
}

// atTheDoor shows secrets where a client may show them, right and wrong.
func (x *aviary) atTheDoor() {
	token, key := x.all["token"].secret, x.all["openai"].secret
	for _, path := range []string{"/locked/v1/models?key=" + token, "/t/" + token + "/locked/v1/models", "/t/" + token + "/pool/v1/models", "/t/" + token + "/nothing", "/" + key + "/v1/x",
		"/locked/v1/models?key=" + key, "/t/" + key + "/locked/v1/models", "/t/" + token, "/" + token + "/v1/x", "/locked/v1/organization?key=" + token, "/t/" + token + "/locked/v1/../x"} {
		x.ask("GET", path, "")
		x.ask("POST", path, `{"model":"gpt-4o"}`, "Authorization", "Bearer "+token)
		x.ask("GET", path, "", "X-Api-Key", key, "Origin", "https://evil.example")
	}
}

// run runs a verb and looks at what it says.
func (x *aviary) run(stdin string, args ...string) string {
	ctx, cancel := context.WithTimeout(x.t.Context(), 5*time.Minute)
	defer cancel()
	c := x.command(ctx, args...)
	c.Dir, c.Stdin = filepath.Join(x.dir, "init"), strings.NewReader(stdin)
	out, _ := c.CombinedOutput()
	x.look("keywheel "+args[0], string(out))
	x.ran.Store(args[0], true)
	if len(out) == 0 {
		x.t.Errorf("keywheel %v said nothing", args)
	}
	return string(out)
}

// verbs runs every verb that there is.
func (x *aviary) verbs() {
	cfg, key, odd := x.config, x.all["openai"].secret, x.hatch("stranger", "sk-proj-%s")
	x.rejected.Store(odd, true)
	answer := "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n\r\n" + `{"error":{"message":"Incorrect API key provided: ` + key + `","code":"invalid_api_key"}}`
	runs := [][]string{
		{"", "status"}, {"", "status", "--json"}, {"", "events"}, {"", "events", "--json"}, {"", "usage", "--by", "key,model"}, {"", "usage", "--json"}, {"", "usage", "--csv"},
		{"", "why", "openai"}, {"", "why", "pool"}, {"", "why", "openai", "--json"}, {"", "check", "--config", cfg}, {"", "test", "--config", cfg},
		{"", "map", "--wide"}, {"", "map", "--format", "json"}, {"", "map", "--format", "csv", "--wide"}, {"", "env", "locked"}, {"", "env", "locked", "--json"}, {"", "env", "locked", "--docker"},
		{key, "which"}, {key, "which", "--json"}, {odd, "which"}, {odd, "replace", "pool-a"}, {odd, "replace", "nothing"}, {odd, "migrate", "pool"}, {"", "migrate", key}, {"", "replace", "pool-a"},
		{"", "disable", "pool-a", "--for", "1h", "--reason", "leaked"}, {"", "enable", "pool-a"}, {"", "undo"}, {"", "rotate", "pool"}, {"", "pin", "pool", "pool-b"}, {"", "unpin", "pool"},
		{"", "drain", "pool-b"}, {"", "enable", "pool-b"}, {"", "fail", "pool-b"}, {"", "lift", "pool"}, {"", "reset", "pool"}, {"", "lend", "cmd", "pool", "--for", "1h"}, {"", "unlend", "cmd", "pool"},
		{"", "import", filepath.Join(x.dir, "in", "vars.env")}, {answer, "explain", "--provider", "openai"}, {answer, "explain", "--provider", "openai", "--json"},
		{odd, "init", "--provider", "openai", "--base-url", x.up.URL, "--config", x.dir + "/init/rejected.toml"}, {key, "init", "--provider", "openai", "--base-url", x.up.URL, "--config", x.dir + "/init/keywheel.toml"},
		{"", "__complete", "why", ""}, {"", "completion", "bash"}, {"", "--help"},
		// A secret where none belongs.
		{"", key}, {"", "which", key}, {"", "replace", "pool-a", key}, {"", "why", key}, {"", "disable", key}, {"", "pin", "pool", key}, {"", "test", key}, {"", "serve", "--config", key},
		{"", "disable", "pool-a", "--for", key}, {"", "explain", "--provider", key}, {"", "init", "--provider", key}, {"", "--" + key}, {"", "import", key}, {"", "env", key}, {"", "usage", "--by", key},
	}
	next := make(chan []string)
	var hands sync.WaitGroup
	for range 3 {
		hands.Go(func() {
			for r := range next {
				x.run(r[0], append(r[1:], "--socket", x.socket)...)
			}
		})
	}
	for _, r := range runs {
		next <- r
	}
	close(next)
	hands.Wait()
}

// live has the providers asked about keys that they reject, in as many words as
// they have.
func (x *aviary) live() {
	cfg := x.config
	for _, name := range provider.Names() {
		x.rejected.Store(x.all[name].secret, true)
	}
	for _, args := range [][]string{{"check", "--live"}, {"check", "--live", "--json"}, {"test"}} {
		if out := x.run("", append(args, "--config", cfg)...); !strings.Contains(out, "[key ") && !strings.Contains(out, "invalid_api_key") {
			x.t.Errorf("keywheel %v tells nothing of what providers say: %s", args, out)
		}
	}
	for _, name := range provider.Names() {
		x.rejected.Delete(x.all[name].secret)
	}
}

// demo shows the demo, which has no use for a secret that is around.
func (x *aviary) demo() {
	s := x.terminal("demo", "--speed", "5", "--listen", "127.0.0.1:0", "--socket", filepath.Join(x.dir, "run", "demo.sock"))
	s.until(x.t, `Services \d+`)
	if !s.shows(`limited|revoked|exhausted`, 2*time.Minute) {
		x.t.Error("the demo shows no trouble")
	}
	s.end(syscall.SIGTERM)
	x.look("the demo", s.raw.String())
}

// both is the proxy and its monitor in one, which breaks down.
func (x *aviary) both() {
	s := x.terminal("--config", x.config, "--socket", x.socket)
	s.until(x.t, `Services \d+`)
	x.awaitAnswer(x.t)
	x.ask("POST", "/openai/v1/chat/completions", `{"model":"gpt-4o","messages":[]}`, "X-Say", "0 400", "Content-Type", "application/json")
	x.openFiles(s.cmd)
	s.end(syscall.SIGQUIT)
	if !strings.Contains(s.raw.String(), "goroutine ") {
		x.t.Error("it did not tell where it broke down")
	}
	x.look("the terminal of both", s.raw.String())
}

func (x *aviary) terminal(args ...string) *screen {
	x.ran.Store(args[0], true)
	return inTerminal(x.t, x.command(x.t.Context(), args...), 160, 40)
}

// screens shows all screens in a terminal, and types a secret into one of them.
func (x *aviary) screens() {
	s := x.terminal("attach", "--socket", x.socket)
	s.until(x.t, `Services \d+`)
	for _, step := range []struct{ keys, shows string }{
		{"1", `Services \d+`}, {"w", `.`}, {"2", ` Keys \d+ `}, {"\r", `.`}, {"w", `.`}, {"3", `Timeline`}, {"\r", `.`}, {"4", `Traffic`}, {"\r", `.`}, {"5", `System`}, {"?", `.`},
		{"2", ` Keys \d+ `}, {"m", `.`}, {"m", `.`}, {"m", `.`}, {"x", `new secret:`}, {x.all["stranger"].secret + "\r", `rejects it|retired|switched|not tested|gave no answer`},
	} {
		// What is open is closed first. A key that comes too soon behind that is
		// another key, and is pressed again.
		for try := 0; try == 0 || try < 20 && len(step.keys) == 1 && !s.shows(step.shows, time.Second); try++ {
			if len(step.keys) == 1 && step.keys >= "1" && step.keys <= "5" {
				s.typed(x.t, "\x1b")
				s.shows(`\A\z`, 50*time.Millisecond)
			}
			s.typed(x.t, step.keys)
		}
		if !s.shows(step.shows, 2*time.Minute) {
			x.t.Errorf("after %.1q the screen did not show %s", step.keys, step.shows)
		}
		x.look("the screen", s.text())
	}
	s.end(syscall.SIGTERM)
	x.look("the terminal", s.raw.String())
}

// replaced gives a key another secret, which is accepted.
func (x *aviary) replaced() {
	for _, key := range []string{"pool-a", "pool-b"} {
		if out := x.run(x.hatch("new "+key, "sk-proj-%s"), "replace", key, "--socket", x.socket); !strings.Contains(out, "kept in") {
			x.t.Errorf("%s was not replaced: %s", key, out)
		}
	}
}

// brokenFiles puts secrets where references belong, and files that cannot be
// read where it looks.
func (x *aviary) brokenFiles() {
	key := x.all["openai"].secret
	cfg := x.config
	fine, err := os.ReadFile(cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	for i, broken := range []string{
		"[keys.z]\nprovider = \"openai\"\nsecret = \"" + key + "\"\n", "[keys.z]\nprovider = \"" + key + "\"\nsecret = \"env:" + key + "\"\n", "[keys." + key + "]\n",
		"[services.z]\nkeys = [\"" + key + "\"]\n", "[services.z]\nkeys = [\"openai\"]\ntoken = \"" + key + "\"\n", "[keys.z\nsecret = \"" + key + "\n", "secret = '" + key + "'\n" + key + "\n",
		"[services.z]\nkeys = [\"openai\"]\nheaders = { Authorization = \"Bearer " + key + "\\r\\nX: y\" }\n", "[alerts]\nwebhook = \"http://evil.example/" + key + "\"\n",
	} {
		text := string(fine) + broken
		if strings.HasPrefix(broken, "[alerts]") {
			text = broken + "[keys.a]\nprovider = \"openai\"\nsecret = \"env:CANARY_0\"\n[services.a]\nkeys = [\"a\"]\n"
		}
		x.file("keywheel.toml", text, 0o600)
		x.run("", "check", "--config", cfg)
		if i > 0 {
			continue
		}
		tick := time.NewTicker(10 * time.Millisecond)
		for range 12_000 { // it notices by itself
			if s, err := x.client.Snapshot(x.t.Context()); err == nil && s.Config != nil && len(s.Config.Problems) > 0 {
				break
			}
			<-tick.C
		}
		tick.Stop()
		x.run("", "status", "--socket", x.socket)
	}
	x.file("keywheel.toml", string(fine), 0o600)
	dir := filepath.Join(x.dir, "in", "env")
	if err := os.Mkdir(dir, 0o700); err != nil {
		x.t.Fatal(err)
	}
	for _, dotenv := range []string{"LLM_MODEL_CONFIGS={\"m\": {\"api_key\": [\"" + key + "\", \"" + key + "]}}\n", "LLM_MODEL_CONFIGS='{\"m\": {\"api_key\": \"" + key + "\", \"api_base\": \"" + key + "\"}}'\n",
		"API_KEY=" + key + "\nAPI_BASE=http://" + key + "/\n", key + "\n=" + key + "\nAPI_KEY=\"" + key + "\n", "LLM_MODEL_CONFIGS={\"" + key + "\": {\"" + key + "\": 1}}\n"} {
		x.file("env/.env", dotenv, 0o600)
		c := x.command(x.t.Context(), "check")
		c.Dir = dir
		out, _ := c.CombinedOutput()
		x.look("check of a broken .env", string(out))
	}
}

// overTheSocket asks the socket for all that it answers.
func (x *aviary) overTheSocket() {
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", x.socket)
	}}}
	defer h.CloseIdleConnections()
	key := x.all["openai"].secret
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/v1/snapshot", ""}, {"GET", "/v1/snapshot?since=&requests=0", ""}, {"GET", "/v1/events?after=0", ""}, {"GET", "/v1/requests?after=0", ""}, {"GET", "/v1/system", ""},
		{"GET", "/metrics", ""}, {"GET", "/v1/nothing", ""}, {"GET", "/v1/events?after=" + key, ""},
		{"POST", "/v1/actions", `{"verb":"` + key + `"}`}, {"POST", "/v1/replace", `{"key":"` + key + `","secret":"` + key + `"}`},
	} {
		req, err := http.NewRequest(r.method, "http://keywheel"+r.path, strings.NewReader(r.body))
		if err != nil {
			x.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := h.Do(req)
		if err != nil {
			x.t.Error(err)
			continue
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		x.look("the socket's "+r.path, string(text))
	}
}

// openFiles looks into the files that a program has open and that are not found
// otherwise: those elsewhere, or without a name.
func (x *aviary) openFiles(c *exec.Cmd) {
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", c.Process.Pid))
	for _, name := range list {
		info, err := os.Stat(name)
		path, _ := os.Readlink(name)
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(path, x.dir) && !strings.HasSuffix(path, " (deleted)") {
			continue
		}
		text, _ := os.ReadFile(name)
		x.look("what it has open", string(text))
	}
}

// crash ends the program by a signal that dumps its goroutines.
func (x *aviary) crash(s syscall.Signal) {
	c := x.cmd
	for _, name := range []string{"cmdline", "comm"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.Process.Pid, name))
		x.look(name, string(text))
	}
	x.openFiles(c)
	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.Process.Pid)); err == nil && !regexp.MustCompile(`Max core file size +0 +0`).Match(limits) {
		x.t.Errorf("it may dump core: %s", limits)
	}
	if err := c.Process.Signal(s); err != nil {
		x.t.Fatal(err)
	}
	_ = c.Wait()
	x.log.await(x.t, "goroutine ")
	x.look("the log", x.log.text())
	if c.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
		x.t.Error("it dumped core")
	}
}

// journal looks at what the journal says, beside its bytes.
func (x *aviary) journal() {
	path := filepath.Join(x.dir, "state", "kw.db")
	for _, name := range []string{path, path + "-wal", path + ".lock", x.socket, x.socket + ".lock"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			x.t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		x.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT name FROM sqlite_schema WHERE type = 'table'")
	if err != nil {
		x.t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var name string
		_ = rows.Scan(&name)
		tables = append(tables, name)
	}
	_ = rows.Close()
	n := 0
	for _, table := range tables {
		rows, err := db.Query("SELECT * FROM \"" + table + "\"")
		if err != nil {
			x.t.Error(err)
			continue
		}
		columns, _ := rows.Columns()
		for rows.Next() {
			row := make([]any, len(columns))
			for i := range row {
				row[i] = new([]byte)
			}
			if err := rows.Scan(row...); err != nil {
				x.t.Error(err)
			}
			for i := range row {
				x.look("the journal's "+table+"."+columns[i], string(*row[i].(*[]byte)))
			}
			n++
		}
		_ = rows.Close()
	}
	if n < 100 {
		x.t.Errorf("the journal has only %d rows", n)
	}
}

//go:build linux && amd64

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keywheel/cmd/keywheel/testdata/clock"
	"keywheel/engine"
)

// TestClockJumps sets the clock of the real program while clients keep it busy:
// by hours and days and back, by a little again and again, over midnight and a
// month's end. Nobody who waits for an answer sees any of that, no key rests for
// longer than its provider said and none is asked more than it may be, and what
// the program tells and remembers stays sound, also over a restart.
//
//	go test -race -run '^TestClockJumps$' -v ./cmd/keywheel
func TestClockJumps(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for real seconds")
	}
	if !clock.Works() {
		t.Skip("the kernel lets nobody stand in for its clock")
	}
	t.Parallel()
	j := newJumps(t)
	j.set(0)
	j.serve(t)
	j.run("lend", "lent", "ui", "--for", "30m")
	j.run("disable", "off", "--for", "5h")
	screen := j.attach()
	clients, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	for _, c := range []func(){func() { j.ask("ui") }, func() { j.ask("ui") }, func() { j.ask("tight") }, func() { j.ask("tight") }, j.askInVain, func() { j.ask("hub") }, j.askSlowly} {
		busy.Go(func() {
			pace := time.NewTicker(time.Millisecond) // it is the clock that is tested, not the speed
			defer pace.Stop()
			for clients.Err() == nil {
				c()
				<-pace.C
			}
		})
	}
	y, m, _ := time.Now().UTC().Date()
	month := time.Until(time.Date(y, m+1, 3, 0, 0, 0, 0, time.UTC)) // two days into the next
	for _, to := range []jump{
		{name: "as it is", returns: true},
		{name: "an hour ahead", off: time.Hour},
		{name: "an hour behind", off: -time.Hour},
		{name: "as it is again"},
		{name: "over a month's end", off: month, returns: true},
		{name: "back over that, a day ahead", off: 24 * time.Hour},
		{name: "a day behind", off: -24 * time.Hour},
		{name: "as it is once more", returns: true},
	} {
		j.to(to)
		screen.showsTime(t, j.now())
	}
	for i := range 40 { // as when a clock is led to the right time, clumsily
		j.set(time.Duration(i%5-2) * time.Duration(i*i) * time.Millisecond)
		j.ask("ui")
	}
	j.to(jump{name: "led to and fro"})
	// It stops in a future that never was.
	j.to(jump{name: "ahead, before a restart", off: 30 * time.Hour, returns: true})
	stop()
	busy.Wait()
	screen.end(syscall.SIGTERM)
	before := j.books()
	j.stop()
	j.set(0)
	j.serve(t)
	if after := j.books(); after.requests != before.requests || after.tokens != before.tokens || after.used != after.tokens {
		t.Errorf("after a restart it remembers %+v, before it %+v", after, before)
	}
	for range 50 {
		j.ask("ui")
	}
	j.ask("tight")
	j.ask("hub")
	j.look("with a journal from the future")
	if sum, b := j.asked(), j.books(); b.requests != int64(sum) {
		t.Errorf("it remembers %+v, and the provider was asked %d times", b, sum)
	}
	j.stop()
	t.Logf("asked: %v", j.calls)
}

// jump is a time that the clock is set to.
type jump struct {
	name string
	off  time.Duration // from the right one
	// returns is set where that is beyond the time at which a spent key returns.
	returns bool
}

// jumps is the real program with a clock of its own, its provider and clients.
type jumps struct {
	*program
	t        *testing.T
	up       *httptest.Server
	answered map[string]*atomic.Int64

	mu  sync.Mutex
	off time.Duration
	// forward is when the clock was last set forward.
	forward time.Time
	// rests are the keys that shall not be asked for a while, calls what came
	// with each.
	rests map[string]rest
	calls map[string]int
}

// rest is how long a provider does not want to see a key.
type rest struct{ since, until time.Time }

func newJumps(t *testing.T) *jumps {
	j := &jumps{program: newProgram(t, "TZ=UTC"), t: t, rests: map[string]rest{}, calls: map[string]int{},
		answered: map[string]*atomic.Int64{"ui": {}, "tight": {}, "hub": {}, "slow": {}}}
	j.up = httptest.NewServer(j)
	t.Cleanup(j.up.Close)
	j.env = append(j.env, clock.Env+"="+filepath.Join(j.dir, "clock"))
	var toml strings.Builder
	fmt.Fprintf(&toml, "listen = \"127.0.0.1:0\"\njournal = \"kw.db\"\nheader_timeout = \"1m\"\nidle_timeout = \"1m\"\n")
	fmt.Fprintf(&toml, "[providers.up]\nkind = \"openai\"\nbase_url = \"%s/v1\"\n[providers.hub]\nkind = \"github\"\nbase_url = \"%[1]s\"\n", j.up.URL)
	key := func(name, provider, more string) {
		fmt.Fprintf(&toml, "[keys.%s]\nprovider = %q\nsecret = \"file:secret-%[1]s\"\naccount = %[1]q\n%[3]s\n", name, provider, more)
		write(t, filepath.Join(j.dir, "secret-"+name), "sk-test-not-a-key-"+name)
	}
	key("plain", "up", "")
	key("minute", "up", fmt.Sprintf("limits = { rpm = %d }", perMinute))
	key("day", "up", fmt.Sprintf("limits = { rpd = %d }", perDay))
	key("month", "up", "limits = { usd_per_month = 1000.0 }")
	key("slow", "up", "")
	key("spent", "up", "")
	key("off", "up", "")
	key("lent", "up", "")
	key("tight", "up", "")
	key("hub", "hub", "")
	key("hub2", "hub", "")
	fmt.Fprintf(&toml, "[services.ui]\nkeys = [\"plain\", \"minute\", \"day\", \"month\", \"slow\", \"spent\", \"off\"]\n[services.tight]\nkeys = [\"tight\"]\n"+
		"[services.hub]\nkeys = [\"hub\", \"hub2\"]\n[services.other]\nkeys = [\"lent\"]\n")
	write(t, j.config, toml.String())
	return j
}

// What two of the keys may be asked.
const perMinute, perDay = 12, 20

// set sets the program's clock, so far off from the machine's.
func (j *jumps) set(off time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if off > j.off {
		j.forward = time.Now()
	}
	j.off = off
	if err := clock.Set(filepath.Join(j.dir, "clock"), off); err != nil {
		j.t.Fatal(err)
	}
}

// now is the time by the program's clock.
func (j *jumps) now() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return time.Now().Round(0).Add(j.off)
}

// came counts a call and reports how many came with the key. None shall come
// while the key rests, but where the clock was set forward meanwhile, or it was
// on its way already.
func (j *jumps) came(key string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, r := time.Now(), j.rests[key]
	if now.Before(r.until.Add(-20*time.Millisecond)) && now.Sub(r.since) > 700*time.Millisecond && j.forward.Before(r.since) {
		j.t.Errorf("%s was asked %s too early", key, r.until.Sub(now))
	}
	j.calls[key]++
	return j.calls[key]
}

// ServeHTTP is the provider. Its own clock is right.
func (j *jumps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, "/repos") {
		fmt.Fprint(w, "{}") // its own calls
		return
	}
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), "sk-test-not-a-key-")
	n := j.came(key)
	w.Header().Set("Content-Type", "application/json")
	refuse := func(status int, wait time.Duration, body string) {
		j.mu.Lock()
		j.rests[key] = rest{time.Now(), time.Now().Add(wait)}
		j.mu.Unlock()
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
	switch {
	case r.Header.Get("X-Test-Vain") != "" || key == "slow" && n%10 == 1:
		w.Header().Set("Retry-After", "1")
		refuse(http.StatusTooManyRequests, time.Second, `{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}`)
	case key == "spent":
		w.Header().Set("Retry-After", "10800")
		refuse(http.StatusTooManyRequests, 3*time.Hour, `{"error":{"message":"Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 3h0m0s.","type":"requests","code":"rate_limit_exceeded"}}`)
	case key == "hub" && n%5 == 1:
		w.Header().Set("X-Ratelimit-Limit", "5000")
		w.Header().Set("X-Ratelimit-Remaining", "0")
		w.Header().Set("X-Ratelimit-Reset", strconv.FormatInt(time.Now().Unix()+2, 10))
		refuse(http.StatusForbidden, time.Second, `{"message":"API rate limit exceeded for user ID 1.","documentation_url":"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"}`)
	case r.Header.Get("X-Test-Slow") != "":
		w.Header().Set("Content-Type", "text/event-stream")
		for range 4 {
			fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-time.After(150 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14}}\n\ndata: [DONE]\n\n")
	default:
		fmt.Fprint(w, `{"id":"c","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}}`)
	}
}

// stop ends the program in good order.
func (j *jumps) stop() {
	j.t.Helper()
	_ = j.cmd.Process.Signal(syscall.SIGTERM)
	if err := j.cmd.Wait(); err != nil {
		j.t.Errorf("it ended with %v\n%s", err, j.log.text())
	}
}

func (j *jumps) status() (s engine.Snapshot) {
	j.t.Helper()
	if err := json.Unmarshal([]byte(j.run("status", "--json")), &s); err != nil {
		j.t.Fatal(err)
	}
	return s
}

// run runs a verb, by the same clock, and returns what it says.
func (j *jumps) run(args ...string) string {
	j.t.Helper()
	c := j.command(j.t.Context(), append(args, "--config", j.config, "--socket", j.socket)...)
	var wrong strings.Builder
	c.Stderr = &wrong
	out, err := c.Output()
	if c.ProcessState.ExitCode() == 3 { // something needs a person
		err = nil
	}
	if err != nil {
		j.t.Fatalf("keywheel %v: %v\n%s%s", args, err, out, wrong.String())
	}
	return string(out)
}

// ask sends a request to a service, whose client wants its answer.
func (j *jumps) ask(service string) {
	method, path, body := http.MethodPost, "/v1/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`
	if service == "hub" {
		method, path, body = http.MethodGet, "/repos/o/r", ""
	}
	begun := time.Now()
	status, text := ask(context.Background(), method, j.url("/"+service+path), body)
	if took := time.Since(begun); status != http.StatusOK || took > 30*time.Second {
		j.t.Errorf("at %v a client of %s saw %d %s after %s", j.now(), service, status, text, took)
	}
	j.answered[service].Add(1)
}

// askInVain is a client whose request the provider refuses: for it the others
// have to wait in line. It is told so, and for how long.
func (j *jumps) askInVain() {
	res := j.post("tight", "X-Test-Vain")
	if res == nil {
		return
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if wait, err := strconv.Atoi(res.Header.Get("Retry-After")); res.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 30 {
		j.t.Errorf("at %v a client that is refused saw %d, Retry-After %q: %s", j.now(), res.StatusCode, res.Header.Get("Retry-After"), text)
	}
}

// post sends a stream's request of a sort, nil if that was not answered.
func (j *jumps) post(service, sort string) *http.Response {
	req, err := http.NewRequest(http.MethodPost, j.url("/"+service+"/v1/chat/completions"), strings.NewReader(`{"model":"gpt-4o","stream":true,"messages":[]}`))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(sort, "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		j.t.Errorf("at %v a client of %s saw %v", j.now(), service, err)
		return nil
	}
	return res
}

// askSlowly asks for a stream that takes its time.
func (j *jumps) askSlowly() {
	res := j.post("ui", "X-Test-Slow")
	if res == nil {
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(string(text), "[DONE]\n\n") {
		j.t.Errorf("a slow stream ended with %v: %d %s", err, res.StatusCode, text)
	}
	j.answered["slow"].Add(1)
}

// to sets the clock, waits until all sorts of clients have been answered some
// more, and looks at what the program tells then.
func (j *jumps) to(to jump) {
	j.t.Helper()
	j.mu.Lock()
	back := to.off < j.off
	before, begun := maps.Clone(j.calls), time.Now()
	j.mu.Unlock()
	j.set(to.off)
	more := map[string]int64{"ui": 200, "tight": 1, "hub": 5}
	for service := range more {
		more[service] += j.answered[service].Load()
	}
	for {
		waits := ""
		for service, n := range more {
			if j.answered[service].Load() < n {
				waits = "the clients of " + service
			}
		}
		j.mu.Lock()
		if to.returns && j.calls["spent"] == before["spent"] {
			waits = "a key that is not spent any more"
		}
		j.mu.Unlock()
		if waits == "" {
			break
		}
		if time.Since(begun) > time.Minute {
			j.t.Fatalf("%s: nothing comes for %s\n%s", to.name, waits, j.run("status"))
		}
		time.Sleep(time.Millisecond)
	}
	j.mu.Lock()
	took := time.Since(begun)
	asked := func(key string) int { return j.calls[key] - before[key] }
	if n := asked("spent"); !to.returns && n > 0 {
		j.t.Errorf("%s: a key that is spent was asked %d times", to.name, n)
	}
	if n := asked("day"); back && n > 0 {
		j.t.Errorf("%s: a key was asked %d times more than it may be a day", to.name, n)
	}
	if n, most := asked("minute"), 1+perMinute*took.Minutes(); back && float64(n) > most {
		j.t.Errorf("%s: a key was asked %d times in %v, and may be %.1f times", to.name, n, took, most)
	}
	j.mu.Unlock()
	j.look(to.name)
}

// look looks at what the program tells.
func (j *jumps) look(when string) {
	j.t.Helper()
	text := j.run("status", "--json")
	var s engine.Snapshot
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		j.t.Fatal(err)
	}
	if negative.MatchString(text) {
		j.t.Errorf("%s: %s is negative", when, negative.FindString(text))
	}
	now := j.now()
	if d := now.Sub(s.At); d.Abs() > 10*time.Second {
		j.t.Errorf("%s: it is %v by its clock, want %v", when, s.At, now)
	}
	if len(s.Incidents) > 0 {
		j.t.Errorf("%s: %+v", when, s.Incidents)
	}
	for _, k := range s.Keys {
		for _, h := range k.Holds {
			if h.Since.After(now.Add(time.Second)) {
				j.t.Errorf("%s: %s is held since %v, and it is %v", when, k.Name, h.Since, now)
			}
			most := map[string]time.Duration{"tight": 2 * time.Second, "slow": 2 * time.Second, "hub": 4 * time.Second, "spent": 3*time.Hour + time.Minute, "off": 5 * time.Hour, "day": 24 * time.Hour}[k.Name]
			end := h.Until
			if end == nil {
				end = h.TrialAt
			}
			if end == nil || end.Sub(now) > most {
				j.t.Errorf("%s: %s is held until %v: %s", when, k.Name, end, h.Why)
			}
		}
		for _, l := range k.Limits {
			if l.ResetsAt != nil && l.Per == "day" && l.ResetsAt.Sub(now) > 24*time.Hour {
				j.t.Errorf("%s: the day of %s ends at %v", when, k.Name, l.ResetsAt)
			}
		}
	}
	for _, svc := range s.Services {
		for _, l := range svc.Lent {
			if l.Until.Sub(now) > 30*time.Minute {
				j.t.Errorf("%s: %s is lent until %v", when, l.Key, l.Until)
			}
		}
		if svc.Name == "ui" && slices.Max(svc.Series) == 0 {
			j.t.Errorf("%s: the sparkline of %s is empty", when, svc.Name)
		}
	}
	for _, verb := range [][]string{{"status"}, {"usage"}, {"usage", "--by", "key", "--json"}, {"events"}, {"events", "--json"}, {"why", "ui"}, {"why", "slow"}, {"why", "spent"}, {"map"}} {
		if text := j.run(verb...); negative.MatchString(text) || strings.TrimSpace(text) == "" {
			j.t.Errorf("%s: keywheel %v says %.300s", when, verb, negative.FindString(text))
		}
	}
}

// negative is a number or a duration below zero.
var negative = regexp.MustCompile(`[^\s"]*[: "(]-\d[^\s,]*`)

// sums are what the program remembers of all requests.
type sums struct{ requests, tokens, used int64 }

func (j *jumps) books() (b sums) {
	j.t.Helper()
	for _, k := range j.status().Keys {
		b.requests += k.Requests
		b.tokens += k.InputTokens
	}
	var u usage
	if err := json.Unmarshal([]byte(j.run("usage", "--since", "7d", "--json")), &u); err != nil {
		j.t.Fatal(err)
	}
	b.used = u.Total.InputTokens
	return b
}

// asked is how often the provider was.
func (j *jumps) asked() (sum int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, n := range j.calls {
		sum += n
	}
	return sum
}

// attach is the monitor, in a terminal.
func (j *jumps) attach() *screen {
	s := inTerminal(j.t, j.command(j.t.Context(), "attach", "--socket", j.socket), 160, 40)
	s.until(j.t, `Services \d+`)
	return s
}

// showsTime waits until the screen shows what is so at a time.
func (s *screen) showsTime(t *testing.T, now time.Time) {
	t.Helper()
	if !s.shows("live ("+now.UTC().Format("15:04")+"|"+now.UTC().Add(time.Minute).Format("15:04")+")", 2*time.Minute) {
		t.Error("the screen stands still")
	}
	if text := s.text(); negative.MatchString(text) {
		t.Errorf("%s is negative:\n%s", negative.FindString(text), text)
	}
}

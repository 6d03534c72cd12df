package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is what a snapshot shows, to be changed as time passes.
type world struct{ engine.Snapshot }

// newWorld is service "svc" with some keys k1, k2, ..., all active.
func newWorld(keys int) *world {
	w := &world{engine.Snapshot{Services: []engine.ServiceStatus{{Name: "svc", Provider: "openai", Usable: keys}}}}
	for i := range keys {
		name := fmt.Sprintf("k%d", i+1)
		w.Services[0].Keys = append(w.Services[0].Keys, name)
		w.Keys = append(w.Keys, engine.KeyStatus{Name: name, Provider: "openai", Fingerprint: "fp-" + name, State: engine.Active})
	}
	return w
}

// set makes a key something else.
func (w *world) set(name string, st engine.State, why string) {
	for i := range w.Keys {
		if w.Keys[i].Name == name {
			w.Keys[i].State, w.Keys[i].Reason = st, why
		}
	}
	usable := 0
	for _, k := range w.Keys {
		if k.Usable() {
			usable++
		}
	}
	w.Services[0].Usable = usable
}

// run looks every second from one second to another, and tells what was said:
// "62 no_usable_key", "70 no_usable_key over".
func (w *world) run(watch *Watch, from, to int) (said []string) {
	for sec := from; sec < to; sec++ {
		w.At = start.Add(time.Duration(sec) * time.Second)
		for _, a := range watch.Look(w.Snapshot) {
			line := fmt.Sprintf("%d %s", sec, a.Kind)
			if a.Resolved {
				line += " over"
			}
			said = append(said, line)
		}
	}
	return said
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: said %q, want %q", what, got, want)
	}
}

func TestAlertOnceAndItsEnd(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(2), NewWatch(Kinds, 10*time.Minute)
	expect(t, "all well", w.run(watch, 0, 60))
	w.set("k2", engine.Exhausted, "no money")
	expect(t, "one key left", w.run(watch, 60, 600), "62 one_key_left")
	w.set("k1", engine.Cooling, "429 rate limited")
	expect(t, "then none: the first is not over", w.run(watch, 600, 4000), "602 no_usable_key")
	w.set("k1", engine.Active, "")
	expect(t, "one again", w.run(watch, 4000, 4100), "4002 no_usable_key over")
	w.set("k2", engine.Active, "")
	expect(t, "both again", w.run(watch, 4100, 4200), "4102 one_key_left over")
	if len(watch.seen) != 0 {
		t.Errorf("remembers %v", watch.seen)
	}
}

func TestAlertOfAMomentIsNone(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(1), NewWatch(Kinds, 10*time.Minute)
	for sec := 0; sec < 100; sec += 2 {
		w.set("k1", engine.Cooling, "429 rate limited")
		expect(t, "down for a second", w.run(watch, sec, sec+1))
		w.set("k1", engine.Active, "")
		expect(t, "and up", w.run(watch, sec+1, sec+2))
	}
}

func TestAlertQuietTime(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(1), NewWatch(Kinds, 10*time.Minute)
	var said []string
	for sec := 0; sec < 1200; sec += 60 { // up and down every minute
		w.set("k1", engine.Cooling, "429 rate limited")
		said = append(said, w.run(watch, sec, sec+30)...)
		w.set("k1", engine.Active, "")
		said = append(said, w.run(watch, sec+30, sec+60)...)
	}
	expect(t, "20 times in 20 minutes", said, "2 no_usable_key", "32 no_usable_key over", "602 no_usable_key", "632 no_usable_key over")

	// What came back within the quiet time and stays is told when that is over.
	w, watch = newWorld(1), NewWatch(Kinds, 10*time.Minute)
	w.set("k1", engine.Cooling, "")
	said = w.run(watch, 0, 30)
	w.set("k1", engine.Active, "")
	said = append(said, w.run(watch, 30, 60)...)
	w.set("k1", engine.Cooling, "")
	expect(t, "it stays", append(said, w.run(watch, 60, 2000)...), "2 no_usable_key", "32 no_usable_key over", "602 no_usable_key")
}

func TestAlertOnlyWhatIsOn(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(1), NewWatch([]Kind{Revoked}, time.Minute)
	w.set("k1", engine.Revoked, "401 invalid key")
	expect(t, "only revoked", w.run(watch, 0, 10), "2 revoked")
}

func TestAlertOneKeyOfOneIsNoNews(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(1), NewWatch(Kinds, time.Minute)
	expect(t, "a service with one key", w.run(watch, 0, 10))
	w.Services[0].Planned, w.Services[0].Usable = true, 0
	expect(t, "a planned service", w.run(watch, 10, 20))
	w.Services[0] = engine.ServiceStatus{Name: "empty"}
	expect(t, "a service without keys", w.run(watch, 20, 30))
}

func TestAlertRevoked(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(4), NewWatch([]Kind{Revoked}, time.Minute)
	w.Keys[1].Fingerprint = w.Keys[0].Fingerprint // one secret, two names
	for i := range w.Keys[:2] {
		w.set(w.Keys[i].Name, engine.Revoked, "401 invalid key")
	}
	for i := range w.Keys[2:] { // an account
		k := &w.Keys[2+i]
		k.State, k.Account, k.Holds = engine.Revoked, "team-a", []engine.HoldStatus{{Account: "team-a"}}
	}
	var subjects []string
	for _, at := range []time.Duration{0, settle} {
		w.At = start.Add(at)
		for _, a := range watch.Look(w.Snapshot) {
			subjects = append(subjects, fmt.Sprintf("%s (%d)", a.Subject, len(a.Keys)))
		}
	}
	expect(t, "once each", subjects, "account team-a at openai (2)", "key k1 (2)")
}

func TestAlertRunsOut(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) *time.Time { t := start.Add(d); return &t }
	for _, c := range []struct {
		what  string
		limit engine.LimitStatus
		want  string
	}{
		{"before its reset", engine.LimitStatus{Remaining: 10, RunsOutAt: in(time.Hour), ResetsAt: in(5 * time.Hour)}, "runs_out"},
		{"a moment before its reset", engine.LimitStatus{Remaining: 10, RunsOutAt: in(time.Hour), ResetsAt: in(time.Hour + time.Second)}, ""},
		{"a minute's, which refills", engine.LimitStatus{Remaining: 10, RunsOutAt: in(10 * time.Second), ResetsAt: in(50 * time.Second)}, ""},
		{"it lasts", engine.LimitStatus{Remaining: 10, ResetsAt: in(5 * time.Hour)}, ""},
		{"never resets, today", engine.LimitStatus{Remaining: 10, RunsOutAt: in(3 * time.Hour)}, "runs_out"},
		{"never resets, next week", engine.LimitStatus{Remaining: 10, RunsOutAt: in(150 * time.Hour)}, ""},
		{"has run out", engine.LimitStatus{ResetsAt: in(5 * time.Hour)}, ""},
	} {
		w, watch := newWorld(2), NewWatch([]Kind{RunsOut}, time.Minute)
		c.limit.Unit, c.limit.Per, c.limit.Scope = "tokens", "1d", "key"
		w.Keys[0].Limits = []engine.LimitStatus{c.limit}
		var want []string
		if c.want != "" {
			want = []string{"2 " + c.want}
		}
		expect(t, c.what, w.run(watch, 0, 10), want...)
	}
	// An account's limit stands with each of its keys, and stays told when it is
	// used up.
	w, watch := newWorld(2), NewWatch([]Kind{RunsOut}, time.Minute)
	l := engine.LimitStatus{Unit: "usd", Per: "month", Scope: "account", Remaining: 2, RunsOutAt: in(time.Hour), ResetsAt: in(90 * time.Hour)}
	for i := range w.Keys {
		w.Keys[i].Account, w.Keys[i].Limits = "team-a", []engine.LimitStatus{l}
	}
	expect(t, "an account", w.run(watch, 0, 10), "2 runs_out")
	for i := range w.Keys {
		w.Keys[i].Limits[0].Remaining, w.Keys[i].Limits[0].RunsOutAt = 0, nil
	}
	expect(t, "used up", w.run(watch, 10, 20))
	for i := range w.Keys {
		w.Keys[i].Limits[0].Remaining = 50
	}
	expect(t, "full again", w.run(watch, 20, 30), "22 runs_out over")
}

func TestAlertIncident(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(3), NewWatch(Kinds, time.Minute)
	w.Incidents = []engine.Incident{{Provider: "openai", What: "503 from upstream", Keys: []string{"k1", "k2"}, Of: 3}}
	expect(t, "an incident", w.run(watch, 0, 10), "2 incident")
	w.Incidents = nil
	expect(t, "over", w.run(watch, 10, 20), "12 incident over")
}

// What a command gets has all that a person needs, and stays as it is.
func TestAlertJSON(t *testing.T) {
	t.Parallel()
	w, watch := newWorld(2), NewWatch([]Kind{OneKeyLeft}, time.Minute)
	w.set("k1", engine.Revoked, "401 invalid key")
	var said []Alert
	for sec := range 8 {
		if sec == 5 {
			w.set("k1", engine.Active, "")
		}
		w.At = start.Add(time.Duration(sec) * time.Second)
		said = append(said, watch.Look(w.Snapshot)...)
	}
	if len(said) != 2 {
		t.Fatalf("said %+v", said)
	}
	for i, want := range []string{
		`{"version":1,"id":"one_key_left service svc 1772366400000","alert":"one_key_left","at":"2026-03-01T12:00:02Z","resolved":false,"since":"2026-03-01T12:00:00Z",` +
			`"subject":"service svc","service":"svc","provider":"openai","text":"service svc: one key left of 2: k2 active, k1 revoked (401 invalid key)",` +
			`"keys":[{"name":"k2","state":"active"},{"name":"k1","state":"revoked","reason":"401 invalid key"}]}`,
		`{"version":1,"id":"one_key_left service svc 1772366400000","alert":"one_key_left","at":"2026-03-01T12:00:07Z","resolved":true,"since":"2026-03-01T12:00:00Z",` +
			`"subject":"service svc","service":"svc","provider":"openai","text":"service svc: one key left: over after 5s"}`,
	} {
		if got, _ := json.Marshal(said[i]); string(got) != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

// A real engine: keys go as answers say, and what it shows is alerted.
func TestAlertOfAnEngine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const fake = "sk-test-not-a-key-"
		cfg := engine.Config{Services: []engine.Service{{Name: "svc", Keys: []string{"a", "b"}}}}
		for _, name := range cfg.Services[0].Keys {
			cfg.Keys = append(cfg.Keys, engine.Key{Name: name, Provider: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", Secret: secret.New(fake + name), CanTest: true,
				Limits: []quota.Limit{{Unit: quota.Requests, Amount: 1000, Calendar: "day", Source: "config"}}})
		}
		e, err := engine.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		watch := NewWatch(Kinds, 10*time.Minute)
		var said []string
		look := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				for _, a := range watch.Look(e.Snapshot()) {
					text, _ := json.Marshal(a)
					if strings.Contains(string(text), fake) {
						t.Errorf("a secret: %s", text)
					}
					said = append(said, fmt.Sprintf("%s %v", a.Kind, a.Resolved))
				}
			}
		}
		request := func(v engine.Verdict) {
			lease, err := e.Acquire(context.Background(), &engine.Request{Service: "svc", Method: "GET", Path: "/v1/models", Repeatable: true})
			if err != nil {
				t.Fatal(err)
			}
			name := lease.Key().Name
			lease.Judge(v)
			lease.Close(engine.Usage{}, nil)
			if v.Kind == engine.InvalidKey {
				e.Tested(name, v)
			}
		}
		look(time.Minute)
		invalid := engine.Verdict{Kind: engine.InvalidKey, Scope: engine.ScopeKey, Rule: "401", Evidence: engine.Evidence{Status: 401}}
		request(invalid)
		look(time.Minute)
		request(invalid)
		look(time.Minute)
		for _, name := range []string{"a", "b"} {
			if _, err := e.Do(engine.Action{Verb: engine.VerbReset, Key: name}); err != nil {
				t.Fatal(err)
			}
		}
		look(time.Minute)
		for range 300 { // 1000 a day are gone in minutes
			request(engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: 200}})
			look(time.Second)
		}
		want := []string{"one_key_left false", "revoked false", "no_usable_key false", "revoked false",
			"no_usable_key true", "one_key_left true", "revoked true", "revoked true", "runs_out false", "runs_out false"}
		if !slices.Equal(said[:min(len(said), len(want))], want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
}

package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// noon is when all fixtures take place.
var noon = time.Date(2026, 3, 14, 14, 11, 7, 0, time.UTC)

var midnight = time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

func after(d time.Duration) *time.Time { return ptr(noon.Add(d)) }

// fake is a Source that shows what it is told and remembers what it is asked.
type fake struct {
	mu     sync.Mutex
	snap   engine.Snapshot
	events []engine.Event
	// requests and system are what it tells beside the snapshot.
	requests []engine.RequestRecord
	system   engine.SystemStatus
	did      []engine.Action
	err      error
	// steps are what a replacement tells, fails how it ends, got the secret.
	steps []string
	fails error
	got   string
	moved engine.Migration
	// tests are what a test says of a key; of another that it is accepted.
	tests map[string]engine.KeyTest
	spent []engine.Spent
	// wait holds it after its steps, until it is closed or the replacement is
	// cancelled.
	wait chan struct{}
}

// replaced is the fingerprint of a key whose secret the fake has replaced.
const replacedMark = "4e4e00112233"

func (f *fake) Replace(ctx context.Context, key string, s secret.Secret, _ string, tell func(string)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = s.Reveal()
	for _, text := range f.steps {
		tell(text)
	}
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.fails != nil {
		return f.fails
	}
	f.snap.Keys = slices.Clone(f.snap.Keys)
	for i := range f.snap.Keys {
		if f.snap.Keys[i].Name == key {
			f.snap.Keys[i].Fingerprint = replacedMark
		}
	}
	return nil
}

func (f *fake) Test(ctx context.Context, keys []string, _ string, tell func(engine.KeyTest)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, name := range keys {
		if i == 1 && f.wait != nil {
			select {
			case <-f.wait:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		k, ok := f.tests[name]
		if !ok {
			k = engine.KeyTest{Key: name, Provider: "openai", Status: 200, TookMS: 101}
		}
		tell(k)
	}
	return f.fails
}

func (f *fake) Spent() []engine.Spent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spent
}

func (f *fake) Requests(after uint64) (list []engine.RequestRecord) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if r.Seq > after {
			list = append(list, r)
		}
	}
	return list
}

func (f *fake) System() engine.SystemStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.system
}

// terse is a source that tells of neither requests nor itself.
type terse struct{ f *fake }

func (t terse) Snapshot() engine.Snapshot                 { return t.f.Snapshot() }
func (t terse) Events(after uint64) []engine.Event        { return t.f.Events(after) }
func (t terse) Do(a engine.Action) (engine.Result, error) { return t.f.Do(a) }

func (f *fake) Snapshot() engine.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap
}

func (f *fake) Events(after uint64) (list []engine.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ev := range f.events {
		if ev.Seq > after {
			list = append(list, ev)
		}
	}
	return list
}

func (f *fake) Do(a engine.Action) (engine.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, a)
	if f.err != nil {
		return engine.Result{}, f.err
	}
	return engine.Result{Text: fmt.Sprintf("%s %s%s", a.Verb, a.Service, a.Key), Undoable: a.Verb != engine.VerbUndo}, nil
}

// key makes a key that serves.
func key(name, provider, fingerprint string, more ...func(*engine.KeyStatus)) engine.KeyStatus {
	k := engine.KeyStatus{Name: name, Provider: provider, Fingerprint: fingerprint + "00112233", Account: provider + "-main",
		Ref: "env:FAKE_" + provider, State: engine.Active, Requests: 1200, PerMin: 40, BucketS: 5,
		Verdicts: engine.Verdicts{OK: 1190}, Series: wave(24, 4)}
	for _, f := range more {
		f(&k)
	}
	return k
}

func limited(amount, left, burn float64) func(*engine.KeyStatus) {
	return func(k *engine.KeyStatus) {
		l := engine.LimitStatus{Unit: "tokens", Per: "day", Amount: amount, Remaining: left, Used: amount - left,
			ResetsAt: &midnight, Scope: "key", Source: "config", BurnPerMin: burn}
		if burn > 0 {
			if d := time.Duration(left / burn * float64(time.Minute)); noon.Add(d).Before(midnight) {
				l.RunwayS, l.RunsOutAt = ptr(d.Seconds()), after(d)
			}
		}
		k.Limits = append(k.Limits, l)
	}
}

func held(state engine.State, kind engine.Kind, why string, since time.Duration, until *time.Time) func(*engine.KeyStatus) {
	return func(k *engine.KeyStatus) {
		at := noon.Add(-since)
		k.State, k.Reason, k.Since, k.Until = state, why, &at, until
		by := "engine"
		if state == engine.Disabled {
			by = "you"
		}
		h := engine.HoldStatus{Verdict: kind, State: state, Why: why, Since: at, Until: until, By: by}
		if kind == engine.RateLimited {
			h.Evidence = engine.Evidence{Status: 429, Method: "POST", Path: "/v1/messages", TookMS: 214, Code: "rate_limit_error",
				Message: "Number of requests has exceeded your limit", Headers: map[string]string{"retry-after": "60", "x-ratelimit-remaining": "0"}}
		}
		k.Holds = append(k.Holds, h)
	}
}

func failing(v engine.Verdicts) func(*engine.KeyStatus) {
	return func(k *engine.KeyStatus) {
		v.OK = k.Verdicts.OK
		k.Verdicts, k.Failures, k.LastFailure = v, v.Failed(), after(-30*time.Second)
	}
}

func busy(n int) func(*engine.KeyStatus) { return func(k *engine.KeyStatus) { k.InFlight = n } }

func wave(n, high int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = high * (3 + (i*i*7+i*3)%5) / 8
	}
	return out
}

// svc makes a service of keys that are in the snapshot.
func svc(name, provider, strategy string, keys ...string) engine.ServiceStatus {
	return engine.ServiceStatus{Name: name, Provider: provider, Strategy: strategy, Health: engine.HealthOK, Keys: keys,
		Requests: 4000, PerMin: 200, BucketS: 5, Series: wave(48, 18), Failed: make([]int, 48)}
}

// finish fills in what the engine derives.
func finish(snap engine.Snapshot) engine.Snapshot {
	byName := map[string]*engine.KeyStatus{}
	for i := range snap.Keys {
		byName[snap.Keys[i].Name] = &snap.Keys[i]
	}
	for i := range snap.Services {
		s := &snap.Services[i]
		bad := false
		for _, n := range append(append([]string{}, s.Keys...), s.Fallback...) {
			k := byName[n]
			k.Services = append(k.Services, s.Name)
			if k.Usable() {
				s.Usable++
				if s.KeyInUse == "" {
					s.KeyInUse = n
				}
			} else {
				bad = true
			}
			v := k.Verdicts
			s.Verdicts.OK += v.OK
			s.Verdicts.RateLimited += v.RateLimited
			s.Verdicts.QuotaExhausted += v.QuotaExhausted
			s.Verdicts.InvalidKey += v.InvalidKey
			s.Verdicts.UpstreamFault += v.UpstreamFault
		}
		if bad {
			s.Health = engine.HealthDegraded
			s.Failed[47] = 2
		}
		if s.Usable == 0 && !s.Planned {
			s.Health, s.KeyInUse = engine.HealthDown, ""
		}
	}
	return snap
}

func proxy() engine.ProxyStatus {
	return engine.ProxyStatus{Listen: "127.0.0.1:5399", InFlight: 12, Requests: 91234, Absorbed: 214, PerS: 42, P95MS: 1210}
}

// healthy is an afternoon on which nothing is wrong.
func healthy() engine.Snapshot {
	return finish(engine.Snapshot{Version: 1, At: noon, Proxy: proxy(), LastSeq: 2, Undo: "rotated openai prod-2 → prod-3",
		Keys: []engine.KeyStatus{
			key("prod-1", "openai", "1111", limited(1e6, 640e3, 120)),
			key("prod-2", "openai", "2222", limited(1e6, 610e3, 120)),
			key("prod-3", "openai", "9f2a", limited(1e6, 700e3, 120), busy(4)),
			key("main", "openrouter", "e810"),
			key("bot-4", "github", "11fe", func(k *engine.KeyStatus) {
				k.Limits = []engine.LimitStatus{{Unit: "requests", Per: "1h", Amount: 5000, Remaining: 4400, ResetsAt: after(21 * time.Minute), Source: "header", BurnPerMin: 12}}
			}),
			key("bot-5", "github", "22fe"),
			key("wallet", "deepseek", "0b0b", func(k *engine.KeyStatus) {
				k.Limits = []engine.LimitStatus{{Unit: "usd", Amount: 50, Remaining: 12.4, Source: "balance", Scope: "account", BurnPerMin: 0.003}}
				k.Account = "a1"
			}),
		},
		Services: []engine.ServiceStatus{
			svc("openai", "openai", engine.RoundRobin, "prod-1", "prod-2", "prod-3"),
			svc("openrouter", "openrouter", engine.RoundRobin, "main"),
			svc("github", "github", engine.Failover, "bot-4", "bot-5"),
			svc("deepseek", "deepseek", engine.Failover, "wallet"),
		}})
}

// lent is that afternoon with bot-5 lent to openai, and prod-3 on a new secret
// while its old one drains.
func lent() engine.Snapshot {
	snap := healthy()
	for i := range snap.Services {
		if s := &snap.Services[i]; s.Name == "openai" {
			s.Keys, s.Usable = append(s.Keys, "bot-5"), s.Usable+1
			s.Lent = []engine.Lent{{Key: "bot-5", Service: "openai", Until: noon.Add(102 * time.Minute), By: "you"}}
		}
	}
	for i := range snap.Keys {
		switch k := &snap.Keys[i]; k.Name {
		case "bot-5":
			k.Services = append(k.Services, "openai")
		case "prod-3":
			k.Override, k.Bindings = "keys.d/prod-3", 2
			k.Retiring = []engine.Retiring{{Fingerprint: "77aa00112233", InFlight: 3}}
		}
	}
	return snap
}

// steps are what a replacement of prod-3 tells.
func steps() []string {
	return []string{"replacing the secret of prod-3 (·9f2a), which serves openai",
		`env:FAKE_openai of a running process cannot change: the new secret is kept in a file and used in its place. To have it elsewhere, write secret = "file:..." or "keyring:..." into the config`,
		"tested: openai accepts it", "kept in /home/amy/.local/state/keywheel/keys.d/prod-3, in the place of env:FAKE_openai",
		"switched prod-3 to ·4e4e: new requests go out with it",
		"bindings stay with the name, if the new secret is of the same account: file-abc123, batch_77",
		"draining ·9f2a: no new requests, 4 in flight finish", "3 in flight", "1 in flight",
		"retired ·9f2a of prod-3: delete it at the provider if you have not yet"}
}

func quiet() []engine.Event {
	return []engine.Event{
		{Seq: 1, At: noon.Add(-40 * time.Minute), Kind: engine.EventRecovered, Key: "prod-1", State: engine.Active, By: "engine", Text: "recovered after 3m04s: a trial request succeeded"},
		{Seq: 2, At: noon.Add(-4 * time.Minute), Kind: engine.EventOperator, Service: "openai", State: engine.Active, By: "you", Text: "rotated openai prod-2 → prod-3"},
	}
}

// trouble is 3 a.m.: one service down, one incident, one that hangs on its
// last key, one that runs out, names in Chinese.
func trouble() engine.Snapshot {
	mistral := svc("mistral", "mistral", engine.RoundRobin, "mi-1", "mi-2", "mi-3")
	mistral.DownSince, mistral.FirstBack, mistral.Refused = after(-134*time.Second), after(12*time.Minute+40*time.Second), 37
	mistral.LastRotation = &engine.Rotation{At: noon.Add(-134 * time.Second), Service: "mistral", From: "mi-3", Cause: "402 quota exhausted", Verdict: engine.QuotaExhausted,
		Rule: "code insufficient_quota", Outcome: "the client was told: no usable key", Next: "mi-3 returns at 14:23:47, in 12:40", By: "engine"}
	anthropic := svc("anthropic", "anthropic", engine.Failover, "team-a", "team-b", "team-c", "legacy")
	anthropic.LastRotation = whyRotation()
	anthropic.Pinned, anthropic.PinnedUntil = "", nil
	video := svc("video-proxy", "aimlapi", engine.RoundRobin, "vid-1", "vid-2")
	video.Purpose = "video generation"
	shared := svc("librechat-ui", "aimlapi", engine.RoundRobin, "vid-1", "spare")
	shared.Pinned, shared.PinnedUntil = "vid-1", after(42*time.Minute)
	glm := svc("智谱-对话", "zhipu", engine.RoundRobin, "主钥匙", "glm-2", "glm-3")
	later := svc("later", "openai", engine.RoundRobin, "spare")
	later.Planned = true
	gemini := svc("gemini", "gemini", engine.RoundRobin, "free-1", "free-2", "free-3", "free-4")
	gemini.Fallback = []string{"paid"}
	snap := finish(engine.Snapshot{Version: 1, At: noon, Proxy: proxy(), LastSeq: 12, Undo: "disabled legacy",
		Keys: []engine.KeyStatus{
			key("mi-1", "mistral", "aa01", held(engine.Exhausted, engine.QuotaExhausted, "402 quota exhausted", 20*time.Minute, after(9*time.Hour)), limited(100e3, 0, 0)),
			key("mi-2", "mistral", "aa02", held(engine.Revoked, engine.InvalidKey, "401 invalid key, confirmed by a test call", time.Hour, nil), limited(100e3, 40e3, 0)),
			key("mi-3", "mistral", "aa03", held(engine.Exhausted, engine.QuotaExhausted, "402 quota exhausted", 134*time.Second, after(12*time.Minute+40*time.Second)), limited(100e3, 0, 0)),
			key("team-a", "anthropic", "c41d", limited(1e6, 180e3, 4390), busy(12), failing(engine.Verdicts{RateLimited: 40, InvalidKey: 3, UpstreamFault: 2})),
			key("team-b", "anthropic", "90ab", limited(1e6, 770e3, 0)),
			key("team-c", "anthropic", "1c2d", limited(1e6, 640e3, 0), held(engine.Cooling, engine.RateLimited, "429 rate limited, retry-after 60s", 28*time.Second, after(32*time.Second)), failing(engine.Verdicts{RateLimited: 9})),
			key("legacy", "anthropic", "ffe0", limited(1e6, 990e3, 0), held(engine.Disabled, engine.OK, "disabled by you", 69*time.Minute, nil)),
			key("vid-1", "aimlapi", "d001", limited(2e6, 300e3, 900), busy(3)),
			key("vid-2", "aimlapi", "d002", limited(2e6, 200e3, 900)),
			key("spare", "aimlapi", "d003", held(engine.Missing, engine.OK, "env:SPARE_KEY is not set", 3*time.Hour, nil)),
			key("主钥匙", "zhipu", "b001", limited(500e3, 450e3, 100)),
			key("glm-2", "zhipu", "b002", limited(500e3, 420e3, 100), func(k *engine.KeyStatus) { k.Draining = true }),
			key("glm-3", "zhipu", "b003", held(engine.Expired, engine.OK, "expired on 2026-03-01", 300*time.Hour, nil)),
			key("free-1", "gemini", "7701"), key("free-2", "gemini", "7702"), key("free-3", "gemini", "7703"),
			key("free-4", "gemini", "7704", held(engine.Failing, engine.UpstreamFault, "503 from upstream, 5 in 60s", 12*time.Second, nil), func(k *engine.KeyStatus) {
				k.Holds[0].TrialAt, k.Trial = after(18*time.Second), false
			}),
			key("paid", "gemini", "77ff"),
		},
		Services:  []engine.ServiceStatus{anthropic, gemini, later, shared, mistral, video, glm},
		Incidents: []engine.Incident{{Provider: "gemini", Since: noon.Add(-6 * time.Minute), What: "529", Keys: []string{"free-1", "free-2", "free-3", "free-4"}, Of: 5, Faults: 61}},
	})
	snap.Proxy.Failures = 41
	return snap
}

func whyRotation() *engine.Rotation {
	return &engine.Rotation{At: noon.Add(-16 * time.Second), Service: "anthropic", From: "team-c", To: "team-a", Cause: "429 rate limited", Verdict: engine.RateLimited,
		Rule: "retry-after header: cool the key for as long as it says", By: "engine",
		Evidence: engine.Evidence{Status: 429, Method: "POST", Path: "/v1/messages", TookMS: 214, Code: "rate_limit_error",
			Headers: map[string]string{"retry-after": "60", "anthropic-ratelimit-requests-remaining": "0"}, Request: "t1d7sb8kar"},
		Candidates: []engine.Candidate{
			{Key: "team-a", Chosen: true, Why: "chosen: next under failover"},
			{Key: "team-b", Why: "can serve; not its turn"},
			{Key: "legacy", Why: "disabled by you"},
		},
		Outcome: "team-a answered 200 on attempt 2, 1.4s in all; the client saw no error", Next: "team-c returns at 14:11:39, in 0:32"}
}

func incidents() []engine.Event {
	at := func(s int) time.Time { return noon.Add(-time.Duration(s) * time.Second) }
	return []engine.Event{
		{Seq: 1, At: at(29 * 3600), Kind: engine.EventUp, Service: "mistral", State: engine.Active, By: "engine", Text: "back after 3m04s: 1 of 3 keys usable"},
		{Seq: 2, At: at(4900), Kind: engine.EventHold, Key: "mi-2", State: engine.Revoked, By: "engine", Text: "revoked: 401 invalid key, confirmed by a test call; a person must act"},
		{Seq: 3, At: at(4140), Kind: engine.EventOperator, Key: "legacy", State: engine.Disabled, By: "you", Text: "disabled legacy"},
		{Seq: 4, At: at(4000), Kind: engine.EventOperator, Service: "librechat-ui", Key: "vid-1", State: engine.Active, By: "amy", Text: "pinned librechat-ui to vid-1 for 2h"},
		{Seq: 5, At: at(1500), Kind: engine.EventRecovered, Key: "主钥匙", State: engine.Active, By: "engine", Text: "recovered after 3m04s: a trial request succeeded"},
		{Seq: 6, At: at(360), Kind: engine.EventIncident, Key: "gemini", State: engine.Failing, By: "engine", Text: "gemini: 529 on 4 of 5 keys. No key is blamed; rotating will not help"},
		{Seq: 7, At: at(134), Kind: engine.EventRotation, Service: "mistral", Key: "mi-3", State: engine.Exhausted, By: "engine", Text: "mi-3 → none usable  402 quota exhausted"},
		{Seq: 8, At: at(134), Kind: engine.EventDown, Service: "mistral", State: engine.Exhausted, By: "engine", Text: "down: no key can serve"},
		{Seq: 9, At: at(97), Kind: engine.EventLow, Key: "team-a", State: engine.Active, By: "engine", Text: "below 20 % of 1M tokens a day"},
		{Seq: 10, At: at(30), Kind: engine.EventProbe, Key: "mi-2", State: engine.Revoked, By: "engine", Text: "asking the provider whether the key is still valid"},
		{Seq: 11, At: at(28), Kind: engine.EventHold, Key: "team-c", State: engine.Cooling, By: "engine", Text: "cooling: 429 rate limited; back in 0:60"},
		{Seq: 12, At: at(16), Kind: engine.EventRotation, Service: "anthropic", Key: "team-c", State: engine.Cooling, By: "engine", Text: "team-c → team-a  429 rate limited", Rotation: whyRotation()},
	}
}

// itself is a keywheel that reads a file and keeps a journal.
func itself() engine.SystemStatus {
	return engine.SystemStatus{Version: "v0.4.0", PID: 4711, StartedAt: noon.Add(-26 * time.Hour), Config: "/home/amy/keywheel.toml", LoadedAt: after(-3 * time.Hour),
		Sources: []string{"keywheel.toml: 7 services, 18 keys", ".env: 4 secrets"}, Problems: []string{"keywheel.toml:31: others may read this file: chmod 600 it"},
		Socket: "/run/user/1000/keywheel/5399.sock", Monitors: 2, HeapBytes: 9 << 20, Goroutines: 64, Files: 41,
		Journal: &engine.JournalStatus{Path: "/home/amy/.local/state/keywheel/journal.db", Bytes: 3 << 20}}
}

// traffic is a minute of requests, the oldest first.
func traffic() []engine.RequestRecord {
	at := func(s int) time.Time { return noon.Add(-time.Duration(s) * time.Second) }
	ok := func(key string, took int64) engine.AttemptRecord {
		return engine.AttemptRecord{Key: key, Verdict: engine.OK, Status: 200, TookMS: took}
	}
	chat := "/v1/chat/completions"
	return []engine.RequestRecord{
		{Seq: 1, ID: "aa11bb22cc", At: at(200), Service: "mistral", Method: "POST", Path: chat, Model: "mistral-large", Attempts: []engine.AttemptRecord{
			{Key: "mi-3", Verdict: engine.QuotaExhausted, Status: 402, TookMS: 81, Why: "code insufficient_quota"}}, Status: 402, TookMS: 84, Outcome: engine.OutcomeRefused, Why: "refused: no key could serve"},
		{Seq: 2, At: at(90), From: "192.168.1.20:51002", Method: "GET", Path: "/openai/v1/models", Status: 401, Outcome: engine.OutcomeTurnedAway, Why: "the token of openai is another"},
		{Seq: 3, ID: "dd33ee44ff", At: at(16), Service: "anthropic", Method: "POST", Path: "/v1/messages", Model: "claude-sonnet-4-5", Key: "team-a", Attempts: []engine.AttemptRecord{
			{Key: "team-c", Verdict: engine.RateLimited, Status: 429, TookMS: 214, Why: "header retry-after: wait 60s"}, ok("team-a", 1186)},
			Status: 200, HeadMS: 820, TookMS: 1400, InputTokens: 812, OutputTokens: 240, CostUSD: 0.0061, Outcome: engine.OutcomeServed},
		{Seq: 4, ID: "gg55hh66ii", At: at(9), Service: "video-proxy", Method: "POST", Path: "/v2/video/generations", Model: "kling-video/v2.1/生成", Key: "vid-1", Attempts: []engine.AttemptRecord{
			{Key: "vid-1", Verdict: engine.ClientError, Status: 400, TookMS: 31}}, Status: 400, TookMS: 33, Outcome: engine.OutcomeClientError},
		{Seq: 5, ID: "jj77kk88ll", At: at(6), Service: "gemini", Method: "POST", Path: chat, Model: "gemini-2.5-pro", Key: "free-2", WaitedMS: 2100, Attempts: []engine.AttemptRecord{
			{Key: "free-1", Verdict: engine.UpstreamFault, TookMS: 30000, Why: "no answer: connection reset"}, {Key: "free-2", Verdict: engine.UpstreamFault, Status: 503, TookMS: 90}},
			Status: 503, TookMS: 32190, Outcome: engine.OutcomeFailed},
		{Seq: 6, ID: "mm99nn00oo", At: at(3), Service: "智谱-对话", Method: "POST", Path: chat, Model: "glm-4.7", Key: "主钥匙", Attempts: []engine.AttemptRecord{ok("主钥匙", 640)},
			Status: 200, HeadMS: 300, TookMS: 640, InputTokens: 90, OutputTokens: 1200, CostUSD: 0.0004, Outcome: engine.OutcomeServed},
		{Seq: 7, ID: "pp11qq22rr", At: at(1), Service: "anthropic", Method: "POST", Path: "/v1/messages", Model: "claude-sonnet-4-5", Key: "team-a", Attempts: []engine.AttemptRecord{ok("team-a", 571)},
			Status: 200, HeadMS: 210, TookMS: 571, InputTokens: 800, OutputTokens: 109, CostUSD: 0.0040, Outcome: engine.OutcomeServed},
	}
}

// monitor is a model that shows a snapshot, without a terminal around it.
func monitor(t testing.TB, w, h int, snap engine.Snapshot, events []engine.Event, env map[string]string) (*Model, *fake) {
	t.Helper()
	src := &fake{snap: snap, events: events, system: itself(), spent: spent()}
	if snap.Proxy.Requests > 0 {
		src.requests = traffic()
	}
	m := New(src, Options{Own: true, Zone: time.UTC}, func(name string) string { return env[name] })
	m.now = noon
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	m.Update(fetch(src, 0, 0)())
	for name, t := range m.traces { // an hour of watching
		p := m.scene.byName[name].burning
		t.points = nil
		for i := range 60 {
			ago := time.Duration(60-i) * time.Minute
			left := p.fraction() + p.burn*ago.Minutes()/max(p.amount, 1)
			t.points = append(t.points, sample{noon.Add(-ago), min(left, 1)})
		}
	}
	m.arrange()
	return m, src
}

// spent is what an afternoon has cost.
func spent() []engine.Spent {
	return []engine.Spent{
		{Service: "anthropic", Key: "team-a", Account: "anthropic-main", Model: "claude-opus-4-1", Requests: 4210, Failures: 12, InputTokens: 9.1e6, OutputTokens: 2.2e6, CachedTokens: 4e6, CostUSD: 212.4},
		{Service: "anthropic", Key: "team-b", Account: "anthropic-main", Model: "claude-opus-4-1", Requests: 120, InputTokens: 2e5, OutputTokens: 4e4, CostUSD: 6.12},
		{Service: "anthropic", Key: "team-b", Account: "anthropic-main", Model: "claude-haiku-4-5", Requests: 900, InputTokens: 1.1e6, OutputTokens: 3e5, CostUSD: 2.6},
		{Service: "librechat-ui", Key: "main", Account: "aiml", Model: "gpt-4o", Requests: 2204, Failures: 3, InputTokens: 1.4e6, OutputTokens: 8e5, CostUSD: 11.5},
		{Service: "video-proxy", Key: "vid-1", Model: "智谱/视频-模型", Requests: 31, CostUSD: 15.5},
		{Service: "video-proxy", Key: "vid-2", Requests: 12, Unpriced: 12},
	}
}

// press sends keys, as Bubble Tea names them, and carries out what they start.
func press(m *Model, keys ...string) {
	for _, k := range keys {
		settle(m, keyMsg(k))
	}
}

// settle gives a message to the model, and what comes of it, except ticks.
func settle(m *Model, msg tea.Msg) {
	_, cmd := m.Update(msg)
	run(m, cmd)
}

func run(m *Model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil, tea.QuitMsg, tea.SuspendMsg:
	case tea.BatchMsg:
		for _, c := range msg {
			run(m, c)
		}
	default:
		settle(m, msg)
	}
}

var keyTypes = map[string]tea.KeyType{"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab, "up": tea.KeyUp,
	"down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd,
	"ctrl+c": tea.KeyCtrlC, "ctrl+d": tea.KeyCtrlD, "ctrl+u": tea.KeyCtrlU, "ctrl+w": tea.KeyCtrlW, "ctrl+z": tea.KeyCtrlZ, "backspace": tea.KeyBackspace, "ctrl+r": tea.KeyCtrlR, "ctrl+n": tea.KeyCtrlN, "ctrl+p": tea.KeyCtrlP, "delete": tea.KeyDelete,
	"ctrl+a": tea.KeyCtrlA, "ctrl+e": tea.KeyCtrlE, "ctrl+k": tea.KeyCtrlK}

func keyMsg(name string) tea.KeyMsg {
	if t, ok := keyTypes[name]; ok {
		return tea.KeyMsg{Type: t}
	}
	if name == " " {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

var errBusy = errors.New("no other key of mistral is usable: enable one, or lift a hold with R")

package checkup

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/provider"
)

var now = time.Date(2027, 3, 1, 3, 0, 0, 0, time.UTC)

// The values that no report may show.
var secrets = map[string]string{"KEY_A": "sk-not-a-key-aaaaaaaaaaaa", "KEY_B": "sk-not-a-key-bbbbbbbbbbbb", "KEY_C": "sk-not-a-key-cccccccccccc",
	"KEY_D": "sk-not-a-key-dddddddddddd", "CLAUDE": "sk-ant-not-a-key-eeeeeeee", "LIST": "sk-not-a-key-f,sk-not-a-key-g", "YOURS": "your_api_key", "QUOTED": `"sk-not-a-key-hhhhhhhh"`,
	"BLANK": "sk-not-a-key iiiiiiii", "BEARER": "Bearer sk-not-a-key-jjjjjjjj"}

// a case is a config, and what is known beside it.
type scene struct {
	t   *testing.T
	cfg *config.Config
	Seen
}

func open(t *testing.T, toml string) *scene {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "keywheel.toml")
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: file, Dir: dir, Now: now, LookupEnv: func(name string) (string, bool) { v, ok := secrets[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(cfg.Engine)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, cfg: cfg, Seen: Seen{From: "a test", Snapshot: e.Snapshot(), Running: true}}
	s.At = now
	return s
}

func (s *scene) key(name string) *engine.KeyStatus {
	for i := range s.Keys {
		if s.Keys[i].Name == name {
			return &s.Keys[i]
		}
	}
	s.t.Fatalf("no key %s", name)
	return nil
}

// report is what is found; it bears no secret in any form.
func (s *scene) report() (Report, string) {
	s.t.Helper()
	r := Of(s.cfg, s.Seen)
	var b strings.Builder
	if err := r.Write(&b, 0); err != nil {
		s.t.Fatal(err)
	}
	doc, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, text := range secrets {
		if strings.Contains(b.String()+string(doc), strings.Trim(text, `"`)) && name != "YOURS" {
			s.t.Errorf("the report shows the secret %s", name)
		}
	}
	return r, b.String()
}

func keyOf(r Report, name string) Key {
	for _, k := range r.Keys {
		if k.Name == name {
			return k
		}
	}
	return Key{}
}

func serviceOf(r Report, name string) Service {
	for _, s := range r.Services {
		if s.Name == name {
			return s
		}
	}
	return Service{}
}

// about is the worst finding about something.
func about(list []Finding, what string) (worst Finding) {
	for _, f := range list {
		if f.About == what && (worst.About == "" || f.Mark > worst.Mark) {
			worst = f
		}
	}
	return worst
}

const two = `
[keys.a]
provider = "aimlapi"
secret = "env:KEY_A"
%s
[keys.b]
provider = "aimlapi"
secret = "env:KEY_B"
[services.ui]
keys = ["a"]
needs = ["chat", "video"]
[services.other]
keys = ["b"]
`

// TestQuestionsOfAKey asks each question where the answer is not the usual one.
func TestQuestionsOfAKey(t *testing.T) {
	t.Parallel()
	soonOver, later := now.Add(9*time.Minute), now.Add(3*time.Hour)
	hold := func(v engine.Kind, part string, s engine.State, status int, message string) []engine.HoldStatus {
		return []engine.HoldStatus{{Model: part, Verdict: v, State: s, Why: "the key may not do this", Evidence: engine.Evidence{Status: status, Message: message}}}
	}
	for _, tc := range []struct {
		name, setting string
		know          func(s *scene, k *engine.KeyStatus)
		about         string
		mark          Mark
		text, do      string
	}{
		{"well", "", nil, "state", OK, "active", ""},
		{"readable", "", nil, "secret", OK, "read from env:KEY_A", ""},
		{"not there", `secret = "env:NOPE"`, nil, "secret", Act, "env:NOPE is not set: export it", ""},
		{"there where keywheel was started", `secret = "env:NOPE"`, func(_ *scene, k *engine.KeyStatus) { k.State = engine.Active }, "secret", Note, "env:NOPE is not set", "nothing now"},
		{"placeholder", `secret = "env:YOURS"`, nil, "secret", Act, "holds a placeholder, not a key", ""},
		{"quotes", `secret = "env:QUOTED"`, nil, "secret", Act, "holds quotes around the key", ""},
		{"white space", `secret = "env:BLANK"`, nil, "secret", Act, "holds a blank", ""},
		{"with the word before it", `secret = "env:BEARER"`, nil, "secret", Act, "begins with the word Bearer", ""},
		{"another provider's", `secret = "env:CLAUDE"`, nil, "shape", Act, "looks like a key of anthropic, and goes to aimlapi", "that of aimlapi"},
		{"several", `secret = "env:LIST"`, nil, "shape", Act, "holds several keys", ""},
		{"odd and proven", `secret = "env:CLAUDE"`, func(_ *scene, k *engine.KeyStatus) { k.Verdicts.OK = 1 }, "shape", OK, "", ""},
		{"revoked", "", func(_ *scene, k *engine.KeyStatus) {
			k.State, k.Reason, k.Holds = engine.Revoked, "the key is not accepted", hold(engine.InvalidKey, "", engine.Revoked, 401, "Invalid API key")
		}, "state", Act, "revoked: the key is not accepted (401 Invalid API key)", "keywheel replace a"},
		{"cooling", "", func(_ *scene, k *engine.KeyStatus) { k.State, k.Reason, k.Until = engine.Cooling, "429", &soonOver }, "state", Note, "cooling: 429 until ", ""},
		{"out of money", "", func(_ *scene, k *engine.KeyStatus) { k.State, k.Reason = engine.Exhausted, "money is gone" }, "state", Act, "exhausted: money is gone", "keywheel lift a"},
		{"out of quota", "", func(_ *scene, k *engine.KeyStatus) { k.State, k.Until = engine.Exhausted, &later }, "state", Note, "exhausted until", ""},
		{"failing", "", func(_ *scene, k *engine.KeyStatus) { k.State = engine.Failing }, "state", Note, "failing", "keywheel why a"},
		{"disabled", "", func(_ *scene, k *engine.KeyStatus) { k.State, k.Reason = engine.Disabled, "by root" }, "state", Note, "disabled: by root", "keywheel enable a"},
		{"draining", "", func(_ *scene, k *engine.KeyStatus) { k.Draining = true }, "state", Note, "draining", "keywheel enable a"},
		{"another secret runs", "", func(_ *scene, k *engine.KeyStatus) { k.Fingerprint = "ffff000011112222" }, "state", Note, "of another secret (·ffff)", "restart"},
		{"missing where it runs", "", func(_ *scene, k *engine.KeyStatus) { k.State = engine.Missing }, "state", Act, "missing", "kill -HUP"},
		{"unknown where it runs", "", func(s *scene, _ *engine.KeyStatus) { s.Keys = s.Keys[1:] }, "state", Note, "does not have it", ""},
		{"not permitted by the config", `scopes = ["image"]`, nil, "scopes", Act, "is for image only, and ui needs chat, video", "scopes"},
		{"not permitted by the provider", "", func(_ *scene, k *engine.KeyStatus) {
			k.Holds = hold(engine.PermissionDenied, "video", engine.Active, 403, "")
		}, "scopes", Act, "not permitted for video", "ui needs it"},
		{"not permitted for a model", "", func(_ *scene, k *engine.KeyStatus) {
			k.Holds = hold(engine.PermissionDenied, "veo-3", engine.Active, 403, "")
		}, "scopes", Note, "not permitted for veo-3", ""},
		{"not permitted, as the provider tells", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing", Permits: []string{"chat", "code"}}}
		}, "scopes", Act, "the provider permits it chat, code, and ui needs video", "give it that permission"},
		{"permitted for what it is used for", `scopes = ["chat"]`, func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing", Permits: []string{"chat", "code"}}}
		}, "scopes", OK, "for chat", ""},
		{"little left", "limits = { rpm = 60 }", func(_ *scene, k *engine.KeyStatus) { k.Limits[0].Remaining = 3 }, "quota", Note, "3 of 60 requests per 1m left", ""},
		{"money left", "", func(_ *scene, k *engine.KeyStatus) {
			left := 12.4
			k.Balance = &engine.Balance{Amount: &left, Currency: "USD"}
		}, "quota", OK, "12.40 USD left", ""},
		{"no money left", "", func(_ *scene, k *engine.KeyStatus) {
			left := 0.0
			k.Balance = &engine.Balance{Amount: &left, Currency: "USD", Unusable: true}
		}, "quota", Act, "no money: 0.00 USD left", "top up"},
		{"alone", `account = "team"`, nil, "account", OK, "account team", ""},
		{"as the provider tells", "", func(_ *scene, k *engine.KeyStatus) { k.Account = "org-1" }, "account", OK, "account org-1", ""},
		{"twice", `secret = "env:KEY_B"`, nil, "account", OK, "", ""}, // said of the second
		{"soon over", "expires = 2027-03-10", nil, "expiry", Act, "expires on 2027-03-10, in 10 days", "keywheel replace a"},
		{"long valid", "expires = 2027-12-31", nil, "expiry", OK, "valid until 2027-12-31", ""},
		{"over", "expires = 2027-02-10", nil, "expiry", Act, "expired on 2027-02-10", "keywheel replace a"},
		{"accepted", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing", Funds: &provider.Funds{Left: 5, Currency: "USD"}}}
		}, "test", OK, "accepted (GET /v2/billing, free)", ""},
		{"money told", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing", Funds: &provider.Funds{Left: 5, Currency: "USD"}}}
		}, "quota", OK, "5.00 USD left", ""},
		{"rejected", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing", Verdict: engine.Verdict{Kind: engine.InvalidKey, Evidence: engine.Evidence{Status: 401, Message: "Unauthorized"}}}}
		}, "test", Act, "the provider rejects it: 401 Unauthorized (GET /v2/billing, free)", "keywheel replace a"},
		{"a part of it is repeated", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /models", Verdict: engine.Verdict{Kind: engine.InvalidKey, Evidence: engine.Evidence{Status: 401, Message: "Incorrect API key: sk-**aaaa, ends in -aaaaaa."}}}}
		}, "test", Act, "the provider rejects it: 401 Incorrect API key: **** ends in **** (GET /models, free)", ""},
		{"still rejected", "", func(s *scene, k *engine.KeyStatus) {
			k.State = engine.Revoked
			s.Told = map[string]Told{"a": {Call: "GET /models", Verdict: engine.Verdict{Kind: engine.InvalidKey}}}
		}, "test", OK, "asked again, the same (GET /models, free)", ""},
		{"mended", "", func(s *scene, k *engine.KeyStatus) {
			k.State = engine.Revoked
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing"}}
		}, "test", Act, "accepted now (GET /v2/billing, free), and still held as revoked", "keywheel reset a"},
		{"restricted", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /models", Verdict: engine.Verdict{Kind: engine.PermissionDenied}}}
		}, "test", Note, "may not make the test call", ""},
		{"management key", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /v2/billing", Verdict: engine.Verdict{Kind: engine.PermissionDenied, Evidence: engine.Evidence{Status: 403, Message: "Management keys cannot be used for inference. Use a management key here"}}}}
		}, "test", Act, "is a management key, which asks no model", "an API key of aimlapi"},
		{"unreachable", "", func(s *scene, _ *engine.KeyStatus) {
			s.Told = map[string]Told{"a": {Call: "GET /models", Verdict: engine.Verdict{Kind: engine.UpstreamFault, Evidence: engine.Evidence{Message: "no connection"}}}}
		}, "test", Note, "did not settle it, upstream fault: no connection", ""},
		{"no test", "", func(s *scene, _ *engine.KeyStatus) { s.Told = map[string]Told{"a": {}} }, "test", OK, "aimlapi has no free call", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			toml := fmt.Sprintf(two, tc.setting)
			if strings.HasPrefix(tc.setting, "secret") {
				toml = strings.Replace(fmt.Sprintf(two, ""), `secret = "env:KEY_A"`, tc.setting, 1)
			}
			s := open(t, toml)
			if tc.know != nil {
				tc.know(s, s.key("a"))
			}
			r, text := s.report()
			k := keyOf(r, "a")
			f := about(k.Findings, tc.about)
			if f.Mark != tc.mark || !strings.Contains(f.Text, tc.text) || (f.Text == "") != (tc.text == "") || !strings.Contains(f.Do, tc.do) {
				t.Errorf("got %+v, want %v %q, %q", f, tc.mark, tc.text, tc.do)
			}
			if k.Mark < f.Mark || r.Mark < f.Mark {
				t.Errorf("the key is %v, the report %v", k.Mark, r.Mark)
			}
			if f.Mark != OK && !strings.Contains(text, f.Text) {
				t.Errorf("%q is not in\n%s", f.Text, text)
			}
			if f.Mark == OK && k.Mark != Act && strings.Contains(r.sum(), ": key a") {
				t.Errorf("it needs nobody:\n%s", text)
			}
		})
	}
}

// TestOneLineEach says of what is well one line, and ends with nothing to do.
func TestOneLineEach(t *testing.T) {
	t.Parallel()
	s := open(t, strings.ReplaceAll(strings.ReplaceAll(fmt.Sprintf(two, `account = "x"`), `env:KEY_B"`, "env:KEY_B\"\naccount = \"y\""), "needs = [\"chat\", \"video\"]\n", ""))
	left := 3.0
	s.key("a").Balance = &engine.Balance{Amount: &left, Currency: "EUR"}
	r, text := s.report()
	want := []string{"✓ a " + mark(r.Keys[0].Fingerprint) + "  aimlapi, active, 3.00 EUR left, account x", "✓ b " + mark(r.Keys[1].Fingerprint) + "  aimlapi, active, account y",
		"✓ ui     1 of 1 key; shares nothing", "✓ other  1 of 1 key; shares nothing", "2 services, 2 keys, listen on 127.0.0.1:5399: nothing needs you"}
	for _, line := range want {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
	if r.Mark != OK {
		t.Errorf("it is %v:\n%s", r.Mark, text)
	}
	for width := 20; width < 120; width += 7 {
		var b strings.Builder
		_ = r.Write(&b, width)
		for line := range strings.Lines(b.String()) {
			if n := ansi.StringWidth(strings.TrimRight(line, "\n")); n > width && strings.Count(strings.TrimSpace(line), " ") > 4 {
				t.Errorf("at %d a line has %d cells: %s", width, n, line)
			}
		}
	}
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	s := open(t, `
[keys.a]
provider = "aimlapi"
secret = "env:KEY_A"
account = "team-a"
[keys.a2]
provider = "aimlapi"
secret = "env:KEY_B"
account = "team-a"
[keys.b]
provider = "aimlapi"
secret = "env:KEY_C"
account = "team-b"
[keys.c]
provider = "aimlapi"
secret = "env:KEY_D"
[services.librechat-ui]
keys = ["a"]
[services.video-proxy]
keys = ["a2"]
[services.both]
keys = ["a", "b"]
[services.twin]
keys = ["c"]
[services.twin-two]
keys = ["c"]
[services.later]
planned = true
keys = ["c"]
[services.code]
keys = ["b"]
fallback = ["c"]
`)
	r, _ := s.report()
	for name, want := range map[string]string{
		"librechat-ui": "shares its only account with video-proxy, both",
		"video-proxy":  "shares its only account with librechat-ui, both",
		"both":         "shares all its accounts with librechat-ui, video-proxy, code",
		"twin":         "shares its only key with twin-two, code",
		"later":        "",
		"code":         "shares all its keys with both, twin, twin-two",
	} {
		if f := about(serviceOf(r, name).Findings, "isolation"); f.Text != want || f.Mark != OK {
			t.Errorf("%s: %v %q, want %q", name, f.Mark, f.Text, want)
		}
	}
}

// TestServices that need a person.
func TestServices(t *testing.T) {
	t.Parallel()
	s := open(t, `
[keys.a]
provider = "openai"
secret = "env:KEY_A"
account = "one"
[keys.b]
provider = "openai"
secret = "env:KEY_B"
account = "one"
scopes = ["chat"]
[keys.c]
provider = "openai"
secret = "env:NOPE"
[keys.d]
provider = "deepseek"
secret = "env:KEY_D"
[services.ui]
keys = ["a", "b"]
needs = ["chat", "video"]
[services.main]
keys = ["c"]
required = true
[services.later]
planned = true
[services.mixed]
keys = ["a", "d"]
`)
	s.key("a").State = engine.Exhausted
	r, text := s.report()
	for _, tc := range []struct {
		service, about string
		mark           Mark
		text           string
	}{
		{"ui", "needs", Act, "cannot do video now: no key that may is usable"},
		{"ui", "config", Act, "all are of account one: taking turns among them does not widen its limits"},
		{"main", "health", Act, "down, and required: none of its keys can serve"},
		{"later", "health", OK, "planned, without a key yet"},
		{"mixed", "config", Act, "one service's keys better be of one provider"},
	} {
		f := Finding{}
		for _, g := range serviceOf(r, tc.service).Findings {
			if g.About == tc.about && strings.Contains(g.Text, tc.text) {
				f = g
			}
		}
		if f.About == "" || f.Mark != tc.mark {
			t.Errorf("%s: no %v %q in %+v", tc.service, tc.mark, tc.text, serviceOf(r, tc.service).Findings)
		}
	}
	if !strings.HasSuffix(text, "5 need you: key a, key c, service ui, service main, service mixed\n") {
		t.Errorf("got\n%s", text)
	}
}

// TestWhatIsOfNobody shows what the config says of no key and no service once.
func TestWhatIsOfNobody(t *testing.T) {
	t.Parallel()
	s := open(t, fmt.Sprintf(two, ""))
	s.cfg.Warnings = append(s.cfg.Warnings, config.Problem{File: ".env", Line: 3, Text: "is not NAME=value"})
	s.cfg.Notes = append(s.cfg.Notes, config.Problem{Text: "good \x1b[31mto know"})
	r, text := s.report()
	if r.Mark != Act || strings.Count(text, "✗ .env:3: is not NAME=value\n") != 1 || !strings.Contains(text, "! good [31mto know\n") || !strings.HasSuffix(text, "1 need you: the config\n") {
		t.Errorf("%v\n%s", r.Mark, text)
	}
}

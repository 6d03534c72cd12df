package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

func TestJudgeSaysWhy(t *testing.T) {
	p, _ := Lookup("openai")
	v := p.Judge(Answer{Method: "POST", Path: "/v1/chat/completions", Model: "gpt-4o", Status: 429, Header: http.Header{"Retry-After": {"20"}},
		Body: []byte(`{"error":{"message":"Rate limit reached for gpt-4o-2024-08-06","type":"requests","code":"rate_limit_exceeded"}}`)})
	if v.Kind != engine.RateLimited || v.Scope != engine.ScopeAccount || v.Model != "gpt-4o" || v.RetryAfter != 20*time.Second {
		t.Errorf("%+v", v)
	}
	if want := "body code rate_limit_exceeded: too many requests; wait 20s, says retry-after"; v.Rule != want {
		t.Errorf("rule is %q, want %q", v.Rule, want)
	}
	if e := v.Evidence; e.Code != "rate_limit_exceeded" || e.Headers["retry-after"] != "20" || e.Status != 429 {
		t.Errorf("evidence is %+v", e)
	}
	v = p.Judge(Answer{Status: 429, Body: []byte(`{"error":{"code":"insufficient_quota","message":"x"}}`)})
	if want := "body code insufficient_quota: money is gone"; v.Rule != want || v.Limit != "credits" {
		t.Errorf("rule is %q, want %q", v.Rule, want)
	}
}

func TestEvidenceIsHarmless(t *testing.T) {
	p, _ := Lookup("gemini")
	v := p.Judge(Answer{Status: 403, Body: []byte(`{"error":{"code":403,"message":"Consumer 'api_key:AIzaFAKEFAKEFAKEFAKEFAKEFAKE' has been suspended.` + "\\u001b[31m" + `","status":"PERMISSION_DENIED"}}`)})
	if m := v.Evidence.Message; strings.Contains(m, "FAKEFAKE") || strings.ContainsRune(m, 0x1b) || !strings.Contains(m, "suspended") {
		t.Errorf("message is %q", m)
	}
	if v.Kind != engine.InvalidKey {
		t.Error(v.Rule)
	}
}

// Every provider gives a verdict on anything, and none that holds a key for
// long where an answer says nothing.
func TestAnyAnswer(t *testing.T) {
	bodies := []string{"", "{", "[]", "null", "\x00\xff", "{}", `{"error":`, `{"error":{}}`, `{"error":[]}`, `{"error":{"message":{"detail":[{"msg":"x"}]}}}`, "<html>", "<!", strings.Repeat("a", 1<<20),
		`{"error":{"message":"` + strings.Repeat("x", 1<<20) + `"}}`, strings.Repeat(`{"error":`, 20000), `"`, "data: ", "data: {\n\n", `{"code":1e999,"message":7}`}
	for i := range table {
		p := &table[i]
		for _, body := range bodies {
			for _, status := range []int{0, 100, 200, 204, 302, 400, 404, 418, 422, 500, 503, 999, -1} {
				v := p.Judge(Answer{Method: "POST", Path: "/v1/x", Status: status, Body: []byte(body)})
				switch v.Kind {
				case engine.OK, engine.ClientError, engine.UpstreamFault:
				default:
					t.Errorf("%s %d %.20q: %s (%s)", p.Name, status, body, v.Kind, v.Rule)
				}
				if len(v.Evidence.Message) > 400 || len(v.Evidence.Code) > 200 {
					t.Errorf("%s %d: evidence of %d bytes", p.Name, status, len(v.Evidence.Message))
				}
			}
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		provider, head string
		want           []quota.Told
	}{
		{"openai", "x-ratelimit-limit-requests: 500\nx-ratelimit-remaining-requests: 499\nx-ratelimit-reset-requests: 120ms\nx-ratelimit-limit-tokens: 30000\nx-ratelimit-remaining-tokens: 29000\nx-ratelimit-reset-tokens: 2s\n",
			[]quota.Told{told(quota.Requests, "requests", time.Minute, 500, 499, 120*time.Millisecond), coarse(told(quota.Tokens, "tokens", time.Minute, 30000, 29000, 2*time.Second))}},
		{"groq", "x-ratelimit-limit-requests: 14400\nx-ratelimit-remaining-requests: 14370\nx-ratelimit-reset-requests: 2m59.56s\n", []quota.Told{told(quota.Requests, "requests", day, 14400, 14370, 179560*time.Millisecond)}},
		{"anthropic", dated + "anthropic-ratelimit-input-tokens-limit: 30000\nanthropic-ratelimit-input-tokens-remaining: 0\nanthropic-ratelimit-input-tokens-reset: 2026-03-10T12:00:41Z\n", []quota.Told{coarse(told(quota.Input, "input-tokens", time.Minute, 30000, 0, 41*time.Second))}},
		{"github", dated + "x-ratelimit-limit: 5000\nx-ratelimit-remaining: 4987\nx-ratelimit-reset: 1773145800\nx-ratelimit-resource: core\n", []quota.Told{inWindows(told(quota.Requests, "requests", time.Hour, 5000, 4987, 30*time.Minute))}},
		{"azure-openai", "x-ratelimit-remaining-tokens: -1\nx-ratelimit-remaining-requests: 9\n", []quota.Told{told(quota.Requests, "requests", time.Minute, -1, 9, 0)}},
		{"generic", "ratelimit-policy: \"default\";q=100;w=60\nratelimit: \"default\";r=30;t=17\n", []quota.Told{told(quota.Requests, "default", time.Minute, 100, 30, 17*time.Second)}},
		{"generic", "ratelimit: limit=100, remaining=50, reset=5\n", []quota.Told{told(quota.Requests, "requests", 0, 100, 50, 5*time.Second)}},
		{"mistral", "x-ratelimit-limit-req-minute: 60\nx-ratelimit-remaining-req-minute: 59\n", []quota.Told{told(quota.Requests, "requests", time.Minute, 60, 59, 0)}},
		{"generic", "x-ratelimit-limit: lots\nx-ratelimit-remaining: NaN\n", nil},
		{"generic", "", nil},
	} {
		p, _ := Lookup(c.provider)
		a, err := ParseHTTP(strings.NewReader("HTTP/1.1 200 OK\n" + c.head + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := p.Limits(a, nil)
		if len(got) != len(c.want) {
			t.Errorf("%s %q: %+v", c.provider, c.head, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s %q: %+v, want %+v", c.provider, c.head, got[i], c.want[i])
			}
		}
	}
}

func TestParseHTTP(t *testing.T) {
	for _, c := range []struct {
		name, text string
		status     int
		header     string
		body       string
	}{
		{"HTTP/1.1", "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\n\r\n{}", 429, "5", "{}"},
		{"HTTP/2, LF", "HTTP/2 429 \nretry-after: 5\n\n{}\n\nmore", 429, "5", "{}\n\nmore"},
		{"a redirect before", "HTTP/1.1 301 Moved\r\nRetry-After: 1\r\n\r\nHTTP/2 200\r\nretry-after: 5\r\n\r\n{}", 200, "5", "{}"},
		{"100 Continue before", "HTTP/1.1 100 Continue\n\nHTTP/1.1 401 Unauthorized\nRetry-After: 5\n\nno", 401, "5", "no"},
		{"a folded header", "HTTP/1.1 400 x\nRetry-After:\n 5\n\n", 400, " 5", ""},
		{"no body", "HTTP/1.1 204 No Content\nRetry-After: 5", 204, "5", ""},
		{"a mark at the beginning", "\ufeff\n HTTP/1.0 500 x\nRetry-After: 5\nnonsense\n\nbody", 500, "5", "body"},
	} {
		a, err := ParseHTTP(strings.NewReader(c.text))
		if err != nil || a.Status != c.status || a.Header.Get("Retry-After") != c.header || string(a.Body) != c.body || !a.Whole {
			t.Errorf("%s: %+v, %v, body %q", c.name, a, err, a.Body)
		}
	}
	for _, bad := range []string{"", "hello", "{}", "HTTP/1.1", "HTTP/1.1 abc", "HTTP/1.1 9\n\n", "\x00\xff"} {
		if _, err := ParseHTTP(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is a response", bad)
		}
	}
}

func TestExplanation(t *testing.T) {
	p, _ := Lookup("gemini")
	a, err := ParseHTTP(strings.NewReader("HTTP/2 429\ncontent-type: application/json\n\n" + `{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]},{"retryDelay":"26s"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	a.Method, a.Path = "POST", "/v1beta/models/gemini-2.5-flash:generateContent"
	text, err := json.Marshal(p.Explain(a))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"verdict":"quota_exhausted"`, `"scope":"model"`, `"model":"gemini-2.5-flash"`, `"retry_after_ms":null`, `"until":"midnight_pacific"`, `"limit":"requests_per_day"`, `"code":"GenerateRequestsPerDayPerProjectPerModel"`, `"rule":"`} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	text, _ = json.Marshal(p.Explain(Answer{Status: 200}))
	if !bytes.Contains(text, []byte(`"verdict":"ok","scope":"none"`)) {
		t.Errorf("%s", text)
	}
}

func TestTestCall(t *testing.T) {
	for name, want := range map[string]string{"anthropic": "2023-06-01", "openai": ""} {
		p, _ := Lookup(name)
		req, err := p.Test(&engine.Key{Name: "k", BaseURL: p.BaseURL})
		if err != nil || req.Header.Get("Anthropic-Version") != want || req.Header.Get("User-Agent") == "" {
			t.Errorf("%s: %v %v", name, req, err)
		}
	}
	p, _ := Lookup("cohere")
	if req, err := p.Test(&engine.Key{Name: "k", BaseURL: p.BaseURL}); err != nil || req.Method != "POST" || req.URL.Path != "/v1/check-api-key" {
		t.Error(req, err)
	}
}

func FuzzJudge(f *testing.F) {
	for _, c := range answers {
		if len(c.body) < 2000 {
			f.Add(c.status, c.head, c.body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, head, body string) {
		a, err := ParseHTTP(strings.NewReader("HTTP/1.1 200\n" + head + "\n\n" + body))
		if err != nil {
			t.Fatal(err)
		}
		a.Status, a.Method, a.Path = status, "POST", "/v1/chat/completions"
		for i := range table {
			p := &table[i]
			x := p.Explain(a)
			v := p.Judge(a)
			if x.Rule == "" || v.Kind != engine.OK && v.Rule == "" {
				t.Errorf("%s: no rule", p.Name)
			}
			if v.RetryAfter < 0 || len(v.Evidence.Message) > 400 {
				t.Errorf("%s: %+v", p.Name, v)
			}
			if _, err := json.Marshal(x); err != nil {
				t.Error(err)
			}
			p.Limits(a, nil)
			p.ReadBalance([]byte(body))
		}
	})
}

func FuzzParseHTTP(f *testing.F) {
	f.Add("HTTP/1.1 301 Moved\r\nA: 1\r\n\r\nHTTP/2 200\r\nB: 5\r\n\r\n{}")
	f.Add("HTTP/2 429 \nx:\n folded\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseHTTP(strings.NewReader(text))
		if err == nil && (a.Status < 100 || a.Header == nil || len(a.Header) > maxHeaders) {
			t.Errorf("%+v", a)
		}
	})
}

func told(unit quota.Unit, name string, window time.Duration, amount, remaining float64, reset time.Duration) quota.Told {
	return quota.Told{Unit: unit, Name: name, Window: window, Amount: amount, Remaining: remaining, Reset: reset}
}

// inWindows is a coarse limit of fixed windows.
func inWindows(t quota.Told) quota.Told {
	t.Fixed = true
	return coarse(t)
}

// coarse is a limit whose reset is told in whole seconds.
func coarse(t quota.Told) quota.Told {
	t.Grain = time.Second
	return t
}

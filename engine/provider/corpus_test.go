package provider

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keywheel/engine"
)

// corpusCase is one answer of a corpus of real ones, with the verdict on it.
type corpusCase struct {
	ID, Provider string
	Request      struct{ Method, Path string }
	Status       int
	Headers      map[string]string
	Body         json.RawMessage
	Verdict      string
	Scope        string
	RetryAfterMS *float64 `json:"retry_after_ms"`
	Limit, Until *string
	AlsoOK       []string `json:"also_ok"`
}

func (c *corpusCase) answer() Answer {
	h := http.Header{}
	for name, value := range c.Headers {
		h.Set(name, value)
	}
	var body string
	if json.Unmarshal(c.Body, &body) != nil {
		var stream struct{ SSE string }
		_ = json.Unmarshal(c.Body, &stream)
		body = stream.SSE
	}
	return Answer{Method: c.Request.Method, Path: c.Request.Path, Status: c.Status, Header: h, Body: []byte(body)}
}

// TestCorpus measures the verdicts on the corpus in the directory that
// KEYWHEEL_CORPUS names: verdicts 98 % right, scopes 95 %, delays 98 %, and no
// key brought down for a fault that is not its own.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(os.Getenv("KEYWHEEL_CORPUS"), "*.json"))
	if os.Getenv("KEYWHEEL_CORPUS") == "" {
		files = nil
	}
	var verdicts, scopes, delays, limits, untils score
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []corpusCase
		if err := json.Unmarshal(data, &cases); err != nil {
			t.Fatal(file, err)
		}
		for _, c := range cases {
			p, ok := Lookup(c.Provider)
			if !ok {
				t.Errorf("%s: no provider %q", c.ID, c.Provider)
				continue
			}
			x := p.Explain(c.answer())
			got := x.Verdict.String()
			right := got == c.Verdict || slices.Contains(c.AlsoOK, got)
			if verdicts.add(right); !right {
				t.Logf("verdict of %s: %s, want %s %q (%s)", c.ID, got, c.Verdict, c.AlsoOK, x.Rule)
			}
			same := x.Scope == c.Scope || right && got != c.Verdict
			if scopes.add(same); !same {
				t.Logf("scope of %s: %s, want %s (%s)", c.ID, x.Scope, c.Scope, x.Rule)
			}
			if want := c.RetryAfterMS; want != nil {
				in := x.RetryAfterMS != nil && float64(*x.RetryAfterMS) >= *want && float64(*x.RetryAfterMS) <= *want+2000
				if delays.add(in); !in {
					t.Logf("delay of %s: %v, want %v (%s)", c.ID, x.Applied.RetryAfter, *want, x.Rule)
				}
			} else if x.RetryAfterMS != nil {
				t.Logf("delay of %s: %v, want none (%s)", c.ID, x.Applied.RetryAfter, x.Rule)
			}
			if c.Limit != nil && !limits.add(*c.Limit == string(x.Limit)) {
				t.Logf("limit of %s: %q, want %q", c.ID, x.Limit, *c.Limit)
			}
			if c.Until != nil && !untils.add(*c.Until == string(x.Until)) {
				t.Logf("until of %s: %q, want %q", c.ID, x.Until, *c.Until)
			}
			innocent := c.Verdict == "ok" || c.Verdict == "client_error" || c.Verdict == "upstream_fault" || c.Verdict == "permission_denied" && c.Scope == "none"
			if blamed := x.Verdict == engine.InvalidKey || x.Verdict == engine.QuotaExhausted; innocent && blamed && !right {
				t.Errorf("%s brings a key down that has done nothing: %s", c.ID, x.Rule)
			}
		}
	}
	t.Logf("verdicts %v, scopes %v, delays %v, limits %v, until %v", verdicts, scopes, delays, limits, untils)
	if verdicts.all == 0 && os.Getenv("KEYWHEEL_CORPUS") != "" {
		t.Error("KEYWHEEL_CORPUS names a directory without cases")
	}
	if verdicts.part() < 0.98 || scopes.part() < 0.95 || delays.part() < 0.98 {
		t.Error("the corpus is not judged well enough")
	}
}

// score counts what is right.
type score struct{ right, all int }

func (s *score) add(right bool) bool {
	s.all++
	if right {
		s.right++
	}
	return right
}

func (s *score) part() float64 {
	if s.all == 0 {
		return 1
	}
	return float64(s.right) / float64(s.all)
}

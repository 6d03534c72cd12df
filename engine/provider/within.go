package provider

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// within finds an error inside an answer whose status is fine: nil if there is
// none.
func within(p *Provider, a *Answer) *signs {
	if isStream(a) {
		return streamSigns(p, a)
	}
	body := bytes.TrimSpace(a.Body[:min(len(a.Body), maxBody)])
	switch {
	case len(body) == 0:
		return broken(p, a, "an empty answer")
	case isHTML(body):
		return broken(p, a, "an HTML page instead of an answer")
	case body[0] != '{' && body[0] != '[':
		return nil
	}
	if errorFree(p, body) {
		return nil
	}
	root := gjson.ParseBytes(body)
	if root.IsArray() {
		root = root.Get("0")
	}
	if e, found := failure(p, a, root); found {
		return inBody(p, a, root, e)
	}
	if a.Whole && len(a.Body) <= maxBody && generates(a) && !gjson.ValidBytes(body) {
		return broken(p, a, "an answer that was cut, or is no JSON")
	}
	return nil
}

// errorFree reports whether a body is JSON as far as its ends tell, and tells no
// error.
func errorFree(p *Provider, body []byte) bool {
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return false
	}
	end := body[len(body)-1]
	return (end == '}' || end == ']') && !hints(p, body)
}

// errorHints stand in every body that tells an error; flatHints in those of
// providers whose errors have no object of their own.
var (
	errorHints = [][]byte{[]byte(`"error`), []byte(`"base_resp"`)}
	flatHints  = [][]byte{[]byte(`"code"`), []byte(`"success"`)}
)

// hints reports whether a body may tell an error: most do not, and need not be
// parsed.
func hints(p *Provider, body []byte) bool {
	return indexMark(body, errorHints...) >= 0 || p.flatErrors && indexMark(body, flatHints...) >= 0
}

// broken are the signs of an answer that is none.
func broken(p *Provider, a *Answer, what string) *signs {
	return &signs{p: p, a: a, header: a.Header, at: a.made(), message: what, inBody: true}
}

// inBody are the signs of an error e inside root.
func inBody(p *Provider, a *Answer, root, e gjson.Result) *signs {
	s := &signs{p: p, a: a, header: a.Header, at: a.made(), inBody: true, json: true, status: errorStatus(root, e)}
	if e.Raw == root.Raw || !e.IsObject() {
		s.object(root, 0)
	} else {
		s.object(e, 1)
		s.addCode(root.Get("code").String(), 20)
	}
	s.text = strings.ToLower(s.message[:min(len(s.message), maxText)])
	s.pairs.add(s.text)
	return s
}

// failure finds the error in the body of an answer whose status is fine, and
// tells it from a job's: a poll that finds its job failed is a call that
// succeeded.
func failure(p *Provider, a *Answer, root gjson.Result) (e gjson.Result, found bool) {
	if e = root.Get("base_resp"); e.IsObject() {
		if code := e.Get("status_code"); code.Exists() && code.Int() != 0 {
			return e, true
		}
	}
	if e = root.Get("error"); real(e) && !isJob(a, root) {
		return e, true
	}
	if e = root.Get("choices.0.error"); real(e) {
		return e, true
	}
	if root.Get("object").Str == "error" && root.Get("message").Exists() {
		return root, true
	}
	if !p.flatErrors {
		return e, false
	}
	if e = root.Get("errors.0"); e.IsObject() && p.knows(e.Get("type").String()) {
		return e, true
	}
	if root.Get("choices").Exists() || root.Get("output").Exists() || root.Get("id").Exists() {
		return e, false
	}
	code := root.Get("code")
	if code.Exists() && p.knows(code.String()) || root.Get("success").Type == gjson.False && code.Exists() && generates(a) {
		return root, true
	}
	return e, false
}

// knows reports whether a code stands in the provider's own table.
func (p *Provider) knows(code string) bool {
	if code == "" {
		return false
	}
	s := signs{codes: []string{strings.ToLower(code)}}
	return slices.ContainsFunc(p.codeRules, func(r rule) bool { return s.hasCode(r.anyCode) != "" })
}

// real reports whether an error field says anything: some are objects full of
// nulls.
func real(e gjson.Result) bool {
	switch e.Type {
	case gjson.String:
		return e.Str != ""
	case gjson.JSON:
		if e.IsArray() {
			return false
		}
		for _, name := range [...]string{"message", "code", "type", "msg", "status"} {
			if v := e.Get(name); v.Exists() && v.Type != gjson.Null && v.String() != "" {
				return true
			}
		}
	}
	return false
}

// isJob reports whether an object is a job's, whose error is its own.
func isJob(a *Answer, root gjson.Result) bool {
	hasID := false
	for _, name := range [...]string{"id", "task_id", "generation_id", "request_id", "name"} {
		hasID = hasID || root.Get(name).Exists()
	}
	if a.Method == http.MethodGet || a.Method == http.MethodHead {
		return hasID || root.Get("status").Exists() && !root.Get("status").IsBool() && root.Get("status").Type == gjson.String
	}
	return hasID && root.Get("status").Type == gjson.String && root.Get("object").Str != "response" ||
		root.Get("name").Exists() && root.Get("done").Exists()
}

// byHeader looks for what the head alone tells.
func byHeader(s *signs) (finding, string) {
	h := s.header
	switch {
	case first(h, "Cf-Mitigated") != "":
		return finding{kind: engine.PermissionDenied, why: "a web application firewall refuses us, not the key"}, "header cf-mitigated"
	case s.status == 403 && s.p.anyAPI && !s.html && s.remaining() == 0:
		return finding{kind: engine.RateLimited, blame: usual, why: "nothing is left of the limit"}, "header remaining: 0"
	case s.status == 403 && s.p.anyAPI && !s.html && first(h, "Retry-After") != "":
		return finding{kind: engine.RateLimited, blame: usual, why: "it says to wait"}, "header retry-after"
	}
	return finding{}, ""
}

// remaining is the least that the limit headers say is left, -1 unknown.
func (s *signs) remaining() float64 {
	var buf [8]quota.Told
	least := -1.0
	for _, l := range s.p.limits(s.header, s.at, buf[:0]) {
		if l.Remaining >= 0 && (least < 0 || l.Remaining < least) {
			least = l.Remaining
		}
	}
	return least
}

package provider

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// Answer is as much of an upstream's answer as a verdict needs.
type Answer struct {
	Method, Path string
	Status       int
	Header       http.Header
	// Body is its start, decoded, with the key's secret taken out; nil for an
	// answer that is let through unread.
	Body []byte
}

// statuses says what a status means where nothing better is known. What is not
// in it: 2xx and 3xx are ok, other 4xx the client's error, 5xx upstream's fault.
var statuses = map[int]engine.Kind{
	http.StatusUnauthorized:    engine.InvalidKey,
	http.StatusPaymentRequired: engine.QuotaExhausted,
	http.StatusForbidden:       engine.PermissionDenied,
	http.StatusTooManyRequests: engine.RateLimited,
}

// Judge says what an answer means for the key that asked. It decides by the
// status and Retry-After.
func (p *Provider) Judge(a Answer) engine.Verdict {
	kind, known := statuses[a.Status]
	switch {
	case known:
	case a.Status < 400:
		return engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: a.Status}}
	case a.Status < 500:
		kind = engine.ClientError
	default:
		kind = engine.UpstreamFault
	}
	v := engine.Verdict{Kind: kind, Scope: engine.ScopeKey, Rule: "status " + strconv.Itoa(a.Status) + ": " + kind.Words()}
	if kind == engine.ClientError || kind == engine.UpstreamFault {
		v.Scope = engine.ScopeNone
	}
	v.Evidence = engine.Evidence{Status: a.Status, Method: a.Method, Path: Clean(a.Path, 200), Headers: telling(a.Header)}
	v.Evidence.Code, v.Evidence.Message = words(a.Body)
	if d, ok := retryAfter(a.Header); ok {
		v.RetryAfter = d
		v.Rule += ", retry-after " + a.Header.Get("Retry-After")
	}
	return v
}

// Lost is the verdict on a request that got no answer: what is why, in words
// that are safe to show.
func Lost(method, path, what string) engine.Verdict {
	return engine.Verdict{Kind: engine.UpstreamFault, Rule: "no answer: upstream fault",
		Evidence: engine.Evidence{Method: method, Path: Clean(path, 200), Message: what}}
}

// retryAfter reads seconds (whole or not) or an HTTP date, which counts from
// the answer's own Date where it has one.
func retryAfter(h http.Header) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		if !(s > 0 && s < 1e9) {
			return 0, false
		}
		return time.Duration(s * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	from := time.Now()
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		from = date
	}
	if d := at.Sub(from); d > 0 {
		return d, true
	}
	return 0, false
}

// telling are the headers that explain a verdict.
func telling(h http.Header) map[string]string {
	var out map[string]string
	for name, values := range h {
		lower := strings.ToLower(name)
		if len(values) == 0 || lower != "retry-after" && lower != "retry-after-ms" && lower != "x-should-retry" && !strings.Contains(lower, "ratelimit") {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		if len(out) < 16 {
			out[lower] = Clean(values[0], 100)
		}
	}
	return out
}

// words finds the machine code and the message in an error's body.
func words(body []byte) (code, message string) {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return "", ""
	}
	if !gjson.ValidBytes(trimmed) {
		if trimmed[0] == '<' {
			return "", "an HTML page"
		}
		return "", Clean(string(trimmed), 200)
	}
	root := gjson.ParseBytes(trimmed)
	if root.IsArray() {
		root = root.Get("0")
	}
	first := func(paths ...string) string {
		for _, p := range paths {
			if r := root.Get(p); r.Exists() && r.Type != gjson.JSON && r.String() != "" {
				return Clean(r.String(), 200)
			}
		}
		return ""
	}
	return first("error.code", "error.type", "error.status", "code", "statusCode"), first("error.message", "message", "error", "detail", "msg")
}

// Clean makes text from outside harmless to print: no control characters, at
// most limit bytes.
func Clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// ReadUsage finds what a request used near the end of its answer's body: the
// last "usage" object of OpenAI's or Anthropic's shape.
func ReadUsage(tail []byte) engine.Usage {
	i := bytes.LastIndex(tail, []byte(`"usage"`))
	if i < 0 {
		return engine.Usage{}
	}
	rest := bytes.TrimLeft(tail[i+len(`"usage"`):], " \t\r\n:")
	if len(rest) == 0 || rest[0] != '{' {
		return engine.Usage{}
	}
	var u engine.Usage
	gjson.ParseBytes(rest).ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "prompt_tokens", "input_tokens":
			u.Input = value.Int()
		case "completion_tokens", "output_tokens":
			u.Output = value.Int()
		case "prompt_tokens_details", "input_tokens_details":
			u.Cached = value.Get("cached_tokens").Int()
		case "cache_read_input_tokens":
			u.Cached = value.Int()
		case "cost":
			u.CostUSD = value.Float()
		}
		return true
	})
	return u
}

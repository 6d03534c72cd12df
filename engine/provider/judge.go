package provider

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// Answer is as much of an upstream's answer as a verdict needs.
type Answer struct {
	Method, Path string
	// Model is what the request asked for, "" if it named none. A verdict that
	// is about one model is about this one.
	Model  string
	Status int
	Header http.Header
	// Body is its start, decoded, with the key's secret taken out; nil for an
	// answer that is let through unread.
	Body []byte
	// Whole says that Body is all there was, so that an empty or a cut one
	// tells something.
	Whole bool
	// At is when the answer came, where that is not now. The answer's own Date
	// goes before it.
	At time.Time
}

// made is when the answer was made, by its own clock: what delays count from.
func (a *Answer) made() time.Time { return madeAt(a.Header, a.At) }

// madeAt is what a head's Date says, else came, else now.
func madeAt(h http.Header, came time.Time) time.Time {
	if t, err := http.ParseTime(first(h, "Date")); err == nil {
		return t
	}
	if !came.IsZero() {
		return came
	}
	return time.Now()
}

// zone is where the provider's texts tell the time.
func (p *Provider) zone() *time.Location {
	if p.Zone != nil {
		return p.Zone
	}
	return time.UTC
}

// Judge says what an answer means for the key that asked. It goes by the
// machine codes in the body, then by the headers, then by the words, and at
// last by the status. Whatever the answer is, there is a verdict.
func (p *Provider) Judge(a Answer) engine.Verdict {
	if a.Status < 400 && fine(p, &a) {
		return engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: a.Status}}
	}
	seen := a // so that only an answer that is looked into is kept
	v, _ := p.judge(&seen)
	return v
}

// judgement is a finding with all that the answer adds to it.
type judgement struct {
	finding
	*signs
}

// judge is the way of an answer that is not plainly fine.
func (p *Provider) judge(a *Answer) (engine.Verdict, judgement) {
	var s *signs
	if a.Status < 400 {
		if s = within(p, a); s == nil {
			return engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: a.Status}}, judgement{}
		}
	} else {
		s = gather(p, a)
	}
	f, by := p.decide(s)
	if p.anyAPI && s.inBody && s.json && by == unknownInBody && !asksModel(a) {
		// An API of another make may call anything an error.
		return engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: a.Status}}, judgement{}
	}
	return s.verdict(f, by)
}

// unknownInBody is what an error goes by that is told by nothing but its field.
const unknownInBody = "an error in the body of a good status"

// asksModel reports whether the request is one of an endpoint that is known.
func asksModel(a *Answer) bool {
	scope, _ := Describe(a.Method, a.Path)
	return scope != ""
}

// decide finds the rule that an error's signs match.
func (p *Provider) decide(s *signs) (f finding, by string) {
	for _, look := range [...]func(*signs) (finding, string){noKey.look, p.codeRules.look, p.headerRule, sharedCodes.look, byHeader, p.wordRules.look, sharedWords.look} {
		if look == nil {
			continue
		}
		if f, by := look(s); by != "" {
			return f, by
		}
	}
	return byStatus(s)
}

func seenAs(code, word string) string {
	switch {
	case code == "":
		return "the words " + strconv.Quote(word)
	case word == "":
		return "body code " + code
	}
	return "body code " + code + " with the words " + strconv.Quote(word)
}

// statuses says what a status means where nothing better is known. What is not
// in it: other 4xx are the client's error, all else upstream's fault.
var statuses = map[int]finding{
	http.StatusUnauthorized:      {kind: engine.InvalidKey, blame: theKey, why: "the key is not accepted"},
	http.StatusPaymentRequired:   {kind: engine.QuotaExhausted, blame: theAccount, until: Human, limit: "credits", why: "it wants to be paid"},
	http.StatusForbidden:         {kind: engine.PermissionDenied, blame: theKey, why: "the key may not do this"},
	http.StatusProxyAuthRequired: {kind: engine.PermissionDenied, why: "a proxy on the way refuses us"},
	http.StatusRequestTimeout:    {kind: engine.UpstreamFault, why: "it took too long"},
	http.StatusFailedDependency:  {kind: engine.UpstreamFault, why: "what it depends on failed"},
	http.StatusTooManyRequests:   {kind: engine.RateLimited, blame: usual, why: "too many requests"},
	451:                          {kind: engine.PermissionDenied, why: "not available from here, by law"},
}

func byStatus(s *signs) (finding, string) {
	by := "status " + strconv.Itoa(s.status)
	switch f, known := statuses[s.status]; {
	case s.status == 0:
		return finding{kind: engine.UpstreamFault, why: "an error without a known code"}, unknownInBody
	case s.html && s.status != http.StatusUnauthorized && s.status != http.StatusTooManyRequests && s.status != http.StatusPaymentRequired && known:
		return finding{kind: engine.PermissionDenied, why: "a page for people instead of an answer: something on the way refuses us, not the key"}, by + " with an HTML page"
	case known:
		return f, by
	case s.status < 500:
		return finding{kind: engine.ClientError, why: "the request is not accepted"}, by
	default:
		return finding{kind: engine.UpstreamFault, why: "the provider failed"}, by
	}
}

// longHint is how long a wait makes a spent day's allowance a quota rather than
// a rate.
const longHint = time.Hour

// verdict adds to a finding what the answer tells: whom, until when, which
// limit.
func (s *signs) verdict(f finding, by string) (engine.Verdict, judgement) {
	p := s.p
	if f.blame == usual {
		f.blame = p.limitsOf
		if f.blame == nobody {
			f.blame = theKey
		}
	}
	v := engine.Verdict{}
	limited := f.kind == engine.RateLimited || f.kind == engine.QuotaExhausted
	if f.limit == "" && (limited || f.kind == engine.ClientError && (s.status == http.StatusTooManyRequests || s.status == http.StatusRequestEntityTooLarge)) {
		f.limit = limitNamed(s.text)
	}
	if f.limit == "" && limited {
		f.limit = s.limitOfHeaders()
	}
	waitBy := ""
	if (limited || f.kind == engine.UpstreamFault) && f.until != Human {
		v.RetryAfter, waitBy = s.hint(f.limit)
	}
	if limited {
		f = s.rateOrQuota(f, v.RetryAfter)
	}
	switch f.until {
	case MidnightPacific, MidnightBeijing, MidnightUTC:
		// A day's allowance comes back at the day's end; a delay of seconds is
		// that of another limit (Gemini's RetryInfo).
		if v.RetryAfter < longHint {
			v.RetryAfter, waitBy = 0, ""
		}
		v.Until = f.until.After(s.at)
	default:
		v.Until = f.until.After(s.at)
	}
	if f.kind == engine.QuotaExhausted && f.until != Human {
		if t := s.resetAt(v.RetryAfter); !t.IsZero() && f.until != MidnightPacific {
			v.Until = t
		}
	}
	if v.RetryAfter == 0 && f.wait > 0 {
		v.RetryAfter, waitBy = f.wait, "the provider's documentation"
	}
	if !v.Until.IsZero() {
		v.Made = s.at
	}
	v.Kind, v.Limit, v.Elsewhere = f.kind, f.limit, f.elsewhere
	v.Scope, v.Model = s.scope(f)
	v.Rule = by + ": " + f.why
	if waitBy != "" {
		v.Rule += "; wait " + v.RetryAfter.String() + ", says " + waitBy
	}
	v.Evidence = s.evidence()
	return v, judgement{f, s}
}

// rateOrQuota turns a rate limit of a day or longer into a spent quota, unless
// the answer says that it will be over soon: OpenAI's and Groq's days refill
// continuously. A quota without an end gets that of its window.
func (s *signs) rateOrQuota(f finding, hint time.Duration) finding {
	_, window, _ := strings.Cut(f.limit, "_per_")
	if window != "day" && window != "week" && window != "month" || f.kind == engine.RateLimited && hint > 0 && hint <= longHint {
		return f
	}
	f.kind = engine.QuotaExhausted
	switch {
	case f.until != "":
	case window == "day":
		f.until = s.p.dayEnds
	case window == "month":
		f.until = NextMonth
	}
	return f
}

// resetAt is the moment at which a quota comes back, as the answer tells it.
func (s *signs) resetAt(hint time.Duration) time.Time {
	if !s.until.IsZero() {
		return s.until
	}
	if t, ok := momentIn(s.text, s.p.zone()); ok {
		return t
	}
	if hint > 0 {
		return s.at.Add(hint)
	}
	return time.Time{}
}

// limitOfHeaders is the limit of which the headers say that nothing is left.
func (s *signs) limitOfHeaders() string {
	var buf [8]quota.Told
	name := ""
	for _, l := range s.p.limits(s.header, s.at, buf[:0]) {
		if l.Remaining != 0 {
			continue
		}
		for _, w := range [...]struct {
			d    time.Duration
			word string
		}{{time.Second, "second"}, {time.Minute, "minute"}, {time.Hour, "hour"}, {day, "day"}} {
			if l.Window == w.d {
				name = string(l.Unit) + "_per_" + w.word
			}
		}
	}
	return name
}

// scope translates whom a finding blames.
func (s *signs) scope(f finding) (engine.Scope, string) {
	switch f.blame {
	case theKey:
		return engine.ScopeKey, ""
	case theAccount:
		return engine.ScopeAccount, ""
	case theModel, keysModel:
		model := s.aboutModel()
		switch {
		case f.kind == engine.UpstreamFault || f.kind == engine.ClientError:
			return engine.ScopeNone, model
		case f.blame == theModel:
			return engine.ScopeAccount, model
		default:
			return engine.ScopeKey, model
		}
	}
	return engine.ScopeNone, ""
}

// aboutModel is the model that the answer is about: the request's, which is the
// name that the engine knows it by, else the one that the answer names.
func (s *signs) aboutModel() string {
	if s.a.Model != "" {
		return s.a.Model
	}
	if m := PathModel(s.a.Path); m != "" {
		return m
	}
	if s.model != "" {
		return Clean(strings.TrimPrefix(s.model, "models/"), 100)
	}
	return modelNamed(s.message)
}

// modelMarks stand before a model's name in messages; what ends the name.
var modelMarks = []string{"for model `", "to model `", "The model `", "model `", "model: ", "model '", "model \"", "Rate limit reached for ", "limit_rpm/", "limit_rpd/", "specific to this model ", "Request too large for "}

// modelNamed is the model that a message names, "" if none.
func modelNamed(message string) string {
	for _, mark := range modelMarks {
		_, rest, ok := strings.Cut(message, mark)
		if !ok {
			continue
		}
		name := rest[:len(rest)-len(strings.TrimLeft(rest, modelChars+"/:"))]
		if name = strings.TrimRight(name, ".:/-_"); name != "" && name != "in" && len(name) <= 100 {
			return name
		}
	}
	return ""
}

// evidence is what was seen, made harmless.
func (s *signs) evidence() engine.Evidence {
	return engine.Evidence{Status: s.a.Status, Method: Clean(s.a.Method, 20), Path: Clean(s.a.Path, 200), Headers: telling(s.header),
		Code: Clean(s.telling(), maxCode), Message: Clean(mask(s.message), 300)}
}

// telling is the code to show: the first that is not just the status again.
func (s *signs) telling() string {
	if s.code != "" && !isStatus(s.code) {
		return s.code
	}
	for _, c := range s.codes {
		if !isStatus(c) {
			return c
		}
	}
	return s.code
}

func isStatus(code string) bool {
	n, err := strconv.Atoi(code)
	return err == nil && n >= 100 && n < 600
}

// Lost is the verdict on a request that got no answer: what is why, in words
// that are safe to show.
func Lost(method, path, what string) engine.Verdict {
	return engine.Verdict{Kind: engine.UpstreamFault, Rule: "no answer: upstream fault",
		Evidence: engine.Evidence{Method: method, Path: Clean(path, 200), Message: what}}
}

// tellingHeaders explain a verdict, beside all that have "ratelimit" in them.
var tellingHeaders = map[string]bool{"retry-after": true, "retry-after-ms": true, "x-ms-retry-after-ms": true, "x-should-retry": true, "cf-mitigated": true,
	"x-github-sso": true, "x-accepted-github-permissions": true, "x-amzn-errortype": true, "www-authenticate": true, "date": true, "x-deny-reason": true, "x-squid-error": true}

// telling are the headers that explain a verdict.
func telling(h http.Header) map[string]string {
	var out map[string]string
	for name, values := range h {
		lower := strings.ToLower(name)
		if len(values) == 0 || !tellingHeaders[lower] && !strings.Contains(lower, "ratelimit") && !strings.Contains(lower, "rate-limit") {
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

// secretMarks begin keys of providers, as they are echoed in messages.
var secretMarks = []string{"sk-", "AIza", "gsk_", "xai-", "ghp_", "gho_", "ghs_", "github_pat_", "Bearer ", "api_key:", "pplx-", "nvapi-"}

// mask hides what looks like a key in a message. The proxy has taken the
// request's own secret out already; this is for answers of unknown origin.
func mask(s string) string {
	for _, mark := range secretMarks {
		for from := 0; ; {
			i := strings.Index(s[from:], mark)
			if i < 0 {
				break
			}
			i += from + len(mark)
			rest := strings.TrimLeft(s[i:], modelChars)
			if n := len(s) - i - len(rest); n >= 12 {
				s = s[:i] + "****" + rest
			}
			from = i
		}
	}
	return s
}

// Clean makes text from outside harmless to print: no control characters, at
// most limit bytes.
func Clean(s string, limit int) string {
	s = engine.Harmless(s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

var errorMark, baseRespMark = []byte(`"error"`), []byte(`"base_resp"`)

// fine reports whether an answer is what it seems at a glance, without
// allocating. When in doubt it is not.
func fine(p *Provider, a *Answer) bool {
	body := a.Body
	if len(body) == 0 {
		return !a.Whole || a.Status != http.StatusOK || !generates(a)
	}
	if len(body) > maxBody {
		body = body[:maxBody]
	}
	switch body[0] {
	case '{', '[', ' ', '\n', '\t', '\r':
	case '<':
		return !generates(a)
	default:
		return !isStream(a)
	}
	if isStream(a) {
		return false
	}
	if a.Whole && generates(a) {
		return errorFree(p, bytes.TrimSpace(body))
	}
	if says(body, errorMark) {
		return false
	}
	return !p.flatErrors || !bytes.Contains(body, baseRespMark) && !bytes.Contains(body, successMark) && !startsFlat(body)
}

var (
	successMark = []byte(`"success"`)
	codeMark    = []byte(`"code"`)
	errorsMark  = []byte(`"errors"`)
)

// startsFlat reports whether a body may be a flat {"code":…,"message":…}.
func startsFlat(body []byte) bool {
	head := body[:min(len(body), 200)]
	return bytes.Contains(head, codeMark) || bytes.Contains(head, errorsMark)
}

// says reports whether a field stands in a body with a value other than null.
func says(body, mark []byte) bool {
	for {
		i := indexMark(body, mark)
		if i < 0 {
			return false
		}
		body = bytes.TrimLeft(body[i+len(mark):], " \t\r\n")
		if len(body) > 0 && body[0] == ':' && !bytes.HasPrefix(bytes.TrimLeft(body[1:], " \t\r\n"), []byte("null")) {
			return true
		}
	}
}

// indexMark is where the first of some marks stands that begin with a quote.
// Texts are long and have few quotes: from one to the next goes at the speed of
// memory.
func indexMark(b []byte, marks ...[]byte) int {
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return -1
		}
		at += i
		for _, mark := range marks {
			if bytes.HasPrefix(b[at:], mark) {
				return at
			}
		}
	}
}

// generates reports whether the request asked a model for something, so that
// an empty answer or a page is none.
func generates(a *Answer) bool {
	if a.Method != http.MethodPost {
		return false
	}
	scope, _ := Describe(a.Method, a.Path)
	return scope == "chat" || scope == "embedding"
}

package provider

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// limitHeader is one limit's spelling: the names of its three headers.
type limitHeader struct {
	unit                    quota.Unit
	name                    string
	limit, remaining, reset string
	window                  time.Duration
	fixed                   bool // all of it comes back at the window's end
}

const day = 24 * time.Hour

// openAILimits are the headers of OpenAI and of many who copied it
// (platform.openai.com/docs/guides/rate-limits). Their reset is a Go-like
// duration, at Azure a bare number of seconds.
var openAILimits = []limitHeader{
	{quota.Requests, "requests", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests", time.Minute, false},
	{quota.Tokens, "tokens", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", time.Minute, false},
}

// plainLimits are the headers without a unit in their names, of plain REST
// APIs. Their reset is seconds, or a moment.
var plainLimits = []limitHeader{
	{quota.Requests, "requests", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", 0, false},
	{quota.Requests, "requests", "X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset", 0, false},
	{quota.Requests, "requests", "Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", 0, false},
}

// spelledLimits are spellings with the window in their names: Mistral's,
// Cerebras's, Kong's, RapidAPI's.
var spelledLimits = []limitHeader{
	{quota.Requests, "requests", "X-Ratelimit-Limit-Req-Minute", "X-Ratelimit-Remaining-Req-Minute", "X-Ratelimit-Reset-Req-Minute", time.Minute, false},
	{quota.Tokens, "tokens", "X-Ratelimit-Limit-Tokens-Minute", "X-Ratelimit-Remaining-Tokens-Minute", "X-Ratelimit-Reset-Tokens-Minute", time.Minute, false},
	{quota.Requests, "requests", "X-Ratelimit-Requests-Limit", "X-Ratelimit-Requests-Remaining", "X-Ratelimit-Requests-Reset", 0, false},
	{quota.Requests, "requests", "X-Ratelimit-Limit-Requests-Day", "X-Ratelimit-Remaining-Requests-Day", "X-Ratelimit-Reset-Requests-Day", day, false},
	{quota.Requests, "requests", "X-Ratelimit-Limit-Second", "X-Ratelimit-Remaining-Second", "Ratelimit-Reset", time.Second, false},
	{quota.Requests, "requests", "X-Ratelimit-Limit-Minute", "X-Ratelimit-Remaining-Minute", "Ratelimit-Reset", time.Minute, false},
	{quota.Requests, "requests", "X-Ratelimit-Limit-Hour", "X-Ratelimit-Remaining-Hour", "Ratelimit-Reset", time.Hour, false},
	{quota.Requests, "requests", "X-Ratelimit-Limit-Day", "X-Ratelimit-Remaining-Day", "Ratelimit-Reset", day, false},
}

// Limits appends to dst the limits that an answer's headers tell of. Moments
// count from the answer's own Date.
func (p *Provider) Limits(a Answer, dst []quota.Told) []quota.Told {
	if len(a.Header) == 0 || p == &gitHub && !core(a.Header) {
		return dst
	}
	return p.limits(a.Header, a.At, dst)
}

// LimitsOf is whom the limits that headers tell belong to.
func (p *Provider) LimitsOf() engine.Scope {
	if p.limitsOf == theAccount || p.limitsOf == theModel {
		return engine.ScopeAccount
	}
	return engine.ScopeKey
}

// core reports whether GitHub's headers are of the limit that most requests
// count against: search and GraphQL have limits of their own.
func core(h http.Header) bool {
	resource := first(h, "X-Ratelimit-Resource")
	return resource == "" || resource == "core"
}

// limits is Limits of a head that came at a time.
func (p *Provider) limits(h http.Header, came time.Time, dst []quota.Told) []quota.Told {
	for own, table := range [...][]limitHeader{p.limitHeaders, plainLimits, spelledLimits} {
		for i := range table {
			l := &table[i]
			if own > 0 && p.reads(l.limit) {
				continue
			}
			remaining, limit := first(h, l.remaining), first(h, l.limit)
			if remaining == "" && limit == "" {
				continue
			}
			seen := quota.Told{Unit: l.unit, Name: l.name, Window: l.window, Fixed: l.fixed, Amount: amountOf(limit), Remaining: amountOf(remaining)}
			if reset := first(h, l.reset); reset != "" {
				seen.Reset, _ = parseWait(reset, madeAt(h, came), nil)
				seen.Grain = grainOf(reset)
			}
			if seen.Amount >= 0 || seen.Remaining >= 0 {
				if dst == nil {
					dst = make([]quota.Told, 0, 8) // who tells one tells several
				}
				dst = append(dst, seen)
			}
		}
	}
	if v := first(h, "Ratelimit"); v != "" {
		dst = append(dst, structured(v, first(h, "Ratelimit-Policy")))
	}
	return dst
}

// reads reports whether a limit header is one of the provider's own.
func (p *Provider) reads(limit string) bool {
	for i := range p.limitHeaders {
		if p.limitHeaders[i].limit == limit {
			return true
		}
	}
	return false
}

// grainOf is how exact a duration or a moment is told: one without a fraction
// is rounded to seconds.
func grainOf(reset string) time.Duration {
	if strings.Contains(reset, ".") || strings.Contains(reset, "ms") {
		return 0
	}
	return time.Second
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// amountOf reads an amount, -1 if it is none. Azure says -1 for unknown; the
// IETF drafts let a policy follow ("100, 100;w=60").
func amountOf(s string) float64 {
	if i := strings.IndexAny(s, ",;"); i >= 0 {
		s = s[:i]
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n >= 0 && n < 1e15) {
		return -1
	}
	return n
}

// structured reads the IETF draft's fields: RateLimit: "p";r=0;t=17 with
// RateLimit-Policy: "p";q=100;w=60, and the older limit=100, remaining=0,
// reset=17 (draft-ietf-httpapi-ratelimit-headers). Of several policies the one
// with the least left counts.
func structured(field, policy string) quota.Told {
	best := quota.Told{Unit: quota.Requests, Name: "requests", Amount: -1, Remaining: -1}
	for item := range strings.SplitSeq(field, ",") {
		s := quota.Told{Unit: quota.Requests, Name: "requests", Amount: -1, Remaining: -1}
		if name, _, ok := strings.Cut(strings.TrimSpace(item), ";"); ok {
			s.Name = strings.Trim(name, `"`)
		}
		for part := range strings.SplitSeq(item, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "r", "remaining":
				s.Remaining = amountOf(value)
			case "limit", "q":
				s.Amount = amountOf(value)
			case "t", "reset":
				s.Reset, _ = waitNumber(amountOf(value), time.Time{})
			}
		}
		switch {
		case s.Remaining < 0 && s.Reset > 0 && best.Reset == 0:
			best.Reset = s.Reset // the older form has each in an item of its own
		case s.Remaining < 0 && s.Amount >= 0 && best.Amount < 0:
			best.Amount = s.Amount
		case s.Remaining >= 0 && (best.Remaining < 0 || s.Remaining < best.Remaining):
			if s.Reset == 0 {
				s.Reset = best.Reset
			}
			if s.Amount < 0 {
				s.Amount = best.Amount
			}
			best = s
		}
	}
	for item := range strings.SplitSeq(policy, ",") {
		name, rest, _ := strings.Cut(strings.TrimSpace(item), ";")
		if strings.Trim(name, `"`) != best.Name && strings.Contains(policy, `"`+best.Name+`"`) {
			continue
		}
		for part := range strings.SplitSeq(rest, ";") {
			k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			n := amountOf(strings.Trim(v, `"`))
			switch {
			case k == "q" && best.Amount < 0:
				best.Amount = n
			case k == "w" && n > 0 && n < shortEpoch:
				best.Window = time.Duration(n) * time.Second
			case k == "qu" && strings.Contains(v, "token"):
				best.Unit = quota.Tokens
			case k == "qu" && strings.Contains(v, "concurrent"):
				best.Unit = quota.Concurrent
			}
		}
		break
	}
	return best
}

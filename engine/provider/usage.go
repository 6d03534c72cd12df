package provider

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// Usage is what a request used, in the provider's own counts: OpenAI's and
// Gemini's input has the cached tokens in it, Anthropic's has not. Reasoning is
// a part of the output.
type Usage struct {
	engine.Usage
	// CacheWrite are input tokens that were written to a cache, for a price of
	// their own.
	CacheWrite int64
	Reasoning  int64
	// Priced says that CostUSD is known, be it 0.
	Priced bool
	// Found says that there was any usage to read.
	Found bool
	// apart says that Input leaves out what was read from or written to a cache.
	apart bool
}

// maxCount is the most that is believed of any count.
const maxCount = 1 << 40

var usageMark = []byte(`"usage`)

// maxUsage bounds a usage object.
const maxUsage = 2 << 10

// usageObject is the object behind the mark that b begins with, and how far to
// go on; nil if there is none, or not all of it.
func usageObject(b []byte) (raw []byte, n int) {
	n = len(usageMark)
	rest := bytes.TrimPrefix(b[n:], []byte("Metadata"))
	if len(rest) == 0 || rest[0] != '"' {
		return nil, n
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n")
	if len(rest) == 0 || rest[0] != ':' {
		return nil, n
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n")
	if len(rest) == 0 || rest[0] != '{' {
		return nil, n
	}
	depth, quoted := 0, false
	for i := 0; i < len(rest) && i < maxUsage; i++ {
		switch c := rest[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return rest[:i+1], len(b) - len(rest) + i + 1
			}
		}
	}
	return nil, n
}

// merge takes what a usage object says over what was known: a stream's counts
// grow, and not every frame has them all.
func (u *Usage) merge(raw []byte) {
	total := int64(0)
	gemini, thoughts, answer := false, int64(0), int64(0)
	gjson.ParseBytes(raw).ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "prompt_tokens", "input_tokens", "promptTokenCount":
			u.Input = count(v)
		case "completion_tokens", "output_tokens":
			u.Output = count(v)
		case "candidatesTokenCount":
			gemini, answer = true, count(v)
		case "thoughtsTokenCount":
			gemini, thoughts = true, count(v)
		case "prompt_tokens_details", "input_tokens_details":
			u.Cached = max(count(v.Get("cached_tokens")), u.Cached)
		case "completion_tokens_details", "output_tokens_details":
			u.Reasoning = max(count(v.Get("reasoning_tokens")), u.Reasoning)
		case "prompt_cache_hit_tokens", "cachedContentTokenCount", "cached_tokens":
			u.Cached = count(v)
		case "cache_read_input_tokens":
			u.Cached, u.apart = count(v), true
		case "cache_creation_input_tokens":
			u.CacheWrite, u.apart = count(v), true
		case "total_tokens", "totalTokens":
			total = count(v)
		case "billed_units":
			u.Input, u.Output = count(v.Get("input_tokens")), count(v.Get("output_tokens"))
		case "tokens":
			if v.IsObject() && u.Input+u.Output == 0 {
				u.Input, u.Output = count(v.Get("input_tokens")), count(v.Get("output_tokens"))
			}
		case "cost", "total_cost":
			if v.IsObject() {
				v = v.Get("total_cost")
			}
			u.price(v)
		case "usd_spent":
			u.price(v)
		case "credits_used":
			if !u.Priced && v.Type == gjson.Number {
				u.cost(v.Num / aimlCreditsPerUSD)
			}
		default:
			return true
		}
		u.Found = true
		return true
	})
	if gemini {
		u.Output, u.Reasoning = answer+thoughts, thoughts
	}
	if u.Input+u.Output == 0 && total > 0 {
		// MiniMax tells only the sum.
		u.Input, u.Found = total, true
	}
}

// aimlCreditsPerUSD is AIMLAPI's currency: docs.aimlapi.com, "credits".
const aimlCreditsPerUSD = 2_000_000

func count(v gjson.Result) int64 {
	if v.Type != gjson.Number || !(v.Num >= 0 && v.Num < maxCount) {
		return 0
	}
	return int64(v.Num)
}

func (u *Usage) price(v gjson.Result) {
	switch v.Type {
	case gjson.Number:
		u.cost(v.Num)
	case gjson.String:
		if usd, err := strconv.ParseFloat(v.Str, 64); err == nil {
			u.cost(usd)
		}
	}
}

func (u *Usage) cost(usd float64) {
	if usd >= 0 && usd < 1e6 {
		u.CostUSD, u.Priced, u.Found = usd, true, true
	}
}

// Head takes what an answer's head says of the cost: AIMLAPI's headers.
func (u *Usage) Head(h http.Header) {
	if v := first(h, "X-Aimlapi-Usd-Spent"); v != "" {
		if usd, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			u.cost(usd)
			return
		}
	}
	if v := first(h, "X-Aimlapi-Credits-Used"); v != "" {
		if n, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			u.cost(n / aimlCreditsPerUSD)
		}
	}
}

// IsUsageFrame reports whether a frame of an OpenAI-like stream carries the
// usage and nothing else: the one that comes because the request asked for it.
func IsUsageFrame(data []byte) bool {
	if !bytes.Contains(data, usageMark) {
		return false
	}
	root := gjson.ParseBytes(data)
	choices := root.Get("choices")
	return root.Get("usage").IsObject() && choices.IsArray() && choices.Get("#").Int() == 0
}

package provider

import (
	"strconv"
	"strings"
	"time"

	"keywheel/engine/quota"
)

// hint finds how long an answer says to wait, and where it says so. The head's
// explicit words come first, then the body's fields, its text, and at last the
// limits whose remainder is nothing.
func (s *signs) hint(limit string) (d time.Duration, by string) {
	for _, name := range [...]string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if v := first(s.header, name); v != "" {
			if ms, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil && ms > 0 && ms < shortEpoch*1e3 {
				return time.Duration(ms * float64(time.Millisecond)), strings.ToLower(name)
			}
		}
	}
	if v := first(s.header, "Retry-After"); v != "" {
		if d, ok := parseWait(v, s.at, nil); ok {
			return d, "retry-after"
		}
	}
	text, said := waitIn(s.text)
	if s.wait > 0 {
		// The text is often the more exact of the two.
		if said && text > s.wait && text < s.wait+time.Second {
			return text, "the message"
		}
		return s.wait, s.waitBy
	}
	if said {
		return text, "the message"
	}
	if t, ok := momentIn(s.text, s.p.zone()); ok {
		if d, ok := positive(t.Sub(s.at)); ok {
			return d, "the message"
		}
	}
	return s.limitReset(limit)
}

// limitReset is the reset of the limits of which nothing is left; failing
// those, of the one that the text names.
func (s *signs) limitReset(limit string) (d time.Duration, by string) {
	var buf [8]quota.Told
	seen := s.p.limits(s.header, s.at, buf[:0])
	for _, l := range seen {
		if l.Remaining == 0 && l.Reset > d {
			d, by = l.Reset, l.Name+" reset"
		}
	}
	if d > 0 {
		return d, by
	}
	for _, l := range seen {
		named := l.Unit == quota.Tokens && strings.HasPrefix(limit, "tokens") || l.Unit == quota.Requests && strings.HasPrefix(limit, "requests") || len(seen) == 1
		if named && l.Remaining < 0 && l.Reset > d {
			d, by = l.Reset, l.Name+" reset"
		}
	}
	if d == 0 && len(seen) == 0 {
		for _, name := range [...]string{"X-Ratelimit-Reset-Requests", "X-Ratelimit-Reset-Tokens", "X-Ratelimit-Reset-After", "X-Ratelimit-Reset", "Ratelimit-Reset"} {
			if w, ok := parseWait(first(s.header, name), s.at, nil); ok && w > d {
				d, by = w, strings.ToLower(name)
			}
		}
	}
	return d, by
}

// windows are the words for a limit's window, the longest first: what names
// several limits is of its longest.
var windows = []struct {
	word  string
	marks []string
}{
	{"month", []string{"per month", "permonth", "/month", "/ month", "monthly", "每月", "本月", "a month"}},
	{"week", []string{"per week", "perweek", "weekly", "每周", "本周"}},
	{"day", []string{"per day", "per-day", "perday", "_per_day", "/day", "/ day", "daily", "rpd", "tpd", "qpd", "today", "今日", "当日", "每日", "每天", "a day", "in 24 hours", "day limit"}},
	{"hour", []string{"per hour", "perhour", "/hour", "/ hour", "hourly", "rph", "tph", "每小时", "an hour"}},
	{"minute", []string{"per minute", "per min", "per-minute", "perminute", "_per_minute", "/minute", "/ minute", "/min", "/ min", "rpm", "tpm", "qpm", "itpm", "otpm", "每分钟", "a minute", "limit_rpm", "each minute"}},
	{"second", []string{"per second", "persecond", "/second", "/sec", "rps", "qps", "每秒", "/s", "a second"}},
}

// limitNamed is the limit that a text names, in the corpus's words; "" if none.
func limitNamed(text string) string {
	for _, w := range windows {
		for _, mark := range w.marks {
			i := wordIndex(text, mark)
			if i < 0 {
				continue
			}
			unit := "requests"
			if before := text[max(0, i-48) : i+len(mark)]; strings.HasPrefix(mark, "tp") || strings.HasSuffix(mark, "tpm") ||
				max(strings.LastIndex(before, "token"), strings.LastIndex(before, "tpm"), strings.LastIndex(before, "tpd")) > max(strings.LastIndex(before, "request"), strings.LastIndex(before, "quer"), strings.LastIndex(before, "call"), strings.LastIndex(before, "rpm"), strings.LastIndex(before, "rpd")) {
				unit = "tokens"
			}
			return unit + "_per_" + w.word
		}
	}
	if strings.Contains(text, "concurren") || strings.Contains(text, "并发") || strings.Contains(text, "parallel requests") {
		return "concurrency"
	}
	return ""
}

// wordIndex finds a mark; one of letters alone only as a whole word.
func wordIndex(text, mark string) int {
	whole := mark[0] >= 'a' && mark[0] <= 'z' && len(mark) <= 4
	for from := 0; ; {
		i := strings.Index(text[from:], mark)
		if i < 0 {
			return -1
		}
		i += from
		end := i + len(mark)
		if !whole || (i == 0 || !isLetter(text[i-1])) && (end == len(text) || !isLetter(text[end])) {
			return i
		}
		from = i + 1
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

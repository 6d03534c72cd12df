package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

// short says a duration in its two largest units: "41m", "3h10m", "2d4h".
func short(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < 10*time.Minute && d%time.Minute >= time.Second:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d < 100*24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	default:
		return strconv.Itoa(int(min(d/(24*time.Hour), 99999))) + "d"
	}
}

// countdown says how long is left to the second while that matters: "0:32",
// "12:40", "3h10m".
func countdown(d time.Duration) string {
	d = max(d, 0)
	if d >= time.Hour {
		return short(d)
	}
	if r := d % time.Second; r > 0 {
		d += time.Second - r
	}
	return fmt.Sprintf("%d:%02d", d/time.Minute, d%time.Minute/time.Second)
}

// at says a moment as a person near it would: "14:52", or the day when that is
// another one.
func (st *state) at(t time.Time) string {
	t, now := t.In(st.zone), st.now.In(st.zone)
	d := t.Sub(now)
	switch {
	case sameDay(t, now) || d > 0 && d < 12*time.Hour:
		return t.Format("15:04")
	case d > 0 && d <= 24*time.Hour && t.Hour() == 0 && t.Minute() == 0:
		return "00:00"
	case d.Abs() < 6*24*time.Hour:
		return t.Format("Mon 15:04")
	default:
		return t.Format("Jan 2")
	}
}

// stamp is a moment in a column of eight cells: the time of a recent one, the
// day of an old one.
func (st *state) stamp(t time.Time) string {
	if st.now.Sub(t) < 20*time.Hour {
		return t.In(st.zone).Format("15:04:05")
	}
	return t.In(st.zone).Format("Jan 2")
}

func sameDay(a, b time.Time) bool { return a.YearDay() == b.YearDay() && a.Year() == b.Year() }

func (st *state) ago(t time.Time) string { return short(st.now.Sub(t)) + " ago" }

func (st *state) until(t time.Time) time.Duration { return max(t.Sub(st.now), 0) }

// compact says an amount in few cells: "812", "12.4k", "1M".
func compact(v float64) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "?"
	}
	unit := ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, u
	}
	if unit == "" || v >= 99.95 {
		return sign + strconv.FormatFloat(v, 'f', 0, 64) + unit
	}
	return sign + strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + unit
}

// grouped says a count with its thousands apart: "4,812".
func grouped[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent never says 0 % of what is not spent, nor 100 % of what is not whole.
func percent(f float64) string {
	if math.IsNaN(f) {
		return "?"
	}
	p := math.Round(f * 100)
	switch {
	case f > 0 && p < 1:
		p = 1
	case f < 1 && p >= 100:
		p = 99
	}
	return strconv.Itoa(int(min(max(p, 0), 999))) + "%"
}

var unitWords = map[string]string{"requests": "req", "tokens": "tok", "input_tokens": "tok in", "output_tokens": "tok out", "usd": "USD", "concurrent": "at once"}

// amount says an amount with its unit: "1M tok", "$12.40".
func amount(v float64, unit string) string {
	if unit == "usd" {
		return "$" + strconv.FormatFloat(v, 'f', 2, 64)
	}
	u, ok := unitWords[unit]
	if !ok {
		u = unit
	}
	return compact(v) + " " + u
}

// perWord says a window: "min", "day", "30 days".
func perWord(per string) string {
	if w, ok := map[string]string{"1m": "min", "1h": "hour", "1d": "24h", "1s": "s"}[per]; ok {
		return w
	}
	// What a header told may be any length of time.
	if d, err := time.ParseDuration(per); err == nil {
		if d < 10*time.Second {
			return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
		}
		return short(d)
	}
	return per
}

// ofLimit says what a percentage is of: "of 1M tok/day (config)".
func ofLimit(total float64, unit, per, source string) string {
	s := "of " + amount(total, unit)
	if per != "" {
		s += "/" + perWord(per)
	}
	if source != "" {
		s += " (" + source + ")"
	}
	return s
}

// rate says requests per minute in few cells.
func rate(perMin float64) string {
	if perMin > 0 && perMin < 1 {
		return "<1/min"
	}
	return compact(math.Round(perMin)) + "/min"
}

// millis says a latency.
func millis(ms float64) string {
	if ms >= 999.5 {
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + "s"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
}

// mark is a key's fingerprint as it is shown: "·9f2a".
func mark(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	return "·" + fingerprint[:min(4, len(fingerprint))]
}

// tally is one kind of failure and how often it happened.
type tally struct {
	code string
	n    int64
	ink  ink
}

// tallies lists failures by verdict, the gravest first. Spent quota goes by no
// status: as many providers say 429 of it, or 403, as say 402.
func tallies(v engine.Verdicts) [5]tally {
	return [5]tally{
		{"401", v.InvalidKey, red},
		{"dry", v.QuotaExhausted, magenta},
		{"403", v.PermissionDenied, red},
		{"5xx", v.UpstreamFault, red},
		{"429", v.RateLimited, yellow},
	}
}

// plural puts a number before a noun: "1 key", "2 keys".
func plural(n int, noun string) string {
	s := grouped(n) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}

// parseFor reads how long something is to last: "90m", "8h", "2d", "1h30m".
func parseFor(text string) (time.Duration, error) {
	text = strings.ToLower(strings.ReplaceAll(text, " ", ""))
	var days time.Duration
	if head, tail, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.Atoi(head)
		if err != nil || n < 0 || n > 3650 {
			return 0, fmt.Errorf("%q is no duration: try 90m, 8h or 2d", text)
		}
		days, text = time.Duration(n)*24*time.Hour, tail
	}
	var rest time.Duration
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: try 90m, 8h or 2d", text)
		}
		rest = d
	}
	if d := days + rest; d >= time.Second && d <= 3650*24*time.Hour {
		return d, nil
	}
	return 0, fmt.Errorf("give a time between 1s and 10 years: 90m, 8h, 2d")
}

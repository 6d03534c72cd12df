package provider

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxDelay is the longest delay that is believed to be one.
const maxDelay = 10 * 365 * 24 * time.Hour

// Below shortEpoch a bare number counts seconds from now; from there on it is
// a moment in Unix seconds, from longEpoch on in milliseconds, and so forth.
const (
	shortEpoch = 1e8
	longEpoch  = 1e11
)

// parseWait reads how long to wait, in any spelling that a header or a field of
// a body has for it: seconds (whole or not), Go-like durations ("6m0s",
// "2m59.56s", "120ms"), clock forms ("07:01:20", "20.09:58:55"), Unix seconds
// or milliseconds, RFC 3339 and HTTP dates. Moments count from at; a bare one
// without a zone is of zone. What is zero, negative or past says nothing: ok is
// false.
func parseWait(s string, at time.Time, zone *time.Location) (d time.Duration, ok bool) {
	s = strings.Trim(s, " \t\"")
	if s == "" || len(s) > 100 {
		return 0, false
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return waitNumber(n, at)
	}
	if d, n := scanDuration(strings.ToLower(s)); n == len(s) {
		return positive(d)
	}
	if t, ok := parseMoment(s, zone); ok {
		return positive(t.Sub(at))
	}
	return 0, false
}

// waitNumber reads a bare number: seconds, or a moment, by its size.
func waitNumber(n float64, at time.Time) (time.Duration, bool) {
	switch {
	case !(n > 0):
		return 0, false
	case n < shortEpoch:
		return positive(time.Duration(math.Round(n * float64(time.Second))))
	default:
		t, ok := epoch(n)
		if !ok {
			return 0, false
		}
		return positive(t.Sub(at))
	}
}

// epoch reads Unix time in seconds, milliseconds, microseconds or nanoseconds.
func epoch(n float64) (time.Time, bool) {
	switch {
	case !(n >= shortEpoch):
		return time.Time{}, false
	case n < longEpoch:
		return time.UnixMilli(int64(n * 1e3)).UTC(), true
	case n < longEpoch*1e3:
		return time.UnixMilli(int64(n)).UTC(), true
	case n < longEpoch*1e6:
		return time.UnixMicro(int64(n)).UTC(), true
	case n < 9e18:
		return time.Unix(0, int64(n)).UTC(), true
	}
	return time.Time{}, false
}

// unixTime reads a header that has Unix time.
func unixTime(s string) (time.Time, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		return time.Time{}, false
	}
	return epoch(n)
}

func positive(d time.Duration) (time.Duration, bool) {
	if d <= 0 || d > maxDelay {
		return 0, false
	}
	return d, true
}

// moments are the layouts of moments. A year alone would match too much.
var moments = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05", "2006-01-02 15:04 MST", "2006-01-02 15:04", "2006-01-02", "2006/01/02 15:04:05", "2006/01/02"}

// parseMoment reads a moment in any layout that is known.
func parseMoment(s string, zone *time.Location) (time.Time, bool) {
	if len(s) < 10 {
		return time.Time{}, false
	}
	if t, err := http.ParseTime(s); err == nil {
		return t, true
	}
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil && t.Year() > 1990 {
			return t, true
		}
	}
	return time.Time{}, false
}

// timeUnits are the names of units as they follow a number, in lower case.
var timeUnits = map[string]time.Duration{
	"ms": time.Millisecond, "msec": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond, "毫秒": time.Millisecond,
	"µs": time.Microsecond, "us": time.Microsecond, "ns": 1,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second, "秒": time.Second, "秒钟": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute, "分": time.Minute, "分钟": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour, "小时": time.Hour, "时": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "天": 24 * time.Hour, "日": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// scanDuration reads the duration that s, in lower case, begins with, and how
// many bytes of s it took; none when there is none. A number without a unit is
// no duration.
func scanDuration(s string) (d time.Duration, n int) {
	if d, n := scanClock(s); n > 0 {
		return d, n
	}
	for n < len(s) {
		i := n
		if n > 0 {
			i += gap(s[i:])
		}
		num := numberLen(s[i:])
		if num == 0 {
			break
		}
		value, err := strconv.ParseFloat(s[i:i+num], 64)
		if err != nil || value > 1e15 {
			break
		}
		j := i + num
		for j < len(s) && (s[j] == ' ' || s[j] == '-') {
			j++
		}
		unit, size := unitAt(s[j:])
		if size == 0 {
			break
		}
		step := value * float64(unit)
		if step > float64(maxDelay) || d+time.Duration(step) > maxDelay {
			return 0, 0
		}
		d += time.Duration(step)
		n = j + size
	}
	return d, n
}

// gap is the length of what may stand between the parts of a duration.
func gap(s string) int {
	i := 0
	for i < len(s) && (s[i] == ' ' || s[i] == ',') {
		i++
	}
	if strings.HasPrefix(s[i:], "and ") {
		i += 4
	}
	return i
}

func numberLen(s string) int {
	i, dot := 0, false
	for ; i < len(s); i++ {
		if c := s[i]; c == '.' && !dot && i > 0 && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' {
			dot = true
		} else if c < '0' || c > '9' {
			break
		}
	}
	return i
}

// unitAt is the unit that s begins with, as a whole word.
func unitAt(s string) (unit time.Duration, size int) {
	i := 0
	for i < len(s) && s[i] >= 'a' && s[i] <= 'z' {
		i++
	}
	if i > 0 {
		if u, ok := timeUnits[s[:i]]; ok {
			return u, i
		}
		return 0, 0
	}
	for _, size := range [...]int{6, 3, 2} { // two or one character of Chinese, then µ
		if len(s) >= size {
			if u, ok := timeUnits[s[:size]]; ok {
				return u, size
			}
		}
	}
	if strings.HasPrefix(s, "µs") {
		return time.Microsecond, len("µs")
	}
	return 0, 0
}

// scanClock reads HH:MM:SS and d.HH:MM:SS, with a fraction or not.
func scanClock(s string) (d time.Duration, n int) {
	digits := func() (v, size int) {
		for n+size < len(s) && s[n+size] >= '0' && s[n+size] <= '9' && size < 6 {
			v = v*10 + int(s[n+size]-'0')
			size++
		}
		n += size
		return v, size
	}
	days := 0
	v, size := digits()
	if size > 0 && n < len(s) && s[n] == '.' {
		days = v
		n++
		v, size = digits()
	}
	hours := v
	if size == 0 || n >= len(s) || s[n] != ':' {
		return 0, 0
	}
	n++
	minutes, size := digits()
	if size != 2 || n >= len(s) || s[n] != ':' {
		return 0, 0
	}
	n++
	seconds, size := digits()
	if size != 2 || minutes > 59 || seconds > 59 {
		return 0, 0
	}
	d = time.Duration(days)*24*time.Hour + time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second
	if frac := numberLen("0" + s[n:]); frac > 2 {
		if f, err := strconv.ParseFloat("0"+s[n:n+frac-1], 64); err == nil {
			d += time.Duration(f * float64(time.Second))
			n += frac - 1
		}
	}
	return d, n
}

// waitCues are the words after which a text says how long to wait.
var waitCues = []string{"try again in", "retry in", "retry after", "try again after", "replenished in", "resets in", "reset in", "reset after", "again in",
	"available in", "wait for", "wait at least", "please wait", "wait", "refreshes in", "refill in", "expires in", "retry-after:", "retry_after:", "resume in", "in about"}

// fillers may stand between a cue and what it announces.
var fillers = []string{"about ", "approximately ", "around ", "another ", "at least ", "up to ", ": ", "~", "another "}

// waitIn finds how long a text, in lower case, says to wait. A bare number
// after "retry after" counts seconds.
func waitIn(text string) (time.Duration, bool) {
	for _, cue := range waitCues {
		from := 0
		for {
			i := strings.Index(text[from:], cue)
			if i < 0 {
				break
			}
			from += i + len(cue)
			rest := strings.TrimLeft(text[from:], " ")
			for _, f := range fillers {
				rest = strings.TrimPrefix(rest, f)
			}
			if d, n := scanDuration(rest); n > 0 {
				if d, ok := positive(d); ok {
					return d, true
				}
				continue
			}
			if num := numberLen(rest); num > 0 && (num == len(rest) || strings.IndexByte(" .,;)", rest[num]) >= 0) && strings.HasSuffix(cue, "after") && !countsThings(rest[num:]) {
				if n, err := strconv.ParseFloat(rest[:num], 64); err == nil && n < shortEpoch {
					if d, ok := waitNumber(n, time.Time{}); ok {
						return d, true
					}
				}
			}
		}
	}
	return waitBefore(text)
}

// countsThings reports whether what follows a number names things, so that
// the number counts no seconds.
func countsThings(rest string) bool {
	rest = strings.TrimLeft(rest, " ")
	return rest != "" && rest[0] >= 'a' && rest[0] <= 'z'
}

// waitBefore finds "30 秒后" and its like: the duration stands before its cue.
func waitBefore(text string) (time.Duration, bool) {
	for _, cue := range [...]string{"后重试", "后再试", "后恢复", "后重置", "之后", "后"} {
		i := strings.Index(text, cue)
		if i < 0 {
			continue
		}
		start := i
		for start > 0 && i-start < 24 {
			c := text[start-1]
			if c >= 0x80 || c >= '0' && c <= '9' || c == ' ' || c == '.' {
				start--
				continue
			}
			break
		}
		for at := start; at < i; at++ {
			if text[at] < '0' || text[at] > '9' {
				continue
			}
			if d, n := scanDuration(text[at:i]); n > 0 && at+n >= len(strings.TrimRight(text[:i], " ")) {
				return positive(d)
			}
			break
		}
	}
	return 0, false
}

// momentCues are the words that make a date in a text the end of a wait.
var momentCues = []string{"reset", "regain", "until", "again", "available", "renew", "resume", "refresh", "refill", "重置", "恢复", "刷新", "retry"}

// momentIn finds the moment at which a text, in lower case, says the wait ends:
// a date, with or without a time. Without a zone of its own it is of zone.
func momentIn(text string, zone *time.Location) (time.Time, bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], "20")
		if i < 0 {
			return time.Time{}, false
		}
		i += from
		from = i + 2
		if i > 0 && text[i-1] >= '0' && text[i-1] <= '9' || !isDate(text[i:]) {
			continue
		}
		if t, ok := momentAt(text[i:], zone); ok && cued(text, i) {
			return t, true
		}
	}
}

// cued reports whether a cue stands near the date at i.
func cued(text string, i int) bool {
	near := text[max(0, i-80):min(len(text), i+60)]
	for _, cue := range momentCues {
		if strings.Contains(near, cue) {
			return true
		}
	}
	return false
}

func isDate(s string) bool {
	if len(s) < 10 || s[4] != '-' && s[4] != '/' || s[7] != s[4] {
		return false
	}
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9} {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// momentAt reads the moment that s begins with: "2026-04-01 at 00:00 utc",
// "2026-03-02 18:42:11", "2026-04-01t00:00:00z".
func momentAt(s string, zone *time.Location) (time.Time, bool) {
	if zone == nil {
		zone = time.UTC
	}
	day, err := time.ParseInLocation("2006-01-02", strings.ReplaceAll(s[:10], "/", "-"), zone)
	if err != nil {
		return time.Time{}, false
	}
	rest := s[10:]
	for _, sep := range [...]string{" at ", ", ", "t", " "} {
		if r, ok := strings.CutPrefix(rest, sep); ok {
			rest = r
			break
		}
	}
	clock, layout := rest, ""
	for _, l := range [...]string{"15:04:05", "15:04"} {
		if len(clock) >= len(l) {
			if _, err := time.Parse(l, clock[:len(l)]); err == nil {
				layout, clock, rest = l, clock[:len(l)], rest[len(l):]
				break
			}
		}
	}
	if layout == "" {
		return day, true
	}
	if frac := numberLen("0" + rest); frac > 2 {
		rest = rest[frac-1:]
	}
	rest = strings.TrimLeft(rest, " (")
	switch {
	case strings.HasPrefix(rest, "utc+8"), strings.HasPrefix(rest, "gmt+8"):
		zone = Beijing
	case strings.HasPrefix(rest, "utc"), strings.HasPrefix(rest, "gmt"), strings.HasPrefix(rest, "z"):
		zone = time.UTC
	case len(rest) >= 6 && (rest[0] == '+' || rest[0] == '-'):
		for _, l := range [...]string{"-07:00", "-0700"} {
			if t, err := time.Parse(l, rest[:len(l)]); err == nil {
				zone = t.Location()
				break
			}
		}
	case strings.HasPrefix(rest, "pst"), strings.HasPrefix(rest, "pdt"), strings.HasPrefix(rest, "pt"), strings.HasPrefix(rest, "pacific"):
		zone = Pacific
	}
	t, err := time.ParseInLocation("2006-01-02 "+layout, day.Format("2006-01-02 ")+clock, zone)
	return t, err == nil
}

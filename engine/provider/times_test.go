package provider

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func TestParseWait(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Second, "0.25": 250 * time.Millisecond, "18.642": 18642 * time.Millisecond, " 5 ": 5 * time.Second, `"5"`: 5 * time.Second,
		"1s": time.Second, "6m0s": 6 * time.Minute, "120ms": 120 * time.Millisecond, "2m59.56s": 2*time.Minute + 59560*time.Millisecond, "6m 11.52s": 6*time.Minute + 11520*time.Millisecond,
		"19h33m43.700249621s": 19*time.Hour + 33*time.Minute + 43700249621, "70423s": 70423 * time.Second, "1d2h": 26 * time.Hour,
		"07:01:20": 7*time.Hour + time.Minute + 20*time.Second, "20.09:58:55": 489*time.Hour + 58*time.Minute + 55*time.Second, "00:00:01.5": 1500 * time.Millisecond,
		"1773144060": time.Minute, "1773144060000": time.Minute, "1773144060.5": time.Minute + 500*time.Millisecond,
		"2026-03-10T12:00:41Z": 41 * time.Second, "2026-03-10T13:00:00+01:00": 0, "2026-03-10 12:01:00": time.Minute,
		"Tue, 10 Mar 2026 12:00:30 GMT": 30 * time.Second, "Tuesday, 10-Mar-26 12:00:30 GMT": 30 * time.Second,
		"0": 0, "-1": 0, "-5s": 0, "": 0, "soon": 0, "5 requests": 0, "NaN": 0, "Inf": 0, "1e300": 0, "2020-01-01T00:00:00Z": 0, "Tue, 10 Mar 2026 11:59:59 GMT": 0,
		"1600000000": 0, "99:99:99": 0, "5m5": 0, "99999999999999999999s": 0,
	} {
		d, ok := parseWait(text, noon, nil)
		if d != want || ok != (want > 0) {
			t.Errorf("%q is %v, %v, want %v", text, d, ok, want)
		}
	}
}

func TestWaitIn(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"Please try again in 18.642s. Visit x": 18642 * time.Millisecond, "Please try again in 644ms": 644 * time.Millisecond, "please try again in 7m12s. more": 7*time.Minute + 12*time.Second,
		"Please retry after 86400 seconds. Please go": 24 * time.Hour, "Retry after 40 seconds.": 40 * time.Second, "Too Many Requests: retry after 35": 35 * time.Second,
		"Quota will be replenished in 07:01:20.": 7*time.Hour + time.Minute + 20*time.Second, "try again in 1 hour and 5 minutes": 65 * time.Minute, "try again in about 2 minutes": 2 * time.Minute,
		"请求过于频繁，请 30 秒后重试": 30 * time.Second, "请在5分钟后再试": 5 * time.Minute, "please wait 10 seconds before": 10 * time.Second, "try again in a few minutes": 0,
		"please wait before trying again": 0, "retry after 3 attempts": 0, "nothing": 0, "try again in 0s": 0, "resets in 4h": 4 * time.Hour,
	} {
		if d, _ := waitIn(strings.ToLower(text)); d != want {
			t.Errorf("%q says %v, want %v", text, d, want)
		}
	}
}

func TestMomentIn(t *testing.T) {
	for text, want := range map[string]string{
		"You will regain access on 2026-04-01 at 00:00 UTC.": "2026-04-01T00:00:00Z", "您的限额将在 2026-03-02 18:42:11 重置。": "2026-03-02T18:42:11+08:00", "resets at 2026-03-02T18:42:11Z": "2026-03-02T18:42:11Z",
		"it will reset at 2026-01-26 23:14:36 +0800 cst": "2026-01-26T23:14:36+08:00", "available again on 2026/05/01": "2026-05-01T00:00:00+08:00", "until 2026-03-02 10:00:00 pst": "2026-03-02T10:00:00-08:00",
		"api version 2024-08-01-preview is over": "", "model gpt-4.1-2025-04-14 is gone": "", "reset 2026-13-45": "", "resets on 12026-01-01": "", "reset on 2026-02-30": "",
	} {
		got := ""
		if at, ok := momentIn(strings.ToLower(text), Beijing); ok {
			got = at.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}

func TestUntil(t *testing.T) {
	at := time.Date(2026, 3, 8, 9, 59, 0, 0, time.UTC) // a minute before clocks change in California
	for until, want := range map[Until]string{
		MidnightPacific: "2026-03-09T00:00:00-07:00", MidnightUTC: "2026-03-09T00:00:00Z", MidnightBeijing: "2026-03-09T00:00:00+08:00", NextMonth: "2026-04-01T00:00:00Z", FirstOfMonthUTC: "2026-04-01T00:00:00Z",
		Human: "0001-01-01T00:00:00Z", NextMonthOrHuman: "0001-01-01T00:00:00Z",
	} {
		if got := until.After(at).Format(time.RFC3339); got != want {
			t.Errorf("%s is %s, want %s", until, got, want)
		}
	}
	if got := NextMonth.After(time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)).Format(time.DateOnly); got != "2027-01-01" {
		t.Error(got)
	}
}

func TestLimitNamed(t *testing.T) {
	for text, want := range map[string]string{
		"limit 3 requests per min (rpm)": "requests_per_minute", "on tokens per min (tpm): limit 1": "tokens_per_minute", "tokens per day (tpd)": "tokens_per_day", "1000 api calls / month": "requests_per_month",
		"too many concurrent requests": "concurrency", "rpm limit reached": "requests_per_minute", "httpmethod": "", "free-models-per-day": "requests_per_day", "5 requests per second": "requests_per_second", "每分钟请求": "requests_per_minute",
	} {
		if got := limitNamed(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func FuzzTimes(f *testing.F) {
	for _, s := range []string{"6m0s", "20.09:58:55", "1773144060000", "2026-03-10T12:00:41Z", "请 30 秒后重试", "try again in 1 hour and 5 minutes", "regain access on 2026-04-01 at 00:00 UTC", "retry after 35", "1d.", "00:00:00.", "5µs", "\"p\";r=0;t=17"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseWait(s, noon, Beijing); ok != (d > 0) || d > maxDelay {
			t.Errorf("%q is %v, %v", s, d, ok)
		}
		lower := strings.ToLower(s)
		if d, ok := waitIn(lower); ok != (d > 0) || d > maxDelay {
			t.Errorf("%q says %v, %v", s, d, ok)
		}
		momentIn(lower, Beijing)
		limitNamed(lower)
		structured(s, s)
	})
}

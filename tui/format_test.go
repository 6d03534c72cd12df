package tui

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		d           time.Duration
		short, down string
	}{
		{-time.Second, "0s", "0:00"},
		{0, "0s", "0:00"},
		{400 * time.Millisecond, "0s", "0:01"},
		{32 * time.Second, "32s", "0:32"},
		{31*time.Second + time.Millisecond, "31s", "0:32"},
		{59900 * time.Millisecond, "59s", "1:00"},
		{134 * time.Second, "2m14s", "2:14"},
		{5 * time.Minute, "5m", "5:00"},
		{41 * time.Minute, "41m", "41:00"},
		{3*time.Hour + 10*time.Minute, "3h10m", "3h10m"},
		{9*time.Hour + 8*time.Minute + 59*time.Second, "9h08m", "9h08m"},
		{52 * time.Hour, "2d4h", "2d4h"},
		{400 * 24 * time.Hour, "400d", "400d"},
	} {
		if got := short(tc.d); got != tc.short {
			t.Errorf("short(%v) = %q, want %q", tc.d, got, tc.short)
		}
		if got := countdown(tc.d); got != tc.down {
			t.Errorf("countdown(%v) = %q, want %q", tc.d, got, tc.down)
		}
	}
}

func TestMoments(t *testing.T) {
	t.Parallel()
	st := &state{now: noon, zone: time.UTC}
	for _, tc := range []struct {
		t         time.Time
		at, stamp string
	}{
		{noon.Add(41 * time.Minute), "14:52", "14:52:07"},
		{midnight, "00:00", "00:00:00"},
		{noon.Add(20 * time.Hour), "Sun 10:11", "10:11:07"},
		{noon.Add(-30 * time.Hour), "Fri 08:11", "Mar 13"},
		{noon.Add(300 * time.Hour), "Mar 27", "02:11:07"},
	} {
		if got := st.at(tc.t); got != tc.at {
			t.Errorf("at(%v) = %q, want %q", tc.t, got, tc.at)
		}
		if got := st.stamp(tc.t); got != tc.stamp {
			t.Errorf("stamp(%v) = %q, want %q", tc.t, got, tc.stamp)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		compact(0): "0", compact(812): "812", compact(999.4): "999", compact(1000): "1k", compact(12400): "12.4k",
		compact(999600): "1M", compact(1e6): "1M", compact(2.5e9): "2.5G", compact(-1500): "-1.5k", compact(123456): "123k",
		grouped(0): "0", grouped(999): "999", grouped(4812): "4,812", grouped(-1234567): "-1,234,567",
		percent(0): "0%", percent(0.0001): "1%", percent(0.184): "18%", percent(0.9999): "99%", percent(1): "100%",
		rate(0): "0/min", rate(0.3): "<1/min", rate(212.4): "212/min",
		amount(12.4, "usd"): "$12.40", amount(1e6, "tokens"): "1M tok", amount(60, "requests"): "60 req",
		ofLimit(1e6, "tokens", "day", "config"): "of 1M tok/day (config)",
		ofLimit(50, "usd", "", "balance"):       "of $50.00 (balance)",
		ofLimit(60, "requests", "1m", "header"): "of 60 req/min (header)",
		millis(214):                             "214ms", millis(1210): "1.2s", mark("9f2a0011"): "·9f2a", mark("9"): "·9", mark(""): "",
		plural(1, "key"): "1 key", plural(2, "key"): "2 keys",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseFor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"90m": 90 * time.Minute, "8h": 8 * time.Hour, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour,
		" 1H 30m ": 90 * time.Minute, "": 0, "0s": 0, "-5m": 0, "x": 0, "9x": 0, "5": 0, "99999d": 0, "1e9h": 0} {
		got, err := parseFor(text)
		if (err == nil) != (want > 0) || err == nil && got != want {
			t.Errorf("parseFor(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "主钥匙": "主钥匙", "a\nb\tc": "a b c", "\x1b[31mred\x1b[0m": "red", "\x1b]0;title\x07x": "x", "a\x00\x7f\u0085b": "ab",
		"\u202egnp.exe": "gnp.exe", "zero\u200bwidth": "zerowidth", "\xff\xfe": "?", "é": "é", "\u009b31mx": "31mx",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestConsequences(t *testing.T) {
	t.Parallel()
	sc := newScene(trouble(), nil)
	for _, tc := range []struct {
		key             string
		services        int
		dangerous, last bool
		after           int
	}{
		{"vid-1", 2, true, true, 0},  // librechat-ui has no other
		{"vid-2", 1, true, false, 1}, // vid-1 is left
		{"team-c", 1, false, false, 0},
		{"free-1", 1, false, false, 3},
		{"spare", 1, false, false, 0}, // not serving: nothing is lost (later is planned)
		{"mi-1", 1, false, false, 0},
	} {
		list := sc.without(map[string]bool{tc.key: true}, noon)
		if len(list) != tc.services {
			t.Errorf("%s: %d services, want %d", tc.key, len(list), tc.services)
		}
		worst := gravest(list)
		if worst.dangerous() != tc.dangerous || worst.last() != tc.last || tc.dangerous && worst.after != tc.after {
			t.Errorf("%s: %+v, want dangerous %v, last %v, after %d", tc.key, worst, tc.dangerous, tc.last, tc.after)
		}
	}
	vid2 := sc.without(map[string]bool{"vid-2": true}, noon)[0]
	if vid2.left != "vid-1 (15%)" || vid2.lasts != "2h46m" {
		t.Errorf("without vid-2: left %q, lasts %q; want vid-1 with 300k at 1,800 a minute", vid2.left, vid2.lasts)
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	shared := func(account string) func(*engine.KeyStatus) {
		return func(k *engine.KeyStatus) { k.Account, k.Limits[0].Scope = account, "account" }
	}
	spent := held(engine.Exhausted, engine.QuotaExhausted, "", 0, nil)
	paced := func(k *engine.KeyStatus) {
		k.Limits = append(k.Limits, engine.LimitStatus{Unit: "requests", Per: "1m", Amount: 60, Remaining: 40, Scope: "key", Source: "config"})
	}
	for _, tc := range []struct {
		name              string
		keys              []engine.KeyStatus
		amount, remaining float64
		short, open       bool
		runway            time.Duration
	}{
		{"keys add up", []engine.KeyStatus{key("a", "p", "1", limited(100, 50, 1)), key("b", "p", "2", limited(100, 10, 1))}, 200, 60, true, false, 30 * time.Minute},
		{"one account counts once", []engine.KeyStatus{key("a", "p", "1", limited(100, 50, 1), shared("x")), key("b", "p", "2", limited(100, 50, 1), shared("x"))}, 100, 50, true, false, 50 * time.Minute},
		{"one secret under two names counts once", []engine.KeyStatus{key("a", "p", "1", limited(100, 50, 1)), key("b", "p", "1", limited(100, 50, 1))}, 100, 50, true, false, 50 * time.Minute},
		{"a dead key gives nothing", []engine.KeyStatus{key("a", "p", "1", limited(100, 50, 1)), key("b", "p", "2", limited(100, 100, 0), held(engine.Revoked, engine.InvalidKey, "", 0, nil))}, 100, 50, true, false, 50 * time.Minute},
		{"a key without the limit cannot run out", []engine.KeyStatus{key("a", "p", "1", limited(100, 50, 1)), key("b", "p", "2")}, 100, 50, false, true, 0},
		{"a limit that only a spent key has is no limit of the rest", []engine.KeyStatus{key("a", "p", "1", limited(100, 0, 0), paced, spent), key("b", "p", "2", paced)}, 120, 80, false, false, 0},
		{"nothing left is nothing left", []engine.KeyStatus{key("a", "p", "1", limited(100, 0, 0), spent)}, 100, 0, true, false, 0},
		{"lasts", []engine.KeyStatus{key("a", "p", "1", limited(1e6, 5e5, 1))}, 1e6, 5e5, false, false, 500000 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var keys []*engine.KeyStatus
			for i := range tc.keys {
				keys = append(keys, &tc.keys[i])
			}
			p := poolOf(keys, nil, nil, noon)
			if p == nil || p.amount != tc.amount || p.remaining != tc.remaining || p.short != tc.short || p.open != tc.open || p.runway != tc.runway {
				t.Errorf("pool %+v", p)
			}
		})
	}
	if p := poolOf(nil, nil, nil, noon); p != nil {
		t.Errorf("no keys have a pool: %+v", p)
	}
}

// Failures are counted by what they were, the gravest first, as many kinds as
// there is room for.
func TestFailureCell(t *testing.T) {
	t.Parallel()
	all := engine.Verdicts{OK: 9, InvalidKey: 1, QuotaExhausted: 120, PermissionDenied: 2, UpstreamFault: 3, RateLimited: 40}
	for _, tc := range []struct {
		v    engine.Verdicts
		room int
		want string
	}{
		{engine.Verdicts{OK: 9, ClientError: 2}, 7, "—"},
		{engine.Verdicts{QuotaExhausted: 120}, 7, "dry 120"},
		{engine.Verdicts{QuotaExhausted: 3, RateLimited: 40}, 7, "dry 3 +"},
		{engine.Verdicts{QuotaExhausted: 3, RateLimited: 40}, 16, "dry 3 · 429 40"},
		{all, 16, "401 1 +"},
		{all, 60, "401 1 · dry 120 · 403 2 · 5xx 3 · 429 40"},
	} {
		c := newCanvas(tc.room, 1, false)
		failureCell(c.pen(c.bounds(), 0), tc.v, true)
		if got := strings.TrimSpace(c.render(false)); got != tc.want {
			t.Errorf("%+v in %d cells: %q, want %q", tc.v, tc.room, got, tc.want)
		}
	}
}

func TestSymbolsAreOneCellEach(t *testing.T) {
	t.Parallel()
	all := "·—…✓✗⊗⊘⌁↻↵→↑↓"
	for r := rune(0x2500); r <= 0x25fc; r++ {
		all += string(r)
	}
	for s := range asciiSymbols {
		all += s
	}
	for _, r := range all {
		if w := ansi.StringWidth(string(r)); w != 1 {
			t.Errorf("%q (%U) is %d wide", r, r, w)
		}
		if symbols(string(r)) != 1 && symbols(string(r)) != 0 {
			t.Errorf("%q is not one symbol", r)
		}
	}
	for s, a := range asciiSymbols {
		if len(a) != 1 {
			t.Errorf("%s becomes %q", s, a)
		}
	}
}

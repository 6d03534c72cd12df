package sim

import (
	"context"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func planned(seed uint64, n int) (es []Event) {
	for e := range Plan(seed) {
		if es = append(es, e); len(es) == n {
			break
		}
	}
	return es
}

func TestSameSeedSameScript(t *testing.T) {
	t.Parallel()
	a, b, c := planned(1, 400), planned(1, 400), planned(2, 400)
	if !slices.Equal(a, b) {
		t.Error("two plans of one seed differ")
	}
	if slices.Equal(a, c) {
		t.Error("plans of two seeds are equal")
	}
	if !slices.Equal(a[:len(opening)], c[:len(opening)]) {
		t.Error("the opening depends on the seed")
	}
}

// TestPlan walks through some hours of two worlds.
func TestPlan(t *testing.T) {
	t.Parallel()
	kinds, keys := map[string]bool{}, map[string]string{}
	for _, h := range houses {
		kinds[h.kind] = true
		for _, m := range h.keys {
			keys[m.name] = h.kind
		}
	}
	first := map[Do]time.Duration{}
	for _, seed := range []uint64{1, 99} {
		var last time.Duration
		bad := map[string]time.Duration{} // what is not as at first, since when
		for i, e := range planned(seed, 1000) {
			if e.At < last || e.At-last > 2*time.Minute {
				t.Fatalf("seed %d: %v after %v", seed, e, last)
			}
			last = e.At
			if !kinds[e.Provider] || e.Key != "" && keys[e.Key] != e.Provider || deeds[e.Do] == nil {
				t.Fatalf("seed %d: %v means nothing here", seed, e)
			}
			if _, seen := first[e.Do]; !seen {
				first[e.Do] = e.At
			}
			switch e.Do {
			case DoLimit, DoRevoke, DoOutage:
				bad[e.Provider+" "+e.Key] = e.At
			case DoEase, DoRestore, DoUp:
				delete(bad, e.Provider+" "+e.Key)
			case DoExhaust:
				if e.For == 0 && i >= len(opening) {
					t.Errorf("seed %d: %v is for good", seed, e)
				}
			}
			for what, since := range bad {
				if e.At-since > 90*sec {
					t.Fatalf("seed %d: %s is bad from %v to %v", seed, what, since, e.At)
				}
			}
		}
		if minutes := last.Minutes(); minutes < 250 {
			t.Errorf("seed %d: 1000 events in %.0f minutes are not calm", seed, minutes)
		}
	}
	for do, by := range map[Do]time.Duration{DoLimit: 2 * sec, DoRevoke: 3 * sec, DoExhaust: 5 * sec, DoOutage: 6 * sec, DoUp: 9 * sec} {
		if at, ok := first[do]; !ok || at > by {
			t.Errorf("%s first happens at %v, want by %v", do, at, by)
		}
	}
	if len(first) != len(deeds) {
		t.Errorf("only %v happen", slices.Collect(maps.Keys(first)))
	}
}

// TestScriptHappens looks in on the opening, in virtual time.
func TestScriptHappens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 2)
	ask := func(kind, key string) int {
		b := bench{w.Upstream(kind), t}
		r := httptest.NewRequest(usual[kind].method, usual[kind].path, strings.NewReader(strings.Replace(usual[kind].body, "m1", b.options.Models[0], 1)))
		at := b.dialect.places[0]
		r.Header.Set(at.name, at.prefix+b.keys[key].Secret.Reveal())
		r.Header.Set("User-Agent", "test")
		r.Header.Set("Anthropic-Version", "2023-06-01")
		answer := httptest.NewRecorder()
		b.ServeHTTP(answer, r)
		return answer.Code
	}
	w.Upstream("github").options.Models = []string{"none"}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Script(ctx) }()
		start := time.Now()
		for _, moment := range []struct {
			at        time.Duration
			kind, key string
			want      int
		}{
			{1 * sec, "anthropic", "claude-1", 200}, {3100 * ms, "anthropic", "claude-1", 401}, {3200 * ms, "anthropic", "claude-2", 200},
			{4 * sec, "github", "bot-1", 403}, {4 * sec, "github", "bot-2", 200},
			{5100 * ms, "zhipu", "glm-2", 429}, {7 * sec, "siliconflow", "ds-1", 503}, {8 * sec, "github", "bot-3", 403},
			{8 * sec, "github", "bot-4", 200}, {8900 * ms, "siliconflow", "ds-1", 200}, {21 * sec, "siliconflow", "ds-3", 403},
			{35 * sec, "github", "bot-1", 200}, {36 * sec, "zhipu", "glm-2", 200}, {41 * sec, "anthropic", "claude-1", 200},
			{61 * sec, "siliconflow", "ds-3", 200}, {69 * sec, "anthropic", "claude-3", 529},
		} {
			time.Sleep(time.Until(start.Add(w.real(moment.at))))
			if got := ask(moment.kind, moment.key); got != moment.want {
				t.Errorf("%v: %s answers %d, want %d", moment.at, moment.key, got, moment.want)
			}
		}
		cancel()
		<-ended
	})
}

func TestEventsTellThemselves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e    Event
		want string
	}{
		{Event{At: sec, Do: DoExhaust, Provider: "github", Key: "bot-1", For: 24 * sec}, "1s exhaust github bot-1 for 24s"},
		{Event{At: 2 * sec, Do: DoOutage, Provider: "anthropic", Status: 529}, "2s outage anthropic 529"},
		{Event{Do: DoSlow, Provider: "zhipu", Factor: 2.5}, "0s slow zhipu x2.5"},
		{Event{Do: DoLimit, Provider: "openai", Key: "gpt-2", RPM: 5}, "0s limit openai gpt-2 5 a minute"},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func arrivals(c crowd, seed uint64, n int) (at []time.Duration, as []string) {
	for t, a := range c.arrivals(seed) {
		if at, as = append(at, t), append(as, a.method+" "+a.path+" "+a.body); len(at) == n {
			break
		}
	}
	return at, as
}

func TestSameSeedSameTraffic(t *testing.T) {
	t.Parallel()
	for _, c := range crowds {
		at1, as1 := arrivals(c, 1, 300)
		at2, as2 := arrivals(c, 1, 300)
		at3, _ := arrivals(c, 2, 300)
		if !slices.Equal(at1, at2) || !slices.Equal(as1, as2) {
			t.Errorf("%s: two runs of one seed differ", c.service)
		}
		if slices.Equal(at1, at3) {
			t.Errorf("%s: two seeds are equal", c.service)
		}
	}
}

// TestRates holds every half minute of the clients together to 23 to 43
// requests a second (two more are polls), and wants streams among them.
func TestRates(t *testing.T) {
	t.Parallel()
	const half, halves = 30 * sec, 8
	streams, all := 0, 0
	for seed := range uint64(5) {
		var n [halves]int
		for _, c := range crowds {
			for at, a := range c.arrivals(seed) {
				if at >= half*halves {
					break
				}
				n[at/half]++
				all++
				if strings.Contains(a.body, `"stream":true`) {
					streams++
				}
			}
		}
		for i, of := range n {
			if rate := float64(of) / half.Seconds(); rate < 23 || rate > 43 {
				t.Errorf("seed %d, %v: %.1f requests a second", seed, time.Duration(i)*half, rate)
			}
		}
	}
	if share := float64(streams) / float64(all); share < 0.3 || share > 0.7 {
		t.Errorf("%.0f %% are streams", share*100)
	}
}

func TestRetryIsTheSDKs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		header string // "name: value"
		again  bool
		wait   time.Duration
	}{
		{200, "", false, 0}, {400, "", false, 0}, {401, "", false, 0}, {403, "", false, 0},
		{0, "", true, sec}, {408, "", true, sec}, {429, "", true, sec}, {529, "", true, sec},
		{429, "Retry-After: 3", true, 3 * sec}, {429, "Retry-After: 4000", true, sec},
		{429, "X-Should-Retry: false", false, 0}, {400, "X-Should-Retry: true", true, sec},
	} {
		h := map[string][]string{}
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			h[name] = []string{value}
		}
		if again, wait := retry(c.status, h, 1); again != c.again || again && wait != c.wait {
			t.Errorf("%d %s: %v %v", c.status, c.header, again, wait)
		}
	}
}

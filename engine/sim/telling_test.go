package sim

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// telling is an upstream with one key of 50 requests a second, 5 at once.
func telling(t *testing.T, tells Telling, k Key) bench {
	t.Helper()
	k.Name, k.Secret = "one", secret.New("sk-test-one-secret")
	u, err := NewUpstream("openai", Options{Seed: 1, Models: []string{"m1"}, Tells: tells, FullLength: true}, k)
	if err != nil {
		t.Fatal(err)
	}
	return bench{u, t}
}

// limitsOf is what an answer's headers tell of requests: limit, remaining, reset.
func limitsOf(w *httptest.ResponseRecorder, unit string) [3]string {
	h := w.Header()
	return [3]string{h.Get("X-Ratelimit-Limit-" + unit), h.Get("X-Ratelimit-Remaining-" + unit), h.Get("X-Ratelimit-Reset-" + unit)}
}

func TestPlainlyToldNumbersAgree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := telling(t, Plainly, Key{RPM: 3000, Burst: 5})
		for _, want := range [][3]string{{"5", "4", "20ms"}, {"5", "3", "40ms"}, {"5", "2", "60ms"}, {"5", "1", "80ms"}, {"5", "0", "100ms"}} {
			if got := limitsOf(u.work("one"), "Requests"); got != want {
				t.Errorf("told %v, want %v", got, want)
			}
		}
		w := u.work("one")
		if got, want := limitsOf(w, "Requests"), [3]string{"5", "0", "100ms"}; w.Code != 429 || got != want || w.Header().Get("Retry-After-Ms") != "20" {
			t.Errorf("the sixth: %d, told %v and Retry-After-Ms %s, want 429, %v and 20", w.Code, got, w.Header().Get("Retry-After-Ms"), want)
		}
		time.Sleep(30 * ms) // one and a half have come back
		if got, want := limitsOf(u.work("one"), "Requests"), [3]string{"5", "0", "100ms"}; got != want {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// A single request larger than the bucket overdraws it.
func TestPlainlyToldTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := telling(t, Plainly, Key{TPM: 60_000, TokenBurst: 500})
		w := u.do("one", "POST", "/v1/chat/completions", `{"model":"m1","max_tokens":985,"messages":[]}`+"               ")
		if got, want := limitsOf(w, "Tokens"), [3]string{"500", "0", "1s"}; w.Code != 200 || got != want {
			t.Errorf("%d, told %v, want 200 and %v", w.Code, got, want)
		}
		if requests, tokens := u.Left("one"); requests != 0 || tokens != -500 {
			t.Errorf("left %v requests and %v tokens, want none of a limit that is not there, and -500", requests, tokens)
		}
	})
}

func TestFixedWindows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := telling(t, Plainly, Key{RPM: 600, Window: time.Second})
		accepted := func() (n int) {
			for u.work("one").Code == 200 {
				n++
			}
			return n
		}
		accepted() // of the window in which this begins
		reset, err := time.ParseDuration(u.work("one").Header().Get("X-Ratelimit-Reset-Requests"))
		if err != nil || reset <= 0 || reset > time.Second {
			t.Fatalf("the window ends in %v, %v", reset, err)
		}
		time.Sleep(reset - ms)
		if n := accepted(); n != 0 {
			t.Errorf("%d pass a moment before the window ends", n)
		}
		for range 3 {
			time.Sleep(2 * ms)
			if n := accepted(); n != 10 {
				t.Errorf("%d pass at once in a window, want 10", n)
			}
			time.Sleep(998 * ms)
		}
		time.Sleep(10 * time.Second)
		if n := accepted(); n != 10 {
			t.Errorf("%d pass after a rest of ten windows, want 10", n)
		}
	})
}

// What keywheel reads in each kind of refusal.
func TestRefusalsTellAsMuchAsTheyShould(t *testing.T) {
	t.Parallel()
	for tells, want := range map[Telling]struct {
		headers bool
		wait    time.Duration
	}{Plainly: {true, 20 * ms}, OnlyWhen: {false, 20 * ms}, Nothing: {false, 0}} {
		synctest.Test(t, func(t *testing.T) {
			u := telling(t, tells, Key{RPM: 3000, Burst: 5})
			for range 5 {
				if w := u.work("one"); w.Code != 200 || (limitsOf(w, "Requests") != [3]string{}) != want.headers {
					t.Errorf("%d: %d, headers %v", tells, w.Code, w.Header())
				}
			}
			w := u.work("one")
			p, _ := provider.Lookup("openai")
			v := p.Judge(provider.Answer{Method: http.MethodPost, Path: "/v1/chat/completions", Model: "m1",
				Status: w.Code, Header: w.Header(), Body: w.Body.Bytes(), Whole: true})
			if v.Kind != engine.RateLimited || v.RetryAfter != want.wait || !v.Until.IsZero() {
				t.Errorf("%d: read as %v, again in %v (until %v), want rate_limited and %v", tells, v.Kind, v.RetryAfter, v.Until, want.wait)
			}
		})
	}
}

func TestLatencyThatIsAlwaysTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := telling(t, Nothing, Key{Latency: Latency{20 * ms, 20 * ms}})
		for range 20 {
			start := time.Now()
			u.work("one")
			if d := time.Since(start); d != 20*ms {
				t.Errorf("answered in %v", d)
			}
		}
	})
}

// Test calls with a revoked key are told from requests.
func TestFreeRefusals(t *testing.T) {
	t.Parallel()
	u := telling(t, Nothing, Key{Revoked: true})
	u.work("one")
	u.do("one", "GET", "/v1/models", "")
	u.do("one", "GET", "/v1/models", "")
	if c := u.Counts("one"); c.Refused[401] != 3 || c.FreeRefused != 2 {
		t.Errorf("%+v", c)
	}
}

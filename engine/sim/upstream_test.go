package sim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine/secret"
)

// bench is an upstream whose requests are easy to write.
type bench struct {
	*Upstream
	t *testing.T
}

func newBench(t *testing.T, kind string, keys ...Key) bench {
	t.Helper()
	if len(keys) == 0 {
		keys = []Key{{Name: "one"}}
	}
	for i := range keys {
		keys[i].Secret = secret.New("sk-test-" + keys[i].Name + "-secret")
	}
	u, err := NewUpstream(kind, Options{Seed: 1, Models: []string{"m1", "m2"}}, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return bench{u, t}
}

// do sends a request with the key of a name, where this provider reads it; ""
// is no key. Further arguments are headers: name, value, ...
func (b bench) do(key, method, path, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Anthropic-Version", "2023-06-01")
	if key != "" {
		at := b.dialect.places[0]
		r.Header.Set(at.name, at.prefix+"sk-test-"+key+"-secret")
	}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// work sends the provider's usual request.
func (b bench) work(key string) *httptest.ResponseRecorder {
	b.t.Helper()
	u := usual[b.kind]
	return b.do(key, u.method, u.path, u.body)
}

const plainChat = `{"model":"m1","messages":[{"role":"user","content":"hello"}]}`

var usual = map[string]struct{ method, path, body string }{
	"openai":      {"POST", "/v1/chat/completions", plainChat},
	"generic":     {"POST", "/v1/chat/completions", plainChat},
	"zhipu":       {"POST", "/api/paas/v4/chat/completions", plainChat},
	"siliconflow": {"POST", "/v1/chat/completions", plainChat},
	"deepseek":    {"POST", "/chat/completions", plainChat},
	"groq":        {"POST", "/openai/v1/chat/completions", plainChat},
	"anthropic":   {"POST", "/v1/messages", `{"model":"m1","max_tokens":64,"messages":[{"role":"user","content":"hello"}]}`},
	"gemini":      {"POST", "/v1beta/models/m1:generateContent", `{"contents":[{"parts":[{"text":"hello"}]}]}`},
	"aimlapi":     {"POST", "/v1/chat/completions", plainChat},
	"github":      {"GET", "/repos/o/r/contents/a.yaml", ""},
}

func TestKindsHaveAllWords(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		d := dialects[kind]
		for why := missingKey; why <= badBody; why++ {
			if d.refusals[why] == nil && !(kind == "github" && why == noModel) {
				t.Errorf("%s has no words for refusal %d", kind, why)
			}
		}
		if (d.demand != "") != (d.refusals[demanded] != nil) {
			t.Errorf("%s demands %q without words, or has words without a demand", kind, d.demand)
		}
		if usual[kind].path == "" {
			t.Errorf("%s is not tested", kind)
		}
	}
	if _, err := NewUpstream("acme", Options{}); err == nil {
		t.Error("a provider that nobody knows was made")
	}
}

// TestNewUpstreamRefuses is about tables of keys that cannot be meant.
func TestNewUpstreamRefuses(t *testing.T) {
	t.Parallel()
	a := Key{Name: "a", Secret: secret.New("x")}
	for what, keys := range map[string][]Key{
		"no secret":    {{Name: "a"}},
		"no name":      {{Secret: secret.New("x")}},
		"one name":     {a, {Name: "a", Secret: secret.New("y")}},
		"one secret":   {a, {Name: "b", Secret: secret.New("x")}},
		"all of these": {a, a, {}},
	} {
		if _, err := NewUpstream("openai", Options{}, keys...); err == nil {
			t.Errorf("%s: no error", what)
		} else if strings.Contains(err.Error(), "sk-") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestLimitsAreTheAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newBench(t, "openai", Key{Name: "a", Account: "x", RPM: 60, Burst: 2}, Key{Name: "b", Account: "x"}, Key{Name: "c", Account: "y", RPM: 60, Burst: 1})
		for i, step := range []struct {
			after time.Duration
			key   string
			want  int
		}{
			{0, "a", 200}, {0, "b", 200}, {0, "a", 429}, {0, "b", 429}, {0, "c", 200}, {0, "c", 429},
			{999 * ms, "a", 429}, {1 * ms, "b", 200}, {0, "a", 429}, {10 * sec, "a", 200}, {0, "a", 200}, {0, "a", 429},
		} {
			time.Sleep(step.after)
			if got := u.work(step.key).Code; got != step.want {
				t.Errorf("step %d, key %s: %d, want %d", i, step.key, got, step.want)
			}
		}
		for name, want := range map[string]string{"a": "3 map[429:4]", "b": "2 map[429:1]", "c": "1 map[429:1]"} {
			c := u.Counts(name)
			if got := fmt.Sprint(c.Accepted, " ", c.Refused); got != want {
				t.Errorf("counts of %s: %s, want %s", name, got, want)
			}
		}
		if got := u.Counts("a").TotalRefused(); got != 4 {
			t.Errorf("a was refused %d times, want 4", got)
		}
	})
}

// TestPoolDeliversItsRate holds the simulator to its own numbers: what passes
// in ten minutes of knocking is the rate and the burst, no more and no less.
func TestPoolDeliversItsRate(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"openai", "anthropic", "zhipu", "aimlapi", "gemini"} {
		synctest.Test(t, func(t *testing.T) {
			u := newBench(t, kind, Key{Name: "a", RPM: 30, Burst: 5})
			for range 10*60*2 + 1 {
				u.work("a")
				time.Sleep(500 * ms)
			}
			if got := u.Counts("a").Accepted; got != 305 {
				t.Errorf("%s let %d through, want 305", kind, got)
			}
		})
	}
}

func TestTokensAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newBench(t, "openai", Key{Name: "a", TPM: 600})
		served := 0
		for range 60 {
			w := u.work("a")
			if w.Code == 200 {
				served++
				continue
			}
			if kind := gjson.Get(w.Body.String(), "error.type").String(); kind != "tokens" {
				t.Fatalf("a 429 of type %q", kind)
			}
			if w.Header().Get("X-Ratelimit-Remaining-Tokens") != "0" || w.Header().Get("X-Ratelimit-Limit-Tokens") != "600" {
				t.Fatalf("headers %v", w.Header())
			}
			wait, err := time.ParseDuration(w.Header().Get("X-Ratelimit-Reset-Tokens"))
			if err != nil || wait <= 0 {
				t.Fatalf("reset %q", w.Header().Get("X-Ratelimit-Reset-Tokens"))
			}
			time.Sleep(wait + ms)
		}
		if served < 5 || served == 60 {
			t.Errorf("%d of 60 served", served)
		}
	})
}

func TestControls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newBench(t, "openai", Key{Name: "a", Account: "x"}, Key{Name: "b", Account: "x"}, Key{Name: "c", Revoked: true})
		steps := []struct {
			what    string
			do      func()
			a, b, c int
		}{
			{"at first", func() {}, 200, 200, 401},
			{"c restored", func() { u.Restore("c") }, 200, 200, 200},
			{"a revoked", func() { u.Revoke("a") }, 401, 200, 200},
			{"account exhausted", func() { u.Restore("a"); u.Exhaust("b", time.Time{}) }, 429, 429, 200},
			{"a day later", func() { time.Sleep(24 * time.Hour) }, 429, 429, 200},
			{"restored", func() { u.Restore("a") }, 200, 200, 200},
			{"exhausted for a minute", func() { u.Exhaust("a", time.Now().Add(time.Minute)) }, 429, 429, 200},
			{"the minute is over", func() { time.Sleep(time.Minute) }, 200, 200, 200},
			{"limited", func() { u.Limit("c", 0.001) }, 200, 200, 429},
			{"eased", func() { u.ease("c") }, 200, 200, 200},
			{"outage", func() { u.SetOutage(503) }, 503, 503, 503},
			{"up", func() { u.SetOutage(0) }, 200, 200, 200},
		}
		for _, step := range steps {
			step.do()
			if a, b, c := u.work("a").Code, u.work("b").Code, u.work("c").Code; a != step.a || b != step.b || c != step.c {
				t.Errorf("%s: %d %d %d, want %d %d %d", step.what, a, b, c, step.a, step.b, step.c)
			}
		}
		if got := u.Keys(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("keys %v", got)
		}
		defer func() {
			if recover() == nil {
				t.Error("a control took a key that is not there")
			}
		}()
		u.Revoke("d")
	})
}

func TestQuotaAndBudgetComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newBench(t, "openai",
			Key{Name: "day", Quota: 3, Per: 24 * time.Hour}, Key{Name: "once", Quota: 2}, Key{Name: "money", Budget: 0.0001, Per: time.Hour})
		count := func(key string) (n int) {
			for range 5 {
				if u.work(key).Code == 200 {
					n++
				}
			}
			return n
		}
		if d, o, m := count("day"), count("once"), count("money"); d != 3 || o != 2 || m < 1 || m > 4 {
			t.Errorf("served %d %d %d, want 3, 2, some", d, o, m)
		}
		time.Sleep(49 * time.Hour)
		if d, o, m := count("day"), count("once"), count("money"); d != 3 || o != 0 || m < 1 {
			t.Errorf("two days later %d %d %d, want 3, 0, some", d, o, m)
		}
	})
}

func TestLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newBench(t, "openai", Key{Name: "a", Latency: Latency{300 * ms, 900 * ms}})
		measure := func(n int) (took []time.Duration) {
			for range n {
				start := time.Now()
				u.work("a")
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			return took
		}
		took := measure(201)
		if mid := took[100]; mid < 240*ms || mid > 360*ms {
			t.Errorf("median %v, want about 300ms", mid)
		}
		if took[0] < 75*ms || took[200] > 900*ms || took[0] == took[200] {
			t.Errorf("from %v to %v", took[0], took[200])
		}
		u.SetSlow(3)
		if mid := measure(201)[100]; mid < 700*ms {
			t.Errorf("median %v when slow", mid)
		}
	})
}

// TestSameSeedSameAnswers compares two runs, latencies included.
func TestSameSeedSameAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		run := func() (out []string) {
			u := newBench(t, "anthropic", Key{Name: "a", Latency: Latency{200 * ms, 0}}, Key{Name: "b"})
			for range 20 {
				start := time.Now()
				out = append(out, u.work("a").Body.String()+u.work("b").Body.String()+time.Since(start).String())
			}
			return out
		}
		if a, b := run(), run(); !slices.Equal(a, b) {
			t.Error("two runs of one seed differ")
		}
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		status int
		text   string
	}{
		"openai":    {401, "Missing scopes: model.request"},
		"anthropic": {403, "permission_error"},
		"gemini":    {403, "API_KEY_SERVICE_BLOCKED"},
		"zhipu":     {403, "1220"},
		"aimlapi":   {403, "scope"},
	} {
		u := newBench(t, kind, Key{Name: "v", Scopes: []string{"video"}}, Key{Name: "c", Scopes: []string{"image", "chat"}})
		if w := u.work("v"); w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
		if w := u.work("c"); w.Code != 200 {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
	}
}

// TestForeign is the hook with which tests ask whether a proxy lets a client's
// credentials through.
func TestForeign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path  string
		name  string
		value string
		place string
	}{
		{"", "Authorization", "Bearer client", "Authorization"},
		{"", "Authorization", "Basic Y2xpZW50Og==", "Authorization"},
		{"", "X-Goog-Api-Key", "client", "X-Goog-Api-Key"},
		{"", "Cookie", "session=client", "Cookie"},
		{"", "OpenAI-Organization", "org-client", "Openai-Organization"},
		{"", "Sec-WebSocket-Protocol", "openai-insecure-api-key.client", "Sec-Websocket-Protocol"},
		{"?key=client", "X-Nothing", "x", "?key"},
	} {
		u := newBench(t, "anthropic")
		u.do("one", "POST", "/v1/messages"+c.path, plainChat, c.name, c.value)
		if got := u.Foreign(); got[c.place] != 1 || len(got) != 1 {
			t.Errorf("%s %s: foreign %v, want one in %s", c.path, c.name, got, c.place)
		}
	}
	u := newBench(t, "openai")
	u.work("one")
	if got := u.Foreign(); len(got) != 0 {
		t.Errorf("its own key is foreign: %v", got)
	}
	if got := u.LastHeaders().Get("Authorization"); got != "Bearer key one" {
		t.Errorf("last Authorization %q", got)
	}
	u.do("", "GET", "/v1/models", "")
	u.do("nobody", "GET", "/v1/models", "")
	if got := u.Unknown(); got[401] != 2 {
		t.Errorf("unknown %v, want two 401", got)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	u := newBench(t, "openai")
	u.work("one")
	if text := fmt.Sprintf("%+v %#v %+v", u.Upstream, u.Upstream, *u.keys["one"]); strings.Contains(text, "sk-test-one-secret") {
		t.Error("an upstream prints a secret")
	}
}

func TestFreeRoutes(t *testing.T) {
	t.Parallel()
	paths := map[string]string{"openai": "/v1/models", "anthropic": "/v1/models", "gemini": "/v1beta/models?pageSize=1", "aimlapi": "/v2/billing",
		"zhipu": "/api/paas/v4/models", "siliconflow": "/v1/models", "deepseek": "/models", "groq": "/openai/v1/models", "github": "/rate_limit"}
	for kind, path := range paths {
		u := newBench(t, kind, Key{Name: "one", Quota: 1, RPM: 1, Burst: 1})
		for range 3 {
			if w := u.do("one", "GET", path, ""); w.Code != http.StatusOK || !gjson.ValidBytes(w.Body.Bytes()) {
				t.Fatalf("%s %s: %d %s", kind, path, w.Code, w.Body)
			}
		}
		if c := u.Counts("one"); c.Free != 3 || c.Accepted != 0 {
			t.Errorf("%s: %+v", kind, c)
		}
		u.Revoke("one")
		if w := u.do("one", "GET", path, ""); w.Code != 401 && w.Code != 400 {
			t.Errorf("%s %s with a revoked key: %d", kind, path, w.Code)
		}
	}
}

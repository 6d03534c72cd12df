package sim

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"
)

// situation is what a key is in when it asks.
type situation func(bench)

func fine(bench)      {}
func revoked(b bench) { b.Revoke("one") }
func broke(b bench)   { b.Exhaust("one", time.Time{}) }
func spent(b bench)   { b.Exhaust("one", time.Now().Add(2*time.Hour)) }
func down(status int) situation {
	return func(b bench) { b.SetOutage(status) }
}
func busy(b bench) { b.Limit("one", 6) } // ten seconds a request

// TestAnswers holds every provider to what is known of its answers: status,
// headers ("-" is absent) and body, by gjson paths.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type facts = map[string]string
	for _, c := range []struct {
		kind   string
		when   string
		is     situation
		status int
		header facts
		body   facts
	}{
		{"openai", "fine", fine, 200, facts{"Content-Type": "application/json", "Openai-Version": "2020-10-01"},
			facts{"object": "chat.completion", "model": "m1", "choices.0.message.role": "assistant", "choices.0.finish_reason": "stop", "usage.prompt_tokens_details.cached_tokens": "0"}},
		{"openai", "revoked", revoked, 401, facts{"X-Ratelimit-Limit-Requests": "-", "Retry-After": "-"},
			facts{"error.code": "invalid_api_key", "error.type": "invalid_request_error", "error.message": "Incorrect API key provided: sk-********************cret. You can find your API key at https://platform.openai.com/account/api-keys."}},
		{"openai", "busy", busy, 429, facts{"Retry-After": "-", "X-Ratelimit-Limit-Requests": "6", "X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "10s"},
			facts{"error.code": "rate_limit_exceeded", "error.type": "requests", "error.message": "Rate limit reached for m1 in organization acme on requests per min (RPM): Limit 6, Used 6, Requested 1. Please try again in 10s. Visit https://platform.openai.com/account/rate-limits to learn more."}},
		{"openai", "broke", broke, 429, facts{"Retry-After": "-", "X-Ratelimit-Limit-Requests": "-"},
			facts{"error.code": "insufficient_quota", "error.type": "insufficient_quota"}},
		{"openai", "outage", down(503), 503, nil, facts{"error.code": "server_is_overloaded", "error.type": "service_unavailable_error"}},
		{"openai", "outage", down(500), 500, nil, facts{"error.type": "server_error"}},

		{"zhipu", "fine", fine, 200, nil, facts{"object": "chat.completion", "choices.0.message.role": "assistant"}},
		{"zhipu", "revoked", revoked, 401, nil, facts{"error.code": "1000", "error.message": "身份验证失败"}},
		{"zhipu", "busy", busy, 429, facts{"Retry-After": "-"}, facts{"error.code": "1302", "error.message": "您的账户已达到速率限制，请您控制请求频率"}},
		{"zhipu", "broke", broke, 429, facts{"Retry-After": "-"}, facts{"error.code": "1113", "error.message": "余额不足或无可用资源包,请充值。"}},
		{"zhipu", "spent", spent, 429, nil, facts{"error.code": "1308", "error.message": "已达到 5 小时 的使用上限。您的限额将在 2000-01-01 10:00:00 重置。"}},
		{"zhipu", "outage", down(500), 500, nil, facts{"error.code": "500", "error.message": "内部错误"}},
		{"zhipu", "model busy", down(429), 429, nil, facts{"error.code": "1305"}},

		{"siliconflow", "revoked", revoked, 401, nil, facts{"@this": "Api key is invalid"}},
		{"siliconflow", "busy", busy, 429, facts{"Retry-After": "-"}, facts{"message": "Request was rejected due to rate limiting. Details: RPM limit reached.", "error": ""}},
		{"siliconflow", "broke", broke, 403, nil, facts{"code": "30001", "message": "Sorry, your account balance is insufficient"}},
		{"siliconflow", "outage", down(503), 503, nil, facts{"code": "50603", "message": "System is really busy. Please try again later."}},
		{"siliconflow", "outage", down(504), 504, facts{"Content-Type": "text/plain"}, nil},

		{"deepseek", "revoked", revoked, 401, nil, facts{"error.type": "authentication_error", "error.message": "Authentication Fails, Your api key: ****cret is invalid"}},
		{"deepseek", "busy", busy, 429, facts{"Retry-After": "-"}, facts{"error.type": "rate_limit_reached", "error.code": "invalid_request_error"}},
		{"deepseek", "broke", broke, 402, nil, facts{"error.message": "Insufficient Balance"}},

		{"groq", "busy", busy, 429, facts{"Retry-After": "10", "X-Ratelimit-Limit-Requests": "6"}, facts{"error.code": "rate_limit_exceeded", "error.type": "requests"}},
		{"groq", "spent", spent, 429, facts{"Retry-After": "7200"}, facts{"error.code": "rate_limit_exceeded"}},
		{"groq", "outage", down(503), 503, nil, facts{"error.code": "service_unavailable"}},

		{"anthropic", "fine", fine, 200, facts{"Anthropic-Organization-Id": organization("acme")},
			facts{"type": "message", "role": "assistant", "content.0.type": "text", "stop_reason": "end_turn", "usage.cache_read_input_tokens": "0"}},
		{"anthropic", "revoked", revoked, 401, facts{"Anthropic-Ratelimit-Requests-Limit": "-"},
			facts{"type": "error", "error.type": "authentication_error", "error.message": "invalid x-api-key"}},
		{"anthropic", "busy", busy, 429, facts{"Retry-After": "10", "Anthropic-Ratelimit-Requests-Limit": "6", "Anthropic-Ratelimit-Requests-Remaining": "0", "Anthropic-Ratelimit-Requests-Reset": "2000-01-01T00:00:10Z", "X-Should-Retry": "true"},
			facts{"type": "error", "error.type": "rate_limit_error"}},
		{"anthropic", "broke", broke, 400, facts{"Retry-After": "-"},
			facts{"error.type": "invalid_request_error", "error.message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}},
		{"anthropic", "spent", spent, 400, nil,
			facts{"error.message": "You have reached your specified API usage limits. You will regain access on 2000-01-01 at 02:00 UTC."}},
		{"anthropic", "outage", down(529), 529, nil, facts{"error.type": "overloaded_error", "error.message": "Overloaded"}},
		{"anthropic", "outage", down(500), 500, nil, facts{"error.type": "api_error"}},

		{"gemini", "fine", fine, 200, nil,
			facts{"candidates.0.content.role": "model", "candidates.0.finishReason": "STOP", "modelVersion": "m1"}},
		{"gemini", "revoked", revoked, 400, facts{"Content-Type": "application/json; charset=UTF-8"},
			facts{"error.status": "INVALID_ARGUMENT", "error.code": "400", "error.details.0.reason": "API_KEY_INVALID"}},
		{"gemini", "busy", busy, 429, facts{"Retry-After": "-"},
			facts{"error.status": "RESOURCE_EXHAUSTED", "error.details.1.violations.0.quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "error.details.1.violations.0.quotaDimensions.model": "m1", "error.details.2.retryDelay": "10s"}},
		{"gemini", "spent", spent, 429, nil,
			facts{"error.details.1.violations.0.quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "error.details.2.retryDelay": "26s"}},
		{"gemini", "outage", down(503), 503, nil, facts{"error.status": "UNAVAILABLE"}},

		{"aimlapi", "fine", fine, 200, nil, facts{"object": "chat.completion"}},
		{"aimlapi", "revoked", revoked, 401, nil,
			facts{"statusCode": "401", "path": "/v1/chat/completions", "error": "", "message": "This request requires a valid API key. You can create a new API key on the Billing page: https://aimlapi.com/app/keys"}},
		{"aimlapi", "busy", busy, 429, facts{"Retry-After": "-", "X-Ratelimit-Limit-Requests": "-"}, facts{"message": "Too Many Requests", "statusCode": "429"}},
		{"aimlapi", "broke", broke, 403, nil,
			facts{"statusCode": "403", "message": "You've run out of credits. Please top up your balance or update your payment method to continue: https://aimlapi.com/app/billing/"}},
		{"aimlapi", "outage", down(503), 503, nil, facts{"message": "Service unavailable"}},

		{"github", "fine", fine, 200, facts{"X-Ratelimit-Limit": "5000", "X-Ratelimit-Remaining": "4999", "X-Ratelimit-Used": "1", "X-Ratelimit-Reset": "946688400", "X-Ratelimit-Resource": "core"},
			facts{"type": "file", "encoding": "base64", "path": "a.yaml"}},
		{"github", "revoked", revoked, 401, facts{"X-Ratelimit-Remaining": "-"}, facts{"message": "Bad credentials", "status": "401"}},
		{"github", "busy", busy, 403, facts{"Retry-After": "10", "X-Ratelimit-Remaining": "5000"},
			facts{"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}},
		{"github", "spent", spent, 403, facts{"Retry-After": "-", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Used": "5000", "X-Ratelimit-Reset": "946692000"}, facts{"status": "403"}},
		{"github", "outage", down(502), 502, facts{"Content-Type": "text/html", "X-Ratelimit-Remaining": "-"}, nil},
	} {
		synctest.Test(t, func(t *testing.T) { // its clock begins with the year 2000
			b := newBench(t, c.kind, Key{Name: "one", Account: "acme"})
			c.is(b)
			check(t, c.kind+", "+c.when, b.work("one"), c.status, c.header, c.body)
		})
	}
}

func check(t *testing.T, what string, w *httptest.ResponseRecorder, status int, header, body map[string]string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("%s: %d, want %d: %s", what, w.Code, status, w.Body)
	}
	for name, want := range header {
		if got := w.Header().Get(name); got != want && !(want == "-" && got == "") {
			t.Errorf("%s: %s: %q, want %q", what, name, got, want)
		}
	}
	for path, want := range body {
		if got := gjson.Get(w.Body.String(), path).String(); got != want {
			t.Errorf("%s: %s is %q, want %q", what, path, got, want)
		}
	}
}

// TestRequests is about requests rather than keys.
func TestRequests(t *testing.T) {
	t.Parallel()
	type facts = map[string]string
	for _, c := range []struct {
		kind, key, method, path, body string
		header                        []string
		status                        int
		says                          facts
	}{
		{"openai", "", "POST", "/v1/chat/completions", plainChat, nil, 401, facts{"error.code": "", "error.type": "invalid_request_error"}},
		{"openai", "nobody", "POST", "/v1/chat/completions", plainChat, nil, 401, facts{"error.code": "invalid_api_key"}},
		{"openai", "one", "POST", "/v1/nope", plainChat, nil, 404, facts{"error.message": "Invalid URL (POST /v1/nope)"}},
		{"openai", "one", "POST", "/v1/chat/completions", `{"model":"m9"}`, nil, 404, facts{"error.code": "model_not_found"}},
		{"openai", "one", "POST", "/v1/chat/completions", `{"model":`, nil, 400, facts{"error.type": "invalid_request_error"}},
		{"openai", "one", "POST", "/v1/chat/completions", `{}`, nil, 400, facts{"error.message": "you must provide a model parameter"}},
		{"openai", "one", "GET", "/v1/models", "", nil, 200, facts{"object": "list", "data.#": "2", "data.1.id": "m2"}},
		{"openai", "one", "GET", "/v1/models/m2", "", nil, 200, facts{"id": "m2", "object": "model"}},
		{"openai", "one", "GET", "/v1/models/m9", "", nil, 404, facts{"error.code": "model_not_found"}},
		{"openai", "one", "POST", "/v1/embeddings", `{"model":"m1","input":["a","b"]}`, nil, 200, facts{"data.#": "2", "data.1.index": "1", "data.0.object": "embedding"}},
		{"openai", "one", "POST", "/v1/images/generations", `{"prompt":"x"}`, nil, 200, facts{"data.0.b64_json": onePixel}},
		{"openai", "one", "POST", "/v1/responses", `{"model":"m1","input":"x"}`, nil, 200, facts{"object": "response", "status": "completed", "output.0.content.0.type": "output_text", "usage.input_tokens_details.cached_tokens": "0"}},
		{"openai", "one", "POST", "/v1/responses", `{"model":"m1","input":"x","previous_response_id":"resp_x"}`, nil, 400, facts{"error.code": "previous_response_not_found"}},
		{"openai", "one", "POST", "/v1/chat/completions", `{"model":"m1","max_tokens":5}`, nil, 200, facts{"usage.completion_tokens": "5"}},

		{"zhipu", "", "POST", "/api/paas/v4/chat/completions", plainChat, nil, 401, facts{"error.code": "1001"}},
		{"zhipu", "one", "POST", "/api/paas/v4/chat/completions", `{"model":"m9"}`, nil, 400, facts{"error.code": "1211"}},
		{"zhipu", "one", "POST", "/v1/chat/completions", plainChat, nil, 404, facts{"error": "Not Found"}},
		{"siliconflow", "one", "POST", "/v1/chat/completions", `{"model":"m9"}`, nil, 400, facts{"code": "20012"}},
		{"siliconflow", "one", "GET", "/v1/user/info", "", nil, 200, facts{"data.totalBalance": "100.00"}},
		{"deepseek", "one", "GET", "/user/balance", "", nil, 200, facts{"is_available": "true"}},
		{"deepseek", "one", "POST", "/chat/completions", `{`, nil, 422, facts{"error.message": "Invalid parameters"}},
		{"groq", "nobody", "POST", "/openai/v1/chat/completions", plainChat, nil, 401, facts{"error.message": "Invalid API Key"}},

		{"anthropic", "", "POST", "/v1/messages", plainChat, nil, 401, facts{"error.message": "x-api-key header is required"}},
		{"anthropic", "", "POST", "/v1/messages", plainChat, []string{"Authorization", "Bearer nobody"}, 401, facts{"error.message": "Invalid bearer token"}},
		{"anthropic", "", "POST", "/v1/messages", plainChat, []string{"Authorization", "Bearer sk-test-one-secret"}, 200, facts{"type": "message"}},
		{"anthropic", "one", "POST", "/v1/messages", plainChat, []string{"Anthropic-Version", ""}, 400, facts{"error.message": "anthropic-version: header is required"}},
		{"anthropic", "one", "POST", "/v1/messages", `{"model":"m9"}`, nil, 404, facts{"error.type": "not_found_error", "error.message": "model: m9"}},
		{"anthropic", "one", "POST", "/v1/messages/count_tokens", plainChat, nil, 200, facts{"input_tokens": "15"}},
		{"anthropic", "one", "GET", "/v1/models", "", nil, 200, facts{"data.0.type": "model", "first_id": "m1", "last_id": "m2", "has_more": "false"}},

		{"gemini", "", "POST", "/v1beta/models/m1:generateContent", `{}`, nil, 403, facts{"error.status": "PERMISSION_DENIED"}},
		{"gemini", "", "POST", "/v1beta/models/m1:generateContent?key=sk-test-one-secret", `{}`, nil, 200, facts{"candidates.#": "1"}},
		{"gemini", "", "POST", "/v1beta/models/m1:generateContent?key=nobody", `{}`, nil, 400, facts{"error.details.0.reason": "API_KEY_INVALID"}},
		{"gemini", "one", "POST", "/v1/models/m1:countTokens", `{"a":"bcdefghij"}`, nil, 200, facts{"totalTokens": "4"}},
		{"gemini", "one", "POST", "/v1beta/models/m9:generateContent", `{}`, nil, 404, facts{"error.status": "NOT_FOUND"}},
		{"gemini", "one", "POST", "/v1beta/models/m1:streamGenerateContent", `{}`, nil, 200, facts{"0.candidates.0.finishReason": "STOP"}},
		{"gemini", "", "POST", "/v1beta/openai/chat/completions", plainChat, []string{"Authorization", "Bearer sk-test-one-secret"}, 200, facts{"object": "chat.completion"}},
		{"gemini", "nobody", "POST", "/v1beta/openai/chat/completions", plainChat, nil, 400, facts{"0.error.details.0.reason": "API_KEY_INVALID"}},
		{"gemini", "one", "GET", "/v1beta/models", "", nil, 200, facts{"models.0.name": "models/m1"}},

		{"aimlapi", "one", "GET", "/v1/nope", "", nil, 404, facts{"message": "Cannot GET /v1/nope"}},
		{"aimlapi", "one", "GET", "/v2/billing", "", nil, 200, facts{"current_balance": "100", "currency": "USD"}},
		{"aimlapi", "one", "GET", "/v1/key", "", nil, 200, facts{"name": "one", "disabled": "false"}},
		{"aimlapi", "one", "POST", "/v1/images/generations", `{"model":"m1","prompt":"x"}`, nil, 200, facts{"data.#": "1"}},

		{"github", "", "GET", "/user", "", nil, 401, facts{"message": "Requires authentication"}},
		{"github", "", "GET", "/user", "", []string{"Authorization", "token sk-test-one-secret"}, 200, facts{"login": "one"}},
		{"github", "one", "GET", "/nope", "", nil, 404, facts{"message": "Not Found", "status": "404"}},
		{"github", "one", "GET", "/repos/o/r", "", nil, 200, facts{"full_name": "o/r"}},
		{"github", "one", "GET", "/rate_limit", "", nil, 200, facts{"resources.core.limit": "5000", "rate.remaining": "5000"}},
		{"github", "one", "POST", "/repos/o/r/issues", `{"title":"x"}`, nil, 201, facts{"number": "2"}},
		{"github", "one", "GET", "/user", "", []string{"User-Agent", ""}, 403, nil},
	} {
		b := newBench(t, c.kind)
		check(t, c.kind+" "+c.method+" "+c.path, b.do(c.key, c.method, c.path, c.body, c.header...), c.status, nil, c.says)
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	b := newBench(t, "aimlapi")
	w := b.do("one", "POST", "/v1/chat/completions", plainChat, "X-Client-Request-Id", "mine-1")
	h := w.Header()
	if h.Get("X-Aimlapi-Credits-Used") == "" || !strings.HasPrefix(h.Get("X-Aimlapi-Usd-Spent"), "0.000") || h.Get("X-Inference-Id") == "" || h.Get("X-Client-Request-Id") != "mine-1" {
		t.Errorf("headers %v", h)
	}
	if image := b.do("one", "POST", "/v1/images/generations", `{"prompt":"x"}`); image.Header().Get("X-Aimlapi-Credits-Used") != "60000" {
		t.Errorf("an image: %v", image.Header())
	}
	usage := gjson.Get(w.Body.String(), "usage")
	if usage.Get("total_tokens").Int() != usage.Get("prompt_tokens").Int()+usage.Get("completion_tokens").Int() || usage.Get("completion_tokens").Int() == 0 {
		t.Errorf("usage %s", usage)
	}
}

func TestVideosBelongToTheirAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "aimlapi", Key{Name: "a", Account: "x"}, Key{Name: "b", Account: "x"}, Key{Name: "c"})
		b.options.JobTime = 8 * sec
		w := b.do("a", "POST", "/v2/video/generations", `{"model":"m1","prompt":"x"}`)
		id := gjson.Get(w.Body.String(), "generation_id").String()
		check(t, "create", w, 201, nil, map[string]string{"status": "queued", "id": id + ":m1"})
		for _, step := range []struct {
			after  time.Duration
			key    string
			status int
			says   map[string]string
		}{
			{0, "a", 200, map[string]string{"status": "queued"}},
			{4 * sec, "b", 200, map[string]string{"status": "generating", "id": id}},
			{0, "c", 404, map[string]string{"message": "Generation not found"}},
			{4 * sec, "a", 200, map[string]string{"status": "completed", "meta.usage.credits_used": "400000"}},
		} {
			time.Sleep(step.after)
			check(t, "poll by "+step.key, b.do(step.key, "GET", "/v2/video/generations?generation_id="+id, ""), step.status, nil, step.says)
		}
	})
}

func TestResponsesBelongToTheirAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t, "openai", Key{Name: "a"}, Key{Name: "c"})
	id := gjson.Get(b.do("a", "POST", "/v1/responses", `{"model":"m1","input":"x"}`).Body.String(), "id").String()
	next := `{"model":"m1","input":"x","previous_response_id":"` + id + `"}`
	check(t, "next by a", b.do("a", "POST", "/v1/responses", next), 200, nil, nil)
	check(t, "next by c", b.do("c", "POST", "/v1/responses", next), 400, nil, map[string]string{"error.param": "previous_response_id"})
	check(t, "read by a", b.do("a", "GET", "/v1/responses/"+id, ""), 200, nil, map[string]string{"id": id})
	check(t, "read by c", b.do("c", "GET", "/v1/responses/"+id, ""), 404, nil, nil)
	loose := gjson.Get(b.do("a", "POST", "/v1/responses", `{"model":"m1","input":"x","store":false}`).Body.String(), "id").String()
	check(t, "read what was not stored", b.do("a", "GET", "/v1/responses/"+loose, ""), 404, nil, nil)
}

func TestGitHubPagesAndTags(t *testing.T) {
	t.Parallel()
	b := newBench(t, "github", Key{Name: "a"}, Key{Name: "b"})
	w := b.do("a", "GET", "/repos/o/r/issues", "")
	if link := w.Header().Get("Link"); link != `<http://example.com/repos/o/r/issues?page=2>; rel="next"` {
		t.Errorf("link %s", link)
	}
	tag := w.Header().Get("ETag")
	check(t, "the same version", b.do("a", "GET", "/repos/o/r/issues", "", "If-None-Match", tag), 304, map[string]string{"X-Ratelimit-Used": "1"}, nil)
	check(t, "another token's version", b.do("b", "GET", "/repos/o/r/issues", "", "If-None-Match", tag), 200, nil, nil)
	raw := b.do("a", "GET", "/repos/o/r/contents/librechat.yaml", "", "Accept", "application/vnd.github.raw+json")
	if raw.Body.String() != librechatYAML {
		t.Errorf("raw content: %s", raw.Body)
	}
}

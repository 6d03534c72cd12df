package provider

import (
	"fmt"
	"strings"
	"testing"
)

// answerCase is one answer and what it says. want is the verdict, the scope,
// and where the answer tells one, the delay ("12s"), the end ("until=human"),
// the limit ("limit=...") or the model ("model=...").
type answerCase struct {
	provider, asked string
	status          int
	head, body      string
	want            string
}

const (
	chat     = "POST /v1/chat/completions"
	messages = "POST /v1/messages"
	generate = "POST /v1beta/models/gemini-2.5-flash:generateContent"
	sse      = "Content-Type: text/event-stream\n"
	html     = "Content-Type: text/html\n"
	dated    = "Date: Tue, 10 Mar 2026 12:00:00 GMT\n"
)

func (c answerCase) answer(t testing.TB) Answer {
	a, err := ParseHTTP(strings.NewReader(fmt.Sprintf("HTTP/1.1 %d\n%s\n%s", c.status, c.head, c.body)))
	if err != nil {
		t.Fatal(err)
	}
	a.Method, a.Path, _ = strings.Cut(c.asked, " ")
	return a
}

// says puts an explanation into the words of a case, leaving out what the case
// does not ask for.
func (x *Explanation) says(want string) string {
	got := []string{x.Verdict.String(), x.Scope}
	for _, w := range strings.Fields(want)[2:] {
		switch name, _, _ := strings.Cut(w, "="); {
		case name == "until":
			got = append(got, "until="+string(x.Until))
		case name == "limit":
			got = append(got, "limit="+string(x.Limit))
		case name == "model":
			got = append(got, "model="+x.Model)
		case name == "code":
			got = append(got, "code="+string(x.Code))
		default:
			got = append(got, x.Applied.RetryAfter.String())
		}
	}
	return strings.Join(got, " ")
}

func TestAnswers(t *testing.T) {
	for _, c := range answers {
		p, ok := Lookup(c.provider)
		if !ok {
			t.Fatal(c.provider)
		}
		x := p.Explain(c.answer(t))
		if got := x.says(c.want); got != c.want {
			t.Errorf("%s %d %.120s\n\tis   %s\n\twant %s\n\trule: %s", c.provider, c.status, c.body, got, c.want, x.Rule)
		}
		if x.Rule == "" {
			t.Errorf("%s %d %.80s: no rule", c.provider, c.status, c.body)
		}
	}
}

// answers are made after the providers' documentation; the keys and names in
// them are invented.
var answers = []answerCase{
	// OpenAI.
	{"openai", chat, 401, "", `{"error":{"message":"Incorrect API key provided: sk-proj-****0000. You can find your API key at https://platform.openai.com/account/api-keys.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, "invalid_key key"},
	{"openai", chat, 429, "", `{"error":{"message":"Rate limit reached for gpt-4o-mini in organization org-x on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s. Visit https://platform.openai.com/account/rate-limits to learn more.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, "rate_limited model 7m12s limit=requests_per_day model=gpt-4o-mini"},
	{"openai", chat, 429, "", `{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 1300. Please try again in 644ms.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, "rate_limited model 644ms limit=tokens_per_minute"},
	{"openai", chat, 429, "retry-after: 3\nx-ratelimit-reset-tokens: 6m0s\nx-ratelimit-remaining-tokens: 0\n", `{"error":{"message":"Too many","type":"tokens","code":"rate_limit_exceeded"}}`, "rate_limited model 3s limit=tokens_per_minute"},
	{"openai", chat, 429, "", `{"error":{"message":"You've exceeded the rate limit, please slow down and try again after 3.0 seconds.","type":"invalid_request_error","code":"rate_limit_exceeded"}}`, "rate_limited model 3s"},
	{"openai", chat, 429, "", `{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","code":"billing_hard_limit_reached"}}`, "quota_exhausted account limit=spend_limit"},
	{"openai", chat, 400, "", `{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","param":null,"code":"billing_hard_limit_reached"}}`, "quota_exhausted account"},
	{"openai", chat, 401, "", `{"error":{"message":"Your access was terminated due to violation of our policies, please check your email for more information.","type":"invalid_request_error","param":null,"code":null}}`, "invalid_key account until=human"},
	{"openai", chat, 403, "", `{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.model.read.","type":"invalid_request_error","param":null,"code":"missing_scope"}}`, "permission_denied key"},
	{"openai", chat, 404, "", `{"error":{"message":"The model ` + "`gpt-9`" + ` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, "permission_denied model model=gpt-9"},
	{"openai", chat, 404, "", `{"error":{"message":"Invalid URL (POST /v1/nope)","type":"invalid_request_error","param":null,"code":null}}`, "client_error none"},
	{"openai", chat, 400, "", `{"error":{"message":"Your request was rejected as a result of our safety system.","type":"image_generation_user_error","param":null,"code":"moderation_blocked"}}`, "client_error none"},
	{"openai", chat, 500, "", `{"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}`, "upstream_fault none"},
	{"openai", chat, 503, "", `{"error":{"message":"That model is currently overloaded with other requests. You can retry your request.","type":"server_error"}}`, "upstream_fault none"},
	{"openai", chat, 429, "", `{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error","param":null,"code":null}}`, "upstream_fault none"},
	{"openai", chat, 401, "", `{"error":{"message":"You must be a member of an organization to use the API. Please contact us through our help center at help.openai.com.","type":"invalid_request_error"}}`, "invalid_key key"},
	{"openai", chat, 403, html, "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Enable JavaScript and cookies to continue</body></html>", "permission_denied none"},
	{"openai", chat, 400, "", `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}`, "client_error none"},
	{"openai", "POST /v1/responses", 200, sse, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"error\":null}}\n\nevent: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM): Limit 30000, Used 30000, Requested 500. Please try again in 1s.\",\"param\":null}\n\n", "rate_limited model 1s"},
	{"openai", "POST /v1/responses", 200, sse, "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"error\":null}}\n\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"The model produced an error\"}}}\n\n", "upstream_fault none"},
	{"openai", "POST /v1/responses", 200, "Content-Type: application/json\n", `{"id":"resp_1","object":"response","status":"completed","error":null,"output":[],"usage":{"input_tokens":5,"output_tokens":2}}`, "ok none"},
	{"openai", "POST /v1/responses", 200, "Content-Type: application/json\n", `{"id":"resp_1","object":"response","status":"failed","error":{"code":"insufficient_quota","message":"You exceeded your current quota"},"output":[]}`, "quota_exhausted account"},
	{"openai", "GET /v1/videos/video_1", 200, "", `{"id":"video_1","object":"video","status":"failed","error":{"code":"moderation_blocked","message":"blocked"}}`, "ok none"},
	{"openai", "GET /v1/fine_tuning/jobs/ft-1", 200, "", `{"id":"ft-1","object":"fine_tuning.job","status":"succeeded","error":{"code":null,"message":null,"param":null}}`, "ok none"},
	{"openai", chat, 429, "", "", "rate_limited model"},

	// Anthropic.
	{"anthropic", messages, 401, "", `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_1"}`, "invalid_key key"},
	{"anthropic", messages, 401, "", `{"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired. Please obtain a new token or refresh your existing token."}}`, "invalid_key key"},
	{"anthropic", messages, 401, "", `{"type":"error","error":{"type":"authentication_error","message":"x-api-key header is required"}}`, "client_error none"},
	{"anthropic", messages, 400, "", `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}`, "quota_exhausted account until=human limit=credits"},
	{"anthropic", messages, 400, dated, `{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."}}`, "quota_exhausted account 516h0m0s until=2026-04-01T00:00:00Z"},
	{"anthropic", messages, 429, "retry-after: 12\nanthropic-ratelimit-input-tokens-remaining: 0\n", `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 50 requests per minute (org: x, model: claude-sonnet-4)."}}`, "rate_limited model 12s limit=requests_per_minute"},
	{"anthropic", messages, 429, dated + "anthropic-ratelimit-output-tokens-remaining: 0\nanthropic-ratelimit-output-tokens-reset: 2026-03-10T12:00:41Z\nanthropic-ratelimit-requests-remaining: 4\nanthropic-ratelimit-requests-reset: 2026-03-10T12:30:00Z\n", `{"type":"error","error":{"type":"rate_limit_error","message":"Number of request tokens has exceeded your per-minute rate limit"}}`, "rate_limited account 41s limit=tokens_per_minute"},
	{"anthropic", messages, 529, "x-should-retry: true\n", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, "upstream_fault none"},
	{"anthropic", messages, 404, "", `{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}`, "client_error none"},
	{"anthropic", messages, 403, html, "<html><head><title>Attention Required! | Cloudflare</title></head></html>", "permission_denied none"},
	{"anthropic", messages, 429, "date: Mon, 11 May 2026 05:00:00 GMT\nanthropic-ratelimit-unified-status: rejected\nanthropic-ratelimit-unified-7d-status: rejected\nanthropic-ratelimit-unified-7d-reset: 1778562000\nanthropic-ratelimit-unified-5h-status: allowed\nanthropic-ratelimit-unified-5h-reset: 1778479200\n", `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's rate limit."}}`, "quota_exhausted account 24h0m0s limit=subscription_window until=2026-05-12T05:00:00Z"},
	{"anthropic", messages, 200, sse, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":5}}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"This request would exceed the rate limit for your organization of 40,000 input tokens per minute.\"}}\n\n", "rate_limited model"},
	{"anthropic", messages, 200, sse, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "ok none"},
	{"anthropic", messages, 400, "", `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, "client_error none"},

	// Gemini.
	{"gemini", generate, 400, "", `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}`, "invalid_key key code=API_KEY_INVALID"},
	{"gemini", generate, 400, "", `{"error":{"code":400,"message":"Invalid value at 'contents[0].role'","status":"INVALID_ARGUMENT"}}`, "client_error none"},
	{"gemini", generate, 403, "", `{"error":{"code":403,"message":"Your API key was reported as leaked. Please use another API key.","status":"PERMISSION_DENIED"}}`, "invalid_key key until=human"},
	{"gemini", generate, 403, "", `{"error":{"code":403,"message":"Generative Language API has not been used in project 1 before or it is disabled. Enable it by visiting https://console.developers.google.com","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","domain":"googleapis.com"}]}}`, "permission_denied account"},
	{"gemini", generate, 403, "", `{"error":{"code":403,"message":"You do not have permission to access the File abc or it may not exist.","status":"PERMISSION_DENIED"}}`, "client_error none"},
	{"gemini", generate, 429, dated, `{"error":{"code":429,"message":"Quota exceeded. Please retry in 12.5s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m","quotaId":"GenerateContentInputTokensPerModelPerMinute-FreeTier","quotaDimensions":{"model":"gemini-2.5-flash","location":"global"},"quotaValue":"250000"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}`, "rate_limited model 12.5s limit=tokens_per_minute model=gemini-2.5-flash"},
	{"gemini", generate, 429, dated, `{"error":{"code":429,"message":"Quota exceeded. Please retry in 12.5s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"},{"quotaId":"GenerateContentInputTokensPerModelPerDay-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}`, "quota_exhausted model 0s until=midnight_pacific limit=tokens_per_day"},
	{"gemini", generate, 429, "", `{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}`, "rate_limited model"},
	{"gemini", generate, 503, "", `{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}`, "upstream_fault none"},
	{"gemini", "POST /v1beta/openai/chat/completions", 400, "", `[{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}]`, "invalid_key key"},
	{"gemini", "POST /v1beta/openai/chat/completions", 404, "", `[{"error":{"code":404,"message":"models/gemini-9 is not found for API version v1main","status":"NOT_FOUND"}}]`, "client_error none"},
	{"gemini", generate, 429, html, "<html><head><title>Sorry...</title></head><body>Our systems have detected unusual traffic from your computer network.</body></html>", "permission_denied none"},
	{"gemini", generate, 403, "", `{"error":{"code":403,"message":"The provided API key has an IP address restriction. The originating IP address of the call violates this restriction.","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_IP_ADDRESS_BLOCKED"}]}}`, "permission_denied key"},
	{"gemini", generate, 429, "", `{"error":{"code":429,"message":"Your project has exceeded its spending cap. Please go to AI Studio at https://ai.studio/spend to manage your project spending cap.","status":"RESOURCE_EXHAUSTED"}}`, "quota_exhausted account limit=spend_limit"},

	// AIMLAPI.
	{"aimlapi", chat, 401, "", `{"message":"This request requires a valid API key. You can create a new API key on the Billing page: https://aimlapi.com/app/keys","path":"/v1/chat/completions","requestId":"r","statusCode":401}`, "invalid_key key"},
	{"aimlapi", chat, 403, "", `{"message":"You've run out of credits. Please top up your balance or update your payment method to continue","path":"/v1/chat/completions","requestId":"r","statusCode":"403"}`, "quota_exhausted account until=human"},
	{"aimlapi", chat, 429, "", `{"message":"Too Many Requests","path":"/v1/chat/completions","requestId":"r","statusCode":429}`, "rate_limited key"},
	{"aimlapi", chat, 400, "", `{"message":[{"code":"invalid_type","path":["messages"],"message":"Required"}],"path":"/v1/chat/completions","statusCode":400}`, "client_error none"},
	{"aimlapi", chat, 403, "", `{"message":"Forbidden","path":"/v1/chat/completions","statusCode":403}`, "permission_denied key"},
	{"aimlapi", chat, 403, "", `{"message":"This API key does not have the required scope: model:video","statusCode":403}`, "permission_denied key"},
	{"aimlapi", chat, 403, "", `{"message":"API key monthly limit reached","statusCode":403}`, "quota_exhausted key"},
	{"aimlapi", "GET /v2/video/generations?generation_id=x", 200, "", `{"id":"x","status":"error","error":{"name":"Error","message":"insufficient balance at partner"}}`, "ok none"},

	// Zhipu.
	{"zhipu", chat, 401, "", `{"error":{"code":"1000","message":"身份验证失败"}}`, "invalid_key key"},
	{"zhipu", chat, 401, "", `{"error":{"code":"1001","message":"Header中未收到Authorization参数，无法进行身份验证"}}`, "client_error none"},
	{"zhipu", chat, 429, "", `{"error":{"code":1113,"message":"余额不足或无可用资源包,请充值。"}}`, "quota_exhausted account until=human"},
	{"zhipu", chat, 429, "", `{"error":{"code":"1303","message":"您当前使用该API的频率过高，请降低频率，或联系客服增加限额。"}}`, "rate_limited account"},
	{"zhipu", chat, 429, "", `{"error":{"code":"1302","message":"您当前使用该API的并发数过高，请降低并发，或联系客服增加限额。"}}`, "rate_limited account limit=concurrency"},
	{"zhipu", chat, 429, dated, `{"error":{"code":"1308","message":"Usage limit reached for 5 hour. Your limit will reset at 2026-03-10 22:30:00"}}`, "quota_exhausted account 2h30m0s until=2026-03-10T22:30:00+08:00 limit=subscription_window"},
	{"zhipu", chat, 400, "", `{"error":{"code":"1112","message":"您的账户已被锁定，请联系客服解锁"}}`, "invalid_key account"},
	{"zhipu", chat, 400, "", `{"error":{"code":"1214","message":"messages 参数非法。请检查文档。"}}`, "client_error none"},
	{"zhipu", chat, 400, "", `{"error":{"code":"1211","message":"模型不存在，请检查模型代码。"}}`, "client_error none"},
	{"zhipu", chat, 200, "Content-Type: application/json\n", `{"code":1113,"msg":"余额不足","success":false}`, "quota_exhausted account"},
	{"zhipu", chat, 200, "Content-Type: application/json\n", `{"code":500,"msg":"404 NOT_FOUND","success":false}`, "upstream_fault none"},
	{"zhipu", chat, 200, sse, "data: {\"error\":{\"code\":\"1305\",\"message\":\"该模型当前访问量过大\"}}\n\n", "upstream_fault model"},
	{"zhipu", chat, 200, sse, "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"hm\"}}]}\n\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"delta\":{}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n", "ok none"},

	// SiliconFlow.
	{"siliconflow", chat, 401, "", `"Invalid token"`, "invalid_key key"},
	{"siliconflow", chat, 401, "", `"Api key is invalid"`, "invalid_key key"},
	{"siliconflow", chat, 402, "", `{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}`, "quota_exhausted account"},
	{"siliconflow", chat, 429, "", `{"message":"Request was rejected due to rate limiting. If you want more, please contact contact@siliconflow.cn. Details: RPM limit reached.","data":null}`, "rate_limited model limit=requests_per_minute"},
	{"siliconflow", chat, 403, "", `{"code":30011,"message":"Paid balance is insufficient for this model","data":null}`, "quota_exhausted account"},
	{"siliconflow", "GET /v1/user/info", 200, "", `{"code":20000,"message":"OK","status":true,"data":{"totalBalance":"12.5"}}`, "ok none"},

	// DeepSeek.
	{"deepseek", chat, 402, "", `{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}`, "quota_exhausted account until=human"},
	{"deepseek", chat, 401, "", `{"error":{"message":"Authentication Fails (governor)","type":"authentication_error","param":null,"code":"invalid_request_error"}}`, "client_error none"},
	{"deepseek", chat, 503, "", `{"error":{"message":"Service is too busy. We advise users to temporarily switch to alternative LLM API service providers.","type":"service_unavailable_error","param":null,"code":"service_unavailable_error"}}`, "upstream_fault none"},
	{"deepseek", chat, 400, "", `{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`, "client_error none"},

	// OpenRouter.
	{"openrouter", chat, 402, "", `{"error":{"message":"Insufficient credits. Add more using https://openrouter.ai/settings/credits","code":402}}`, "quota_exhausted account until=human"},
	{"openrouter", chat, 403, "", `{"error":{"message":"Key limit exceeded (weekly limit). Manage it using https://openrouter.ai/settings/keys","code":403}}`, "quota_exhausted key"},
	{"openrouter", chat, 429, "", `{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"deepseek/deepseek-r1:free is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate limits","provider_name":"Chutes"}}}`, "upstream_fault model"},
	{"openrouter", chat, 403, "", `{"error":{"message":"openai/gpt-4o requires moderation on OpenAI. Your input was flagged for \"violence\". No credits were charged.","code":403,"metadata":{"reasons":["violence"],"flagged_input":"...","provider_name":"OpenAI","model_slug":"openai/gpt-4o"}}}`, "client_error none"},
	{"openrouter", chat, 401, "", `{"error":{"message":"No auth credentials found","code":401}}`, "client_error none"},
	{"openrouter", chat, 502, "", `{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"{\"error\":{\"message\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}","provider_name":"X"}}}`, "upstream_fault none"},
	{"openrouter", chat, 429, dated, `{"error":{"message":"Rate limit exceeded: free-models-per-min. ","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1773144060000"}}}}`, "rate_limited account 1m0s limit=requests_per_minute"},
	{"openrouter", chat, 404, "", `{"error":{"message":"No endpoints found for acme/x.","code":404}}`, "client_error none"},
	{"openrouter", chat, 200, sse, ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {\"id\":\"g\",\"choices\":[],\"error\":{\"code\":502,\"message\":\"Upstream error\"}}\n\n", "upstream_fault none"},

	// Groq, Mistral, xAI, Together, Cohere.
	{"groq", chat, 401, "", `{"error":{"message":"Invalid API Key","type":"invalid_request_error","code":"invalid_api_key"}}`, "invalid_key key"},
	{"groq", chat, 400, "", `{"error":{"message":"Organization has been restricted. Please reach out to support if you believe this was in error.","type":"invalid_request_error","code":"organization_restricted"}}`, "invalid_key account"},
	{"groq", chat, 498, "", `{"error":{"message":"Flex tier capacity exceeded","type":"capacity","code":"capacity_exceeded"}}`, "upstream_fault model"},
	{"groq", chat, 400, "", `{"error":{"message":"The model ` + "`mixtral-8x7b`" + ` has been decommissioned and is no longer supported.","type":"invalid_request_error","code":"model_decommissioned"}}`, "client_error none"},
	{"mistral", chat, 429, "", `{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}`, "upstream_fault model"},
	{"mistral", chat, 429, "", `{"message":"Requests rate limit exceeded"}`, "rate_limited account"},
	{"xai", chat, 429, "", `{"code":"Some resource has been exhausted","error":"Too many requests for team 0000 and model grok-4. Your team's rate limit is: Requests per Second (actual/limit): 2/1."}`, "rate_limited account"},
	{"xai", chat, 403, "", `{"code":"The caller does not have permission to execute the specified operation","error":"Your newly created teams doesn't have any credits or licenses yet. You can purchase those on https://console.x.ai."}`, "quota_exhausted account"},
	{"xai", chat, 404, "", `{"code":"Some requested entity was not found","error":"The model grok-9 does not exist or your team 0000 does not have access to it."}`, "permission_denied model"},
	{"together", chat, 401, "", `{"error":{"message":"Invalid API key provided. You can find your API key at https://api.together.ai/settings/api-keys.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, "invalid_key key"},
	{"cohere", "POST /v2/chat", 401, "", `{"message":"invalid api token"}`, "invalid_key key"},
	{"cohere", "POST /v2/chat", 429, "", `{"message":"You are using a Trial key, which is limited to 1000 API calls / month. You can continue to use the Trial key for free"}`, "quota_exhausted account until=next_month limit=requests_per_month"},

	// Azure.
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 429, "retry-after-ms: 1500\nretry-after: 2\n", `{"error":{"code":"429","message":"Rate limit is exceeded. Try again in 2 seconds."}}`, "rate_limited model 1.5s model=gpt-4o"},
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 403, "", `{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 20.09:58:55."}`, "quota_exhausted key 489h58m55s"},
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 401, "", `{"error":{"code":"PermissionDenied","message":"The principal ` + "`x`" + ` lacks the required data action Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action"}}`, "permission_denied key"},
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 400, "", `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","code":"content_filter","status":400}}`, "client_error none"},
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 429, "", `{"statusCode":429,"message":"Rate limit is exceeded. Try again in 11 seconds."}`, "rate_limited model 11s"},

	// DashScope, MiniMax, Volcengine.
	{"dashscope", chat, 429, "", `{"error":{"message":"Requests rate limit exceeded, please try again later.","type":"limit_requests","param":null,"code":"limit_requests"}}`, "rate_limited model"},
	{"dashscope", chat, 403, "", `{"error":{"message":"The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable the \"use free tier only\" mode.","type":"AllocationQuota.FreeTierOnly","code":"AllocationQuota.FreeTierOnly"}}`, "quota_exhausted model until=human"},
	{"dashscope", "POST /api/v1/services/aigc/text-generation/generation", 400, "", `{"code":"DataInspectionFailed","message":"Input data may contain inappropriate content.","request_id":"r"}`, "client_error none"},
	{"minimax", "POST /v1/text/chatcompletion_v2", 200, "Content-Type: application/json\n", `{"id":"1","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, "quota_exhausted account until=human"},
	{"minimax", "POST /v1/text/chatcompletion_v2", 200, "Content-Type: application/json\n", `{"base_resp":{"status_code":1039,"status_msg":"token limit"}}`, "rate_limited account"},
	{"minimax", "POST /v1/text/chatcompletion_v2", 200, sse, "data: {\"base_resp\":{\"status_code\":1002,\"status_msg\":\"rate limit\"}}\n\n", "rate_limited account"},
	{"volcengine", chat, 429, "", `{"error":{"code":"ServerOverloaded","message":"The request failed because the server is currently overloaded. Please retry later.","param":"","type":"TooManyRequests"}}`, "upstream_fault model"},
	{"volcengine", chat, 404, "", `{"error":{"code":"ModelNotOpen","message":"Your account has not activated the model doubao-x. Please activate the model service in the Ark Console.","param":"","type":"NotFound"}}`, "permission_denied model"},
	{"volcengine", chat, 404, "", `{"error":{"code":"InvalidEndpointOrModel.NotFound","message":"The model or endpoint x does not exist or you do not have access to it.","type":"NotFound"}}`, "permission_denied model"},
	{"volcengine", chat, 429, "", `{"error":{"code":"AccountRateLimitExceeded","message":"The requests per minute (RPM) limit of your account has been exceeded.","type":"TooManyRequests"}}`, "rate_limited account"},

	// GitHub.
	{"github", "GET /repos/a/b", 403, dated + "x-ratelimit-remaining: 0\nx-ratelimit-limit: 5000\nx-ratelimit-reset: 1773145800\n", `{"message":"API rate limit exceeded for user ID 1.","documentation_url":"x"}`, "rate_limited account 30m0s limit=requests_per_hour"},
	{"github", "GET /repos/a/b", 404, "", `{"message":"Not Found","documentation_url":"x","status":"404"}`, "client_error none"},
	{"github", "POST /graphql", 200, "", `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded for user ID 1."}]}`, "rate_limited account"},
	{"github", "POST /graphql", 200, "", `{"data":{"repository":null},"errors":[{"type":"NOT_FOUND","message":"Could not resolve to a Repository"}]}`, "ok none"},
	{"github", "GET /user", 403, "", `{"message":"Sorry. Your account was suspended. Please contact support.","status":"403"}`, "invalid_key account"},
	{"github", "GET /user", 403, "", "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/).\r\n", "client_error none"},
	{"github", "GET /orgs/o/repos", 403, "x-ratelimit-remaining: 4000\n", `{"message":"Although you appear to have the correct authorization credentials, the ` + "`o`" + ` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."}`, "permission_denied key"},

	// Providers that are not built in.
	{"generic", chat, 429, "", `{"error":{"message":"Your account org-x has been suspended due to insufficient balance, please recharge your account","type":"exceeded_current_quota_error"}}`, "quota_exhausted account"},
	{"generic", chat, 429, "", `{"error":{"message":"The engine is currently overloaded, please try again later","type":"engine_overloaded_error"}}`, "upstream_fault none"},
	{"generic", chat, 429, "", `{"error":{"message":"Your account org-x request reached organization max RPM: 3, please try again after 1 seconds","type":"rate_limit_reached_error"}}`, "rate_limited key 1s"},
	{"generic", chat, 401, "", `{"error":{"message":"无效的令牌 (request id: x)","type":"new_api_error"}}`, "invalid_key key"},
	{"generic", chat, 403, "", `{"error":{"message":"用户额度不足, 剩余额度: 0","type":"new_api_error","code":"insufficient_user_quota"}}`, "quota_exhausted account"},
	{"generic", chat, 503, "", `{"error":{"message":"当前分组 default 下对于模型 gpt-9 无可用渠道","type":"new_api_error","code":"model_not_found"}}`, "upstream_fault none"},
	{"generic", chat, 412, "", `{"detail":"Insufficient balance: please top up"}`, "quota_exhausted account"},
	{"generic", chat, 401, "", `{"detail":"Insufficient credits"}`, "quota_exhausted account"},
	{"generic", "GET /users/@me", 429, "", `{"message":"You are being rate limited.","retry_after":64.57,"global":false}`, "rate_limited key 1m4.57s"},
	{"generic", "POST /bot/sendMessage", 429, "", `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}`, "rate_limited key 35s"},
	{"generic", chat, 418, "", `{"oops":true}`, "client_error none"},
	{"generic", chat, 599, "", "", "upstream_fault none"},
	{"generic", chat, 403, html, "<html><body><h1>403 Forbidden</h1></body></html>", "permission_denied none"},
	{"generic", chat, 429, html, "<html><head><title>Access denied | Error 1015</title></head><body>You are being rate limited. The owner of this website has banned you temporarily. Cloudflare</body></html>", "permission_denied none"},
	{"generic", chat, 200, html, "<!doctype html><html><title>Sign in</title></html>", "upstream_fault none"},
	{"generic", chat, 200, "Content-Type: application/json\n", "", "upstream_fault none"},
	{"generic", chat, 200, "Content-Type: application/json\n", `{"id":"x","choices":[{"message":{"content":"half`, "upstream_fault none"},
	{"generic", "GET /page", 200, html, "<html></html>", "ok none"},
	{"generic", "DELETE /x", 204, "", "", "ok none"},
	{"generic", chat, 401, "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"write\"\n", `{}`, "permission_denied key"},
	{"generic", chat, 400, "x-amzn-errortype: ThrottlingException:http://internal\n", `{"message":"Too many tokens, please wait before trying again."}`, "rate_limited key"},
	{"generic", chat, 403, "", `{"error":{"code":403,"message":"Rate Limit Exceeded","errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}`, "rate_limited key"},
	{"generic", chat, 403, "", `{"error":{"code":403,"message":"Daily Limit Exceeded","errors":[{"domain":"usageLimits","reason":"dailyLimitExceeded"}]}}`, "quota_exhausted key"},
	{"generic", chat, 429, "ratelimit-limit: 100\nratelimit-remaining: 0\nratelimit-reset: 9\n", `{}`, "rate_limited key 9s"},
	{"generic", chat, 429, "ratelimit: limit=100, remaining=0, reset=17\n", `{}`, "rate_limited key 17s"},
	{"generic", chat, 429, "retry-after: 0\n", `{}`, "rate_limited key 0s"},
	{"generic", chat, 429, "retry-after: -5\nx-ratelimit-reset: 0\n", `{}`, "rate_limited key 0s"},
	{"generic", chat, 429, "", `{"error":"rate limit exceeded: 100 requests per day"}`, "quota_exhausted key limit=requests_per_day"},
	{"generic", chat, 407, "", "Proxy Authentication Required", "permission_denied none"},
	{"generic", chat, 451, "", `{"message":"Unavailable For Legal Reasons"}`, "permission_denied none"},
	{"generic", chat, 403, "", `{"error":{"message":"This model is not available in your region","code":"unsupported_region"}}`, "permission_denied none"},
	{"generic", chat, 403, "", `{"error":{"message":"Your account has been suspended for violating our usage policies.","type":"forbidden"}}`, "invalid_key account"},
	{"generic", chat, 400, "", `{"error":{"message":"messages[0].content: text about an invalid api key or insufficient balance is fine"}}`, "client_error none"},
	{"generic", chat, 200, "Content-Type: application/json\n", `{"choices":[{"message":{"role":"assistant","content":"the \"error\" you saw: {\"error\":1}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`, "ok none"},
	{"generic", chat, 403, "", `{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}`, "invalid_key key"},
	{"generic", chat, 429, "", `{"fault":{"faultstring":"Rate limit quota violation. Quota limit exceeded.","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}`, "rate_limited key"},
	{"generic", chat, 400, "", `{"Response":{"Error":{"Code":"AuthFailure.SecretIdNotFound","Message":"The SecretId is not found"},"RequestId":"r"}}`, "invalid_key key"},
	{"generic", chat, 401, "", `{"detail":{"status":"quota_exceeded","message":"This request exceeds your quota of 10000. You have 5 credits remaining, while 20 credits are required for this request."}}`, "quota_exhausted account"},
	{"generic", chat, 401, "", `{"detail":{"status":"invalid_api_key","message":"Invalid API key"}}`, "invalid_key key"},
	{"generic", chat, 429, "", `{"detail":{"status":"too_many_concurrent_requests","message":"Too many concurrent requests."}}`, "rate_limited key limit=concurrency"},
	{"generic", chat, 429, "", `{"detail":{"status":"system_busy","message":"The system is experiencing heavy traffic, please try again."}}`, "upstream_fault none"},
	{"generic", chat, 429, "", `{"message":"Tokens per day limit exceeded - too many tokens processed.","type":"too_many_tokens_error","param":"quota","code":"token_quota_exceeded"}`, "quota_exhausted key limit=tokens_per_day"},
	{"generic", chat, 412, "", `{"error":{"object":"error","type":"invalid_request_error","code":"PRECONDITION_FAILED","message":"Account acme is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices."}}`, "quota_exhausted account"},
	{"generic", chat, 403, "", `{"code":403,"reason":"NOT_ENOUGH_BALANCE","message":"not enough balance","metadata":{}}`, "quota_exhausted account"},
	{"generic", chat, 429, "", `{"detail":"You have not yet added your payment method in the billing page and will have reduced rate limits of 3 RPM and 10K TPM."}`, "rate_limited key"},
	{"generic", chat, 429, "", `{"error":{"message":"Rate limit reached for default-gpt-3.5-turbo in organization org-x on requests per min. Limit: 3 / min. Please try again in 20s. Please add a payment method to your account to increase your rate limit."}}`, "rate_limited key 20s"},
	{"generic", chat, 402, "", `{"error":"You have exceeded your monthly included credits for Inference Providers."}`, "quota_exhausted account"},
	{"generic", chat, 403, "x-amzn-errortype: AccessDeniedException\n", `{"message":"You don't have access to the model with the specified model ID."}`, "permission_denied model"},
	{"generic", "POST /api/chat.postMessage", 200, "Content-Type: application/json\n", `{"ok":false,"error":"channel_not_found"}`, "ok none"},
	{"generic", "POST /api/chat.postMessage", 200, "Content-Type: application/json\n", `{"ok":false,"error":"invalid_auth"}`, "invalid_key key"},
	{"generic", "POST /api/chat.postMessage", 200, "Content-Type: application/json\n", `{"ok":false,"error":"ratelimited"}`, "rate_limited key"},
	{"generic", chat, 401, html, "<html><head><title>401 Authorization Required</title></head></html>", "invalid_key key"},
	{"generic", chat, 400, "", `{"error":{"message":"You do not have enough credits to run this task."}}`, "quota_exhausted account"},
	{"generic", chat, 400, "", `{"error":{"message":"Invalid 'messages': the text says your account has been suspended","param":"messages","type":"invalid_request_error"}}`, "client_error none"},
	{"generic", chat, 403, "", `{"detail":"User is locked. Reason: Exhausted balance. Top up your balance."}`, "quota_exhausted account"},
	{"volcengine", chat, 429, dated, `{"error":{"code":"AccountQuotaExceeded","message":"You have exceeded the 5-hour usage quota. It will reset at 2026-03-10 23:14:36 +0800 CST.","type":"TooManyRequests"}}`, "quota_exhausted account 3h14m36s limit=subscription_window"},
	{"generic", chat, 502, "", `{"error":{"message":"insufficient balance of the upstream account"}}`, "upstream_fault none"},
	{"generic", chat, 200, "Content-Type: application/json\n", `{"error":{"message":"something odd"}}`, "upstream_fault none"},
	{"generic", chat, 200, "Content-Type: application/json\n", `{"object":"error","message":"model busy","type":"TooManyRequests","code":429}`, "rate_limited key"},
	{"generic", chat, 499, "", "", "client_error none"},
	{"generic", chat, 400, "", strings.Repeat("[", 40000), "client_error none"},
	{"generic", chat, 401, "", "{\"error\":{\"message\":\"Invalid API key\",\"code\":\"inv", "invalid_key key"},
	{"generic", chat, 429, "", `{"error":{"message":{"a":1},"code":["x"],"type":7}}`, "rate_limited key"},
	{"generic", chat, 500, "", "\xff\xfe\x00", "upstream_fault none"},
	{"anthropic", messages, 401, "", `{"type":"error","error":{"type":"authentication_error","message":"This organization has been disabled."}}`, "invalid_key account"},
	{"generic", chat, 429, sse, "data: {\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}\n\n", "quota_exhausted account"},
	{"generic", chat, 403, "Content-Type: application/xml\n", `<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>`, "invalid_key key"},
	{"generic", chat, 429, "", `{"message":"You have exceeded the MONTHLY quota for Requests on your current plan, BASIC."}`, "quota_exhausted key until=next_month limit=requests_per_month"},
	{"generic", chat, 401, "", `{"message":"No API key found in request"}`, "client_error none"},
	{"generic", chat, 403, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 12\n", `{"message":"no"}`, "rate_limited key 12s"},
	{"generic", chat, 429, "", `{"error":{"type":"rate_limit_error","message":"Workspace spend limit reached"}}`, "quota_exhausted account"},
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 429, "", `{"error":{"code":"NoCapacity","message":"The service is temporarily unable to process your request. Please try again later."}}`, "upstream_fault model"},
	{"azure-openai", "POST /openai/deployments/gpt-4o/chat/completions", 424, "", `{}`, "upstream_fault none"},
	{"minimax", "POST /v1/video_generation", 200, "Content-Type: application/json\n", `{"task_id":"","base_resp":{"status_code":7777,"status_msg":"odd"}}`, "upstream_fault none"},
	{"minimax", "GET /v1/query/video_generation?task_id=1", 200, "Content-Type: application/json\n", `{"task_id":"1","status":"Fail","base_resp":{"status_code":0,"status_msg":"success"}}`, "ok none"},
	{"dashscope", "GET /api/v1/tasks/1", 200, "", `{"request_id":"r","output":{"task_id":"1","task_status":"FAILED","code":"DataInspectionFailed","message":"x"}}`, "ok none"},
}

package provider

import (
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// Groq: console.groq.com/docs/rate-limits and /errors. OpenAI's header names,
// but requests are those of a day and tokens of a minute; a day's tokens refill
// continuously, so that "try again in" is right. Limits belong to the
// organization and the model. A request that never fits is a 413.
var groq = Provider{
	Name: "groq", BaseURL: "https://api.groq.com/openai/v1", TestPath: "/models", limitsOf: theModel, AsksUsage: true,
	limitHeaders: []limitHeader{
		{quota.Requests, "requests", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests", day},
		{quota.Tokens, "tokens", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", time.Minute},
	},
	codeRules: compile([]rule{
		{codes: "rate_limit_exceeded", on: []int{413}, finding: tooLarge},
		{codes: "model_terms_required|model_permission_blocked_org|model_permission_blocked_project|model_not_allowed", finding: noModel.ends(Human)},
		{codes: "model_decommissioned", finding: modelUnknown},
		{codes: "rate_limit_exceeded", finding: modelRate},
		{codes: "blocked_api_access", finding: spendLimit},
	}),
	Bound: []Resource{{Create: "/files", Use: "/files/"}, {Create: "/batches", Use: "/batches/"}},
}

// Mistral: docs.mistral.ai/api and docs.mistral.ai/deployment/laplateforme/tier.
// Limits belong to the organization; 3505 and 3810 are the service's own
// capacity; a workspace's spending limit is a 429 until the next month's bill.
var mistral = Provider{
	Name: "mistral", BaseURL: "https://api.mistral.ai/v1", TestPath: "/models", limitsOf: theAccount,
	codeRules: compile([]rule{
		{codes: "1300|rate_limited", words: "spend limit|spending limit|usage limit|monthly", finding: spendLimit.ends(BillingCycle)},
		{codes: "3505|3810|service_tier_capacity_exceeded", finding: modelBusy},
		{codes: "1300|rate_limited|2330", finding: accountRate},
		{codes: "1500|invalid_model", finding: modelUnknown},
		{codes: "3700|invalid_request_file", finding: badRequest},
	}),
	wordRules: compile([]rule{
		{words: "service tier capacity exceeded|capacity exceeded", finding: modelBusy},
		{words: "unauthorized", on: []int{401}, finding: badKey},
	}),
	Bound: []Resource{
		{Create: "/files", Use: "/files/"}, {Create: "/batch/jobs", Use: "/batch/jobs/"}, {Create: "/fine_tuning/jobs", Use: "/fine_tuning/jobs/"},
		{Create: "/agents", Use: "/agents/", Fields: []string{"agent_id"}}, {Create: "/conversations", Use: "/conversations/"},
	},
}

// xAI: docs.x.ai. A flat {code, error}, both sentences. Limits and money belong
// to the team. A bad key is a 400.
var xAI = Provider{
	Name: "xai", BaseURL: "https://api.x.ai/v1", TestPath: "/api-key", limitsOf: theAccount,
	limitHeaders: openAILimits,
	codeRules: compile([]rule{
		{codes: "*exhausted*", words: "credits|spending limit|spend limit|purchase", finding: noMoney},
		{codes: "*exhausted*", words: "capacity|overloaded", finding: modelBusy},
		{codes: "*exhausted*", finding: accountRate},
		{codes: "*does not have permission*|*permission-denied*|*forbidden*", words: "credits|spending limit|purchase|licenses", finding: noMoney},
		{codes: "*does not have permission*|*permission-denied*|*forbidden*", words: "content violates|usage guidelines|safety", finding: badContent},
		{codes: "*does not have permission*|*permission-denied*", words: "is disabled|blocked|disabled, blocked", finding: deadKey},
		{codes: "*does not have permission*|*permission-denied*", finding: mayNotYet},
		{codes: "*not available*|*unavailable*", finding: failed},
	}),
	wordRules: compile([]rule{{words: "too many requests for team|for team", on: []int{429}, finding: modelRate}}),
}

// Together: docs.together.ai/docs/error-codes and /rate-limits. Limits belong to
// the organization, some to a model.
var together = Provider{
	Name: "together", BaseURL: "https://api.together.xyz/v1", TestPath: "/models", Hosts: []string{"api.together.ai"}, limitsOf: theAccount,
	limitHeaders: []limitHeader{{quota.Tokens, "tokens", "X-Tokenlimit-Limit", "X-Tokenlimit-Remaining", "X-Ratelimit-Reset", time.Minute}},
	codeRules: compile([]rule{
		{codes: "model_rate_limit", finding: modelRate},
		{codes: "dynamic_request_limited|dynamic_token_limited|overloaded", finding: modelBusy},
		{codes: "credit_limit", finding: noMoney},
	}),
	Bound: []Resource{{Create: "/files", Use: "/files/"}, {Create: "/fine-tunes", Use: "/fine-tunes/"}, {Create: "/batches", Use: "/batches/"}, {Create: "/videos", Use: "/videos/"}},
}

// Cohere: docs.cohere.com/reference/errors and /docs/rate-limits. Everything is
// in the message. A trial key has a thousand calls a month.
var cohere = Provider{
	Name: "cohere", BaseURL: "https://api.cohere.com", TestPath: "/v1/check-api-key", TestMethod: "POST",
	wordRules: compile([]rule{
		{words: "trial key&month|calls / month|calls per month", on: []int{429}, finding: finding{kind: engine.QuotaExhausted, blame: theAccount, until: NextMonth, limit: "requests_per_month", why: "the trial's month is used up"}},
		{words: "trial key&minute|trial token rate limit|calls / minute", on: []int{429}, finding: tooFast.blames(theKey)},
		{words: "maximum billing reached for this api key", finding: keyCap.limited("spend_limit").ends(FirstOfMonthUTC)},
		{words: "have access to the model", finding: noModel},
	}),
	Bound: []Resource{{Create: "/datasets", Use: "/datasets/"}, {Create: "/embed-jobs", Use: "/embed-jobs/", ID: "job_id"}, {Create: "/finetuning/finetuned-models", Use: "/finetuning/finetuned-models/", ID: "finetuned_model.id"}},
}

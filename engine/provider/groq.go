package provider

import (
	"time"

	"keywheel/engine/quota"
)

// Groq: console.groq.com/docs/rate-limits and /errors. OpenAI's header names,
// but requests are those of a day and tokens of a minute; a day's tokens refill
// continuously, so that "try again in" is right. Limits belong to the
// organization and the model. A request that never fits is a 413.
var groq = Provider{
	Name: "groq", BaseURL: "https://api.groq.com/openai/v1", TestPath: "/models", limitsOf: theModel, AsksUsage: true,
	limitHeaders: []limitHeader{
		{quota.Requests, "requests", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests", day, false},
		{quota.Tokens, "tokens", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", time.Minute, false},
	},
	codeRules: compile([]rule{
		{codes: "rate_limit_exceeded", on: []int{413}, finding: tooLarge},
		{codes: "model_terms_required|model_permission_blocked_org|model_permission_blocked_project|model_not_allowed", finding: noModel.ends(Human)},
		{codes: "model_decommissioned", finding: modelUnknown},
		{codes: "rate_limit_exceeded", finding: modelRate},
		{codes: "blocked_api_access", finding: spendLimit},
	}),
	Bound: []Resource{files, batches},
}

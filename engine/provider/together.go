package provider

import (
	"time"

	"keywheel/engine/quota"
)

// Together: docs.together.ai/docs/error-codes and /rate-limits. Limits belong to
// the organization, some to a model.
var together = Provider{
	Name: "together", BaseURL: "https://api.together.xyz/v1", TestPath: "/models", Hosts: []string{"api.together.ai"}, limitsOf: theAccount,
	limitHeaders: []limitHeader{{quota.Tokens, "tokens", "X-Tokenlimit-Limit", "X-Tokenlimit-Remaining", "X-Ratelimit-Reset", time.Minute, false}},
	codeRules: compile([]rule{
		{codes: "model_rate_limit", finding: modelRate},
		{codes: "dynamic_request_limited|dynamic_token_limited|overloaded", finding: modelBusy},
		{codes: "credit_limit", finding: noMoney},
	}),
	Bound: []Resource{files, {Create: "/fine-tunes", Use: "/fine-tunes/"}, batches, {Create: "/videos", Use: "/videos/"}},
}

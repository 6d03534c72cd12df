package provider

// OpenAI: platform.openai.com/docs/guides/error-codes and /guides/rate-limits.
// Limits belong to the organization and the model (or a group of models); money
// to the organization, some spending limits to a project.
var openAI = Provider{
	Name: "openai", BaseURL: "https://api.openai.com/v1", TestPath: "/models", AsksUsage: true,
	limitHeaders: openAILimits, limitsOf: theModel,
	codeRules: compile([]rule{
		{codes: "insufficient_quota|credit_balance_exhausted|billing_not_active", words: "project&spend", finding: spendLimit},
		// What a ChatGPT subscription says.
		{codes: "usage_limit_reached|usage_not_included", finding: planWindow},
		{codes: "server_is_overloaded|slow_down", on: []int{5}, finding: busy},
		{codes: "slow_down", finding: tooFast},
	}),
	wordRules: compile([]rule{
		// A restricted key, or a role; the key lives.
		{words: "you have insufficient permissions for this operation|restricted api key", finding: mayNot.because("the key lacks a scope")},
		{words: "must be a member of an organization|not a member of", on: []int{401, 403}, finding: badKey.because("the key's user belongs to no organization")},
		{words: "limit&requests per min|limit&tokens per min|limit&requests per day|limit&tokens per day|limit&images per", finding: modelRate},
		{words: "engine is currently overloaded", finding: busy},
		{words: "must be verified to use the model|must be verified to", finding: noModel.ends(Human)},
	}),
	Bound: openAIResources,
}

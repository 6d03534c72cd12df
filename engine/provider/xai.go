package provider

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
	Bound: []Resource{
		files, responses, {Create: "/batches", ID: "batch_id|id", Use: "/batches/"},
		{Create: "/videos/generations", ID: "request_id", Use: "/videos/"}, {Use: "/chat/deferred-completion/"},
	},
}

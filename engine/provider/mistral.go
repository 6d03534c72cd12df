package provider

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
		files, {Create: "/batch/jobs", Use: "/batch/jobs/", Fields: []string{"input_files"}, Tells: "output_file|error_file"}, fineTunes,
		{Create: "/agents", Use: "/agents/", Fields: []string{"agent_id"}}, {Create: "/conversations", ID: "conversation_id", Use: "/conversations/"},
	},
}

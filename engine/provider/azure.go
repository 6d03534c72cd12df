package provider

import (
	"slices"

	"keywheel/engine"
)

// Azure OpenAI: learn.microsoft.com/azure/ai-services/openai. The endpoint
// belongs to the key; limits to the deployment, whichever of a resource's two
// keys is used. Its reset headers are bare seconds.
var azure = Provider{
	Name: "azure-openai", AuthHeader: "Api-Key", AlsoHeaders: []string{"Authorization"}, Hosts: []string{".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"}, AsksUsage: true,
	limitHeaders: openAILimits, limitsOf: theModel,
	codeRules: compile([]rule{
		{codes: "deploymentnotfound", finding: noModel.because("this resource has no such deployment, another may")},
		{codes: "ratelimitreached|toomanyrequests|429", words: "token rate limit|tokens per minute", finding: modelRate.limited("tokens_per_minute")},
		{codes: "ratelimitreached|toomanyrequests|429", words: "call rate limit|request rate limit|requests per minute", finding: modelRate.limited("requests_per_minute")},
		{codes: "ratelimitreached|toomanyrequests|429", words: "exceeded&limit|retry after", finding: modelRate},
		{codes: "nocapacity|capacityexceeded|enginenotready", finding: modelBusy},
		{codes: "permissiondenied|lackpermission|authorizationfailed", on: []int{401, 403}, finding: mayNot.because("the identity lacks a role")},
		{codes: "quotaexceeded|insufficientquota", on: []int{429}, words: "token|requests", finding: modelRate},
	}),
	wordRules: compile([]rule{
		{words: "call volume quota&replenished|quota exceeded&replenished", finding: finding{kind: engine.QuotaExhausted, blame: theKey, limit: "requests_per_day", why: "the call volume allowed by the gateway is used up"}},
		{words: "call volume quota", finding: finding{kind: engine.QuotaExhausted, blame: theAccount, until: ResetOrHuman, limit: "credits", why: "the call volume of the resource is used up"}},
		{words: "virtual network/firewall|public access is disabled|not allowed by network", finding: notHere},
		{words: "lacks the required data action|principal does not have access|does not have access to api/operation", on: []int{401, 403}, finding: mayNot.because("the identity lacks a role")},
		{words: "rate limit is exceeded|exceeded token rate limit|exceeded call rate limit|exceeded request rate limit", on: []int{429}, finding: modelRate},
		{words: "subscription&disabled|subscription is not active|resource has been disabled", on: []int{401, 403}, finding: deadAccount},
	}),
	// The resource is the account: its endpoint and its two keys go together.
	Bound: slices.Concat(openAIResources, []Resource{
		{Create: "/video/generations/jobs", Use: "/video/generations/jobs/", Tells: "generations.#.id"}, {Use: "/video/generations/"},
	}),
}

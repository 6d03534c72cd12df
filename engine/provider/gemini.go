package provider

import "keywheel/engine"

// Gemini, native and OpenAI-compatible: ai.google.dev/gemini-api/docs/rate-limits
// and /troubleshooting; cloud.google.com/apis/design/errors for the details.
// Limits belong to the project and the model. Days end at midnight Pacific, and
// the RetryInfo beside a day's violation is that of the minute.
var gemini = Provider{
	Name: "gemini", BaseURL: "https://generativelanguage.googleapis.com/v1beta", AuthHeader: "X-Goog-Api-Key", AlsoHeaders: []string{"Authorization"},
	Dialect: DialectGoogle, TestPath: "/models?pageSize=1", Zone: Pacific, Roots: [][2]string{
		{"/v1/chat/completions", "/v1beta/openai/chat/completions"}, {"/v1/embeddings", "/v1beta/openai/embeddings"},
		{"/v1/images/generations", "/v1beta/openai/images/generations"},
		{"/upload/", "/upload/"}, {"/v1/", "/v1/"}, {"/v1alpha/", "/v1alpha/"}},
	limitsOf: theModel, dayEnds: MidnightPacific,
	codeRules: compile([]rule{
		{codes: "api_key_invalid", words: "expired", finding: badKey.because("the key has expired")},
		{codes: "api_key_invalid|api_key_not_found", finding: badKey},
		{codes: "consumer_suspended|consumer_invalid", finding: deadKey},
		{codes: "billing_disabled", finding: noMoney},
		{codes: "permission_denied", words: "leaked", finding: deadKey.because("the key was reported as leaked")},
		{codes: "permission_denied", words: "cachedcontent|access the file|tunedmodel|it may not exist", finding: elsewhere},
		{codes: "permission_denied", words: "has been suspended|denied access. please contact support", finding: deadAccount},
		{codes: "failed_precondition", words: "location|country|region", finding: notHere},
		{codes: "failed_precondition", words: "billing", finding: noMoney},
		{codes: "resource_exhausted|429", words: "prepayment|credits are depleted|credits&depleted|purchase|top up", finding: noMoney},
		{codes: "resource_exhausted|429", words: "spending cap|spend cap|spending limit|spend limit|monthly budget", finding: spendLimit},
		{codes: "resource_exhausted|429", words: "limit: 0,|limit: 0\n|limit: 0 ", finding: noModel.ends(Human).blames(theModel).because("the project has no allowance for this model")},
		{codes: "*token*perday*|*token*per_day*", finding: daySpent.limited("tokens_per_day")},
		{codes: "*perday*|*per_day*", finding: daySpent.limited("requests_per_day")},
		{codes: "*token*perminute*|*token*per_minute*", finding: modelRate.limited("tokens_per_minute")},
		{codes: "*request*perminute*", finding: modelRate.limited("requests_per_minute")},
		{codes: "resource_exhausted|429", words: "per_day|per day|perday", finding: daySpent},
		{codes: "resource_exhausted|rate_limit_exceeded", words: "overloaded|capacity", finding: modelBusy},
		{codes: "resource_exhausted|rate_limit_exceeded", finding: modelRate},
		{codes: "unavailable|internal|deadline_exceeded|aborted", finding: failed},
	}),
	Bound: []Resource{
		{Create: "/files", Use: "/files/", ID: "file.name|name", Fields: []string{"fileUri", "file_uri", "fileName", "file_name"}},
		// A large file goes up in a session of its own, which knows its key.
		{Create: "/upload/", ID: "file.name", Head: "X-Goog-Upload-Url", Query: "upload_id"},
		{Create: "/cachedContents", Use: "/cachedContents/", ID: "name", Fields: []string{"cachedContent", "cached_content"}},
		{Create: "/tunedModels", Use: "/tunedModels/", ID: "metadata.tunedModel|name"},
		{Create: ":predictLongRunning", Use: "/operations/", ID: "name", Tells: "response.generateVideoResponse.generatedSamples.#.video.uri"},
		{Create: ":batchGenerateContent", Use: "/batches/", ID: "name", Tells: "response.responsesFile|metadata.output.responsesFile"},
		files, batches, // of its OpenAI-compatible API
	},
}

var daySpent = finding{kind: engine.QuotaExhausted, blame: theModel, until: MidnightPacific, limit: "requests_per_day", why: "the day's allowance for this model is used up"}

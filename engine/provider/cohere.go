package provider

import "keywheel/engine"

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

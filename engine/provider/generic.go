package provider

import "keywheel/engine"

// generic is any API like OpenAI's, or any plain REST API with its key in a
// header.
var generic = Provider{Name: "generic", limitHeaders: openAILimits, flatErrors: true, anyAPI: true, Bound: openAIResources,
	wordRules: compile([]rule{
		{words: "payment required", on: []int{402}, finding: noMoney},
		{on: []int{412}, words: "balance|credit|quota|payment", finding: finding{kind: engine.QuotaExhausted, blame: theAccount, until: Human, limit: "credits", why: "money is gone"}},
	}),
}

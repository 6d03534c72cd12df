package provider

import (
	"slices"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// AIMLAPI: docs.aimlapi.com/errors-and-messages. Its envelope is {message, path,
// requestId, statusCode, timestamp}; money is a 403. A key may have scopes and a
// cap of its own, which starts anew at 00:00 UTC.
var aimlapi = Provider{
	Name: "aimlapi", BaseURL: "https://api.aimlapi.com/v1", TestPath: "/v2/billing", Hosts: []string{".aimlapi.com"}, AsksUsage: true,
	limitHeaders: openAILimits, dayEnds: MidnightUTC,
	Balance: &Balance{Path: "/v2/billing", Read: func(body gjson.Result) (Funds, bool) {
		return left(body.Get("current_balance"), body.Get("currency").String())
	}},
	Permits: &Permits{Path: "/v1/key", Read: aimlPermits},
	wordRules: compile([]rule{
		{words: "under maintenance", on: []int{4, 5}, finding: modelBusy.because("the model is under maintenance, for every key")},
		{words: "free-tier limit|free tier limit|reached the limit of&per hour", on: []int{403, 429}, finding: finding{kind: engine.RateLimited, blame: theAccount, limit: "requests_per_hour", why: "the free tier's limit is reached"}},
		{words: "key&daily limit|key&weekly limit|key&monthly limit|key&usage limit|key&spend", on: []int{402, 403, 429}, finding: keyCap},
		{words: "management key|scope", on: []int{401, 403}, finding: mayNot.because("the key lacks a scope")},
		{words: "run out of credits|top up your balance|payment method", finding: noMoney},
		{words: "verification|verify your", on: []int{403}, finding: accountMayNot},
		{words: "generation not found", finding: elsewhere},
	}),
	// The id of a generation may end in its vendor, ":kling".
	Bound: slices.Concat(openAIResources, []Resource{
		{Create: "/video/generations", ID: "generation_id|id", Query: "generation_id"}, {Create: "/generate/video/", ID: "generation_id|id"},
		{Create: "/generate/audio", ID: "generation_id|id"}, {Create: "/stt/create", ID: "generation_id|id", Use: "/stt/"},
		{Use: "/batches/cancel/"},
	}),
}

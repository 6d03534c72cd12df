package provider

import (
	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// OpenRouter: openrouter.ai/docs/api-reference/errors and /limits. Its own
// limits carry X-RateLimit headers, in the head or in metadata.headers; what has
// a provider_name was said by the provider behind it, whose limits are not the
// key's. Free models are counted by the account and start anew at 00:00 UTC.
var openRouter = Provider{
	Name: "openrouter", BaseURL: "https://openrouter.ai/api/v1", TestPath: "/key", AsksUsage: true,
	dayEnds: MidnightUTC, limitsOf: theAccount,
	// The account's /credits are only for management keys.
	Balance: &Balance{Path: "/key", OfKey: true, Read: func(body gjson.Result) (Funds, bool) {
		remaining := body.Get("data.limit_remaining")
		if remaining.Type == gjson.Null && remaining.Exists() {
			return Funds{Unlimited: true, Currency: "USD"}, true
		}
		return left(remaining, "USD")
	}},
	codeRules: compile([]rule{
		// Flagged input comes with the name of the provider that would not.
		{codes: "from_provider", on: []int{400, 403}, words: "flagged|moderation|blocked|policy", finding: badContent},
		{codes: "from_provider", on: []int{402, 429}, finding: modelBusy.because("the provider behind it refuses, for every key")},
		{codes: "from_provider", on: []int{0, 408, 5}, finding: failed.because("the provider behind it failed")},
		{codes: "from_provider", on: []int{401}, finding: failed.because("the provider behind it does not accept OpenRouter's key")},
		{codes: "capacity_exhausted|provider_overloaded", finding: modelBusy},
		{codes: "provider_unavailable|provider_timeout", finding: failed},
		{codes: "openrouter_key_limit|key_limit|api_key_limit", finding: keyCap},
		{codes: "openrouter_credits|insufficient_credits", finding: noMoney},
	}),
	headerRule: func(s *signs) (finding, string) {
		// What failed once the model had begun is not about the key.
		if s.inBody && s.status == 429 {
			return modelBusy.because("the provider behind it refused, once the answer had begun"), "an error inside a 200"
		}
		return finding{}, ""
	},
	wordRules: compile([]rule{
		{words: "key limit exceeded|/settings/keys", on: []int{402, 403}, finding: keyCap},
		{words: "free-models-per-day", finding: finding{kind: engine.QuotaExhausted, blame: theAccount, until: MidnightUTC, limit: "requests_per_day", why: "the day's free requests are used up"}},
		{words: "free-models-per-min", finding: accountRate.limited("requests_per_minute")},
		{words: "limit_rpm/|limit_rpd/|limited to", on: []int{429}, finding: modelRate},
		{words: "no endpoints found matching your data policy|data policy", on: []int{404}, finding: accountMayNot.because("the account's privacy settings leave no provider")},
		{words: "at capacity|rate-limited upstream|provider returned error", on: []int{0, 429, 5}, finding: modelBusy},
		{words: "request blocked", on: []int{403}, finding: badContent},
	}),
	Bound: []Resource{{Use: "/generation", Query: "id"}, {Create: "/videos", Use: "/videos/"}},
}

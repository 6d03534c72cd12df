package provider

import (
	"github.com/tidwall/gjson"
)

// DeepSeek: api-docs.deepseek.com/quick_start/error_codes. The code is always
// invalid_request_error and says nothing; 402 is money; there are no fixed rate
// limits, a 429 paces the key.
var deepSeek = Provider{
	Name: "deepseek", BaseURL: "https://api.deepseek.com", TestPath: "/models", AsksUsage: true,
	Balance: &Balance{Path: "/user/balance", Read: func(body gjson.Result) (Funds, bool) {
		info := body.Get("balance_infos.0")
		ok := body.Get("is_available").Exists()
		return Funds{Left: info.Get("total_balance").Float(), Currency: info.Get("currency").String(), Unusable: ok && !body.Get("is_available").Bool()}, ok
	}},
	codeRules: compile([]rule{
		{codes: "authentication_error", words: "(governor)", finding: noKeySent},
	}),
	wordRules: compile([]rule{
		{words: "content exists risk", finding: badContent},
	}),
}

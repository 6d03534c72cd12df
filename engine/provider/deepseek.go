package provider

import (
	"github.com/tidwall/gjson"
)

// DeepSeek: api-docs.deepseek.com/quick_start/error_codes. The code is always
// invalid_request_error and says nothing; 402 is money; there are no fixed rate
// limits, a 429 paces the key.
var deepSeek = Provider{
	Name: "deepseek", BaseURL: "https://api.deepseek.com", TestPath: "/models", AsksUsage: true,
	Roots: [][2]string{{"/user/", "/user/"}},
	Balance: &Balance{Path: "/user/balance", Read: func(body gjson.Result) (Funds, bool) {
		var f Funds
		for _, info := range body.Get("balance_infos").Array() { // one for each currency
			if f.Left <= 0 {
				f, _ = left(info.Get("total_balance"), info.Get("currency").String())
			}
		}
		available := body.Get("is_available")
		f.Unusable = !available.Bool() // it knows of all currencies
		return f, available.IsBool()
	}},
	codeRules: compile([]rule{
		{codes: "authentication_error", words: "(governor)", finding: noKeySent},
	}),
	wordRules: compile([]rule{
		{words: "content exists risk", finding: badContent},
	}),
}

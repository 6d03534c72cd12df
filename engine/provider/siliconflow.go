package provider

import (
	"github.com/tidwall/gjson"
)

// SiliconFlow: docs.siliconflow.cn/cn/faqs/error-code. A flat {code, message,
// data}, or a bare string. Limits are those of the account and the model; the
// code 50603 is both a limit (429) and an overload (503).
var siliconFlow = Provider{
	Name: "siliconflow", BaseURL: "https://api.siliconflow.cn/v1", TestPath: "/models", Hosts: []string{"api.siliconflow.com"}, AsksUsage: true,
	Zone: Beijing, limitsOf: theModel, flatErrors: true, limitHeaders: openAILimits,
	Balance: &Balance{Path: "/user/info", Read: func(body gjson.Result) (Funds, bool) {
		b := body.Get("data.totalBalance")
		if !b.Exists() {
			b = body.Get("data.balance")
		}
		return left(b, "CNY")
	}},
	codeRules: compile([]rule{
		{codes: "30001|30011", finding: noMoney},
		{codes: "30003|30004|30005", finding: noModel.because("the model is switched off here")},
		{codes: "20012", finding: modelUnknown},
		{codes: "20015|20013|20014|20016|20017|20018|20019", finding: badRequest},
		{codes: "50603|50501|50502|50504|50505|50507|50508|50509", on: []int{0, 5}, finding: busy},
		{codes: "50603", on: []int{4}, words: "rate limit|limit reached", finding: modelRate},
		{codes: "50603", finding: modelBusy},
		{codes: "20041|20042|20060", finding: badKey},
	}),
	wordRules: compile([]rule{
		{words: "rejected due to rate limiting", finding: modelRate},
		{words: "real-name|实名", on: []int{401, 403}, finding: accountMayNot.because("the account has to be verified")},
	}),
	Bound: []Resource{{Create: "/video/submit", Use: "/video/status", ID: "requestId", Fields: []string{"requestId"}}, files, batches},
}

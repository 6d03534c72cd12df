package provider

import "keywheel/engine"

// Zhipu (GLM): docs.bigmodel.cn/cn/faq/api-code. The code decides, whatever the
// status; times in texts are Beijing's. Limits belong to the account.
var zhipu = Provider{
	Name: "zhipu", BaseURL: "https://open.bigmodel.cn/api/paas/v4", TestPath: "/models", Hosts: []string{"api.z.ai"}, Roots: [][2]string{{"/api/", "/api/"}},
	Zone: Beijing, limitsOf: theAccount, dayEnds: MidnightBeijing, flatErrors: true,
	codeRules: compile([]rule{
		{codes: "1001", finding: noKeySent},
		{codes: "1000|1002|1003|1004|1005", finding: badKey},
		{codes: "1110|1111|1112|1121|1120", finding: deadAccount.because("the account is locked, inactive or under arrest")},
		{codes: "1113", finding: noMoney.because("money is gone, or a plan's key is used at the pay-as-you-go address")},
		{codes: "1309", finding: noPlan},
		{codes: "1220|1221|1222", finding: mayNotYet},
		{codes: "1311", finding: noModel.blames(theModel).ends(Human).because("the plan does not have the model")},
		{codes: "1300|1301", finding: badContent},
		{codes: "1302|1303", words: "并发|concurren", finding: accountRate.limited("concurrency")},
		{codes: "1302|1303", finding: accountRate.limited("requests_per_minute")},
		{codes: "1304", finding: finding{kind: engine.QuotaExhausted, blame: theAccount, until: MidnightBeijing, limit: "requests_per_day", why: "the day's calls are used up"}},
		{codes: "1308|1310|1316|1317|1318", finding: planWindow},
		{codes: "1313|1314|1315", finding: accountMayNot.because("the plan may not be used this way")},
		{codes: "1305|1312", finding: modelBusy},
		{codes: "1211", finding: modelUnknown},
		{codes: "1261", finding: tooLarge},
		{codes: "1200|1230|1234", finding: failed},
		{codes: "12*", finding: badRequest},
		{codes: "500|1500", finding: failed},
	}),
	Bound: []Resource{
		{Create: "/videos/generations", Use: "/async-result/"}, {Create: "/async/chat/completions", Use: "/async-result/"}, {Create: "/async/images/generations", Use: "/async-result/"},
		files, batches,
	},
}

package provider

import "keywheel/engine"

// Volcengine Ark (Doubao): www.volcengine.com/docs/82379/1299023. Limits belong
// to the account and the model or the endpoint made of it.
var volcengine = Provider{
	Name: "volcengine", BaseURL: "https://ark.cn-beijing.volces.com/api/v3", TestPath: "/models", Hosts: []string{".volces.com", ".bytepluses.com"}, AsksUsage: true,
	Zone: Beijing, limitsOf: theModel, dayEnds: MidnightBeijing,
	codeRules: compile([]rule{
		{codes: "accountoverdue*|operationdenied.accountoverdue*", finding: noMoney},
		{codes: "setlimitexceeded|inferencelimitexceeded", finding: finding{kind: engine.QuotaExhausted, blame: theModel, until: Human, limit: "spend_limit", why: "the limit set for this model is reached"}},
		{codes: "quotaexceeded", words: "free|trial|免费", finding: noMoney.blames(theModel)},
		{codes: "*tpdexceeded*", finding: volcDay.limited("tokens_per_day")},
		{codes: "*rpdexceeded*|*ipdexceeded*", finding: volcDay.limited("requests_per_day")},
		{codes: "accountratelimitexceeded", finding: accountRate.limited("requests_per_minute")},
		{codes: "accountquotaexceeded", finding: planWindow},
		{codes: "invalidsubscription", finding: noPlan},
		{codes: "ratelimitexceeded.*tpm*|*tpmexceeded*|modelaccounttpmratelimitexceeded|modelaccountipmratelimitexceeded", finding: modelRate.limited("tokens_per_minute")},
		{codes: "*rpmexceeded*|modelaccountrpmratelimitexceeded|ratelimitexceeded*|requestburst*", finding: modelRate.limited("requests_per_minute")},
		{codes: "serveroverloaded*|modelloadingerror", finding: modelBusy},
		{codes: "modelnotopen|operationdenied.servicenotopen|accessdenied*|operationdenied.*", finding: noModel.ends(Human)},
		{codes: "invalidendpoint*|invalidendpointormodel*", words: "access", finding: noModel},
		{codes: "invalidaccountstatus|accountdisabled", finding: deadAccount},
		{codes: "sensitivecontent*|inputtextsensitive*|inputimagesensitive*|*sensitivecontentdetected*|*riskdetection*", finding: badContent},
		{codes: "internalserviceerror|internalservererror", finding: failed},
		{codes: "unauthorized", on: []int{401}, words: "not authorized to access", finding: mayNot},
	}),
	Bound: []Resource{{Create: "/contents/generations/tasks", Use: "/contents/generations/tasks/"}, files, responses,
		{Create: "/context/create", Fields: []string{"context_id"}}},
}

var volcDay = finding{kind: engine.QuotaExhausted, blame: theModel, until: MidnightBeijing, why: "the day's allowance for this model is used up"}

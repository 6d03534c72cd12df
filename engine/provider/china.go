package provider

import "keywheel/engine"

// DashScope (Qwen): help.aliyun.com/zh/model-studio/error-code. Limits belong to
// the account and the model. Its insufficient_quota is OpenAI's word for a
// minute's tokens, not money. A key belongs to one region.
var dashScope = Provider{
	Name: "dashscope", BaseURL: "https://dashscope.aliyuncs.com/compatible-mode/v1", TestPath: "/models", AsksUsage: true,
	Hosts: []string{"dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"}, Roots: [][2]string{{"/api/v1/", "/api/v1/"}},
	Zone: Beijing, limitsOf: theModel, dayEnds: MidnightBeijing,
	codeRules: compile([]rule{
		{codes: "arrearage", finding: noMoney},
		{codes: "allocationquota.freetieronly", finding: noMoney.blames(theModel).because("the free allowance is used up, and paying is switched off")},
		{codes: "commoditynotpurchased|prepaidbilloverdue|postpaidbilloverdue", finding: noMoney},
		{codes: "throttling.allocationquota|insufficient_quota", finding: modelRate.limited("tokens_per_minute").because("a minute's tokens are used up; it is not money here")},
		{codes: "throttling.ratequota|limit_requests|throttling.burstrate|throttling", finding: modelRate},
		{codes: "modelservingerror|serviceunavailable|model_not_ready", finding: modelBusy},
		{codes: "model.accessdenied|app.accessdenied|workspace.accessdenied", finding: noModel.ends(Human)},
		{codes: "accessdenied.unpurchased", finding: accountMayNot.because("the service is not activated")},
		{codes: "accessdenied", finding: mayNot},
		{codes: "invalidparameter|invalid_parameter_error", words: "model can not be found|model not exist", finding: modelUnknown},
		{codes: "datainspectionfailed|data_inspection_failed", finding: badContent},
		{codes: "internalerror*|systemerror|requesttimeout", finding: failed},
	}),
	Bound: []Resource{{Create: "/services/aigc/", Use: "/tasks/", ID: "output.task_id"}, {Create: "/files", Use: "/files/"}, {Create: "/batches", Use: "/batches/"}},
}

// MiniMax: platform.minimax.io/docs/api-reference/errorcode. Errors come with
// status 200, in base_resp.
var miniMax = Provider{
	Name: "minimax", BaseURL: "https://api.minimax.io/v1", Hosts: []string{"api.minimaxi.com", "api.minimax.chat"},
	Zone: Beijing, limitsOf: theAccount, dayEnds: MidnightBeijing, flatErrors: true,
	codeRules: compile([]rule{
		{codes: "1002", finding: accountRate.limited("requests_per_minute")},
		{codes: "2045", finding: accountRate},
		{codes: "1039", finding: accountRate.limited("tokens_per_minute")},
		{codes: "1041", finding: accountRate.limited("concurrency")},
		{codes: "1004|2049", words: "missing|carry the api|no authorization", finding: noKeySent},
		{codes: "1004|2049", finding: badKey},
		{codes: "1008", finding: noMoney},
		{codes: "2056|2064", finding: planWindow},
		{codes: "2061", finding: noModel.blames(theModel).ends(Human).because("the plan does not have the model")},
		{codes: "1026|1027|1042|1043|1044", finding: badContent},
		{codes: "2013|2037|2039|2042|2048|20132", finding: badRequest},
		{codes: "1000|1001|1013|1024|1033|1034|2054", finding: failed},
	}),
	Bound: []Resource{{Create: "/video_generation", Use: "/query/video_generation", ID: "task_id", Query: "task_id"}, {Create: "/t2a_async_v2", Use: "/query/t2a_async_query_v2", ID: "task_id", Query: "task_id"},
		{Create: "/files/upload", Use: "/files/retrieve", ID: "file.file_id", Query: "file_id"}},
}

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
	Bound: []Resource{{Create: "/contents/generations/tasks", Use: "/contents/generations/tasks/"}, {Create: "/files", Use: "/files/"}, {Create: "/responses", Use: "/responses/", Fields: []string{"previous_response_id"}},
		{Create: "/context/create", Use: "/context/", Fields: []string{"context_id"}}},
}

var volcDay = finding{kind: engine.QuotaExhausted, blame: theModel, until: MidnightBeijing, why: "the day's allowance for this model is used up"}

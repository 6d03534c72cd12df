package provider

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
	Bound: []Resource{{Create: "/services/aigc/", Use: "/tasks/", ID: "output.task_id"}, files, batches},
}

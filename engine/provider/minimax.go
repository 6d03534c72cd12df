package provider

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
	Bound: []Resource{{Create: "/video_generation", Use: "/query/video_generation", ID: "task_id", Query: "task_id", Tells: "file_id"}, {Create: "/t2a_async_v2", Use: "/query/t2a_async_query_v2", ID: "task_id", Query: "task_id", Tells: "file_id"},
		{Create: "/files/upload", Use: "/files/retrieve", ID: "file.file_id", Query: "file_id"}},
}

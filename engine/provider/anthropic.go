package provider

import (
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// Anthropic: docs.anthropic.com/en/api/errors and /rate-limits. Limits belong to
// the organization and a class of models, some to a workspace.
var anthropic = Provider{
	Name: "anthropic", BaseURL: "https://api.anthropic.com/v1", AuthHeader: "X-Api-Key", AlsoHeaders: []string{"Authorization"},
	Dialect: DialectAnthropic, TestPath: "/models", TestHeader: map[string]string{"Anthropic-Version": "2023-06-01"},
	limitsOf: theAccount, headerRule: unified,
	limitHeaders: []limitHeader{
		{quota.Requests, "requests", "Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset", time.Minute, false},
		{quota.Input, "input-tokens", "Anthropic-Ratelimit-Input-Tokens-Limit", "Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset", time.Minute, false},
		{quota.Output, "output-tokens", "Anthropic-Ratelimit-Output-Tokens-Limit", "Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset", time.Minute, false},
		{quota.Tokens, "tokens", "Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset", time.Minute, false},
	},
	codeRules: compile([]rule{
		// The monthly cap of a tier: no Retry-After, back on the first.
		{codes: "enforced_spend_limit_reached", finding: spendLimit.ends("first_of_next_month_utc")},
		{codes: "forbidden", words: "request not allowed", finding: notHere},
		{codes: "billing_error|credit_balance_too_low", finding: noMoney},
		{codes: "permission_error|authentication_error", words: "oauth&not allowed|oauth&organization|oauth authentication is currently not", finding: accountMayNot.because("the organization does not allow this kind of credential")},
		{codes: "rate_limit_error", words: "tokens per minute|requests per minute|concurrent", finding: modelRate},
		{codes: "rate_limit_error", words: "usage limit|spend limit", finding: spendLimit.ends("first_of_next_month_utc")},
		{codes: "rate_limit_error", words: "extra usage|long context&subscription", finding: noModel.because("the plan has no room for this")},
		{codes: "overloaded_error|timeout_error", finding: busy},
		{codes: "request_too_large", finding: tooLarge},
	}),
	wordRules: compile([]rule{
		{words: "organization has been disabled|organization is disabled|workspace has been archived", finding: deadAccount},
		{words: "usage limits&regain|specified api usage limits|specified workspace api usage limits", finding: spendLimit},
		{words: "credit balance is too low", finding: noMoney},
		{words: "only authorized for use with", on: []int{400, 403}, finding: mayNot.because("this credential is for another client only")},
	}),
	Bound: []Resource{
		{Create: "/messages/batches", Use: "/messages/batches/"}, {Create: "/files", Use: "/files/", Fields: []string{"file_id"}},
		{Create: "/skills", Use: "/skills/"}, {Query: "after_id"}, {Query: "before_id"},
	},
}

// unifiedWindows are those of a subscription's limits, with the model that one
// is for.
var unifiedWindows = []struct{ name, model string }{{"5h", ""}, {"7d", ""}, {"7d_oi", "opus"}, {"7d_opus", "opus"}, {"7d_sonnet", "sonnet"}, {"overage", ""}}

const unifiedPrefix = "Anthropic-Ratelimit-Unified-"

// unified reads the limits of a subscription's credential. Only the window
// that is rejected counts, not the one that is reset last.
func unified(s *signs) (finding, string) {
	if s.status != 429 || first(s.header, unifiedPrefix+"Status") != "rejected" {
		return finding{}, ""
	}
	f := planWindow.ends("")
	var last time.Time
	by := "header anthropic-ratelimit-unified-status: rejected"
	for _, w := range unifiedWindows {
		// http.CanonicalHeaderKey leaves what stands behind an underscore alone.
		name := unifiedPrefix + strings.ToUpper(w.name[:1]) + w.name[1:]
		if st := first(s.header, name+"-Status"); st != "rejected" {
			continue
		}
		if t, ok := unixTime(first(s.header, name+"-Reset")); ok && t.After(last) {
			last = t
			by = "header anthropic-ratelimit-unified-" + w.name + "-status: rejected"
			f.blame = theAccount
			if w.model != "" {
				f.blame, f.why = theModel, "the plan's window for "+w.model+" is used up"
			}
		}
	}
	if last.IsZero() {
		last, _ = unixTime(first(s.header, unifiedPrefix+"Reset"))
	}
	s.setUntil(last, "anthropic-ratelimit-unified-reset")
	f.kind = engine.QuotaExhausted
	return f, by
}

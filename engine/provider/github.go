package provider

import (
	"net/http"
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// GitHub: docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api.
// Its limits belong to the user, and are a 403 as often as a 429: Retry-After
// goes first, then the reset if nothing remains, else at least a minute. What
// is asked without a User-Agent is refused.
var gitHub = Provider{
	Name: "github", BaseURL: "https://api.github.com", Dialect: DialectGitHub, TestPath: "/rate_limit", ReadOnly: true, FreeUnchanged: true,
	limitsOf: theAccount, flatErrors: true, anyAPI: true, headerRule: gitHubHead,
	limitHeaders: []limitHeader{{quota.Requests, "requests", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", time.Hour, true}},
	codeRules: compile([]rule{
		{codes: "rate_limited|rate_limit", on: []int{0}, finding: accountRate.because("the hour's points are used up")},
	}),
	wordRules: compile([]rule{
		{words: "archived so is read-only|repository was archived", on: []int{403}, finding: badRequest},
		{words: "secondary rate limit|abuse detection|abuse rate", finding: gitHubSlow},
		{words: "api rate limit exceeded", finding: accountRate},
		{words: "ip allow list", finding: notFromHere},
		{words: "account was suspended|account is suspended|account has been suspended|sorry. your account", finding: deadAccount},
		{words: "saml", on: []int{403}, finding: mayNotYet.because("the organization wants a sign-on for this key")},
		{words: "administrative rules|user agent|user-agent", on: []int{403}, finding: badRequest.because("it wants a User-Agent")},
		{words: "bad credentials", on: []int{401}, finding: badKey},
		{words: "repository access blocked|dmca|unavailable due to", on: []int{403, 451}, finding: badRequest.because("what is asked for is closed to all")},
	}),
}

var gitHubSlow = finding{kind: engine.RateLimited, blame: theAccount, wait: time.Minute, why: "asked too fast (a secondary limit)"}

func gitHubHead(s *signs) (finding, string) {
	if s.status != http.StatusForbidden && s.status != http.StatusTooManyRequests || s.html {
		return finding{}, ""
	}
	switch {
	case first(s.header, "Retry-After") != "":
		f := accountRate
		f.wait = time.Minute
		return f, "header retry-after"
	case first(s.header, "X-Ratelimit-Remaining") == "0":
		return accountRate.because("the hour's requests are used up"), "header x-ratelimit-remaining: 0"
	case first(s.header, "X-Github-Sso") != "":
		return mayNotYet.because("the organization wants a sign-on for this key"), "header x-github-sso"
	}
	return finding{}, ""
}

package provider

import "keywheel/engine"

// The conclusions that many rules share.
var (
	badKey        = finding{kind: engine.InvalidKey, blame: theKey, why: "the key is not accepted"}
	deadKey       = finding{kind: engine.InvalidKey, blame: theKey, until: Human, why: "the key was blocked by the provider"}
	deadAccount   = finding{kind: engine.InvalidKey, blame: theAccount, until: Human, why: "the account is disabled"}
	noMoney       = finding{kind: engine.QuotaExhausted, blame: theAccount, until: Human, limit: "credits", why: "money is gone"}
	noPlan        = finding{kind: engine.QuotaExhausted, blame: theAccount, until: Human, limit: "credits", why: "the plan has ended"}
	spendLimit    = finding{kind: engine.QuotaExhausted, blame: theAccount, until: NextMonthOrHuman, limit: "spend_limit", why: "a spending limit is reached"}
	keyCap        = finding{kind: engine.QuotaExhausted, blame: theKey, until: KeyResetOrHuman, limit: "credits", why: "this key's own spending limit is reached"}
	planWindow    = finding{kind: engine.QuotaExhausted, blame: theAccount, until: WindowReset, limit: "subscription_window", why: "the plan's window is used up"}
	tooFast       = finding{kind: engine.RateLimited, blame: usual, why: "too many requests"}
	modelRate     = finding{kind: engine.RateLimited, blame: theModel, why: "too many requests for this model"}
	accountRate   = finding{kind: engine.RateLimited, blame: theAccount, why: "too many requests of this account"}
	badRequest    = finding{kind: engine.ClientError, why: "the request is not accepted"}
	tooLarge      = finding{kind: engine.ClientError, why: "the request alone is too large, waiting does not help"}
	badContent    = finding{kind: engine.ClientError, why: "the content is refused, another key would be too"}
	noKeySent     = finding{kind: engine.ClientError, why: "no key arrived at the provider, so none is to blame"}
	notHere       = finding{kind: engine.PermissionDenied, why: "refused where we are, not the key"}
	notFromHere   = finding{kind: engine.PermissionDenied, blame: theKey, why: "the key's own list of addresses does not have ours"}
	mayNot        = finding{kind: engine.PermissionDenied, blame: theKey, why: "the key may not do this"}
	mayNotYet     = finding{kind: engine.PermissionDenied, blame: theKey, until: Human, why: "someone has to allow the key to do this"}
	accountMayNot = finding{kind: engine.PermissionDenied, blame: theAccount, until: Human, why: "the account may not do this"}
	noModel       = finding{kind: engine.PermissionDenied, blame: keysModel, why: "the key has no access to the model"}
	modelUnknown  = finding{kind: engine.ClientError, why: "there is no such model"}
	elsewhere     = finding{kind: engine.ClientError, elsewhere: true, why: "what is asked for belongs to another account, or is gone"}
	busy          = finding{kind: engine.UpstreamFault, why: "the provider is overloaded, for every key"}
	modelBusy     = finding{kind: engine.UpstreamFault, blame: theModel, why: "the model is overloaded, for every key"}
	failed        = finding{kind: engine.UpstreamFault, why: "the provider failed"}
)

// limited is a finding with another limit.
func (f finding) limited(limit string) finding {
	f.limit = limit
	return f
}

// ends is a finding with another end.
func (f finding) ends(u Until) finding {
	f.until = u
	return f
}

// blames is a finding that blames another.
func (f finding) blames(b blame) finding {
	f.blame = b
	return f
}

// because is a finding with another reason.
func (f finding) because(why string) finding {
	f.why = why
	return f
}

// refusals are the statuses of answers that refuse for a reason of the key's.
var refusals = []int{400, 401, 403}

// noKey is tried before all else: where no key arrived, none is to blame.
var noKey = compile([]rule{
	{on: []int{0, 400, 401, 403}, finding: noKeySent, words: "didn't provide an api key|did not provide an api key|no api key|missing api key|api key is missing|api key missing|api key required|" +
		"api key is required|x-api-key header is required|missing authentication|missing authorization|requires authentication|authorization header is missing|authorization header missing|" +
		"authorization header is required|missing bearer|unregistered callers|no auth credentials|no cookie auth credentials|authentication credentials were not provided|no authorization header|" +
		"must provide an api key|missing subscription key|credentials are missing|未提供令牌|未收到authorization|未收到authentication|header中未收到|缺少api key"},
	{on: refusals, codes: "missing_api_key|credentials_missing|missing_authorization|no_api_key|1001", words: "missing|required|未|no |not provided", finding: noKeySent},
})

// sharedCodes are machine codes that mean the same wherever they appear:
// OpenAI's, which most have copied, Google's, AWS's, Moonshot's, and those of
// relays (one-api, new-api, LiteLLM).
var sharedCodes = compile([]rule{
	// Dead accounts and keys.
	{codes: "account_inactive|account_deactivated|account_suspended|account_disabled|account_terminated|organization_restricted|organization_disabled|organization_suspended|access_terminated|user_suspended|account_blocked|user_disabled", finding: deadAccount},
	{codes: "consumer_suspended|api_key_suspended|key_suspended|api_key_disabled|api_key_revoked|token_revoked|key_disabled|api_key_leaked|api_key_blocked", finding: deadKey},
	{codes: "not_authed", finding: noKeySent},
	{codes: "invalid_auth|access_token_expired|invalid_api_key|api_key_invalid|invalidapikey|invalid_key|api_key_expired|expired_api_key|api_key_not_found|apikeynotfound|invalid_token|token_expired|expired_token|invalid_access_token|" +
		"invalid_authentication_error|incorrect_api_key|apikeyinvalid|invalidaccesskeyid*|invalidclienttokenid|unrecognizedclientexception|expiredtokenexception|invalidsignatureexception|signaturedoesnotmatch|invalidaccesstoken|" +
		"oauth.v2.invalidapikey|oauth.v2.failedtoresolveapikey|authfailure*|invalid_grant|key_not_found|keyexpired|keyinvalid|invalid_credentials|bad_credentials|badcredentials|*bad-credentials*", finding: badKey},

	// Where we are, not who.
	{codes: "unsupported_country*|region_not_supported|country_blocked|geo_blocked|geo_restricted|unsupported_region|location_not_supported|host_not_allowed|err_access_denied", finding: notHere},
	{codes: "ip_not_authorized|ip_not_allowed|api_key_ip_address_blocked|ip_whitelist*|ip_address_not_allowed", finding: notFromHere},

	// Money.
	{codes: "project_spend_limit_exceeded|organization_spend_limit_exceeded|spend_limit_exceeded|enforced_spend_limit_reached|budget_exceeded|spending_limit_exceeded", finding: spendLimit},
	{codes: "quota_exceeded|quotaexceeded|quota_exhausted|credits_exceeded|character_limit_exceeded", on: []int{400, 401, 402, 403}, finding: noMoney.ends(ResetOrHuman).because("the account's quota is used up")},
	{codes: "organization_usage_limit_exceeded", finding: spendLimit.ends(Human)},
	{codes: "billing_hard_limit_reached|monthly_spend_limit_reached", finding: spendLimit},
	{codes: "insufficient_quota|credit_balance_exhausted|billing_not_active|insufficient_balance|insufficientbalance|insufficient_credits|insufficient_credit|insufficient_funds|insufficient_user_quota|insufficient_account_balance|" +
		"pre_consume_token_quota_failed|credit_limit|credits_exhausted|out_of_credits|no_credits|payment_required|billing_error|billing_disabled|arrearage|accountoverdue*|account_overdue|arrears|not_enough_balance|" +
		"balance_not_enough|exceeded_current_quota_error|overdue_payment|unpaid|insufficient_user_balance|quota_not_enough|token_quota_exhausted|account_arrears", finding: noMoney},
	{codes: "invalidsubscription|subscription_expired|plan_expired|trial_expired|subscription_inactive", finding: noPlan},

	// Requests that can never do, before the rates that their codes also name.
	{codes: "rate_limit_exceeded|rate_limit_error|tokens|request_too_large|tokens_limit_reached", words: "request too large|request entity too large|must be reduced in order to run|exceeds the maximum|requested tokens exceed", finding: tooLarge},
	{codes: "context_length_exceeded|string_above_max_length|request_too_large|payload_too_large|max_tokens_exceeded|contextlengthexceeded|invalid_prompt|tokens_limit_reached|request_entity_too_large|context_window_exceeded", finding: tooLarge},
	{codes: "content_filter|content_policy_violation|content_policy|responsibleaipolicyviolation|moderation_blocked|cyber_policy|safety|prohibited_content|datainspectionfailed|data_inspection_failed|contentfilter|sensitivecontentdetected*|" +
		"inputtextsensitivecontentdetected*|inputimagesensitivecontentdetected*|outputtextsensitivecontentdetected*|image_content_policy_violation|content_blocked|sensitive_words_detected|prompt_blocked|guardrail*|content_moderation*|moderation_error|bio_policy", finding: badContent},
	{codes: "previous_response_not_found|mismatched_organization|invalid_encrypted_content", finding: elsewhere.because("it belongs to another account's project")},

	// The provider's own troubles, however they are sent.
	{codes: "overloaded_error|overloaded|engine_overloaded|engine_overloaded_error|server_is_overloaded|serveroverloaded|service_unavailable*|serviceunavailable*|server_error|internal_server_error|internalservererror|internalserviceerror|" +
		"internal_error|internalerror*|api_error|upstream_error|bad_gateway|gateway_timeout|timeout_error|unavailable|internal|deadline_exceeded|provider_unavailable|bad_response*|no_available_channel|do_request_failed|" +
		"modeltimeout*|timeout|read_response_body_failed|upstream_timeout|provider_error|modelerrorexception|internalfailure", on: []int{0, 5, 408, 429}, finding: failed},
	{codes: "overloaded_error|engine_overloaded|engineoverloaded|engine_overloaded_error|server_is_overloaded|serveroverloaded|system_busy|service_busy|server_busy", finding: busy},
	{codes: "capacity_exhausted|queue_exceeded|model_overloaded|modelservingerror|model_at_capacity|model_busy|modelnotreadyexception|model_cooldown|no_available_provider*|model_not_available_now|service_tier_capacity_exceeded|capacity_exceeded", finding: modelBusy},

	// Of the end customer's card, of our clock, of the file that was asked for:
	// no key's affair, though the status says so.
	{codes: "card_declined|expired_card|incorrect_cvc|incorrect_number", on: []int{400, 402}, finding: badRequest},
	{codes: "requesttimetooskewed|request_time_too_skewed|requestexpired", on: []int{400, 401, 403}, finding: notHere.because("the clock here and the provider's differ")},
	{codes: "too_large", on: []int{403}, finding: badRequest},
	{codes: "missing_permissions|missing_permission", finding: mayNot.because("the key lacks a scope")},
	{codes: "invalid_access_key", finding: badKey},

	// Access.
	{codes: "model_not_found|modelnotfound|model_not_available|invalidendpointormodel.notfound|model_access_denied|model.accessdenied|model_not_allowed|modelnotopen|model_not_supported|model_not_exist", words: "access|permission|activat|开通|无权|not open|not allowed|not available to", finding: noModel},
	{codes: "model.accessdenied|model_access_denied|modelnotopen|model_not_allowed", finding: noModel},
	{codes: "model_not_found|modelnotfound|model_not_available|invalid_model|model_not_exist|model_not_supported", on: []int{401, 403}, finding: noModel},
	{codes: "model_not_found|modelnotfound|model_not_available|invalid_model|invalid_model_error|model_not_exist|model_not_supported", on: []int{0, 4}, finding: modelUnknown},
	{codes: "service_disabled", finding: accountMayNot.because("the account has this API switched off")},
	{codes: "api_key_service_blocked|api_key_http_referrer_blocked|api_key_android_app_blocked|api_key_ios_app_blocked", finding: mayNotYet.because("the key is restricted to other uses")},
	{codes: "missing_scope|missing_scopes|insufficient_scope|insufficient_permissions|insufficient_privileges|scope_not_allowed|permission_denied_error", finding: mayNot.because("the key lacks a scope")},
	{codes: "accessdenied|accessdeniedexception|access_denied", words: "model", on: []int{0, 400, 401, 403}, finding: noModel},
	{codes: "accessdenied|accessdeniedexception|access_denied|unauthorized_operation|unauthorizedoperation", on: []int{0, 400, 401, 403}, finding: mayNot},

	// A rate's code with the words of money.
	{codes: "rate_limit*|rate_limited|ratelimit*|too_many_requests*|toomanyrequests*|resource_exhausted|quota_exceeded|quotaexceeded|throttl*", words: "spend limit|spending limit|spending cap|spend cap|monthly budget|billing limit", finding: spendLimit},
	{codes: "rate_limit*|rate_limited|ratelimit*|too_many_requests*|toomanyrequests*|resource_exhausted|quota_exceeded|quotaexceeded|limitexceeded", words: "credits are depleted|credits depleted|insufficient balance|insufficient credit|insufficient fund|out of credits|run out of credits|no credits|purchase more credits|all available credits|balance is too low|余额不足|欠费", finding: noMoney},

	// Rates.
	{codes: "concurrency_limit*|too_many_concurrent*|concurrent_limit*|concurrencylimitexceeded", finding: tooFast.limited("concurrency")},
	{codes: "dailylimitexceeded*|daily_limit_exceeded|daily_quota_exceeded", finding: finding{kind: engine.QuotaExhausted, blame: usual, limit: "requests_per_day", why: "the day's allowance is used up"}},
	{codes: "usage_limit_reached|usage_limit_exceeded", finding: planWindow},
	{codes: "rate_limit_exceeded|rate_limit_reached|rate_limit_reached_error|rate_limited|rate_limit_error|rate_limit|ratelimited|ratelimitexceeded*|ratelimitreached|ratelimiterror|too_many_requests|toomanyrequests|toomanyrequestsexception|" +
		"throttling*|throttled*|throttlingexception|userratelimitexceeded|slow_down|slowdown|request_limit_exceeded|requestlimitexceeded*|rate_exceeded|limit_requests|requests_limit_exceeded|limitexceeded*|model_rate_limit|resource_exhausted|" +
		"quotaexceeded|quota_exceeded|rate-limited|rate_limit_violation|api_rate_limited|too_many_requests_error|request_quota_exceeded|token_quota_exceeded|servicequotaexceededexception|provisionedthroughputexceededexception|ratelimited_error|rate_limit_exceeded_error", on: []int{0, 4, 503}, finding: tooFast},

	// The request.
	{codes: "previous_response_not_found|not_found_error|resource_not_found|no_such_*|unknown_parameter|unsupported_parameter|unsupported_value|missing_required_parameter|invalid_value|invalid_type|invalidparameter*|missingparameter*|" +
		"invalid_image*|unknown_url|validationexception|invalid_file*|method_not_supported|unsupported_country_code", on: []int{0, 400, 404, 405, 409, 413, 415, 422}, finding: badRequest},

	// Last, for they are used for much: the kind of an error.
	{codes: "authentication_error|authenticationerror|unauthenticated|unauthorized|invalid_request_error.authentication", on: []int{0, 401}, words: "deactivated|suspended|terminated|banned|organization&disabled|account&disabled|user&disabled", finding: deadAccount},
	{codes: "authentication_error|authenticationerror|unauthenticated", on: []int{0, 401}, words: "model|permission|scope|not authorized to|ip address|country|region", finding: mayNot},
	{codes: "authentication_error|authenticationerror", on: []int{0, 401, 403}, finding: badKey},
})

// sharedWords are what people are told, in English and Chinese. The most
// specific stand first; what blames nobody stands before what blames someone.
var sharedWords = compile([]rule{
	// Where we are.
	{words: "ip allow list|ip allowlist|ip whitelist|ip address is not authorized|ip address is not allowed|ip is not allowed|ip not in|not in the whitelist|not in the allowlist|ip address restriction|不在令牌允许|ip白名单|ip 白名单|ip address is not permitted", finding: notFromHere},
	{words: "country, region, or territory|country or region|in your country|in your region|from your country|from your region|location is not supported|region is not supported|unsupported region|unsupported country|not supported in your|virtual network/firewall|" +
		"firewall rules|your ip has been|your ip address has been|ip has been blocked|ip address blocked|ip blocked|banned your ip|export control|sanction|not available in this country|not available in the country|所在地区|您所在的国家|不支持的地区|region you are in|from this location|unsupported location|" +
		"unusual traffic|attention required|you have been blocked|checking your browser|just a moment|captcha|enable javascript|cloudflare to restrict access|error 1020|error 1015|access denied&reference #|request blocked by security|web application firewall|blocked by network policy|" +
		"ip temporarily blocked|from your computer network|requests from your network", on: []int{0, 400, 401, 403, 429, 451}, finding: notHere},

	// Dead accounts, before keys, before policies.
	{on: []int{0, 400, 401, 402, 403, 429}, finding: deadAccount, words: "organization has been disabled|organization has been suspended|organization has been restricted|organization is disabled|account has been deactivated|account has been disabled|account has been suspended|" +
		"account has been terminated|account has been banned|account has been blocked|account has been locked|account is deactivated|account is disabled|account is suspended|account is banned|account is blocked|account suspended|account deactivated|account disabled|account was suspended|account was disabled|account is locked|account is frozen|" +
		"access was terminated|access has been terminated|access has been revoked|user has been banned|user is banned|user has been disabled|workspace has been disabled|team has been disabled|team is blocked|账户已被|账号已被|账户被封|账号被封|账户已冻结|账户已锁定|用户已被封禁|账户异常|账号异常|project has been suspended|organization_restricted"},
	{on: refusals, finding: deadKey, words: "reported as leaked|key was leaked|key has been leaked|key has been disabled|key is disabled|key was disabled|key has been suspended|key is suspended|key has been blocked|key is blocked|key has been revoked|key was revoked|key is revoked|key has been deleted|key was deleted|key has been deactivated|key is inactive|token has been revoked|" +
		"' has been suspended|api key revoked|令牌已被禁用|令牌状态不可用|该令牌已被|key已被禁用|key 已被禁用|密钥已被禁用|密钥已禁用|api key 已禁用"},

	// Content, but not an account that was closed for it.
	{on: []int{0, 400, 403, 422, 451}, finding: badContent, words: "content management policy|content policy|content_policy|content filter|content violates|usage policies|usage policy|usage guidelines|safety system|safety filter|safety policy|flagged|moderation|sensitive content|sensitive information|inappropriate content|" +
		"prompt injection|guardrail|policy violation|violates our|violate our|content is not allowed|prohibited content|敏感|违规|不安全|安全审核|内容审核|blocked by our|high risk|risk control|content exists risk|unsafe content|harmful content"},

	// A rate that speaks of money: what one could pay to have more.
	{on: []int{429}, finding: tooFast, words: "reduced rate limit|rate limit reached&try again in|rate limit reached&per min|rate limit exceeded&try again in|rate limit&per minute|rate limit&per second|requests per minute|tokens per minute|rpm limit|tpm limit"},

	// Money. "Quota" alone is not it.
	{finding: keyCap, words: "key limit exceeded|key budget|budget has been exceeded|maximum billing reached for this api key|api key&spending limit|api key&spend limit|key&usage limit|令牌额度已用尽|token quota is not enough|key's spending|limit for this key|limit for this api key|key has reached its"},
	{finding: spendLimit, words: "spending limit|spend limit|spending cap|spend cap|usage limits. you will regain|api usage limits|monthly usage limit|monthly budget|billing limit|billing hard limit|budget limit|budget exceeded|usage cap|消费限额|消费上限"},
	{finding: noMoney, words: "credit balance|monthly included credits|exhausted balance|exhausted your balance|enough credits|enough balance|credits expired|insufficient balance|balance is insufficient|balance insufficient|insufficient account balance|insufficient credit|insufficient fund|insufficient quota|insufficient_quota|out of credits|run out of credit|ran out of credit|not enough credit|not enough balance|not enough fund|no credits|no remaining credit|no more credit|credits are depleted|credits depleted|credits exhausted|credits have been|" +
		"used all available credits|used up your credit|exceeded your credit|credit limit|more credits|add credit|purchase credit|buy credit|requires credit|negative balance|balance is too low|balance too low|balance is negative|balance: 0|zero balance|low balance|top up|top-up|topup|payment required|payment method|payment is required|" +
		"update your payment|billing details|billing is not|billing has not|billing to be enabled|requires billing|enable billing|account is not active|account is inactive|unpaid|past due|overdue|past-due|arrear|good standing|outstanding balance|outstanding invoice|recharge|please pay|prepaid|prepayment|free credits|free trial has|trial has ended|trial has expired|trial credit|" +
		"余额不足|欠费|充值|额度不足|额度已用尽|额度用尽|余额已用完|账户余额|资源包|用户额度|免费额度|no resource package|wallet|insufficient tokens balance|low credit"},
	{on: []int{403, 429}, finding: finding{kind: engine.QuotaExhausted, blame: usual, why: "the call volume allowed is used up"}, words: "call volume quota|quota will be replenished|daily quota|monthly quota|quota for today|今日调用次数|今日额度|quota limit reached|used up your daily|daily limit reached|daily limit exceeded|daily request limit"},
	{finding: noPlan, words: "subscription has expired|subscription expired|subscription is not active|subscription is inactive|subscription has ended|plan has expired|plan expired|plan has ended|套餐已到期|套餐已过期|订阅已过期|subscription required|no active subscription|license has expired|license expired|subscription was cancel"},

	// Keys.
	{on: refusals, finding: badKey, words: "incorrect api key|invalid api key|invalid api-key|invalid api_key|invalid apikey|invalid key|invalid_api_key|api key not valid|api key expired|api key has expired|api key is expired|expired api key|api key is invalid|api key is not valid|api-key is invalid|apikey is invalid|api key invalid|api key not found|api key does not exist|" +
		"api key could not be found|api key format|invalid x-api-key|invalid bearer|bad credentials|invalid subscription key|requires a valid api key|valid api key|authentication fails|authentication failed|authentication error|failed to authenticate|invalid api token|invalid credentials|invalid authentication|key is invalid|unknown api key|unrecognized api key|wrong api key|malformed api key|api key provided is|user not found|" +
		"身份验证失败|api key 无效|apikey无效|密钥无效|无效的密钥|无效的 api key|无效的api key|无效的令牌|令牌无效|令牌已过期|令牌不存在|authentication token 非法|token 已过期|鉴权失败|认证失败"},
	{on: []int{401}, finding: badKey, words: "invalid token|token is invalid|token has expired|token expired|token is expired|invalid access token|invalid credentials|invalid_token|jwt expired|invalid jwt|could not validate credentials|invalid signature|signature mismatch|token not valid|unable to verify"},

	// What one has no right to.
	{on: []int{0, 401, 403, 404, 429}, finding: noModel, words: "does not have access to model|do not have access to model|no access to model|not have access to the model|not have access to this model|access to the model|access to this model|does not exist or you do not have access|does not exist or your team|that you have access to the model|model access denied|has not activated the model|" +
		"model is not allowed|model not allowed|not authorized to use model|not authorized to access model|not authorized for model|access model|can only access models|不支持模型|无权访问模型|暂未开放|该令牌无权|未开通该模型|没有权限使用模型|model is not available on your plan|model is not available for your|upgrade&to access this model|model&requires a paid|model&not included in"},
	{on: []int{401, 403}, finding: mayNot.because("the key lacks a scope"), words: "missing scopes|missing scope|insufficient permission|insufficient scope|insufficient privileges|lacks the required|required scope|missing permission|missing required permission|lacks permission|necessary scopes|scope is required"},
	{on: []int{401}, finding: mayNot, words: "not have permission|no permission|permission denied|not permitted|not allowed to|not authorized to|forbidden|无权限|无权"},

	// Overload, before rates that are the key's.
	{on: []int{0, 429}, finding: modelBusy, words: "model is overloaded|model is currently overloaded|model overloaded|model is busy|model is currently busy|model is at capacity|service tier capacity exceeded|temporarily rate-limited upstream|rate-limited upstream|providers for&at capacity|no available provider|no endpoints available|该模型当前访问量过大|模型繁忙|模型负载|model&high demand|model&currently unavailable|" +
		"capacity exceeded for this model|no available channel|无可用渠道|model is temporarily|model&overloaded|model&capacity"},
	{on: []int{0, 429}, finding: busy, words: "overloaded|at capacity|over capacity|capacity limits|capacity constraints|insufficient capacity|not enough capacity|out of capacity|high load|heavy load|heavy traffic|high traffic|server is busy|servers are busy|system is busy|system is really busy|service is busy|service busy|currently unavailable|temporarily unavailable|temporarily unable|" +
		"high demand|负载已饱和|负载较高|负载过高|系统繁忙|服务繁忙|服务器繁忙|访问量过大|资源不足|排队|请求过多，系统|provider returned error|upstream provider"},

	// Requests that never fit.
	{on: []int{0, 400, 413, 422, 429}, finding: tooLarge, words: "request too large|must be reduced in order to run|maximum context length|context length exceeded|context window|prompt is too long|input is too long|input too long|too many tokens in|exceeds the maximum allowed|exceed the maximum|reduce the length of"},

	// Rates.
	{on: []int{0, 400, 403, 429}, finding: tooFast.limited("concurrency"), words: "concurrency|concurrent requests|concurrent request|concurrent connections|too many parallel|simultaneous|并发"},
	{on: []int{0, 429}, finding: modelRate, words: "rate limit specific to this model|for this model is|rate limit reached for model|requests for this model|limit for model|limit for this model|rate limit for model"},
	{on: []int{0, 429}, finding: tooFast.blames(theAccount), words: "your account's rate limit|your organization's rate limit|rate limit for your organization|account rate limit|your organization has exceeded|您的账户已达到速率限制"},
	{on: []int{0, 400, 403, 429}, finding: tooFast, words: "rate limit exceeded|rate limit reached|rate limited|rate-limited|ratelimit|rate limiting|exceeded a secondary rate limit|exceeded your rate limit|exceeded the rate limit|rate limit has been|too many requests|request rate|requests too frequently|too frequent|请求过于频繁|频率限制|速率限制|请求频率|限流|rpm limit|tpm limit|quota exceeded|api rate limit|abuse detection"},

	// What another account may have.
	{on: []int{400, 404, 422}, finding: elsewhere, words: "no such file object|no file found with id|no thread found with id|no assistant found with id|no vector store found|no container found|" +
		"conversation with id&not found|response with id&not found|container with id&not found|vector store with id&not found"},
})

package sim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tidwall/gjson"
)

// The providers below speak OpenAI's API with errors of their own.

// compatible is the routes they share, under their base path.
func compatible(base string, when usageChunk) []route {
	return []route{
		{pattern: "GET " + base + "/models", free: true, serve: listModels},
		{pattern: "POST " + base + "/chat/completions", scope: "chat", model: true, writes: true, serve: chat(when)},
		{pattern: "POST " + base + "/embeddings", scope: "embedding", model: true, serve: embed},
		{pattern: "POST " + base + "/images/generations", scope: "image", usd: 0.02, serve: image},
	}
}

// shanghai is the clock that Zhipu's texts tell.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// zhipu decides by a code in the body, and sends no limit headers.
var zhipu = dialect{
	base:   "/api/paas/v4",
	places: bearer,
	routes: compatible("/api/paas/v4", withFinish),
	refusals: map[refusal]func(*call) answer{
		missingKey:  zhipuError(401, "1001", "Header中未收到Authentication参数，无法进行身份验证"),
		invalidKey:  zhipuError(401, "1000", "身份验证失败"),
		scopeDenied: zhipuError(403, "1220", "您无权访问 chat_completions"),
		overRate:    zhipuError(429, "1302", "您的账户已达到速率限制，请您控制请求频率"),
		outOfQuota: func(c *call) answer {
			if c.until.IsZero() {
				return zhipuError(429, "1113", "余额不足或无可用资源包,请充值。")(c)
			}
			at := c.until.Add(time.Second - 1).In(shanghai).Format(time.DateTime) // no earlier than it is
			return zhipuError(429, "1308", "已达到 5 小时 的使用上限。您的限额将在 "+at+" 重置。")(c)
		},
		outage: func(c *call) answer {
			if c.status == http.StatusTooManyRequests {
				return zhipuError(429, "1305", "该模型当前访问量过大，请您稍后再试")(c)
			}
			return zhipuError(c.status, "500", "内部错误")(c)
		},
		noRoute: func(c *call) answer {
			return jsonAnswer(404, object{"timestamp": c.now.UTC().Format(time.RFC3339), "status": 404, "error": "Not Found", "path": c.r.URL.Path})
		},
		noModel: zhipuError(400, "1211", "模型不存在，请检查模型代码。"),
		badBody: zhipuError(400, "1210", "API 调用参数有误，请检查文档。"),
	},
}

func zhipuError(status int, code, message string) func(*call) answer {
	return fixed(status, object{"error": object{"code": code, "message": message}})
}

// siliconflow's errors are flat, and a bad key gets a bare string.
var siliconflow = dialect{
	base:   "/v1",
	places: bearer,
	routes: append(compatible("/v1", withFinish),
		route{pattern: "GET /v1/user/info", free: true, serve: func(c *call) {
			c.ok(object{"code": 20000, "message": "OK", "status": true, "data": object{
				"id": c.key.account.name, "status": "normal", "balance": "0", "chargeBalance": c.balance(), "totalBalance": c.balance()}})
		}}),
	refusals: map[refusal]func(*call) answer{
		missingKey:  fixed(401, "Invalid token"),
		invalidKey:  fixed(401, "Api key is invalid"),
		scopeDenied: siliconflowError(403, 30003, "Model disabled."),
		overRate: func(c *call) answer {
			name := map[string]string{"requests": "RPM", "tokens": "TPM"}[c.unit]
			return jsonAnswer(429, object{"message": "Request was rejected due to rate limiting. Details: " + name + " limit reached.", "data": nil})
		},
		outOfQuota: siliconflowError(403, 30001, "Sorry, your account balance is insufficient"),
		outage: func(c *call) answer {
			if c.status == http.StatusServiceUnavailable {
				return siliconflowError(503, 50603, "System is really busy. Please try again later.")(c)
			}
			return answer{status: c.status, kind: "text/plain", body: fmt.Sprintf("%d %s", c.status, http.StatusText(c.status))}
		},
		noRoute: func(*call) answer { return answer{status: 404, kind: "text/plain", body: "404 page not found"} },
		noModel: siliconflowError(400, 20012, "Model does not exist. Please check it carefully."),
		badBody: siliconflowError(400, 20015, "The parameter is invalid. Please check again."),
	},
}

func siliconflowError(status, code int, message string) func(*call) answer {
	return fixed(status, object{"code": code, "message": message, "data": nil})
}

// deepseek sends 402 when the money is gone, and no limit headers.
var deepseek = dialect{
	places: bearer,
	routes: append(compatible("", withFinish),
		route{pattern: "GET /user/balance", free: true, serve: func(c *call) {
			c.ok(object{"is_available": c.balance() != "0.00", "balance_infos": []object{
				{"currency": "CNY", "total_balance": c.balance(), "granted_balance": "0.00", "topped_up_balance": c.balance()}}})
		}}),
	refusals: map[refusal]func(*call) answer{
		missingKey: openaiError(401, "authentication_error", "invalid_request_error", "Authentication Fails (governor)"),
		invalidKey: func(c *call) answer {
			tail := c.given[max(0, len(c.given)-4):]
			return openaiError(401, "authentication_error", "invalid_request_error", "Authentication Fails, Your api key: ****"+tail+" is invalid")(c)
		},
		scopeDenied: openaiError(403, "invalid_request_error", "invalid_request_error", "Permission denied"),
		overRate:    openaiError(429, "rate_limit_reached", "invalid_request_error", "Rate limit reached"),
		outOfQuota:  openaiError(402, "unknown_error", "invalid_request_error", "Insufficient Balance"),
		outage:      openai.refusals[outage],
		noRoute:     openai.refusals[noRoute],
		noModel:     openaiError(400, "invalid_request_error", "invalid_request_error", "Model Not Exist"),
		badBody:     openaiError(422, "invalid_request_error", "invalid_request_error", "Invalid parameters"),
	},
}

// groq counts requests by the day and tokens by the minute, and sends
// Retry-After with a 429 only.
var groq = dialect{
	base:   "/openai/v1",
	places: bearer,
	routes: compatible("/openai/v1", onRequest),
	stamp:  stampRates,
	refusals: map[refusal]func(*call) answer{
		missingKey:  openaiError(401, "invalid_request_error", "invalid_api_key", "Invalid API Key"),
		invalidKey:  openaiError(401, "invalid_request_error", "invalid_api_key", "Invalid API Key"),
		scopeDenied: openaiError(403, "invalid_request_error", "model_permission_blocked_org", "The model is blocked at the organization level."),
		overRate: func(c *call) answer {
			short, amount := "RPM", c.limits.rpm
			if c.unit == "tokens" {
				short, amount = "TPM", c.limits.tpm
			}
			a := openaiError(429, c.unit, "rate_limit_exceeded", fmt.Sprintf(
				"Rate limit reached for model `%s` in organization `%s` service tier `on_demand` on %s per minute (%s): Limit %.0f, Used %.0f, Requested %d. Please try again in %s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
				c.model, c.key.account.name, c.unit, short, amount, amount, c.in+c.out, goTime(c.wait)))(c)
			a.header = map[string]string{"Retry-After": seconds(c.wait)}
			return a
		},
		outOfQuota: func(c *call) answer {
			left := max(time.Second, c.until.Sub(c.now))
			a := openaiError(429, "requests", "rate_limit_exceeded", fmt.Sprintf(
				"Rate limit reached for model `%s` in organization `%s` service tier `on_demand` on requests per day (RPD): Limit %d, Used %d, Requested 1. Please try again in %s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
				c.model, c.key.account.name, c.limits.quota, c.limits.quota, goTime(left)))(c)
			a.header = map[string]string{"Retry-After": seconds(left)}
			return a
		},
		outage: func(c *call) answer {
			e := object{"message": http.StatusText(c.status), "type": "service_unavailable", "code": "service_unavailable"}
			return jsonAnswer(c.status, object{"error": e})
		},
		noRoute: func(c *call) answer {
			return openaiError(404, "invalid_request_error", "unknown_url", "Unknown request URL: "+c.r.Method+" "+c.r.URL.Path+". Please check the URL for typos, or see the docs at https://console.groq.com/docs/")(c)
		},
		noModel: openaiNoModel,
		badBody: func(c *call) answer {
			if gjson.ValidBytes(c.body) {
				return openaiError(400, "invalid_request_error", "", "property 'model' is missing")(c)
			}
			return openaiError(400, "invalid_request_error", "", "could not parse JSON body")(c)
		},
	},
}

// balance is what is left of the account's budget, in dollars.
func (c *call) balance() string {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	a := c.key.account
	if _, spent := a.spent(); spent {
		return "0.00"
	}
	if a.terms.Budget <= 0 {
		return "100.00"
	}
	return fmt.Sprintf("%.2f", max(0, a.terms.Budget-a.spentUSD))
}

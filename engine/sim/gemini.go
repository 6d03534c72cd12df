package sim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// gemini speaks as generativelanguage.googleapis.com does, in its own API and
// in its OpenAI-compatible one.
var gemini = dialect{
	base:   "/v1beta",
	places: []place{{name: "X-Goog-Api-Key"}, {name: "key", query: true}, {name: "Authorization", prefix: "Bearer "}},
	routes: append(compatible("/v1beta/openai", onRequest),
		route{pattern: "GET /v1beta/models", free: true, serve: geminiModels},
		route{pattern: "POST /v1beta/models/{call}", scope: "chat", model: true, writes: true, serve: generate},
		route{pattern: "POST /v1/models/{call}", scope: "chat", model: true, writes: true, serve: generate},
	),
	refusals: map[refusal]func(*call) answer{
		missingKey: func(c *call) answer {
			return googleError(c, 403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.")
		},
		invalidKey: func(c *call) answer {
			const message = "API key not valid. Please pass a valid API key."
			return googleError(c, 400, "INVALID_ARGUMENT", message,
				object{"@type": rpc + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": object{"service": "generativelanguage.googleapis.com"}},
				object{"@type": rpc + "LocalizedMessage", "locale": "en-US", "message": message})
		},
		scopeDenied: func(c *call) answer {
			const message = "Requests to this API generativelanguage.googleapis.com method google.ai.generativelanguage.v1beta.GenerativeService.GenerateContent are blocked."
			return googleError(c, 403, "PERMISSION_DENIED", message,
				object{"@type": rpc + "ErrorInfo", "reason": "API_KEY_SERVICE_BLOCKED", "domain": "googleapis.com", "metadata": object{"service": "generativelanguage.googleapis.com"}})
		},
		overRate: func(c *call) answer {
			metric, id, amount := "generate_content_paid_tier_requests", "GenerateRequestsPerMinutePerProjectPerModel", c.limits.rpm
			if c.unit == "tokens" {
				metric, id, amount = "generate_content_paid_tier_input_token_count", "GenerateContentPaidTierInputTokensPerModelPerMinute", c.limits.tpm
			}
			return geminiQuota(c, metric, id, amount, c.wait)
		},
		// Its RetryInfo tells of the minute even when the day is gone.
		outOfQuota: func(c *call) answer {
			return geminiQuota(c, "generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
				float64(c.limits.quota), 26*time.Second+211922938)
		},
		outage: func(c *call) answer {
			if c.status == http.StatusServiceUnavailable {
				return googleError(c, 503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
			}
			return googleError(c, c.status, "INTERNAL", "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting")
		},
		noRoute: func(c *call) answer {
			return answer{status: 404, kind: "text/html; charset=UTF-8", body: "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n<p><b>404.</b> <ins>That’s an error.</ins>\n"}
		},
		noModel: func(c *call) answer {
			return googleError(c, 404, "NOT_FOUND", "models/"+c.model+" is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.")
		},
		badBody: func(c *call) answer {
			return googleError(c, 400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unexpected token.")
		},
	},
}

const rpc = "type.googleapis.com/google.rpc."

// googleError is Google's error body; on the compatible endpoint it is the one
// element of an array.
func googleError(c *call, status int, name, message string, details ...object) answer {
	e := object{"code": status, "message": message, "status": name}
	if len(details) > 0 {
		e["details"] = details
	}
	var body any = object{"error": e}
	if strings.HasPrefix(c.r.URL.Path, "/v1beta/openai/") {
		body = []any{body}
	}
	a := jsonAnswer(status, body)
	a.kind = "application/json; charset=UTF-8"
	return a
}

func geminiQuota(c *call, metric, id string, amount float64, delay time.Duration) answer {
	metric = "generativelanguage.googleapis.com/" + metric
	wait := fmt.Sprintf("%gs", delay.Seconds())
	return googleError(c, 429, "RESOURCE_EXHAUSTED", fmt.Sprintf(
		"You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. To monitor your current usage, head to: https://ai.dev/rate-limit. \n* Quota exceeded for metric: %s, limit: %.0f, model: %s\nPlease retry in %s.",
		metric, amount, c.model, wait),
		object{"@type": rpc + "Help", "links": []object{{"description": "Learn more about Gemini API quotas", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}}},
		object{"@type": rpc + "QuotaFailure", "violations": []object{{"quotaMetric": metric, "quotaId": id,
			"quotaDimensions": object{"location": "global", "model": c.model}, "quotaValue": fmt.Sprintf("%.0f", amount)}}},
		object{"@type": rpc + "RetryInfo", "retryDelay": fmt.Sprintf("%.0fs", max(1, delay.Seconds()))})
}

func geminiModels(c *call) {
	list := make([]object, len(c.u.options.Models))
	for i, name := range c.u.options.Models {
		list[i] = object{"name": "models/" + name, "version": "001", "displayName": name, "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
			"supportedGenerationMethods": []string{"generateContent", "countTokens"}}
	}
	c.ok(object{"models": list})
}

// generate serves MODEL:generateContent, :streamGenerateContent, as events or
// as one array, and :countTokens.
func generate(c *call) {
	_, method, _ := strings.Cut(c.r.PathValue("call"), ":")
	usage := func(out int) object {
		return object{"promptTokenCount": c.in, "candidatesTokenCount": out, "totalTokenCount": c.in + out}
	}
	part := func(text string, finish any, out int) object {
		candidate := object{"content": object{"parts": []object{{"text": text}}, "role": "model"}, "index": 0}
		if finish != nil {
			candidate["finishReason"] = finish
		}
		return object{"candidates": []object{candidate}, "usageMetadata": usage(out), "modelVersion": c.model, "responseId": c.id}
	}
	switch {
	case method == "countTokens":
		c.ok(object{"totalTokens": c.in})
	case method == "generateContent":
		c.ok(part(c.text(), "STOP", c.out))
	case method != "streamGenerateContent":
		c.refuse(noRoute)
	case c.r.URL.Query().Get("alt") != "sse":
		c.ok([]object{part(c.text(), "STOP", c.out)})
	default:
		s, sent := c.openStream(), 0
		s.each(func(piece string) {
			sent++
			finish, out := any(nil), c.out*sent/len(c.pieces)
			if sent == len(c.pieces) {
				finish = "STOP"
			}
			s.event("", part(piece, finish, out))
		})
	}
}

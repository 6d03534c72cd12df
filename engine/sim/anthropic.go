package sim

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// anthropic speaks as api.anthropic.com does.
var anthropic = dialect{
	base:   "/v1",
	places: []place{{name: "X-Api-Key"}, {name: "Authorization", prefix: "Bearer "}},
	routes: []route{
		{pattern: "GET /v1/models", free: true, serve: anthropicModels},
		{pattern: "POST /v1/files", free: true, serve: func(c *call) {
			id := "file_" + c.id[:24]
			c.bind(id)
			c.ok(c.anthropicFile(id))
		}},
		{pattern: "GET /v1/files/{id}", free: true, serve: func(c *call) {
			id := c.r.PathValue("id")
			if _, err := c.bound(id); err != nil {
				c.reply(anthropicError(c, 404, "not_found_error", "File not found: "+id))
				return
			}
			c.ok(c.anthropicFile(id))
		}},
		{pattern: "POST /v1/messages", scope: "chat", model: true, writes: true, serve: message},
		{pattern: "POST /v1/messages/count_tokens", free: true, serve: func(c *call) { c.ok(object{"input_tokens": max(1, len(c.body)/4)}) }},
	},
	stamp:  stampAnthropic,
	demand: "Anthropic-Version",
	refusals: map[refusal]func(*call) answer{
		demanded: func(c *call) answer {
			return anthropicError(c, 400, "invalid_request_error", "anthropic-version: header is required")
		},
		missingKey: func(c *call) answer {
			return anthropicError(c, 401, "authentication_error", "x-api-key header is required")
		},
		invalidKey: func(c *call) answer {
			if c.r.Header.Get("X-Api-Key") == "" {
				return anthropicError(c, 401, "authentication_error", "Invalid bearer token")
			}
			return anthropicError(c, 401, "authentication_error", "invalid x-api-key")
		},
		scopeDenied: func(c *call) answer {
			return anthropicError(c, 403, "permission_error", "Your API key does not have permission to use the specified resource.")
		},
		overRate: func(c *call) answer {
			amount := fmt.Sprintf("%.0f requests", c.limits.rpm)
			if c.unit == "tokens" {
				amount = fmt.Sprintf("%.0f input tokens", c.limits.tpm)
			}
			a := anthropicError(c, 429, "rate_limit_error", "This request would exceed the rate limit for your organization ("+organization(c.key.account.name)+") of "+amount+
				" per minute. For details, refer to: https://docs.anthropic.com/en/api/rate-limits. You can see the response headers for current usage. Please reduce the prompt length or the maximum tokens requested, or try again later. You may also contact sales at https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase")
			a.header = map[string]string{"Retry-After": seconds(c.wait), "X-Should-Retry": "true"}
			return a
		},
		outOfQuota: func(c *call) answer {
			if c.until.IsZero() {
				return anthropicError(c, 400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")
			}
			return anthropicError(c, 400, "invalid_request_error", "You have reached your specified API usage limits. You will regain access on "+
				c.until.Add(time.Minute-1).UTC().Format("2006-01-02 at 15:04 UTC")+".")
		},
		outage: func(c *call) answer {
			kind, message := "api_error", "Internal server error"
			if c.status == 529 {
				kind, message = "overloaded_error", "Overloaded"
			}
			a := anthropicError(c, c.status, kind, message)
			a.header = map[string]string{"X-Should-Retry": "true"}
			return a
		},
		noRoute: func(c *call) answer { return anthropicError(c, 404, "not_found_error", "Not Found") },
		noModel: func(c *call) answer { return anthropicError(c, 404, "not_found_error", "model: "+c.model) },
		badBody: func(c *call) answer {
			if gjson.ValidBytes(c.body) {
				return anthropicError(c, 400, "invalid_request_error", "model: Field required")
			}
			return anthropicError(c, 400, "invalid_request_error", "The request body is not valid JSON")
		},
	},
}

func anthropicError(c *call, status int, kind, message string) answer {
	return jsonAnswer(status, object{"type": "error", "error": object{"type": kind, "message": message}, "request_id": "req_" + c.id})
}

func (c *call) anthropicFile(id string) object {
	return object{"id": id, "type": "file", "filename": "upload", "mime_type": "text/plain", "size_bytes": len(c.body), "created_at": c.now.UTC().Format(time.RFC3339), "downloadable": false}
}

// organization is the id that an account has at Anthropic.
func organization(account string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(account))
	return uuid(fmt.Sprintf("%032x", h.Sum(nil)))
}

func stampAnthropic(c *call, h http.Header) {
	h.Set("Request-Id", "req_"+c.id)
	h.Set("Anthropic-Organization-Id", organization(c.key.account.name))
	if c.route == nil || c.route.free {
		return
	}
	set := func(unit string, amount float64, left int, full time.Duration) {
		if amount <= 0 {
			return
		}
		h.Set("Anthropic-Ratelimit-"+unit+"-Limit", strconv.Itoa(int(amount)))
		h.Set("Anthropic-Ratelimit-"+unit+"-Remaining", strconv.Itoa(left))
		h.Set("Anthropic-Ratelimit-"+unit+"-Reset", c.now.Add(full+time.Second-1).UTC().Format(time.RFC3339))
	}
	set("Requests", c.limits.rpm, c.limits.requestsLeft, c.limits.requestsFull)
	set("Input-Tokens", c.limits.tpm, c.limits.tokensLeft, c.limits.tokensFull)
}

func anthropicModels(c *call) {
	list, first, last := []object{}, any(nil), any(nil)
	for i, name := range c.u.options.Models {
		if i == 0 {
			first = name
		}
		last = name
		list = append(list, object{"type": "model", "id": name, "display_name": strings.ReplaceAll(name, "-", " "), "created_at": "2025-09-29T00:00:00Z"})
	}
	c.ok(object{"data": list, "has_more": false, "first_id": first, "last_id": last})
}

// message serves the Messages API, as JSON or as a stream.
func message(c *call) {
	usage := func(out int) object {
		return object{"input_tokens": c.in, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": out, "service_tier": "standard"}
	}
	whole := object{"id": "msg_" + c.id, "type": "message", "role": "assistant", "model": c.model,
		"content": []object{{"type": "text", "text": c.text()}}, "stop_reason": "end_turn", "stop_sequence": nil, "usage": usage(c.out)}
	opening, stop := object{"type": "text", "text": ""}, "end_turn"
	tool := c.forcedTool("tools.0.name")
	if tool != "" {
		opening, stop = object{"type": "tool_use", "id": "toolu_" + c.id[:24], "name": tool, "input": object{}}, "tool_use"
		whole["content"], whole["stop_reason"] = []object{opening}, stop
	}
	if !c.streams() {
		c.ok(whole)
		return
	}
	s := c.openStream()
	whole["content"], whole["stop_reason"], whole["usage"] = []any{}, nil, usage(1)
	event := func(kind string, o object) {
		o["type"] = kind
		s.event(kind, o)
	}
	event("message_start", object{"message": whole})
	event("content_block_start", object{"index": 0, "content_block": opening})
	event("ping", object{})
	if tool != "" {
		event("content_block_delta", object{"index": 0, "delta": object{"type": "input_json_delta", "partial_json": "{}"}})
	} else {
		s.each(func(piece string) {
			event("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": piece}})
		})
	}
	event("content_block_stop", object{"index": 0})
	event("message_delta", object{"delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": object{"output_tokens": c.out}})
	event("message_stop", object{})
}

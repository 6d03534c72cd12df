package sim

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// openai speaks as api.openai.com does.
var openai = dialect{
	base:   "/v1",
	places: bearer,
	routes: []route{
		{pattern: "GET /v1/models", free: true, serve: listModels},
		{pattern: "GET /v1/models/{model...}", free: true, serve: oneModel},
		{pattern: "POST /v1/chat/completions", scope: "chat", model: true, writes: true, serve: chat(onRequest)},
		{pattern: "POST /v1/responses", scope: "chat", model: true, writes: true, serve: respond},
		{pattern: "GET /v1/responses/{id}", free: true, serve: readResponse},
		{pattern: "POST /v1/files", free: true, serve: uploadFile},
		{pattern: "GET /v1/files/{id}", free: true, serve: readFile},
		{pattern: "DELETE /v1/files/{id}", free: true, serve: deleteFile},
		{pattern: "POST /v1/embeddings", scope: "embedding", model: true, serve: embed},
		{pattern: "POST /v1/images/generations", scope: "image", usd: 0.04, serve: image},
	},
	stamp: stampOpenAI,
	refusals: map[refusal]func(*call) answer{
		missingKey: openaiError(401, "invalid_request_error", "", "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API from your browser and are prompted for a username and password."),
		invalidKey: func(c *call) answer {
			return openaiError(401, "invalid_request_error", "invalid_api_key",
				"Incorrect API key provided: "+mask(c.given)+". You can find your API key at https://platform.openai.com/account/api-keys.")(c)
		},
		scopeDenied: openaiError(401, "invalid_request_error", "", "You have insufficient permissions for this operation. Missing scopes: model.request. Check that you have the correct role in your organization (Reader, Writer, Owner) and project (Member, Owner), and if you're using a restricted API key, that it has the necessary scopes."),
		overRate: func(c *call) answer {
			short, amount, used, asked := "RPM", c.limits.rpm, c.limits.rpm, 1
			if c.unit == "tokens" {
				short, amount, used, asked = "TPM", c.limits.tpm, c.limits.tpm-float64(c.limits.tokensLeft), c.in+c.out
			}
			a := openaiError(429, c.unit, "rate_limit_exceeded", fmt.Sprintf(
				"Rate limit reached for %s in organization %s on %s per min (%s): Limit %.0f, Used %.0f, Requested %d. Please try again in %s. Visit https://platform.openai.com/account/rate-limits to learn more.",
				c.model, c.key.account.name, c.unit, short, amount, used, asked, goTime(c.wait)))(c)
			// What is told is when a request passes again, not when all do.
			a.header = map[string]string{"X-Ratelimit-Remaining-" + c.unit: "0", "X-Ratelimit-Reset-" + c.unit: goTime(c.wait)}
			return a
		},
		outOfQuota: func(c *call) answer {
			a := openaiError(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.")(c)
			a.header = map[string]string{}
			for _, name := range openaiLimits {
				a.header[name] = ""
			}
			return a
		},
		outage: func(c *call) answer {
			if c.status == http.StatusServiceUnavailable {
				return openaiError(503, "service_unavailable_error", "server_is_overloaded", "Our servers are currently overloaded. Please try again later.")(c)
			}
			return openaiError(c.status, "server_error", "", "The server had an error while processing your request. Sorry about that!")(c)
		},
		noRoute: func(c *call) answer {
			return openaiError(404, "invalid_request_error", "", "Invalid URL ("+c.r.Method+" "+c.r.URL.Path+")")(c)
		},
		noModel: openaiNoModel,
		badBody: func(c *call) answer {
			if gjson.ValidBytes(c.body) {
				return openaiError(400, "invalid_request_error", "", "you must provide a model parameter")(c)
			}
			return openaiError(400, "invalid_request_error", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)")(c)
		},
	},
}

// openaiNoModel is said of a model that there is not, and not only by OpenAI.
func openaiNoModel(c *call) answer {
	return openaiError(404, "invalid_request_error", "model_not_found", "The model `"+c.model+"` does not exist or you do not have access to it.")(c)
}

// openaiError is OpenAI's error body; an empty code is null.
func openaiError(status int, kind, code, message string) func(*call) answer {
	e := object{"message": message, "type": kind, "param": nil, "code": nil}
	if code != "" {
		e["code"] = code
	}
	return fixed(status, object{"error": e})
}

// mask shows a key as OpenAI's errors do: its two ends.
func mask(secret string) string {
	if len(secret) < 12 {
		return strings.Repeat("*", len(secret))
	}
	return secret[:3] + strings.Repeat("*", 20) + secret[len(secret)-4:]
}

// goTime is a duration as OpenAI writes it: "120ms", "7.66s", "6m0s".
func goTime(d time.Duration) string {
	if d < time.Second {
		return strconv.Itoa(int(math.Ceil(float64(d)/float64(time.Millisecond)))) + "ms"
	}
	return d.Round(time.Millisecond).String()
}

var openaiLimits = []string{
	"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests",
	"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens",
}

func stampOpenAI(c *call, h http.Header) {
	h.Set("X-Request-Id", "req_"+c.id)
	h.Set("Openai-Organization", c.key.account.name)
	h.Set("Openai-Version", "2020-10-01")
	h.Set("Openai-Processing-Ms", strconv.Itoa(int(c.took/time.Millisecond)))
	stampRates(c, h)
}

// stampRates sets the x-ratelimit headers of OpenAI's scheme.
func stampRates(c *call, h http.Header) {
	if c.route == nil || c.route.free {
		return
	}
	l := c.limits
	set := func(unit string, amount float64, left int, full time.Duration) {
		if amount <= 0 {
			return
		}
		h.Set("X-Ratelimit-Limit-"+unit, strconv.Itoa(int(amount)))
		h.Set("X-Ratelimit-Remaining-"+unit, strconv.Itoa(left))
		h.Set("X-Ratelimit-Reset-"+unit, goTime(full))
	}
	set("Requests", l.rpm, l.requestsLeft, l.requestsFull)
	set("Tokens", l.tpm, l.tokensLeft, l.tokensFull)
}

// usageChunk is when a chat stream brings its usage.
type usageChunk uint8

const (
	// onRequest sends a last chunk without choices, if stream_options ask.
	onRequest usageChunk = iota
	// withFinish sends it in the chunk that has the finish_reason.
	withFinish
)

func (c *call) chatUsage() object {
	return object{
		"prompt_tokens": c.in, "completion_tokens": c.out, "total_tokens": c.in + c.out,
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
	}
}

// chat serves chat completions, as JSON or as a stream.
func chat(when usageChunk) func(*call) {
	return func(c *call) {
		if !c.hasFiles() {
			return
		}
		said, finish := object{"role": "assistant", "content": c.text(), "refusal": nil}, "stop"
		tool := c.forcedTool("tools.0.function.name")
		if tool != "" {
			said["content"], finish = nil, "tool_calls"
			said["tool_calls"] = []object{{"id": "call_" + c.id[:24], "type": "function", "function": object{"name": tool, "arguments": "{}"}}}
		}
		if !c.streams() {
			c.ok(object{
				"id": "chatcmpl-" + c.id, "object": "chat.completion", "created": c.now.Unix(), "model": c.model,
				"choices": []object{{"index": 0, "message": said, "logprobs": nil, "finish_reason": finish}},
				"usage":   c.chatUsage(), "system_fingerprint": nil,
			})
			return
		}
		asked := gjson.GetBytes(c.body, "stream_options.include_usage").Bool()
		s := c.openStream()
		chunk := func(delta object, finish any) object {
			o := object{
				"id": "chatcmpl-" + c.id, "object": "chat.completion.chunk", "created": c.now.Unix(), "model": c.model,
				"choices": []object{{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": finish}},
			}
			if asked && when == onRequest {
				o["usage"] = nil
			}
			return o
		}
		if tool == "" {
			s.event("", chunk(object{"role": "assistant", "content": ""}, nil))
			s.each(func(piece string) { s.event("", chunk(object{"content": piece}, nil)) })
		} else {
			call := said["tool_calls"].([]object)[0]
			call["index"] = 0
			s.event("", chunk(said, nil))
		}
		last := chunk(object{}, finish)
		if when == withFinish {
			last["usage"] = c.chatUsage()
		}
		s.event("", last)
		if asked && when == onRequest {
			last["choices"], last["usage"] = []object{}, c.chatUsage()
			s.event("", last)
		}
		s.raw("", "[DONE]")
	}
}

func modelObject(name, owner string) object {
	return object{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": owner}
}

func listModels(c *call) {
	list := make([]object, len(c.u.options.Models))
	for i, name := range c.u.options.Models {
		list[i] = modelObject(name, c.u.kind)
	}
	c.ok(object{"object": "list", "data": list})
}

func oneModel(c *call) {
	for _, name := range c.u.options.Models {
		if name == c.r.PathValue("model") {
			c.ok(modelObject(name, c.u.kind))
			return
		}
	}
	c.model = c.r.PathValue("model")
	c.refuse(noModel)
}

func embed(c *call) {
	inputs := max(1, len(gjson.GetBytes(c.body, "input").Array()))
	data := make([]object, inputs)
	for i := range data {
		data[i] = object{"object": "embedding", "index": i, "embedding": []float64{0.0125, -0.0075, 0.025, 0.0025}}
	}
	c.ok(object{"object": "list", "data": data, "model": c.model, "usage": object{"prompt_tokens": c.in, "total_tokens": c.in}})
}

// image answers with the smallest of pictures.
func image(c *call) {
	c.ok(object{"created": c.now.Unix(), "data": []object{{"b64_json": onePixel}}})
}

const onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="

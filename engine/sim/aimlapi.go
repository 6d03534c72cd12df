package sim

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// creditsPerUSD is AIMLAPI's own money.
const creditsPerUSD = 2_000_000

// aimlapi speaks as api.aimlapi.com does: OpenAI's shapes, Nest's errors, its
// own video and billing, and the cost of every answer in headers. It sends no
// limit headers and no Retry-After.
var aimlapi = dialect{
	base:   "/v1",
	places: bearer,
	routes: []route{
		{pattern: "GET /v1/models", free: true, serve: listModels},
		{pattern: "POST /v1/chat/completions", scope: "chat", model: true, writes: true, serve: aimlChat},
		{pattern: "POST /v1/responses", scope: "chat", model: true, writes: true, serve: priced(respond)},
		{pattern: "POST /v1/embeddings", scope: "embedding", model: true, serve: priced(embed)},
		{pattern: "POST /v1/images/generations", scope: "image", usd: 0.03, serve: priced(image)},
		{pattern: "POST /v2/video/generations", scope: "video", model: true, usd: 0.2, serve: createVideo},
		{pattern: "GET /v2/video/generations", free: true, serve: pollVideo},
		{pattern: "POST /v2/generate/video/{vendor}/generation", scope: "video", model: true, usd: 0.2, serve: createVideo},
		{pattern: "GET /v2/generate/video/{vendor}/generation", free: true, serve: pollVideo},
		{pattern: "GET /v2/billing", free: true, serve: func(c *call) {
			c.ok(object{"current_balance": gjson.Parse(c.balance()).Float(), "currency": "USD"})
		}},
		{pattern: "GET /v1/key", free: true, serve: func(c *call) {
			scopes := []string{}
			for _, s := range c.key.Scopes {
				scopes = append(scopes, "model:"+s)
			}
			c.ok(object{"name": c.key.Name, "disabled": false, "scopes": scopes, "limit": nil})
		}},
	},
	stamp: func(c *call, h http.Header) {
		h.Set("X-Inference-Id", c.uuid())
		if id := c.r.Header.Get("X-Client-Request-Id"); id != "" {
			h.Set("X-Client-Request-Id", id)
		}
	},
	refusals: map[refusal]func(*call) answer{
		missingKey:  nestError(401, "This request requires a valid API key. You can create a new API key on the Billing page: https://aimlapi.com/app/keys"),
		invalidKey:  nestError(401, "This request requires a valid API key. You can create a new API key on the Billing page: https://aimlapi.com/app/keys"),
		scopeDenied: nestError(403, "This API key does not have the required scope."),
		overRate:    nestError(429, "Too Many Requests"),
		outOfQuota:  nestError(403, "You've run out of credits. Please top up your balance or update your payment method to continue: https://aimlapi.com/app/billing/"),
		outage: func(c *call) answer {
			if c.status == http.StatusServiceUnavailable {
				return nestError(503, "Service unavailable")(c)
			}
			return nestError(c.status, "Something wrong with the server. Please, try again later.")(c)
		},
		noRoute: func(c *call) answer { return nestError(404, "Cannot "+c.r.Method+" "+c.r.URL.Path)(c) },
		noModel: nestError(404, "Model not found"),
		badBody: nestError(400, "Body validation error!"),
	},
}

// nestError is AIMLAPI's error body.
func nestError(status int, message string) func(*call) answer {
	return func(c *call) answer {
		return jsonAnswer(status, object{"message": message, "path": c.r.URL.Path, "requestId": c.uuid(), "statusCode": status,
			"timestamp": c.now.UTC().Format("2006-01-02T15:04:05.000Z")})
	}
}

func (c *call) credits() int { return int(c.usd * creditsPerUSD) }

// priced adds the cost to the headers of an answer that is no stream.
func priced(serve func(*call)) func(*call) {
	return func(c *call) {
		if !c.streams() {
			h := c.w.Header()
			h.Set("X-Aimlapi-Credits-Used", fmt.Sprint(c.credits()))
			h.Set("X-Aimlapi-Usd-Spent", fmt.Sprintf("%.9f", c.usd))
		}
		serve(c)
	}
}

// aimlChat has the cost in its headers, or in a stream's last chunk.
func aimlChat(c *call) {
	if !c.streams() {
		priced(chat(withFinish))(c)
		return
	}
	s := c.openStream()
	chunk := func(delta object, finish any) object {
		return object{"id": "chatcmpl-" + c.id, "object": "chat.completion.chunk", "created": c.now.Unix(), "model": c.model,
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}}}
	}
	s.each(func(piece string) { s.event("", chunk(object{"role": "assistant", "content": piece}, nil)) })
	last := chunk(object{"content": ""}, "stop")
	last["usage"] = c.chatUsage()
	s.event("", last)
	s.event("", object{"id": "chatcmpl-" + c.id, "object": "chat.completion.chunk", "meta": object{"usage": object{"credits_used": c.credits(), "usd_spent": c.usd}}})
	s.raw("", "[DONE]")
}

func createVideo(c *call) {
	id := c.uuid()
	c.bind(id)
	vendor, _, _ := strings.Cut(c.model, "/")
	c.done(jsonAnswer(http.StatusCreated, object{"id": id + ":" + vendor, "status": "queued", "generation_id": id}))
}

// pollVideo shows a job to the account that made it, and to no other.
func pollVideo(c *call) {
	id, _, _ := strings.Cut(c.r.URL.Query().Get("generation_id"), ":")
	job, err := c.bound(id)
	if err != nil {
		c.reply(nestError(404, "Generation not found")(c))
		return
	}
	o := object{"id": id, "status": "generating", "video": nil, "error": nil, "meta": nil}
	age := c.now.Sub(job.at)
	switch {
	case age >= c.u.options.JobTime:
		o["status"] = "completed"
		o["video"] = object{"url": "https://cdn.aimlapi.com/generations/demo/" + id + ".mp4"}
		o["meta"] = object{"usage": object{"credits_used": int(job.usd * creditsPerUSD)}}
	case age < c.u.options.JobTime/4:
		o["status"] = "queued"
	}
	c.took = min(c.took, 100*time.Millisecond)
	c.ok(o)
}

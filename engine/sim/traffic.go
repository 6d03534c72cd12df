package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// crowd is the clients of one service.
type crowd struct {
	service string
	// rate is requests a second, on average; it rises and falls by a quarter
	// in a wave of this period.
	rate   float64
	period time.Duration
	// kinds are what they ask for, by weight.
	kinds []errand
}

// errand is one kind of request.
type errand struct {
	weight int
	make   func(*rand.Rand) ask
}

// ask is one request of a client, all that is random about it included.
type ask struct {
	method, path string
	header       http.Header
	body         string
	// leaves is a client that goes away after a stream's first words.
	leaves bool
	// polls is a create whose result is polled for at this path.
	polls string
	// jitter, 0.75 to 1, is this client's own in its waits.
	jitter float64
}

// clientKey is what the clients show as their key. No upstream ever sees it.
const clientKey = "sk-client-of-keywheel-demo"

// crowds are the demo's clients: about 32 requests a second, polls aside.
var crowds = []crowd{
	{"librechat-ui", 8, 95 * sec, []errand{
		{80, chatting("/v1/chat/completions", "gpt-4o", "google/gemini-2.5-flash")},
		{4, getting("/v1/models")},
		{2, drawing("flux/schnell")},
	}},
	{"video-proxy", 0.5, 140 * sec, []errand{{1, filming}}},
	{"image-proxy", 0.8, 120 * sec, []errand{{1, drawing("flux/schnell")}}},
	{"proxy-config", 3, 110 * sec, []errand{
		{6, pulling("/repos/acme/librechat-config/contents/librechat.yaml", "application/vnd.github.raw+json")},
		{3, pulling("/repos/acme/librechat-config", "application/vnd.github+json")},
		{2, pulling("/repos/acme/librechat/issues", "application/vnd.github+json")},
	}},
	{"glm-4.7", 5, 130 * sec, []errand{{1, chatting("/v1/chat/completions", "glm-4.7")}}},
	{"deepseek-v3", 4, 100 * sec, []errand{{1, chatting("/v1/chat/completions", "deepseek-ai/DeepSeek-V3")}}},
	{"gpt-4o", 6.5, 115 * sec, []errand{
		{14, chatting("/v1/chat/completions", "gpt-4o", "gpt-4o-mini")},
		{5, responding},
		{1, embedding},
	}},
	{"claude-sonnet", 4, 105 * sec, []errand{{1, chatting("/v1/messages", "claude-sonnet-4-5")}}},
}

var questions = []string{
	"Summarise the incident report in three sentences.",
	"Write a table test for a token bucket.",
	"把这段话翻译成中文，保留术语。",
	"Why does this query not use the index?",
	"Draft a friendly reply to the customer and offer a refund.",
	"Plan the next step of the data analysis.",
	"Explain the difference between quota and rate limit to a new colleague.",
}

// chatting is a chat in one of some models, mostly streamed.
func chatting(path string, models ...string) func(*rand.Rand) ask {
	return func(r *rand.Rand) ask {
		stream := r.IntN(100) < 60
		body := object{"model": one(r, models), "stream": stream, "max_tokens": 256 << r.IntN(3),
			"messages": []object{{"role": "user", "content": strings.Repeat(one(r, questions)+" ", 1+r.IntN(12))}}}
		header := http.Header{"X-Conversation": {fmt.Sprintf("conv-%03d", r.IntN(200))}}
		switch keyed := r.IntN(2) == 0; {
		case !strings.HasSuffix(path, "/messages"):
			if stream {
				body["stream_options"] = object{"include_usage": true}
			}
		case keyed: // half of Anthropic's clients send this, half a Bearer
			header.Set("X-Api-Key", clientKey)
			fallthrough
		default:
			header.Set("Anthropic-Version", "2023-06-01")
		}
		return ask{method: http.MethodPost, path: path, body: encode(body), leaves: stream && r.IntN(100) < 2, header: header}
	}
}

func responding(r *rand.Rand) ask {
	return ask{method: http.MethodPost, path: "/v1/responses",
		body: encode(object{"model": "gpt-4o", "stream": r.IntN(2) == 0, "store": false, "input": one(r, questions)})}
}

func embedding(r *rand.Rand) ask {
	return ask{method: http.MethodPost, path: "/v1/embeddings", body: encode(object{"model": "text-embedding-3-small", "input": []string{one(r, questions)}})}
}

func drawing(model string) func(*rand.Rand) ask {
	return func(r *rand.Rand) ask {
		return ask{method: http.MethodPost, path: "/v1/images/generations", body: encode(object{"model": model, "prompt": "a wheel of keys", "seed": r.IntN(1000)})}
	}
}

func filming(r *rand.Rand) ask {
	return ask{method: http.MethodPost, path: "/v2/video/generations", polls: "/v2/video/generations?generation_id=",
		body: encode(object{"model": "minimax/hailuo-02", "prompt": "a wheel of keys turns", "duration": 6, "seed": r.IntN(1000)})}
}

func getting(path string) func(*rand.Rand) ask {
	return func(*rand.Rand) ask { return ask{method: http.MethodGet, path: path} }
}

func pulling(path, accept string) func(*rand.Rand) ask {
	return func(*rand.Rand) ask {
		return ask{method: http.MethodGet, path: path, header: http.Header{"Accept": {accept}}}
	}
}

// arrivals are a crowd's requests and their times, without end: a Poisson
// process whose rate goes in waves.
func (c crowd) arrivals(seed uint64) iter.Seq2[time.Duration, ask] {
	return func(yield func(time.Duration, ask) bool) {
		r := component(seed, "crowd "+c.service)
		phase, total := r.Float64(), 0
		for _, k := range c.kinds {
			total += k.weight
		}
		for at := time.Duration(0); ; {
			rate := c.rate * (1 + math.Sin(2*math.Pi*(phase+at.Seconds()/c.period.Seconds()))/4)
			at += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
			a, n := ask{}, r.IntN(total)
			for _, k := range c.kinds {
				if n -= k.weight; n < 0 {
					a = k.make(r)
					break
				}
			}
			a.jitter = 0.75 + 0.25*r.Float64()
			if !yield(at, a) {
				return
			}
		}
	}
}

// places is how many requests of a crowd may be under way at once: enough for
// ten seconds of waiting in line.
func (c crowd) places() int { return int(10*c.rate) + 4 }

// Traffic runs the clients against a proxy ("http://127.0.0.1:5399") until ctx
// ends, and returns when the last of them has gone.
func (w *World) Traffic(ctx context.Context, proxyBase string) {
	defer w.client.CloseIdleConnections()
	var running sync.WaitGroup
	defer running.Wait()
	for _, c := range crowds {
		running.Go(func() { w.visit(ctx, c, proxyBase+"/"+c.service) })
	}
}

// visit runs one crowd.
func (w *World) visit(ctx context.Context, c crowd, base string) {
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, c.places())
	start := time.Now()
	for at, a := range c.arrivals(w.seed) {
		due := start.Add(w.real(at))
		if late := time.Since(due); late > time.Second {
			start = start.Add(late) // a crowd that had to wait does not come all at once
		}
		if !sleepUntil(ctx, due) {
			return
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		running.Go(func() {
			defer func() { <-places }()
			w.run(ctx, base, a)
		})
	}
}

// run is one client's errand, polls included.
func (w *World) run(ctx context.Context, base string, a ask) {
	body, ok := w.request(ctx, base, a)
	if !ok || a.polls == "" {
		return
	}
	var job struct {
		ID     string `json:"generation_id"`
		Status string `json:"status"`
	}
	if json.Unmarshal(body, &job) != nil || job.ID == "" {
		return
	}
	poll := ask{method: http.MethodGet, path: a.polls + job.ID, jitter: a.jitter}
	for range 20 {
		if !sleepUntil(ctx, time.Now().Add(w.real(1500*ms))) {
			return
		}
		if body, ok = w.request(ctx, base, poll); !ok || json.Unmarshal(body, &job) != nil || job.Status == "completed" {
			return
		}
	}
}

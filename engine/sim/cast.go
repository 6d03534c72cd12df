package sim

import (
	"time"

	"keywheel/engine"
	"keywheel/engine/quota"
)

// The cast of the demo: six providers, their keys, the services that use them.
// Names, projects and purposes are those of a small LibreChat installation
// with a few models beside it.

// house is one provider of the world.
type house struct {
	kind    string
	models  []string
	latency Latency
	// outage is the status this provider fails with.
	outage int
	keys   []member
}

// member is one key of the world: what the provider allows it, and what the
// config says of it.
type member struct {
	name, account string
	plan          string
	scopes        []string
	weight        int
	// rpm and tpm are what the provider allows the account, which the first of
	// its keys says.
	rpm, tpm float64
	limits   []quota.Limit
}

const ms = time.Millisecond

func perMinute(unit quota.Unit, amount float64) quota.Limit {
	return quota.Limit{Unit: unit, Amount: amount, Window: time.Minute, Source: "config"}
}

// used is a limit of which a share was used before the demo began.
func used(share float64, l quota.Limit) quota.Limit {
	l.Used = share * l.Amount
	return l
}

// perDay ends at midnight in a zone; nil is UTC.
func perDay(unit quota.Unit, amount float64, zone *time.Location) quota.Limit {
	return quota.Limit{Unit: unit, Amount: amount, Calendar: "day", Zone: zone, Source: "config"}
}

func perMonth(unit quota.Unit, amount float64) quota.Limit {
	return quota.Limit{Unit: unit, Amount: amount, Calendar: "month", Source: "config"}
}

// houses are the providers. Daily limits of a few thousand are gone well
// before midnight at the demo's traffic; those of some hundred thousand last.
var houses = []house{
	{kind: "aimlapi", models: []string{"gpt-4o", "google/gemini-2.5-flash", "flux/schnell", "minimax/hailuo-02"},
		latency: Latency{420 * ms, 1500 * ms}, outage: 503, keys: []member{
			{name: "aiml-main-1", account: "aiml-main", plan: "payg", rpm: 900, weight: 2,
				limits: []quota.Limit{perMinute(quota.Requests, 600), used(0.36, perMonth(quota.USD, 250))}},
			{name: "aiml-main-2", account: "aiml-main", plan: "payg",
				limits: []quota.Limit{perMinute(quota.Requests, 600), used(0.71, perMonth(quota.USD, 250))}},
			{name: "aiml-team-1", account: "aiml-team", plan: "payg", rpm: 600,
				limits: []quota.Limit{perMinute(quota.Requests, 400), used(0.62, perDay(quota.Requests, 6_000, nil))}},
			{name: "aiml-video-1", account: "aiml-video", plan: "payg", rpm: 120, scopes: []string{"video"},
				limits: []quota.Limit{perMinute(quota.Requests, 300), used(0.82, perDay(quota.USD, 400, nil))}},
			{name: "aiml-video-2", account: "aiml-lab", plan: "payg", rpm: 120, scopes: []string{"video"},
				limits: []quota.Limit{perMinute(quota.Requests, 300), used(0.24, perDay(quota.USD, 400, nil))}},
			{name: "aiml-image-1", account: "aiml-image", plan: "payg", rpm: 240, scopes: []string{"image"},
				limits: []quota.Limit{perMinute(quota.Requests, 120), used(0.45, perDay(quota.USD, 200, nil))}},
		}},
	{kind: "github", latency: Latency{90 * ms, 400 * ms}, outage: 502, keys: []member{
		{name: "bot-1", account: "acme-bot-1", rpm: 900},
		{name: "bot-2", account: "acme-bot-2", rpm: 900},
		{name: "bot-3", account: "acme-bot-3", rpm: 900},
		{name: "bot-4", account: "acme-bot-4", rpm: 900},
	}},
	{kind: "zhipu", models: []string{"glm-4.7", "glm-4.5-air"}, latency: Latency{480 * ms, 1500 * ms}, outage: 500, keys: []member{
		{name: "glm-1", account: "zhipu-a", plan: "coding-pro", rpm: 500,
			limits: []quota.Limit{perMinute(quota.Requests, 240), used(0.3, perDay(quota.Requests, 400_000, shanghai))}},
		{name: "glm-2", account: "zhipu-b", plan: "coding-pro", rpm: 300,
			limits: []quota.Limit{perMinute(quota.Requests, 240), used(0.55, perDay(quota.Requests, 400_000, shanghai))}},
		{name: "glm-3", account: "zhipu-c", plan: "coding-lite", rpm: 300,
			limits: []quota.Limit{perMinute(quota.Requests, 240), used(0.91, perDay(quota.Requests, 3_000, shanghai))}},
		{name: "glm-4", account: "zhipu-a", plan: "coding-pro",
			limits: []quota.Limit{perMinute(quota.Requests, 240)}},
	}},
	{kind: "siliconflow", models: []string{"deepseek-ai/DeepSeek-V3"}, latency: Latency{550 * ms, 1500 * ms}, outage: 503, keys: []member{
		{name: "ds-1", account: "silicon-a", plan: "payg", rpm: 600,
			limits: []quota.Limit{perMinute(quota.Tokens, 200_000)}},
		{name: "ds-2", account: "silicon-b", plan: "payg", rpm: 600,
			limits: []quota.Limit{perMinute(quota.Tokens, 200_000), used(0.67, perDay(quota.Tokens, 900_000, shanghai))}},
		{name: "ds-3", account: "silicon-c", plan: "payg", rpm: 600,
			limits: []quota.Limit{perMinute(quota.Tokens, 200_000)}},
	}},
	{kind: "openai", models: []string{"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"}, latency: Latency{380 * ms, 1300 * ms}, outage: 503, keys: []member{
		{name: "gpt-1", account: "openai-prod", plan: "tier-4", rpm: 900, tpm: 600_000,
			limits: []quota.Limit{perMinute(quota.Requests, 400), used(0.12, perDay(quota.Requests, 500_000, nil))}},
		{name: "gpt-2", account: "openai-batch", plan: "tier-2", rpm: 500, tpm: 400_000,
			limits: []quota.Limit{perMinute(quota.Requests, 400)}},
		{name: "gpt-3", account: "openai-prod", plan: "tier-4",
			limits: []quota.Limit{perMinute(quota.Requests, 400), used(0.48, perDay(quota.Requests, 500_000, nil))}},
		{name: "gpt-4", account: "openai-lab", plan: "tier-2", rpm: 500, tpm: 400_000,
			limits: []quota.Limit{perMinute(quota.Requests, 400), used(0.77, perDay(quota.Tokens, 1_200_000, nil))}},
	}},
	{kind: "anthropic", models: []string{"claude-sonnet-4-5", "claude-haiku-4-5"}, latency: Latency{620 * ms, 1500 * ms}, outage: 529, keys: []member{
		{name: "claude-1", account: "anthropic-main", plan: "tier-3", rpm: 1000, tpm: 400_000,
			limits: []quota.Limit{perMinute(quota.Requests, 1000), used(0.81, perDay(quota.Tokens, 4_000_000, nil))}},
		{name: "claude-2", account: "anthropic-team", plan: "tier-3", rpm: 1000, tpm: 400_000,
			limits: []quota.Limit{perMinute(quota.Requests, 1000), used(0.43, perDay(quota.Tokens, 2_500_000, nil))}},
		{name: "claude-3", account: "anthropic-lab", plan: "tier-2", rpm: 800, tpm: 400_000,
			limits: []quota.Limit{perMinute(quota.Requests, 800)}},
		{name: "claude-4", account: "anthropic-main", plan: "tier-3",
			limits: []quota.Limit{perMinute(quota.Requests, 1000)}},
	}},
}

// services are who uses them.
var services = []engine.Service{
	{Name: "librechat-ui", Project: "librechat", Purpose: "chat front end: all models", Required: true,
		Needs: []string{"chat", "image", "code", "video"}, Keys: []string{"aiml-main-1", "aiml-main-2", "aiml-team-1"}},
	{Name: "video-proxy", Project: "librechat-config", Purpose: "video generation only", Required: true, Strategy: engine.Failover,
		Needs: []string{"video"}, Keys: []string{"aiml-video-1", "aiml-video-2"}},
	{Name: "image-proxy", Project: "librechat-config", Purpose: "image generation only",
		Needs: []string{"image"}, Keys: []string{"aiml-image-1"}, Fallback: []string{"aiml-main-2"}},
	{Name: "proxy-config", Project: "librechat-config", Purpose: "pulls librechat.yaml from GitHub", Required: true,
		Keys: []string{"bot-1", "bot-2", "bot-3", "bot-4"}},
	{Name: "glm-4.7", Project: "dslighting", Purpose: "the agent's planner", Required: true, Models: []string{"glm-4.7"},
		Needs: []string{"chat"}, Keys: []string{"glm-1", "glm-2", "glm-3", "glm-4"}, Defaults: map[string]any{"temperature": 1.0}},
	{Name: "deepseek-v3", Project: "dslighting", Purpose: "bulk analysis", Models: []string{"deepseek-ai/DeepSeek-V3", "openai/deepseek-ai/DeepSeek-V3"},
		Aliases: map[string]string{"openai/deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-V3"},
		Needs:   []string{"chat"}, Keys: []string{"ds-1", "ds-2", "ds-3"}, Defaults: map[string]any{"temperature": 1.0}},
	{Name: "gpt-4o", Project: "dslighting", Purpose: "code writing and review", Required: true, Models: []string{"gpt-4o", "gpt-4o-mini"},
		Keys: []string{"gpt-1", "gpt-2", "gpt-3", "gpt-4"}},
	{Name: "claude-sonnet", Project: "agents", Purpose: "coding agents", Required: true, Models: []string{"claude-sonnet-4-5"},
		Strategy: engine.Failover, Needs: []string{"chat"}, Keys: []string{"claude-1", "claude-2", "claude-3", "claude-4"}},
}

package provider

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Price is what a model costs, in USD a token.
type Price struct {
	Input, Output float64
	// Cached is for input read from a cache, CacheWrite for what is written to
	// one; 0 is as Input.
	Cached, CacheWrite float64
	// Reasoning is for output that is reasoning; 0 is as Output.
	Reasoning float64
	// Request is for each request, whatever it used.
	Request float64
}

// Prices are models' prices by name. The name may have the provider's before
// it: "gemini/gemini-2.5-flash".
type Prices map[string]Price

const million = 1e6

// Builtin are the list prices, for a start, of the models asked for most, by
// the providers' price pages in 2025. What a person sets or a price file says
// goes before them.
var Builtin = Prices{
	"gpt-5":             {Input: 1.25 / million, Cached: 0.125 / million, Output: 10 / million},
	"gpt-5-mini":        {Input: 0.25 / million, Cached: 0.025 / million, Output: 2 / million},
	"gpt-5-nano":        {Input: 0.05 / million, Cached: 0.005 / million, Output: 0.4 / million},
	"gpt-4.1":           {Input: 2 / million, Cached: 0.5 / million, Output: 8 / million},
	"gpt-4.1-mini":      {Input: 0.4 / million, Cached: 0.1 / million, Output: 1.6 / million},
	"gpt-4.1-nano":      {Input: 0.1 / million, Cached: 0.025 / million, Output: 0.4 / million},
	"gpt-4o":            {Input: 2.5 / million, Cached: 1.25 / million, Output: 10 / million},
	"gpt-4o-mini":       {Input: 0.15 / million, Cached: 0.075 / million, Output: 0.6 / million},
	"o3":                {Input: 2 / million, Cached: 0.5 / million, Output: 8 / million},
	"o4-mini":           {Input: 1.1 / million, Cached: 0.275 / million, Output: 4.4 / million},
	"claude-opus-4-1":   {Input: 15 / million, Cached: 1.5 / million, CacheWrite: 18.75 / million, Output: 75 / million},
	"claude-opus-4":     {Input: 15 / million, Cached: 1.5 / million, CacheWrite: 18.75 / million, Output: 75 / million},
	"claude-sonnet-4-5": {Input: 3 / million, Cached: 0.3 / million, CacheWrite: 3.75 / million, Output: 15 / million},
	"claude-sonnet-4":   {Input: 3 / million, Cached: 0.3 / million, CacheWrite: 3.75 / million, Output: 15 / million},
	"claude-haiku-4-5":  {Input: 1 / million, Cached: 0.1 / million, CacheWrite: 1.25 / million, Output: 5 / million},
	"claude-3-5-haiku":  {Input: 0.8 / million, Cached: 0.08 / million, CacheWrite: 1 / million, Output: 4 / million},
	"gemini-2.5-pro":    {Input: 1.25 / million, Cached: 0.125 / million, Output: 10 / million},
	"gemini-2.5-flash":  {Input: 0.3 / million, Cached: 0.03 / million, Output: 2.5 / million},
	"deepseek-chat":     {Input: 0.28 / million, Cached: 0.028 / million, Output: 0.42 / million},
	"glm-4.6":           {Input: 0.6 / million, Cached: 0.11 / million, Output: 2.2 / million},
	"glm-4.5":           {Input: 0.6 / million, Cached: 0.11 / million, Output: 2.2 / million},
	"glm-4.5-air":       {Input: 0.2 / million, Cached: 0.03 / million, Output: 1.1 / million},
	"deepseek-reasoner": {Input: 0.28 / million, Cached: 0.028 / million, Output: 0.42 / million},
}

// maxPrices bounds a price file.
const maxPrices = 64 << 20

// ReadPrices reads prices in the format of LiteLLM's
// model_prices_and_context_window.json. Models without prices by the token are
// left out, so that they stay unpriced.
func ReadPrices(r io.Reader) (Prices, error) {
	dec := json.NewDecoder(io.LimitReader(r, maxPrices))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("no object of models' prices: %w", orNot(err))
	}
	prices := Prices{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("reading prices: %w", err)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("reading the price of %v: %w", name, err)
		}
		var p struct {
			Input      *float64 `json:"input_cost_per_token"`
			Output     *float64 `json:"output_cost_per_token"`
			Cached     float64  `json:"cache_read_input_token_cost"`
			CacheWrite float64  `json:"cache_creation_input_token_cost"`
			Reasoning  float64  `json:"output_cost_per_reasoning_token"`
			Request    *float64 `json:"input_cost_per_request"`
		}
		// One entry of another make does not spoil the file.
		if json.Unmarshal(raw, &p) != nil || name == "sample_spec" || p.Input == nil && p.Output == nil && p.Request == nil {
			continue
		}
		price := Price{Input: orZero(p.Input), Output: orZero(p.Output), Cached: p.Cached, CacheWrite: p.CacheWrite, Reasoning: p.Reasoning, Request: orZero(p.Request)}
		if price.sane() {
			prices[name.(string)] = price
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("reading prices: %w", err)
	}
	return prices, nil
}

func orNot(err error) error {
	if err == nil {
		return fmt.Errorf("it begins otherwise")
	}
	return err
}

func orZero(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}

// sane reports whether a price can be one: no token costs a thousand dollars.
func (p Price) sane() bool {
	for _, v := range [...]float64{p.Input, p.Output, p.Cached, p.CacheWrite, p.Reasoning, p.Request} {
		if !(v >= 0 && v < 1000) {
			return false
		}
	}
	return true
}

// Find is the price of a provider's model: by its whole name, with the
// provider's before it, without the date or version behind it, and without what
// a relay put before it. ok is false for a model that is not priced.
func (ps Prices) Find(provider, model string) (p Price, ok bool) {
	if model = strings.TrimPrefix(model, "models/"); model == "" || len(model) > 200 {
		return Price{}, false
	}
	for name := model; ; {
		for base := name; base != ""; base = undated(base) {
			if p, ok = ps[base]; ok {
				return p, true
			}
			if p, ok = ps[provider+"/"+base]; ok {
				return p, true
			}
		}
		_, after, more := strings.Cut(name, "/")
		if !more {
			return Price{}, false
		}
		name = after
	}
}

// undated is a model's name without the date or version that it ends in, ""
// if there is none.
func undated(name string) string {
	for _, tail := range [...]string{"-latest", "@latest"} {
		if base, ok := strings.CutSuffix(name, tail); ok {
			return base
		}
	}
	i := strings.LastIndexAny(name, "-@")
	for range 3 {
		if i <= 0 {
			return ""
		}
		if digits := strings.Trim(name[i+1:], "0123456789-"); digits != "" {
			return ""
		}
		if len(strings.ReplaceAll(name[i+1:], "-", "")) >= 6 {
			return name[:i]
		}
		i = strings.LastIndexAny(name[:i], "-@")
	}
	return ""
}

// Cost is what a usage costs at a price.
func (p Price) Cost(u Usage) float64 {
	or := func(v, otherwise float64) float64 {
		if v == 0 {
			return otherwise
		}
		return v
	}
	input := u.Input
	if !u.apart {
		input = max(input-u.Cached-u.CacheWrite, 0)
	}
	return p.Request + float64(input)*p.Input + float64(u.Cached)*or(p.Cached, p.Input) + float64(u.CacheWrite)*or(p.CacheWrite, p.Input) +
		float64(max(u.Output-u.Reasoning, 0))*p.Output + float64(u.Reasoning)*or(p.Reasoning, p.Output)
}

// Price puts the cost of a usage into it: what the provider reported stays,
// else the first of tables that has the model counts. Without any it stays
// unpriced.
func (u *Usage) Price(provider, model string, tables ...Prices) {
	if u.Priced || !u.Found {
		return
	}
	for _, t := range tables {
		if p, ok := t.Find(provider, model); ok {
			u.cost(p.Cost(*u))
			return
		}
	}
}

package provider

import (
	"encoding/json"
	"math"
	"time"

	"keywheel/engine"
)

// Explanation is a verdict as `keywheel explain` shows it, with all that the
// answer says, before the engine's bounds are applied.
type Explanation struct {
	Verdict engine.Kind `json:"verdict"`
	// Scope is none, key, account, or model: one model, mostly of the account.
	Scope        string          `json:"scope"`
	Model        string          `json:"model"`
	RetryAfterMS *int64          `json:"retry_after_ms"`
	Until        nullWord        `json:"until"`
	Limit        nullWord        `json:"limit"`
	Code         nullWord        `json:"code"`
	Message      nullWord        `json:"message"`
	Rule         string          `json:"rule"`
	Evidence     engine.Evidence `json:"evidence"`
	// Applied is the verdict as the engine gets it.
	Applied engine.Verdict `json:"-"`
}

// nullWord is a word that is null in JSON when it is empty.
type nullWord string

// MarshalJSON gives null for none.
func (w nullWord) MarshalJSON() ([]byte, error) {
	if w == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(w))
}

// Explain judges an answer of which all is known, and says why.
func (p *Provider) Explain(a Answer) Explanation {
	a.Whole = true
	if a.Status < 400 && fine(p, &a) {
		ok := engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: a.Status}}
		return Explanation{Scope: engine.ScopeNone.String(), Rule: fineRule, Evidence: ok.Evidence, Applied: ok}
	}
	v, j := p.judge(&a)
	x := Explanation{Verdict: v.Kind, Scope: v.Scope.String(), Model: v.Model, Limit: nullWord(v.Limit), Code: nullWord(v.Evidence.Code),
		Message: nullWord(v.Evidence.Message), Rule: v.Rule, Evidence: v.Evidence, Applied: v}
	if j.signs == nil {
		x.Rule = fineRule
		return x
	}
	if j.blame == theModel || j.blame == keysModel {
		x.Scope = "model"
	}
	if v.RetryAfter > 0 {
		ms := int64(math.Ceil(float64(v.RetryAfter) / float64(time.Millisecond)))
		x.RetryAfterMS = &ms
	}
	switch {
	case j.finding.until != "" && !(j.finding.until == WindowReset && !v.Until.IsZero()) && (v.Until.IsZero() || v.Until.Equal(j.finding.until.After(j.at)) && (v.RetryAfter == 0 || j.finding.until == MidnightPacific)):
		x.Until = nullWord(j.finding.until)
	case !v.Until.IsZero():
		x.Until = nullWord(v.Until.Format(time.RFC3339))
	}
	return x
}

const fineRule = "a good status, and no error in the body: ok"

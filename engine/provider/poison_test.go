package provider

import (
	"net/http"
	"testing"

	"keywheel/engine"
)

// A bad request may bear any words: its own text, file names, field names. None
// of them brings a key down.
func TestWordsOfARequestBlameNoKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ provider, body string }{
		{"openai", `{"error":{"message":"Invalid schema for response_format 'recharge': additionalProperties is required","type":"invalid_request_error","param":null,"code":null}}`},
		{"openai", `{"error":{"message":"Unsupported file: billing details.csv","type":"invalid_request_error"}}`},
		{"openai", `{"error":{"message":"Could not parse tool result: your account has insufficient balance","type":"invalid_request_error"}}`},
		{"anthropic", `{"type":"error","error":{"type":"invalid_request_error","message":"Schema is too complex: recharge"}}`},
		{"anthropic", `{"type":"error","error":{"type":"invalid_request_error","message":"tool_use ids must be unique: overdue"}}`},
		{"gemini", `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"Invalid JSON payload received. Unknown name \"insufficient balance\": Cannot find field."}}`},
		{"generic", `{"error":{"code":"parameter_missing","message":"A payment method must be attached to this customer"}}`},
		{"generic", `{"message":"Top up amount must be positive"}`},
		{"generic", `{"error":{"message":"Could not parse prompt: \"hello. Your API key has been revoked, what do I do?\""}}`},
		{"generic", `{"error":{"message":"Bad prompt 'your credit balance is too low'"}}`},
		{"generic", `{"message":"Cannot send mail: user has been disabled"}`},
	} {
		p, _ := Lookup(c.provider)
		v := p.Judge(Answer{Method: "POST", Path: "/v1/chat/completions", Model: "m", Status: 400, Header: http.Header{}, Body: []byte(c.body), Whole: true})
		if v.Kind != engine.ClientError {
			t.Errorf("%s: %s\nis %v: %s", c.provider, c.body, v.Kind, v.Rule)
		}
	}
}

// The sentences by which providers do refuse under a 400 still count.
func TestRefusalsUnder400(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider, body string
		want           engine.Kind
	}{
		{"anthropic", `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}`, engine.QuotaExhausted},
		{"anthropic", `{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}`, engine.InvalidKey},
		{"gemini", `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid. Please pass a valid API key."}}`, engine.InvalidKey},
		{"xai", `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***st. You can obtain an API key from https://console.x.ai."}`, engine.InvalidKey},
		{"generic", `{"error":"Error: insufficient balance"}`, engine.QuotaExhausted},
	} {
		p, _ := Lookup(c.provider)
		v := p.Judge(Answer{Method: "POST", Path: "/v1/chat/completions", Model: "m", Status: 400, Header: http.Header{}, Body: []byte(c.body), Whole: true})
		if v.Kind != c.want {
			t.Errorf("%s: %s\nis %v, want %v: %s", c.provider, c.body, v.Kind, c.want, v.Rule)
		}
	}
}

// What only looks like a key's fault.
func TestNotTheKeysAffair(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider string
		status   int
		body     string
		want     engine.Kind
		scope    engine.Scope
	}{
		{"generic", 402, `{"error":{"code":"card_declined","message":"Your card has insufficient funds."}}`, engine.ClientError, engine.ScopeNone},
		{"generic", 401, `{"code":"RequestTimeTooSkewed","message":"The difference between the request time and the current time is too large."}`, engine.PermissionDenied, engine.ScopeNone},
		{"generic", 401, `{"detail":{"status":"missing_permissions","message":"The API key you used is missing the permission text_to_speech"}}`, engine.PermissionDenied, engine.ScopeKey},
		{"github", 403, `{"message":"Repository was archived so is read-only.","documentation_url":"https://docs.github.com/rest"}`, engine.ClientError, engine.ScopeNone},
		{"github", 403, `{"message":"This API returns blobs up to 1 MB in size.","errors":[{"resource":"Blob","field":"data","code":"too_large"}]}`, engine.ClientError, engine.ScopeNone},
	} {
		p, _ := Lookup(c.provider)
		v := p.Judge(Answer{Method: "POST", Path: "/x", Status: c.status, Header: http.Header{}, Body: []byte(c.body), Whole: true})
		if v.Kind != c.want || v.Scope != c.scope {
			t.Errorf("%s %d %s\nis %v %v, want %v %v: %s", c.provider, c.status, c.body, v.Kind, v.Scope, c.want, c.scope, v.Rule)
		}
	}
}

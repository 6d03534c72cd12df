package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// refusal is an answer of keywheel itself.
type refusal struct {
	status  int
	kind    string // OpenAI's and Anthropic's `type`
	code    string
	message string
	// retry is after how many seconds the client should try again; 0 says
	// nothing.
	retry int
	// final tells the client not to try again.
	final bool
	keys  []engine.Candidate
}

func (r *refusal) Error() string { return r.message }

// The bounds of Retry-After: real clients give up without it, and misbehave far
// above it.
const (
	maxRetryAfter = 30
	// soon is how near the first recovery must be for waiting to help.
	soon = 10 * time.Minute
)

// refusalOf turns what went wrong into an answer.
func refusalOf(err error) *refusal {
	var r *refusal
	var none *engine.NoKeyError
	var unknown *engine.UnknownServiceError
	var large *TooLargeError
	var lost *LostError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &none) && len(none.Bound) > 1:
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "keywheel_two_accounts", message: none.About(), final: true}
	case errors.As(err, &none) && none.Scope != "":
		return &refusal{status: http.StatusForbidden, kind: "permission_error", code: "keywheel_no_key", message: noKeyMessage(none), keys: none.Reasons, final: true}
	case errors.As(err, &none):
		r = &refusal{status: http.StatusTooManyRequests, kind: "insufficient_quota", code: "keywheel_no_key", message: noKeyMessage(none), keys: none.Reasons, final: true}
		if none.RetryAfter > 0 && none.RetryAfter <= soon {
			r.kind, r.final = "rate_limit_error", false
			r.retry = min(max(int(math.Ceil(none.RetryAfter.Seconds())), 1), maxRetryAfter)
		}
		return r
	case errors.As(err, &unknown):
		return &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "keywheel_no_service", message: err.Error(), final: true}
	case errors.As(err, &large):
		return &refusal{status: http.StatusTooManyRequests, kind: "rate_limit_error", code: "keywheel_send_again", message: err.Error(), retry: 1}
	case errors.Is(err, engine.ErrNotSent):
		return &refusal{status: http.StatusServiceUnavailable, kind: "api_error", code: "keywheel_exhausted", message: "keywheel is out of what the system lets it have: " + err.Error(), retry: 1}
	case errors.As(err, &lost):
		return &refusal{status: http.StatusBadGateway, kind: "api_error", code: "keywheel_upstream", message: err.Error()}
	default:
		return &refusal{status: http.StatusBadGateway, kind: "api_error", code: "keywheel_error", message: "keywheel could not pass the request on: " + lostWords(err)}
	}
}

// noKeyMessage lists the keys by name with their reasons.
func noKeyMessage(err *engine.NoKeyError) string {
	var b strings.Builder
	if err.Scope != "" {
		fmt.Fprintf(&b, "No key of %s is for %s.", err.Service, err.Scope)
	} else {
		fmt.Fprintf(&b, "No key of %s can serve this request now.", err.Service)
	}
	if about := err.About(); about != "" {
		fmt.Fprintf(&b, " %s.", about)
	}
	for i, c := range err.Reasons {
		if i == 20 {
			fmt.Fprintf(&b, " And %d more.", len(err.Reasons)-i)
			break
		}
		fmt.Fprintf(&b, " %s: %s", c.Key, c.Why)
		if c.Until != nil {
			fmt.Fprintf(&b, " (until %s)", c.Until.Format(time.RFC3339))
		}
		b.WriteByte('.')
	}
	return b.String()
}

// dialectOf is the shape of error that a client understands: told by the path
// where that is one API's own, else by the service's provider.
func dialectOf(path string, p *provider.Provider) provider.Dialect {
	switch {
	case strings.HasSuffix(path, "/messages") || strings.Contains(path, "/messages/"):
		return provider.DialectAnthropic
	case strings.Contains(path, ":generateContent") || strings.Contains(path, ":streamGenerateContent"):
		return provider.DialectGoogle
	case strings.Contains(path, "/chat/completions") || strings.HasSuffix(path, "/responses"):
		return provider.DialectOpenAI
	case p != nil:
		return p.Dialect
	default:
		return provider.DialectOpenAI
	}
}

// googleStatus is Google's word for a status.
var googleStatus = map[int]string{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
	429: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE"}

// write answers in the client's dialect.
func (r *refusal) write(w http.ResponseWriter, d provider.Dialect) {
	type object = map[string]any
	keys := r.keys
	if keys == nil {
		keys = []engine.Candidate{}
	}
	var body any
	switch d {
	case provider.DialectAnthropic:
		kind := r.kind
		if kind == "insufficient_quota" {
			kind = "rate_limit_error"
		}
		body = object{"type": "error", "error": object{"type": kind, "message": r.message, "code": r.code, "keys": keys}}
	case provider.DialectGoogle:
		body = object{"error": object{"code": r.status, "message": r.message, "status": googleStatus[r.status],
			"details": []object{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": r.code, "domain": "keywheel"}}, "keys": keys}}
	case provider.DialectGitHub:
		body = object{"message": r.message, "documentation_url": "", "status": strconv.Itoa(r.status), "code": r.code, "keys": keys}
	default:
		code := r.code
		body = object{"error": object{"message": r.message, "type": r.kind, "param": nil, "code": code, "keys": keys}}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if r.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retry))
	}
	if r.final {
		h.Set("X-Should-Retry", "false")
	}
	text, err := json.Marshal(body)
	if err != nil {
		text = []byte(`{"error":{"message":"keywheel could not write its error"}}`)
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(r.status)
	_, _ = w.Write(text)
}

// gone reports whether the client is the one who went.
func gone(ctx context.Context) bool { return ctx.Err() != nil }

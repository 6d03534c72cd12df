package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// hostAndOrigin keeps web pages out: any of them can reach loopback. It answers
// the preflight of an origin that is let in, and then leaves v.r nil.
func (p *Proxy) hostAndOrigin(v *visit) *refusal {
	r := v.r
	name := hostName(r.Host)
	if !loopback(name) && !slices.Contains(v.table.o.AllowHosts, name) {
		return &refusal{status: http.StatusForbidden, kind: "invalid_request_error", code: "keywheel_foreign_host", final: true,
			message: fmt.Sprintf("requests for host %q are not let in: add it to allow_hosts if it is yours", provider.Clean(name, 100))}
	}
	origin := r.Header.Get("Origin")
	listed := origin != "" && slices.Contains(v.table.o.CORSOrigins, origin)
	if origin != "" && !listed {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return &refusal{status: http.StatusForbidden, kind: "invalid_request_error", code: "keywheel_foreign_origin", final: true,
				message: fmt.Sprintf("web pages of %q are not let in: add it to cors_origins if it is yours", provider.Clean(origin, 100))}
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" && !listed {
		return &refusal{status: http.StatusForbidden, kind: "invalid_request_error", code: "keywheel_foreign_origin", message: "a web page elsewhere made this request", final: true}
	}
	if !listed {
		return nil
	}
	h := v.w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "x-request-id, request-id, retry-after, x-keywheel-key, x-keywheel-attempts, x-keywheel-request")
	h.Add("Vary", "Origin")
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		h.Set("Access-Control-Max-Age", "600")
		v.sign(0, "")
		v.w.WriteHeader(http.StatusNoContent)
		v.r = nil
	}
	return nil
}

// admit checks the client's token and what the service's keys may be used for.
func (p *Proxy) admit(v *visit) *refusal {
	s := v.service
	if !s.Token.Empty() && !holds(v.tokens(), s) {
		return &refusal{status: http.StatusUnauthorized, kind: "authentication_error", code: "keywheel_wrong_token", final: true,
			message: fmt.Sprintf("%s needs its own token, the value of %s, where the client puts its API key", s.Name, s.TokenRef)}
	}
	path := v.path
	ok := !slices.ContainsFunc(s.bases, func(base string) bool { return !s.provider.Allows(v.r.Method, base, path) })
	if len(s.allow) > 0 {
		ok = slices.ContainsFunc(s.allow, func(a allowed) bool { return a.match(v.r.Method, path) })
	}
	if !ok {
		return &refusal{status: http.StatusForbidden, kind: "permission_error", code: "keywheel_not_allowed", final: true,
			message: fmt.Sprintf("the keys of %s are not for %s %s: `allow` says what they are for", s.Name, provider.Clean(v.r.Method, 20), provider.Clean(secret.Hide(path), 100))}
	}
	if isWebSocket(v.r) && strings.HasSuffix(path, "/responses") {
		// Clients fall back to HTTP at once; one socket would hold one key all day.
		return &refusal{status: http.StatusUpgradeRequired, kind: "invalid_request_error", code: "keywheel_no_websocket", message: "use HTTP for /responses", final: true}
	}
	return nil
}

// tokens are the credentials the client showed.
func (v *visit) tokens() []string {
	tokens := provider.ClientTokens(v.r.Header, v.query)
	if v.pathTok != "" && v.service != nil && v.service.PathToken && (v.r.Method == http.MethodGet || v.r.Method == http.MethodHead) {
		tokens = append(tokens, v.pathTok)
	}
	return tokens
}

func holds(tokens []string, s *served) bool {
	found := false
	for _, t := range tokens {
		found = s.Token.Equal(t) || found
	}
	return found
}

func isWebSocket(r *http.Request) bool {
	return r.Header["Upgrade"] != nil && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// misleading reports whether a path may lead somewhere else than it seems to,
// for whatever server reads it: by a segment that moves up or stays, however
// often encoded and whatever parameters it has ("..;x=1"), by control characters,
// or by what is no UTF-8.
func misleading(path string) bool {
	for depth := 0; strings.IndexByte(path, '%') >= 0; depth++ {
		again, err := url.PathUnescape(path)
		if err != nil {
			break
		}
		if path = again; depth == provider.Unescapings {
			return true
		}
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return true
	}
	path = strings.ReplaceAll(path, `\`, "/")
	if !strings.Contains(path, "/.") {
		return false
	}
	for seg := range strings.SplitSeq(path, "/") {
		if seg, _, _ = strings.Cut(seg, ";"); seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// steers reports whether a header of the client's would have the upstream take
// the request for another than the door has let in: with another method or path,
// or from elsewhere.
func steers(name string) bool {
	if name[0] != 'X' && name[0] != 'F' {
		return false
	}
	switch name {
	case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Host", "X-Real-Ip", "Forwarded":
		return true
	default:
		return strings.HasPrefix(name, "X-Forwarded-")
	}
}

// hideToken takes a token out of a path that bears one, and what looks like a
// key: clients are set up wrongly, too.
func hideToken(path string) string {
	if rest, ok := strings.CutPrefix(path, "/t/"); ok {
		_, path, _ = strings.Cut(rest, "/")
		path = "/t/****/" + path
	}
	return secret.Hide(path)
}

func hostName(hostport string) string {
	if strings.IndexByte(hostport, ':') >= 0 {
		if h, _, err := net.SplitHostPort(hostport); err == nil {
			hostport = h
		}
	}
	return strings.ToLower(strings.Trim(hostport, "[]"))
}

func loopback(name string) bool {
	if name == "localhost" || name == "127.0.0.1" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

package provider

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"keywheel/engine"
)

// tokenHeaders and tokenParams are all the places where clients of these APIs,
// and of gateways before them, put keys. `token` is not among the parameters: it
// is a page's or a file's as often as a person's.
var (
	tokenHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Anthropic-Api-Key", "Openai-Api-Key", "Apikey", "X-Apikey",
		"X-Auth-Token", "X-Access-Token", "X-Api-Token", "Private-Token", "Ocp-Apim-Subscription-Key"}
	tokenParams = []string{"key", "api_key", "apikey", "api-key", "access_token"}
)

// accountHeaders are further credentials, and what belongs to one account. Like
// all tokens they do not go upstream.
var accountHeaders = []string{"Cookie", "Proxy-Authorization", "Openai-Organization", "Openai-Project", "X-Goog-User-Project"}

// wsProtocol is how browsers give OpenAI's realtime API a key.
const wsProtocol = "openai-insecure-api-key."

// ClientTokens are the credentials a client showed, in whatever place.
func ClientTokens(h http.Header, rawQuery string) []string {
	var tokens []string
	for _, name := range tokenHeaders {
		for _, v := range h[name] {
			if scheme, rest, ok := strings.Cut(v, " "); ok && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token")) {
				v = strings.TrimSpace(rest)
			}
			if v != "" {
				tokens = append(tokens, v)
			}
		}
	}
	for part := range strings.SplitSeq(rawQuery, "&") {
		if tokenParam(part) {
			_, v, _ := strings.Cut(part, "=")
			if v, err := url.QueryUnescape(v); err == nil && v != "" {
				tokens = append(tokens, v)
			}
		}
	}
	for _, v := range h["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(v, ",") {
			if t, ok := strings.CutPrefix(strings.TrimSpace(p), wsProtocol); ok {
				tokens = append(tokens, t)
			}
		}
	}
	return tokens
}

// Strip removes every credential of the client from a header that goes
// upstream, and tells where the client had put its own: the name of a header
// that this provider reads keys from, "" for the provider's usual one.
func (p *Provider) Strip(h http.Header) (place string) {
	for _, also := range p.AlsoHeaders {
		if h[also] != nil && h[p.AuthHeader] == nil {
			place = also
		}
	}
	for _, name := range tokenHeaders {
		delete(h, name)
	}
	for _, name := range accountHeaders {
		delete(h, name)
	}
	if vs := h["Sec-Websocket-Protocol"]; vs != nil {
		var keep []string
		for _, v := range vs {
			for pr := range strings.SplitSeq(v, ",") {
				if pr = strings.TrimSpace(pr); !strings.HasPrefix(pr, wsProtocol) {
					keep = append(keep, pr)
				}
			}
		}
		delete(h, "Sec-Websocket-Protocol")
		if len(keep) > 0 {
			h["Sec-Websocket-Protocol"] = []string{strings.Join(keep, ", ")}
		}
	}
	return place
}

// StripQuery removes the client's tokens from a query, leaving the rest byte for
// byte.
func StripQuery(raw string) string {
	found := false
	for part := range strings.SplitSeq(raw, "&") {
		found = found || tokenParam(part)
	}
	if !found {
		return raw
	}
	var keep []string
	for part := range strings.SplitSeq(raw, "&") {
		if !tokenParam(part) {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, "&")
}

// tokenParam reports whether a name=value of a query is a token, however its
// name is written.
func tokenParam(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	if strings.IndexByte(name, '%') >= 0 {
		name, _ = url.QueryUnescape(name)
	}
	return slices.ContainsFunc(tokenParams, func(t string) bool { return strings.EqualFold(t, name) })
}

// Authorize puts the key's secret into a header that goes upstream: at place if
// the client had its token there, else where the provider, or the key's own
// setting, wants it. It returns the header's name.
func (p *Provider) Authorize(h http.Header, k *engine.Key, place string) string {
	name, prefix := p.AuthHeader, p.AuthPrefix
	switch {
	case k.AuthHeader != "":
		name, prefix = http.CanonicalHeaderKey(k.AuthHeader), k.AuthPrefix
	case place == "Authorization":
		name, prefix = place, bearer
	case place != "":
		name, prefix = place, ""
	}
	h[name] = []string{prefix + k.Secret.Reveal()}
	return name
}

// Test is the request of the provider's free call that tests a key; nil where
// there is none. The caller closes the answer's body.
func (p *Provider) Test(k *engine.Key) (*http.Request, error) {
	if p.TestPath == "" {
		return nil, nil
	}
	return p.own(k, cmp.Or(p.TestMethod, http.MethodGet), p.TestPath)
}

// own is a request of keywheel's own with a key.
func (p *Provider) own(k *engine.Key, method, path string) (*http.Request, error) {
	u, err := url.Parse(k.BaseURL)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(path, "?")
	u.Path, u.RawQuery = p.Target(u.Path, path), query
	req, err := http.NewRequest(method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "keywheel")
	for name, value := range p.TestHeader {
		req.Header.Set(name, value)
	}
	p.Authorize(req.Header, k, "")
	return req, nil
}

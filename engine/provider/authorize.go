package provider

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"keywheel/engine"
)

// credentialHeaders are all the places clients put keys, and what belongs to
// one account: none of it goes upstream as it came.
var credentialHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie", "Proxy-Authorization",
	"Openai-Organization", "Openai-Project"}

// wsProtocol is how browsers give OpenAI's realtime API a key.
const wsProtocol = "openai-insecure-api-key."

// ClientTokens are the credentials a client showed, in whatever place.
func ClientTokens(h http.Header, rawQuery string) []string {
	var tokens []string
	for _, name := range credentialHeaders[:4] {
		for _, v := range h[name] {
			if scheme, rest, ok := strings.Cut(v, " "); ok && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token")) {
				v = strings.TrimSpace(rest)
			}
			if v != "" {
				tokens = append(tokens, v)
			}
		}
	}
	if strings.Contains(rawQuery, "key=") {
		if q, err := url.ParseQuery(rawQuery); err == nil {
			tokens = append(tokens, q["key"]...)
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
	for _, name := range credentialHeaders {
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

// StripQuery removes `key=` from a query, leaving the rest byte for byte.
func StripQuery(raw string) string {
	if !strings.Contains(raw, "key=") {
		return raw
	}
	var keep []string
	for part := range strings.SplitSeq(raw, "&") {
		if !strings.HasPrefix(part, "key=") {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, "&")
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
	base, err := url.Parse(k.BaseURL)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(p.TestPath, "?")
	u := *base
	u.Path, u.RawQuery = p.Target(base.Path, path), query
	req, err := http.NewRequest(cmp.Or(p.TestMethod, http.MethodGet), u.String(), nil)
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

package provider

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// Permits is a provider's call that tells what a key may be used for.
type Permits struct {
	Path string
	// Read reads the answer to a key's question; ok is false where it is not the
	// call's, or bounds nothing.
	Read func(body gjson.Result, k *engine.Key) (scopes []string, ok bool)
}

// AskPermits is the request of the provider's call that tells what a key may be
// used for; nil where there is none. The caller closes the answer's body.
func (p *Provider) AskPermits(k *engine.Key) (*http.Request, error) {
	if p.Permits == nil {
		return nil, nil
	}
	return p.own(k, http.MethodGet, p.Permits.Path)
}

// ReadPermits reads the answer to it, in the scopes that requests are told apart
// by. ok is false where nothing is understood: it then bounds nothing.
func (p *Provider) ReadPermits(body []byte, k *engine.Key) (scopes []string, ok bool) {
	if p.Permits == nil || len(body) == 0 || body[0] != '{' {
		return nil, false
	}
	return p.Permits.Read(gjson.ParseBytes(body), k)
}

// aimlScopes are AIMLAPI's scopes where they are called otherwise here.
var aimlScopes = map[string]string{"responses": "chat", "embeddings": "embedding", "speech": "audio"}

// aimlPermits reads GET /v1/key. It tells of one key of the account, which its
// prefix names; null is all scopes.
func aimlPermits(body gjson.Result, k *engine.Key) (scopes []string, ok bool) {
	if data := body.Get("data"); data.IsObject() {
		body = data
	}
	if prefix := body.Get("prefix").String(); prefix != "" && !strings.HasPrefix(k.Secret.Reveal(), prefix) {
		return nil, false // another's
	}
	for _, s := range body.Get("scopes").Array() {
		name, model := strings.CutPrefix(s.String(), "model:")
		if !model {
			continue
		}
		if own := aimlScopes[name]; own != "" {
			name = own
		}
		if !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	if slices.Contains(scopes, "chat") {
		scopes = append(scopes, "code") // which is chat of a service that needs nothing else
	}
	return scopes, len(scopes) > 0
}

package provider

import (
	"strings"
	"testing"

	"keywheel/engine"
	"keywheel/engine/secret"
)

func TestPermits(t *testing.T) {
	t.Parallel()
	p, _ := Lookup("aimlapi")
	k := &engine.Key{Kind: "aimlapi", BaseURL: p.BaseURL, Secret: secret.New("0123456789abcdef0123456789abcdef")}
	if req, err := p.AskPermits(k); err != nil || req.URL.String() != "https://api.aimlapi.com/v1/key" {
		t.Fatalf("%v, %v", req, err)
	}
	for body, want := range map[string]string{
		`{"name":"v","prefix":"01234567","disabled":false,"scopes":["model:video"],"limit":null}`: "video",
		`{"data":{"scopes":["model:chat","model:responses","model:embeddings","model:speech"]}}`:  "chat embedding audio code",
		`{"prefix":"deadbeef","scopes":["model:video"]}`:                                          "", // the key that was used last is another
		`{"scopes":null}`:      "",
		`{"scopes":[]}`:        "",
		`{"scopes":["admin"]}`: "",
		`{"scopes":"x"}`:       "",
		`not json`:             "",
		``:                     "",
	} {
		scopes, ok := p.ReadPermits([]byte(body), k)
		if strings.Join(scopes, " ") != want || ok != (want != "") {
			t.Errorf("%s: %v %v, want %q", body, scopes, ok, want)
		}
	}
	other, _ := Lookup("openai")
	if req, err := other.AskPermits(k); req != nil || err != nil {
		t.Errorf("%v, %v", req, err)
	}
}

package provider

import (
	"cmp"
	"testing"

	"keywheel/engine"
	"keywheel/engine/secret"
)

func TestReadBalance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider, body string
		want           Funds
		ok             bool
	}{
		{"aimlapi", `{"current_balance":12.5,"currency":"USD"}`, Funds{Left: 12.5, Currency: "USD"}, true},
		{"aimlapi", `{"current_balance":"-0.01","currency":"USD"}`, Funds{Left: -0.01, Currency: "USD", Unusable: true}, true},
		{"aimlapi", `{"current_balance":7,"currency":"a\u001b[31m"}`, Funds{Left: 7}, true},
		// What is not understood is no empty account.
		{"aimlapi", `{"current_balance":null,"currency":"USD"}`, Funds{}, false},
		{"aimlapi", `{"current_balance":"","currency":"USD"}`, Funds{}, false},
		{"aimlapi", `{"current_balance":"NaN"}`, Funds{}, false},
		{"aimlapi", `[]`, Funds{}, false},
		{"siliconflow", `{"code":20000,"data":{"totalBalance":"88.00","balance":"0.88"}}`, Funds{Left: 88, Currency: "CNY"}, true},
		{"siliconflow", `{"code":20000,"data":{"balance":"0"}}`, Funds{Currency: "CNY", Unusable: true}, true},
		{"deepseek", `{"is_available":false,"balance_infos":[{"currency":"CNY","total_balance":"0.00"}]}`, Funds{Currency: "CNY", Unusable: true}, true},
		{"deepseek", `{"is_available":true,"balance_infos":[{"currency":"USD","total_balance":"3.25"}]}`, Funds{Left: 3.25, Currency: "USD"}, true},
		{"deepseek", `{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"0.00"},{"currency":"USD","total_balance":"5.00"}]}`, Funds{Left: 5, Currency: "USD"}, true},
		{"deepseek", `{"is_available":true,"balance_infos":[]}`, Funds{}, true},
		{"deepseek", `{"is_available":null}`, Funds{}, false},
		{"openrouter", `{"data":{"label":"a","limit":5,"usage":1,"limit_remaining":4}}`, Funds{Left: 4, Currency: "USD", OfKey: true}, true},
		{"openrouter", `{"data":{"limit":5,"limit_remaining":0}}`, Funds{Currency: "USD", OfKey: true, Unusable: true}, true},
		{"openrouter", `{"data":{"limit":null,"limit_remaining":null}}`, Funds{Currency: "USD", Unlimited: true, OfKey: true}, true},
		{"openrouter", `{"data":{"limit":5}}`, Funds{}, false},
		{"openrouter", `{"error":1}`, Funds{}, false},
		{"openai", `{}`, Funds{}, false},
	} {
		p, _ := Lookup(c.provider)
		if f, ok := p.ReadBalance([]byte(c.body)); ok != c.ok || f != c.want {
			t.Errorf("%s %s: %+v %v", c.provider, c.body, f, ok)
		}
	}
}

func TestAskBalance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ provider, base, want string }{
		{"aimlapi", "", "https://api.aimlapi.com/v2/billing"},
		{"siliconflow", "", "https://api.siliconflow.cn/v1/user/info"},
		{"deepseek", "", "https://api.deepseek.com/user/balance"},
		{"deepseek", "https://api.deepseek.com/v1", "https://api.deepseek.com/user/balance"},
		{"openrouter", "", "https://openrouter.ai/api/v1/key"},
	} {
		p, _ := Lookup(c.provider)
		k := &engine.Key{Name: "k", BaseURL: cmp.Or(c.base, p.BaseURL), Secret: secret.New("sk-test-not-a-key-1")}
		req, err := p.AskBalance(k)
		if err != nil || req.URL.String() != c.want || req.Method != "GET" || req.Header.Get("Authorization") != "Bearer sk-test-not-a-key-1" {
			t.Errorf("%s: %v %v, want %s", c.provider, req, err, c.want)
		}
	}
	p, _ := Lookup("openai")
	if req, err := p.AskBalance(&engine.Key{BaseURL: p.BaseURL}); req != nil || err != nil {
		t.Errorf("a provider without the call: %v %v", req, err)
	}
}

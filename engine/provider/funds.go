package provider

import (
	"math"
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// Balance is a provider's call that tells what money is left.
type Balance struct {
	Path string
	// OfKey is true where it tells what the key may still spend, and nothing of
	// its account.
	OfKey bool
	// Read reads the answer; ok is false where it is not the call's.
	Read func(body gjson.Result) (f Funds, ok bool)
}

// Funds is what money an account has, or what a key may spend.
type Funds struct {
	Left     float64
	Currency string
	// Unlimited is true where nothing bounds it: Left says nothing then.
	Unlimited bool
	// OfKey is true where it is the key's, not its account's.
	OfKey bool
	// Unusable is true where it does not suffice for a request.
	Unusable bool
}

// ReadBalance reads the answer to the provider's balance call. ok is false
// where there is none, or the answer is not its: what is not understood says
// nothing of money.
func (p *Provider) ReadBalance(body []byte) (f Funds, ok bool) {
	if p.Balance == nil || len(body) == 0 || body[0] != '{' {
		return Funds{}, false
	}
	if f, ok = p.Balance.Read(gjson.ParseBytes(body)); !ok {
		return Funds{}, false
	}
	f.Currency, f.OfKey = currency(f.Currency), p.Balance.OfKey
	return f, true
}

// AskBalance is the request of the provider's balance call; nil where there is
// none. The caller closes the answer's body.
func (p *Provider) AskBalance(k *engine.Key) (*http.Request, error) {
	if p.Balance == nil {
		return nil, nil
	}
	return p.own(k, http.MethodGet, p.Balance.Path)
}

// left is funds of an amount that is used up at zero.
func left(amount gjson.Result, currency string) (Funds, bool) {
	n, ok := number(amount)
	return Funds{Left: n, Currency: currency, Unusable: n <= 0}, ok
}

// number reads an amount that may be written as text.
func number(r gjson.Result) (float64, bool) {
	n, err := r.Num, error(nil)
	if r.Type == gjson.String {
		n, err = strconv.ParseFloat(r.Str, 64)
	}
	return n, err == nil && (r.Type == gjson.String || r.Type == gjson.Number) && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// currency is a currency's code as ISO 4217 has it, "" if it is none.
func currency(code string) string {
	if len(code) != 3 {
		return ""
	}
	for i := range 3 {
		if code[i] < 'A' || code[i] > 'Z' {
			return ""
		}
	}
	return code
}

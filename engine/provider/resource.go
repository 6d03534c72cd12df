package provider

import "github.com/tidwall/gjson"

// Resource is something made upstream that only the account which made it can
// use.
type Resource struct {
	// Create is how the path ends (or, ending in a slash, what it has in it)
	// whose POST makes one.
	Create string
	// Use is what stands before its id in the paths that use it.
	Use string
	// ID is where the answer to Create has the id, "" is "id".
	ID string
	// Query is the query parameter, Fields the fields of a request's body, that
	// name one.
	Query  string
	Fields []string
}

// Balance is a provider's call that tells what money is left.
type Balance struct {
	Path string
	Read func(body gjson.Result) (Funds, bool)
}

// Funds is what money an account has.
type Funds struct {
	Left     float64
	Currency string
	// Unusable is set where the provider says itself that it does not suffice.
	Unusable bool
}

// ReadBalance reads the answer to the provider's balance call. ok is false
// where there is none, or the answer is not its.
func (p *Provider) ReadBalance(body []byte) (f Funds, ok bool) {
	if p.Balance == nil || len(body) == 0 || body[0] != '{' {
		return Funds{}, false
	}
	return p.Balance.Read(gjson.ParseBytes(body))
}

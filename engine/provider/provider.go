// Package provider knows upstream API families: where they live, how they
// authenticate, how their answers read, what their answers say about a key.
// Adding one is a small file and a line of the table.
package provider

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Dialect is the shape of a provider's errors, and so of the errors keywheel
// answers its clients with.
type Dialect uint8

// The dialects.
const (
	DialectOpenAI Dialect = iota
	DialectAnthropic
	DialectGoogle
	DialectGitHub
)

func (d Dialect) String() string { return [...]string{"openai", "anthropic", "google", "github"}[d] }

// Provider is one upstream API family. The facts are those of the providers'
// own reference pages.
type Provider struct {
	Name string
	// BaseURL is where it lives when the config does not say; "" has to be said.
	BaseURL string
	// AuthHeader is where its key goes, AuthPrefix what stands before it.
	AuthHeader string
	AuthPrefix string
	// AlsoHeaders are further headers it reads a key from. A client's choice
	// among them is kept.
	AlsoHeaders []string
	Dialect     Dialect
	// TestPath is a GET that costs nothing and fails without a valid key; ""
	// where none is known.
	TestPath string
	// Hosts are the hosts a secret of this provider may go to, beside that of
	// BaseURL. One that begins with a dot takes any subdomain.
	Hosts []string
	// Roots are paths that do not live under the base URL's path: what begins
	// with the first goes to the second, at the host's root.
	Roots [][2]string
	// ReadOnly is true of plain REST APIs: only GET and HEAD are allowed
	// unless the service says otherwise.
	ReadOnly bool
	// FreeUnchanged says that answers by which nothing has changed (304) count
	// against no limit.
	FreeUnchanged bool
	// TestMethod is the test call's method where it is not GET, TestHeader what
	// the provider insists on in its head.
	TestMethod string
	TestHeader map[string]string
	// Balance is the call that tells what money is left; nil if there is none.
	Balance *Balance
	// Permits is the call that tells what a key may be used for; nil if there is
	// none.
	Permits *Permits
	// AsksUsage says that a stream carries its usage only when the request asks
	// for it with OpenAI's stream_options.include_usage.
	AsksUsage bool
	// Zone is where the provider's texts tell the time; nil is UTC.
	Zone *time.Location
	// Bound are the resources that only the account that made them can use.
	Bound []Resource

	// codeRules are what the provider's machine codes mean where that is not
	// what they mean elsewhere; wordRules the same of its texts.
	codeRules, wordRules rules
	// headerRule reads what its head alone tells.
	headerRule func(*signs) (finding, string)
	// limitHeaders are its own spellings of limit headers.
	limitHeaders []limitHeader
	// limitsOf is whom its rate limits belong to; nobody is the key.
	limitsOf blame
	// dayEnds is when a day's allowance comes back.
	dayEnds Until
	// flatErrors says that errors can come with a good status as a flat object
	// with a code.
	flatErrors bool
	// anyAPI is true where it is not known what is asked: a good status with a
	// field called error is then mostly none.
	anyAPI bool
}

const bearer = "Bearer "

// table is in the order the names are shown in.
var table = []Provider{openAI, anthropic, gemini, aimlapi, zhipu, siliconFlow, deepSeek, openRouter, groq, mistral, xAI, together, azure, cohere,
	dashScope, miniMax, volcengine, gitHub, generic}

func init() {
	for i := range table {
		p := &table[i]
		if p.AuthHeader == "" {
			p.AuthHeader, p.AuthPrefix = "Authorization", bearer
		}
	}
}

// Lookup finds a built-in provider by name.
func Lookup(name string) (*Provider, bool) {
	for i := range table {
		if table[i].Name == name {
			return &table[i], true
		}
	}
	return nil, false
}

// Names lists the built-in providers.
func Names() []string {
	names := make([]string, len(table))
	for i, p := range table {
		names[i] = p.Name
	}
	return names
}

// ForURL tells which built-in provider lives at the host of a base URL; nil if
// none is known to.
func ForURL(base string) *Provider {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	for i := range table {
		if table[i].KnowsHost(u.Hostname()) {
			return &table[i]
		}
	}
	return nil
}

// KnowsHost reports whether a secret of this provider may go to host.
func (p *Provider) KnowsHost(host string) bool {
	host = strings.ToLower(host)
	if u, err := url.Parse(p.BaseURL); err == nil && p.BaseURL != "" && u.Hostname() == host {
		return true
	}
	return slices.ContainsFunc(p.Hosts, func(h string) bool {
		return h == host || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h)
	})
}

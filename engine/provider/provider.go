// Package provider knows upstream API families: where they live, how they
// authenticate, how their answers read. Adding one is a row of the table.
package provider

import (
	"net/url"
	"slices"
	"strings"
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
}

const bearer = "Bearer "

// table is in the order the names are shown in.
var table = []Provider{
	{Name: "openai", BaseURL: "https://api.openai.com/v1", TestPath: "/models"},
	{Name: "anthropic", BaseURL: "https://api.anthropic.com/v1", AuthHeader: "X-Api-Key", AlsoHeaders: []string{"Authorization"},
		Dialect: DialectAnthropic, TestPath: "/models"},
	{Name: "gemini", BaseURL: "https://generativelanguage.googleapis.com/v1beta", AuthHeader: "X-Goog-Api-Key", AlsoHeaders: []string{"Authorization"},
		Dialect: DialectGoogle, TestPath: "/models?pageSize=1", Roots: [][2]string{
			{"/v1/chat/completions", "/v1beta/openai/chat/completions"}, {"/v1/embeddings", "/v1beta/openai/embeddings"},
			{"/v1/images/generations", "/v1beta/openai/images/generations"},
			{"/upload/", "/upload/"}, {"/v1/", "/v1/"}, {"/v1alpha/", "/v1alpha/"}}},
	{Name: "aimlapi", BaseURL: "https://api.aimlapi.com/v1", TestPath: "/v2/billing", Hosts: []string{".aimlapi.com"}},
	{Name: "zhipu", BaseURL: "https://open.bigmodel.cn/api/paas/v4", TestPath: "/models", Hosts: []string{"api.z.ai"}, Roots: [][2]string{{"/api/", "/api/"}}},
	{Name: "siliconflow", BaseURL: "https://api.siliconflow.cn/v1", TestPath: "/models", Hosts: []string{"api.siliconflow.com"}},
	{Name: "deepseek", BaseURL: "https://api.deepseek.com", TestPath: "/models"},
	{Name: "openrouter", BaseURL: "https://openrouter.ai/api/v1", TestPath: "/key"},
	{Name: "groq", BaseURL: "https://api.groq.com/openai/v1", TestPath: "/models"},
	{Name: "mistral", BaseURL: "https://api.mistral.ai/v1", TestPath: "/models"},
	{Name: "xai", BaseURL: "https://api.x.ai/v1", TestPath: "/api-key"},
	{Name: "together", BaseURL: "https://api.together.xyz/v1", TestPath: "/models"},
	{Name: "azure-openai", AuthHeader: "Api-Key", AlsoHeaders: []string{"Authorization"}, Hosts: []string{".openai.azure.com"}},
	{Name: "cohere", BaseURL: "https://api.cohere.com"},
	{Name: "dashscope", BaseURL: "https://dashscope.aliyuncs.com/compatible-mode/v1", TestPath: "/models",
		Hosts: []string{"dashscope-intl.aliyuncs.com"}, Roots: [][2]string{{"/api/v1/", "/api/v1/"}}},
	{Name: "minimax", BaseURL: "https://api.minimax.io/v1", Hosts: []string{"api.minimaxi.com"}},
	{Name: "volcengine", BaseURL: "https://ark.cn-beijing.volces.com/api/v3", TestPath: "/models", Hosts: []string{".volces.com"}},
	{Name: "github", BaseURL: "https://api.github.com", Dialect: DialectGitHub, TestPath: "/rate_limit", ReadOnly: true},
	{Name: "generic"},
}

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

package config

import (
	"time"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/provider"
	"keywheel/engine/quota"
)

// The declarations are what a TOML file says, before anything is looked up.
type (
	fileDecl struct {
		config    *Config
		providers []*providerDecl
		keys      []*keyDecl
		services  []*serviceDecl
		// webhook is the URL that alerts go to, or a reference to it.
		webhook  string
		accounts []*accountDecl
		prices   []*priceDecl
	}
	providerDecl struct {
		path     path
		name     string
		kind     string
		baseURL  string
		proxyURL string
		caFile   string
		header   string
		prefix   string
		insecure bool
	}
	// keyDecl is a [keys.X], or a [keysets.X] when it is a set.
	keyDecl struct {
		path path
		set  bool
		// ref is where the secret, or the set's secrets, are.
		ref string
		key engine.Key
	}
	serviceDecl struct {
		path    path
		service engine.Service
	}
	// accountDecl is an [accounts.X].
	accountDecl struct {
		path    path
		account engine.Account
	}
	tlsDecl struct{ config *Config }
	// alertsDecl is [alerts].
	alertsDecl struct{ file *fileDecl }
	// priceDecl is a [prices.MODEL].
	priceDecl struct {
		model string
		provider.Price
	}
)

// topSettings are the settings outside of any table, and the tables.
var topSettings = settings[fileDecl]{
	"listen":           text(func(f *fileDecl) *string { return &f.config.Listen }, listenAddress),
	"patience":         duration(func(f *fileDecl) *time.Duration { return &f.config.Patience }, 0),
	"max_waiting":      whole(func(f *fileDecl) *int { return &f.config.MaxWaiting }, 0),
	"max_replay":       size(func(f *fileDecl) *int64 { return &f.config.MaxReplay }),
	"max_replay_total": size(func(f *fileDecl) *int64 { return &f.config.MaxReplayTotal }),
	"dial_timeout":     duration(func(f *fileDecl) *time.Duration { return &f.config.DialTimeout }, time.Millisecond),
	"header_timeout":   duration(func(f *fileDecl) *time.Duration { return &f.config.HeaderTimeout }, time.Millisecond),
	"idle_timeout":     duration(func(f *fileDecl) *time.Duration { return &f.config.IdleTimeout }, time.Millisecond),
	"allow_hosts":      texts(func(f *fileDecl) *[]string { return &f.config.AllowHosts }, hostName),
	"cors_origins":     texts(func(f *fileDecl) *[]string { return &f.config.CORSOrigins }, origin),
	"ascii":            flag(func(f *fileDecl) *bool { return &f.config.ASCII }),
	"tls":              nested(func(f *fileDecl) *tlsDecl { return &tlsDecl{f.config} }, tlsSettings),
	"providers":        tables(addProvider, providerSettings),
	"keys":             tables(addKey, keySettings("secret")),
	"keysets":          tables(addKeyset, keySettings("secrets")),
	"accounts":         tables(addAccount, accountSettings),
	"services":         tables(addService, serviceSettings),
	"prices_file":      text(func(f *fileDecl) *string { return &f.config.PricesFile }, notEmpty),
	"prices":           tables(addPrice, priceSettings),
	"journal":          text(func(f *fileDecl) *string { return &f.config.Journal }, notEmpty),
	"keep":             days(func(f *fileDecl) *time.Duration { return &f.config.Keep }, time.Hour),
	"alerts":           nested(func(f *fileDecl) *alertsDecl { return &alertsDecl{f} }, alertSettings),
}

var tlsSettings = settings[tlsDecl]{
	"cert": text(func(t *tlsDecl) *string { return &t.config.TLSCert }, notEmpty),
	"key":  text(func(t *tlsDecl) *string { return &t.config.TLSKey }, notEmpty),
}

var alertSettings = settings[alertsDecl]{
	"command": words(func(a *alertsDecl) *[]string { return &a.file.config.Alerts.Command }),
	"webhook": text(func(a *alertsDecl) *string { return &a.file.webhook }, webhookOrReference),
	"on":      texts(func(a *alertsDecl) *[]alert.Kind { return &a.file.config.Alerts.On }, alertKind),
	"quiet":   duration(func(a *alertsDecl) *time.Duration { return &a.file.config.Alerts.Quiet }, 0),
	"bell":    flag(func(a *alertsDecl) *bool { return &a.file.config.Alerts.Bell }),
	"title":   flag(func(a *alertsDecl) *bool { return &a.file.config.Alerts.Title }),
}

// priceSettings are in USD for a million tokens, as price lists are.
var priceSettings = settings[priceDecl]{
	"input":       money(func(p *priceDecl) *float64 { return &p.Input }, 1e6),
	"output":      money(func(p *priceDecl) *float64 { return &p.Output }, 1e6),
	"cached":      money(func(p *priceDecl) *float64 { return &p.Cached }, 1e6),
	"cache_write": money(func(p *priceDecl) *float64 { return &p.CacheWrite }, 1e6),
	"reasoning":   money(func(p *priceDecl) *float64 { return &p.Reasoning }, 1e6),
	"request":     money(func(p *priceDecl) *float64 { return &p.Request }, 1),
}

func addPrice(f *fileDecl, name string, _ path) *priceDecl {
	p := &priceDecl{model: name}
	f.prices = append(f.prices, p)
	return p
}

var providerSettings = settings[providerDecl]{
	"kind":          text(func(p *providerDecl) *string { return &p.kind }, knownKind),
	"base_url":      text(func(p *providerDecl) *string { return &p.baseURL }, upstreamURL),
	"proxy_url":     text(func(p *providerDecl) *string { return &p.proxyURL }, proxyURL),
	"ca_file":       text(func(p *providerDecl) *string { return &p.caFile }, notEmpty),
	"insecure":      flag(func(p *providerDecl) *bool { return &p.insecure }),
	"header":        text(func(p *providerDecl) *string { return &p.header }, headerName),
	"header_prefix": text(func(p *providerDecl) *string { return &p.prefix }),
}

// keySettings are those of a key; a keyset's differ in the name of the secret.
func keySettings(secret string) settings[keyDecl] {
	return settings[keyDecl]{
		secret:      text(func(k *keyDecl) *string { return &k.ref }, reference),
		"provider":  text(func(k *keyDecl) *string { return &k.key.Provider }, notEmpty),
		"account":   text(func(k *keyDecl) *string { return &k.key.Account }),
		"plan":      text(func(k *keyDecl) *string { return &k.key.Plan }),
		"scopes":    texts(func(k *keyDecl) *[]string { return &k.key.Scopes }, scopeName),
		"weight":    whole(func(k *keyDecl) *int { return &k.key.Weight }, 1),
		"limits":    limits(func(k *keyDecl) *[]quota.Limit { return &k.key.Limits }),
		"expires":   date(func(k *keyDecl) *time.Time { return &k.key.Expires }),
		"base_url":  text(func(k *keyDecl) *string { return &k.key.BaseURL }, upstreamURL),
		"proxy_url": text(func(k *keyDecl) *string { return &k.key.ProxyURL }, proxyURL),
		"ca_file":   text(func(k *keyDecl) *string { return &k.key.CAFile }, notEmpty),
	}
}

// accountSettings are of whom a provider bills, and of all its keys.
var accountSettings = settings[accountDecl]{
	"provider": text(func(a *accountDecl) *string { return &a.account.Provider }, notEmpty),
	"limits":   limits(func(a *accountDecl) *[]quota.Limit { return &a.account.Limits }),
}

var serviceSettings = settings[serviceDecl]{
	"project":        text(func(s *serviceDecl) *string { return &s.service.Project }),
	"purpose":        text(func(s *serviceDecl) *string { return &s.service.Purpose }),
	"required":       flag(func(s *serviceDecl) *bool { return &s.service.Required }),
	"planned":        flag(func(s *serviceDecl) *bool { return &s.service.Planned }),
	"needs":          texts(func(s *serviceDecl) *[]string { return &s.service.Needs }, scopeName),
	"keys":           texts(func(s *serviceDecl) *[]string { return &s.service.Keys }, notEmpty),
	"fallback":       texts(func(s *serviceDecl) *[]string { return &s.service.Fallback }, notEmpty),
	"strategy":       text(func(s *serviceDecl) *string { return &s.service.Strategy }, knownStrategy),
	"token":          text(func(s *serviceDecl) *string { return &s.service.TokenRef }, reference),
	"limits":         limits(func(s *serviceDecl) *[]quota.Limit { return &s.service.Limits }),
	"models":         texts(func(s *serviceDecl) *[]string { return &s.service.Models }, notEmpty),
	"aliases":        pairs(func(s *serviceDecl) *map[string]string { return &s.service.Aliases }, aliasPair),
	"defaults":       anything(func(s *serviceDecl) *map[string]any { return &s.service.Defaults }),
	"headers":        pairs(func(s *serviceDecl) *map[string]string { return &s.service.Headers }, headerPair),
	"allow":          texts(func(s *serviceDecl) *[]string { return &s.service.Allow }, allowPattern),
	"path_token":     flag(func(s *serviceDecl) *bool { return &s.service.PathToken }),
	"fallback_after": duration(func(s *serviceDecl) *time.Duration { return &s.service.FallbackAfter }, 0),
}

func addProvider(f *fileDecl, name string, p path) *providerDecl {
	d := &providerDecl{path: p, name: name}
	f.providers = append(f.providers, d)
	return d
}

func addKey(f *fileDecl, name string, p path) *keyDecl {
	d := &keyDecl{path: p, key: engine.Key{Name: name}}
	f.keys = append(f.keys, d)
	return d
}

func addKeyset(f *fileDecl, name string, p path) *keyDecl {
	d := addKey(f, name, p)
	d.set = true
	return d
}

func addAccount(f *fileDecl, name string, p path) *accountDecl {
	d := &accountDecl{path: p, account: engine.Account{Name: name}}
	f.accounts = append(f.accounts, d)
	return d
}

func addService(f *fileDecl, name string, p path) *serviceDecl {
	d := &serviceDecl{path: p, service: engine.Service{Name: name}}
	f.services = append(f.services, d)
	return d
}

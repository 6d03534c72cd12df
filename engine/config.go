package engine

import (
	"time"

	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// Config is all the engine needs to know. engine/config makes it of files and
// the environment; a Go program may fill it in by hand.
type Config struct {
	Keys     []Key
	Services []Service
	Accounts []Account
}

// Account is whom a provider bills, as far as the config says more of it than
// its name beside a key.
type Account struct {
	// Provider is the name the config gives, as in [Key.Provider].
	Provider string
	Name     string
	// Limits are shared by all its keys.
	Limits []quota.Limit
	// Source is where the account is declared ("keywheel.toml:12").
	Source string
}

// Key is one secret at one provider.
type Key struct {
	Name string
	// Provider is the name the config gives; Kind is the built-in provider
	// whose answers it speaks ("openai", ..., "generic").
	Provider string
	Kind     string
	// BaseURL is where this key's requests go, with its path, without a
	// trailing slash: "https://open.bigmodel.cn/api/paas/v4".
	BaseURL string
	Secret  secret.Secret
	// Missing says why the secret could not be read; "" when it could.
	Missing string
	// Ref is where the secret is read from ("env:AI_ML_API_KEY"), safe to show.
	Ref     string
	Account string
	Plan    string
	// Scopes are what the key may be used for; empty is everything.
	Scopes []string
	// Weight is its share under round-robin; 0 counts as 1.
	Weight int
	Limits []quota.Limit
	// Expires is when the key stops being valid; zero is never.
	Expires time.Time
	// ProxyURL and CAFile are how its upstream is reached; "" is the default.
	ProxyURL string
	CAFile   string
	// Insecure allows an upstream on plain HTTP beyond loopback.
	Insecure bool
	// AuthHeader is the header the key goes into, AuthPrefix what stands before
	// it ("Bearer "); "" is where the provider reads keys.
	AuthHeader string
	AuthPrefix string
	// Dialect is the API that it speaks; "" is that of Kind. A key is lent only to
	// a service that speaks its own.
	Dialect string
	// Override is where Secret was read from in place of Ref, safe to show; "" is
	// nowhere.
	Override string
	// CanTest is true if the provider has a free call that tests the key.
	CanTest bool
	// Source is where the key is declared ("keywheel.toml:12").
	Source string
}

// The strategies that [Service.Strategy] names.
const (
	// RoundRobin serves the keys in turn, by weight, smoothly.
	RoundRobin = "round-robin"
	// Failover stays on one key until it cannot serve.
	Failover = "failover"
	// Headroom serves with the key that has the most room under its limits.
	Headroom = "headroom"
	// Affinity keeps a conversation on one key while it can serve.
	Affinity = "affinity"
)

// Strategies lists the strategies there are, the default first.
var Strategies = []string{RoundRobin, Failover, Headroom, Affinity}

// Service is one consumer of keys.
type Service struct {
	Name     string
	Project  string
	Purpose  string
	Required bool
	// Planned services are on the map and not served.
	Planned bool
	// Needs are the scopes it uses; with exactly one, its requests are of it where
	// their paths do not tell another.
	Needs []string
	// Keys are used first, Fallback when no key of Keys can serve.
	Keys     []string
	Fallback []string
	// FallbackAfter is how long a request waits for a key of Keys before one of
	// Fallback serves it.
	FallbackAfter time.Duration
	Strategy      string
	// Token is what its clients must show; empty lets anyone in.
	Token secret.Secret
	// TokenRef is where the token is read from, safe to show.
	TokenRef string
	Limits   []quota.Limit
	// Models are routed here by name at the proxy's root.
	Models []string
	// Aliases are what a model asked for is called upstream.
	Aliases map[string]string
	// Defaults are top-level body fields added where the client sends none.
	Defaults map[string]any
	// Headers are set on every upstream request.
	Headers map[string]string
	// Allow lists "METHOD path" patterns; empty is the built-in list.
	Allow []string
	// PathToken takes the token from the path too (GET and HEAD only).
	PathToken bool
	// Source is where the service is declared ("keywheel.toml:40").
	Source string
}

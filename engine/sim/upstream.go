// Package sim is simulated providers and simulated traffic, over real HTTP on
// loopback: for `keywheel demo`, for tests, and for measuring goodput.
//
// An [Upstream] speaks like one provider, limits and error bodies included. A
// [World] is several of them with a cast of services and keys, clients that
// use them through a proxy, and a script of things that go wrong.
package sim

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// dialects are the providers that can be simulated, by the names of package
// provider.
var dialects = map[string]*dialect{
	"openai": &openai, "generic": &openai,
	"zhipu": &zhipu, "siliconflow": &siliconflow, "deepseek": &deepseek, "groq": &groq,
	"anthropic": &anthropic, "gemini": &gemini, "aimlapi": &aimlapi, "github": &github,
}

// Kinds lists the providers that [NewUpstream] can simulate.
func Kinds() []string { return slices.Sorted(maps.Keys(dialects)) }

// Cut, as the status of an outage, is a provider that breaks every connection
// without an answer.
const Cut = -1

// Options are what an upstream is like beside its keys.
type Options struct {
	// Seed makes every key's latencies and answers the same in every run.
	Seed uint64
	// Models are those it has; empty takes any name.
	Models []string
	// JobTime is how long a video takes to make.
	JobTime time.Duration
	// Tells is how much it says of its limits.
	Tells Telling
	// FullLength makes every answer as long as the request's max_tokens allow.
	FullLength bool
}

// Upstream is a simulated provider. All its methods are safe for concurrent
// use. It logs nothing.
type Upstream struct {
	kind     string
	dialect  *dialect
	options  Options
	mux      *http.ServeMux
	listener *listener

	mu       sync.Mutex
	keys     map[string]*key            // by name
	secrets  map[[sha256.Size]byte]*key // by what hashes to the secret
	order    []string
	outage   int
	slow     float64
	cuts     int
	ids      *rand.Rand
	unknown  map[int]int64
	headers  http.Header
	foreign  map[string]int64
	bindings map[string]binding
}

// NewUpstream makes a provider of a kind ("openai", "anthropic", ..., see
// [Kinds]) with these keys.
func NewUpstream(kind string, options Options, keys ...Key) (*Upstream, error) {
	d, ok := dialects[kind]
	if !ok {
		return nil, fmt.Errorf("sim: no provider of kind %q, want one of %v", kind, Kinds())
	}
	u := &Upstream{
		kind: kind, dialect: d, options: options, mux: http.NewServeMux(),
		keys: map[string]*key{}, secrets: map[[sha256.Size]byte]*key{}, slow: 1,
		ids:     component(options.Seed, kind+" ids"),
		unknown: map[int]int64{}, foreign: map[string]int64{}, bindings: map[string]binding{},
	}
	accounts := map[string]*account{}
	for _, k := range keys {
		if err := u.add(k, accounts); err != nil {
			return nil, err
		}
	}
	for i := range d.routes {
		rt := &d.routes[i]
		u.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { u.serve(w, r, rt) })
	}
	u.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { u.serve(w, r, nil) })
	return u, nil
}

func (u *Upstream) add(k Key, accounts map[string]*account) error {
	sum := sha256.Sum256([]byte(k.Secret.Reveal()))
	switch {
	case k.Name == "" || k.Secret.Empty():
		return fmt.Errorf("sim: a key of %s has no name or no secret", u.kind)
	case u.keys[k.Name] != nil || u.secrets[sum] != nil:
		return fmt.Errorf("sim: %s has key %q, or its secret, twice", u.kind, k.Name)
	}
	if k.Account == "" {
		k.Account = k.Name
	}
	if k.Quota == 0 && u.dialect.quota > 0 {
		k.Quota, k.Per = u.dialect.quota, u.dialect.per
	}
	a := accounts[k.Account]
	if a == nil {
		a = &account{name: k.Account, terms: k}
		if k.Window > 0 {
			a.phase = time.Duration(component(u.options.Seed, "window "+k.Account).Float64() * float64(k.Window))
		}
		a.settle()
		accounts[k.Account] = a
	}
	at := &key{Key: k, account: a, revoked: k.Revoked, random: component(u.options.Seed, "key "+k.Name)}
	at.counts.Refused = map[int]int64{}
	u.keys[k.Name], u.secrets[sum] = at, at
	u.order = append(u.order, k.Name)
	return nil
}

// component is the random numbers of one part of the simulation: parts do not
// disturb each other, however they interleave.
func component(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// ServeHTTP answers as the provider would.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) { u.mux.ServeHTTP(w, r) }

// Kind is the provider it simulates.
func (u *Upstream) Kind() string { return u.kind }

// BasePath is the path of the provider's base URL ("/api/paas/v4").
func (u *Upstream) BasePath() string { return u.dialect.base }

// Keys lists the names of its keys.
func (u *Upstream) Keys() []string { return slices.Clone(u.order) }

// control runs f on a key under the lock. A name that does not exist is a
// mistake in the caller's program.
func (u *Upstream) control(name string, f func(*key)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.keys[name]
	if k == nil {
		panic(fmt.Sprintf("sim: %s has no key %q, only %v", u.kind, name, u.order))
	}
	k.account.tick(time.Now())
	f(k)
}

// Revoke makes the provider reject the key.
func (u *Upstream) Revoke(name string) { u.control(name, func(k *key) { k.revoked = true }) }

// Restrict makes the provider let the key be used for these scopes alone; none
// is for everything.
func (u *Upstream) Restrict(name string, scopes ...string) {
	u.control(name, func(k *key) { k.Scopes = scopes })
}

// Restore makes the key valid and its account's limits and quota what they
// were at first. Its counters stay.
func (u *Upstream) Restore(name string) {
	u.control(name, func(k *key) {
		k.revoked = false
		k.account.settle()
	})
}

// Exhaust uses up what the key's account has, until a time; zero means that
// only [Upstream.Restore] brings it back. GitHub's limits always come back: at
// the end of the hour, for a zero time.
func (u *Upstream) Exhaust(name string, until time.Time) {
	u.control(name, func(k *key) {
		if until.IsZero() && u.dialect.per > 0 {
			until = k.account.reset
		}
		k.account.empty, k.account.until = true, until
	})
}

// Limit sets the requests a minute of the key's account, at once: with fewer
// than before, the next request has to wait already. 0 is no limit.
func (u *Upstream) Limit(name string, rpm float64) {
	u.control(name, func(k *key) {
		a, burst := k.account, 0.0
		if rpm == a.terms.RPM {
			burst = a.terms.Burst
		}
		was := a.requests
		a.requests = newBucket(rpm, burst)
		if was.window > 0 {
			a.requests = newWindow(rpm, was.window, was.phase)
			a.requests.end = was.end
		}
		a.requests.at = was.at
		switch {
		case was.perMin <= 0 || rpm < was.perMin && rpm > 0:
			a.requests.level = 0
		default:
			a.requests.level = min(was.level, a.requests.burst)
		}
	})
}

// ease gives the key's account the limits of the table again.
func (u *Upstream) ease(name string) {
	u.mu.Lock()
	k := u.keys[name]
	u.mu.Unlock()
	if k != nil {
		u.Limit(name, k.account.terms.RPM)
	}
}

// SetOutage makes every request fail with a status (503, 529, ...) or with
// [Cut]; 0 ends the outage.
func (u *Upstream) SetOutage(status int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.outage = status
}

// SetSlow multiplies every latency; 1 is the usual.
func (u *Upstream) SetSlow(factor float64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.slow = factor
}

// CutStreams breaks the next n streams off in their middle.
func (u *Upstream) CutStreams(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cuts = n
}

// Counts tells what became of a key's requests so far.
func (u *Upstream) Counts(name string) (c Counts) {
	u.control(name, func(k *key) {
		c = k.counts
		c.Refused = maps.Clone(c.Refused)
	})
	return c
}

// Left is how many requests and tokens the limits of the key's account let pass
// at this moment. It is negative after a single request larger than the limit,
// and 0 where there is none.
func (u *Upstream) Left(name string) (requests, tokens float64) {
	u.control(name, func(k *key) {
		if a := k.account; a.requests.perMin > 0 {
			requests = a.requests.level
		}
		if a := k.account; a.tokens.perMin > 0 {
			tokens = a.tokens.level
		}
	})
	return requests, tokens
}

// Unknown counts, by status, the answers to requests without a valid key's
// secret.
func (u *Upstream) Unknown() map[int]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.unknown)
}

// LastHeaders is the header of the last request that cost something, for tests
// that ask what a proxy lets through: what is free, a proxy asks by itself too,
// whenever it likes. The upstream's own secrets stand in it as "key NAME".
func (u *Upstream) LastHeaders() http.Header {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.headers.Clone()
}

// Foreign counts, by place ("Authorization", "Cookie", "?key"), credentials
// that are not this upstream's: a proxy that swaps keys lets none through.
func (u *Upstream) Foreign() map[string]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.foreign)
}

// credentials are all the places where clients put secrets, or name whom to
// bill.
var credentials = []place{
	{name: "Authorization", prefix: "Bearer "}, {name: "Authorization", prefix: "token "}, {name: "Authorization", prefix: "Basic "},
	{name: "X-Api-Key"}, {name: "X-Goog-Api-Key"}, {name: "Api-Key"}, {name: "Proxy-Authorization"}, {name: "Cookie"},
	{name: "Sec-Websocket-Protocol"}, {name: "Openai-Organization"}, {name: "Openai-Project"},
	{name: "key", query: true}, {name: "api_key", query: true}, {name: "access_token", query: true},
}

// note records a request's headers, unless it is free, and the credentials in
// it. The caller holds the lock.
func (u *Upstream) note(r *http.Request, free bool) {
	seen := r.Header.Clone()
	if !free {
		u.headers = seen
	}
	for _, p := range credentials {
		text := p.read(r)
		if text == "" {
			continue
		}
		k := u.secrets[sha256.Sum256([]byte(text))]
		switch {
		case k == nil && p.query:
			u.foreign["?"+p.name]++
		case k == nil:
			u.foreign[p.name]++
		case !p.query:
			seen.Set(p.name, p.prefix+"key "+k.Name)
		}
	}
}

// find looks for the key a request bears; given is false if it bears none at
// all. The caller holds the lock.
func (u *Upstream) find(r *http.Request) (k *key, given string) {
	for _, p := range u.dialect.places {
		if text := strings.TrimSpace(p.read(r)); text != "" {
			return u.secrets[sha256.Sum256([]byte(text))], text
		}
	}
	return nil, ""
}

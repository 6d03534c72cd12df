package engine

import (
	"fmt"
	"math/rand/v2"
	"time"

	"keywheel/engine/quota"
	"keywheel/engine/secret"
)

// The sizes of a model world: all that is in it is a number.
const (
	mKeys      = 5
	mSecrets   = 7 // the rest are the secrets that cannot be read, one for each key
	mCreds     = mSecrets + mKeys
	mProviders = 2
	mAccounts  = 4
	mServices  = 3
	mClients   = 14
	nobody     = -1
)

// mParts are what a slot can be of.
var mParts = [...]string{"", "m1", "m2", "chat", "image"}

// mWorld is what never changes in one run.
type mWorld struct {
	Provider   [mCreds]int
	Account    [mCreds]int // nobody if unknown
	Limits     [mCreds]mLimit
	AcctLimits [mAccounts]mLimit
	Prints     [mSecrets]string // the secrets' fingerprints
	Patience   time.Duration
	MaxWaiting int
	// Learns lets refusals teach limits that nobody tells.
	Learns bool
}

// mConf is a configuration.
type mConf struct {
	Keys     [mKeys]mKeyConf
	Services [mServices]mServiceConf
}

type mKeyConf struct {
	Present bool
	Cred    int
	Scope   int // the only one it is for; 0 is any
	CanTest bool
	Weight  int
	Expires time.Time
}

type mServiceConf struct {
	Present       bool
	Tiers         [2][]int
	Strategy      string
	FallbackAfter time.Duration
	Limit         mLimit
}

// mLimit is a limit of requests: so many at once, or a bucket that refills.
type mLimit struct {
	Concurrent int
	Amount     float64
	Window     time.Duration
}

// oracleWorld makes the world of a seed: what never changes, and the configs
// that reloads go over to, number 0 first.
func oracleWorld(seed uint64, t0 time.Time) (*mWorld, func(n int) *mConf) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &mWorld{Patience: []time.Duration{0, 3 * time.Second, 10 * time.Second, 10 * time.Second}[rng.IntN(4)], MaxWaiting: []int{2, 100, 100}[rng.IntN(3)]}
	providers := 1 + rng.IntN(2)
	limited := rng.IntN(2) == 0
	w.Learns = !limited && rng.IntN(3) == 0
	limit := func(chance int) mLimit {
		if !limited || rng.IntN(chance) > 0 {
			return mLimit{}
		}
		if rng.IntN(2) == 0 {
			return mLimit{Concurrent: 1 + rng.IntN(3)}
		}
		return mLimit{Amount: float64(4 + rng.IntN(12)), Window: []time.Duration{20 * time.Second, time.Minute}[rng.IntN(2)]}
	}
	accounts := rng.IntN(3)
	for c := range w.Provider {
		w.Provider[c] = c % providers
		if c >= mSecrets {
			w.Provider[c] = (c - mSecrets) % providers
		}
		w.Account[c] = nobody
		if c < mSecrets && accounts > 0 && rng.IntN(3) > 0 {
			w.Account[c] = w.Provider[c]*2 + rng.IntN(accounts)
		}
		if c < mSecrets {
			w.Limits[c] = limit(2)
			w.Prints[c] = w.secret(c).Fingerprint(fmt.Sprintf("p%d", w.Provider[c]), "")
		}
	}
	for a := range w.AcctLimits {
		w.AcctLimits[a] = limit(3)
	}
	fixed := fixedConf(rng, limit)
	return w, func(n int) *mConf {
		return fixed.variant(rand.New(rand.NewPCG(seed, uint64(2+n))), n == 0, providers, t0)
	}
}

// fixedConf is what all configs of a world have in common: how each key and service
// is, where it is there.
func fixedConf(rng *rand.Rand, limit func(chance int) mLimit) (c mConf) {
	nKeys, nServices := 2+rng.IntN(mKeys-1), 1+rng.IntN(mServices)
	scoped := rng.IntN(3) == 0
	for k := range c.Keys {
		kc := mKeyConf{Present: k < nKeys, CanTest: rng.IntN(2) == 0, Weight: 1 + rng.IntN(3)}
		if scoped {
			kc.Scope = []int{0, 3, 4}[rng.IntN(3)]
		}
		c.Keys[k] = kc
	}
	for s := range c.Services {
		sc := mServiceConf{Present: s < nServices, Strategy: Strategies[rng.IntN(4)], Limit: limit(4)}
		if rng.IntN(3) == 0 {
			sc.FallbackAfter = []time.Duration{2 * time.Second, 5 * time.Second}[rng.IntN(2)]
		}
		c.Services[s] = sc
	}
	return c
}

// variant is one of the configs: which keys and services are there, which secrets
// they have, and who is given which keys. The first has all of them.
func (c mConf) variant(rng *rand.Rand, first bool, providers int, t0 time.Time) *mConf {
	for k := range c.Keys {
		kc := &c.Keys[k]
		kc.Present = kc.Present && (first || rng.IntN(6) > 0)
		if kc.Cred = k%providers + providers*rng.IntN(mSecrets/providers); rng.IntN(3) > 0 {
			kc.Cred = k // so that most are as they were
		}
		if rng.IntN(15) == 0 {
			kc.Cred = mSecrets + k
		}
		if rng.IntN(12) == 0 {
			kc.Expires = t0.Add(time.Duration(rng.IntN(100)) * 10 * time.Second)
		}
	}
	for s := range c.Services {
		sc := &c.Services[s]
		sc.Present = sc.Present && (first || rng.IntN(6) > 0)
		for _, k := range rng.Perm(mKeys) {
			if c.Keys[k].Present && rng.IntN(5) > 0 {
				tier := 0
				if len(sc.Tiers[0]) > 0 && rng.IntN(3) == 0 {
					tier = 1
				}
				sc.Tiers[tier] = append(sc.Tiers[tier], k)
			}
		}
		sc.Present = sc.Present && len(sc.Tiers[0]) > 0
	}
	return &c
}

func (w *mWorld) secret(c int) secret.Secret {
	return secret.New(fmt.Sprintf("sk-test-not-a-key-%d", c))
}

func keyName(k int) string { return fmt.Sprintf("k%d", k+1) }

func keyNo(name string) int { return int(name[1] - '1') }

func (l mLimit) quota() []quota.Limit {
	switch {
	case l.Concurrent > 0:
		return []quota.Limit{{Unit: quota.Concurrent, Amount: float64(l.Concurrent), Source: "config"}}
	case l.Amount > 0:
		return []quota.Limit{{Unit: quota.Requests, Amount: l.Amount, Window: l.Window, Source: "config"}}
	default:
		return nil
	}
}

// config is the engine's config of a model's.
func (w *mWorld) config(c *mConf) Config {
	var cfg Config
	for a, l := range w.AcctLimits {
		cfg.Accounts = append(cfg.Accounts, Account{Provider: fmt.Sprintf("p%d", a/2), Name: fmt.Sprintf("a%d", a), Limits: l.quota()})
	}
	for k, kc := range c.Keys {
		if !kc.Present {
			continue
		}
		key := Key{Name: keyName(k), Provider: fmt.Sprintf("p%d", w.Provider[kc.Cred]), CanTest: kc.CanTest, Weight: kc.Weight, Expires: kc.Expires, Limits: w.Limits[kc.Cred].quota()}
		if kc.Cred < mSecrets {
			key.Secret = w.secret(kc.Cred)
		} else {
			key.Missing = "is not set"
		}
		if a := w.Account[kc.Cred]; a != nobody {
			key.Account = fmt.Sprintf("a%d", a)
		}
		if kc.Scope > 0 {
			key.Scopes = []string{mParts[kc.Scope]}
		}
		cfg.Keys = append(cfg.Keys, key)
	}
	for s, sc := range c.Services {
		if !sc.Present {
			continue
		}
		svc := Service{Name: fmt.Sprintf("s%d", s+1), Strategy: sc.Strategy, FallbackAfter: sc.FallbackAfter, Limits: sc.Limit.quota()}
		for _, k := range sc.Tiers[0] {
			svc.Keys = append(svc.Keys, keyName(k))
		}
		for _, k := range sc.Tiers[1] {
			svc.Fallback = append(svc.Fallback, keyName(k))
		}
		cfg.Services = append(cfg.Services, svc)
	}
	return cfg
}

package engine

import (
	"fmt"
	"time"

	"keywheel/engine/quota"
)

// Kind is what an answer says about the key that asked (DESIGN section 1).
type Kind uint8

// The verdicts, in the words of DESIGN section 4 and of the corpus.
const (
	OK Kind = iota
	RateLimited
	QuotaExhausted
	InvalidKey
	PermissionDenied
	ClientError
	UpstreamFault
	kinds // how many there are
)

var kindNames = [...]string{"ok", "rate_limited", "quota_exhausted", "invalid_key",
	"permission_denied", "client_error", "upstream_fault"}

func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

// MarshalText gives the word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes the word back.
func (k *Kind) UnmarshalText(b []byte) error { return parseName(kindNames[:], b, k) }

// Words says the kind for people: "rate limited".
func (k Kind) Words() string {
	return [...]string{"ok", "rate limited", "quota exhausted", "invalid key",
		"permission denied", "client error", "upstream fault"}[k]
}

// Scope is whom a verdict blames.
type Scope uint8

// The scopes of a verdict.
const (
	ScopeNone Scope = iota
	ScopeKey
	ScopeAccount
)

var scopeNames = [...]string{"none", "key", "account"}

func (s Scope) String() string { return nameOf(scopeNames[:], int(s)) }

// MarshalText gives the word.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the word back.
func (s *Scope) UnmarshalText(b []byte) error { return parseName(scopeNames[:], b, s) }

// Verdict is what one upstream answer says about the key that asked.
// provider.Judge makes it, [Lease.Judge] applies it.
type Verdict struct {
	Kind  Kind
	Scope Scope
	// Model confines the blame to one model; "" is the whole key or account.
	Model string
	// RetryAfter is the provider's hint, as it came; 0 is none.
	RetryAfter time.Duration
	// Until is when a quota resets, where the answer tells; zero is unknown. Made
	// is when the answer was made by the clock that this is told by; zero is the
	// machine's own.
	Until, Made time.Time
	// Limit names the limit that was hit, in the corpus's words; "" unknown.
	Limit string
	// Elsewhere is set where the answer says that what the request names is not
	// in the key's account: it may be in another.
	Elsewhere bool
	// Free is set where the answer counts against no limit.
	Free bool
	// Rule says which rule decided, for `explain` and for the screen's why.
	Rule     string
	Evidence Evidence
	// Told are the limits that the answer's headers tell, of the key or of its
	// account as ToldScope says, for the model that was asked.
	Told []quota.Told
	// Account is the id of the key's account as the answer's head tells it; ""
	// is not told.
	Account   string
	ToldScope Scope
}

// sameClock is how far two clocks may be apart that are taken for right.
const sameClock = time.Minute

// until is Until by the machine's own clock: one that is wrong is so for as long
// as it takes somebody to notice, and the provider counts by its own.
func (v *Verdict) until(now time.Time) time.Time {
	if off := now.Sub(v.Made); v.Until.IsZero() || v.Made.IsZero() || off.Abs() < sameClock {
		return v.Until
	}
	return now.Add(v.Until.Sub(v.Made))
}

// Evidence is what was seen, harmless to print: no secret, no control
// characters, a bounded size. Whoever fills it has redacted it.
type Evidence struct {
	Status  int               `json:"status,omitempty"`
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	TookMS  int64             `json:"took_ms,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Code    string            `json:"code,omitempty"`
	Message string            `json:"message,omitempty"`
	Request string            `json:"request,omitempty"`
}

// State is what a key can do now, derived from its holds: the worst names it.
type State uint8

// The states, the worst first.
const (
	Missing State = iota
	Disabled
	Expired
	Revoked
	Exhausted
	Failing
	Cooling
	Active
)

var stateNames = [...]string{"missing", "disabled", "expired", "revoked", "exhausted", "failing", "cooling", "active"}

func (s State) String() string { return nameOf(stateNames[:], int(s)) }

// MarshalText gives the word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the word back.
func (s *State) UnmarshalText(b []byte) error { return parseName(stateNames[:], b, s) }

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("unknown(%d)", i)
	}
	return names[i]
}

func parseName[T ~uint8](names []string, b []byte, to *T) error {
	for i, n := range names {
		if n == string(b) {
			*to = T(i)
			return nil
		}
	}
	return fmt.Errorf("unknown word %q, want one of %v", b, names)
}

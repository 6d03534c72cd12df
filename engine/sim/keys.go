package sim

import (
	"math"
	"math/rand/v2"
	"time"

	"keywheel/engine/secret"
)

// Key is one key of a simulated provider. Zero numbers mean no limit.
type Key struct {
	// Name is what the controls and counters call the key; it is safe to show.
	Name   string
	Secret secret.Secret
	// Account is whom the provider bills; empty is an account of its own. Keys
	// of one account share its limits, and those are the first key's.
	Account string
	// RPM and TPM are requests and tokens a minute, refilled continuously.
	RPM, TPM float64
	// Burst is how many requests pass at once after a rest; 0 is ten seconds'
	// worth of RPM. TokenBurst is the same of tokens; 0 is a minute's worth.
	Burst, TokenBurst float64
	// Window, if set, counts in fixed windows of this length, which begin at a
	// random moment: in each as much passes as RPM and TPM give in its time, at
	// once or not. Burst and TokenBurst mean nothing then.
	Window time.Duration
	// Quota and Budget are requests and US dollars until a reset, Per after
	// Per; with Per 0 they never come back by themselves.
	Quota  int64
	Budget float64
	Per    time.Duration
	// Scopes are what the key may be used for; empty is everything.
	Scopes  []string
	Latency Latency
	Revoked bool
}

// Latency is how long answers take: half of them less than Median, none more
// than Max, and all of them the same where the two are. Zero answers at once.
type Latency struct{ Median, Max time.Duration }

// draw is one answer's time: lognormal, as those of real providers are.
func (l Latency) draw(r *rand.Rand) time.Duration {
	if l.Median <= 0 || l.Median == l.Max {
		return max(l.Median, 0)
	}
	d := time.Duration(float64(l.Median) * math.Exp(0.45*r.NormFloat64()))
	if l.Max > 0 {
		d = min(d, l.Max)
	}
	return max(d, l.Median/4)
}

// Counts is what became of one key's requests.
type Counts struct {
	// Accepted requests counted against the limits; Free ones (lists of models,
	// balances) count against none.
	Accepted, Free int64
	// Refused is by status; of them, FreeRefused were free: test calls.
	Refused     map[int]int64
	FreeRefused int64
	// CostUSD is what the accepted ones cost.
	CostUSD float64
}

// TotalRefused sums the refusals of every status.
func (c Counts) TotalRefused() int64 {
	var n int64
	for _, of := range c.Refused {
		n += of
	}
	return n
}

// bucket is a token bucket: perMin flow in, at most burst stay. With perMin 0
// it never runs dry. With a window it is full again at the end of each, and
// nothing flows in between.
type bucket struct {
	perMin, burst, level float64
	at                   time.Time
	window, phase        time.Duration
	end                  time.Time // of the running window
}

func newBucket(perMin, burst float64) bucket {
	b := bucket{perMin: perMin, burst: burst}
	if b.burst <= 0 {
		b.burst = max(1, perMin/6)
	}
	b.level = b.burst
	return b
}

// newWindow is a bucket of fixed windows that begin at a phase of the clock.
func newWindow(perMin float64, window, phase time.Duration) bucket {
	b := newBucket(perMin, perMin*window.Minutes())
	b.window, b.phase = window, phase
	return b
}

func (b *bucket) fill(now time.Time) {
	switch {
	case b.window > 0:
		if !now.Before(b.end) {
			b.level, b.end = b.burst, now.Add(b.phase).Truncate(b.window).Add(b.window-b.phase)
		}
	case !b.at.IsZero():
		b.level = min(b.burst, b.level+now.Sub(b.at).Minutes()*b.perMin)
	}
	b.at = now
}

// wait is how long until n may be taken; an amount larger than the bucket
// waits until it is full.
func (b *bucket) wait(n float64) time.Duration {
	lack := min(n, b.burst) - b.level
	switch {
	case b.perMin <= 0 || lack <= 1e-9:
		return 0
	case b.window > 0:
		return b.end.Sub(b.at)
	}
	return time.Duration(lack / b.perMin * float64(time.Minute))
}

func (b *bucket) take(n float64) {
	if b.perMin > 0 {
		b.level -= n
	}
}

// left is what may be taken now; full is how long until all may.
func (b *bucket) left() int           { return int(max(0, b.level+1e-9)) }
func (b *bucket) full() time.Duration { return b.wait(b.burst) }

// account is what the keys of one account share.
type account struct {
	name             string
	terms            Key
	requests, tokens bucket
	used             int64
	spentUSD         float64
	phase            time.Duration // of fixed windows
	reset            time.Time     // when the running window of Per ends
	empty            bool
	until            time.Time // when empty ends; zero is not by itself
}

func (a *account) settle() {
	a.requests = newBucket(a.terms.RPM, a.terms.Burst)
	a.tokens = newBucket(a.terms.TPM, a.terms.TPM)
	switch {
	case a.terms.Window > 0:
		a.requests = newWindow(a.terms.RPM, a.terms.Window, a.phase)
		a.tokens = newWindow(a.terms.TPM, a.terms.Window, a.phase)
	case a.terms.TokenBurst > 0:
		a.tokens = newBucket(a.terms.TPM, a.terms.TokenBurst)
	}
	a.refill()
}

func (a *account) refill() {
	a.used, a.spentUSD, a.empty, a.until = 0, 0, false, time.Time{}
}

// tick brings the account up to now.
func (a *account) tick(now time.Time) {
	a.requests.fill(now)
	a.tokens.fill(now)
	if per := a.terms.Per; per > 0 {
		if a.reset.IsZero() {
			a.reset = now.Add(per)
		}
		if !now.Before(a.reset) {
			a.reset = a.reset.Add(per * (now.Sub(a.reset)/per + 1))
			a.used, a.spentUSD = 0, 0
		}
	}
	if a.empty && !a.until.IsZero() && !now.Before(a.until) {
		a.refill()
	}
}

// spent reports whether nothing is left, and until when; a zero time means
// until somebody pays.
func (a *account) spent() (until time.Time, yes bool) {
	switch {
	case a.empty:
		return a.until, true
	case a.terms.Quota > 0 && a.used >= a.terms.Quota,
		a.terms.Budget > 0 && a.spentUSD >= a.terms.Budget:
		return a.reset, true
	}
	return time.Time{}, false
}

// key is a Key at work.
type key struct {
	Key
	account *account
	revoked bool
	random  *rand.Rand
	counts  Counts
}

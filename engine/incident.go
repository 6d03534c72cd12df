package engine

import (
	"fmt"
	"slices"
	"time"
)

// quiet is how long a provider must answer without a fault before its incident
// is over; after forgotten without any request it is over too.
const (
	quiet     = 2 * time.Second
	forgotten = time.Minute
)

// incident is what is going wrong at one provider: many keys failing one way
// in one window are the provider's fault, not theirs.
type incident struct {
	Incident
	active    bool
	inARow    int
	lastFault time.Time
	// faulty are the keys with a fault, and when they had their last.
	faulty map[string]time.Time
}

// failing counts the keys that had a fault within the last moments.
func (inc *incident) failing(now time.Time) (n int) {
	for _, at := range inc.faulty {
		if now.Sub(at) < quiet {
			n++
		}
	}
	return n
}

// upstreamFault notes a fault of a provider. Two keys failing on one request,
// or three faults in a row that are not all of one key among several, make it
// an incident; strikes that keys got for the
// same thing are taken back.
func (e *Engine) upstreamFault(l *Lease, v Verdict, now time.Time) {
	provider := l.key.Provider
	inc := e.incidents[provider]
	if inc == nil {
		inc = &incident{faulty: map[string]time.Time{}}
		inc.Provider = provider
		e.incidents[provider] = inc
	}
	if !inc.active && now.Sub(inc.lastFault) > forgotten {
		inc.inARow, inc.Keys = 0, nil
		clear(inc.faulty)
	}
	inc.inARow++
	inc.lastFault = now
	inc.faulty[l.key.Name] = now
	inc.What = causeOf(v)
	if !slices.Contains(inc.Keys, l.key.Name) && len(inc.Keys) < maxCandidates {
		inc.Keys = append(inc.Keys, l.key.Name)
	}
	if inc.active {
		inc.Faults++
		return
	}
	second := false
	for i := range l.req.attempts - 1 {
		a := l.req.attempt(i)
		second = second || a.kind == UpstreamFault && a.cred != l.cred
	}
	inc.Of = 0
	for _, k := range e.keys {
		if k.Provider == provider {
			inc.Of++
		}
	}
	if !second && (inc.inARow < 3 || inc.Of > 1 && inc.failing(now) < 2) {
		return
	}
	inc.active, inc.Since, inc.Faults = true, now, int64(inc.inARow)
	for _, k := range e.keys {
		if k.Provider != provider {
			continue
		}
		if s := &k.cred.all; s.hold == nil || s.hold.over(now) {
			s.forget()
			k.cred.changed = true
		}
	}
	e.emit(Event{At: now, Kind: EventIncident, Key: provider, State: Failing,
		Text: fmt.Sprintf("%s: %s on %d of %d keys. No key is blamed; rotating will not help", provider, inc.What, len(inc.Keys), inc.Of)})
}

// maxBackOff is the longest pause that a busy model gets.
const maxBackOff = 30 * time.Second

// backOff rests a model that its provider is too busy to serve, on all of the
// provider's keys: 1 s, doubling while no request for it succeeds. A hold that
// lasts longer, or that only a trial or a person ends, stays.
func (e *Engine) backOff(l *Lease, v Verdict, now time.Time) {
	if _, fresh := l.target(Verdict{Scope: ScopeKey}, v.Model, now); !fresh {
		return
	}
	pause := max(v.RetryAfter, time.Second<<min(l.cred.at(v.Model).climbs, 5))
	pause = min(pause, maxBackOff)
	for _, c := range e.creds {
		if c.provider != l.key.Provider {
			continue
		}
		s := c.at(v.Model)
		s.climbs++
		c.changed = true
		if old := s.hold; old != nil && (old.until.IsZero() || old.until.After(now.Add(pause))) {
			continue
		}
		s.place(&hold{state: Cooling, verdict: UpstreamFault, since: now, until: now.Add(pause), by: "engine", evidence: v.Evidence, rule: v.Rule,
			why: fmt.Sprintf("%s is too busy at %s: %s", v.Model, l.key.Provider, causeOf(v))})
	}
	e.checkHealth(now)
}

// inIncident reports whether the credential's provider has an incident.
func (e *Engine) inIncident(c *credential) bool {
	inc := e.incidents[c.provider]
	return inc != nil && inc.active
}

// calm notes that a provider answered. An incident is over when at most one of
// several keys goes on failing: then that is the key's affair.
func (e *Engine) calm(k *key, now time.Time) {
	inc := e.incidents[k.Provider]
	if inc == nil || inc.inARow == 0 && !inc.active {
		return
	}
	inc.inARow = 0
	few := 0
	if inc.Of > 1 {
		few = 1
	}
	if inc.active && now.Sub(inc.Since) >= quiet && inc.failing(now) <= few {
		e.over(inc, now, "answers again")
	}
}

// quietIncidents ends the incidents of providers that nobody asks any more.
func (e *Engine) quietIncidents(now time.Time) {
	for _, inc := range e.incidents {
		if inc.active && now.Sub(inc.lastFault) >= forgotten {
			e.over(inc, now, "no fault for "+clock(forgotten))
		}
	}
}

func (e *Engine) over(inc *incident, now time.Time, why string) {
	inc.active, inc.Keys = false, nil
	clear(inc.faulty)
	e.emit(Event{At: now, Kind: EventIncidentEnd, Key: inc.Provider, State: Active,
		Text: fmt.Sprintf("%s: incident over after %s, %d faults (%s)", inc.Provider, clock(now.Sub(inc.Since)), inc.Faults, why)})
}

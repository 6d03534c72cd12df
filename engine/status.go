package engine

import (
	"slices"
	"time"
)

// Snapshot is everything a person or a script sees, at this moment.
func (e *Engine) Snapshot() Snapshot {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(now)
	snap := Snapshot{Version: 1, At: now, UptimeS: now.Sub(e.started).Seconds(), LastSeq: e.log.seq,
		Proxy: ProxyStatus{InFlight: e.inFlight, Waiting: e.waiting, Requests: e.requests, ClientErrors: e.clientErrors, Failures: e.failures,
			Absorbed: e.absorbed, PerS: e.rate.PerSecond(now), P95MS: e.latency.p95()},
		Services: make([]ServiceStatus, 0, len(e.services)), Keys: make([]KeyStatus, 0, len(e.keys)), Incidents: []Incident{}}
	if n := len(e.undo); n > 0 {
		if snap.UndoRefused = e.undo[n-1].Undo.Never; snap.UndoRefused == "" {
			snap.Undo = e.undo[n-1].Text
		}
	}
	uses := map[*key][]string{}
	for _, s := range e.services {
		s.all(func(m *member) { uses[m.key] = append(uses[m.key], s.Name) })
		snap.Services = append(snap.Services, e.serviceStatus(s, now))
	}
	for _, k := range e.keys {
		st := e.keyStatus(k, now)
		st.Services = append([]string{}, uses[k]...)
		snap.Keys = append(snap.Keys, st)
	}
	for _, inc := range e.incidents {
		if inc.active {
			i := inc.Incident
			i.Keys = append([]string{}, i.Keys...)
			snap.Incidents = append(snap.Incidents, i)
		}
	}
	return snap
}

// Pulse is another number whenever something has happened that a snapshot would
// show: for whoever looks often and wants to know whether it is worth it. What
// time alone changes does not change it.
func (e *Engine) Pulse() uint64 {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(now)
	return e.log.seq + e.traffic.seq + uint64(e.requests) // each only rises
}

func (e *Engine) serviceStatus(s *service, now time.Time) ServiceStatus {
	st := ServiceStatus{Name: s.Name, Project: s.Project, Purpose: s.Purpose, Required: s.Required, Planned: s.Planned,
		Strategy: firstOf(s.Strategy, RoundRobin), TokenRef: s.TokenRef, Models: append([]string{}, s.Models...), Keys: append([]string{}, s.own()...), Moved: s.moved, Fallback: append([]string{}, s.Fallback...),
		Usable: s.usable, InFlight: s.inFlight, Waiting: len(s.queue), Requests: s.requests, Failures: s.failures, Verdicts: s.verdicts, Rotations: s.rotations,
		LastRotation: e.told(s.last, now), DownSince: timePtr(s.downSince), Refused: s.refused, Limits: limits(s.books, "service", now),
		PerMin: s.rate.PerSecond(now) * 60, Series: s.series.list(buckets, now), Failed: s.failed.list(buckets, now), BucketS: bucketLength.Seconds()}
	st.Accounts, st.Can = s.accountCount(), s.can(now)
	held, incident, inUse := 0, false, ""
	first := int64(never)
	s.all(func(m *member) {
		st.Provider, st.Kind, st.Dialect = m.key.Provider, m.key.Kind, m.key.dialect()
		at := m.readyAt
		if h := m.key.cred.partHold(s.model, s.scope, now); h != nil {
			at = max(at, h.readyAt())
		}
		if at > now.UnixNano() {
			held++
			first = min(first, at)
		}
		if m.key == s.inUse && at <= now.UnixNano() && !m.key.draining {
			inUse = m.key.Name
		}
		incident = incident || e.inIncident(m.key.cred)
	})
	switch {
	case s.usable == 0:
		st.Health = HealthDown
		if first != never {
			st.FirstBack = timePtr(time.Unix(0, first))
		}
	case held > 0 || incident || slices.ContainsFunc(st.Can, func(c ScopeStatus) bool { return c.Usable == 0 }):
		st.Health = HealthDegraded
	default:
		st.Health = HealthOK
	}
	if s.trial != nil {
		st.Trying = s.trial.Name
		st.Keys = append([]string{s.trial.Name}, slices.DeleteFunc(st.Keys, func(name string) bool { return name == s.trial.Name })...)
	}
	st.Lent = s.lent()
	for _, l := range st.Lent {
		st.Keys = append(st.Keys, l.Key)
	}
	if s.pin != nil {
		st.Pinned, st.PinnedUntil = s.pin.key.Name, timePtr(s.pin.until)
	}
	if s.usable > 0 {
		if s.pin != nil {
			st.KeyInUse = s.pin.key.Name
		} else if inUse != "" && s.strategy != strategies[Failover] {
			st.KeyInUse = inUse
		} else if k := s.upcoming(e.query(&Request{svc: s, Repeatable: true}, now)); k != nil {
			st.KeyInUse = k.Name
		}
	}
	return st
}

func (e *Engine) keyStatus(k *key, now time.Time) KeyStatus {
	c := k.cred
	st := KeyStatus{Name: k.Name, Provider: k.Provider, Account: firstOf(k.Account, c.accountOf()), Fingerprint: c.fingerprint, Dialect: k.dialect(), Host: host(k.BaseURL), Ref: k.Ref, Override: k.Override, Retiring: e.retired.inFlight(k.Name), Draining: k.draining,
		Scopes: append([]string{}, k.Scopes...), InFlight: c.inFlight, Requests: c.requests, Failures: c.verdicts.Failed(),
		RateLimited: c.verdicts.RateLimited, Verdicts: c.verdicts, LastFailure: timePtr(c.lastFailure), InputTokens: c.usage.Input,
		OutputTokens: c.usage.Output, CachedTokens: c.usage.Cached, CostUSD: c.usage.CostUSD, Unpriced: c.unpriced, PerMin: c.rate.PerSecond(now) * 60,
		Series: c.series.list(buckets/2, now), BucketS: bucketLength.Seconds(), Limits: limits(c.books, "key", now), Holds: []HoldStatus{}, Bindings: e.bindings.ofKey[k.Name], Balance: c.balance()}
	if c.account != nil {
		st.Limits = append(st.Limits, limits(c.account.books, "account", now)...)
	}
	holds := k.holds(now)
	st.State = Active
	if len(holds) > 0 {
		worst := holds[0]
		st.State, st.Reason, st.Since, st.Until = worst.state, worst.why, timePtr(worst.since), timePtr(worst.until)
	}
	for _, h := range holds {
		account := ""
		if h == accountHold(c) {
			account = c.accountOf()
		}
		st.Trial = st.Trial || h.trying || !h.trialAt.IsZero() && !now.Before(h.trialAt)
		st.Holds = append(st.Holds, h.status(account, ""))
	}
	for i, h := range []*holder{&c.holder, c.account} {
		if h == nil {
			continue
		}
		for part, s := range h.parts {
			if s.hold != nil && !s.hold.over(now) {
				st.Holds = append(st.Holds, s.hold.status([]string{"", c.accountOf()}[i], part))
			}
		}
	}
	return st
}

func limits(books []*book, scope string, now time.Time) []LimitStatus {
	list := make([]LimitStatus, 0, len(books))
	for _, b := range books {
		l := LimitStatus{Unit: string(b.Unit), Per: b.Per(), Amount: b.Amount, Used: b.Used(now), Remaining: b.Remaining(now),
			ResetsAt: timePtr(b.ResetsAt(now)), Scope: scope, Model: b.Model, Source: b.Source}
		burn, known := b.Burn(now)
		l.BurnPerMin = burn
		switch {
		case !known:
		case b.learner != nil:
			l.Confidence = "guess"
		case b.Seen(now) < time.Minute:
			l.Confidence = "measured"
		default:
			l.Confidence = "told"
		}
		d, lasts, known := b.Runway(now)
		if l.Lasts = lasts && known; known && !lasts {
			s := d.Seconds()
			l.RunwayS = &s
			l.RunsOutAt = timePtr(now.Add(d))
		}
		list = append(list, l)
	}
	return list
}

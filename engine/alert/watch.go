package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
)

const (
	// settle is how long something must be so, or not be so any more, before it
	// is said: what comes and goes within it needs nobody.
	settle = 2 * time.Second
	// dry is the shortest time that a limit must stay used up before its reset
	// to be worth a word, and ahead how far off the end of one that never resets
	// may be.
	dry   = time.Minute
	ahead = 24 * time.Hour
	// named is how many keys a text names.
	named = 5
)

// Watch decides what is alerted. It goes by what is, not by what happened: an
// event that left no trace needs nobody. Nothing is said twice while it lasts,
// and what comes back within the quiet time is said, if it still is, when that
// is over. It reads no clock; one goroutine at a time.
type Watch struct {
	on    []Kind
	quiet time.Duration
	seen  map[string]*episode // by ID's stem
}

// episode is one thing that is watched, as long as there is something to
// remember of it.
type episode struct {
	last Alert // what was found of it last
	// is tells whether it is so now, since when it is as it is.
	is    bool
	since time.Time
	// began is when what is told, or will be, began.
	began time.Time
	// told is set between the alert, sent at at, and its end.
	told bool
	at   time.Time
}

// NewWatch watches for some kinds of things; what recurs is said again after
// quiet at the earliest.
func NewWatch(on []Kind, quiet time.Duration) *Watch {
	return &Watch{on: on, quiet: quiet, seen: map[string]*episode{}}
}

// finding is something a snapshot shows.
type finding struct {
	Alert
	// holds is set for what keeps an alert up that was raised before, and does
	// not raise one.
	holds bool
}

// Look takes a snapshot and returns what is to be said because of it, in the
// order of [Kinds].
func (w *Watch) Look(s engine.Snapshot) []Alert {
	found := map[string]finding{}
	for _, kind := range w.on {
		for _, f := range finders[kind](s) {
			f.Kind = kind
			id := string(kind) + " " + f.Subject
			found[id] = f
			if w.seen[id] == nil && !f.holds {
				w.seen[id] = &episode{}
			}
		}
	}
	var say []Alert
	for id, e := range w.seen {
		f, is := found[id]
		switch {
		case f.holds:
			is = e.is
		case is:
			e.last = f.Alert
		}
		if e.turn(is, w.quiet, s.At) {
			say = append(say, e.message(id, s.At))
		}
		if !e.is && !e.told && s.At.Sub(e.at) >= w.quiet {
			delete(w.seen, id)
		}
	}
	slices.SortFunc(say, func(a, b Alert) int {
		return cmp.Or(slices.Index(Kinds, a.Kind)-slices.Index(Kinds, b.Kind), strings.Compare(a.ID, b.ID))
	})
	return say
}

// turn notes whether it is so, and reports whether that is to be said.
func (e *episode) turn(is bool, quiet time.Duration, now time.Time) bool {
	if is != e.is {
		e.is, e.since = is, now
		if is && !e.told {
			e.began = now
		}
	}
	if e.is == e.told || now.Sub(e.since) < settle {
		return false
	}
	if e.is {
		if !e.at.IsZero() && now.Sub(e.at) < quiet {
			return false
		}
		e.at = now
	}
	e.told = e.is
	return true
}

// message is what is said of an episode now: that it is, or that it is over.
func (e *episode) message(id string, now time.Time) Alert {
	a := e.last
	a.Version, a.At, a.Since, a.Resolved = 1, now, e.began, !e.told
	a.ID = fmt.Sprintf("%s %d", id, e.began.UnixMilli())
	if a.Resolved {
		a.Keys = nil
		a.Text = fmt.Sprintf("%s: %s: over after %s", a.Subject, words[a.Kind], e.since.Sub(e.began).Round(time.Second))
	}
	return a
}

// words say a kind.
var words = map[Kind]string{NoUsableKey: "no usable key", OneKeyLeft: "one key left", RunsOut: "runs out before its reset",
	Revoked: "revoked", Incident: "incident"}

// finders find one kind of thing each.
var finders = map[Kind]func(engine.Snapshot) []finding{
	NoUsableKey: findNoUsableKey, OneKeyLeft: findOneKeyLeft, RunsOut: findRunsOut, Revoked: findRevoked, Incident: findIncidents,
}

func findNoUsableKey(s engine.Snapshot) (list []finding) {
	for _, svc := range s.Services {
		if keys := keysOf(s, svc); !svc.Planned && len(keys) > 0 && svc.Usable == 0 {
			f := ofService(svc, keys)
			f.Text = fmt.Sprintf("%s: no key can serve: %s", f.Subject, states(f.Keys))
			if svc.FirstBack != nil {
				f.Text += "; the first is back at " + clock(*svc.FirstBack, s.At)
			}
			list = append(list, f)
		}
	}
	return list
}

// findOneKeyLeft finds services with one usable key of several. One that lost
// its last is not over it: the worse alert tells of that.
func findOneKeyLeft(s engine.Snapshot) (list []finding) {
	for _, svc := range s.Services {
		if keys := keysOf(s, svc); !svc.Planned && len(keys) > 1 && svc.Usable <= 1 {
			f := ofService(svc, keys)
			f.holds = svc.Usable == 0
			f.Text = fmt.Sprintf("%s: one key left of %d: %s", f.Subject, len(keys), states(f.Keys))
			list = append(list, f)
		}
	}
	return list
}

func ofService(svc engine.ServiceStatus, keys []engine.KeyStatus) finding {
	f := finding{Alert: Alert{Subject: "service " + svc.Name, Service: svc.Name, Provider: svc.Provider}}
	for _, k := range keys {
		f.Keys = append(f.Keys, stateOf(k))
	}
	slices.SortStableFunc(f.Keys, func(a, b KeyState) int { // what is left first
		return cmp.Compare(len(a.Reason), 0) - cmp.Compare(len(b.Reason), 0)
	})
	return f
}

// keysOf are all keys of a service, none twice.
func keysOf(s engine.Snapshot, svc engine.ServiceStatus) (list []engine.KeyStatus) {
	for _, name := range slices.Concat(svc.Keys, svc.Fallback) {
		i := slices.IndexFunc(s.Keys, func(k engine.KeyStatus) bool { return k.Name == name })
		if i >= 0 && !slices.ContainsFunc(list, func(k engine.KeyStatus) bool { return k.Name == name }) {
			list = append(list, s.Keys[i])
		}
	}
	return list
}

func stateOf(k engine.KeyStatus) KeyState {
	st := KeyState{Name: k.Name, State: k.State.String(), Reason: k.Reason, Until: k.Until}
	if k.Draining && k.State == engine.Active {
		st.State = "draining"
	}
	if len(k.Holds) > 0 && k.State == engine.Active { // one model is held
		st.Reason, st.Until = k.Holds[0].Why, k.Holds[0].Until
	}
	return st
}

// states says of each key what it is, and of those that cannot serve why.
func states(keys []KeyState) string {
	var parts []string
	for i, k := range keys {
		if i == named {
			parts = append(parts, fmt.Sprintf("and %d more", len(keys)-named))
			break
		}
		what := k.State
		switch {
		case strings.HasPrefix(k.Reason, k.State):
			what = k.Reason
		case k.Reason != "":
			what += " (" + k.Reason + ")"
		}
		parts = append(parts, k.Name+" "+what)
	}
	return strings.Join(parts, ", ")
}

// findRunsOut finds limits that will be used up before they reset, so long
// before that somebody would miss them. One that is used up keeps its alert.
func findRunsOut(s engine.Snapshot) []finding {
	found := map[string]finding{} // an account's limit stands with each of its keys
	add := func(owner Alert, l engine.LimitStatus) {
		f := finding{Alert: owner, holds: l.Remaining <= 0 || l.Unit == "requests" && l.Remaining < 1}
		if !f.holds && !runsOut(l, s.At) {
			return
		}
		of := l.Unit
		if l.Model != "" {
			of += " for " + l.Model
		}
		if !f.holds {
			f.Text = fmt.Sprintf("%s: %s run out at %s, %s", f.Subject, of, clock(*l.RunsOutAt, s.At), ending(l, s.At))
		}
		f.Subject += ", " + of + " per " + l.Per
		found[f.Subject] = f
	}
	for _, k := range s.Keys {
		for _, l := range k.Limits {
			if l.Scope == "account" {
				add(ofAccount(k), l)
			} else {
				add(Alert{Subject: "key " + k.Name, Key: k.Name, Provider: k.Provider}, l)
			}
		}
	}
	for _, svc := range s.Services {
		for _, l := range svc.Limits {
			add(Alert{Subject: "service " + svc.Name, Service: svc.Name, Provider: svc.Provider}, l)
		}
	}
	return slices.Collect(maps.Values(found))
}

func ofAccount(k engine.KeyStatus) Alert {
	return Alert{Subject: fmt.Sprintf("account %s at %s", k.Account, k.Provider), Account: k.Account, Provider: k.Provider}
}

// runsOut reports whether a limit is worth a word. One that refills all the time
// and is tight for a moment is not: the next key serves meanwhile.
func runsOut(l engine.LimitStatus, now time.Time) bool {
	switch {
	case l.RunsOutAt == nil:
		return false
	case l.ResetsAt == nil:
		return l.RunsOutAt.Sub(now) < ahead
	default:
		return l.ResetsAt.Sub(*l.RunsOutAt) >= dry
	}
}

func ending(l engine.LimitStatus, now time.Time) string {
	if l.ResetsAt == nil {
		return "and never reset by themselves"
	}
	return "and reset only at " + clock(*l.ResetsAt, now)
}

// findRevoked finds keys that their provider rejects. Where it is the account
// that is rejected, that is told once, and so is one secret of two names.
func findRevoked(s engine.Snapshot) (list []finding) {
	at := map[string]int{}
	for _, k := range s.Keys {
		if k.State != engine.Revoked {
			continue
		}
		f := finding{Alert: Alert{Subject: "key " + k.Name, Key: k.Name, Account: k.Account, Provider: k.Provider}}
		id := k.Fingerprint
		if len(k.Holds) > 0 && k.Holds[0].Account != "" {
			f.Alert = ofAccount(k)
			id = f.Subject
		}
		if _, told := at[id]; !told {
			at[id] = len(list)
			f.Text = fmt.Sprintf("%s: revoked: %s. Replace it, or reset it if it is right", f.Subject, k.Reason)
			list = append(list, f)
		}
		first := &list[at[id]]
		first.Keys = append(first.Keys, stateOf(k))
	}
	return list
}

func findIncidents(s engine.Snapshot) (list []finding) {
	for _, inc := range s.Incidents {
		f := finding{Alert: Alert{Subject: "provider " + inc.Provider, Provider: inc.Provider}}
		f.Text = fmt.Sprintf("%s: incident: %s on %d of %d keys. No key is blamed; rotating will not help", f.Subject, inc.What, len(inc.Keys), inc.Of)
		list = append(list, f)
	}
	return list
}

// clock is a time of day, with the date where that is not today.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if y, m, d := now.Date(); t.Year() == y && t.Month() == m && t.Day() == d {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

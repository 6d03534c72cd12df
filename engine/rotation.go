package engine

import (
	"fmt"
	"strings"
	"time"
)

// maxCandidates bounds a rotation's list of the keys that were looked at.
const maxCandidates = 32

// causeOf says a verdict in a few words: "429 rate limited", "connection
// refused".
func causeOf(v Verdict) string {
	switch {
	case v.Evidence.Status != 0 && v.Kind == UpstreamFault:
		return fmt.Sprintf("%d from upstream", v.Evidence.Status)
	case v.Evidence.Status != 0:
		return fmt.Sprintf("%d %s", v.Evidence.Status, v.Kind.Words())
	case v.Evidence.Message != "":
		return v.Evidence.Message
	default:
		return v.Kind.Words()
	}
}

// whenOver says what ends a hold.
func whenOver(h *hold, now time.Time) string {
	switch {
	case h.confirming:
		return ""
	case !h.until.IsZero():
		return fmt.Sprintf("; back in %s", clock(h.until.Sub(now)))
	case !h.trialAt.IsZero():
		return fmt.Sprintf("; next trial in %s", clock(h.trialAt.Sub(now)))
	default:
		return "; a person must act"
	}
}

// rotate begins a rotation away from a key; rotated ends it when the next key
// is known. A hold makes one rotation in a service, however many requests it
// turned away.
func (e *Engine) rotate(r *Request, from *key, h *hold, v Verdict, now time.Time) {
	if r.svc.rotatedFor == h || r.rotation != nil && r.rotation.Candidates == nil {
		return
	}
	r.svc.rotatedFor = h
	if r.rotation != nil {
		r.rotation.Outcome = from.Name + " could not serve it either: " + h.why
		e.log.amend(r.rotationSeq)
	}
	r.rotation = &Rotation{At: now, Service: r.svc.Name, From: from.Name, Cause: h.why, Verdict: v.Kind, Rule: v.Rule,
		Evidence: h.evidence, By: "engine"}
}

// nextOf says what happens next to a key that a rotation left.
func nextOf(k *key, r *Rotation, now time.Time) string {
	who := k.Name
	st, h := k.state(now)
	if h == nil {
		var part string
		if part, h = k.cred.heldBy(r.Evidence.Request, now); h != nil {
			who += " for " + part
		}
	}
	switch {
	case k.draining:
		return k.Name + " is draining: it serves again when you enable it"
	case h == nil:
		return k.Name + " is active again"
	case h.confirming:
		return "a test call decides whether " + k.Name + " is revoked"
	case h.trying:
		return "one request is trying " + who + " now"
	case !h.until.IsZero():
		return fmt.Sprintf("%s returns at %s", who, h.until.Format(time.TimeOnly))
	case !h.trialAt.IsZero():
		return fmt.Sprintf("one request tries %s at %s", who, h.trialAt.Format(time.TimeOnly))
	case st == Disabled:
		return k.Name + " stays out until you enable it"
	default:
		return fmt.Sprintf("%s is %s and stays out until a person acts: replace or reset it", k.Name, st)
	}
}

// heldBy is what the answer to a request holds yet for one model or scope.
func (c *credential) heldBy(request string, now time.Time) (part string, h *hold) {
	if request == "" {
		return "", nil
	}
	for _, of := range c.holders() {
		if of == nil {
			continue
		}
		for part, s := range of.parts {
			if s.hold != nil && s.hold.evidence.Request == request && !s.hold.over(now) {
				return part, s.hold
			}
		}
	}
	return "", nil
}

// moved begins a rotation for a service under failover whose key in use was
// taken out of service by something else than this request.
func (e *Engine) moved(r *Request, from *key, now time.Time) {
	st, h := from.state(now)
	if h == nil && from.draining {
		h = &hold{state: Disabled, why: from.Name + " is draining", since: now, by: "operator"}
	}
	if h == nil || r.svc.rotatedFor == h {
		return
	}
	e.rotate(r, from, h, Verdict{Kind: h.verdict, Rule: "failover: on to the next key when this one cannot serve"}, now)
	if !strings.HasPrefix(h.why, st.String()) {
		r.rotation.Cause = fmt.Sprintf("%s: %s", st, h.why)
	}
}

// changedTier notes that a service went over to its fallback keys, or back.
func (e *Engine) changedTier(r *Request, s *service, tier int, to *key, now time.Time) {
	was := s.tier
	s.tier = tier
	if s.last != nil && s.last.To == to.Name && s.last.At.Equal(now) || r.rotation != nil {
		return // told already, with its cause
	}
	from := s.tiers[was].members[0].key
	cause := "no key above its fallback keys can serve"
	if tier < was {
		cause = "a key above the fallback keys can serve again"
	}
	rot := &Rotation{At: now, Service: s.Name, From: from.Name, To: to.Name, Cause: cause, Rule: "fallback keys serve only when no key above can",
		By: "engine", Candidates: e.candidates(r, from.Name, to, now)}
	r.rotation = rot
	r.rotationSeq = e.record(s, rot, from.Name+" → "+to.Name+"  "+cause, now)
}

// rotated ends the request's rotation: to is the key that followed, nil if none
// could.
func (e *Engine) rotated(r *Request, to *key, now time.Time) {
	rot := r.rotation
	if rot.Candidates != nil {
		return // told already
	}
	rot.Candidates = e.candidates(r, rot.From, to, now)
	text := rot.From + " → none usable"
	if to != nil {
		rot.To = to.Name
		text = rot.From + " → " + rot.To
	}
	r.rotationSeq = e.record(r.svc, rot, text+"  "+rot.Cause, now)
}

// record counts a rotation and puts it on the timeline: its event's number.
func (e *Engine) record(s *service, rot *Rotation, text string, now time.Time) (seq uint64) {
	s.rotations++
	s.last = rot
	s.changed = true
	state := Active
	if k := e.keyBy[rot.From]; k != nil {
		state, _ = k.state(now)
	}
	e.emit(Event{At: now, Kind: EventRotation, Service: s.Name, Key: rot.From, State: state, By: rot.By, Text: text, Rotation: rot})
	return e.log.seq
}

// candidates says of each other key of the service why it was chosen or passed
// over.
func (e *Engine) candidates(r *Request, from string, to *key, now time.Time) []Candidate {
	q := e.query(r, now)
	list := make([]Candidate, 0, min(r.svc.size(), maxCandidates))
	r.svc.all(func(m *member) {
		if m.key.Name == from || len(list) == maxCandidates && m.key != to {
			return
		}
		var c Candidate
		if m.key == to {
			c = Candidate{Key: to.Name, Chosen: true, Why: "chosen: next under " + firstOf(r.svc.Strategy, RoundRobin)}
		} else {
			c = e.candidate(q, m, now)
			if c.Why == "can serve" {
				c.Why = "can serve; not its turn"
			}
		}
		list = append(list, c)
	})
	return list
}

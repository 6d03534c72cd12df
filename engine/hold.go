package engine

import (
	"fmt"
	"math"
	"time"

	"keywheel/engine/quota"
)

// never is the readyAt of a key that only a person, or the end of a trial, can
// bring back.
const never = math.MaxInt64

// hold is something that keeps a key, or an account's keys, from serving.
type hold struct {
	state   State
	verdict Kind
	why     string
	since   time.Time
	// until ends it by itself; zero does not.
	until time.Time
	// trialAt is when one live request may try the key; zero is never.
	trialAt time.Time
	// wait is the pause before the last trial; the next is twice as long.
	wait time.Duration
	// trying is true while a trial is on its way.
	trying bool
	// confirming is true while the provider's free test call is awaited.
	confirming bool
	// part is the model or scope of the request that caused it.
	part     string
	by       string
	evidence Evidence
	// rule is which of the rules read the answer that way.
	rule string
}

// readyAt is when a request may use what is held: Unix nanoseconds, or never.
func (h *hold) readyAt() int64 {
	switch {
	case h == nil:
		return 0
	case h.trying:
		return never
	case !h.trialAt.IsZero():
		return h.trialAt.UnixNano()
	case !h.until.IsZero():
		return h.until.UnixNano()
	default:
		return never
	}
}

func (h *hold) over(now time.Time) bool {
	return h != nil && !h.until.IsZero() && !now.Before(h.until)
}

func (h *hold) status(account, part string) HoldStatus {
	return HoldStatus{Account: account, Model: part, Verdict: h.verdict, State: h.state, Why: h.why, Since: h.since,
		Until: timePtr(h.until), TrialAt: timePtr(h.trialAt), By: h.by, Rule: h.rule, Evidence: h.evidence}
}

// slot is what the answers have taught about one key or one account, for one
// model (or scope) or for all: the thing that holds and generations belong to.
type slot struct {
	// gen is raised when a hold is placed or lifted. An answer to a request
	// that left under an older gen changes nothing.
	gen  uint64
	hold *hold
	// climbs counts rate limits without a hint and without a success between;
	// invalids counts rejections of the key in the same way.
	climbs, invalids int
	// strikes are the times of the last inferred faults, a ring.
	strikes [5]time.Time
	struck  int
}

// place puts h on the slot in place of what was there.
func (s *slot) place(h *hold) {
	s.gen++
	s.hold = h
}

// lift takes the hold away and forgets the strikes.
func (s *slot) lift() {
	s.gen++
	s.hold = nil
	s.forget()
}

// forget is what a success does to the strikes and ladders.
func (s *slot) forget() {
	if s.climbs+s.invalids+s.struck > 0 {
		s.climbs, s.invalids, s.struck = 0, 0, 0
		s.strikes = [5]time.Time{}
	}
}

// strike counts one inferred fault and reports whether that makes five within
// a minute.
func (s *slot) strike(now time.Time) bool {
	s.strikes[s.struck%len(s.strikes)] = now
	s.struck++
	oldest := s.strikes[s.struck%len(s.strikes)]
	return s.struck >= len(s.strikes) && now.Sub(oldest) <= time.Minute
}

// holder is a key or an account: a slot for all its requests and one for each
// model or scope that was ever held apart, and its limits.
type holder struct {
	all   slot
	parts map[string]*slot
	purse purse
	books []*book
	// room is when the limits let any request at all pass, Unix nanoseconds.
	room     int64
	inFlight int
	// Of an account: its name, the id that the provider gives it, "" if none was
	// told, and how many keys share it.
	name, told string
	keys       int
	// changed marks what [Engine.Changed] tells next.
	changed bool
	// accepted and tokens are what succeeded in the last seconds.
	accepted, tokens quota.Meter
}

func newHolder() holder {
	return holder{accepted: quota.NewMeter(5 * time.Second), tokens: quota.NewMeter(5 * time.Second)}
}

// part finds the slot of a model or scope, nil if it was never held apart.
func (h *holder) part(name string) *slot {
	if h == nil || name == "" || h.parts == nil {
		return nil
	}
	return h.parts[name]
}

// slot finds the slot of a model or scope, "" being all, nil if there is none.
func (h *holder) slot(name string) *slot {
	if h == nil || name != "" {
		return h.part(name)
	}
	return &h.all
}

// at finds the slot of a model or scope, "" being all, and makes it if need be.
func (h *holder) at(name string) *slot {
	if name == "" {
		return &h.all
	}
	if h.parts == nil {
		h.parts = map[string]*slot{}
	}
	s := h.parts[name]
	if s == nil {
		if len(h.parts) >= maxParts {
			h.dropPart()
		}
		s = &slot{}
		h.parts[name] = s
	}
	return s
}

// maxParts bounds the slots of one holder: models are named by clients.
const maxParts = 256

// dropPart forgets the slot that matters least: one that holds nothing, or else
// the one whose hold ends first. What is forgotten wrongly is learned again.
func (h *holder) dropPart() {
	least, ends := "", int64(math.MaxInt64)
	for name, s := range h.parts {
		if at := s.hold.readyAt(); at < ends || least == "" {
			least, ends = name, at
		}
	}
	delete(h.parts, least)
}

// gens are the generations a request left under: of its key and of the key's
// account, each for all, for its model and for its scope.
type gens [2][3]uint64

// parts are the names of a request's slots, in the order of gens.
func (r *Request) parts() [3]string { return [3]string{"", r.Model, r.Scope} }

func gensOf(c *credential, r *Request) (g gens) {
	for i, h := range c.holders() {
		if h == nil {
			continue
		}
		g[i][0] = h.all.gen
		if h.parts != nil {
			g[i][1], g[i][2] = genOf(h.part(r.Model)), genOf(h.part(r.Scope))
		}
	}
	return g
}

func genOf(s *slot) uint64 {
	if s == nil {
		return 0
	}
	return s.gen
}

// clock is a duration for people: "45s", "4m10s", "2h05m", "3d4h".
func clock(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1fs", max(d.Seconds(), 0))
	case d < 10*time.Second && d%time.Second >= 100*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour && d%time.Hour < time.Minute:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

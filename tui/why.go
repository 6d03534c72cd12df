package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"keywheel/engine"
)

// drawWhy draws the last rotation of the selected service, or of the selected
// event, in full.
func (st *state) drawWhy(c *canvas, l *layout) {
	b := l.why
	if b.h <= 0 {
		return
	}
	title, paras := st.whyPane()
	in := frame{title: title, note: "w in full"}.draw(c, b)
	in.x, in.w = in.x+1, max(in.w-2, 0)
	list := flow(paras, in.w)
	n := c.lines(in, list, 0)
	if n < len(list) && n > 0 {
		c.clear(box{in.x, in.y + n - 1, in.w, 1})
		c.pen(in, n-1).put(grey, "… ").put(bold, "w").put(grey, " shows all of it")
	}
}

func (st *state) whyPane() (string, []para) {
	if st.focus == paneTimeline {
		if ev := st.selectedEvent(); ev != nil {
			return "Why", st.whyEvent(ev)
		}
	}
	s := st.selected()
	if s == nil {
		return "Why", nil
	}
	if st.focus == paneKeys {
		if k := st.selectedKey(); k != nil && len(k.Holds) > 0 {
			return "Why " + k.Name + " is " + k.State.String(), st.holdParas(k)
		}
	}
	if s.LastRotation == nil {
		return "Why", []para{line(say(grey, st.noRotation(s)))}
	}
	return "Why this rotation", st.whyRotation(s.LastRotation)
}

func (st *state) noRotation(s *service) string {
	if s.Strategy == engine.Failover {
		return "No rotation yet: " + s.KeyInUse + " serves until it cannot."
	}
	return fmt.Sprintf("No rotation yet: its keys serve by %s, and none had to be left.", s.Strategy)
}

// whyHeight is how high the pane of why would like to be.
func (st *state) whyHeight(room int) int {
	if st.scene == nil {
		return 0
	}
	_, paras := st.whyPane()
	return min(max(len(flow(paras, max(room, 1)))+2, 6), 20)
}

// whyRotation tells a rotation: cause, what was seen, the rule, who else was
// looked at, how it ended for the client, what comes next.
func (st *state) whyRotation(r *engine.Rotation) []para {
	to := r.To
	k := plain
	if to == "" {
		to, k = "none usable", red
	}
	head := line(say(bold, r.Service+"  "), say(plain, st.named(r.From)), say(blue, " → "), say(k, st.named(to)),
		say(grey, "   "+st.stamp(r.At)+", "+st.ago(r.At)))
	paras := []para{head, line()}
	add := func(label string, spans ...span) { paras = append(paras, para{label, spans}) }
	cause := []span{{causeInk(r.Verdict), r.Cause}}
	if r.By != "" && r.By != "engine" {
		cause = append(cause, span{blue, "  by " + r.By})
	}
	if where := evidenceWhere(&r.Evidence); where != "" {
		cause = append(cause, span{grey, " " + where})
	}
	add("cause", cause...)
	paras = append(paras, evidenceParas(&r.Evidence)...)
	if r.Rule != "" {
		add("rule", say(plain, r.Rule))
	}
	for i, cand := range r.Candidates {
		label := ""
		if i == 0 {
			label = "choice"
		}
		if len(r.Candidates) > 8 && i == 7 {
			add("", say(grey, fmt.Sprintf("  and %d more looked at", len(r.Candidates)-7)))
			break
		}
		text := []span{{grey, "  "}, {pick(cand.Chosen, bold, plain), cand.Key}, {grey, "  " + cand.Why}}
		if label != "" {
			text = text[1:]
			if cand.Chosen {
				text = append([]span{{green, "✓ "}}, text...)
			} else {
				text = append([]span{{grey, "· "}}, text...)
			}
		} else {
			text[0] = span{pick(cand.Chosen, green, grey), pick(cand.Chosen, "✓ ", "· ")}
			label = " "
		}
		if cand.Until != nil && !strings.Contains(cand.Why, "back in") {
			text = append(text, span{grey, ", until " + st.at(*cand.Until)})
		}
		add(label, text...)
	}
	if r.Outcome != "" {
		k := green
		if r.To == "" || strings.Contains(r.Outcome, "could not") {
			k = plain
		}
		add("outcome", say(k, r.Outcome))
	} else if r.By == "engine" {
		add("outcome", say(grey, "the request still runs"))
	}
	if r.Next != "" {
		add("next", say(plain, r.Next))
	}
	return paras
}

func causeInk(v engine.Kind) ink {
	switch v {
	case engine.OK:
		return plain
	case engine.RateLimited:
		return yellow
	case engine.QuotaExhausted:
		return magenta
	default:
		return red
	}
}

// named is a key's name with the mark of its secret.
func (st *state) named(name string) string {
	if st.scene != nil {
		if k := st.scene.keys[name]; k != nil && k.Fingerprint != "" {
			return name + " " + mark(k.Fingerprint)
		}
	}
	return name
}

// evidenceWhere says which request it was: "from POST /v1/messages after 214ms".
func evidenceWhere(e *engine.Evidence) string {
	if e.Path == "" && e.Method == "" {
		return ""
	}
	s := "from " + strings.TrimSpace(e.Method+" "+e.Path)
	if e.TookMS > 0 {
		s += " after " + millis(float64(e.TookMS))
	}
	return s
}

func evidenceParas(e *engine.Evidence) []para {
	var paras []para
	if e.Code != "" || e.Message != "" {
		said := strings.TrimSpace(e.Code + "  " + e.Message)
		paras = append(paras, para{"said", []span{{plain, said}}})
	}
	if len(e.Headers) > 0 {
		names := make([]string, 0, len(e.Headers))
		for n := range e.Headers {
			names = append(names, n)
		}
		slices.Sort(names)
		var sp []span
		for _, n := range names {
			sp = append(sp, span{grey, n + ": "}, span{plain, e.Headers[n] + "   "})
		}
		paras = append(paras, para{"headers", sp})
	}
	if e.Request != "" {
		paras = append(paras, para{"request", []span{{grey, e.Request}}})
	}
	return paras
}

// whyEvent tells an event in full.
func (st *state) whyEvent(ev *engine.Event) []para {
	if ev.Rotation != nil {
		return st.whyRotation(ev.Rotation)
	}
	k := eventLook(ev)
	head := []span{{k.ink, k.glyph + " "}}
	if ev.Service != "" {
		head = append(head, span{bold, ev.Service + "  "})
	}
	paras := []para{{"", append(head, eventText(ev)...)}, line(say(grey, st.stamp(ev.At)+", "+st.ago(ev.At)))}
	if ev.Hold != nil {
		paras = append(paras, line())
		paras = append(paras, st.holdPara(ev.Hold)...)
	}
	return paras
}

// holdParas tells every hold of a key.
func (st *state) holdParas(k *engine.KeyStatus) []para {
	var paras []para
	for i := range k.Holds {
		if i > 0 {
			paras = append(paras, line())
		}
		paras = append(paras, st.holdPara(&k.Holds[i])...)
	}
	return paras
}

// holdPara tells one hold: what, who, since when, until when, what ends it.
func (st *state) holdPara(h *engine.HoldStatus) []para {
	what := []span{{lookOf(h.State).ink | bold, h.State.String()}}
	if h.Model != "" {
		what = append(what, span{plain, " for " + h.Model + " only"})
	}
	if h.Account != "" {
		what = append(what, span{plain, " with all of account " + h.Account})
	}
	by := h.By
	if by == "" {
		by = "engine"
	}
	paras := []para{
		{"hold", what},
		{"why", []span{{causeInk(h.Verdict), h.Why}, {grey, " " + evidenceWhere(&h.Evidence)}}},
		{"since", []span{{plain, st.stamp(h.Since)}, {grey, ", " + st.ago(h.Since) + ", by "}, {plain, by}}},
		{"ends", st.holdEnd(h)},
	}
	return append(paras, evidenceParas(&h.Evidence)...)
}

func (st *state) holdEnd(h *engine.HoldStatus) []span {
	var out []span
	if h.Until != nil {
		out = append(out, span{plain, "in " + countdown(st.until(*h.Until))}, span{grey, ", at " + st.stamp(*h.Until)})
	}
	if h.TrialAt != nil {
		if len(out) > 0 {
			out = append(out, span{grey, "; or "})
		}
		out = append(out, span{plain, "when a trial succeeds"}, span{grey, ", next in " + countdown(st.until(*h.TrialAt))})
	}
	letter := "R"
	word := " lifts it now"
	if h.State == engine.Disabled {
		letter, word = "e", " enables it now"
	}
	if len(out) == 0 {
		out = append(out, span{plain, "when a person acts"})
	}
	return append(out, span{grey, "; "}, span{bold, letter}, span{grey, word})
}

// whySelection is what w shows: of a service its last rotation and how it
// stands, of a key its holds, of an event the event.
func (st *state) whySelection(focus paneID, name string, seq uint64) (paras []para) {
	switch focus {
	case paneTimeline:
		for i := range st.events {
			if st.events[i].Seq == seq {
				return st.whyEvent(&st.events[i])
			}
		}
	case paneKeys:
		if k := st.scene.keys[name]; k != nil {
			return st.keyStory(k)
		}
	default:
		if s := st.scene.byName[name]; s != nil {
			return st.serviceStory(s)
		}
	}
	return []para{line(say(grey, "It is no longer there."))}
}

func (st *state) serviceStory(s *service) []para {
	var paras []para
	if s.rank == rankDown {
		paras = append(paras, st.downBanner(s, 0), line())
	}
	if s.incident != nil {
		paras = append(paras, line(say(red|bold, "▲ "+s.Provider+" incident: "), say(plain, s.incident.What),
			say(grey, ". No key blamed; rotating will not help.")), line())
	}
	if s.LastRotation != nil {
		paras = append(paras, st.whyRotation(s.LastRotation)...)
	} else {
		paras = append(paras, line(say(plain, st.noRotation(s))))
	}
	held := 0
	for _, k := range s.keys {
		if k.State == engine.Active {
			continue
		}
		if held == 0 {
			paras = append(paras, line(), line(say(bold, "Keys that cannot serve now")))
		}
		if held++; held > 12 {
			paras = append(paras, line(say(grey, "and more: "+stateCounts(s))))
			break
		}
		look := lookOf(k.State)
		text := []span{{look.ink, look.glyph + " "}, {plain, k.Name + "  "}, {look.ink, k.State.String()}}
		if k.Until != nil {
			text = append(text, span{grey, ", back in " + countdown(st.until(*k.Until))})
		}
		paras = append(paras, line(append(text, span{grey, "  " + k.Reason})...))
	}
	if r := st.runway(s); len(r) > 0 {
		paras = append(paras, line())
		paras = append(paras, r...)
	}
	var facts []span
	for _, f := range [][2]string{{"project ", s.Project}, {"purpose ", s.Purpose}, {"provider ", s.Provider}, {"strategy ", s.Strategy}} {
		if f[1] != "" {
			facts = append(facts, span{grey, f[0]}, span{plain, f[1] + "   "})
		}
	}
	facts = append(facts, span{grey, "rotations "}, span{plain, grouped(s.Rotations) + "   "},
		span{grey, "requests "}, span{plain, grouped(s.Requests)})
	return append(paras, line(), line(facts...))
}

// keyStory is a key in full: holds, limits, what was answered.
func (st *state) keyStory(k *engine.KeyStatus) []para {
	look := st.keyLook(k)
	paras := []para{line(say(look.ink, look.glyph+" "), say(bold, k.Name+" "), say(grey, mark(k.Fingerprint)+"  "),
		say(lookOf(k.State).ink, k.State.String()), say(grey, pick(k.Draining, "  draining", "")+pick(k.Trial, "  trial", ""))), line()}
	add := func(label string, spans ...span) { paras = append(paras, para{label, spans}) }
	if len(k.Holds) == 0 {
		add("hold", say(grey, "none: it can serve"))
	}
	paras = append(paras, st.holdParas(k)...)
	paras = append(paras, line())
	for i := range k.Limits {
		l := &k.Limits[i]
		label := pick(i == 0, "limits", " ")
		f := 0.0
		if l.Amount > 0 {
			f = l.Remaining / l.Amount
		}
		text := []span{{quotaInk(f), percent(f)}, {plain, " " + ofLimit(l.Amount, l.Unit, l.Per, l.Source)}}
		if l.Model != "" {
			text = append(text, span{grey, " for " + l.Model})
		}
		if l.Scope != "" && l.Scope != "key" {
			text = append(text, span{grey, ", of its " + l.Scope})
		}
		if l.ResetsAt != nil {
			text = append(text, span{grey, ", resets " + st.at(*l.ResetsAt)})
		}
		if l.RunsOutAt != nil {
			text = append(text, span{amber, ", runs out " + st.at(*l.RunsOutAt)})
		}
		add(label, text...)
	}
	if len(k.Limits) == 0 {
		add("limits", say(grey, "none known"))
	}
	answers := []span{{plain, grouped(k.Verdicts.OK)}, {grey, " ok"}}
	for _, t := range tallies(k.Verdicts) {
		if t.n > 0 {
			answers = append(answers, span{grey, " · "}, span{t.ink, t.code + " "}, span{plain, grouped(t.n)})
		}
	}
	if n := k.Verdicts.ClientError; n > 0 {
		answers = append(answers, span{grey, " · client errors "}, span{plain, grouped(n)})
	}
	if k.LastFailure != nil {
		answers = append(answers, span{grey, ", last failure " + st.ago(*k.LastFailure)})
	}
	add("answers", answers...)
	add("now", say(plain, rate(k.PerMin)), say(grey, ", "+strconv.Itoa(k.InFlight)+" in flight"))
	if k.InputTokens+k.OutputTokens > 0 || k.CostUSD > 0 {
		add("used", say(plain, compact(float64(k.InputTokens))), say(grey, " tokens in, "), say(plain, compact(float64(k.OutputTokens))),
			say(grey, " out, "), say(plain, compact(float64(k.CachedTokens))), say(grey, " cached"),
			say(plain, pick(k.CostUSD > 0, "   $"+strconv.FormatFloat(k.CostUSD, 'f', 2, 64), "")))
	}
	add("serves", say(plain, strings.Join(k.Services, ", ")))
	for _, f := range [][2]string{{"provider", k.Provider}, {"account", k.Account}, {"secret", k.Ref}, {"scopes", strings.Join(k.Scopes, ", ")}} {
		if f[1] != "" {
			add(f[0], say(grey, f[1]))
		}
	}
	return paras
}

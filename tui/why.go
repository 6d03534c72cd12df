package tui

import (
	"fmt"
	"slices"
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
	if st.focus == paneServices {
		if s := st.selected(); s != nil {
			// All of it where there is room for that, or for some of it.
			if all := flow(st.serviceStory(s), in.w); filled(all) <= in.h || in.h-len(list) >= 5 {
				list = all
			}
		}
	}
	c.story(in, list)
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

// wholeWhy is how high it would be if it told all it knows, and how high without
// its empty lines.
func (st *state) wholeWhy(room int) (whole, tight int) {
	s := st.selected()
	if s == nil || st.focus != paneServices {
		return 0, 0
	}
	list := flow(st.serviceStory(s), max(room, 1))
	return len(list) + 2, filled(list) + 2
}

// filled is how many lines are not empty.
func filled(list [][]span) (n int) {
	for _, l := range list {
		if width(l) > 0 {
			n++
		}
	}
	return n
}

// whyRotation tells a rotation: cause, what was seen, the rule, who else was
// looked at, how it ended for the client, what comes next.
func (st *state) whyRotation(r *engine.Rotation) []para {
	to := r.To
	k := plain
	if to == "" {
		to, k = "none usable", red
	}
	head := line(say(bold, r.Service+"  "), say(plain, r.From), say(blue, " → "), say(k, to),
		say(grey, "   "+st.stamp(r.At)+", "+st.ago(r.At)))
	paras := []para{head, line()}
	add := func(label string, spans ...span) { paras = append(paras, fact(label, spans...)) }
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
		paras = append(paras, fact("said", say(plain, said)))
	}
	names := make([]string, 0, len(e.Headers))
	for n := range e.Headers {
		if !strings.EqualFold(n, "date") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var headers []span
	for _, n := range names {
		headers = append(headers, span{grey, n + ": "}, span{plain, e.Headers[n] + "   "})
	}
	if len(headers) > 0 {
		paras = append(paras, fact("headers", headers...))
	}
	if e.Request != "" {
		paras = append(paras, fact("request", say(grey, e.Request)))
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
	paras := []para{line(append(head, eventText(ev, true)...)...), line(say(grey, st.stamp(ev.At)+", "+st.ago(ev.At)))}
	if ev.Hold != nil {
		paras = append(paras, line())
		return append(paras, st.holdPara(ev.Hold)...)
	}
	return append(paras, st.before(ev)...)
}

// beforeMost is how many earlier events explain one that says little by itself.
const beforeMost = 8

// before tells what happened to the same key or service before an event, the
// newest first.
func (st *state) before(ev *engine.Event) []para {
	var paras []para
	for i := len(st.events) - 1; i >= 0 && len(paras) < beforeMost; i-- {
		was := &st.events[i]
		if was.Seq >= ev.Seq || ev.Key != was.Key && ev.Key != "" || ev.Key == "" && (ev.Service == "" || was.Service != ev.Service) {
			continue
		}
		k := eventLook(was)
		paras = append(paras, fact(st.stamp(was.At), append([]span{{k.ink, k.glyph + " "}}, eventText(was, false)...)...))
	}
	if len(paras) > 0 {
		paras = append([]para{line(), line(say(bold, "Before it"))}, paras...)
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
		fact("hold", what...),
		fact("why", say(causeInk(h.Verdict), h.Why), say(grey, " "+evidenceWhere(&h.Evidence))),
		fact("since", say(plain, st.stamp(h.Since)), say(grey, ", "+st.ago(h.Since)+", by "), say(plain, by)),
		fact("ends", st.holdEnd(h)...),
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

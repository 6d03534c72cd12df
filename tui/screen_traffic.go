package tui

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

// Traffic is a [Source] that also tells which requests ended: those after a
// sequence number, the oldest first. Without it screen 4 says so.
type Traffic interface {
	Requests(after uint64) []engine.RequestRecord
}

// keepRequests is how many requests screen 4 remembers.
const keepRequests = 2000

// plainRequest reports whether a request was served by the first key it was
// sent with.
func plainRequest(r *engine.RequestRecord) bool {
	return len(r.Attempts) <= 1 && (r.Outcome == engine.OutcomeServed || r.Outcome == engine.OutcomeLeft)
}

// outcomeLook is how a request begins.
func outcomeLook(r *engine.RequestRecord) look {
	switch r.Outcome {
	case engine.OutcomeServed:
		if len(r.Attempts) > 1 {
			return look{"↻", blue}
		}
		return look{"●", green}
	case engine.OutcomeClientError:
		return look{"·", yellow}
	case engine.OutcomeLeft:
		return look{"○", grey}
	case engine.OutcomeTurnedAway:
		return look{"⊘", yellow}
	}
	return look{"✗", red}
}

// drawTrafficScreen draws screen 4: the requests, and each attempt of one.
func drawTrafficScreen(st *state, c *canvas, l *layout) {
	b, ids := l.panes[paneTraffic], &st.lists[paneTraffic]
	title := "Traffic " + grouped(len(st.traffic))
	if !st.filter.query.empty() {
		title += " of " + grouped(len(st.requests))
	}
	note := st.pastNote(ids.order("newest first"))
	if b.w >= 76 {
		px := &st.scene.snap.Proxy
		note = perSecond(px.PerS) + " req/s · " + grouped(px.InFlight) + " in flight · " + grouped(px.Waiting) + " waiting · " + note
	}
	in := frame{title: title, note: note, focused: st.focus == paneTraffic, open: l.small}.draw(c, b)
	c.zone(zone{b, zonePane, paneTraffic, ""})
	if len(st.traffic) == 0 {
		in.x, in.w = in.x+1, max(in.w-2, 0)
		c.lines(in, flow(st.noTraffic(), in.w), 0)
		return
	}
	t := table[*engine.RequestRecord]{cols: st.requestColumns(), rows: st.traffic,
		id: requestName, selected: ids.chosen, sorted: ids.column,
		offset: ids.offset, pane: paneTraffic, foot: !l.small}
	t.draw(c, box{in.x, in.y, max(in.w-1, 0), in.h})
	st.drawDetail(c, l)
}

// notPlain are the newest requests that took more than one key, or failed.
func (st *state) notPlain(most int) (list []*engine.RequestRecord) {
	for i := len(st.requests) - 1; i >= 0 && len(list) < most; i-- {
		r := &st.requests[i]
		if !plainRequest(r) && (st.frozen == nil || r.Seq <= st.frozen.request) {
			list = append(list, r)
		}
	}
	return list
}

// drawRecent draws them beside the services, where there is much room.
func (st *state) drawRecent(c *canvas, l *layout) {
	if l.recent.h <= 0 {
		return
	}
	in := frame{title: "Not served at once", note: "4 all requests"}.draw(c, l.recent)
	t := table[*engine.RequestRecord]{cols: st.requestColumns(), rows: st.notPlain(recentMost),
		id: requestName, pane: paneTraffic}
	t.draw(c, box{in.x, in.y, max(in.w-1, 0), in.h})
}

// noTraffic says why the list is empty, and how to fill it.
func (st *state) noTraffic() []para {
	switch command := st.firstCurl(); {
	case len(st.requests) > 0:
		return []para{line(say(grey, "No request matches: "), say(bold, "esc"), say(grey, " clears the filter, "), say(bold, "+"), say(grey, " widens the time."))}
	case !st.tells:
		return []para{line(say(plain, "This keywheel does not tell of single requests.")), line(say(grey, "Screens 1 to 3 show what they did."))}
	case command == "":
		return []para{line(say(plain, "No requests yet.")), line(say(grey, "No service has a usable key: "), say(bold, "!"), say(grey, " goes to the first problem."))}
	default:
		return []para{line(say(plain, "No requests yet. Try, in another terminal:")), line(), line(say(bold, command)), line(),
			line(say(grey, "keywheel env SERVICE prints what to set in a client."))}
	}
}

// passage is a request's way through the keys: "429→200".
func passage(r *engine.RequestRecord) []span {
	var out []span
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if i > 0 {
			out = append(out, span{grey, "→"})
		}
		out = append(out, span{causeInk(a.Verdict), statusWord(a.Status)})
	}
	if len(out) == 0 && r.Status > 0 {
		out = append(out, span{yellow, statusWord(r.Status)})
	}
	if len(out) == 0 {
		out = append(out, span{grey, "—"})
	}
	return out
}

// ended is when a request was over: the order in which the list has them.
func ended(r *engine.RequestRecord) time.Time {
	return r.At.Add(time.Duration(r.TookMS) * time.Millisecond)
}

// statusWord is an HTTP status; without one there was no answer.
func statusWord(status int) string {
	if status == 0 {
		return "none"
	}
	return strconv.Itoa(status)
}

func (st *state) requestColumns() []column[*engine.RequestRecord] {
	type record = engine.RequestRecord
	long := 7
	if st.scene != nil {
		long = min(max(st.scene.long, 7), 16)
	}
	number := func(head string, least, drop int, of func(r *record) float64, say func(float64) string) column[*record] {
		return column[*record]{head: head, least: least, gap: 2, drop: drop, right: true,
			cell: func(p *pen, r *record) {
				if of(r) <= 0 {
					p.right(grey, "—")
					return
				}
				p.right(plain, say(of(r)))
			},
			by: func(r *record) (float64, string) { return of(r), "" }}
	}
	return []column[*record]{
		{least: 2, cell: func(p *pen, r *record) {
			if l := &st.lists[paneTraffic]; st.focus == paneTraffic && l.chosen != "" && requestName(r) == l.chosen {
				p.put(blue|bold, "▸ ")
			}
		}},
		{head: "TIME", least: 8, cell: func(p *pen, r *record) { p.put(grey, st.stamp(ended(r))) },
			by: func(r *record) (float64, string) { return float64(ended(r).UnixMilli()), "" }},
		{least: 1, gap: 1, cell: func(p *pen, r *record) {
			k := outcomeLook(r)
			p.put(k.ink, k.glyph)
		}},
		{head: "SERVICE", least: min(long, 13), best: long, gap: 1, drop: 2, cell: func(p *pen, r *record) {
			p.put(pick(r.Service == "", grey, plain), cmp.Or(r.Service, r.From))
		}, by: func(r *record) (float64, string) { return 0, r.Service }},
		{head: "KEY", least: 12, best: 18, gap: 2, drop: 3, cell: func(p *pen, r *record) {
			if r.Key == "" {
				p.put(grey, pick(r.Outcome == engine.OutcomeTurnedAway, "at the door", "none"))
				return
			}
			st.keyName(p, plain, r.Key)
		}, by: func(r *record) (float64, string) { return 0, r.Key }},
		{head: "ANSWERS", least: 8, best: 9, gap: 2, cell: func(p *pen, r *record) { p.spans(passage(r)) },
			by: func(r *record) (float64, string) { return float64(len(r.Attempts)*1000 + r.Status), "" }},
		number("TOOK", 5, 1, func(r *record) float64 { return float64(r.TookMS) }, millis),
		number("WAITED", 6, 8, func(r *record) float64 { return float64(r.WaitedMS) }, millis),
		number("TOKENS", 6, 5, func(r *record) float64 { return float64(r.InputTokens + r.OutputTokens) }, compact),
		number("COST", 7, 9, func(r *record) float64 { return r.CostUSD }, cents),
		{head: "REQUEST", least: 14, best: 26, grow: 1, gap: 2, drop: 4, cell: func(p *pen, r *record) {
			if r.Model == "" || strings.Contains(r.Path, r.Model) {
				p.put(grey, r.Method+" ").put(plain, r.Path)
				return
			}
			p.put(plain, r.Model)
			if where := "  " + r.Method + " " + r.Path; cells(where) <= p.room() {
				p.put(grey, where)
			}
		}, by: func(r *record) (float64, string) { return 0, r.Model + r.Path }},
	}
}

// cents says the price of one request, which is small.
func cents(usd float64) string { return "$" + strconv.FormatFloat(usd, 'f', 4, 64) }

// whyRequest tells a request: each attempt with what was answered, why it was
// decided so, and what the client saw.
func (st *state) whyRequest(r *engine.RequestRecord) []para {
	k := outcomeLook(r)
	head := line(say(k.ink, k.glyph+" "), say(bold, strings.TrimSpace(r.Method+" "+r.Path)))
	paras := []para{head, line(say(grey, "came "+st.stamp(r.At)+", "+st.ago(r.At))), line()}
	add := func(label string, spans ...span) { paras = append(paras, fact(label, spans...)) }
	if r.Service != "" {
		add("service", say(plain, r.Service))
	}
	if r.From != "" {
		add("from", say(plain, r.From))
	}
	if r.Model != "" {
		add("model", say(plain, r.Model))
	}
	if r.WaitedMS > 0 {
		add("waited", say(plain, millis(float64(r.WaitedMS))), say(grey, " in line for a key"))
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		text := []span{{plain, st.named(a.Key)}, {grey, "  "}, {causeInk(a.Verdict) | bold, statusWord(a.Status)}, {causeInk(a.Verdict), " " + a.Verdict.Words()},
			{grey, " after " + millis(float64(a.TookMS))}}
		if a.Why != "" {
			text = append(text, span{grey, ": " + a.Why})
		}
		add("attempt "+strconv.Itoa(i+1), text...)
	}
	outcome := []span{{k.ink, r.Outcome}}
	if why := strings.TrimPrefix(r.Why, r.Outcome+": "); why != "" && !strings.HasSuffix(why, r.Outcome) {
		outcome = append(outcome, span{plain, ": " + why})
	}
	if r.Outcome == engine.OutcomeServed && len(r.Attempts) > 1 {
		outcome = append(outcome, span{grey, ": the client saw no error"})
	}
	if r.Outcome == engine.OutcomeFailed && r.Why == "" {
		outcome = append(outcome, span{grey, ": the client saw the failure"})
	}
	add("outcome", outcome...)
	took := []span{{plain, millis(float64(r.TookMS))}, {grey, " in all"}}
	if r.HeadMS > 0 {
		took = append(took, span{grey, ", first word after " + millis(float64(r.HeadMS))})
	}
	add("took", took...)
	if r.InputTokens+r.OutputTokens > 0 {
		add("tokens", say(plain, compact(float64(r.InputTokens))), say(grey, " in, "), say(plain, compact(float64(r.OutputTokens))), say(grey, " out"),
			say(plain, pick(r.CostUSD > 0, "   "+cents(r.CostUSD), "")))
	}
	add("next", say(plain, st.nextOf(r)))
	if r.ID != "" {
		add("id", say(grey, r.ID))
	}
	return paras
}

// nextOf says what comes of a request: for its client, and for the keys that
// failed it, as they are now.
func (st *state) nextOf(r *engine.RequestRecord) string {
	var parts []string
	for i := range r.Attempts {
		a := &r.Attempts[i]
		key := st.scene.keys[a.Key]
		if a.Verdict == engine.OK || a.Verdict == engine.ClientError || key == nil {
			continue
		}
		switch {
		case key.Usable():
			parts = append(parts, a.Key+" serves again")
		case key.Until != nil:
			parts = append(parts, a.Key+" is "+key.State.String()+", back in "+countdown(st.until(*key.Until)))
		default:
			parts = append(parts, a.Key+" is "+key.State.String())
		}
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, "; ")
	case r.Outcome == engine.OutcomeTurnedAway:
		return "the client must change what it sends; no key was touched"
	case r.Outcome == engine.OutcomeClientError:
		return "nothing: the request itself was wrong, no key is blamed"
	}
	return "nothing"
}

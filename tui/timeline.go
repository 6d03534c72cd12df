package tui

import (
	"strings"

	"keywheel/engine"
)

// drawTimeline draws what happened, the newest first, each with its cause.
func (st *state) drawTimeline(c *canvas, l *layout) {
	b := l.events
	if b.h <= 0 {
		return
	}
	note := "all services"
	if !st.filter.query.empty() {
		note = "as filtered"
	}
	in := frame{title: "Timeline", note: note, focused: st.focus == paneTimeline, open: l.small}.draw(c, b)
	c.zone(zone{b, zonePane, "2"})
	if len(st.timeline) == 0 {
		text := "Nothing has happened yet. Rotations, holds and what you do appear here."
		if !st.filter.query.empty() {
			text = "Nothing that happened matches the filter."
		}
		c.lines(box{in.x + 1, in.y, max(in.w-2, 0), in.h}, flow([]para{line(say(grey, text))}, in.w-2), 0)
		return
	}
	long := 6
	for i, n := range st.timeline {
		if i > 100 {
			break
		}
		long = max(long, cells(eventAbout(&st.events[n])))
	}
	long = min(long, 16)
	rows := make([]*engine.Event, len(st.timeline))
	for i, n := range st.timeline {
		rows[i] = &st.events[n]
	}
	t := table[*engine.Event]{rows: rows, id: eventName, selected: "", offset: st.offset[paneTimeline], zone: zoneEvent, bare: true, foot: !l.small,
		cols: []column[*engine.Event]{
			{least: 2, cell: func(p *pen, ev *engine.Event) {
				if st.focus == paneTimeline && ev.Seq == st.event {
					p.put(blue|bold, "▸ ")
				}
			}},
			{least: 8, cell: func(p *pen, ev *engine.Event) { p.put(grey, st.stamp(ev.At)) }},
			{least: 1, gap: 1, cell: func(p *pen, ev *engine.Event) {
				k := eventLook(ev)
				p.put(k.ink, k.glyph)
			}},
			{least: min(long, 8), best: long, gap: 1, drop: 1, cell: func(p *pen, ev *engine.Event) {
				p.put(pick(ev.Service == st.service && ev.Service != "", bold, plain), eventAbout(ev))
			}},
			{least: 8, grow: 1, gap: 2, cell: func(p *pen, ev *engine.Event) { p.spans(eventText(ev, false)) }},
		}}
	t.draw(c, in)
}

// eventAbout is what an event is about: a service, or a key for all it serves.
func eventAbout(ev *engine.Event) string {
	if ev.Service != "" {
		return ev.Service
	}
	return ev.Key
}

// eventText is an event in a line, with the key it is about, where that has not
// been said, and who did it.
func eventText(ev *engine.Event, named bool) []span {
	out := make([]span, 0, 4)
	text := ev.Text
	if ev.Service == "" {
		text = strings.TrimPrefix(text, ev.Key+": ")
	}
	if ev.Key != "" && (named || ev.Service != "") && !strings.Contains(text, ev.Key) {
		out = append(out, span{plain, ev.Key + "  "})
	}
	if change, cause, ok := strings.Cut(text, "  "); ok && ev.Kind == engine.EventRotation {
		out = append(out, span{plain, change}, span{grey, "  " + cause})
	} else {
		out = append(out, span{plain, text})
	}
	if ev.By != "" && ev.By != "engine" {
		out = append(out, span{blue, "  by " + ev.By})
	}
	return out
}

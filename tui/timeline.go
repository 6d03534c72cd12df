package tui

import (
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

// drawTimeline draws what happened, the newest first, each with its cause: as a
// pane of screen 1, or with headings as screen 3.
func (st *state) drawTimeline(c *canvas, l *layout) {
	b, ids := l.panes[paneTimeline], &st.lists[paneTimeline]
	if b.h <= 0 {
		return
	}
	title := "Timeline"
	note := pick(st.filter.query.empty(), "all services", "as filtered")
	if l.headed {
		title += " " + grouped(len(st.timeline))
		note = st.pastNote(ids.order("newest first"))
	}
	in := frame{title: title, note: note, focused: st.focus == paneTimeline, open: l.small}.draw(c, b)
	c.zone(zone{b, zonePane, paneTimeline, ""})
	if len(st.timeline) == 0 {
		text := "Nothing has happened yet. Rotations, holds and what you do appear here."
		if len(st.events) > 0 {
			text = "Nothing that happened matches: esc clears the filter, + widens the time."
		}
		c.lines(box{in.x + 1, in.y, max(in.w-2, 0), in.h}, flow([]para{line(say(grey, text))}, in.w-2), 0)
		return
	}
	t := table[*engine.Event]{cols: st.eventColumns(), rows: st.timeline, id: eventName, selected: ids.chosen, sorted: ids.column,
		offset: ids.offset, pane: paneTimeline, bare: !l.headed, foot: !l.small}
	t.draw(c, in)
}

// pastNote is a pane's note with the span of time that it is confined to.
func (st *state) pastNote(note string) string {
	if d := windows[st.window]; d > 0 {
		return "last " + span1(d) + " · " + note
	}
	return note
}

// span1 says a window in one unit: "15m", "6h".
func span1(d time.Duration) string {
	if d < time.Hour {
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return strconv.Itoa(int(d/time.Hour)) + "h"
}

func (st *state) eventColumns() []column[*engine.Event] {
	long := 6
	for i, ev := range st.timeline {
		if i > 100 {
			break
		}
		long = max(long, cells(eventAbout(ev)))
	}
	long = min(long, 16)
	return []column[*engine.Event]{
		{least: 2, cell: func(p *pen, ev *engine.Event) {
			if st.focus == paneTimeline && eventName(ev) == st.lists[paneTimeline].chosen {
				p.put(blue|bold, "▸ ")
			}
		}},
		{head: "TIME", least: 8, cell: func(p *pen, ev *engine.Event) { p.put(grey, st.stamp(ev.At)) },
			by: func(ev *engine.Event) (float64, string) { return float64(ev.Seq), "" }},
		{least: 1, gap: 1, cell: func(p *pen, ev *engine.Event) {
			k := eventLook(ev)
			p.put(k.ink, k.glyph)
		}},
		{head: "ABOUT", least: min(long, 8), best: long, gap: 1, drop: 1, cell: func(p *pen, ev *engine.Event) {
			p.put(pick(ev.Service == st.service() && ev.Service != "", bold, plain), eventAbout(ev))
		}, by: func(ev *engine.Event) (float64, string) { return 0, eventAbout(ev) }},
		{head: "WHAT", least: 8, grow: 1, gap: 2, cell: func(p *pen, ev *engine.Event) { p.spans(eventText(ev, false)) },
			by: func(ev *engine.Event) (float64, string) { return 0, string(ev.Kind) }},
	}
}

// drawTimelineScreen draws screen 3: what happened, and why.
func drawTimelineScreen(st *state, c *canvas, l *layout) {
	st.drawTimeline(c, l)
	st.drawDetail(c, l)
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

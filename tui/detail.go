package tui

import "slices"

// drawDetail draws all about the selection, beside its list.
func (st *state) drawDetail(c *canvas, l *layout) {
	b := l.why
	title := st.detailTitle()
	if b.h <= 0 || title == "" {
		return
	}
	in := frame{title: title, note: pick(hasSelection(st), "w in full", "")}.draw(c, b)
	in.x, in.w = in.x+1, max(in.w-2, 0)
	c.story(in, flow(st.detail(), in.w))
}

// story writes as much of a story as there is room for; empty lines go first.
func (c *canvas) story(in box, list [][]span) {
	if len(list) > in.h {
		list = slices.DeleteFunc(slices.Clone(list), func(l []span) bool { return width(l) == 0 })
	}
	n := c.lines(in, list, 0)
	if n < len(list) && n > 1 {
		c.clear(box{in.x, in.y + n - 1, in.w, 1})
		c.pen(in, n-1).put(grey, "… ").put(bold, "w").put(grey, " shows all of it")
	}
}

// detailTitle is the title of the pane beside a list, "" where there is nothing
// to tell.
func (st *state) detailTitle() string {
	if st.scene == nil {
		return ""
	}
	switch st.screen {
	case screenKeys:
		if k := st.selectedKey(); k != nil {
			return "Key " + k.Name
		}
	case screenTimeline:
		if st.selectedEvent() != nil {
			return "Why"
		}
	case screenTraffic:
		if len(st.requests) > 0 {
			return pick(st.selectedRequest() != nil, "Why this request", "The last that was not plain")
		}
	}
	return ""
}

func (st *state) detail() []para {
	switch st.screen {
	case screenKeys:
		return st.keyStory(st.selectedKey())
	case screenTimeline:
		return st.whyEvent(st.selectedEvent())
	case screenTraffic:
		if r := st.toldRequest(); r != nil {
			return st.whyRequest(r)
		}
		return []para{line(say(grey, "Each of these requests was served by the first key it was sent with.")), line(),
			line(say(bold, "j"), say(grey, " selects a request; "), say(bold, "f"), say(grey, " stops the list."))}
	}
	return nil
}

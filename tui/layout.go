package tui

// layout says where each part of the screen is. A part without height is not
// shown; its room went to the others.
type layout struct {
	tiny    bool // only troubles in one line each
	small   bool // one pane, no borders
	wide    bool // more than two panes
	headed  bool // the timeline has headings
	header  box
	status  box
	banner  box
	footer  box
	panes   [panes]box // those that list something
	chart   box
	recent  box // the last requests that were not plain
	why     box // all about the selection
	banners [][]span
}

// The sizes at which the layout changes.
const (
	tinyWidth, tinyHeight   = 30, 8
	smallWidth, smallHeight = 60, 16
	wideWidth               = 110
	hugeWidth, hugeHeight   = 170, 30
)

// listHeight is how high the pane of the services would like to be. A filter
// does not change it: panes that jump while one types are not calm.
func (st *state) listHeight() int {
	if st.scene == nil {
		return 4
	}
	return max(len(st.scene.services), 1) + 3
}

// layout arranges the panes for the terminal's size and what there is to show.
func (st *state) layout() layout {
	l := layout{headed: st.screen == screenTimeline}
	if st.w < tinyWidth || st.h < tinyHeight {
		l.tiny = true
		return l
	}
	l.small = st.w < smallWidth || st.h < smallHeight
	l.header = box{0, 0, st.w, 1}
	l.status = box{0, 1, st.w, 1}
	l.footer = box{0, st.h - 1, st.w, 1}
	l.banners = st.banners(max(st.w-2, 1))
	most := max(st.h/5, 2)
	if l.small {
		most = max(st.h-l.header.h-l.status.h-5, 1)
	}
	n := min(len(l.banners), most)
	l.banner = box{1, 2, st.w - 2, n}
	body := box{0, 2 + n, st.w, st.h - 3 - n}
	if l.small || st.zoomed {
		l.panes[st.focus] = body
		l.wide = !l.small
	} else {
		screens[st.screen].layout(&l, st, body)
	}
	return l
}

// services lays screen 1 out: what is burning, and all about the selection.
func (l *layout) services(st *state, b box) {
	switch {
	case st.w < wideWidth:
		l.two(st, b)
	case st.w >= hugeWidth && st.h >= hugeHeight:
		l.huge(st, b)
	default:
		l.many(st, b)
	}
}

// beside lays a screen out that is one list, with all about its selection
// beside it, or below it where the terminal is narrow.
func beside(id paneID) func(*layout, *state, box) {
	return func(l *layout, st *state, b box) {
		l.wide = true
		l.panes[id] = b
		if st.detailTitle() == "" {
			return
		}
		switch {
		case st.w >= wideWidth:
			w := max(b.w/3, 44)
			l.panes[id].w -= w
			l.why = box{b.x + b.w - w, b.y, w, b.h}
		case b.h >= 15:
			h := min(max(b.h*9/20, 8), 18)
			l.panes[id].h -= h
			l.why = box{b.x, b.y + b.h - h, b.w, h}
		}
	}
}

// two shows the services over the detail of the selected one.
func (l *layout) two(st *state, b box) {
	h := min(st.listHeight(), max(b.h*11/20, 6))
	h = min(h, b.h-5)
	l.panes[paneServices] = box{b.x, b.y, b.w, h}
	rest := box{b.x, b.y + h, b.w, b.h - h}
	if st.focus == paneTimeline {
		l.panes[paneTimeline] = rest
		return
	}
	l.panes[paneKeys] = rest
	// Keys that need little room leave the rest to the timeline.
	if want := max(len(st.keys), 2) + 3 + l.heading(st); want+5 <= rest.h {
		l.panes[paneKeys].h = want
		l.panes[paneTimeline] = box{b.x, rest.y + want, b.w, rest.h - want}
	}
}

// heading is how many lines stand above the keys in their pane.
func (l *layout) heading(st *state) int {
	if st.scene == nil || st.selected() == nil || l.wide {
		return 0
	}
	return len(st.keysHeading(max(st.w-4, 1)))
}

// many shows the services over keys, timeline, chart and why.
func (l *layout) many(st *state, b box) {
	l.wide = true
	h := min(st.listHeight(), max(b.h*9/20, 6))
	l.panes[paneServices] = box{b.x, b.y, b.w, h}
	b = box{b.x, b.y + h, b.w, b.h - h}
	left := b.w * 3 / 5
	right := box{b.x + left, b.y, b.w - left, b.h}
	col := box{b.x, b.y, left, b.h}
	if b.h < 10 {
		l.panes[paneKeys], l.panes[paneTimeline] = col, right
		if st.focus != paneTimeline && b.h >= 6 {
			l.panes[paneTimeline], l.why = box{}, right
		}
		return
	}
	l.split(st, col, right)
}

// huge has all about the selection at the left, all that happened at the right.
func (l *layout) huge(st *state, b box) {
	l.wide = true
	left := b.w * 3 / 5
	right := box{b.x + left, b.y, b.w - left, b.h}
	// Requests that were not plain get some of the timeline's room.
	if n := len(st.notPlain(recentMost)); n > 0 {
		l.recent = box{right.x, right.y + right.h - n - 3, right.w, n + 3}
		right.h -= l.recent.h
	}
	l.panes[paneTimeline] = right
	list := min(st.listHeight(), max(b.h*9/20, 6))
	l.panes[paneServices] = box{b.x, b.y, left, list}
	y, rest := b.y+list, b.h-list
	least := min(max(len(st.keys), 1), 4) + 3
	why := min(st.whyHeight(left-4), rest-least)
	chart := min(st.chartHeight(left-2), rest-least-why)
	if chart < chartLeast {
		chart = 0
	}
	keys := rest - why - chart
	if want := max(len(st.keys), 1) + 3; keys > want {
		// Nothing else wants the room: why can tell all it knows.
		if whole, tight := st.wholeWhy(left - 4); keys-want >= tight-why {
			more := min(keys-want, max(whole-why, 0))
			why, keys = why+more, keys-more
		}
		if more := min(keys-want, st.h/3-chart); chart > 0 && more > 0 {
			chart, keys = chart+more, keys-more
		}
	}
	l.panes[paneKeys] = box{b.x, y, left, keys}
	l.why = box{b.x, y + keys, left, why}
	l.chart = box{b.x, y + keys + why, left, chart}
}

// recentMost is how many requests stand beside the services at most.
const recentMost = 12

// split shares two columns among keys and timeline, chart and why.
func (l *layout) split(st *state, col, right box) {
	keys := min(max(len(st.keys), 1)+3, max(col.h/2, 5))
	if st.focus == paneKeys {
		keys = min(max(len(st.keys), 1)+3, max(col.h-6, 5))
	}
	l.panes[paneKeys] = box{col.x, col.y, col.w, keys}
	l.panes[paneTimeline] = box{col.x, col.y + keys, col.w, col.h - keys}
	why := min(st.whyHeight(right.w-4), max(right.h/2, 9)) // words before pictures
	chart := min(st.chartHeight(right.w-2), right.h-why)
	if chart < chartLeast {
		chart = 0
	}
	l.chart = box{right.x, right.y, right.w, chart}
	l.why = box{right.x, right.y + chart, right.w, right.h - chart}
}

// rows is how many rows of a list are visible.
func (l *layout) rows(id paneID) int {
	lost := 3
	if l.small {
		lost = 2
	}
	if id == paneTimeline && !l.headed {
		lost--
	}
	return max(l.panes[id].h-lost, 1)
}

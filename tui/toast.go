package tui

import "time"

// toast is what an action answered, for a few seconds at the foot of the
// screen.
type toast struct {
	text  string
	err   bool
	undo  bool
	waits bool // for an answer
	until time.Time
}

const (
	toastTime = 6 * time.Second
	errorTime = 10 * time.Second
	waitTime  = 20 * time.Second
)

func (t toast) shown(now time.Time) bool { return t.text != "" && now.Before(t.until) }

// draw lays the toast over the line above the footer, or several if it is long.
func (t toast) draw(st *state, c *canvas) {
	if !t.shown(st.now) || st.h < 2 || st.w < 4 {
		return
	}
	spans := []span{{green | bold, "✓ "}, {bold, t.text}}
	if t.waits {
		spans = []span{{yellow, "◔ "}, {plain, t.text}}
	}
	if t.err {
		spans = []span{{red | bold, "✗ "}, {red | bold, t.text}}
	}
	if t.undo {
		spans = append(spans, span{plain, "   u"}, span{grey, " undo"})
	}
	room := max(min(st.w-4, 110), 1)
	list := wrap(spans, room)
	list = list[:min(len(list), max(st.h-1, 1), 4)]
	wide := 0
	for _, l := range list {
		wide = max(wide, width(l))
	}
	b := box{min(2, st.w-1), max(st.h-1-len(list), 0), min(wide+2, st.w-2), len(list)}
	c.clear(b)
	b.x++
	b.w--
	c.lines(b, list, 0)
}

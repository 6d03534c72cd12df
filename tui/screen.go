package tui

// The screens, by their place in screens.
const (
	screenServices = iota
	screenKeys
	screenTimeline
	screenTraffic
	screenSystem
	screenCount
)

// screen is one of the five pages a person can look at.
type screen struct {
	name string
	// panes are those that can have the keyboard, the first has it at first.
	panes []paneID
	// layout shares the room between header and footer among its parts.
	layout func(l *layout, st *state, b box)
	draw   func(st *state, c *canvas, l *layout)
}

// screens are in the order of their numbers. A further screen is a file of its
// own and a line here.
var screens = [screenCount]screen{
	{"Services", []paneID{paneServices, paneKeys, paneTimeline}, (*layout).services, drawServicesScreen},
	{"Keys", []paneID{paneAll}, beside(paneAll), drawKeysScreen},
	{"Timeline", []paneID{paneTimeline}, beside(paneTimeline), drawTimelineScreen},
	{"Traffic", []paneID{paneTraffic}, beside(paneTraffic), drawTrafficScreen},
	{"System", []paneID{paneSystem}, beside(paneSystem), drawSystemScreen},
}

// draw draws the whole frame.
func (st *state) draw() *canvas {
	c := newCanvas(max(st.w, 0), max(st.h, 0), st.ascii)
	if st.w <= 0 || st.h <= 0 {
		return c
	}
	l := st.layout()
	if l.tiny {
		st.drawTiny(c)
	} else {
		st.drawHeader(c, l.header)
		st.drawStatus(c, l.status)
		c.lines(l.banner, l.banners, 0)
		body := box{0, l.banner.y + l.banner.h, st.w, st.h - l.banner.y - l.banner.h - 1}
		if st.scene == nil {
			b := box{2, body.y + 1, max(st.w-4, 0), max(body.h-2, 0)}
			c.lines(b, flow([]para{line(say(grey, "Waiting for the engine's first word."))}, b.w), 0)
		} else {
			screens[st.screen].draw(st, c, &l)
			if _, old := st.stale(); old {
				c.fade(body)
			}
		}
		st.drawFooter(c, l.footer)
	}
	if n := len(st.dialogs); n > 0 {
		c.fade(c.bounds())
		c.zones = c.zones[:0]
		st.dialogs[n-1].draw(st, c)
	}
	st.toast.draw(st, c)
	return c
}

// view is the frame as the terminal gets it.
func (st *state) view() string { return st.draw().render(st.colour) }

// drawTiny draws what fits where nothing fits: a line for each service that
// needs a person.
func (st *state) drawTiny(c *canvas) {
	y := 0
	if st.scene == nil {
		c.put(0, 0, st.w, grey, "waiting for the engine")
		return
	}
	fine := true
	for _, name := range st.order() {
		s := st.scene.byName[name]
		if s == nil || !s.rank.needsYou() {
			continue
		}
		fine = false
		if y >= max(st.h-1, 1) {
			break
		}
		k := s.look()
		p := c.pen(box{0, y, st.w, 1}, 0).put(k.ink, k.glyph+" ").put(bold, s.Name+" ")
		p.put(k.ink, s.rank.String())
		if s.rank == rankDown && s.FirstBack != nil {
			p.put(plain, " back "+countdown(st.until(*s.FirstBack)))
		}
		c.zone(zone{box{0, y, st.w, 1}, zoneRow, paneServices, name})
		y++
	}
	if fine {
		c.put(0, 0, st.w, green, "● "+plural(len(st.scene.services), "service")+" ok")
		y = 1
	}
	if y < st.h {
		p := c.pen(box{0, st.h - 1, st.w, 1}, 0).put(bold, "?").put(grey, " help")
		if st.scene.snap.Proxy.PerS > 0 && p.room() > 12 {
			p.right(grey, compact(st.scene.snap.Proxy.PerS)+" req/s")
		}
	}
}

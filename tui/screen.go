package tui

// screen draws what is between the header and the footer. A further screen is
// a file of its own and a line in screens.
type screen func(st *state, c *canvas, l *layout)

// screens lists the screens in the order of their numbers.
var screens = []screen{drawServicesScreen}

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
		screens[0](st, c, &l)
		st.drawFooter(c, l.footer)
		if st.scene != nil {
			if _, old := st.scene.old(st.now); old {
				c.fade(box{0, l.banner.y + l.banner.h, st.w, st.h - l.banner.y - l.banner.h - 1})
			}
		}
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
	for _, name := range st.rows {
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
		c.zone(zone{box{0, y, st.w, 1}, zoneService, name})
		y++
	}
	if fine {
		c.put(0, 0, st.w, green, "● "+plural(len(st.rows), "service")+" ok")
		y = 1
	}
	if y < st.h {
		p := c.pen(box{0, st.h - 1, st.w, 1}, 0).put(bold, "?").put(grey, " help")
		if st.scene.snap.Proxy.PerS > 0 && p.room() > 12 {
			p.right(grey, compact(st.scene.snap.Proxy.PerS)+" req/s")
		}
	}
}

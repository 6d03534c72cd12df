package tui

// drawServicesScreen draws screen 1: what is burning?
func drawServicesScreen(st *state, c *canvas, l *layout) {
	if len(st.scene.services) == 0 {
		st.drawNoServices(c, l)
		return
	}
	st.drawServices(c, l)
	st.drawKeys(c, l)
	st.drawTimeline(c, l)
	st.drawChart(c, l)
	st.drawWhy(c, l)
	st.drawRecent(c, l)
}

// drawNoServices says how to begin.
func (st *state) drawNoServices(c *canvas, l *layout) {
	y := l.banner.y + l.banner.h
	b := box{2, y + 1, max(st.w-4, 0), max(st.h-y-3, 0)}
	paras := noServices
	if sys := st.scene.system; sys != nil && sys.Config != "" {
		paras = append(paras[:len(paras):len(paras)], line(say(grey, "The file in force is "), say(bold, sys.Config)))
	}
	c.lines(b, flow(paras, b.w), 0)
}

// noServices is what an empty config is answered with.
var noServices = []para{
	line(say(bold, "No services yet.")),
	line(say(grey, "A service is one consumer of keys. This in keywheel.toml makes one:")),
	line(),
	line(say(plain, "[keys.main]")),
	line(say(plain, `provider = "openai"`)),
	line(say(plain, `secret   = "env:OPENAI_API_KEY"`)),
	line(say(plain, "[services.chat]")),
	line(say(plain, `keys     = ["main"]`)),
	line(),
	line(say(grey, "The file is read again when it changes. "), say(bold, "keywheel init"), say(grey, " asks and writes it for you.")),
}

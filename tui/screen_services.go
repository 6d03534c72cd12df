package tui

// drawServicesScreen draws screen 1: what is burning?
func drawServicesScreen(st *state, c *canvas, l *layout) {
	if st.scene == nil {
		b := box{2, l.banner.y + 1, max(st.w-4, 0), max(st.h-l.banner.y-3, 0)}
		c.lines(b, flow([]para{line(say(grey, "Waiting for the engine's first word."))}, b.w), 0)
		return
	}
	if len(st.scene.services) == 0 {
		b := box{2, l.banner.y + 1, max(st.w-4, 0), max(st.h-l.banner.y-3, 0)}
		c.lines(b, flow(noServices, b.w), 0)
		return
	}
	st.drawServices(c, l)
	st.drawKeys(c, l)
	st.drawTimeline(c, l)
	st.drawChart(c, l)
	st.drawWhy(c, l)
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

package tui

// drawFooter draws the keys that mean something now, as many as fit.
func (st *state) drawFooter(c *canvas, b box) {
	p := c.pen(b, 0)
	p.gap(1)
	const help = "? help"
	end := p.end - 1 - len(help)
	p.end = end - 2
	if st.filter.typing {
		p.put(plain, "type to filter").put(grey, "   word · state:cooling · quota<20 · runway<1h · !word").gap(3).
			put(bold, "↵").put(grey, " keep").gap(2).put(bold, "esc").put(grey, " clear")
		return
	}
	for i := range actions {
		a := &actions[i]
		key := a.hintKey()
		n := cells(key) + 1 + cells(a.hint)
		if a.hint == "" || n > p.room() || !a.applies(st) {
			continue
		}
		x := p.x
		p.put(bold, key).put(grey, " "+a.hint)
		c.zone(zone{box{x, b.y, n, 1}, zoneHint, 0, a.keys[0]})
		p.gap(2)
	}
	p.end = b.x + b.w
	p.x = max(end, p.x)
	p.put(bold, "?").put(grey, " help")
	c.zone(zone{box{end, b.y, len(help), 1}, zoneHint, 0, "?"})
}

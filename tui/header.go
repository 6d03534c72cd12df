package tui

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// drawHeader draws the first line: what is true of the whole. What does not
// fit is left out, the least important first.
func (st *state) drawHeader(c *canvas, b box) {
	p := c.pen(b, 0)
	name := st.title
	if name == "" {
		name = "KEYWHEEL"
	}
	p.gap(1).put(reverse|blue|bold, " "+name+" ")
	if !st.colour {
		p.x -= 1
	}
	p.gap(1)
	live, liveInk := "live ", grey
	clock := st.now.In(st.zone).Format("15:04:05")
	if st.w >= 130 {
		clock += " " + st.now.In(st.zone).Format("MST")
	}
	if st.scene == nil {
		right := c.pen(b, 0)
		right.end--
		right.x = p.x
		right.right(grey, "connecting  "+clock)
		return
	}
	sc := st.scene
	if age, old := sc.old(st.now); old {
		live, liveInk = "no news for "+short(age)+" ", red|bold
	}
	limit := p.end - 1 - cells(live) - cells(clock)
	p.put(st.dot(), "●").gap(1)
	px := &sc.snap.Proxy
	failed := pick(px.Failures > 0, red, plain)
	// Each group in the words it would like, and in fewer.
	groups := [][2][]span{
		{{{plain, px.Listen}}},
		{{{plain, perSecond(px.PerS)}, {grey, " req/s"}}},
		{{{grey, "clients "}, {failed, grouped(px.Failures) + " err"}, {grey, " · absorbed "}, {plain, grouped(px.Absorbed)}},
			{{failed, compact(float64(px.Failures)) + " err"}}},
		{{{grey, "p95 "}, {plain, millis(px.P95MS)}}},
		{{{grey, " "}, {plain, strconv.Itoa(len(sc.services))}, {grey, " services · "}, {plain, grouped(len(sc.snap.Keys))},
			{grey, " keys · "}, {plain, grouped(sc.usable)}, {grey, " usable"}},
			{{grey, " keys "}, {plain, grouped(sc.usable) + "/" + grouped(len(sc.snap.Keys))}, {grey, " usable"}}},
		{{{grey, " in flight "}, {plain, grouped(px.InFlight)}}},
	}
	if px.P95MS == 0 {
		groups[3] = [2][]span{}
	}
	begin := p.x
	for _, g := range groups {
		gap := pick(p.x == begin, 0, 2)
		for _, words := range g {
			if len(words) > 0 && p.x+gap+width(words) <= limit-2 {
				p.gap(gap).spans(words)
				break
			}
		}
	}
	if p.x < limit {
		p.x = limit
		p.put(liveInk, live).put(bold, clock)
	} else if w := cells(clock); p.x < p.end-1-w {
		p.x = p.end - 1 - w
		p.put(bold, clock)
	}
}

// dot is the colour of the whole: is there anything that needs a person?
func (st *state) dot() ink {
	worst := rankFine
	for i := range st.scene.services {
		worst = min(worst, st.scene.services[i].rank)
	}
	switch {
	case worst == rankDown || worst == rankIncident:
		return red
	case worst.needsYou():
		return amber
	default:
		return green
	}
}

func perSecond(v float64) string {
	if v > 0 && v < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return compact(math.Round(v))
}

// drawStatus draws the second line: the filter where there is one, who needs a
// person, and on the right what is not as usual (a notice, pins).
func (st *state) drawStatus(c *canvas, b box) {
	p := c.pen(b, 0)
	p.gap(1)
	p.end--
	if st.scene == nil {
		p.put(grey, st.notice)
		return
	}
	right := st.oddities()
	if f := &st.filter; f.typing || !f.query.empty() || f.err != nil {
		p.put(blue|bold, "/ ")
		if f.typing {
			p.spans(f.input.spans(plain))
		} else {
			p.put(plain, f.input.String())
		}
		if f.err != nil {
			p.put(red, "  "+f.err.Error())
			return
		}
		if len(st.rows) == 0 {
			p.put(amber, "  nothing matches")
		}
		p.put(grey, "  "+strconv.Itoa(len(st.rows))+" of "+strconv.Itoa(len(st.scene.services)))
		if f.typing {
			p.put(grey, "  ↵ keep  esc clear")
		} else {
			p.put(grey, "  esc clears")
		}
	} else {
		// What is unusual keeps a few cells; the names of who needs a person
		// have the rest.
		p.spans(st.needs(p.room() - min(width(right), 14) - 2))
	}
	if w := min(width(right), p.room()-2); w > 8 {
		p.x = p.end - w
		p.spans(right)
	}
}

// needs lists who needs a person, as many names as fit.
func (st *state) needs(room int) []span {
	if _, old := st.scene.old(st.now); old {
		return []span{{grey, "as of " + st.scene.snap.At.In(st.zone).Format("15:04:05")}}
	}
	var names []string
	for _, name := range st.order() {
		if s := st.scene.byName[name]; s != nil && s.rank.needsYou() {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		if st.scene.snap.Proxy.Requests == 0 {
			return []span{{grey, "nothing needs you"}}
		}
		return []span{{green, "✓ "}, {grey, "nothing needs you"}}
	}
	verb := " need you: "
	if len(names) == 1 {
		verb = " needs you: "
	}
	head := "▲ " + strconv.Itoa(len(names)) + verb
	out := []span{{st.dot() | bold, head}}
	used := cells(head)
	for i, n := range names {
		more := len(names) - i
		if used+cells(n)+5 > room && i > 0 {
			return append(out, span{grey, "+" + strconv.Itoa(more)})
		}
		out = append(out, span{st.scene.byName[n].look().ink &^ bold, n + " "})
		used += cells(n) + 1
	}
	return out
}

// order lists the services that are in the snapshot: those shown, then those
// that the filter hides.
func (st *state) order() []string {
	if st.filter.query.empty() {
		return st.rows
	}
	names := slices.Clone(st.rows)
	for i := range st.scene.services {
		if n := st.scene.services[i].Name; !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// oddities are what a person should not forget: pins that count down, and the
// notice of whoever started the monitor.
func (st *state) oddities() []span {
	var out []span
	for i := range st.scene.services {
		s := &st.scene.services[i]
		if s.Pinned == "" {
			continue
		}
		if len(out) > 0 {
			out = append(out, span{grey, " +more"})
			break
		}
		text := "◆ " + s.Name + " pinned to " + s.Pinned
		if s.PinnedUntil != nil {
			text += " " + short(st.until(*s.PinnedUntil))
		}
		out = append(out, span{blue, text})
	}
	if st.notice != "" {
		if len(out) > 0 {
			out = append(out, span{plain, "   "})
		}
		out = append(out, span{cyan, strings.TrimSpace(st.notice)})
	}
	return out
}

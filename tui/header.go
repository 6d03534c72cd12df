package tui

import (
	"math"
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
	if word, _, _ := strings.Cut(strings.TrimSpace(st.notice), " "); word != "" {
		p.gap(1).put(cyan|bold, word) // what is not real must never look real
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
	if age, old := st.stale(); old {
		live, liveInk = "no news for "+short(age)+" ", red|bold
	} else if st.frozen != nil {
		live, liveInk = "frozen ", amber|bold
		clock = st.frozen.at.In(st.zone).Format("15:04:05")
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

// drawStatus draws the second line: the screens, or the filter where there is
// one; who needs a person; and what is not as usual (pins, a notice).
func (st *state) drawStatus(c *canvas, b box) {
	p := c.pen(b, 0)
	p.gap(1)
	p.end--
	if f := &st.filter; f.typing || !f.query.empty() || f.err != nil {
		st.drawFilter(p)
		return
	}
	st.drawTabs(c, p)
	if st.scene == nil {
		return
	}
	// Who needs a person stands at the right, with as many names as there is
	// room for; what is unusual comes before it if it fits.
	room := p.room() - 2
	needs := st.needs(room)
	odd := st.oddities()
	if w := width(odd); w > 0 && w+3+width(needs) <= room {
		needs = append(append(odd, span{plain, "   "}), needs...)
	} else if len(odd) > 0 && width(odd[:1])+3+width(needs) <= room {
		needs = append([]span{odd[0], {plain, "   "}}, needs...)
	}
	if w := width(needs); w <= room {
		p.x = p.end - w
		p.spans(needs)
	} else if room > 12 {
		p.gap(2).spans(needs)
	}
}

// drawTabs names the screens; the current one is bold and underlined, in
// brackets where there is no colour. Narrow terminals name it alone.
func (st *state) drawTabs(c *canvas, p *pen) {
	const all = 50
	for i := range screens {
		name := screens[i].name
		here := i == st.screen
		if p.room() < all && st.w < smallWidth && !here {
			name = ""
		}
		if st.colour || st.w < smallWidth {
			name = strings.TrimSpace(strconv.Itoa(i+1) + " " + name)
		} else {
			name = pick(here, "[", "") + strconv.Itoa(i+1) + " " + name + pick(here, "]", "")
		}
		if i > 0 {
			p.gap(pick(st.w < smallWidth, 1, 2))
		}
		x := p.x
		p.put(pick(here, bold|underline, grey), name)
		c.zone(zone{box{x, p.y, p.x - x, 1}, zoneHint, 0, strconv.Itoa(i + 1)})
	}
}

// drawFilter draws the filter being typed, or in force.
func (st *state) drawFilter(p *pen) {
	f := &st.filter
	p.put(grey, screens[st.screen].name+" ").put(blue|bold, "/ ")
	if f.typing {
		p.spans(f.input.spans(plain))
	} else {
		p.put(plain, f.input.String())
	}
	if f.err != nil {
		p.put(red, "  "+f.err.Error())
		return
	}
	n, of := st.matches()
	if n == 0 {
		p.put(amber, "  nothing matches")
	}
	p.put(grey, "  "+grouped(n)+" of "+grouped(of))
	if f.typing {
		p.put(grey, "  ↵ keep  esc clear")
	} else {
		p.put(grey, "  esc clears")
	}
}

// matches counts what the filter lets through, and of how many.
func (st *state) matches() (n, of int) {
	if st.scene == nil {
		return 0, 0
	}
	switch st.screen {
	case screenKeys:
		return st.allShown, st.allOf
	case screenTimeline:
		return len(st.timeline), len(st.events)
	case screenTraffic:
		return len(st.traffic), len(st.requests)
	}
	return len(st.lists[paneServices].ids), len(st.scene.services)
}

// needs lists who needs a person, as many names as fit.
func (st *state) needs(room int) []span {
	if age, old := st.stale(); old || st.frozen != nil {
		if !old {
			return []span{{amber | bold, "frozen "}, {amber, short(age)}, {bold, "  f"}, {grey, " follows"}}
		}
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
	if more := pick(len(names) > 1, len(" +99"), 0); cells(head)+cells(names[0])+more > room {
		return []span{{st.dot() | bold, strings.TrimSuffix(head, ": ")}}
	}
	out := []span{{st.dot() | bold, head}}
	used := cells(head)
	for i, n := range names {
		more := len(names) - i
		if used+cells(n)+5 > room && i > 0 {
			return append(out, span{grey, "+" + strconv.Itoa(more)})
		}
		out = append(out, span{st.scene.byName[n].look().ink &^ bold, n + pick(more > 1, " ", "")})
		used += cells(n) + 1
	}
	return out
}

// order lists the services, those that need a person first.
func (st *state) order() []string { return st.byNeed }

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
			out[0].s += " +more"
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

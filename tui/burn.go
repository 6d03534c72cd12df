package tui

import (
	"time"

	"keywheel/tui/chart"
)

// runway says in words how long a service lasts: its key in use, where one is,
// and all its keys together.
func (st *state) runway(s *service) []para {
	var paras []para
	if q := s.burning; s.burner != "" && q.known && q.remaining > 0 && (q.short || q.resets.IsZero() && q.runway < 7*24*time.Hour) {
		paras = append(paras, st.runsOut(s.burner, "", q, st.nextKey(s)))
	}
	q := s.pool
	if q == nil {
		return paras
	}
	on := " on " + plural(q.keys, "key")
	if s.Pinned != "" {
		on = " on " + s.Pinned + ", its pin"
	}
	switch {
	case q.remaining <= 0 && !q.open:
		p := line(say(red, "◌ "+s.Name+" has nothing left"), say(grey, on))
		if !q.resets.IsZero() {
			p.spans = append(p.spans, span{grey, ", resets " + st.at(q.resets)})
		}
		paras = append(paras, p)
	case q.short && lasting(q.per):
		paras = append(paras, st.runsOut(s.Name, on, q, ""))
	default:
		text := []span{{quotaInk(q.fraction()), percent(q.fraction())}, {grey, " left " + ofLimit(q.amount, q.unit, q.per, q.source) + on}}
		switch {
		case q.known && q.resets.IsZero() && q.remaining > 0:
			text = append(text, span{grey, ": about "}, span{plain, short(q.runway)})
		case q.known && !q.resets.IsZero():
			text = append(text, span{grey, ": lasts past its reset at " + st.at(q.resets)})
		case !q.resets.IsZero():
			text = append(text, span{grey, ", resets " + st.at(q.resets)})
		}
		if n := s.Usable - q.keys; q.open && n > 0 && s.Pinned == "" {
			text = append(text, span{grey, "; " + plural(n, "other") + pick(n == 1, " has", " have") + " no such limit"})
		}
		if s.oneAccount {
			text = append(text, span{yellow, "  " + plural(len(s.keys), "key") + ", 1 account: not isolated"})
		}
		paras = append(paras, line(text...))
	}
	return paras
}

// runsOut says what runs out, when, and by how much too early.
func (st *state) runsOut(name, on string, q *pool, next string) para {
	p := line(say(amber, "▼ "+name), say(plain, " runs out"+on+" in "), say(amber|bold, short(q.runway)),
		say(plain, " at "+st.at(st.now.Add(q.runway))))
	if !q.resets.IsZero() {
		p.spans = append(p.spans, span{grey, ", resets " + st.at(q.resets)})
		if early := q.resets.Sub(st.now.Add(q.runway)); early > 0 {
			p.spans = append(p.spans, span{grey, ": short by " + short(early)})
		}
	}
	if next != "" {
		p.spans = append(p.spans, span{grey, ". Next: "}, span{plain, next})
	}
	return p
}

// nextKey is who would follow the key in use, as far as the snapshot tells.
func (st *state) nextKey(s *service) string {
	for _, lower := range []bool{false, true} {
		for _, k := range s.keys {
			if k.Name == s.KeyInUse || !k.Usable() || s.fallback[k.Name] != lower {
				continue
			}
			if q := ofKey(k, st.now); q != nil {
				return k.Name + " (" + percent(q.fraction()) + ")"
			}
			return k.Name
		}
	}
	return "none usable"
}

// chartMost is how high a chart becomes at most, without its sentences.
const chartMost = 14

// chartLeast is the least height of the pane with a chart.
const chartLeast = 7

// chartHeight is how high the pane with the chart would like to be; 0 where a
// chart has nothing to tell.
func (st *state) chartHeight(room int) int {
	s := st.selected()
	if s == nil || s.burning == nil || !lasting(s.burning.per) || s.rank == rankDown {
		return 0
	}
	if st.traces[s.Name] == nil || !s.burning.known || s.burning.burn <= 0 {
		return 0
	}
	return min(st.h/3, chartMost+2+len(st.chartWords(s, max(room-2, 1))))
}

// chartWords says above the chart what it shows: as many whole sentences as fit
// in three lines, the first in any case.
func (st *state) chartWords(s *service, room int) [][]span {
	var lines [][]span
	for i, p := range st.runway(s) {
		more := flow([]para{p}, room)
		if i > 0 && len(lines)+len(more) > 3 {
			break
		}
		lines = append(lines, more...)
	}
	return lines
}

// span of time on the chart: what the monitor has seen, and as far ahead as
// matters.
func (st *state) chartTimes(s *service) (from, to time.Time) {
	from = st.now.Add(-10 * time.Minute)
	if t := st.traces[s.Name]; t != nil && len(t.points) > 0 && t.points[0].at.Before(from) {
		from = t.points[0].at
	}
	if oldest := st.now.Add(-st.past()); st.window > 0 || from.Before(oldest) {
		from = oldest
	}
	ahead := max(st.now.Sub(from), 10*time.Minute)
	q := s.burning
	if q.short || q.resets.IsZero() {
		ahead = max(ahead, min(q.runway*5/4, 7*24*time.Hour))
	} else {
		ahead = max(ahead, min(q.resets.Sub(st.now)*11/10, 7*24*time.Hour))
	}
	return from, st.now.Add(ahead)
}

// drawChart draws how the pool of the selected service went down, and how it
// will if this goes on.
func (st *state) drawChart(c *canvas, l *layout) {
	b := l.chart
	s := st.selected()
	if b.h <= 0 || s == nil || s.burning == nil {
		return
	}
	from, to := st.chartTimes(s)
	note := "last " + short(st.now.Sub(from)) + " + " + short(to.Sub(st.now)) + " ahead"
	name := s.Name
	if s.burner != "" {
		name = s.burner
	}
	in := frame{title: name + " · quota left", note: note}.draw(c, b)
	in.x, in.w = in.x+1, max(in.w-2, 0)
	n := c.lines(in, st.chartWords(s, in.w), 0)
	plot := box{in.x + 5, in.y + n, in.w - 5, in.h - n - 1}
	if plot.w < 16 || plot.h < 3 {
		return
	}
	st.plot(c, plot, s, from, to)
}

func (st *state) plot(c *canvas, b box, s *service, from, to time.Time) {
	total := to.Sub(from).Seconds()
	x := func(t time.Time) float64 { return t.Sub(from).Seconds() / total }
	for y := range b.h {
		label := ""
		switch y {
		case 0:
			label = "100%"
		case b.h / 2:
			label = "50%"
		case b.h - 1:
			label = "0%"
		}
		p := c.pen(box{b.x - 5, b.y, 5, b.h}, y)
		p.end--
		p.right(grey, label)
		c.put(b.x-1, b.y+y, 1, grey, "┤")
	}
	now := b.x + int(x(st.now)*float64(b.w-1))
	for y := range b.h {
		c.put(now, b.y+y, 1, grey, "┊")
	}
	q := s.burning
	k := pick(q.short, amber, green)
	past, ahead := chart.NewPlot(b.w, b.h), chart.NewPlot(b.w, b.h)
	var points []chart.Point
	if t := st.traces[s.Name]; t != nil {
		for _, p := range t.points {
			if !p.at.Before(from) {
				points = append(points, chart.Point{X: x(p.at), Y: p.left})
			}
		}
	}
	points = append(points, chart.Point{X: x(st.now), Y: q.fraction()})
	past.Line(points...)
	if q.runway > 0 {
		here := chart.Point{X: x(st.now), Y: q.fraction()}
		end := chart.Point{X: x(st.now.Add(q.runway)), Y: 0}
		if !q.short && !q.resets.IsZero() && st.now.Add(q.runway).After(q.resets) {
			f := 1 - q.resets.Sub(st.now).Seconds()/q.runway.Seconds()
			end = chart.Point{X: x(q.resets), Y: q.fraction() * max(f, 0)}
		}
		if end.X > 1 {
			t := (1 - here.X) / (end.X - here.X)
			end = chart.Point{X: 1, Y: here.Y + t*(end.Y-here.Y)}
		}
		ahead.Dots(here, end)
	}
	overlay(c, b, ahead.Rows(), grey)
	overlay(c, b, past.Rows(), k)
	axis := box{b.x, b.y + b.h, b.w, 1}
	c.pen(axis, 0).put(grey, st.at(from))
	right := st.at(to)
	c.pen(axis, 0).right(grey, right)
	if now-1 > b.x+7 && now+2 < b.x+b.w-cells(right)-1 {
		c.put(now-1, axis.y, 3, plain, "now")
	}
	if !q.resets.IsZero() && q.resets.Before(to) {
		at := b.x + int(x(q.resets)*float64(b.w-1))
		if at+6 < b.x+b.w-cells(right)-1 && at-6 > now+3 {
			c.put(at-3, axis.y, 6, grey, "resets")
		}
	}
}

// overlay puts the cells of a plot that have dots over what is there.
func overlay(c *canvas, b box, rows []string, k ink) {
	for y, row := range rows {
		x := 0
		for _, r := range row {
			if r != ' ' {
				c.put(b.x+x, b.y+y, 1, k, string(r))
			}
			x++
		}
	}
}

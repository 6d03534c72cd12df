package tui

import (
	"math"
	"strconv"
	"strings"

	"keywheel/engine"
	"keywheel/tui/chart"
)

// drawServices draws the list of services: what is burning?
func (st *state) drawServices(c *canvas, l *layout) {
	b := l.panes[paneServices]
	if b.h <= 0 {
		return
	}
	title := "Services " + strconv.Itoa(len(st.scene.services))
	ids := &st.lists[paneServices]
	if !st.filter.query.empty() {
		title = "Services " + strconv.Itoa(len(ids.ids)) + " of " + strconv.Itoa(len(st.scene.services))
	}
	f := frame{title: title + st.marks.word(paneServices), note: ids.order("needs you first"), focused: st.focus == paneServices, open: l.small}
	in := f.draw(c, b)
	c.zone(zone{b, zonePane, paneServices, ""})
	if len(ids.ids) == 0 {
		c.pen(in, 0).gap(2).put(grey, "nothing matches  ").put(bold, "esc").put(grey, " clears the filter")
		return
	}
	rows := make([]*service, 0, len(ids.ids))
	for _, name := range ids.ids {
		if s := st.scene.byName[name]; s != nil {
			rows = append(rows, s)
		}
	}
	t := table[*service]{cols: st.serviceColumns(min(max(st.scene.long, 7), 24)), rows: rows, id: func(s *service) string { return s.Name },
		selected: ids.chosen, sorted: ids.column, offset: ids.offset, pane: paneServices, foot: !l.small}
	t.draw(c, box{in.x, in.y, max(in.w-1, 0), in.h})
}

func (st *state) serviceColumns(long int) []column[*service] {
	return []column[*service]{
		{least: 4, cell: func(p *pen, s *service) {
			st.rowBegin(p, paneServices, s.Name, s.look())
		}},
		{head: "SERVICE", least: min(long, 11), best: long, cell: func(p *pen, s *service) {
			p.put(pick(s.Name == st.service(), bold, plain), s.Name)
		}, by: func(s *service) (float64, string) { return 0, s.Name }},
		{head: "KEY IN USE", least: 12, best: 17, gap: 2, drop: 1, cell: st.keyInUse},
		{head: "QUOTA LEFT", brief: "LEFT", least: 5, best: 14, gap: 1, grow: 1, cell: func(p *pen, s *service) {
			if !s.Planned {
				gaugeCell(p, s.pool)
			}
		}, by: byServicePool(func(q *pool) float64 { return q.fraction() })},
		{head: "OF", least: 22, best: 26, gap: 2, spare: true, drop: 7, cell: func(p *pen, s *service) { ofCell(p, s.pool) }},
		{head: "BURN", least: 8, best: 12, gap: 1, drop: 4, cell: func(p *pen, s *service) { st.burnCell(p, s.Series, st.scene.top) },
			by: func(s *service) (float64, string) { return s.PerMin, "" }},
		{head: "RUNWAY", least: 6, gap: 1, right: true, cell: func(p *pen, s *service) { runwayCell(p, s.pool) },
			by: byServicePool((*pool).seconds)},
		{head: "FAILED", least: 7, best: 16, gap: 2, drop: 3, cell: func(p *pen, s *service) {
			failureCell(p, s.Verdicts, recent(s.Failed))
		}, by: func(s *service) (float64, string) { return float64(s.Verdicts.Failed()), "" }},
		{head: "KEYS", least: 5, gap: 1, drop: 2, right: true, cell: func(p *pen, s *service) {
			k := plain
			if s.Usable < len(s.keys) {
				k = yellow
			}
			switch {
			case s.Planned:
				k = grey
			case s.Usable == 0:
				k = red
			}
			text := strconv.Itoa(s.Usable) + "/" + strconv.Itoa(len(s.keys))
			if len(s.keys) > 99 {
				text = compact(float64(s.Usable)) + "/" + compact(float64(len(s.keys)))
			}
			p.right(k, text)
		}, by: func(s *service) (float64, string) { return float64(s.Usable), "" }},
		{head: "ACCOUNTS", brief: "ACCTS", least: 5, best: 8, gap: 2, right: true, spare: true, drop: 8, cell: func(p *pen, s *service) {
			p.right(pick(s.oneAccount, yellow, grey), strconv.Itoa(s.accounts))
		}, by: func(s *service) (float64, string) { return float64(s.accounts), "" }},
		{head: "LAST ROTATION", least: 16, best: 26, grow: 3, gap: 2, spare: true, drop: 6, cell: st.lastRotation,
			by: func(s *service) (float64, string) { return -s.rotated(), "" }},
	}
}

// byServicePool sorts services by a number of their pool; those without come
// last.
func byServicePool(of func(q *pool) float64) func(s *service) (float64, string) {
	return func(s *service) (float64, string) {
		if s.pool == nil || s.Planned {
			return math.Inf(1), ""
		}
		return of(s.pool), ""
	}
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// keyInUse says which key serves: its name where one key does until it cannot,
// how many where they take turns.
func (st *state) keyInUse(p *pen, s *service) {
	switch {
	case s.Planned:
		p.put(grey, "planned")
	case s.Usable == 0:
		p.put(red, "none usable")
	case s.Pinned != "":
		p.put(blue, "◆ ").put(plain, s.Pinned)
		if s.PinnedUntil != nil {
			p.put(blue, " "+short(st.until(*s.PinnedUntil)))
		}
	case s.inTurn():
		p.put(plain, strconv.Itoa(s.Usable)).put(grey, " in turn")
	case s.KeyInUse != "":
		st.keyName(p, plain, s.KeyInUse)
	default:
		p.put(grey, "—")
	}
}

// keyName writes a key's name with the mark of its secret. Where both do not
// fit, the mark goes; where the name does not, it is shortened and the mark
// tells it from others.
func (st *state) keyName(p *pen, k ink, name string) {
	m := ""
	if key := st.scene.keys[name]; key != nil {
		m = mark(key.Fingerprint)
	}
	w := cells(name)
	if m == "" || p.room() < 10 || w <= p.room() && w+1+cells(m) > p.room() {
		p.put(k, name)
		return
	}
	end := p.end
	p.end = max(end-cells(m)-1, p.x)
	p.put(k, name)
	p.end = end
	p.gap(1).put(grey, m)
}

// gaugeCell draws what is left of a limit as a line and a number.
func gaugeCell(p *pen, q *pool) {
	room := p.room()
	if q == nil {
		if room >= 9 {
			p.put(grey, "no limit")
		} else {
			p.right(grey, "—")
		}
		return
	}
	f := q.fraction()
	k := quotaInk(f)
	if bar := room - 5; bar >= 4 {
		left, rail := chart.Gauge(f, bar)
		p.put(k, left).put(grey, rail)
	}
	p.right(k, percent(f))
}

// shareCell draws a part of a whole as a line and a number.
func shareCell(p *pen, f float64) {
	if bar := p.room() - 5; bar >= 4 {
		part, rest := chart.Gauge(f, bar)
		p.put(blue, part).put(grey, rest)
	}
	p.right(plain, percent(f))
}

// ofCell says what the limit is that the gauge is of, in as many words as fit.
func ofCell(p *pen, q *pool) {
	if q == nil {
		return
	}
	text := ofLimit(q.amount, q.unit, q.per, q.source)
	if cells(text)-len("of ") > p.room() {
		text = ofLimit(q.amount, q.unit, q.per, "")
	}
	p.put(grey, strings.TrimPrefix(text, "of "))
}

func (st *state) burnCell(p *pen, series []int, top int) {
	any := false
	for _, v := range series {
		any = any || v > 0
	}
	k := grey
	if any {
		k = blue
	}
	p.put(k, chart.Spark(series, p.room(), float64(top)))
}

// runwayCell says how long what is left lasts.
func runwayCell(p *pen, q *pool) {
	switch {
	case q == nil:
		p.right(grey, "—")
	case q.remaining <= 0 && !q.open:
		p.right(red, "now")
	case q.short:
		p.right(amber, short(q.runway))
	case q.known && q.resets.IsZero():
		p.right(plain, short(q.runway))
	case q.open || q.known:
		p.right(grey, "lasts")
	default:
		p.right(grey, "—")
	}
}

// failureCell counts failures by what they were, as many kinds as fit, the
// gravest first; in colour while they happen.
func failureCell(p *pen, v engine.Verdicts, now bool) {
	if v.Failed() == 0 {
		p.put(grey, "—")
		return
	}
	list := tallies(v)
	first, left := true, 0
	for _, t := range list {
		if t.n > 0 {
			left++
		}
	}
	for _, t := range list {
		if t.n == 0 {
			continue
		}
		n := compact(float64(t.n))
		need := len(t.code) + 1 + len(n)
		if !first {
			need += 3
		}
		if left > 1 {
			need += 2
		}
		if !first && need > p.room() {
			p.put(grey, " +")
			return
		}
		if !first {
			p.put(grey, " · ")
		}
		k := grey
		if now {
			k = t.ink
		}
		p.put(k, t.code+" ").put(pick(now, plain, grey), n)
		first = false
		left--
	}
}

// recent reports whether anything failed in the last buckets.
func recent(failed []int) bool {
	for _, n := range failed {
		if n > 0 {
			return true
		}
	}
	return false
}

// rotated is when the key in use last changed for a cause, as a number; 0 is
// never.
func (s *service) rotated() float64 {
	if s.LastRotation == nil {
		return 0
	}
	return float64(s.LastRotation.At.UnixMilli())
}

func (st *state) lastRotation(p *pen, s *service) {
	r := s.LastRotation
	if r == nil {
		p.put(grey, "never")
		return
	}
	p.put(grey, st.ago(r.At)+"  ").put(pick(st.now.Sub(r.At).Minutes() < 1, plain, grey), r.Cause)
}

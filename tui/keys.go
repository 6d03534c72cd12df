package tui

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

// drawKeys draws the keys of the selected service.
func (st *state) drawKeys(c *canvas, l *layout) {
	b := l.panes[paneKeys]
	if b.h <= 0 {
		return
	}
	s := st.selected()
	if s == nil {
		frame{title: "Keys", focused: st.focus == paneKeys, open: l.small}.draw(c, b)
		return
	}
	title := s.Name + " · " + plural(len(s.keys), "key")
	if len(st.keys) != len(s.keys) {
		title = s.Name + " · " + grouped(len(st.keys)) + " of " + plural(len(s.keys), "key")
	}
	note := s.Strategy + " · " + strconv.Itoa(s.Usable) + " usable"
	if w := stateCounts(s); w != "" && b.w >= 76 && !strings.HasPrefix(note, w) {
		note += " · " + w
	}
	if n := len(s.Lent); n > 0 {
		note += " · " + strconv.Itoa(n) + " lent"
	}
	ids := &st.lists[paneKeys]
	if ids.column != "" {
		note = ids.order("") + " · " + note
	}
	in := frame{title: title + st.marks.word(paneKeys), note: note, focused: st.focus == paneKeys, open: l.small}.draw(c, b)
	c.zone(zone{b, zonePane, paneKeys, ""})
	if !l.wide && !l.small {
		head := st.keysHeading(max(in.w-2, 1))
		n := c.lines(box{in.x + 2, in.y, max(in.w-2, 0), min(len(head), max(in.h-3, 0))}, head, 0)
		in.y, in.h = in.y+n, in.h-n
	}
	if len(st.keys) == 0 {
		text := "This service has no keys in the config."
		if len(s.keys) > 0 {
			text = "No key of it matches the filter."
		}
		c.pen(in, 0).gap(2).put(grey, text)
		return
	}
	long := 4
	for i, k := range st.keys {
		if i > 200 {
			break
		}
		long = max(long, cells(k.Name))
	}
	t := table[*engine.KeyStatus]{cols: st.keyColumns(paneKeys, s, min(long, 24)+6), rows: st.keys,
		id: func(k *engine.KeyStatus) string { return k.Name }, selected: ids.chosen, sorted: ids.column,
		offset: ids.offset, pane: paneKeys, foot: !l.small}
	t.draw(c, box{in.x, in.y, max(in.w-1, 0), in.h})
}

// keysHeading says above the keys how long they last, where there is no chart
// to say it.
func (st *state) keysHeading(room int) [][]span {
	s := st.selected()
	if s == nil {
		return nil
	}
	paras := st.runway(s)
	if len(paras) == 0 {
		return nil
	}
	lines := flow(paras[:1], room)
	return lines[:min(len(lines), 2)]
}

// keyColumns are the columns of a pane that lists keys: those of a service, or
// of screen 2 (then s is nil).
func (st *state) keyColumns(id paneID, s *service, long int) []column[*engine.KeyStatus] {
	begin := column[*engine.KeyStatus]{least: 4, cell: func(p *pen, k *engine.KeyStatus) { st.rowBegin(p, id, k.Name, st.keyLook(k)) }}
	name := column[*engine.KeyStatus]{head: "KEY", least: min(long, 13), best: long, cell: func(p *pen, k *engine.KeyStatus) {
		st.keyName(p, pick(k.Name == st.lists[id].chosen && st.focus == id, bold, plain), k.Name)
	}, by: func(k *engine.KeyStatus) (float64, string) { return 0, k.Name }}
	if more := st.aspectColumns(); id == paneAll && more != nil {
		return append([]column[*engine.KeyStatus]{begin, name}, more...)
	}
	cols := []column[*engine.KeyStatus]{begin, name,
		{head: "QUOTA LEFT", brief: "LEFT", least: 10, best: 14, gap: 1, drop: 2, cell: func(p *pen, k *engine.KeyStatus) {
			gaugeCell(p, ofKey(k, st.now))
		}, by: st.byPool(func(q *pool) float64 { return q.fraction() })},
		{head: "OF", least: 22, best: 26, gap: 2, spare: true, drop: 8, cell: func(p *pen, k *engine.KeyStatus) { ofCell(p, ofKey(k, st.now)) }},
		{head: "RUNWAY", least: 6, gap: 1, right: true, spare: true, drop: 6, cell: func(p *pen, k *engine.KeyStatus) { runwayCell(p, ofKey(k, st.now)) },
			by: st.byPool((*pool).seconds)},
		{head: "RESETS", least: 8, best: 9, gap: 1, right: true, spare: true, drop: 7, cell: func(p *pen, k *engine.KeyStatus) {
			q := ofKey(k, st.now)
			switch {
			case q == nil || q.resets.IsZero():
				p.right(grey, "—")
			case lasting(q.per):
				p.right(grey, st.at(q.resets))
			default:
				p.right(grey, "each "+perWord(q.per)) // no time of the day
			}
		}, by: st.byPool(func(q *pool) float64 {
			if q.resets.IsZero() {
				return math.Inf(1)
			}
			return float64(q.resets.Unix())
		})},
		{head: "BURN", least: 8, best: 12, gap: 2, spare: true, drop: 9, cell: func(p *pen, k *engine.KeyStatus) {
			st.burnCell(p, k.Series, st.scene.keyTop)
		}},
		{head: "RATE", least: 7, gap: 1, right: true, drop: 6, cell: func(p *pen, k *engine.KeyStatus) {
			p.right(pick(k.PerMin > 0, plain, grey), rate(k.PerMin))
		}, by: func(k *engine.KeyStatus) (float64, string) { return k.PerMin, "" }},
		{head: "FAILED", least: 7, best: 10, gap: 2, drop: 5, cell: func(p *pen, k *engine.KeyStatus) {
			failureCell(p, k.Verdicts, k.LastFailure != nil && st.now.Sub(*k.LastFailure).Minutes() < 4)
		}, by: func(k *engine.KeyStatus) (float64, string) { return float64(k.Verdicts.Failed()), "" }},
		{head: "STATE", least: 25, best: 26, grow: 1, gap: 2, cell: func(p *pen, k *engine.KeyStatus) { st.keyState(p, s, k) },
			by: func(k *engine.KeyStatus) (float64, string) { return float64(k.State), "" }},
	}
	if id == paneAll {
		cols[len(cols)-1].least = 22
		serves := column[*engine.KeyStatus]{head: "SERVICES", least: 12, best: 20, gap: 2, spare: true, drop: 1,
			cell: func(p *pen, k *engine.KeyStatus) { p.put(grey, strings.Join(k.Services, ", ")) },
			by:   func(k *engine.KeyStatus) (float64, string) { return 0, strings.Join(k.Services, ", ") }}
		cols = slices.Insert(cols, 2, serves)
	}
	return cols
}

// byPool sorts keys by a number of their tightest limit; those without any come
// last.
func (st *state) byPool(of func(q *pool) float64) func(k *engine.KeyStatus) (float64, string) {
	return func(k *engine.KeyStatus) (float64, string) {
		if q := ofKey(k, st.now); q != nil {
			return of(q), ""
		}
		return math.Inf(1), ""
	}
}

// keyLook is how a key's row begins: its state, or that little is left.
func (st *state) keyLook(k *engine.KeyStatus) look {
	if k.State == engine.Active {
		if q := ofKey(k, st.now); q != nil && q.low() && lasting(q.per) {
			return look{"▼", amber}
		}
		if k.Draining {
			return look{"○", grey}
		}
	}
	return lookOf(k.State)
}

// keyState says a key's state in words, its badges, when it is back, and why.
func (st *state) keyState(p *pen, s *service, k *engine.KeyStatus) {
	look := lookOf(k.State)
	p.put(look.ink, k.State.String())
	badge := func(ink ink, texts ...string) {
		for i := range texts {
			texts[i] = " " + texts[i]
		}
		p.either(ink, texts...)
	}
	if s != nil && s.Pinned == k.Name {
		badge(blue, "◆ pinned", "◆")
	}
	if s != nil && s.KeyInUse == k.Name && !s.inTurn() && k.State == engine.Active {
		badge(plain, "in use")
	}
	if q := ofKey(k, st.now); q != nil && q.low() && lasting(q.per) && k.State == engine.Active {
		badge(amber, "low")
	}
	if k.Draining {
		badge(yellow, "draining")
	}
	if k.Trial {
		badge(cyan, "trial")
	}
	old := 0
	for _, r := range k.Retiring {
		old += r.InFlight
	}
	if old > 0 {
		badge(yellow, "· old: "+strconv.Itoa(old)+" in flight", "· old: "+strconv.Itoa(old))
	}
	if l := s.lentTo(k.Name); l != nil {
		badge(blue, "lent "+short(st.until(l.Until)), "lent")
	} else if len(st.scene.lends[k.Name]) > 0 {
		badge(grey, "lent out")
	}
	if k.Override != "" {
		where, _, _ := strings.Cut(k.Override, "/")
		badge(grey, where)
	}
	if s != nil && s.fallback[k.Name] {
		badge(grey, "fallback")
	}
	switch k.State {
	case engine.Active:
		if k.InFlight > 0 {
			badge(grey, "· "+strconv.Itoa(k.InFlight)+" in flight")
		}
		if part := partHolds(k); part != "" {
			p.put(yellow, " · not "+part)
		}
		return
	case engine.Disabled:
		if by := holdBy(k); by != "" {
			badge(grey, "by "+by)
		}
		if k.Until != nil {
			st.backIn(p, "back in ", *k.Until)
		} else if k.Since != nil {
			at := "at " + st.at(*k.Since)
			badge(grey, at+", until enabled", at)
		}
		return
	}
	switch {
	case k.Until != nil:
		st.backIn(p, "back in ", *k.Until)
	case trialAt(k) != nil:
		st.backIn(p, "trial in ", *trialAt(k))
	case !k.Trial:
		badge(grey, "· a person must act", "· needs you")
	}
	if k.Reason != "" && p.room() >= 12 {
		p.put(grey, " · "+k.Reason)
	}
}

// backIn counts down to a moment, in fewer words where there is little room.
func (st *state) backIn(p *pen, words string, at time.Time) {
	if left := countdown(st.until(at)); cells(" · "+words+left) <= p.room() {
		p.put(grey, " · "+words).put(bold, left)
		return
	}
	p.either(bold, " "+short(st.until(at))) // "14m": no time of the day
}

// holdBy is who holds a key, "" for the engine.
func holdBy(k *engine.KeyStatus) string {
	for i := range k.Holds {
		if h := &k.Holds[i]; h.State == k.State && h.By != "engine" {
			return h.By
		}
	}
	return ""
}

// partHolds names the models that a usable key may not serve.
func partHolds(k *engine.KeyStatus) string {
	var parts []string
	for i := range k.Holds {
		if m := k.Holds[i].Model; m != "" {
			parts = append(parts, m)
		}
	}
	return strings.Join(parts, ", ")
}

// trialAt is when a held key may be tried again.
func trialAt(k *engine.KeyStatus) *time.Time {
	for i := range k.Holds {
		if h := &k.Holds[i]; h.State == k.State && h.TrialAt != nil {
			return h.TrialAt
		}
	}
	return nil
}

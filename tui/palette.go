package tui

import (
	"cmp"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// entry is a line of the palette: an action by its name.
type entry struct {
	name, show, doc string
	action          *action
	press           string // the key that it stands for
}

// entries lists every action by name; those of one line in the table that do
// different things (the screens) have a line each.
func entries() []entry {
	var list []entry
	for i := range actions {
		a := &actions[i]
		if len(a.each) == 0 {
			list = append(list, entry{a.name, a.show, a.doc, a, a.keys[0]})
		}
		for j, name := range a.each {
			list = append(list, entry{name, a.keys[j], a.doc, a, a.keys[j]})
		}
	}
	return list
}

// fuzzy says how well a name fits what was typed, the lower the better; -1 is
// not at all.
func fuzzy(typed, name, doc string) int {
	typed, name = strings.ToLower(typed), strings.ToLower(name)
	switch i := strings.Index(name, typed); {
	case i == 0:
		return 0
	case i > 0 && name[i-1] == ' ':
		return 1
	case i > 0:
		return 2
	}
	rest := []rune(typed)
	for _, r := range name {
		if len(rest) > 0 && r == rest[0] {
			rest = rest[1:]
		}
	}
	switch {
	case len(rest) == 0:
		return 3
	case contains(doc, typed):
		return 4
	}
	return -1
}

// found lists the entries that fit, the best first; what means something now
// comes before what does not.
func found(st *state, typed string) []entry {
	typed = strings.TrimSpace(typed)
	all := entries()
	scores := make(map[string]int, len(all))
	all = slices.DeleteFunc(all, func(e entry) bool {
		n := fuzzy(typed, e.name, e.doc)
		scores[e.name] = n*2 + pick(e.action.applies(st), 0, 1)
		return n < 0
	})
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(scores[a.name], scores[b.name]) })
	return all
}

// openPalette opens the list of all actions. What it runs, it runs as the key
// would have.
func openPalette(m *Model) tea.Cmd {
	m.open(&dialog{title: "Commands", palette: true, input: &input{}, ask: ":", body: func(*state) []para { return nil }})
	return nil
}

// paletteKey is what the palette does with a key.
func (d *dialog) paletteKey(m *Model, k tea.KeyMsg) tea.Cmd {
	list := found(&m.state, d.input.String())
	switch name := k.String(); {
	case k.Paste:
		d.input.key(k)
		d.picked = 0
	case name == "esc" || name == "ctrl+c":
		m.close(d)
	case name == "enter":
		if d.picked < len(list) {
			m.close(d)
			return m.runEntry(list[d.picked])
		}
	case name == "up" || name == "shift+tab" || name == "ctrl+p":
		d.picked = max(d.picked-1, 0)
	case name == "down" || name == "tab" || name == "ctrl+n":
		d.picked = max(min(d.picked+1, len(list)-1), 0)
	default:
		d.input.key(k)
		d.picked = 0
	}
	return nil
}

func (m *Model) runEntry(e entry) tea.Cmd {
	if !e.action.applies(&m.state) {
		m.toast = toast{text: e.name + " means nothing here: there is nothing selected that it could act on", err: true, until: m.now.Add(toastTime)}
		return nil
	}
	return m.perform(e.action, e.press)
}

// paletteRows is how many entries are shown at most.
const paletteRows = 14

func (d *dialog) drawPalette(st *state, c *canvas) {
	w := min(84, max(st.w-4, min(st.w, 20)))
	h := min(paletteRows+4, st.h)
	b := box{(st.w - w) / 2, max((st.h-h)/3, 0), w, h}
	c.clear(b)
	in := frame{title: d.title, note: "↵ runs it · esc closes", focused: true}.draw(c, b)
	c.zone(zone{b, zoneDialog, 0, ""})
	in.x, in.w = in.x+1, max(in.w-2, 0)
	c.pen(in, 0).put(blue|bold, d.ask+" ").spans(d.input.spans(bold))
	rows := box{in.x, in.y + 1, in.w, max(in.h-1, 0)}
	if in.h > 6 {
		rows.y, rows.h = rows.y+1, rows.h-1
	}
	list := found(st, d.input.String())
	if len(list) == 0 {
		c.pen(rows, 0).put(grey, "no action is called that")
	}
	from := window(0, d.picked, max(rows.h, 1), len(list))
	for i := from; i < len(list) && i-from < rows.h; i++ {
		e := list[i]
		on, can := i == d.picked, e.action.applies(st)
		p := c.pen(rows, i-from)
		p.put(pick(on, blue|bold, plain), pick(on, "▸ ", "  "))
		end := p.end
		p.end = min(p.x+16, end)
		x := p.x
		p.put(pick(!can, grey, pick(on, bold, plain)), e.name)
		p.end, p.x = end, min(x+16, end)
		key, _, _ := strings.Cut(e.show, " ")
		x = p.x
		p.gap(1).put(pick(can, bold, grey), key)
		p.x = min(max(x+9, p.x+1), end)
		p.put(grey, strings.ReplaceAll(e.doc, "`", ""))
		c.zone(zone{box{rows.x, rows.y + i - from, rows.w, 1}, zoneOption, 0, e.name})
	}
}

package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// dialog is what a person opened over the screen: a menu, a question, a line
// to type, or pages to read. None opens by itself.
type dialog struct {
	title, note string
	danger      bool
	// body is drawn anew with every frame, so that its numbers stay true.
	body func(st *state) []para
	// options are what can be picked; picked is the one enter takes.
	options []option
	picked  int
	// input is a line to type; submit judges it, and what it returns as error
	// is shown in place.
	input  *input
	ask    string
	submit func(m *Model, text string) (tea.Cmd, error)
	err    error
	// offset scrolls pages.
	offset int
	// palette is true for the list of all actions.
	palette bool
	// again is what ? does in a dialog that has more to show.
	again func()
	// copies is what y copies from a page; nil is nothing.
	copies func(st *state) string
	// work is what the page follows; while it runs, esc alone closes the page.
	work work
	// quitting is true for the question whether to quit.
	quitting bool
}

// option is one way out of a dialog. One without run just closes it.
type option struct {
	key, label string
	run        func(m *Model) tea.Cmd
}

// page reports whether the dialog is there to be read only.
func (d *dialog) page() bool { return len(d.options) == 0 && d.input == nil }

// key is what a dialog does with a key. The dialog has been closed before an
// option runs, so that the option may open another.
func (d *dialog) key(m *Model, k tea.KeyMsg) tea.Cmd {
	name := k.String()
	if d.palette {
		return d.paletteKey(m, k)
	}
	if d.input != nil {
		switch {
		case k.Paste:
			d.input.key(k)
			d.err = nil
		case name == "esc", name == "ctrl+c":
			m.close(d)
		case name == "enter":
			cmd, err := d.submit(m, strings.TrimSpace(d.input.String()))
			if d.err = err; err != nil {
				return nil
			}
			m.close(d)
			return cmd
		default:
			d.input.key(k)
			d.err = nil
		}
		return nil
	}
	if k.Paste {
		return nil
	}
	if d.page() {
		if name == "?" && d.again != nil {
			d.again()
			return nil
		}
		if name == "y" && d.copies != nil {
			return m.toClipboard(d.copies(&m.state), "the text")
		}
		if d.work != nil && d.work.running() && name != "esc" {
			d.scroll(m, name)
			return nil
		}
		switch name {
		case "esc", "q", "enter", "w", "?", "ctrl+c", "left", "h":
			if d.work != nil {
				d.work.leave(&m.state)
			}
			m.close(d)
		default:
			d.scroll(m, name)
		}
		return nil
	}
	for _, o := range d.options {
		if name == o.key {
			return d.take(m, o)
		}
	}
	switch name {
	case "esc", "q", "n", "ctrl+c":
		m.close(d)
	case "enter", " ":
		return d.take(m, d.options[d.picked])
	case "up", "left", "k", "h", "shift+tab":
		d.picked = (d.picked + len(d.options) - 1) % len(d.options)
	case "down", "right", "j", "l", "tab":
		d.picked = (d.picked + 1) % len(d.options)
	}
	return nil
}

// clicked is a click on an option.
func (d *dialog) clicked(m *Model, name string) tea.Cmd {
	for _, o := range d.options {
		if o.key == name {
			return d.take(m, o)
		}
	}
	if d.palette {
		for _, e := range found(&m.state, d.input.String()) {
			if e.name == name {
				m.close(d)
				return m.runEntry(e)
			}
		}
	}
	return nil
}

func (d *dialog) take(m *Model, o option) tea.Cmd {
	m.close(d)
	if o.run == nil {
		return nil
	}
	return o.run(m)
}

func (d *dialog) scroll(m *Model, name string) {
	_, in, list := d.place(&m.state)
	move := map[string]int{"down": 1, "j": 1, "up": -1, "k": -1, "pgdown": in.h, " ": in.h, "pgup": -in.h,
		"ctrl+d": in.h / 2, "ctrl+u": -in.h / 2, "g": -len(list), "home": -len(list), "G": len(list), "end": len(list)}[name]
	d.offset = max(min(d.offset+move, len(list)-in.h), 0)
}

// place works out where the dialog stands, the box inside its border, and its
// body in lines.
func (d *dialog) place(st *state) (outer, in box, list [][]span) {
	wide := 76
	if d.page() {
		wide = 104
	}
	w := min(wide, st.w)
	if st.w > wide/2+20 {
		w = min(wide, st.w-4)
	}
	list = flow(d.body(st), max(w-6, 1))
	below := 0
	if len(d.options) > 0 {
		below = len(d.options) + 1
		if d.inline() && d.optionsWidth() <= w-6 {
			below = 2
		}
		if d.tight(st) {
			below = 1
		}
	}
	if d.input != nil {
		below = 2
		if d.err != nil {
			below = 3
		}
	}
	h := min(len(list)+below+4, st.h)
	if st.h < smallHeight {
		h = min(len(list)+below+2, st.h)
	}
	outer = box{(st.w - w) / 2, (st.h - h) / 2, w, h}
	in = outer.inside(1)
	if in.w > 8 {
		in.x, in.w = in.x+2, in.w-4
	}
	if st.h >= smallHeight && in.h > 2 {
		in.y, in.h = in.y+1, in.h-2
	}
	in.h = max(in.h-below, min(1, in.h))
	return outer, in, list
}

// inline options stand in one line: yes and no.
func (d *dialog) inline() bool { return len(d.options) == 2 }

// tight options stand in one line by their keys alone, with the label of the
// one that enter takes: where the screen is low, what they do to the keys has
// to stay readable.
func (d *dialog) tight(st *state) bool { return st.h < smallHeight && len(d.options) > 2 }

func (d *dialog) optionsWidth() (n int) {
	for _, o := range d.options {
		n += cells(o.key) + cells(o.label) + 6
	}
	return n
}

func (d *dialog) draw(st *state, c *canvas) {
	if d.palette {
		d.drawPalette(st, c)
		return
	}
	outer, in, list := d.place(st)
	c.clear(outer)
	k := ink(0)
	if d.danger {
		k = red
	}
	note := d.note
	if d.page() {
		note = pick(d.note == "", "", d.note+" · ")
		if d.work != nil {
			note += d.work.closing(st)
		} else {
			note += "esc closes"
		}
		if len(list) > in.h {
			note = "↑ ↓ " + percent(float64(min(d.offset+in.h, len(list)))/float64(len(list))) + " · " + note
		}
	}
	frame{title: d.title, note: note, focused: true, ink: k}.draw(c, outer)
	c.zone(zone{outer, zoneDialog, 0, ""})
	// What can be answered must stay visible; a long body is cut before it.
	drawn := c.lines(in, list, min(d.offset, max(len(list)-in.h, 0)))
	if drawn < len(list) && !d.page() && drawn > 0 {
		c.put(in.x+max(in.w-1, 0), in.y+drawn-1, 1, grey, "…")
	}
	y := in.y + drawn + 1
	bottom := outer.y + outer.h - 2
	if d.input != nil {
		y = min(y, bottom)
		p := c.pen(box{in.x, y, in.w, 1}, 0)
		p.put(grey, d.ask+" ").spans(d.input.spans(bold))
		if d.err != nil {
			c.pen(box{in.x, min(y+1, bottom), in.w, 1}, 0).put(red, d.err.Error())
		} else {
			p.right(grey, "  ↵ go  esc cancel")
		}
		return
	}
	if len(d.options) == 0 {
		return
	}
	if d.tight(st) {
		p := c.pen(box{in.x, bottom, in.w, 1}, 0)
		for i, o := range d.options {
			from := p.x
			p.put(pick(i == d.picked, blue|bold, plain), pick(i == d.picked, "▸"+o.key+" ", o.key+" "))
			c.zone(zone{box{from, bottom, p.x - from, 1}, zoneOption, 0, o.key})
		}
		p.put(grey, " "+d.options[d.picked].label)
		return
	}
	line := d.inline() && d.optionsWidth() <= in.w
	rows := pick(line, 1, len(d.options))
	y = max(min(y, bottom-rows+1), outer.y+1)
	x := in.x
	for i, o := range d.options {
		if y > bottom {
			break
		}
		p := c.pen(box{x, y, max(in.x+in.w-x, 0), 1}, 0)
		on := i == d.picked
		p.put(pick(on, blue|bold, plain), pick(on, "▸ ", "  "))
		p.put(bold|pick(d.danger && o.run != nil, red, plain), o.key).put(pick(on, bold, plain), " "+o.label)
		c.zone(zone{box{x, y, p.x - x, 1}, zoneOption, 0, o.key})
		if line {
			x = p.x + 4
		} else {
			y++
		}
	}
}

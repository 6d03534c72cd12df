package tui

// frame is a pane's border: its title at the left, a note at the right. The
// pane that has the keyboard is drawn heavy.
type frame struct {
	title   string
	note    string
	focused bool
	// open panes have a title line only: on small screens.
	open bool
	ink  ink
}

// edges are the pieces of a border: corners clockwise, then the sides.
type edges struct{ nw, ne, se, sw, across, down string }

var (
	lightEdges = edges{"╭", "╮", "╯", "╰", "─", "│"}
	heavyEdges = edges{"┏", "┓", "┛", "┗", "━", "┃"}
)

// draw draws the border and returns the box inside it.
func (f frame) draw(c *canvas, b box) box {
	b = b.clip(c.bounds())
	if b.w < 4 || b.h < 2 {
		return b
	}
	e, k := lightEdges, grey
	if f.focused {
		e, k = heavyEdges, blue
	}
	if f.ink != 0 {
		k = f.ink
	}
	for x := b.x; x < b.x+b.w; x++ {
		c.put(x, b.y, 1, k, e.across)
		if !f.open {
			c.put(x, b.y+b.h-1, 1, k, e.across)
		}
	}
	in := box{b.x, b.y + 1, b.w, b.h - 1}
	if !f.open {
		for y := b.y; y < b.y+b.h; y++ {
			c.put(b.x, y, 1, k, e.down)
			c.put(b.x+b.w-1, y, 1, k, e.down)
		}
		c.put(b.x, b.y, 1, k, e.nw)
		c.put(b.x+b.w-1, b.y, 1, k, e.ne)
		c.put(b.x+b.w-1, b.y+b.h-1, 1, k, e.se)
		c.put(b.x, b.y+b.h-1, 1, k, e.sw)
		in = b.inside(1)
	}
	titleInk := plain
	if f.focused {
		titleInk = bold
	}
	used := 0
	if f.title != "" {
		used = c.put(b.x+2, b.y, b.w-4, titleInk, " "+f.title+" ")
	}
	if n := cells(f.note) + 2; f.note != "" && n+used+3 <= b.w-4 {
		c.put(b.x+b.w-2-n, b.y, n, grey, " "+f.note+" ")
	}
	return in
}

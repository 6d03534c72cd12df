package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// ink is how a cell looks: a foreground of the 16 ANSI colours (0 is the
// terminal's own) and attributes.
type ink uint16

const (
	plain     ink = 0
	bold      ink = 1 << 5
	underline ink = 1 << 6
	reverse   ink = 1 << 7

	red     = ink(1 + 1)
	green   = ink(2 + 1)
	yellow  = ink(3 + 1)
	blue    = ink(4 + 1)
	magenta = ink(5 + 1)
	cyan    = ink(6 + 1)
	grey    = ink(8 + 1)
	amber   = ink(11 + 1) // bright yellow: low
)

func (k ink) colour() ink { return k & 0x1f }

// sgr are the escape sequences of all inks, each complete in itself.
var sgr = func() (table [256]string) {
	for k := range table {
		var b strings.Builder
		b.WriteString("\x1b[0")
		if ink(k)&bold != 0 {
			b.WriteString(";1")
		}
		if ink(k)&underline != 0 {
			b.WriteString(";4")
		}
		if ink(k)&reverse != 0 {
			b.WriteString(";7")
		}
		if c := int(ink(k).colour()) - 1; c >= 0 && c < 16 {
			n := 30 + c
			if c >= 8 {
				n = 90 + c - 8
			}
			b.WriteString(";" + string(rune('0'+n/10)) + string(rune('0'+n%10)))
		}
		b.WriteString("m")
		table[k] = b.String()
	}
	return table
}()

// cell is one column of one line. A wide character has w 2 and is followed by
// a cell of w 0.
type cell struct {
	s   string
	ink ink
	w   uint8
}

// box is a rectangle of cells.
type box struct{ x, y, w, h int }

func (b box) inside(n int) box {
	return box{b.x + n, b.y + n, max(b.w-2*n, 0), max(b.h-2*n, 0)}
}

func (b box) contains(x, y int) bool {
	return x >= b.x && y >= b.y && x < b.x+b.w && y < b.y+b.h
}

func (b box) clip(to box) box {
	x, y := max(b.x, to.x), max(b.y, to.y)
	return box{x, y, max(min(b.x+b.w, to.x+to.w)-x, 0), max(min(b.y+b.h, to.y+to.h)-y, 0)}
}

// canvas is a frame being drawn. Whatever is put on it is cut to its size and
// stripped of control characters, so that nothing drawn can break the layout
// or reach the terminal as a command.
type canvas struct {
	w, h  int
	cells []cell
	ascii bool
	zones []zone
}

func newCanvas(w, h int, ascii bool) *canvas {
	c := &canvas{w: w, h: h, cells: make([]cell, w*h), ascii: ascii, zones: make([]zone, 0, 128)}
	for i := range c.cells {
		c.cells[i] = cell{s: " ", w: 1}
	}
	return c
}

func (c *canvas) bounds() box { return box{0, 0, c.w, c.h} }

// set writes one grapheme of width w; what it cuts in half becomes blank.
func (c *canvas) set(x, y int, s string, w int, k ink) {
	line := c.cells[y*c.w : (y+1)*c.w]
	if line[x].w == 0 && x > 0 {
		line[x-1] = cell{s: " ", w: 1, ink: line[x-1].ink}
	}
	if end := x + w; end < c.w && line[end].w == 0 {
		line[end] = cell{s: " ", w: 1, ink: line[end].ink}
	}
	line[x] = cell{s: s, w: uint8(w), ink: k}
	if w == 2 {
		line[x+1] = cell{ink: k}
	}
}

// put writes text at x, y in at most room cells and returns how many it took.
// Text that does not fit ends in an ellipsis.
func (c *canvas) put(x, y, room int, k ink, text string) int {
	room = min(room, c.w-x)
	if y < 0 || y >= c.h || x < 0 || room <= 0 || text == "" {
		return 0
	}
	if isPlain(text) {
		n := len(text)
		if n > room {
			n = room - 1
		}
		for i := range n {
			c.set(x+i, y, text[i:i+1], 1, k)
		}
		if n < len(text) {
			c.set(x+n, y, c.glyph("…"), 1, k)
			n++
		}
		return n
	}
	if n := symbols(text); n > 0 {
		return c.putSymbols(x, y, room, n, k, text)
	}
	text = clean(text)
	whole := ansi.StringWidth(text)
	limit := whole
	if whole > room {
		limit = room - 1
	}
	at := 0
	for text != "" {
		g, w := ansi.FirstGraphemeCluster(text, ansi.GraphemeWidth)
		text = text[len(g):]
		if w <= 0 {
			continue
		}
		w = min(w, 2)
		if at+w > limit {
			break
		}
		if g == "\u00a0" { // it has kept two words together
			g = " "
		}
		if c.ascii {
			for i := range w {
				c.set(x+at+i, y, asciiFor(g), 1, k)
			}
		} else {
			c.set(x+at, y, g, w, k)
		}
		at += w
	}
	if whole > room {
		for ; at < limit; at++ {
			c.set(x+at, y, " ", 1, k)
		}
		c.set(x+at, y, c.glyph("…"), 1, k)
		at++
	}
	return at
}

// putSymbols writes text of n symbols, each a rune and a cell.
func (c *canvas) putSymbols(x, y, room, n int, k ink, text string) int {
	show := n
	if n > room {
		show = room - 1
	}
	at, begin := 0, 0
	for i := range text {
		if i == 0 {
			continue
		}
		if at == show {
			break
		}
		c.set(x+at, y, c.glyph(text[begin:i]), 1, k)
		at, begin = at+1, i
	}
	if at < show {
		c.set(x+at, y, c.glyph(text[begin:]), 1, k)
		at++
	}
	if show < n {
		c.set(x+at, y, c.glyph("…"), 1, k)
		at++
	}
	return at
}

// glyph is the symbol itself, or what stands for it in ASCII.
func (c *canvas) glyph(s string) string {
	if c.ascii {
		return asciiFor(s)
	}
	return s
}

// clear blanks a box.
func (c *canvas) clear(b box) {
	b = b.clip(c.bounds())
	for y := b.y; y < b.y+b.h; y++ {
		for x := b.x; x < b.x+b.w; x++ {
			c.set(x, y, " ", 1, plain)
		}
	}
}

// fade draws a box again in grey: what lies behind a dialog, or is old.
func (c *canvas) fade(b box) {
	b = b.clip(c.bounds())
	for y := b.y; y < b.y+b.h; y++ {
		for x := b.x; x < b.x+b.w; x++ {
			c.cells[y*c.w+x].ink = grey
		}
	}
}

// render is the frame as text: h lines, none wider than w. Without colour it
// has no escape sequence at all.
func (c *canvas) render(colour bool) string {
	var b strings.Builder
	b.Grow(c.w*c.h + c.w*c.h/2 + 64*c.h)
	for y := range c.h {
		if y > 0 {
			b.WriteByte('\n')
		}
		line := c.cells[y*c.w : (y+1)*c.w]
		end := len(line)
		for end > 0 && line[end-1].s == " " && line[end-1].ink&(reverse|underline) == 0 {
			end--
		}
		now := plain
		for _, cl := range line[:end] {
			if cl.w == 0 {
				continue
			}
			if colour && cl.ink != now && (cl.s != " " || (cl.ink|now)&(reverse|underline) != 0) {
				now = cl.ink
				b.WriteString(sgr[now&0xff])
			}
			b.WriteString(cl.s)
		}
		if now != plain {
			b.WriteString("\x1b[0m")
		}
	}
	return b.String()
}

package chart

import "math"

// Point is one place in a plot: X from 0 at the left to 1 at the right, Y from
// 0 at the bottom to 1 at the top.
type Point struct{ X, Y float64 }

// Plot is a field of braille dots, two by four to a cell.
type Plot struct {
	w, h int
	bits []byte
}

// NewPlot returns an empty plot of width by height cells.
func NewPlot(width, height int) *Plot {
	width, height = max(width, 0), max(height, 0)
	return &Plot{w: width, h: height, bits: make([]byte, width*height)}
}

// dots[y][x] is the bit of a dot in its cell.
var dots = [4][2]byte{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

func (p *Plot) set(x, y int) {
	if x >= 0 && y >= 0 && x < 2*p.w && y < 4*p.h {
		p.bits[y/4*p.w+x/2] |= dots[y%4][x%2]
	}
}

func (p *Plot) place(at Point) (x, y float64) {
	return at.X * float64(2*p.w-1), (1 - at.Y) * float64(4*p.h-1)
}

// Line joins the points.
func (p *Plot) Line(points ...Point) {
	for i := range points {
		p.segment(points[max(i-1, 0)], points[i], 1)
	}
}

// Dots joins two points by a dotted line: a guess, not a measurement.
func (p *Plot) Dots(from, to Point) { p.segment(from, to, 4) }

func (p *Plot) segment(from, to Point, every int) {
	x0, y0 := p.place(from)
	x1, y1 := p.place(to)
	for _, v := range []float64{x0, y0, x1, y1} {
		if math.IsNaN(v) || math.Abs(v) > 1<<20 {
			return
		}
	}
	n := int(max(math.Abs(x1-x0), math.Abs(y1-y0), 1))
	for i := 0; i <= n; i += every {
		t := float64(i) / float64(n)
		p.set(int(math.Round(x0+t*(x1-x0))), int(math.Round(y0+t*(y1-y0))))
	}
}

// Rows returns the plot, top row first; a cell without dots is a space.
func (p *Plot) Rows() []string {
	rows := make([]string, p.h)
	line := make([]rune, p.w)
	for y := range rows {
		for x := range line {
			line[x] = ' '
			if b := p.bits[y*p.w+x]; b != 0 {
				line[x] = 0x2800 + rune(b)
			}
		}
		rows[y] = string(line)
	}
	return rows
}

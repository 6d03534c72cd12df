package tui

// pen writes along one line of a canvas and stops at its end.
type pen struct {
	c     *canvas
	x, y  int
	end   int
	begin int
}

func (c *canvas) pen(b box, row int) *pen {
	end := min(b.x+b.w, c.w)
	if row < 0 || row >= b.h {
		end = b.x
	}
	return &pen{c: c, x: b.x, y: b.y + row, begin: b.x, end: end}
}

func (p *pen) room() int { return max(p.end-p.x, 0) }

// put writes text after what was written before. Where nothing more fits, the
// last cell says so.
func (p *pen) put(k ink, text string) *pen {
	if text == "" {
		return p
	}
	if p.room() == 0 {
		if text[0] != ' ' && p.end > p.begin && p.y >= 0 && p.y < p.c.h {
			p.c.put(p.end-1, p.y, 1, k, "…")
		}
		return p
	}
	p.x += p.c.put(p.x, p.y, p.room(), k, text)
	return p
}

// either writes the first of the texts that fits whole, or nothing: half a word
// at the end of a row tells less than none.
func (p *pen) either(k ink, texts ...string) *pen {
	for _, text := range texts {
		if cells(text) <= p.room() {
			return p.put(k, text)
		}
	}
	return p
}

func (p *pen) gap(n int) *pen {
	p.x = min(p.x+n, max(p.end, p.x))
	return p
}

// right writes text at the end of the line's room.
func (p *pen) right(k ink, text string) *pen {
	if w := cells(text); w < p.room() {
		p.x = p.end - w
	}
	return p.put(k, text)
}

func (p *pen) spans(list []span) *pen {
	for _, s := range list {
		p.put(s.ink, s.s)
	}
	return p
}

// lines writes lines of spans into a box, from the given one on, and returns
// how many there was room for.
func (c *canvas) lines(b box, list [][]span, from int) int {
	n := 0
	for i := max(from, 0); i < len(list) && n < b.h; i++ {
		c.pen(b, n).spans(list[i])
		n++
	}
	return n
}

package tui

import (
	"slices"
	"strings"
)

// column is one column of a table: how wide it must, may and can be, and how
// it draws its part of a row.
type column[R any] struct {
	head string
	// brief is the heading where the other does not fit.
	brief string
	// least is the width below which it is left out, best what it gets when
	// there is room; a column that grows shares what remains.
	least, best, grow int
	right             bool
	// drop orders the columns that go when there is no room, the highest first;
	// 0 never goes.
	drop int
	// spare columns are there only when all others have what they want.
	spare bool
	// gap is what keeps it from the column before it.
	gap  int
	cell func(p *pen, row R)
	// by is what rows are sorted by, a number or a word; nil is a column that
	// nobody sorts by.
	by func(row R) (float64, string)
}

// dropLevels is how many orders of dropping there are.
const dropLevels = 10

// fit says how wide each column is in a room; 0 is left out.
func fit[R any](cols []column[R], room int) []int {
	w := make([]int, len(cols))
	used := 0
	for i, c := range cols {
		if !c.spare {
			w[i] = c.least
			used += c.least + c.gap
		}
	}
	for used > room {
		out := -1
		for i, c := range cols {
			if w[i] > 0 && c.drop > 0 && (out < 0 || c.drop > cols[out].drop) {
				out = i
			}
		}
		if out < 0 {
			break
		}
		used -= w[out] + cols[out].gap
		w[out] = 0
	}
	wants := 0
	for i, c := range cols {
		if w[i] > 0 {
			wants += c.gap + max(c.best, c.least)
		}
	}
	for drop := range dropLevels {
		for i, c := range cols {
			if c.spare && c.drop == drop && wants+c.gap+c.least <= room {
				w[i] = c.least
				used += c.gap + c.least
				wants += c.gap + max(c.best, c.least)
			}
		}
	}
	left := room - used
	for drop := range dropLevels {
		for i, c := range cols {
			if w[i] > 0 && c.drop == drop {
				more := min(max(c.best-w[i], 0), max(left, 0))
				w[i] += more
				left -= more
			}
		}
	}
	share := 0
	for i, c := range cols {
		if w[i] > 0 {
			share += c.grow
		}
	}
	for i, c := range cols {
		if w[i] > 0 && c.grow > 0 && left > 0 {
			more := left * c.grow / share
			share -= c.grow
			w[i] += more
			left -= more
		}
	}
	return w
}

// table draws the rows of a list that fit, and only those.
type table[R any] struct {
	cols []column[R]
	rows []R
	// id names a row; the selection is a name and never a number, so that it
	// stays with its row when rows move.
	id       func(R) string
	selected string
	offset   int
	pane     paneID
	sorted   string // the heading that a person sorts by
	bare     bool   // no headings
	// whole is a row that has no columns, nil for one that has.
	whole func(R) []span
	// foot is true when a border below can bear how many rows are hidden.
	foot bool
}

// draw draws the table and returns how many rows it had room for.
func (t *table[R]) draw(c *canvas, b box) int {
	if b.h <= 0 || b.w <= 0 {
		return 0
	}
	widths := fit(t.cols, b.w)
	top := 0
	if !t.bare && b.h > 1 {
		t.each(b, 0, c, widths, func(p *pen, col *column[R]) {
			head := col.head
			if col.brief != "" && len(head) > p.room() {
				head = col.brief
			}
			k := grey
			if col.head != "" && col.head == t.sorted {
				k = bold | underline
			}
			x, end := p.x, p.end
			if col.right {
				p.right(k, head)
			} else {
				p.put(k, head)
			}
			if col.by != nil {
				c.zone(zone{box{x, p.y, end - x, 1}, zoneHead, t.pane, col.head})
			}
		})
		top = 1
	}
	room := b.h - top
	from := window(t.offset, indexOf(t.rows, t.id, t.selected), room, len(t.rows))
	for i := from; i < len(t.rows) && i-from < room; i++ {
		row := t.rows[i]
		line := top + i - from
		c.zone(zone{box{b.x, b.y + line, b.w, 1}, zoneRow, t.pane, t.id(row)})
		if t.whole != nil {
			if spans := t.whole(row); spans != nil {
				c.pen(b, line).spans(spans)
				continue
			}
		}
		t.each(b, line, c, widths, func(p *pen, col *column[R]) { col.cell(p, row) })
	}
	var more []string
	if from > 0 {
		more = append(more, "↑ "+grouped(from))
	}
	if hidden := len(t.rows) - from - room; hidden > 0 {
		more = append(more, "↓ "+grouped(hidden))
	}
	if len(more) > 0 && t.foot {
		text := " " + strings.Join(more, "  ") + " more "
		c.put(b.x+b.w-cells(text)-1, b.y+b.h, b.w, grey, text)
	}
	return room
}

func (t *table[R]) each(b box, line int, c *canvas, widths []int, do func(*pen, *column[R])) {
	x := b.x
	p := pen{c: c, y: b.y + line}
	for i := range t.cols {
		if widths[i] == 0 {
			continue
		}
		x += t.cols[i].gap
		p.x, p.begin, p.end = x, x, min(x+widths[i], b.x+b.w)
		if p.x < p.end {
			do(&p, &t.cols[i])
		}
		x += widths[i]
	}
}

// window is the first row shown so that the selected one is visible and the
// last page is full.
func window(offset, selected, room, n int) int {
	if selected >= 0 {
		offset = min(max(offset, selected-room+1), selected)
	}
	return max(min(offset, n-room), 0)
}

func indexOf[R any](rows []R, id func(R) string, name string) int {
	return slices.IndexFunc(rows, func(r R) bool { return id(r) == name })
}

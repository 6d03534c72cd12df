package tui

import (
	"slices"
	"strings"
)

// paneID names a pane that can have the keyboard.
type paneID uint8

const (
	paneServices paneID = iota
	paneKeys            // of the selected service
	paneTimeline
	paneAll // every key there is
	paneTraffic
	paneSystem
	panes
)

// list is what a pane shows and what is selected in it. The selection is a
// name and never a row, so that it stays with its thing when rows move.
type list struct {
	ids    []string
	chosen string
	offset int
	// follow keeps the newest in sight, until a person selects something.
	follow bool
	// column is what a person sorts by; "" is the order of its own.
	column  string
	reverse bool
}

// set takes over the rows. What was selected stays so; where it is gone, its
// neighbour follows. What a filter hides may come back and is not forgotten.
func (l *list) set(ids []string) {
	was := l.at()
	l.ids = ids
	if len(ids) > 0 && !slices.Contains(ids, l.chosen) {
		l.chosen = ids[min(max(was, 0), len(ids)-1)]
	}
}

// at is the row of the selection, -1 where it is not shown.
func (l *list) at() int { return slices.Index(l.ids, l.chosen) }

// pick is the name that is selected, "" where it is not shown: what is not seen
// is not acted on.
func (l *list) pick() string {
	if l.at() < 0 {
		return ""
	}
	return l.chosen
}

// order says how the list is sorted: "needs you first", "quota ↑".
func (l *list) order(natural string) string {
	if l.column == "" {
		return natural
	}
	return strings.ToLower(l.column) + pick(l.reverse, " ↓", " ↑")
}

// sortRows sorts rows by the list's column; in its own order it leaves them.
// What to sort by is asked once of each row, and not at every comparison.
func sortRows[R any](l *list, cols []column[R], rows []R) {
	at := slices.IndexFunc(cols, func(c column[R]) bool { return c.head == l.column && c.by != nil })
	if at < 0 {
		return
	}
	type keyed struct {
		n    float64
		word string
		i    int
	}
	list := make([]keyed, len(rows))
	for i, row := range rows {
		n, word := cols[at].by(row)
		list[i] = keyed{n, word, i}
	}
	sign := pick(l.reverse, -1, 1)
	slices.SortFunc(list, func(a, b keyed) int {
		switch {
		case a.n < b.n:
			return -sign
		case a.n > b.n:
			return sign
		case a.word < b.word:
			return -sign
		case a.word > b.word:
			return sign
		}
		return a.i - b.i
	})
	was := slices.Clone(rows)
	for i := range list {
		rows[i] = was[list[i].i]
	}
}

// sortable lists the columns that a list can be sorted by.
func sortable[R any](cols []column[R]) (heads []string) {
	for _, c := range cols {
		if c.by != nil {
			heads = append(heads, c.head)
		}
	}
	return heads
}

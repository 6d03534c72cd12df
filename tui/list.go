package tui

import (
	"cmp"
	"math"
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
// A key press must not wait for thousands of comparisons of words: each row is
// sorted by one number, of a word its first letters, and only words that begin
// alike are compared.
func sortRows[R any](l *list, cols []column[R], rows []R) {
	at := slices.IndexFunc(cols, func(c column[R]) bool { return c.head == l.column && c.by != nil })
	if at < 0 || len(rows) < 2 {
		return
	}
	places := make([]place, len(rows))
	words := make([]string, len(rows))
	for i, row := range rows {
		n, word := cols[at].by(row)
		places[i], words[i] = place{ascending(n), i}, word
	}
	alike := commonPrefix(words)
	wordy := slices.ContainsFunc(words, func(w string) bool { return w != "" })
	for i := range places {
		if wordy {
			places[i].at = letters8(words[i][alike:])
		}
		if l.reverse {
			places[i].at = ^places[i].at
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return a.row - b.row
	})
	sign := pick(l.reverse, -1, 1)
	for from, to := 0, 0; wordy && from < len(places); from = to {
		for to = from + 1; to < len(places) && places[to].at == places[from].at; to++ {
		}
		slices.SortFunc(places[from:to], func(a, b place) int {
			return cmp.Or(sign*strings.Compare(words[a.row], words[b.row]), a.row-b.row)
		})
	}
	was := slices.Clone(rows)
	for i := range places {
		rows[i] = was[places[i].row]
	}
}

// place is where a row comes in a sorted list.
type place struct {
	at  uint64
	row int
}

// ascending is a number whose order is that of n.
func ascending(n float64) uint64 {
	if bits := math.Float64bits(n + 0); bits>>63 == 0 { // + 0: there is one zero
		return bits | 1<<63
	} else {
		return ^bits
	}
}

// letters8 is a number whose order is that of a word's first eight letters.
func letters8(word string) (n uint64) {
	for i := range 8 {
		n <<= 8
		if i < len(word) {
			n |= uint64(word[i])
		}
	}
	return n
}

// commonPrefix is how many bytes all words begin with alike.
func commonPrefix(words []string) int {
	n := len(words[0])
	for _, w := range words {
		n = min(n, len(w))
		for w[:n] != words[0][:n] {
			n--
		}
	}
	return n
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

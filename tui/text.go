package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// isPlain reports whether text is printable ASCII only: the common case, for
// which a byte is a cell.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] >= 0x7f {
			return false
		}
	}
	return true
}

// symbols is how many runes text has if each is printable ASCII or one of the
// signs that the monitor draws with, all one cell wide; else 0.
func symbols(text string) (n int) {
	for _, r := range text {
		switch {
		case r >= 0x20 && r < 0x7f, r >= 0x2500 && r <= 0x25fc, r >= 0x2800 && r <= 0x28ff, r >= 0x2190 && r <= 0x2193,
			r == '·', r == '—', r == '…', r == '✓', r == '✗', r == '⊗', r == '⊘', r == '⌁', r == '↻', r == '↵':
			n++
		default:
			return 0
		}
	}
	return n
}

// clean makes text from outside harmless: escape sequences, control and
// invisible characters (among them those that turn the direction of writing)
// are taken out; tabs and line ends become spaces.
func clean(text string) string {
	if isPlain(text) || symbols(text) > 0 {
		return text
	}
	harmless := true
	for _, r := range text {
		if forbidden(r) {
			harmless = false
			break
		}
	}
	if harmless && utf8.ValidString(text) {
		return text
	}
	text = ansi.Strip(strings.ToValidUTF8(text, "?"))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case forbidden(r):
			return -1
		}
		return r
	}, text)
}

func forbidden(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError ||
		r > 0xff && (unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
			unicode.Is(unicode.Variation_Selector, r) || r >= 0x1f1e6 && r <= 0x1f1ff || r >= 0x1f3fb && r <= 0x1f3ff)
}

// cells is how many columns text takes when drawn.
func cells(text string) int {
	if isPlain(text) {
		return len(text)
	}
	if n := symbols(text); n > 0 {
		return n
	}
	return ansi.StringWidth(clean(text))
}

// span is a piece of text in one ink.
type span struct {
	ink ink
	s   string
}

// para is a paragraph: a label in a column of its own, if any, and text that
// wraps beside it.
type para struct {
	label string
	spans []span
	// key labels are keys to press: they stand out.
	key bool
}

func line(spans ...span) para { return para{spans: spans} }

// fact is a paragraph with a label.
func fact(label string, spans ...span) para { return para{label: label, spans: spans} }

func say(k ink, text string) span { return span{k, text} }

// width is how many columns spans take in one line.
func width(spans []span) (n int) {
	for _, s := range spans {
		n += cells(s.s)
	}
	return n
}

// wrap breaks spans into lines of at most room cells, at spaces where it can:
// spans with no space between them stay together.
func wrap(spans []span, room int) [][]span {
	room = max(room, 1)
	if width(spans) <= room {
		return [][]span{spans}
	}
	if n := len(spans); n > 0 {
		spans = append(spans[:n-1:n-1], span{spans[n-1].ink, strings.TrimRight(spans[n-1].s, " ")})
	}
	var lines [][]span
	var now []span
	used := 0
	flush := func() {
		if n := len(now); n > 0 {
			now[n-1].s = strings.TrimRight(now[n-1].s, " ")
		}
		lines = append(lines, now)
		now, used = nil, 0
	}
	for i, sp := range spans {
		rest := clean(sp.s)
		for rest != "" {
			word := nextWord(rest)
			rest = rest[len(word):]
			w := cells(word)
			bare := cells(strings.TrimRight(word, " "))
			glued := bare
			if rest == "" && word != "" && word[len(word)-1] != ' ' {
				glued += joined(spans[i+1:])
			}
			if used > 0 && used+glued > room {
				flush()
			}
			if used == 0 && len(lines) > 0 {
				word = strings.TrimLeft(word, " ")
				w = cells(word)
			}
			for w > room && bare > room {
				head := ansi.Truncate(word, room, "")
				if head == "" {
					return lines // not even one character fits
				}
				now = append(now, span{sp.ink, head})
				flush()
				word = word[len(head):]
				w, bare = cells(word), cells(strings.TrimRight(word, " "))
			}
			if word == "" {
				continue
			}
			if n := len(now); n > 0 && now[n-1].ink == sp.ink {
				now[n-1].s += word
			} else {
				now = append(now, span{sp.ink, word})
			}
			used += w
		}
	}
	if len(now) > 0 {
		flush()
	}
	return lines
}

// joined is how wide what follows a word is that ends without a space.
func joined(spans []span) (n int) {
	for _, sp := range spans {
		text := clean(sp.s)
		if text == "" {
			continue
		}
		if text[0] == ' ' {
			return n
		}
		word := nextWord(text)
		n += cells(strings.TrimRight(word, " "))
		if len(word) < len(text) || word[len(word)-1] == ' ' {
			return n
		}
	}
	return n
}

// nextWord is the text up to and with the spaces after its first word.
func nextWord(text string) string {
	i := 0
	for i < len(text) && text[i] == ' ' {
		i++
	}
	for i < len(text) && text[i] != ' ' {
		i++
	}
	for i < len(text) && text[i] == ' ' {
		i++
	}
	return text[:i]
}

// flow lays paragraphs out in lines of at most room cells. Labels share one
// column; where that leaves too little, they stand in the text's line.
func flow(paras []para, room int) [][]span {
	column := 0
	for _, p := range paras {
		column = max(column, cells(p.label))
	}
	if column > 0 {
		column += 2
	}
	lines := make([][]span, 0, len(paras))
	for _, p := range paras {
		hang := column
		if p.label == "" && len(p.spans) > 0 && column > 0 && !strings.HasPrefix(p.spans[0].s, " ") {
			hang = 0
		}
		if hang > 0 && room-hang < 16 {
			hang = min(2, max(room-1, 0))
			if p.label != "" {
				p.spans = append([]span{{pick(p.key, bold, grey), p.label + "  "}}, p.spans...)
				p.label = ""
			}
		}
		for i, l := range wrap(p.spans, room-hang) {
			if hang > 0 {
				label := ""
				if i == 0 {
					label = p.label
				}
				l = append([]span{{pick(p.key, bold, grey), pad(label, hang)}}, l...)
			}
			lines = append(lines, l)
		}
	}
	return lines
}

// pad fills text up with spaces to w cells.
func pad(text string, w int) string {
	if n := w - cells(text); n > 0 {
		return text + spaces(n)
	}
	return text
}

const blanks = "                                                                                "

func spaces(n int) string {
	if n <= len(blanks) {
		return blanks[:max(n, 0)]
	}
	return strings.Repeat(" ", n)
}

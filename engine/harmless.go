package engine

import "strings"

// Harmful reports whether a character does something where text is shown, on a
// terminal, in a log or in a cell, rather than being seen: control characters,
// line ends, and what turns the direction of writing.
func Harmful(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0:
		return true
	case r < 0x61c:
		return false
	}
	return r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Harmless is a text from outside with blanks in the place of what is [Harmful].
func Harmless(text string) string {
	for i := range len(text) { // nearly all are plain
		if c := text[i]; c < ' ' || c >= 0x7f {
			return strings.Map(func(r rune) rune {
				if Harmful(r) {
					return ' '
				}
				return r
			}, strings.ToValidUTF8(text, "?"))
		}
	}
	return text
}

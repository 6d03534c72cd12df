package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// input is a line of text being typed.
type input struct {
	text []rune
	at   int
	// hidden is true of a secret: it is kept as it was typed, only its end can be
	// changed, and all that is drawn of it is how long it is.
	hidden bool
}

// maxInput bounds what can be typed or pasted.
const maxInput = 200

// maxSecret bounds a hidden line: whoever judges it refuses one so long.
const maxSecret = 16 << 10

func (in *input) String() string { return string(in.text) }

func (in *input) insert(rs []rune) {
	most := maxInput
	if in.hidden {
		rs, most = []rune(strings.TrimRight(string(rs), "\r\n")), maxSecret // a pasted line has its end
	} else {
		rs = []rune(clean(string(rs)))
	}
	rs = rs[:min(len(rs), most-min(len(in.text), most))]
	in.text = slices.Insert(in.text, in.at, rs...)
	in.at += len(rs)
}

// key edits the line and reports whether it knew what the key means.
func (in *input) key(k tea.KeyMsg) bool {
	switch {
	case k.Type == tea.KeySpace || k.Type == tea.KeyRunes && !k.Alt:
		in.insert(k.Runes)
		return true
	}
	if in.hidden {
		switch k.String() {
		case "backspace", "ctrl+h":
			in.text = in.text[:max(len(in.text)-1, 0)]
		case "ctrl+u", "ctrl+w", "alt+backspace":
			in.text = nil
		default:
			return false
		}
		in.at = len(in.text)
		return true
	}
	switch k.String() {
	case "left", "ctrl+b":
		in.at = max(in.at-1, 0)
	case "right", "ctrl+f":
		in.at = min(in.at+1, len(in.text))
	case "home", "ctrl+a":
		in.at = 0
	case "end", "ctrl+e":
		in.at = len(in.text)
	case "backspace", "ctrl+h":
		if in.at > 0 {
			in.text = slices.Delete(in.text, in.at-1, in.at)
			in.at--
		}
	case "delete", "ctrl+d":
		if in.at < len(in.text) {
			in.text = slices.Delete(in.text, in.at, in.at+1)
		}
	case "ctrl+u":
		in.text, in.at = slices.Clone(in.text[in.at:]), 0
	case "ctrl+k":
		in.text = in.text[:in.at]
	case "ctrl+w", "alt+backspace":
		head := strings.TrimRight(string(in.text[:in.at]), " ")
		head = head[:strings.LastIndex(head, " ")+1]
		in.text = append([]rune(head), in.text[in.at:]...)
		in.at = len([]rune(head))
	default:
		return false
	}
	return true
}

// spans draws the line with its cursor.
func (in *input) spans(k ink) []span {
	if in.hidden {
		if len(in.text) == 0 {
			return []span{{k | bold, "▏"}, {grey, "is not shown"}}
		}
		return []span{{k, plural(len(in.text), "character")}, {k | bold, "▏"}}
	}
	return []span{{k, string(in.text[:in.at])}, {k | bold, "▏"}, {k, string(in.text[in.at:])}}
}

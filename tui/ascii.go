package tui

// asciiSymbols is what stands for each symbol on a terminal that shows ASCII
// only. Every one is one cell wide.
var asciiSymbols = map[string]string{
	"●": "*", "◔": "~", "◌": "0", "✗": "x", "⊗": "!", "⌁": "e", "⊘": "-", "◆": "P", "▼": "v", "○": "o",
	"▲": "^", "↻": "@", "◇": "%", "▸": ">", "→": ">", "✓": "+", "·": ".", "…": "~", "↵": "<", "↓": "v", "↑": "^",
	"━": "=", "╸": "-", "─": "-", "│": "|", "┃": "#", "┊": ":", "┤": "|", "└": "+", "×": "x", "—": "-", "–": "-", "≤": "<",
	"┏": "#", "┓": "#", "┗": "#", "┛": "#", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
	"▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "#", "▏": "_", "█": "_",
}

// asciiFor is the ASCII for a symbol, "?" for any other character.
func asciiFor(g string) string {
	if g != "" && g[0] < 0x80 {
		return g[:1] // without the accents that follow it
	}
	if s, ok := asciiSymbols[g]; ok {
		return s
	}
	if g >= "\u2801" && g <= "\u28ff" {
		return "*"
	}
	return "?"
}

package keymap

import (
	"cmp"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// writeFlow writes a line for each way of a request: service → key → provider. A
// service that has no key yet goes nowhere. wide tells where each secret is read
// from, and the host that the key goes to.
func (t Table) writeFlow(w io.Writer, l *language, wide bool) error {
	lines := make([][3]string, len(t.Rows))
	var widths [3]int
	for i := range t.Rows {
		r := &t.Rows[i]
		lines[i] = [3]string{r.Service, "—", cmp.Or(r.Provider, "—")}
		if r.Planned {
			lines[i][0] += l.future
		}
		if r.Key != "" {
			name := r.Key
			if wide && r.Ref != "" {
				name += " [" + r.Ref + "]"
			}
			if r.Tier == "fallback" {
				lines[i][1] = name + l.behind
			} else {
				lines[i][1] = l.own + name
			}
			if !strings.HasPrefix(r.Status, "Active") || r.Unserved {
				lines[i][1] += " " + l.flowStatus(r)
			}
		}
		if wide && r.Host != "" {
			lines[i][2] += " " + r.Host
		}
		for j := range widths {
			lines[i][j] = engine.Harmless(lines[i][j])
			widths[j] = max(widths[j], ansi.StringWidth(lines[i][j]))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		for j, text := range cells {
			if j > 0 {
				b.WriteString(" → ")
			}
			b.WriteString(text)
			if j < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-ansi.StringWidth(text)))
			}
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// flowStatus is the state of a key that does not serve.
func (l *language) flowStatus(r *Row) string {
	text := r.Status
	if r.Unserved {
		text += l.unserved
	}
	return "[" + strings.ToLower(text[:1]) + text[1:] + "]"
}

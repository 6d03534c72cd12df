package tui

import (
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// doubleClick is how fast a second click must follow to open what the first
// selected.
const doubleClick = 500 * time.Millisecond

// wheelRows is how far a turn of the wheel moves.
const wheelRows = 3

// mouse finds what was drawn under the pointer and does what that means.
func (m *Model) mouse(e tea.MouseMsg) tea.Cmd {
	if e.Action != tea.MouseActionPress {
		return nil
	}
	c := m.draw()
	z, ok := c.zoneAt(e.X, e.Y)
	if !ok {
		return nil
	}
	if tea.MouseEvent(e).IsWheel() {
		step := wheelRows
		if e.Button == tea.MouseButtonWheelUp {
			step = -wheelRows
		}
		m.wheel(c, e, step)
		return nil
	}
	if e.Button != tea.MouseButtonLeft {
		return nil
	}
	again := m.clicked == z && m.now.Sub(m.clickAt) <= doubleClick
	m.clicked, m.clickAt = z, m.now
	if z.kind == zoneRow || z.kind == zoneHead || z.kind == zonePane {
		m.showPane(z.pane)
	}
	switch z.kind {
	case zonePane:
		m.focus = z.pane
	case zoneRow:
		m.focus = z.pane
		m.choose(z.pane, slices.Index(m.lists[z.pane].ids, z.name))
	case zoneHead:
		m.focus = z.pane
		if l := m.list(); l.column == z.name {
			l.reverse = !l.reverse
		} else {
			l.column, l.reverse = z.name, false
		}
	case zoneHint:
		if a := actionFor(z.name); a != nil && a.applies(&m.state) {
			return m.perform(a, z.name)
		}
	case zoneOption:
		if n := len(m.dialogs); n > 0 {
			return m.dialogs[n-1].clicked(m, z.name)
		}
	}
	if again && z.kind == zoneRow {
		return deeper(m)
	}
	m.arrange()
	return nil
}

// wheel moves in the dialog or in the pane under the pointer.
func (m *Model) wheel(c *canvas, e tea.MouseMsg, step int) {
	if n := len(m.dialogs); n > 0 {
		if d := m.dialogs[n-1]; d.page() {
			name := pick(step > 0, "down", "up")
			for range wheelRows {
				d.scroll(m, name)
			}
		}
		return
	}
	for _, z := range c.zones {
		if z.kind == zonePane && z.contains(e.X, e.Y) {
			if z.pane == paneSystem {
				m.scrollSystem(step)
				return
			}
			if z.pane == paneTimeline {
				m.focus = z.pane
			}
			m.choose(z.pane, max(m.lists[z.pane].at()+step, 0))
			return
		}
	}
}

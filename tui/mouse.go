package tui

import (
	"slices"
	"strconv"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
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
	switch z.kind {
	case zonePane:
		n, _ := strconv.Atoi(z.name)
		m.focus = paneID(n)
	case zoneService:
		m.focus = paneServices
		m.choose(paneServices, slices.Index(m.rows, z.name))
	case zoneKey:
		m.focus = paneKeys
		m.choose(paneKeys, slices.IndexFunc(m.state.keys, func(k *engine.KeyStatus) bool { return k.Name == z.name }))
	case zoneEvent:
		m.focus = paneTimeline
		m.choose(paneTimeline, slices.IndexFunc(m.timeline, func(i int) bool { return eventName(&m.state.events[i]) == z.name }))
	case zoneHint:
		if a := actionFor(z.name); a != nil && a.applies(&m.state) {
			return a.run(m, z.name)
		}
	case zoneOption:
		if n := len(m.dialogs); n > 0 {
			d := m.dialogs[n-1]
			for _, o := range d.options {
				if o.key == z.name {
					return d.take(m, o)
				}
			}
		}
	}
	if again && z.kind != zonePane {
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
			n, _ := strconv.Atoi(z.name)
			id := paneID(n)
			if id == paneTimeline {
				m.focus = id
			}
			m.choose(id, max(m.position(id)+step, 0))
		}
	}
}

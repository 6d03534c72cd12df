package tui

import (
	"io"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// signal tells the terminal itself what has come: its bell rings at an alert,
// its title says who needs a person. Both only where the options say so.
func (m *Model) signal(events []engine.Event) tea.Cmd {
	var out string
	if m.bell {
		for i := range events {
			if ev := &events[i]; ev.Kind == engine.EventAlert && ev.State != engine.Active { // not its end
				out = "\a"
			}
		}
	}
	if m.titled {
		if title := m.live().headline(); title != m.headline {
			m.headline = title
			out += ansi.SetWindowTitle(title)
		}
	}
	write := m.write
	if out == "" || write == nil {
		return nil
	}
	return func() tea.Msg {
		_, _ = io.WriteString(write, out)
		return nil
	}
}

// headline is all of it in a few words, for the title of the terminal.
func (sc *scene) headline() string {
	var names []string
	for _, most := range []rank{rankDown, rankHeld} { // those that are down come first
		for i := range sc.services {
			if s := &sc.services[i]; s.rank <= most && s.rank.needsYou() && (s.rank == rankDown) == (most == rankDown) {
				names = append(names, clean(s.Name))
			}
		}
	}
	switch n := len(names); {
	case n == 0:
		return "keywheel"
	case n > 3:
		return "▲ " + strconv.Itoa(n) + " need you: " + strings.Join(names[:3], " ") + " … - keywheel"
	default:
		return "▲ " + strings.Join(names, " ") + " - keywheel"
	}
}

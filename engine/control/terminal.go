package control

import (
	"os"
	"strings"
)

// terminalHeader is where a client says which terminal it sits at. It is a name
// for people and opens nothing.
const terminalHeader = "Keywheel-Terminal"

// maxTerminal is the longest name of a terminal.
const maxTerminal = 24

// isTerminal reports whether a text may be the name of a terminal: "pts/3".
func isTerminal(name string) bool {
	return name != "" && len(name) <= maxTerminal && strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '/' || r == '.' || r == '-' || r == '_')
	}) < 0
}

// terminal is the name of the terminal that this process reads from, "" where
// it has none or the system does not tell.
func terminal() string {
	path, err := os.Readlink("/proc/self/fd/0")
	name, ok := strings.CutPrefix(path, "/dev/")
	if err != nil || !ok || !isTerminal(name) || !strings.HasPrefix(name, "pts/") && !strings.HasPrefix(name, "tty") {
		return ""
	}
	return name
}

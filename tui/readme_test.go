package tui

import (
	"os"
	"strings"
	"testing"
)

// The README's table of keys is the program's.
func TestReadmeHasTheKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- keys: begin (from the table in tui/actions.go; a test compares) -->\n")
	table, _, ok := strings.Cut(rest, "<!-- keys: end -->")
	if want := KeyTable(); !ok || strings.TrimSpace(table) != strings.TrimSpace(want) {
		t.Errorf("between the marks in README.md must stand\n%s", want)
	}
}

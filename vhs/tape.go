package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A tape is a VHS tape (github.com/charmbracelet/vhs), as far as this player
// understands it: a list of commands.
type tape []command

// command is one line of a tape.
type command struct {
	line  int
	verb  string
	text  string         // what Type types, what Set sets, what Output and Screenshot name
	count int            // how often a key is pressed
	d     time.Duration  // how long Sleep sleeps, how long Wait waits
	want  *regexp.Regexp // what Wait waits for on the screen
}

// keys are what VHS's key commands send.
var keys = map[string]string{
	"Enter": "\r", "Escape": "\x1b", "Tab": "\t", "Space": " ", "Backspace": "\x7f",
	"Up": "\x1b[A", "Down": "\x1b[B", "Right": "\x1b[C", "Left": "\x1b[D", "PageUp": "\x1b[5~", "PageDown": "\x1b[6~",
}

// parse reads a tape. The error names the line.
func parse(r io.Reader) (tape, error) {
	var t tape
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCommand(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		c.line = n
		t = append(t, c)
	}
	return t, lines.Err()
}

func parseCommand(line string) (c command, err error) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	name, at, timed := strings.Cut(verb, "@")
	c = command{verb: name, count: 1}
	if timed {
		if c.d, err = time.ParseDuration(at); err != nil {
			return c, err
		}
	}
	switch {
	case name == "Type":
		c.text, err = unquote(rest)
	case name == "Output" || name == "Screenshot" || name == "Set" || name == "Require" || name == "Env":
		c.text = rest
	case name == "Hide" || name == "Show":
	case name == "Sleep":
		c.d, err = time.ParseDuration(rest)
	case name == "Wait+Screen":
		if len(rest) < 2 || rest[0] != '/' || rest[len(rest)-1] != '/' {
			return c, fmt.Errorf("Wait+Screen wants /a pattern/, not %q", rest)
		}
		c.want, err = regexp.Compile(rest[1 : len(rest)-1])
	case keys[name] != "":
		if rest != "" {
			c.count, err = strconv.Atoi(rest)
		}
	case strings.HasPrefix(name, "Ctrl+") && len(name) == len("Ctrl+")+1:
	default:
		err = fmt.Errorf("this player does not know %q", verb)
	}
	return c, err
}

func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != s[len(s)-1] || !strings.ContainsRune("\"'`", rune(s[0])) {
		return "", fmt.Errorf("%s: want a quoted text", s)
	}
	return s[1 : len(s)-1], nil
}

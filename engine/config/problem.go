package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// Problem is one thing that is wrong, or that should be known, in one line.
type Problem struct {
	// File is the file as the person knows it, or the variable.
	File string
	// Line counts from 1; 0 is the whole file.
	Line int
	Text string
	// Of is the one key or service that it is about.
	Of Subject
}

// ProblemOf is a problem that a running keywheel tells of.
func ProblemOf(p engine.ConfigProblem) Problem {
	return Problem{File: p.File, Line: p.Line, Text: p.Text}
}

// Subject is a key or a service by name; one of them at most, and none where a
// problem is of neither or of several.
type Subject struct{ Key, Service string }

// String gives "keywheel.toml:12: keys.main: unknown setting ...".
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	default:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	}
}

// Errors is all that is wrong with a configuration.
type Errors []Problem

// Error gives one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// NotFoundError says that there is no configuration at all, neither a file nor
// any of the variables.
type NotFoundError struct {
	// Looked are the places that were looked at.
	Looked []string
	// Dotenv is a .env file that `keywheel import` can take, Holds the variables
	// in it that say so; "" is none.
	Dotenv string
	Holds  []string
}

// Error says where it looked and what to try.
func (e *NotFoundError) Error() string {
	text := "no configuration found. Looked for\n  " + strings.Join(e.Looked, "\n  ")
	if e.Dotenv != "" {
		text += fmt.Sprintf("\n%s is there, with %s, but nothing says what to use that for. `keywheel import %s > %s` makes a config of it.",
			e.Dotenv, strings.Join(e.Holds, ", "), e.Dotenv, fileName)
	}
	return text + `
Try one of
  keywheel demo      see it work on simulated providers, without any key
  keywheel init      paste a key and get a config
  keywheel import    turn a .env file into a config`
}

// report gathers problems from all sources.
type report struct {
	errors   []Problem
	warnings []Problem
	notes    []Problem
}

func (r *report) error(p Problem) { r.errors = append(r.errors, p.harmless()) }
func (r *report) warn(p Problem)  { r.warnings = append(r.warnings, p.harmless()) }

// harmless is the problem without what looks like a key, for one may stand where
// a name belongs, and without the control characters that a parser quotes.
func (p Problem) harmless() Problem {
	p.Text = engine.Harmless(secret.Hide(p.Text))
	return p
}
func (r *report) note(p Problem) { r.notes = append(r.notes, p) }

// about says of all warnings and notes that look adds whom they are about.
func (r *report) about(of Subject, look func()) {
	warnings, notes := len(r.warnings), len(r.notes)
	look()
	for i := range r.warnings[warnings:] {
		r.warnings[warnings+i].Of = of
	}
	for i := range r.notes[notes:] {
		r.notes[notes+i].Of = of
	}
}

// inOrder sorts by file and line, without repeating any.
func inOrder(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(list)
}

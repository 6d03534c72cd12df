package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// document is one TOML file while it is read.
type document struct {
	*report
	file  string
	lines lineIndex
}

// spot is a place in the document that something can be wrong with.
type spot struct {
	// path is the place itself, table what it belongs to, name what it is
	// called there: keys.main.limits.rpm, keys.main and "limits.rpm".
	path  path
	table path
	name  string
}

func at(p path) spot { return spot{path: p, table: p[:len(p)-1], name: bareOrQuoted(p[len(p)-1])} }

// sub is a setting inside the setting s.
func (s spot) sub(name string) spot {
	return spot{s.path.join(name), s.table, s.name + "." + bareOrQuoted(name)}
}

// item is the list item i of the setting s.
func (s spot) item(i int) spot {
	return spot{s.path.join(fmt.Sprint(i)), s.table, fmt.Sprintf("item %d of %s", i+1, s.name)}
}

// problem says that what stands at s is as told: "must be a string".
func (d *document) problem(s spot, format string, args ...any) Problem {
	text := s.name + " " + fmt.Sprintf(format, args...)
	if len(s.table) > 0 {
		text = s.table.String() + ": " + text
	}
	return Problem{File: d.file, Line: d.lines.line(s.path), Text: text}
}

func (d *document) fail(s spot, format string, args ...any) { d.error(d.problem(s, format, args...)) }
func (d *document) hint(s spot, format string, args ...any) { d.warn(d.problem(s, format, args...)) }
func (d *document) say(s spot, format string, args ...any)  { d.note(d.problem(s, format, args...)) }

// has reports whether the document says anything at p.
func (d *document) has(p path) bool { _, ok := d.lines.at[key(p)]; return ok }

// source names the line of p: "keywheel.toml:12".
func (d *document) source(p path) string { return fmt.Sprintf("%s:%d", d.file, d.lines.line(p)) }

// sorted gives the names in a table in the order they are written.
func (d *document) sorted(p path, table map[string]any) []string {
	return slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.lines.order(p.join(a)), d.lines.order(p.join(b))), cmp.Compare(a, b))
	})
}

// A settings table says which settings there are and what each fills in.
type settings[T any] map[string]setter[T]

// A setter takes one value, or says what is wrong with it.
type setter[T any] func(d *document, s spot, v any, to *T)

// names lists the settings in alphabetical order.
func (table settings[T]) names() []string { return slices.Sorted(maps.Keys(table)) }

// read takes all settings of one table of the document.
func (table settings[T]) read(d *document, p path, values map[string]any, to *T) {
	for _, name := range d.sorted(p, values) {
		s := at(p.join(name))
		if set, ok := table[name]; ok {
			set(d, s, values[name], to)
			continue
		}
		s.name = "unknown setting"
		d.fail(s, "%q%s", name, didYouMean(name, table.names()))
	}
}

// as takes a value of one type; any other is a problem.
func as[V any](d *document, s spot, v any) (V, bool) {
	value, ok := v.(V)
	if !ok {
		d.fail(s, "must be %s, not %s", typeName(value), typeName(v))
	}
	return value, ok
}

// typeName says what a TOML value is in words.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	default:
		return "a list"
	}
}

// syntaxProblem says where the TOML itself is broken. What the parser quotes
// from the file could be part of a secret and is left out.
func syntaxProblem(file string, err error) Problem {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return Problem{File: file, Text: "is not TOML"}
	}
	text := pe.Message
	if !strings.HasPrefix(text, "Key ") {
		text = fromFile.ReplaceAllString(text, "...")
	}
	if strings.HasPrefix(text, "expected value") {
		text += "; text belongs in quotes"
	}
	if pe.LastKey != "" && !strings.Contains(text, pe.LastKey) {
		text += fmt.Sprintf(" (after %s)", pe.LastKey)
	}
	return Problem{File: file, Line: pe.Position.Line, Text: "not TOML: " + strings.TrimSuffix(text, ".")}
}

// withoutTwice blanks out of a document what the parser says is there a second
// time, and keeps the lines. After any other error it changes nothing.
func withoutTwice(source string, err error) string {
	var pe toml.ParseError
	if !errors.As(err, &pe) || !strings.HasSuffix(strings.TrimSuffix(pe.Message, "."), "has already been defined") {
		return source
	}
	source = strings.TrimPrefix(source, "\ufeff")
	from, to := indexLines(source).statement(pe.Position.Line)
	blank := strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return ' '
	}, source[from:to])
	return source[:from] + blank + source[to:]
}

// fromFile is what the parser quotes, when it is longer than a sign or two.
var fromFile = regexp.MustCompile(`"[^"]{4,}"|'[^'\s]{4,}'|\S{16,}`)

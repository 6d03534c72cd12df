package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// path names a place in a TOML document: {"keys", "main", "scopes", "1"}. List
// items are numbered from 0.
type path []string

// join makes a path one step longer; the receiver stays as it is.
func (p path) join(name string) path { return append(p[:len(p):len(p)], name) }

// String writes the path as TOML does.
func (p path) String() string {
	parts := make([]string, len(p))
	for i, name := range p {
		parts[i] = bareOrQuoted(name)
	}
	return strings.Join(parts, ".")
}

func bareOrQuoted(name string) string {
	for i := range len(name) {
		if !bareByte(name[i]) {
			return strconv.Quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}

func bareByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// lineIndex knows on which line of a TOML document everything is written. It
// is made for documents that the TOML library has taken; of others it knows
// what comes before the fault.
type lineIndex struct {
	at map[string]place
	// statements are all settings and [tables], a table up to the next one.
	statements []span
}

// span is a part of a document: from is its first byte, to the byte behind it.
type span struct{ line, from, to int }

// statement is where the bytes of the last statement are that begins on a line
// or before it; nowhere is 0, 0.
func (x lineIndex) statement(line int) (from, to int) {
	for _, s := range x.statements {
		if s.line <= line {
			from, to = s.from, s.to
		}
	}
	return from, to
}

// place is where something is written. Order counts up through the document.
type place struct{ line, order int }

// line is where p is written, or else the nearest of what p is in; 0 is unknown.
func (x lineIndex) line(p path) int {
	for ; len(p) > 0; p = p[:len(p)-1] {
		if at, ok := x.at[key(p)]; ok {
			return at.line
		}
	}
	return 0
}

// order compares by the place in the document.
func (x lineIndex) order(p path) int { return x.at[key(p)].order }

func key(p path) string { return strings.Join(p, "\x00") }

// indexLines finds the places of all tables, settings and list items of text.
func indexLines(text string) lineIndex {
	s := &scanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1, lineIndex: lineIndex{at: map[string]place{}}, items: map[string]int{}}
	var table path
	header := -1 // the statement of table
	for {
		s.blanks(true)
		here := span{s.line, s.pos, len(s.text)}
		if header >= 0 && (s.done() || s.peek() == '[') {
			s.statements[header].to = s.pos
		}
		if s.done() {
			return s.lineIndex
		}
		if s.peek() != '[' {
			if !s.setting(table) {
				return s.lineIndex
			}
			here.to = s.pos
			s.statements = append(s.statements, here)
			continue
		}
		header = len(s.statements)
		s.statements = append(s.statements, here)
		list := strings.HasPrefix(s.rest(), "[[")
		s.skip(1)
		if list {
			s.skip(1)
		}
		line := s.line
		name, ok := s.name()
		if !ok {
			return s.lineIndex
		}
		table = s.header(name, list, line)
		for !s.done() && s.peek() == ']' {
			s.skip(1)
		}
	}
}

// scanner walks through a TOML document.
type scanner struct {
	lineIndex
	text string
	pos  int
	line int
	// items counts the tables of each [[list]].
	items map[string]int
}

func (s *scanner) done() bool   { return s.pos >= len(s.text) }
func (s *scanner) peek() byte   { return s.text[s.pos] }
func (s *scanner) rest() string { return s.text[s.pos:] }

// skip goes n bytes on and counts the lines in them.
func (s *scanner) skip(n int) {
	n = min(n, len(s.text)-s.pos)
	s.line += strings.Count(s.text[s.pos:s.pos+n], "\n")
	s.pos += n
}

// blanks goes over blanks, and over line ends and comments too if asked.
func (s *scanner) blanks(lines bool) {
	for !s.done() {
		switch c := s.peek(); {
		case c == ' ' || c == '\t':
			s.pos++
		case lines && (c == '\n' || c == '\r'):
			s.skip(1)
		case lines && c == '#':
			s.toLineEnd()
		default:
			return
		}
	}
}

func (s *scanner) toLineEnd() {
	if i := strings.IndexByte(s.rest(), '\n'); i >= 0 {
		s.pos += i
	} else {
		s.pos = len(s.text)
	}
}

// note keeps where p is first written.
func (s *scanner) note(p path, line int) {
	if _, known := s.at[key(p)]; !known {
		s.at[key(p)] = place{line, len(s.at) + 1}
	}
}

// noteAll notes base and every step from there to name.
func (s *scanner) noteAll(base path, name []string, line int) path {
	for _, step := range name {
		base = base.join(step)
		s.note(base, line)
	}
	return base
}

// header notes a [table] or one more of a [[list]] of tables. In a name that
// goes through such a list its last table is meant.
func (s *scanner) header(name []string, list bool, line int) path {
	var table path
	for i, step := range name {
		table = s.noteAll(table, []string{step}, line)
		n, isList := s.items[key(table)]
		last := i == len(name)-1
		if last && list {
			s.items[key(table)] = n + 1
			table = s.noteAll(table, []string{strconv.Itoa(n)}, line)
		} else if isList {
			table = table.join(strconv.Itoa(n - 1))
		}
	}
	// A table that was only passed through before is here in its own right.
	if at := s.at[key(table)]; at.line != 0 && !list {
		s.at[key(table)] = place{line, at.order}
	}
	return table
}

// setting notes name = value; false is that it makes no sense.
func (s *scanner) setting(table path) bool {
	line := s.line
	name, ok := s.name()
	if !ok || s.done() || s.peek() != '=' {
		return false
	}
	s.skip(1)
	s.blanks(false)
	return s.value(s.noteAll(table, name, line))
}

// name reads a.b."c d" and the blanks after it.
func (s *scanner) name() (steps []string, ok bool) {
	for {
		s.blanks(false)
		step, ok := s.step()
		if !ok {
			return nil, false
		}
		steps = append(steps, step)
		s.blanks(false)
		if s.done() || s.peek() != '.' {
			return steps, true
		}
		s.skip(1)
	}
}

func (s *scanner) step() (string, bool) {
	if s.done() {
		return "", false
	}
	if c := s.peek(); c == '"' || c == '\'' {
		from := s.pos
		if !s.quoted(string(c), c == '"') {
			return "", false
		}
		body := s.text[from+1 : s.pos-1]
		if c == '"' {
			body = unescape(body)
		}
		return body, true
	}
	from := s.pos
	for !s.done() && (bareByte(s.peek()) || s.peek() >= utf8.RuneSelf) {
		s.pos++
	}
	return s.text[from:s.pos], s.pos > from
}

// quoted goes over a string that quote begins and ends.
func (s *scanner) quoted(quote string, escapes bool) bool {
	s.skip(len(quote))
	for !s.done() {
		switch {
		case escapes && s.peek() == '\\':
			s.skip(2)
		case strings.HasPrefix(s.rest(), quote):
			s.skip(len(quote))
			// Two more quotes may stand at the very end of a long string.
			for n := 0; len(quote) == 3 && n < 2 && strings.HasPrefix(s.rest(), quote[:1]); n++ {
				s.skip(1)
			}
			return true
		case len(quote) == 1 && s.peek() == '\n':
			return false
		default:
			s.skip(1)
		}
	}
	return false
}

// value goes over the value of p and notes what is in it.
func (s *scanner) value(p path) bool {
	if s.done() {
		return false
	}
	for _, quote := range []string{`"""`, `'''`, `"`, `'`} {
		if strings.HasPrefix(s.rest(), quote) {
			return s.quoted(quote, quote[0] == '"')
		}
	}
	switch s.peek() {
	case '[':
		return s.members(']', func(n int) bool {
			s.note(p.join(strconv.Itoa(n)), s.line)
			return s.value(p.join(strconv.Itoa(n)))
		})
	case '{':
		return s.members('}', func(int) bool { return s.setting(p) })
	}
	// Numbers, dates, true and false. A date may have a blank in it: what
	// follows it is then no comma, bracket, comment or line end either.
	from := s.pos
	for !s.done() && !strings.ContainsRune(",]}#\n", rune(s.peek())) {
		s.pos++
	}
	return s.pos > from
}

// members goes over what stands between brackets, with commas between.
func (s *scanner) members(end byte, member func(n int) bool) bool {
	s.skip(1)
	for n := 0; ; n++ {
		s.blanks(true)
		if s.done() {
			return false
		}
		if s.peek() == end {
			s.skip(1)
			return true
		}
		if !member(n) {
			return false
		}
		s.blanks(true)
		if !s.done() && s.peek() == ',' {
			s.skip(1)
		}
	}
}

// unescape reads the escapes of a quoted name.
func unescape(body string) string {
	if !strings.Contains(body, `\`) {
		return body
	}
	var out strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			out.WriteByte(body[i])
			continue
		}
		i++
		size := map[byte]int{'x': 2, 'u': 4, 'U': 8}[body[i]]
		if size > 0 && i+size < len(body) {
			if r, err := strconv.ParseUint(body[i+1:i+1+size], 16, 32); err == nil {
				out.WriteRune(rune(r))
				i += size
				continue
			}
		}
		if c, ok := escapes[body[i]]; ok {
			out.WriteByte(c)
		} else {
			out.WriteByte(body[i])
		}
	}
	return out.String()
}

var escapes = map[byte]byte{'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', 'e': 0x1b}

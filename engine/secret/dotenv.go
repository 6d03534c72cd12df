package secret

import (
	"slices"
	"strings"
)

// Dotenv is the variables of one .env file. Nothing in it is executed, and
// nothing comes into it from the environment: ${NAME} stands for a variable
// set further up in the same file, everything else stays as written.
type Dotenv struct {
	vars map[string]Variable
	// Bad are the lines that are not NAME=value, in order.
	Bad []int
}

// Variable is a value and the line its name stands on.
type Variable struct {
	Value string
	Line  int
}

// Lookup finds a variable by name. Of several the last one stands.
func (d Dotenv) Lookup(name string) (Variable, bool) {
	v, ok := d.vars[name]
	return v, ok
}

// Names lists the variables in alphabetical order.
func (d Dotenv) Names() []string {
	names := make([]string, 0, len(d.vars))
	for name := range d.vars {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ParseDotenv reads the text of a .env file: NAME=value, export NAME=value,
// 'single' and "double" quoted values over several lines, # comments. A line it
// cannot read is noted and passed over; one bad line does not hide the others.
func ParseDotenv(text string) Dotenv {
	text = strings.TrimPrefix(text, "\ufeff")
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	d := Dotenv{vars: map[string]Variable{}}
	for line := 1; text != ""; {
		statement, rest, _ := strings.Cut(text, "\n")
		name, value, ok := assignment(statement)
		if !ok {
			if s := strings.TrimSpace(statement); s != "" && s[0] != '#' {
				d.Bad = append(d.Bad, line)
			}
			text, line = rest, line+1
			continue
		}
		if value == "" || value[0] != '\'' && value[0] != '"' {
			d.vars[name] = Variable{d.expand(unquoted(value)), line}
			text, line = rest, line+1
			continue
		}
		// The quoted value may go on beyond the statement's line.
		from := len(statement) - len(value)
		end := closing(text[from:])
		if end < 0 {
			d.Bad = append(d.Bad, line)
			text, line = rest, line+1
			continue
		}
		d.vars[name] = Variable{d.quoted(text[from : from+end+1]), line}
		last := line + strings.Count(text[from:from+end], "\n")
		tail, rest, _ := strings.Cut(text[from+end+1:], "\n")
		if tail = strings.TrimSpace(tail); tail != "" && tail[0] != '#' {
			d.Bad = append(d.Bad, last)
		}
		text, line = rest, last+1
	}
	return d
}

// assignment splits NAME=value; the value is without blanks in front.
func assignment(statement string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(statement, "=")
	name = strings.TrimSpace(name)
	if after, found := strings.CutPrefix(name, "export"); found && strings.TrimLeft(after, " \t") != after {
		name = strings.TrimSpace(after)
	}
	return name, strings.TrimLeft(value, " \t"), ok && name != "" && strings.IndexFunc(name, notInName) < 0
}

func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
}

// unquoted cuts the comment, which begins with a # after a blank.
func unquoted(value string) string {
	for i := range len(value) {
		if value[i] == '#' && (i == 0 || value[i-1] == ' ' || value[i-1] == '\t') {
			value = value[:i]
			break
		}
	}
	return strings.TrimSpace(value)
}

// closing finds the quote that ends the text begun by text[0]; -1 is none.
func closing(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == text[0]:
			return i
		case text[i] == '\\' && i+1 < len(text) && (text[0] == '"' || text[i+1] == '\''):
			i++ // between single quotes only \' is an escape
		}
	}
	return -1
}

var (
	singleEscapes = strings.NewReplacer(`\'`, `'`)
	doubleEscapes = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\\`, `\`, `\$`, `$`)
)

// quoted takes the quotes off.
func (d Dotenv) quoted(text string) string {
	body := text[1 : len(text)-1]
	if text[0] == '\'' {
		return singleEscapes.Replace(body)
	}
	return doubleEscapes.Replace(d.expand(body))
}

// expand puts the file's own earlier variables in for ${NAME}.
func (d Dotenv) expand(value string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(value, "${")
		name, rest, closed := strings.Cut(after, "}")
		v, known := d.vars[name]
		if !found || !closed {
			break
		}
		out.WriteString(before)
		if known && !strings.HasSuffix(before, `\`) {
			out.WriteString(v.Value)
		} else {
			out.WriteString("${" + name + "}")
		}
		value = rest
	}
	out.WriteString(value)
	return out.String()
}

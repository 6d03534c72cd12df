package checkup

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// signs are the marks as people see them, and without special characters.
var signs = map[bool][3]string{false: {"✓", "!", "✗"}, true: {"ok", "! ", "X "}}

// Write writes the report for people, in lines of at most width cells; 0 does not
// break lines.
func (r Report) Write(w io.Writer, width int) error {
	p := &page{width: width, signs: signs[r.ascii]}
	for _, s := range r.Sources {
		p.line("", s)
	}
	p.line("", "states from "+r.From)
	p.findings("", r.Findings)
	p.heading("KEYS")
	names := 0
	for _, k := range r.Keys {
		names = max(names, min(ansi.StringWidth(k.title()), widest))
	}
	for _, k := range worstLast(r.Keys, func(k Key) Mark { return k.Mark }) {
		said := []string{k.Provider}
		for _, f := range k.Findings {
			if f.Mark == OK && f.Text != "" && f.About != "secret" {
				said = append(said, f.Text)
			}
		}
		if r.untried && k.Mark == OK {
			said = append(said, "not used yet")
		}
		p.entry(k.Mark, k.title(), names, strings.Join(said, ", "), k.Findings)
	}
	p.heading("SERVICES")
	names = 0
	for _, s := range r.Services {
		names = max(names, min(ansi.StringWidth(s.Name), widest))
	}
	for _, s := range worstLast(r.Services, func(s Service) Mark { return s.Mark }) {
		var said []string
		for _, f := range s.Findings {
			if f.Mark == OK && f.Text != "" && f.About != "needs" {
				said = append(said, f.Text)
			}
		}
		p.entry(s.Mark, s.Name, names, strings.Join(said, "; "), s.Findings)
	}
	r.writeAdvice(p)
	p.line("", "")
	p.line("", r.sum())
	_, err := io.WriteString(w, p.b.String())
	return err
}

// worstLast puts what needs a person at the end: there a terminal stands when all
// is printed.
func worstLast[T any](list []T, mark func(T) Mark) []T {
	return slices.SortedStableFunc(slices.Values(list), func(a, b T) int { return cmp.Compare(mark(a), mark(b)) })
}

func (r Report) writeAdvice(p *page) {
	if len(r.Advice) == 0 {
		return
	}
	p.heading("ADVICE")
	for _, a := range r.Advice {
		p.line("- ", a.Text)
	}
	for _, s := range r.Strategies {
		if len(s.Proposal) == 0 {
			continue
		}
		p.line("- ", fmt.Sprintf("with the %d keys of %s:", s.Keys, s.Provider))
		who, key := 0, 0
		for _, place := range s.Proposal {
			a, b, _ := place.line()
			who, key = max(who, ansi.StringWidth(a)), max(key, ansi.StringWidth(b))
		}
		for _, place := range s.Proposal {
			a, b, c := place.line()
			p.line("    "+pad(a, who)+"  "+pad(b, key)+"  ", c)
		}
	}
}

// sum is the last line: what needs a person, by name.
func (r Report) sum() string {
	var who []string
	for _, k := range r.Keys {
		if k.Mark == Act {
			who = append(who, "key "+k.Name)
		}
	}
	for _, s := range r.Services {
		if s.Mark == Act {
			who = append(who, "service "+s.Name)
		}
	}
	if worst(r.Findings) == Act {
		who = append(who, "the config")
	}
	all := fmt.Sprintf("%s, %s, listen on %s", count(len(r.Services), "service"), count(len(r.Keys), "key"), r.Listen)
	if len(who) == 0 {
		return all + ": nothing needs you"
	}
	return fmt.Sprintf("%s: %d need you: %s", all, len(who), strings.Join(who, ", "))
}

// title is a key's name with the mark of its secret.
func (k Key) title() string {
	if k.Fingerprint == "" {
		return k.Name
	}
	return k.Name + " " + mark(k.Fingerprint)
}

// The widest column of names that lines up, and the narrowest of what is said
// behind it.
const (
	widest    = 24
	narrowest = 40
)

// page gathers lines.
type page struct {
	b     strings.Builder
	width int
	signs [3]string
}

func (p *page) heading(text string) { p.line("", ""); p.line("", text) }

// entry is a key or a service: a line, and one for each thing that is not as it
// should be.
func (p *page) entry(m Mark, name string, width int, said string, list []Finding) {
	p.line(p.signs[m]+" "+pad(name, width)+"  ", said)
	p.findings("    ", list)
}

func (p *page) findings(indent string, list []Finding) {
	for _, f := range list {
		if f.Mark == OK {
			continue
		}
		text := f.Text
		if f.At != "" {
			text = f.At + ": " + text
		}
		p.line(indent+p.signs[f.Mark]+" ", text)
		if f.Do != "" {
			p.line(indent+strings.Repeat(" ", ansi.StringWidth(p.signs[f.Mark]))+" ", "→ "+f.Do)
		}
	}
}

// line writes text behind a lead, and what does not fit below it.
func (p *page) line(lead, text string) {
	indent := ansi.StringWidth(lead)
	if p.width > 0 && p.width-indent < narrowest {
		indent = min(indent, 4)
	}
	line, filled := lead, true // with nothing but the lead
	for _, word := range strings.Fields(engine.Harmless(text)) {
		switch {
		case filled:
			line += word
		case p.width > 0 && ansi.StringWidth(line)+1+ansi.StringWidth(word) > p.width:
			p.b.WriteString(line + "\n")
			line = strings.Repeat(" ", indent) + word
		default:
			line += " " + word
		}
		filled = false
	}
	p.b.WriteString(strings.TrimRight(line, " ") + "\n")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

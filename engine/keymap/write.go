package keymap

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// column is one of the table's, in both languages.
type column struct {
	en, zh string
	cell   func(*Row, *language) string
}

// language is the words of one.
type language struct {
	heading func(column) string
	title   string
	future  string
	// unserved stands behind the state where a service that is required has no
	// usable key; yes and no are whether it is required.
	unserved string
	yes, no  string
	// own stands before a service's key in the flow, behind after one that it
	// falls back on.
	own, behind string
	// updated begins the line below that tells the day, if there is one.
	updated string
	columns []column
}

var (
	service     = column{"service", "服务", func(r *Row, _ *language) string { return r.Service }}
	project     = column{"project", "项目", func(r *Row, _ *language) string { return r.Project }}
	key         = column{"key", "API Key", func(r *Row, _ *language) string { return r.Key }}
	purpose     = column{"purpose", "用途", func(r *Row, _ *language) string { return r.Purpose }}
	status      = column{"status", "状态", func(r *Row, l *language) string { return l.status(r) }}
	date        = column{"date", "日期", func(r *Row, _ *language) string { return r.Date }}
	required    = column{"required", "是否必需", func(r *Row, l *language) string { return map[bool]string{true: l.yes, false: l.no}[r.Required] }}
	tier        = column{"tier", "层级", func(r *Row, _ *language) string { return r.Tier }}
	provider    = column{"provider", "提供商", func(r *Row, _ *language) string { return r.Provider }}
	account     = column{"account", "账户", func(r *Row, _ *language) string { return r.Account }}
	fingerprint = column{"fingerprint", "指纹", func(r *Row, _ *language) string { return r.Fingerprint }}
	scopes      = column{"scopes", "权限", func(r *Row, _ *language) string { return strings.Join(r.Scopes, " ") }}
	ref         = column{"secret", "来源", func(r *Row, _ *language) string { return r.Ref }}
)

// languages are by the name that --lang takes. The Chinese table is the one
// that documents of such keys have, to the letter.
var languages = map[string]*language{
	"en": {func(c column) string { return c.en }, "## API key map", " (future)", " (required: no usable key)", "yes", "no", "", " (fallback)", "", []column{service, project, key, purpose, status, date}},
	"zh": {func(c column) string { return c.zh }, "## API Key 映射表", "（未来）", "（必需，无可用 Key）", "✅ 必需", "—", "使用自己的 ", "（备用）", "**最后更新**：", []column{service, project, key, purpose, status}},
}

// wide are the further columns.
var wide = []column{required, tier, provider, account, fingerprint, scopes, ref}

// status is the key's state; of a service that is not served yet, or has to be
// and cannot, that too.
func (l *language) status(r *Row) string {
	text := r.Status
	if r.Planned {
		if text == "" {
			return strings.Trim(l.future, " ()（）")
		}
		text += l.future
	}
	if r.Unserved {
		text += l.unserved
	}
	return text
}

// Languages and Formats are what [Options] takes, the default first.
var (
	Languages = []string{"en", "zh"}
	Formats   = []string{"markdown", "csv", "json", "flow"}
)

// Options say how a table is written.
type Options struct {
	// Format is one of [Formats], Lang one of [Languages].
	Format, Lang string
	// Wide adds whether it is required, tier, provider, account, fingerprint, scopes, and where the
	// secret is. JSON has them always.
	Wide bool
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	switch {
	case !slices.Contains(Formats, o.Format):
		return fmt.Errorf("--format %s: want %s", o.Format, strings.Join(Formats, ", "))
	case languages[o.Lang] == nil:
		return fmt.Errorf("--lang %s: want %s", o.Lang, strings.Join(Languages, ", "))
	}
	return nil
}

// Write writes the table.
func (t Table) Write(w io.Writer, o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.Format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(t)
	}
	l := languages[o.Lang]
	if o.Format == "flow" {
		return t.writeFlow(w, l, o.Wide)
	}
	columns := l.columns
	if o.Wide {
		columns = slices.Concat(columns, wide)
	}
	lines := [][]string{make([]string, len(columns))}
	for i, c := range columns {
		lines[0][i] = l.heading(c)
	}
	for i := range t.Rows {
		cells := make([]string, len(columns))
		for j, c := range columns {
			cells[j] = engine.Harmless(c.cell(&t.Rows[i], l))
		}
		lines = append(lines, cells)
	}
	if o.Format == "csv" {
		return WriteCSV(w, lines)
	}
	return t.writeMarkdown(w, l, lines)
}

// WriteCSV writes lines of cells, harmless. It quotes what a spreadsheet would take for a formula,
// or would if it left out what nobody sees before it, with an apostrophe.
func WriteCSV(w io.Writer, lines [][]string) error {
	for _, cells := range lines {
		for i, text := range cells {
			text = engine.Harmless(text)
			cells[i] = text
			if lead := strings.TrimLeftFunc(text, unseen); lead != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(lead)[0]) {
				cells[i] = "'" + text
			}
		}
	}
	return csv.NewWriter(w).WriteAll(lines)
}

func unseen(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// writeMarkdown lines the columns up by the cells that a terminal gives each
// character: two for a Chinese one.
func (t Table) writeMarkdown(w io.Writer, l *language, lines [][]string) error {
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i := range cells {
			cells[i] = strings.NewReplacer(`\`, `\\`, "|", `\|`).Replace(cells[i])
			widths[i] = max(widths[i], ansi.StringWidth(cells[i]), 3)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", l.title)
	for n, cells := range lines {
		for i, text := range cells {
			b.WriteString("| " + text + strings.Repeat(" ", widths[i]-ansi.StringWidth(text)+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	if l.updated != "" {
		b.WriteString("\n" + l.updated + t.Updated + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

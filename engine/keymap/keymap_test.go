package keymap

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// seed is the example of the document that the table comes from.
func seed() Table {
	since := time.Date(2025, 11, 30, 12, 0, 0, 0, time.Local)
	return Of(engine.Snapshot{At: time.Date(2025, 12, 5, 12, 0, 0, 0, time.Local),
		Services: []engine.ServiceStatus{
			{Name: "librechat-ui", Project: "librechat", Purpose: "所有 AI 模型调用", Keys: []string{"key-1"}, Fallback: []string{"key-2"}},
			{Name: "video-proxy", Project: "librechat-config", Purpose: "视频生成专用", Keys: []string{"key-2"}},
			{Name: "image-proxy", Project: "librechat-config", Purpose: "图像生成专用", Keys: []string{"key-3"}, Planned: true},
			{Name: "code-proxy", Planned: true},
		},
		Keys: []engine.KeyStatus{{Name: "key-1", State: engine.Active, Fingerprint: "9f2a00", Ref: "env:AI_ML_API_KEY", Scopes: []string{"chat", "video"}},
			{Name: "key-2", State: engine.Cooling, Since: &since}, {Name: "key-3", State: engine.Active}}}, "a test")
}

func written(t *testing.T, table Table, o Options) string {
	t.Helper()
	var b strings.Builder
	if err := table.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestChineseMarkdown(t *testing.T) {
	t.Parallel()
	want := `## API Key 映射表

| 服务         | 项目             | API Key | 用途             | 状态           |
|--------------|------------------|---------|------------------|----------------|
| librechat-ui | librechat        | key-1   | 所有 AI 模型调用 | Active         |
| librechat-ui | librechat        | key-2   | 所有 AI 模型调用 | Cooling        |
| video-proxy  | librechat-config | key-2   | 视频生成专用     | Cooling        |
| image-proxy  | librechat-config | key-3   | 图像生成专用     | Active（未来） |
| code-proxy   |                  |         |                  | 未来           |

**最后更新**：2025-12-05
`
	if got := written(t, seed(), Options{Format: "markdown", Lang: "zh"}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestEnglishMarkdownLinesUp(t *testing.T) {
	t.Parallel()
	table := seed()
	table.Rows[0].Purpose = "a|b\n\x1b[31mc"
	for _, wide := range []bool{false, true} {
		lines := strings.Split(strings.TrimSpace(written(t, table, Options{Format: "markdown", Lang: "en", Wide: wide})), "\n")[2:]
		for _, l := range lines {
			if ansi.StringWidth(l) != ansi.StringWidth(lines[0]) {
				t.Errorf("wide %v: %d cells, the first line has %d: %s", wide, ansi.StringWidth(l), ansi.StringWidth(lines[0]), l)
			}
		}
		if !strings.Contains(lines[2], `a\|b  [31mc`) || !strings.Contains(lines[3], "2025-11-30") || !strings.Contains(lines[5], "Active (future)") || !strings.Contains(lines[6], " future ") {
			t.Errorf("got\n%s", strings.Join(lines, "\n"))
		}
		if strings.Contains(lines[2], "env:AI_ML_API_KEY") != wide {
			t.Errorf("wide %v: %s", wide, lines[2])
		}
	}
}

func TestCSVHoldsNoFormulas(t *testing.T) {
	t.Parallel()
	for purpose, want := range map[string]string{
		"=HYPERLINK(1)": "'=HYPERLINK(1)", " +1": "' +1", "-2": "'-2", "@SUM(1)": "'@SUM(1)", "＝3": "'＝3", "a, \"b\"": "a, \"b\"", "a=b": "a=b",
		"\t=1": "' =1", "\r=1": "' =1", "\n=1": "' =1", "\x00=1": "' =1", "\x1b[2J": " [2J", "\u202e=1": "' =1", "\u200b=1": "'\u200b=1", "\ufeff@1": "'\ufeff@1", "\u00a0-1": "'\u00a0-1", "a\rb": "a b",
	} {
		table := seed()
		table.Rows[0].Purpose = purpose
		rows, err := csv.NewReader(strings.NewReader(written(t, table, Options{Format: "csv", Lang: "en"}))).ReadAll()
		if err != nil || len(rows) != 6 || !slices.Equal(rows[0], []string{"service", "project", "key", "purpose", "status", "date"}) {
			t.Fatalf("%v, %v", rows, err)
		}
		if got := rows[1][3]; got != want {
			t.Errorf("%q became %q, want %q", purpose, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var got Table
	if err := json.Unmarshal([]byte(written(t, seed(), Options{Format: "json", Lang: "zh"})), &got); err != nil {
		t.Fatal(err)
	}
	if r := got.Rows[1]; got.Version != 1 || got.Updated != "2025-12-05" || got.From != "a test" || r.Tier != "fallback" || r.Status != "Cooling" || r.Date != "2025-11-30" {
		t.Errorf("%+v", got)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{"html", "en", false}, {"csv", "de", false}, {}} {
		if o.Check() == nil || seed().Write(&strings.Builder{}, o) == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestRequired marks what has to be served and is not, in every language.
func TestRequired(t *testing.T) {
	t.Parallel()
	table := Of(engine.Snapshot{At: time.Date(2025, 12, 5, 12, 0, 0, 0, time.Local),
		Services: []engine.ServiceStatus{
			{Name: "librechat-ui", Required: true, Usable: 1, Keys: []string{"key-1"}},
			{Name: "video-proxy", Required: true, Keys: []string{"key-2"}},
			{Name: "image-proxy", Required: true, Planned: true},
		},
		Keys: []engine.KeyStatus{{Name: "key-1", State: engine.Active}, {Name: "key-2", State: engine.Revoked}}}, "a test")
	for o, want := range map[Options][]string{
		{"markdown", "en", false}: {"| Active ", "| Revoked (required: no usable key) |", "| future "},
		{"markdown", "zh", true}:  {"| 是否必需 |", "| Revoked（必需，无可用 Key） |", "| ✅ 必需 "},
		{"csv", "en", true}:       {"status,date,required,tier", "Revoked (required: no usable key),2025-12-05,yes,keys"},
		{"json", "en", false}:     {`"unserved": true`},
		{"flow", "en", false}:     {"video-proxy          → key-2 [revoked (required: no usable key)] → "},
	} {
		got := written(t, table, o)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%+v: %q is not in\n%s", o, w, got)
			}
		}
		if n := strings.Count(got, "no usable key") + strings.Count(got, "无可用 Key") + strings.Count(got, `"unserved": true`); n != 1 {
			t.Errorf("%+v: marked %d times\n%s", o, n, got)
		}
	}
}

func TestFlow(t *testing.T) {
	t.Parallel()
	table := seed()
	for i := range table.Rows {
		if table.Rows[i].Key != "" {
			table.Rows[i].Provider, table.Rows[i].Host = "aimlapi", "api.aimlapi.com"
		}
	}
	for lang, want := range map[string]string{
		"en": `librechat-ui         → key-1                      → aimlapi
librechat-ui         → key-2 (fallback) [cooling] → aimlapi
video-proxy          → key-2 [cooling]            → aimlapi
image-proxy (future) → key-3                      → aimlapi
code-proxy (future)  → —                          → —
`,
		"zh": `librechat-ui        → 使用自己的 key-1           → aimlapi
librechat-ui        → key-2（备用） [cooling]    → aimlapi
video-proxy         → 使用自己的 key-2 [cooling] → aimlapi
image-proxy（未来） → 使用自己的 key-3           → aimlapi
code-proxy（未来）  → —                          → —
`,
	} {
		if got := written(t, table, Options{"flow", lang, false}); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	if got := written(t, table, Options{"flow", "en", true}); !strings.Contains(got, "→ key-1 [env:AI_ML_API_KEY] ") || !strings.Contains(got, "→ aimlapi api.aimlapi.com\n") {
		t.Errorf("got\n%s", got)
	}
}

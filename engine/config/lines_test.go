package config

import (
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestLineIndex(t *testing.T) {
	t.Parallel()
	const text = `# a comment with [keys.no] in it
listen = "127.0.0.1:5399" # x = 1
note = """
[keys.fooled]
secret = "no"
"""
raw = '''
[keys.fooled2]''' 
ends = """a "quoted\" word"""""
after = 1

[keys.main]
provider = "openai"
scopes = [
  "chat", # "image",
  "video",
]
limits = { rpm = 60, tpm = 200_000 }
expires = 2027-03-31 10:00:00

[ keys . "a.b" ] # quoted
secret = "x"
"un\u0061me" = 1
'single ]' = [ "]", '[', { x = 1, y.z = 2 } ]

[services.ui.defaults]
temperature = 0.5
[services.ui]
project = "p"
models.x = 1
[[list]]
a = 1
[[list]]
b = [[1, 2],
  [3]]
[list.sub]
c = 1
`
	var decoded map[string]any
	if _, err := toml.Decode(text, &decoded); err != nil {
		t.Fatal(err)
	}
	x := indexLines(text)
	for _, tc := range []struct {
		path string
		line int
	}{
		{"listen", 2}, {"note", 3}, {"raw", 7}, {"ends", 9}, {"after", 10},
		{"keys", 12}, {"keys/main", 12}, {"keys/main/provider", 13}, {"keys/main/scopes", 14},
		{"keys/main/scopes/0", 15}, {"keys/main/scopes/1", 16},
		{"keys/main/limits", 18}, {"keys/main/limits/tpm", 18}, {"keys/main/expires", 19},
		{"keys/a.b", 21}, {"keys/a.b/secret", 22}, {"keys/a.b/uname", 23}, {"keys/a.b/single ]/2/y/z", 24},
		{"services/ui", 28}, {"services/ui/defaults", 26}, {"services/ui/defaults/temperature", 27},
		{"services/ui/project", 29}, {"services/ui/models/x", 30},
		{"list/0/a", 32}, {"list/1", 33}, {"list/1/b/1/0", 35}, {"list/1/sub/c", 37},
		{"keys/main/nope", 12}, {"keys/nope/x", 12}, {"nope", 0},
	} {
		if got := x.line(strings.Split(tc.path, "/")); got != tc.line {
			t.Errorf("%s is on line %d, not %d", tc.path, got, tc.line)
		}
	}
	for _, fooled := range []string{"keys/fooled", "keys/fooled2", "keys/no", "x"} {
		if _, ok := x.at[strings.ReplaceAll(fooled, "/", "\x00")]; ok {
			t.Errorf("%s is in a string or a comment", fooled)
		}
	}
}

// Of every document the TOML library takes, all is found on some line of it.
func FuzzLineIndex(f *testing.F) {
	for _, s := range []string{"a=1", "[a.'b']\nc.d={x=1,y=[1,\n2]}", "[[a]]\nb=1\n[[a]]\n[a.c]\nd=\"\"\"\n[x]\"\"\"\"", "a=1979-05-27 07:32:00\nb='x'",
		"\ufeff\"\\u0041\"=1\r\n\"\\t\"=[{a=1},{b=2}]", "[a]\n[a.b]\n[a.c]", "a.b=1\na.c=2\n", "x='''\n'''''\n[y]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x := indexLines(text)
		var decoded map[string]any
		if _, err := toml.Decode(text, &decoded); err != nil {
			return
		}
		lines := strings.Count(text, "\n") + 1
		var walk func(p path, v any)
		walk = func(p path, v any) {
			at, ok := x.at[key(p)]
			if len(p) > 0 && (!ok || at.line < 1 || at.line > lines) {
				t.Fatalf("%v is at %+v of %d lines in %q", p, at, lines, text)
			}
			switch v := v.(type) {
			case map[string]any:
				for name, v := range v {
					walk(p.join(name), v)
				}
			case []map[string]any:
				for i, v := range v {
					walk(p.join(string(rune('0'+i%10))), v)
					if i == 9 {
						break
					}
				}
			}
		}
		walk(nil, decoded)
	})
}

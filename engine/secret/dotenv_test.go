package secret

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/joho/godotenv"
)

func TestParseDotenv(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       string // NAME@LINE=value, in order of name
		bad        []int
	}{
		{name: "plain", text: "A=1\nB = two \n", want: "A@1=1|B@2=two"},
		{name: "comments", text: "# .env\n\nA=1 # one\nB=a#b\nC=# none\n", want: "A@3=1|B@4=a#b|C@5="},
		{name: "export", text: "export A=1\nexport\tB=2\nexported=3\n", want: "A@1=1|B@2=2|exported@3=3"},
		{name: "quotes", text: `A=' a "b" # c '` + "\n" + `B=" a 'b' # c "` + "\n", want: `A@1= a "b" # c |B@2= a 'b' # c `},
		{name: "comment after quotes", text: "A='1' # one\nB=2", want: "A@1=1|B@2=2"},
		{name: "multi-line", text: "A='{\n  \"x\": 1\n}'\nB=2\n", want: "A@1={\n  \"x\": 1\n}|B@4=2"},
		{name: "escapes", text: `A="a\nb\"c\\n\$d"` + "\n" + `B='a\nb\'c\\d'` + "\n", want: "A@1=a\nb\"c\\n$d|B@2=a\\nb'c\\\\d"},
		{name: "the last one stands", text: "A=1\nA=2\n", want: "A@2=2"},
		{name: "own variables only", text: "H=x\nA=${H}/y\nB=\"${H}${HOME}\"\nC='${H}'\nD=${H\n", want: "A@2=x/y|B@3=x${HOME}|C@4=${H}|D@5=${H|H@1=x"},
		{name: "windows", text: "\ufeffA=1\r\nB='x\r\ny'\r\n", want: "A@1=1|B@2=x\ny"},
		{name: "a bad line hides no other", text: "A=1\nnonsense\nB-C=2\n: x\n=3\nD=4\n", want: "A@1=1|B-C@3=2|D@6=4", bad: []int{2, 4, 5}},
		{name: "unclosed quote", text: "A='1\nB=2\n", want: "B@2=2", bad: []int{1}},
		{name: "text after the quote", text: "A='it's'\nB=2\n", want: "A@1=it|B@2=2", bad: []int{1}},
		{name: "nothing is run", text: "A=$(touch x)`touch y`\n", want: "A@1=$(touch x)`touch y`"},
		{name: "empty", text: ""},
		{name: "no end of line", text: "A='", bad: []int{1}},
	} {
		d := ParseDotenv(tc.text)
		var got []string
		for _, name := range d.Names() {
			v, _ := d.Lookup(name)
			got = append(got, fmt.Sprintf("%s@%d=%s", name, v.Line, v.Value))
		}
		if g := strings.Join(got, "|"); g != tc.want || !slices.Equal(d.Bad, tc.bad) {
			t.Errorf("%s: got %q, bad %v; want %q, bad %v", tc.name, g, d.Bad, tc.want, tc.bad)
		}
	}
}

// Files that people write read the same as with the library most programs use.
func TestDotenvAsGodotenv(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"A=1\nB=two words\nC=\"x y\"\nD='z'\n",
		"# c\nexport A=sk-1 # first\nB=http://h:1/p?q=1#f\n",
		"LLM_MODEL_CONFIGS='{\n  \"gpt-4o\": {\"api_key\": [\"sk-1\", \"sk-2\"]}\n}'\nX=1\n",
		"A=1\nB=${A}2\nC=\"${A}\"\n",
	} {
		want, err := godotenv.Unmarshal(text)
		if err != nil {
			t.Fatal(err)
		}
		d := ParseDotenv(text)
		for name, value := range want {
			if v, ok := d.Lookup(name); !ok || v.Value != value {
				t.Errorf("%q: %s is %q, godotenv says %q", text, name, v.Value, value)
			}
		}
		if len(d.Names()) != len(want) || d.Bad != nil {
			t.Errorf("%q: got %v, bad %v", text, d.Names(), d.Bad)
		}
	}
}

func FuzzParseDotenv(f *testing.F) {
	for _, s := range []string{"A=1\n", "A='x\ny'\nB=\"\\\"", "export A=${B}\r\n", "='", "A='\\'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := ParseDotenv(text)
		lines := strings.Count(text, "\n") + 1
		for _, name := range d.Names() {
			if v, _ := d.Lookup(name); v.Line < 1 || v.Line > lines {
				t.Errorf("%s is on line %d of %d", name, v.Line, lines)
			}
		}
		if !slices.IsSorted(d.Bad) {
			t.Errorf("bad lines out of order: %v", d.Bad)
		}
	})
}

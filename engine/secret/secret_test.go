package secret

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

const fake = "sk-test-not-a-key-0001"

// The ways a struct may hold a Secret; fmt treats each differently.
type (
	exported   struct{ Key Secret }
	unexported struct{ key Secret }
	embedded   struct{ Secret }
	nested     struct {
		inner unexported
		list  []Secret
		table map[string]Secret
		any   any
		ptr   *Secret
	}
)

func TestNeverPrinted(t *testing.T) {
	t.Parallel()
	s := New(fake)
	values := map[string]any{
		"itself": s, "pointer": &s, "slice": []Secret{s}, "array": [1]Secret{s},
		"map": map[string]Secret{"a": s}, "map key": map[Secret]bool{s: true},
		"exported": exported{s}, "unexported": unexported{s}, "embedded": embedded{s},
		"nested":            nested{unexported{s}, []Secret{s}, map[string]Secret{"a": s}, s, &s},
		"pointer to nested": &nested{unexported{s}, []Secret{s}, map[string]Secret{"a": s}, s, &s},
	}
	ways := map[string]func(any) string{
		"json": func(v any) string { b, _ := json.Marshal(v); return string(b) },
		"xml":  func(v any) string { b, _ := xml.Marshal(v); return string(b) },
		"toml": func(v any) string { b, _ := toml.Marshal(map[string]any{"v": v}); return string(b) },
		"slog text": func(v any) string {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
			return b.String()
		},
		"slog json": func(v any) string {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", slog.Group("g", "v", v))
			return b.String()
		},
		"error": func(v any) string { return fmt.Errorf("wrapped: %w", fmt.Errorf("key %v", v)).Error() },
		"join":  func(v any) string { return errors.Join(fmt.Errorf("%+v", v)).Error() },
		"print": func(v any) string { return fmt.Sprint(v) + fmt.Sprintln(v) },
	}
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "p", "T", "U", "08b", "-20s", "z"} {
		ways["%"+verb] = func(v any) string { return fmt.Sprintf("%"+verb, v) }
	}
	for what, v := range values {
		for how, print := range ways {
			out := print(v)
			hex := fmt.Sprintf("%x", fake)
			if strings.Contains(out, fake) || strings.Contains(strings.ToLower(out), hex) {
				t.Errorf("%s as %s shows the secret", what, how)
			}
		}
	}
}

func TestPanicNotPrinted(t *testing.T) {
	t.Parallel()
	defer func() {
		if out := fmt.Sprint(recover()); strings.Contains(out, fake) {
			t.Error("a panic shows the secret")
		}
	}()
	panic(fmt.Errorf("bad %v", unexported{New(fake)}))
}

func TestHiddenForm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		s    Secret
		want string
	}{{New(fake), `"****" ****`}, {New(""), `"" `}, {Secret{}, `"" `}} {
		b, err := json.Marshal(tc.s)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %v", b, tc.s); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	a, b := New(fake), New(strings.Clone(fake))
	if a != b || a == New("other") || !a.Equal(fake) || a.Equal("") || !(Secret{}).Equal("") {
		t.Error("two secrets of one text are not the same, or two of different texts are")
	}
	if a.Reveal() != fake || (Secret{}).Reveal() != "" || a.Empty() || !New("").Empty() {
		t.Error("Reveal or Empty is wrong")
	}
	prints := map[string]bool{}
	for _, where := range [][2]string{{"openai", "a"}, {"openai", "b"}, {"openaia", ""}, {"groq", "a"}} {
		f := a.Fingerprint(where[0], where[1])
		if len(f) != 16 || f != b.Fingerprint(where[0], where[1]) || prints[f] {
			t.Errorf("fingerprint at %v is %q", where, f)
		}
		prints[f] = true
	}
	if (Secret{}).Fingerprint("openai", "a") != "" {
		t.Error("an empty secret has a fingerprint")
	}
}

func TestPlaceholder(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "  ", "your_key", "YOUR_KEY", "your-api-key", "your_api_key_here", "yourapikey",
		"sk-...", "sk-key1...", "sk-ant-1...", "sk-openai-single-key…", "changeme", "CHANGE_ME", "<your key>", "<key>",
		"${OPENAI_API_KEY}", "{{ key }}", "[key]", "sk-xxxxxxxx", "XXXX", "****", "sk-your-openai-key", "sk-", "user_provided",
		"insert_your_token", "replace-me", "api_key"} {
		if !Placeholder(text) {
			t.Errorf("%q is not taken for a placeholder", text)
		}
	}
	for _, text := range []string{fake, "sk-aimlapi-key-1", "EMPTY", "none", "ollama", "ghp_0123456789", "id.secret",
		"AIzaSyYourself0123", "sk-1yourkeyring", "x-9", "..1"} {
		if Placeholder(text) {
			t.Errorf("%q is taken for a placeholder", text)
		}
	}
}

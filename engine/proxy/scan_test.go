package proxy

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tidwall/gjson"
)

// readAll is everything that a scan tells of a text.
func readAll(s *scan) string {
	defer s.close()
	var out strings.Builder
	for s.next() {
		fmt.Fprintf(&out, "%q %d %d %q\n", s.name(), s.at, s.end, s.value)
	}
	fmt.Fprintln(&out, s.end, s.names, s.whole, s.media, s.mediaSize)
	return out.String()
}

// pieces reads at most as many bytes at once as its next size says.
type pieces struct {
	r     io.Reader
	sizes []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	n := 1
	if len(p.sizes) > 0 {
		n += int(p.sizes[0])
		p.sizes = append(p.sizes[1:], p.sizes[0])
	}
	return p.r.Read(b[:min(n, len(b))])
}

var scanned = []string{
	`{"model":"m","stream":true}`,
	` { "messages" : [ {"model":"x","content":"a \"model\": \"y\" \\"} , 1 ] , "stream" : true , "model" : "org\/m" } `,
	`{"a":"\\\\\\\"","b":"\\\\","c":"` + strings.Repeat(`\\\"`, 2000) + `","model":"m"}`,
	`{"` + strings.Repeat("n", 300) + `":"` + strings.Repeat("v", maxToken-2) + `","b":"` + strings.Repeat("v", maxToken-1) + `"}`,
	`{"messages":[{"image":"` + strings.Repeat("A", 3000) + `","file_id":"f"}],"temper\u0061ture":-1.5e-3,"x":null}` + "\r\n\t",
	`{"messages":[{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0K", 1000) + `"},{"text":"` + strings.Repeat("a long text, ", 1000) + `"}]}`,
	`{"a":{"b":[{},[],"]"]}}`, `{}`, ` {} x`, `{"a":1}{"b":2}`, `{"a":1,}`, `{"a":}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":`, `{"a":"cut\`, `[1]`, ``, `null`, `{"a":[}`, "{\"a\":1}\x00",
}

// However a text comes, in memory or in pieces, a scan tells the same of it.
func TestScanWithAnyChunks(t *testing.T) {
	t.Parallel()
	for _, text := range scanned {
		want := readAll(&scan{view: []byte(text)})
		for first := range min(len(text)+1, 200) {
			for name, reader := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "a byte": iotest.OneByteReader, "half": iotest.HalfReader, "with the error": iotest.DataErrReader} {
				if got := readAll(&scan{view: []byte(text[:first]), rest: reader(strings.NewReader(text[first:]))}); got != want {
					t.Fatalf("%.80s in memory up to %d, then by %s: %s, want %s", text, first, name, got, want)
				}
			}
		}
	}
	if got := readAll(&scan{view: []byte(`{"a":1`), rest: iotest.ErrReader(io.ErrUnexpectedEOF)}); !strings.HasSuffix(got, "false 0 0\n") {
		t.Errorf("what cannot be read is whole: %s", got)
	}
}

// TestImagesCountAsImages: what a body lets expect is not how long an image is.
func TestImagesCountAsImages(t *testing.T) {
	t.Parallel()
	image := strings.Repeat("iVBORw0K/+", 10_000)
	for _, c := range []struct {
		content string
		want    int64 // and at most 100 more
	}{
		{"hello", 0},
		{"data:image/png;base64," + image, mediaTokens},
		{image + `"},{"data":"` + image, 2 * mediaTokens},
		{strings.Repeat("some words. ", 1000), 3000},
		{strings.Repeat("没有空格的文字", 1000), 5250},
		{image[:leastMedia-2], leastMedia / 4},
	} {
		text := `{"model":"m","messages":[{"data":"` + c.content + `"}]}`
		top := readTop(&scan{view: []byte(text)})
		if got := top.inputTokens(int64(len(text))); got < c.want || got > c.want+100 {
			t.Errorf("%.40s: %d tokens, want %d", c.content, got, c.want)
		}
	}
}

// It tells of valid JSON what a parser does, and of anything the same however
// it comes.
func FuzzScan(f *testing.F) {
	for _, text := range scanned {
		f.Add([]byte(text), uint16(7), []byte{0, 3, 100})
	}
	f.Fuzz(func(t *testing.T, text []byte, first uint16, sizes []byte) {
		want := readAll(&scan{view: text})
		n := min(int(first), len(text))
		if got := readAll(&scan{view: text[:n:n], rest: &pieces{bytes.NewReader(text[n:]), slices.Clone(sizes)}}); got != want {
			t.Errorf("%q in memory up to %d: %s, want %s", text, n, got, want)
		}
		root := gjson.ParseBytes(text)
		if !gjson.ValidBytes(text) || !root.IsObject() || len(text) > maxName {
			return
		}
		var parsed, read []string
		root.ForEach(func(name, value gjson.Result) bool {
			parsed = append(parsed, name.Str+":"+value.Raw)
			return true
		})
		s := scan{view: text}
		for s.next() {
			read = append(read, string(s.name())+":"+string(text[s.at:s.end]))
		}
		if !s.whole || !slices.Equal(parsed, read) {
			t.Errorf("%q: whole %v, %q, a parser says %q", text, s.whole, read, parsed)
		}
	})
}

// spilled is a body with its first bytes in memory and the rest in a file.
func spilled(t *testing.T, text string, inMem int) *body {
	t.Helper()
	b := &body{mem: []byte(text[:inMem]), size: int64(len(text)), length: int64(len(text))}
	if inMem < len(text) {
		f, err := unlinkedFile()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if _, err := f.WriteString(text[inMem:]); err != nil {
			t.Fatal(err)
		}
		b.file = f
	}
	return b
}

// Edits are in what goes up wherever they and the end of the memory are, each
// time it goes up.
func TestEdits(t *testing.T) {
	t.Parallel()
	const text, want = `{"model":"fast","n":1}`, `{"model":"gpt-4o","n":1,"t":0}`
	for inMem := range len(text) + 1 {
		b := spilled(t, text, inMem)
		b.edit(9, 15, []byte(`"gpt-4o"`))
		b.edit(21, 21, []byte(`,"t":0`))
		for range 2 {
			r := b.open()
			if got, err := io.ReadAll(r); string(got) != want || b.length != int64(len(want)) || err != nil {
				t.Errorf("%d bytes in memory: %s, length %d, %v", inMem, got, b.length, err)
			}
			_ = r.Close()
		}
	}
}

func TestOutline(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(`A\"`, maxToken)
	for text, want := range map[string]string{
		`{"messages":[{"image":"` + long + `", "file_id" : "f"}],"user":"u"}`: `{"messages":[{"image":"","file_id":"f"}],"user":"u"}`,
		`{"a":"cut`: `{"a":`,
		`no json`:   `nojson`,
	} {
		if got := spilled(t, text, 5).outline(); string(got) != want {
			t.Errorf("%.60s: %s, want %s", text, got, want)
		}
	}
	if got := spilled(t, "["+strings.Repeat(`"short",`, inMemory), 1).outline(); len(got) > inMemory+maxToken {
		t.Errorf("an outline of %d bytes", len(got))
	}
}

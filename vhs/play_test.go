package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the tapes' last screens into testdata")

// Every tape plays to its end on the real program: each of its Wait+Screen is
// something that a person would see. Where the last screen stands still it is
// compared as a whole.
func TestTapes(t *testing.T) {
	t.Parallel()
	bin := build(t)
	tapes, err := filepath.Glob("*.tape")
	if err != nil || len(tapes) == 0 {
		t.Fatalf("no tapes: %v", err)
	}
	for _, path := range tapes {
		t.Run(strings.TrimSuffix(path, ".tape"), func(t *testing.T) {
			t.Parallel()
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			tape, err := parse(file)
			if err != nil {
				t.Fatal(err)
			}
			p := &player{hurry: true}
			p.end = func() error { return lastScreen(t, p, "testdata/"+strings.TrimSuffix(path, "tape")+"txt") }
			home := t.TempDir()
			if err := p.play(tape, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home}); err != nil {
				t.Error(err)
			}
		})
	}
}

// build builds keywheel and returns the directory it is in.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "keywheel"), "../cmd/keywheel")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// lastScreen compares the last screen of a tape with the one that is kept. It
// may need a moment until it has come to rest. A tape that ends under traffic
// has none.
func lastScreen(t *testing.T, p *player, path string) error {
	if *update {
		still, _ := p.until(8*time.Second, func(string) bool { return false })
		t.Log("\n" + still)
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return nil
		}
		return os.WriteFile(path, []byte(steady(still)), 0o644)
	}
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if got, ok := p.until(0, func(text string) bool { return steady(text) == string(want) }); !ok {
		t.Errorf("the last screen is not %s:\n%s\nas it is:\n%s", path, steady(got), got)
	}
	return nil
}

// changing is what differs from run to run: clocks, ports, how long ago.
var changing = []struct {
	was *regexp.Regexp
	is  string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`·[0-9a-f]{4}\b`), "·MARK"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "HH:MM:SS"},
	{regexp.MustCompile(`\b(\d+h\d\dm|\d+d\d\dh|\d+m\d\ds|\d+:\d\d(:\d\d)?|\d+[smhd])\b`), "TIME"},
	{regexp.MustCompile(`[ ─━]{2,}`), "  "},
}

// steady is a screen without what differs from run to run.
func steady(text string) string {
	for _, c := range changing {
		text = c.was.ReplaceAllString(text, c.is)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

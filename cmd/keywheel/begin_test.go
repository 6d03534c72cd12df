package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// Whoever starts the monitor with nothing configured can begin there.
func TestBegin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, dotenv string
		// asked is what the terminal asks, each with the answer; wants is what the
		// config then says.
		asked [][2]string
		wants string
	}{
		{"with the keys of the .env", "GROQ_API_KEY=sk-test-not-a-key-0001\n", [][2]string{{`e  use GROQ_API_KEY of .env`, "e"}}, `secret   = "dotenv:.env#GROQ_API_KEY"`},
		{"with a key", "", [][2]string{{`anything else leaves:`, "k"}, {`provider \[openai\]:`, "generic"}, {`base URL:`, "http://127.0.0.1:1/v1"}, {`not shown`, "sk-test-not-a-key-0002"}},
			`secret   = "file:keys/generic"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "kw") // a socket's path must be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			if tc.dotenv != "" {
				if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(tc.dotenv), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := exec.Command("keywheel", "--listen", "127.0.0.1:0")
			c.Dir, c.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "TERM=xterm-256color", "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
			f, err := pty.StartWithSize(c, &pty.Winsize{Cols: 120, Rows: 36})
			if err != nil {
				t.Fatal(err)
			}
			s := &running{pty: f, term: vt.NewEmulator(120, 36), changed: make(chan struct{})}
			var busy sync.WaitGroup
			busy.Go(func() { s.watch(f) })
			busy.Go(func() { _, _ = io.Copy(f, s.term) })
			defer func() {
				_ = c.Process.Signal(syscall.SIGTERM)
				_ = c.Wait()
				_ = f.Close()
				_ = s.term.InputPipe().(io.Closer).Close()
				busy.Wait()
			}()
			for _, q := range append(tc.asked, [2]string{`Enter opens the monitor:`, ""}) {
				s.until(t, q[0])
				if _, err := io.WriteString(f, q[1]+"\r"); err != nil {
					t.Fatal(err)
				}
			}
			s.until(t, `Services 1`)
			text, err := os.ReadFile(filepath.Join(dir, "keywheel.toml"))
			if err != nil || !strings.Contains(string(text), tc.wants) || strings.Contains(string(text), "not-a-key") {
				t.Errorf("the config is %s (%v)", text, err)
			}
		})
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
			p := newProgram(t)
			p.workdir, p.env = p.dir, append(p.env, "XDG_RUNTIME_DIR="+p.dir)
			if tc.dotenv != "" {
				write(t, filepath.Join(p.dir, ".env"), tc.dotenv)
			}
			s := inTerminal(t, p.command(t.Context(), "--listen", "127.0.0.1:0"), 120, 36)
			for _, q := range append(tc.asked, [2]string{`Enter opens the monitor:`, ""}) {
				s.until(t, q[0])
				s.typed(t, q[1]+"\r")
			}
			s.until(t, `Services 1`)
			text, err := os.ReadFile(p.config)
			if err != nil || !strings.Contains(string(text), tc.wants) || strings.Contains(string(text), "not-a-key") {
				t.Errorf("the config is %s (%v)", text, err)
			}
		})
	}
}

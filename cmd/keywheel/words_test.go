package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

// hostile are names of models, and words of an upstream, that would do something
// on a terminal, in a log or in a spreadsheet.
var hostile = []string{
	"=cmd|' /C calc'!A0", "+1+2", "-1+2", "@SUM(1)", "\t=1+2", "\r=1+3", "\n=1+4", " =1+5", "\x00=1+6", "\v@1", "\u00a0=1+7", "\u200b=1+8", "\ufeff=1+9", "＝1", "－1", "'=1",
	"\x1b]0;owned\x07", "\x1b[2J", "\x1b]52;c;aGk=\x07", "\u009b31m", "\u0090q\u009c", "\x7f\b\b", "a\rb", "a\u2028b\u2029c", "a\u0085b",
	"\u202eexe.gpj", "\u202dx\u202c", "\u2066x\u2069", "\u2067x", "\u200fx", "\u061cx", "a,\"b\"\n=c", "a;=b", "a|b", "<script>", "\xff\xfe=1",
}

// does says what a text would do where it is shown; "" is nothing.
func does(text string) string {
	for i, r := range text {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0x061c || r == 0x200e || r == 0x200f ||
			r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return fmt.Sprintf("%q has %U", text[max(0, i-60):min(len(text), i+30)], r)
		}
	}
	return ""
}

// TestWordsFromOutside has clients and an upstream say such words to the real
// program, and looks at all that tells of them: the verbs, running and not, the
// log, the socket's JSON and the CSV.
func TestWordsFromOutside(t *testing.T) {
	t.Parallel()
	r := newReal(t, 2)
	r.answer = func(w http.ResponseWriter, req *http.Request) {
		var asked struct{ Model, User string }
		text, _ := io.ReadAll(req.Body)
		_ = json.Unmarshal(text, &asked)
		says := asked.Model
		w.Header().Set("Content-Type", "application/json")
		switch asked.User {
		case "model", "code":
			w.WriteHeader(http.StatusForbidden)
			if asked.User == "model" {
				says = "model_not_found"
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": "no " + asked.Model, "type": asked.Model, "code": says}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": says, "model": says, "choices": []any{map[string]any{"message": map[string]string{"content": says}, "finish_reason": says}},
			"usage": map[string]int{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
	}
	file, err := os.OpenFile(r.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(file, "project = \"=1+1\"\npurpose = \"@SUM(1)\"\n")
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	r.serve(t)
	for _, user := range []string{"", "model", "code"} {
		for _, word := range hostile {
			body, _ := json.Marshal(map[string]any{"model": word, "user": user, "messages": []any{}})
			res, err := http.Post(r.chat(), "application/json", bytes.NewReader(bytes.ReplaceAll(body, []byte(`\ufffd\ufffd`), []byte("\xff\xfe"))))
			if err != nil {
				t.Fatal(err)
			}
			if user == "" && res.StatusCode != http.StatusOK {
				t.Errorf("%q was answered %d", word, res.StatusCode)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	}
	verbs := []string{"usage --by model", "usage --by service,key,model,account", "usage --by model --csv", "usage --by key,account --csv", "usage --by model --json", "map --wide", "map --format csv --wide",
		"map --format json", "map --format flow --wide", "events", "events --json", "check", "check --json"}
	running := " --socket " + r.socket
	for _, v := range append(verbs, "status", "status --json", "why k0", "why k0 --json", "why ui") {
		r.says(v + running)
	}
	r.screens()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	rows := 0
	for _, v := range verbs { // from the journal
		rows = max(rows, strings.Count(r.says(v), "\n"))
	}
	if rows < 2*len(hostile)/3 {
		t.Errorf("at most %d lines of %d words", rows, len(hostile))
	}
	log := r.log.text()
	if what := does(log); what != "" || !strings.Contains(log, "SUM(1)") {
		t.Errorf("the log: %s", what)
	}
}

// says runs a verb and looks at what it says.
func (r *real) says(verb string) string {
	r.t.Helper()
	c := r.command(r.t.Context(), append(strings.Fields(verb), "--config", r.config)...)
	var told bytes.Buffer
	c.Stderr = &told
	out, _ := c.Output()
	if len(out) == 0 {
		r.t.Errorf("keywheel %s says nothing: %s", verb, told.String())
	}
	for _, text := range []string{string(out), told.String()} {
		if what := does(text); what != "" {
			r.t.Errorf("keywheel %s: %s", verb, what)
		}
	}
	switch {
	case strings.Contains(verb, "csv"):
		cells, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil {
			r.t.Errorf("keywheel %s: %v", verb, err)
		}
		for _, line := range cells {
			for _, cell := range line {
				lead := strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
				if strings.ContainsAny(cell, "\n\t\r") || lead != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(lead)[0]) {
					r.t.Errorf("keywheel %s has a cell %q", verb, cell)
				}
			}
		}
	case strings.Contains(verb, "json"):
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var v any
			if err := d.Decode(&v); err == io.EOF {
				break
			} else if err != nil {
				r.t.Errorf("keywheel %s: %v", verb, err)
				break
			}
			if what := does(fmt.Sprint(v)); what != "" {
				r.t.Errorf("keywheel %s, decoded: %s", verb, what)
			}
		}
	}
	return string(out)
}

// screens opens the monitor, and looks at what it writes between its own
// sequences.
func (r *real) screens() {
	s := inTerminal(r.t, r.command(r.t.Context(), "attach", "--socket", r.socket), 160, 50)
	s.until(r.t, `Services \d+`)
	for _, step := range []struct{ keys, shows string }{{"4", `SUM\(1\)`}, {"3", `Timeline`}, {"1", `Services \d+`}} {
		for try := 0; try < 20 && !s.shows(step.shows, time.Second); try++ {
			s.typed(r.t, step.keys)
		}
		if !s.shows(step.shows, 2*time.Minute) {
			r.t.Errorf("after %s the screen did not show %s", step.keys, step.shows)
		}
	}
	s.end(syscall.SIGTERM)
	for _, began := range []string{"\x1b]0;owned", "\x1b]52;"} {
		if strings.Contains(s.raw.String(), began) {
			r.t.Errorf("the terminal was sent %q", began)
		}
	}
	for _, c := range s.raw.String() {
		if !strings.ContainsRune("\x1b\r\n\b\t\a\x0e\x0f", c) && does(string(c)) != "" { // those are its own
			r.t.Errorf("the terminal was sent %U", c)
			break
		}
	}
}

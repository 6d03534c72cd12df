package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// distFile is a file that deploys keywheel.
func distFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("dist", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the image and the unit call keywheel with, keywheel understands.
func TestDistCallsWhatThereIs(t *testing.T) {
	t.Parallel()
	calls := map[string][]string{}
	for what, line := range map[string]*regexp.Regexp{
		"the image's command":     regexp.MustCompile(`(?m)^CMD (\[.*\])$`),
		"the image's healthcheck": regexp.MustCompile(`(?m)^HEALTHCHECK .* CMD (\[.*\])$`),
	} {
		m := line.FindStringSubmatch(distFile(t, "Dockerfile"))
		var call []string
		if m == nil || json.Unmarshal([]byte(m[1]), &call) != nil {
			t.Fatalf("%s is not there", what)
		}
		if call[0] == "keywheel" {
			call = call[1:]
		}
		calls[what] = call
	}
	m := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/keywheel (.*)$`).FindStringSubmatch(distFile(t, "keywheel.service"))
	if m == nil {
		t.Fatal("the unit starts something else")
	}
	calls["the unit"] = strings.Fields(m[1])
	for i, m := range regexp.MustCompile(`(?m)keywheel (attach|replace|status)\b(.*)`).FindAllStringSubmatch(distFile(t, "keywheel.service")+distFile(t, "compose.yaml"), -1) {
		if flags := regexp.MustCompile(`--\w+ \S+`).FindString(m[2]); flags != "" {
			calls["what is said in "+string(rune('a'+i))] = append([]string{m[1]}, strings.Fields(flags)...)
		}
	}
	for what, call := range calls {
		c, rest, err := rootCommand().Find(call)
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err != nil || c.Name() != call[0] {
			t.Errorf("%s: %q: %v", what, call, err)
		}
	}
}

func TestTheImageIsBuiltWithTheRightGo(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1]
	if !strings.Contains(distFile(t, "Dockerfile"), "FROM golang:"+string(want)+" AS build") {
		t.Errorf("the image is not built with go %s", want)
	}
}

// systemd takes every setting of the unit.
func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "keywheel.service")
	text := strings.ReplaceAll(distFile(t, "keywheel.service"), "/usr/local/bin/keywheel serve", program+" serve")
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	var bad []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "keywheel.service") { // others' units are not ours to judge
			bad = append(bad, line)
		}
	}
	var exited *exec.ExitError
	if len(bad) > 0 || err != nil && !errors.As(err, &exited) {
		t.Errorf("%v\n%s", err, strings.Join(bad, ""))
	}
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkStart starts the program with 100 keys from the environment, and
// reports the time until it listens and the memory it then has.
//
//	go test -bench Start ./cmd/keywheel
func BenchmarkStart(b *testing.B) {
	p := newProgram(b)
	p.path, p.workdir = build(b), p.dir
	p.env = append(p.env, "XDG_RUNTIME_DIR="+p.dir, "LLM_MODEL_CONFIGS="+modelConfigs(b, 10, 10, "https://api.openai.com/v1"))
	resident := 0
	for b.Loop() {
		c := p.command(b.Context(), "serve", "--listen", "127.0.0.1:0")
		errs, err := c.StderrPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewScanner(errs)
		listens := false
		for !listens && lines.Scan() {
			listens = strings.Contains(lines.Text(), "listening")
		}
		b.StopTimer()
		if !listens {
			b.Fatal("it ended before it listened: ", lines.Text())
		}
		resident = max(resident, residentKB(c.Process.Pid))
		kill(c)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
	b.ReportMetric(float64(resident)/1024, "MiB-resident")
}

// build builds the program as it is delivered: the one that tests run has the
// tests in it.
func build(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return path
}

// modelConfigs is what LLM_MODEL_CONFIGS says of models with as many keys each.
func modelConfigs(b *testing.B, models, keys int, base string) string {
	b.Helper()
	configs := map[string]map[string]any{}
	for i := range models {
		secrets := make([]string, keys)
		for j := range secrets {
			secrets[j] = fmt.Sprintf("sk-test-not-a-key-%d-%d", i, j)
		}
		configs[fmt.Sprintf("model-%02d", i)] = map[string]any{"api_key": secrets, "api_base": base}
	}
	text, err := json.Marshal(configs)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// residentKB is the memory of a process, 0 where the system does not tell.
func residentKB(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

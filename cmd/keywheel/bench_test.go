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
	dir, err := os.MkdirTemp("", "kw")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	models := map[string]map[string]any{}
	for i := range 10 {
		keys := make([]string, 10)
		for j := range keys {
			keys[j] = fmt.Sprintf("sk-test-not-a-key-%d-%d", i, j)
		}
		models[fmt.Sprintf("model-%d", i)] = map[string]any{"api_key": keys, "api_base": "https://api.openai.com/v1"}
	}
	configs, err := json.Marshal(models)
	if err != nil {
		b.Fatal(err)
	}
	resident := 0
	for b.Loop() {
		c := exec.Command(program, "serve", "--listen", "127.0.0.1:0")
		c.Dir = dir
		c.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "LLM_MODEL_CONFIGS=" + string(configs)}
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
		_ = c.Process.Kill()
		_ = c.Wait()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
	b.ReportMetric(float64(resident)/1024, "MiB-resident")
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

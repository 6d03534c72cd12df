package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine/control"
	"keywheel/engine/journal"
)

// BenchmarkJournal compares what a request costs the real program with its
// journal and without, at 2,000 requests a second: ten pairs, one after the
// other, of a second each.
//
//	go test -run xxx -bench Journal -benchtime 1x ./cmd/keywheel
func BenchmarkJournal(b *testing.B) {
	up := httptest.NewServer(&killed{})
	defer up.Close()
	kept, lost := serving(b, up.URL), serving(b, up.URL, "--no-journal")
	if kept.cpu() == 0 {
		b.Skip("this system does not tell what a process takes")
	}
	for b.Loop() {
		for _, p := range []*served{kept, lost} {
			p.drive(b) // warm
		}
		var ratios []float64
		var with, without []float64
		for range 10 {
			w, o := kept.drive(b), lost.drive(b)
			with, without, ratios = append(with, w), append(without, o), append(ratios, w/o)
		}
		b.ReportMetric(median(ratios), "times")
		b.ReportMetric(median(with), "µs-with")
		b.ReportMetric(median(without), "µs-without")
	}
}

// BenchmarkSoak serves 2,000 requests a second with a journal for as long as
// KEYWHEEL_SOAK says, and reports the memory that the program has after a tenth
// of that and in the end.
//
//	KEYWHEEL_SOAK=10m go test -run xxx -bench Soak -benchtime 1x -timeout 20m ./cmd/keywheel
func BenchmarkSoak(b *testing.B) {
	long, err := time.ParseDuration(cmp.Or(os.Getenv("KEYWHEEL_SOAK"), "10s"))
	if err != nil {
		b.Fatal(err)
	}
	up := httptest.NewServer(&killed{})
	defer up.Close()
	p := serving(b, up.URL)
	for b.Loop() {
		begun, requests, early := time.Now(), 0, 0
		for time.Since(begun) < long {
			p.send(b)
			if requests += 2000; early == 0 && time.Since(begun) >= long/10 {
				early = residentKB(p.pid)
			}
		}
		b.ReportMetric(float64(requests)/time.Since(begun).Seconds(), "requests/s")
		b.ReportMetric(float64(early)/1024, "MiB-early")
		b.ReportMetric(float64(residentKB(p.pid))/1024, "MiB-late")
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// served is a program that serves.
type served struct {
	pid  int
	base string
}

// serving starts the program with ten keys on an upstream.
func serving(b *testing.B, upstream string, args ...string) *served {
	b.Helper()
	dir, err := os.MkdirTemp("", "kw") // a socket's path must be short
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	toml := fmt.Sprintf("listen = \"127.0.0.1:0\"\njournal = \"kw.db\"\n[providers.up]\nkind = \"openai\"\nbase_url = \"%s/v1\"\n", upstream)
	var names []string
	for i := range 10 {
		toml += fmt.Sprintf("[keys.k%d]\nprovider = \"up\"\nsecret = \"env:KEY_%d\"\n", i, i)
		names = append(names, fmt.Sprintf("%q", fmt.Sprintf("k%d", i)))
	}
	toml += "[services.ui]\nkeys = [" + strings.Join(names, ", ") + "]\n"
	if err := os.WriteFile(filepath.Join(dir, "keywheel.toml"), []byte(toml), 0o600); err != nil {
		b.Fatal(err)
	}
	socket := filepath.Join(dir, "kw.sock")
	c := exec.Command("keywheel", append([]string{"serve", "--config", filepath.Join(dir, "keywheel.toml"), "--socket", socket}, args...)...)
	c.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	for i := range 10 {
		c.Env = append(c.Env, fmt.Sprintf("KEY_%d=sk-test-not-a-key-%d", i, i))
	}
	log := &notes{}
	c.Stderr = log
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	log.await(b, "listening")
	s, err := control.NewClient(socket).Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return &served{c.Process.Pid, "http://" + s.Proxy.Listen + "/ui/v1"}
}

// send sends 2,000 requests in a second.
func (s *served) send(b *testing.B) {
	const clients, each = 20, 100
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			tick := time.NewTicker(time.Second / each)
			defer tick.Stop()
			for range each {
				<-tick.C
				if status := chatOnce(context.Background(), s.base); status != http.StatusOK {
					b.Errorf("answered %d", status)
				}
			}
		})
	}
	all.Wait()
}

// drive sends 2,000 requests in a second and returns what one cost the program,
// in µs of processor time, the writing after them included.
func (s *served) drive(b *testing.B) float64 {
	was := s.cpu()
	s.send(b)
	<-time.After(400 * time.Millisecond)
	return float64((s.cpu() - was).Microseconds()) / 2000
}

// cpu is the processor time that the program has taken, 0 where the system does
// not tell.
func (s *served) cpu() (sum time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.pid))
	for _, t := range tasks {
		text, _ := os.ReadFile(t)
		ran, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(ran, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

// BenchmarkUsage runs `keywheel usage --since 30d` on a journal of ten million
// requests: forty of key, service and model, every hour of thirty days and every
// minute of the last seven.
//
//	go test -run xxx -bench Usage ./cmd/keywheel
func BenchmarkUsage(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, "kw.db")
	j, err := journal.Open(path, journal.Options{MaxQueued: 1 << 20, MaxQueuedBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	now, requests, rows := time.Now(), int64(0), 0
	count := func(age time.Duration, i int, n int64) {
		j.Count(now.Add(-age), journal.Who{Key: fmt.Sprint("key-", i%20), Service: fmt.Sprint("service-", i%5), Model: fmt.Sprint("model-", i/20), Account: fmt.Sprint("team-", i%7)},
			journal.Usage{Requests: n, Failures: n / 100, InputTokens: 1000 * n, OutputTokens: 100 * n, CostUSD: 0.01 * float64(n)})
		requests += n
		rows++
	}
	for i := range 40 {
		for age := 7*24*time.Hour + time.Hour; age < 30*24*time.Hour; age += time.Hour {
			count(age, i, 350)
		}
		for age := time.Minute; age < 7*24*time.Hour; age += time.Minute {
			count(age, i, 6)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	if requests < 10_000_000 {
		b.Fatalf("only %d requests", requests)
	}
	toml := "journal = \"kw.db\"\n[keys.a]\nprovider = \"openai\"\nsecret = \"env:KEY_A\"\n[services.ui]\nkeys = [\"a\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "keywheel.toml"), []byte(toml), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, by := range []string{"service", "key,model"} {
		b.Run(by, func(b *testing.B) {
			for b.Loop() {
				c := exec.Command("keywheel", "usage", "--since", "30d", "--by", by, "--csv", "--config", filepath.Join(dir, "keywheel.toml"))
				c.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "KEY_A=sk-test-not-a-key-a"}
				out, err := c.CombinedOutput()
				if err != nil || strings.Count(string(out), "\n") < 6 {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
			b.ReportMetric(float64(rows), "cells")
		})
	}
}

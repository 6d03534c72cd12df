package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	for b.Loop() {
		drive(b, kept) // warm
		drive(b, lost)
		var ratios []float64
		var with, without []float64
		for range 10 {
			w, o := drive(b, kept), drive(b, lost)
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
			send(b, p)
			if requests += 2000; early == 0 && time.Since(begun) >= long/10 {
				early = residentKB(p.cmd.Process.Pid)
			}
		}
		b.ReportMetric(float64(requests)/time.Since(begun).Seconds(), "requests/s")
		b.ReportMetric(float64(early)/1024, "MiB-early")
		b.ReportMetric(float64(residentKB(p.cmd.Process.Pid))/1024, "MiB-late")
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// serving is a program that serves ten keys of an upstream.
func serving(b *testing.B, upstream string, args ...string) *program {
	b.Helper()
	p := newProgram(b)
	p.configure(b, upstream, 10)
	p.serve(b, args...)
	return p
}

// send sends 2,000 requests in a second.
func send(b *testing.B, p *program) {
	const clients, each = 20, 100
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			tick := time.NewTicker(time.Second / each)
			defer tick.Stop()
			for range each {
				<-tick.C
				if status := chatOnce(context.Background(), p.url("/ui/v1")); status != http.StatusOK {
					b.Errorf("answered %d", status)
				}
			}
		})
	}
	all.Wait()
}

// drive sends 2,000 requests in a second and returns what one cost the program,
// in µs of processor time, the writing after them included.
func drive(b *testing.B, p *program) float64 {
	was := cpu(b, p.cmd.Process.Pid)
	send(b, p)
	<-time.After(400 * time.Millisecond)
	return float64((cpu(b, p.cmd.Process.Pid) - was).Microseconds()) / 2000
}

// BenchmarkUsage runs `keywheel usage --since 30d` on a journal of ten million
// requests: forty of key, service and model, every hour of thirty days and every
// minute of the last seven.
//
//	go test -run xxx -bench Usage ./cmd/keywheel
func BenchmarkUsage(b *testing.B) {
	p := newProgram(b, "KEY_A=sk-test-not-a-key-a")
	j, err := journal.Open(filepath.Join(p.dir, "kw.db"), journal.Options{MaxQueued: 1 << 20, MaxQueuedBytes: 1 << 30})
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
	write(b, p.config, "journal = \"kw.db\"\n[keys.a]\nprovider = \"openai\"\nsecret = \"env:KEY_A\"\n[services.ui]\nkeys = [\"a\"]\n")
	for _, by := range []string{"service", "key,model"} {
		b.Run(by, func(b *testing.B) {
			for b.Loop() {
				out, err := p.command(b.Context(), "usage", "--since", "30d", "--by", by, "--csv", "--config", p.config).CombinedOutput()
				if err != nil || strings.Count(string(out), "\n") < 6 {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
			b.ReportMetric(float64(rows), "cells")
		})
	}
}

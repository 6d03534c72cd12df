package engine

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkRequest chooses, judges and settles one request.
//
//	go test -bench Request ./engine
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name       string
		keys, held int
		strategy   string
	}{
		{"10 keys", 10, 0, RoundRobin},
		{"1000 keys, half held", 1000, 500, RoundRobin},
		{"10 keys, failover", 10, 0, Failover},
		{"1000 keys, half held, failover", 1000, 500, Failover},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := testEngine(b, c.keys, c.strategy)
			for i := range c.held {
				if _, err := e.Do(Action{Verb: VerbDisable, Key: fmt.Sprintf("k%d", 2*i+1)}); err != nil {
					b.Fatal(err)
				}
			}
			ok := Verdict{Kind: OK, Evidence: Evidence{Status: 200}}
			b.ReportAllocs()
			for b.Loop() {
				r := &Request{Service: "svc", Model: "gpt-4o", Scope: "chat", Repeatable: true}
				l, err := e.Acquire(context.Background(), r)
				if err != nil {
					b.Fatal(err)
				}
				l.Judge(ok)
				l.Close(Usage{Input: 100, Output: 20}, nil)
			}
		})
	}
}

// BenchmarkChanged tells what has changed when every one of 1000 keys has.
//
//	go test -bench Changed ./engine
func BenchmarkChanged(b *testing.B) {
	e := testEngine(b, 1000, RoundRobin)
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range e.creds {
			c.mark()
		}
		if n := len(e.Changed().Credentials); n != 1000 {
			b.Fatal(n)
		}
	}
}

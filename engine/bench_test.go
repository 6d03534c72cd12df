package engine

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"keywheel/engine/quota"
	"keywheel/engine/secret"
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

// BenchmarkReload goes over from a thousand keys of twenty services to the same
// with other secrets.
func BenchmarkReload(b *testing.B) {
	configs := [2]Config{}
	for i := range configs {
		for s := range 20 {
			svc := Service{Name: fmt.Sprint("s", s)}
			for k := range 50 {
				name := fmt.Sprintf("k%d-%d", s, k)
				svc.Keys = append(svc.Keys, name)
				configs[i].Keys = append(configs[i].Keys, Key{Name: name, Provider: "p", Secret: secret.New(fmt.Sprint("sk-test-not-a-key-", name, i))})
			}
			configs[i].Services = append(configs[i].Services, svc)
		}
	}
	e, err := New(configs[0])
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		if err := e.Reload(configs[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLimits is the same with three limits on every key, half of the keys
// having used theirs up.
//
//	go test -bench Limits ./engine
func BenchmarkLimits(b *testing.B) {
	for _, keys := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%d keys", keys), func(b *testing.B) {
			e := testEngine(b, keys, RoundRobin, func(c *Config) {
				for i := range c.Keys {
					amount := 1e12
					if i%2 == 0 {
						amount = 1
					}
					c.Keys[i].Limits = []quota.Limit{{Unit: quota.Requests, Amount: amount, Window: 24 * time.Hour},
						{Unit: quota.Tokens, Amount: 1e15, Window: time.Minute}, {Unit: quota.USD, Amount: 1e9, Calendar: "month"}}
				}
			})
			ok := Verdict{Kind: OK, Evidence: Evidence{Status: 200}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i == keys {
					b.ResetTimer() // the small limits are used up by now
				}
				r := &Request{Service: "svc", Model: "gpt-4o", Scope: "chat", Repeatable: true, InputTokens: 100}
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

// BenchmarkWaiting chooses for one service while a thousand requests wait in the
// line of another: they cost nothing while nothing changes for them.
//
//	go test -bench Waiting ./engine
func BenchmarkWaiting(b *testing.B) {
	for _, waiting := range []int{0, 1000} {
		b.Run(fmt.Sprintf("%d waiting", waiting), func(b *testing.B) {
			e := testEngine(b, 2, RoundRobin, func(c *Config) {
				c.Services = []Service{{Name: "svc", Keys: []string{"k1"}}, {Name: "other", Keys: []string{"k2"}}}
			})
			WithPatience(2*time.Hour, 2*waiting)(e)
			ctx, leave := context.WithCancel(context.Background())
			var all sync.WaitGroup
			first := &Request{Service: "other"}
			l, err := e.Acquire(ctx, first)
			if err != nil {
				b.Fatal(err)
			}
			l.Judge(Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: time.Hour})
			for range waiting {
				all.Go(func() { _, _ = e.Acquire(ctx, &Request{Service: "other", Repeatable: true}) })
			}
			for e.Snapshot().Proxy.Waiting < waiting {
				runtime.Gosched()
			}
			for b.Loop() {
				r := &Request{Service: "svc", Model: "m", Repeatable: true}
				l, err := e.Acquire(context.Background(), r)
				if err != nil {
					b.Fatal(err)
				}
				l.Judge(Verdict{Kind: OK})
				l.Close(Usage{}, nil)
			}
			leave()
			all.Wait()
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

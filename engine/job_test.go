package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine/quota"
)

// workshop makes things upstream, and notes what is told to have been used.
type workshop struct {
	*Engine
	t    *testing.T
	used []string
}

// newWorkshop has the keys k1 and k2 of account a, and k3 of account b.
func newWorkshop(t *testing.T) *workshop {
	w := &workshop{t: t}
	cfg := poolOf(3)
	accounts(&cfg)
	cfg.Keys[0].Limits = []quota.Limit{{Unit: quota.USD, Amount: 10, Calendar: "month", Source: "config"}}
	e, err := New(cfg, WithSeed(1), WithUsed(func(u Used) {
		line := fmt.Sprintf("%s %s", u.Key, u.Model)
		if u.CostUSD > 0 || u.Input > 0 {
			line += fmt.Sprintf(" $%.2f %d tokens", u.CostUSD, u.Input)
		}
		if u.Later {
			line += " later"
		}
		w.used = append(w.used, line)
	}))
	if err != nil {
		t.Fatal(err)
	}
	w.Engine = e
	return w
}

// do sends a request that makes what is named and is answered with what it used.
func (w *workshop) do(r *Request, u Usage, makes ...string) (key string) {
	w.t.Helper()
	l, err := w.Acquire(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	l.Judge(ok)
	l.Bind(makes...)
	l.Close(u, nil)
	return l.Key().Name
}

func (w *workshop) want(lines ...string) {
	w.t.Helper()
	if !slices.Equal(w.used, lines) {
		w.t.Errorf("used %q, want %q", w.used, lines)
	}
	w.used = nil
}

func video() *Request {
	return &Request{ID: "req", Service: "svc", Method: "POST", Model: "hailuo", Scope: "video"}
}

func TestAJobIsPaidForOnce(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	if k := w.do(video(), Usage{}, "job-1"); k != "k1" {
		t.Fatalf("%s made it", k)
	}
	w.do(get("job-1"), Usage{}) // not done yet
	w.want("k1 hailuo", "k1 ")
	for range 3 {
		w.do(get("job-1"), Usage{CostUSD: 0.20})
	}
	w.want("k1 ", "k1 hailuo $0.20 0 tokens later", "k1 ", "k1 ")
	s := w.Snapshot()
	if k := s.Keys[0]; k.CostUSD != 0.20 || k.Limits[0].Remaining != 9.8 || k.Requests != 5 {
		t.Errorf("$%v, $%v left, %d requests", k.CostUSD, k.Limits[0].Remaining, k.Requests)
	}
	// That it is paid for is kept like the binding itself.
	if b := w.Bindings(); len(b) != 1 || b[0].Open || b[0].Model != "hailuo" {
		t.Errorf("%+v", b)
	}
}

// The request that learned what a job cost shows it, be it the first to end.
func TestTheRequestThatLearnsOfACostShowsIt(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	l, err := w.Acquire(context.Background(), video())
	if err != nil {
		t.Fatal(err)
	}
	l.Judge(ok)
	l.Bind("job-1") // its answer is still on the way
	w.do(get("job-1"), Usage{CostUSD: 0.20})
	l.Close(Usage{}, nil)
	if list := w.Requests(0); len(list) != 2 || list[0].CostUSD != 0.20 || list[1].CostUSD != 0 {
		t.Errorf("%+v", list)
	}
}

// Whoever looks, the one that made it pays: so does the provider see it.
func TestAJobIsPaidForByTheKeyThatMadeIt(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.do(video(), Usage{}, "job-1")
	if _, err := w.Do(Action{Verb: VerbDisable, Key: "k1"}); err != nil {
		t.Fatal(err)
	}
	if k := w.do(get("job-1"), Usage{CostUSD: 0.20}); k != "k2" {
		t.Fatalf("%s was asked", k)
	}
	w.want("k1 hailuo", "k2 ", "k1 hailuo $0.20 0 tokens later")
	if s := w.Snapshot(); s.Keys[0].CostUSD != 0.20 || s.Keys[1].CostUSD != 0 || s.Keys[0].Limits[0].Remaining != 9.8 {
		t.Errorf("k1 $%v, k2 $%v", s.Keys[0].CostUSD, s.Keys[1].CostUSD)
	}
}

// What an answer has told, reading what it made does not tell anew.
func TestWhatWasToldAtOnceIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.do(request(), Usage{Input: 7}, "resp-1")
	w.do(get("resp-1"), Usage{Input: 7})
	w.want("k1 m $0.00 7 tokens", "k1 ")
	// One that runs in the background tells it only then.
	w.do(request(), Usage{}, "resp-2")
	w.do(get("resp-2"), Usage{Input: 9})
	w.do(get("resp-2"), Usage{Input: 9})
	w.want("k2 m", "k2 ", "k2 m $0.00 9 tokens later", "k2 ")
	// A video that is paid for at once.
	w.do(video(), Usage{CostUSD: 0.20}, "job-1")
	w.do(get("job-1"), Usage{CostUSD: 0.20})
	w.want("k3 hailuo $0.20 0 tokens", "k3 ")
	// What goes on from something is work of its own.
	w.do(post("resp-1"), Usage{Input: 30})
	w.want("k1 m $0.00 30 tokens")
}

// What no key may ever do is refused at once, though one of them will soon be
// free: and it is not the service that failed.
func TestNoKeyIsForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, "", func(cfg *Config) {
			cfg.Keys[0].Scopes, cfg.Keys[1].Scopes = []string{"video"}, []string{"video", "image"}
		})
		l := acquire(t, e, video())
		l.Judge(Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 3 * time.Second, Evidence: Evidence{Status: 429}})
		e.Abandon(l.req)
		begun := time.Now()
		_, err := e.Acquire(context.Background(), request())
		var none *NoKeyError
		if !errors.As(err, &none) || none.Scope != "chat" || none.RetryAfter != 0 || time.Since(begun) != 0 {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
		if why := none.Reasons[1].Why; why != "is for video, image, not for chat" {
			t.Errorf("because it %s", why)
		}
		if s := e.Snapshot(); s.Proxy.Failures != 0 || s.Proxy.ClientErrors != 1 || s.Services[0].Failures != 0 {
			t.Errorf("%+v", s.Proxy)
		}
	})
}

package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// wallet is money that asks a provider of a test's own, in virtual time, and
// notes who asked when.
type wallet struct {
	*money
	engine *engine.Engine
	began  time.Time

	lock  sync.Mutex
	asked []string
	funds provider.Funds
}

// newWallet has keys "name kind account" of one service.
func newWallet(t *testing.T, keys ...string) *wallet {
	t.Helper()
	w := &wallet{began: time.Now(), funds: provider.Funds{Left: 5, Currency: "USD"}}
	var cfg engine.Config
	svc := engine.Service{Name: "svc"}
	for _, line := range keys {
		f := append(strings.Fields(line), "")
		cfg.Keys = append(cfg.Keys, engine.Key{Name: f[0], Provider: f[1], Kind: f[1], Account: f[2], Secret: secret.New("sk-test-not-a-key-" + f[0])})
		svc.Keys = append(svc.Keys, f[0])
	}
	cfg.Services = []engine.Service{svc}
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.engine = e
	w.money = newMoney(cfg.Keys, func(_ context.Context, key string) (provider.Funds, bool) {
		w.lock.Lock()
		defer w.lock.Unlock()
		w.asked = append(w.asked, fmt.Sprintf("%s %v", key, time.Since(w.began).Round(10*time.Second)))
		return w.funds, true
	}, e.Snapshot, e.Funded)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go w.run(ctx)
	return w
}

// answered lets the service make one request that is answered so.
func (w *wallet) answered(t *testing.T, v engine.Verdict) {
	t.Helper()
	r := &engine.Request{ID: "r", Service: "svc", Repeatable: true}
	l, err := w.engine.Acquire(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if l.Judge(v) {
		w.engine.Abandon(r)
	} else {
		l.Close(engine.Usage{}, nil)
	}
}

// after lets time pass and tells who asked meanwhile.
func (w *wallet) after(d time.Duration) []string {
	take := func() []string {
		w.lock.Lock()
		defer w.lock.Unlock()
		asked := w.asked
		w.asked = nil
		return asked
	}
	take()
	time.Sleep(d)
	synctest.Wait()
	return take()
}

func TestWhoAsksWhen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWallet(t, "a1 aimlapi team-a", "a2 aimlapi team-a", "b1 aimlapi team-b", "o1 openai team-a", "r1 openrouter x", "r2 openrouter x")
		// One key of each account; each key where only a key's bound is told;
		// nobody where the provider does not tell.
		if got := w.after(time.Second); got != nil {
			t.Errorf("asked at once: %v", got)
		}
		got := w.after(4 * time.Second)
		slices.Sort(got)
		if strings.Join(got, ",") != "a1 0s,b1 0s,r1 0s,r2 0s" {
			t.Errorf("at the start %v", got)
		}
	})
}

func TestUseDecidesHowOftenItIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWallet(t, "k aimlapi a")
		w.after(10 * time.Second)
		if got := w.after(time.Hour + time.Minute); len(got) != 2 {
			t.Errorf("idle for an hour, asked %v", got)
		}
		n := 0
		for range 12 {
			w.answered(t, engine.Verdict{})
			n += len(w.after(5 * time.Minute))
		}
		if n != 12 {
			t.Errorf("busy for an hour, asked %d times", n)
		}
	})
}

func TestNoMoneyIsAskedAboutSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWallet(t, "k aimlapi a")
		w.after(10 * time.Minute)
		w.answered(t, engine.Verdict{Kind: engine.QuotaExhausted, Scope: engine.ScopeAccount, Evidence: engine.Evidence{Status: 402}})
		// In real life somebody follows the events.
		w.gone("k")
		if got := w.after(29 * time.Second); got != nil {
			t.Errorf("asked before the provider's books can be right: %v", got)
		}
		if got := w.after(2 * time.Second); len(got) != 1 {
			t.Errorf("after 30 s asked %v", got)
		}
		for range 5 {
			w.gone("k")
		}
		if got := w.after(58 * time.Second); got != nil {
			t.Errorf("asked again within a minute: %v", got)
		}
		if got := w.after(5 * time.Second); len(got) != 1 {
			t.Errorf("a minute later asked %v", got)
		}
		if w.engine.Snapshot().Keys[0].State != engine.Exhausted {
			t.Fatal("the same balance lifted the hold")
		}
		w.lock.Lock()
		w.funds.Left = 25 // somebody paid
		w.lock.Unlock()
		if got := w.after(5*time.Minute + time.Second); len(got) != 1 || w.engine.Snapshot().Keys[0].State != engine.Active {
			t.Errorf("paid, asked %v, and it is %v", got, w.engine.Snapshot().Keys[0].State)
		}
	})
}

// TestBalances asks simulated providers over real HTTP, as a node does.
func TestBalances(t *testing.T) {
	t.Parallel()
	cfg := config.Defaults()
	cfg.Listen = "127.0.0.1:0"
	svc := engine.Service{Name: "svc"}
	add := func(kind string, keys ...sim.Key) {
		up, err := sim.NewUpstream(kind, sim.Options{}, keys...)
		if err != nil {
			t.Fatal(err)
		}
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		base := up.BaseURL()
		t.Cleanup(func() { _ = up.Close() })
		for _, k := range keys {
			cfg.Engine.Keys = append(cfg.Engine.Keys, engine.Key{Name: k.Name, Provider: kind, Kind: kind, BaseURL: base, Account: k.Account, Secret: k.Secret})
			svc.Keys = append(svc.Keys, k.Name)
		}
	}
	key := func(name string, change func(*sim.Key)) sim.Key {
		k := sim.Key{Name: name, Account: "of-" + name, Secret: secret.New("sk-test-not-a-real-key-" + name)}
		if change != nil {
			change(&k)
		}
		return k
	}
	add("aimlapi", key("rich", func(k *sim.Key) { k.Budget = 12.5 }), key("revoked", func(k *sim.Key) { k.Revoked = true }))
	add("deepseek", key("yuan", nil), key("broke", func(k *sim.Key) { k.Budget = 0.001 }))
	cfg.Engine.Services = []engine.Service{svc}
	n, err := Start(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	for _, p := range n.money.purses {
		n.money.mu.Lock()
		p.next = time.Time{}
		n.money.mu.Unlock()
	}
	n.money.askDue(context.Background())
	want := map[string]string{"rich": "active 12.50 USD false", "revoked": "active", "yuan": "active 100.00 CNY false", "broke": "exhausted 0.00 CNY true"}
	got := map[string]string{}
	await(t, func() bool { // a slow start may have begun to ask by itself
		for _, k := range n.Snapshot().Keys {
			text := k.State.String()
			if b := k.Balance; b != nil {
				text += fmt.Sprintf(" %.2f %s %v", *b.Amount, b.Currency, b.Unusable)
			}
			got[k.Name] = text
		}
		return maps.Equal(got, want)
	}, func() string { return fmt.Sprintf("the keys are %v, want %v", got, want) })
	for _, ev := range n.Events(0) {
		if ev.Key == "revoked" {
			t.Errorf("a balance call blamed a key: %s", ev.Text)
		}
	}
}

package engine

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// usd is what an account has, asked now.
func usd(left float64) Funds {
	return Funds{LeftUSD: left, Amount: left, Currency: "USD", Unusable: left <= 0, At: time.Now()}
}

// ofAccounts puts the keys of a test engine into accounts, one name each.
func ofAccounts(names ...string) func(*Config) {
	return func(c *Config) {
		for i, name := range names {
			c.Keys[i].Account = name
		}
	}
}

func TestNoMoneyHoldsTheWholeAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, RoundRobin, ofAccounts("a", "a", "b"))
		e.Funded("k1", usd(5))
		if got := keyOf(t, e, "k2").Balance; got == nil || *got.Amount != 5 || got.Currency != "USD" || got.Unusable {
			t.Errorf("the balance of an account is that of all its keys: %+v", got)
		}
		time.Sleep(time.Minute)
		e.Funded("k2", usd(0))
		for name, want := range map[string]State{"k1": Exhausted, "k2": Exhausted, "k3": Active} {
			if k := keyOf(t, e, name); k.State != want || (want == Exhausted) != (k.Balance != nil && k.Balance.Unusable) {
				t.Errorf("%s is %v with %+v, want %v", name, k.State, k.Balance, want)
			}
		}
		if k := keyOf(t, e, "k1"); k.Reason != "the provider says that its balance is 0.00 USD" || k.Until != nil || k.Holds[0].Account != "a" {
			t.Errorf("held with %q until %v", k.Reason, k.Until)
		}
		if got := serve(t, e); got != "k3" {
			t.Errorf("%s served", got)
		}
		time.Sleep(time.Minute)
		e.Funded("k1", usd(20))
		if stateOf(t, e, "k1") != Active || stateOf(t, e, "k2") != Active {
			t.Error("there is money again, and the keys are still held")
		}
	})
}

func TestAKeysOwnBoundHoldsThatKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 2, RoundRobin, ofAccounts("a", "a"))
		e.Funded("k1", usd(7))
		bound := usd(0)
		bound.KeyOnly = true
		e.Funded("k1", bound)
		if stateOf(t, e, "k1") != Exhausted || stateOf(t, e, "k2") != Active {
			t.Error("a key's own bound is that key's")
		}
		if b := keyOf(t, e, "k1").Balance; !b.Unusable || *b.Amount != 0 {
			t.Errorf("k1 shows %+v", b)
		}
		e.Funded("k2", usd(9)) // the account's money says nothing of the key's bound
		if stateOf(t, e, "k1") != Exhausted {
			t.Error("the account's money lifted the bound of a key")
		}
		time.Sleep(time.Minute)
		e.Funded("k1", Funds{LeftUSD: math.Inf(1), Amount: math.Inf(1), Currency: "USD", KeyOnly: true, At: time.Now()})
		if k := keyOf(t, e, "k1"); k.State != Active || k.Balance.Amount != nil {
			t.Errorf("without a bound k1 is %v with %+v", k.State, k.Balance)
		}
	})
}

func TestMoneyLiftsOnlyWhatIsForMoney(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		verdict Verdict
		before  []float64 // told before the verdict
		after   float64   // told after
		want    State
	}{
		{"topped up", noMoney, []float64{5}, 25, Active},
		{"was empty", noMoney, []float64{0}, 1, Active},
		{"not known before", noMoney, nil, 1, Active},
		{"the same as before", noMoney, []float64{5}, 5, Exhausted},
		{"less than before", noMoney, []float64{5}, 4.9, Exhausted},
		{"a quota with a clock", Verdict{Kind: QuotaExhausted, Scope: ScopeKey, RetryAfter: time.Hour}, []float64{0}, 25, Exhausted},
		{"another reason", unauthorized, []float64{1}, 25, Failing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := testEngine(t, 1, RoundRobin, ofAccounts(""))
				l := acquire(t, e, request())
				for _, left := range c.before {
					f := usd(left)
					f.Unusable = false
					e.keyBy["k1"].cred.purse = purse{funds: f, known: true}
				}
				l.Judge(c.verdict)
				e.Abandon(l.req)
				time.Sleep(30 * time.Second)
				e.Funded("k1", usd(c.after))
				if got := stateOf(t, e, "k1"); got != c.want {
					t.Errorf("the key is %v, want %v", got, c.want)
				}
			})
		})
	}
}

// What a person, or a trial, has lifted stays lifted while nothing new is told.
func TestAnEmptyBalanceIsNoNewsTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		e.Funded("k1", usd(0))
		do(t, e, Action{Verb: VerbLift, Key: "k1"})
		time.Sleep(5 * time.Minute)
		e.Funded("k1", usd(0))
		if stateOf(t, e, "k1") != Active {
			t.Error("the operator lifted it, and the same balance holds it again")
		}
		e.Funded("k1", usd(3))
		time.Sleep(5 * time.Minute)
		e.Funded("k1", usd(0))
		if stateOf(t, e, "k1") != Exhausted {
			t.Error("money came and went, and the key is not held")
		}
		time.Sleep(firstMoney + time.Second)
		if got := serve(t, e); got != "k1" || stateOf(t, e, "k1") != Active {
			t.Errorf("a trial went to %s, the key is %v", got, stateOf(t, e, "k1"))
		}
		e.Funded("k1", usd(-0.5))
		if stateOf(t, e, "k1") != Active {
			t.Error("a trial succeeded, and the same balance holds the key again")
		}
	})
}

func TestFundsOfOtherKindsAndTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		yuan := Funds{LeftUSD: math.Inf(1), Amount: 88, Currency: "CNY", At: time.Now()}
		e.Funded("k1", yuan)
		if k := keyOf(t, e, "k1"); k.State != Active || *k.Balance.Amount != 88 || k.Balance.Currency != "CNY" {
			t.Errorf("%v with %+v", k.State, k.Balance)
		}
		old := usd(0)
		old.At = yuan.At.Add(-time.Minute)
		e.Funded("k1", old)
		e.Funded("nope", usd(0))
		if k := keyOf(t, e, "k1"); k.State != Active || *k.Balance.Amount != 88 {
			t.Errorf("an older answer counted: %v with %+v", k.State, k.Balance)
		}
		time.Sleep(time.Minute)
		yuan.Unusable, yuan.Amount, yuan.At = true, 0, time.Now()
		e.Funded("k1", yuan)
		if k := keyOf(t, e, "k1"); k.State != Exhausted || k.Reason != "the provider says that its balance is 0.00 CNY" {
			t.Errorf("%v: %s", k.State, k.Reason)
		}
		do(t, e, Action{Verb: VerbDisable, Key: "k1"})
		yuan.Unusable, yuan.Amount, yuan.At = false, 10, time.Now()
		e.Funded("k1", yuan)
		if stateOf(t, e, "k1") != Disabled {
			t.Error("money enabled what the operator disabled")
		}
	})
}

package engine

import (
	"fmt"
	"math"
	"slices"
	"time"

	"keywheel/engine/quota"
)

// Funds is what a provider says of the money that is left, of an account or of
// one key.
type Funds struct {
	// LeftUSD is what is left in US dollars: +Inf where nothing bounds it, or
	// where it is in another currency and bounds nothing in dollars.
	LeftUSD float64
	// Amount and Currency are as the provider tells them, to be shown; a
	// Currency of "" is one it does not name, an Amount of +Inf no bound.
	Amount   float64
	Currency string
	// KeyOnly is true where it is a bound of the key, and says nothing of the
	// others of its account.
	KeyOnly bool
	// Unusable is true where it does not suffice for a request.
	Unusable bool
	// At is when it was asked.
	At time.Time
}

// gone reports whether no request can be paid.
func (f Funds) gone() bool { return f.Unusable || f.LeftUSD <= 0 }

// String says it for people: "12.50 USD".
func (f Funds) String() string {
	if math.IsInf(f.Amount, 0) {
		return "no bound"
	}
	text := fmt.Sprintf("%.2f", f.Amount)
	if f.Currency != "" {
		text += " " + f.Currency
	}
	return text
}

// purse is the money of a key or of an account, as it was told last.
type purse struct {
	funds Funds
	known bool
}

// Funded tells the engine what the provider says of a key's money. Where none
// is left the key, or its account with all its keys, is exhausted, until there
// is more, a trial succeeds or a person acts. Where there is more than before,
// a hold for lack of money is lifted. An answer older than the last is dropped.
func (e *Engine) Funded(name string, f Funds) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.serve(now)
	k := e.keyBy[name]
	if k == nil {
		return
	}
	h := &k.cred.holder
	if k.cred.account != nil && !f.KeyOnly {
		h = k.cred.account
	}
	p := &h.purse
	if p.known && f.At.Before(p.funds.At) {
		return
	}
	before, known := p.funds, p.known
	p.funds, p.known, h.changed = f, true, true
	h.balance(f, now)
	held := h.all.hold
	switch {
	case f.gone():
		// A hold that a person or a trial has lifted is not placed again: the
		// same balance is no news.
		if known && before.gone() {
			return
		}
		if held == nil || held.over(now) || held.state == Cooling {
			e.place(k, h, "", &hold{state: Exhausted, verdict: QuotaExhausted, since: now, by: "engine", wait: firstMoney, trialAt: now.Add(firstMoney),
				why: "the provider says that its balance is " + f.String()}, now)
		}
	default:
		// The first that is told after a rejection for money may lag behind it;
		// more than before is new money.
		more := !known || before.gone() || f.Amount > before.Amount
		if more && held.forMoney() {
			h.all.lift()
			e.emit(Event{At: now, Kind: EventRecovered, Key: k.Name, State: Active, Text: "there is money again: " + f.String()})
			e.touched(h, now)
		}
	}
}

// balance makes the money a limit beside the others: what is left is corrected
// whenever it is asked, and goes down with what requests cost in between.
func (h *holder) balance(f Funds, now time.Time) {
	i := slices.IndexFunc(h.books, func(b *book) bool { return b.Source == Balanced })
	if math.IsInf(f.LeftUSD, 0) {
		if i >= 0 {
			h.books = slices.Delete(h.books, i, i+1)
		}
		return
	}
	if i < 0 {
		i = len(h.books)
		h.books = append(h.books, newBook(quota.NewBook(quota.Limit{Unit: quota.USD, Amount: max(f.LeftUSD, 0.01), Source: Balanced}, now)))
	}
	h.books[i].Left(f.LeftUSD, now)
}

// Balanced is the source of limits that were asked of the provider.
const Balanced = "balance"

// forMoney reports whether a hold is for lack of money: no clock ends it.
func (h *hold) forMoney() bool {
	return h != nil && h.state == Exhausted && h.verdict == QuotaExhausted && h.until.IsZero()
}

// balance is what is shown of a key's money: the key's own bound, else what its
// account has, and of the two what is gone; nil is unknown.
func (c *credential) balance() *Balance {
	var shown *Balance
	for _, h := range c.holders() {
		if h == nil || !h.purse.known {
			continue
		}
		f := h.purse.funds
		if shown != nil && (shown.Unusable || !f.gone()) {
			continue
		}
		shown = &Balance{Currency: f.Currency, At: f.At, Unusable: f.gone()}
		if !math.IsInf(f.Amount, 0) {
			shown.Amount = &f.Amount
		}
	}
	return shown
}

package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keywheel/engine/quota"
)

// jitter is how much sooner a request may reach the provider, against the one
// before it, than it left here.
const jitter = 10 * time.Millisecond

// book is one limit of a key, an account or a service.
type book struct {
	*quota.Book
	// learner keeps the book of a limit that nobody tells; nil for the others.
	learner *quota.Learner
	// declared is set where the config says the limit.
	declared bool
	// low is set while less than a fifth is left and that has been said.
	low bool
}

func newBook(b *quota.Book) *book {
	b.Late(jitter)
	return &book{Book: b}
}

// reopenBooks brings the books up to the limits that the config declares. One
// that is declared as before stays as it is, one of another amount goes on from
// what is used, one that is no longer declared is closed. What answers told and
// refusals taught stays. inFlight is how many requests run now.
func reopenBooks(books []*book, limits []quota.Limit, inFlight int, now time.Time) []*book {
	var list []*book
	for _, l := range limits {
		if slices.ContainsFunc(list, func(b *book) bool { return b.Limit == l }) {
			continue
		}
		i := slices.IndexFunc(books, func(b *book) bool { return b.declared && b.Limit == l })
		if i >= 0 {
			list = append(list, books[i])
			continue
		}
		b := newBook(quota.NewBook(l, now))
		b.declared = true
		i = slices.IndexFunc(books, func(o *book) bool { return o.declared && o.SameWindow(l) })
		switch {
		case i >= 0:
			b.Resume(books[i].Book, now)
		case l.Unit == quota.Concurrent && l.Model == "":
			b.Settle(float64(inFlight), now)
		}
		list = append(list, b)
	}
	return append(list, slices.DeleteFunc(slices.Clone(books), func(b *book) bool { return b.declared })...)
}

// estimate is what a request is expected to use.
type estimate struct{ input, output float64 }

// of is how much of the book's unit the request is expected to take.
func (est estimate) of(unit quota.Unit) float64 {
	switch unit {
	case quota.Tokens:
		return est.input + est.output
	case quota.Input:
		return est.input
	case quota.Output:
		return est.output
	case quota.USD:
		return 0 // the answer tells
	default:
		return 1
	}
}

// reserves is what is taken of the book for a request with such an estimate: of
// tokens never more than a whole window's. How much it may come to is the
// client's word, and no word of a client's closes a key for longer.
func (b *book) reserves(est estimate) float64 {
	n := est.of(b.Unit)
	switch b.Unit {
	case quota.Tokens, quota.Input, quota.Output:
		n = min(n, b.Amount)
	}
	return n
}

// concerns reports whether the request counts against the book.
func (b *book) concerns(r *Request) bool { return b.Model == "" || b.Model == r.Model }

// lacks says which of the books the request does not fit in, nil if it fits in
// all.
func (q *query) lacks(books []*book) *book {
	for _, b := range books {
		if b.Source != Balanced && b.concerns(q.r) && !b.Fits(q.need(b), q.now) {
			return b
		}
	}
	return nil
}

// need is how much of the book the request asks for.
func (q *query) need(b *book) float64 {
	if b.Unit == quota.USD {
		return 1e-9 // anything left is enough
	}
	return max(q.r.est.of(b.Unit), 1e-9)
}

// full says that the request does not fit in the book, and from when on it does.
func (q *query) full(b *book) (why string, until time.Time) {
	until = b.WhenFits(q.need(b), q.now)
	if b.Unit == quota.Concurrent {
		return "serves as many at once as it may", q.moment()
	}
	return limitReasons[b.Unit], until
}

var limitReasons = map[quota.Unit]string{quota.Requests: "has used its limit of requests", quota.Tokens: "has used its limit of tokens",
	quota.Input: "has used its limit of input tokens", quota.Output: "has used its limit of output tokens", quota.USD: "has used its limit of money"}

// leastNeeds is the least that a request can need of a unit.
func leastNeed(u quota.Unit) float64 {
	if u == quota.USD {
		return 1e-9
	}
	return 1
}

// counted brings the time from which on the key's limits, and its account's,
// let any request at all pass up to date. It is called whenever a book changed.
func (e *Engine) counted(c *credential, now time.Time) {
	if len(c.books) > 0 || c.room != 0 {
		c.room = roomAt(c.books, now)
		for _, k := range c.names {
			for _, p := range k.places {
				p.tier.members[p.i].roomAt = c.room
			}
		}
	}
	if c.account != nil {
		c.account.counted(now)
	}
}

// counted is the same for an account's limits alone.
func (h *holder) counted(now time.Time) {
	if len(h.books) > 0 || h.room != 0 {
		h.room = roomAt(h.books, now)
	}
}

// counted is the same for the limits that the lease uses: a reload may have
// retired its secret, which is of no account then.
func (l *Lease) counted(now time.Time) {
	l.e.counted(l.cred, now)
	if a := l.holders[1]; a != nil && a != l.cred.account {
		a.counted(now)
	}
}

// roomAt is when the least that a request can need fits in all of the books,
// Unix nanoseconds; never if time alone does not bring that about.
func roomAt(books []*book, now time.Time) (at int64) {
	for _, b := range books {
		if b.Model != "" || b.Source == Balanced {
			continue
		}
		if n := leastNeed(b.Unit); !b.Fits(n, now) {
			when := b.WhenFits(n, now)
			if when.IsZero() {
				return never
			}
			at = max(at, when.UnixNano())
		}
	}
	return at
}

const (
	// recountTime is how often all limits are looked at: times that were worked
	// out before the machine's clock was set may be wrong.
	recountTime = 10 * time.Second
	// learnedFor is how long a limit that was learned is kept without another
	// refusal.
	learnedFor = time.Hour
)

// recount brings all limits up to date, and forgets the learned ones that have
// not refused anything for long.
func (e *Engine) recount(now time.Time) {
	for _, c := range e.creds {
		for _, h := range c.holders() {
			if h != nil {
				h.books = slices.DeleteFunc(h.books, func(b *book) bool { return b.learner != nil && now.Sub(b.learner.Since()) > learnedFor })
			}
		}
		e.counted(c, now)
	}
}

// takeLimits reserves what the lease's request is expected to use.
func (l *Lease) takeLimits(now time.Time) {
	r := l.req
	take := func(books []*book) {
		for _, b := range books {
			if !b.concerns(r) {
				continue
			}
			if n := b.reserves(r.est); n > 0 {
				b.Take(n, now)
			}
			if b.learner != nil {
				b.learner.Took(r.est.input+r.est.output, now)
			}
		}
	}
	l.eachBooks(take)
	l.counted(now)
}

// eachBooks calls f with the books of the key, its account and the service.
func (l *Lease) eachBooks(f func([]*book)) {
	for _, h := range l.holders {
		if h != nil && len(h.books) > 0 {
			f(h.books)
		}
	}
	if s := l.req.svc; len(s.books) > 0 {
		f(s.books)
	}
}

// answered tells the books that the provider has answered: what was refused has
// used nothing up, and what the answer tells of its limits is right.
func (l *Lease) answered(v *Verdict, now time.Time) {
	r := l.req
	l.refused = v.Kind == RateLimited || v.Kind == QuotaExhausted || v.Free
	l.eachBooks(func(books []*book) {
		for _, b := range books {
			if !b.concerns(r) {
				continue
			}
			n := b.reserves(r.est)
			b.Answered(n)
			if l.refused && b.Unit != quota.Concurrent {
				b.Refund(n, l.at, now)
				if b.learner != nil {
					b.learner.Returned(r.est.input + r.est.output)
				}
			}
		}
	})
	if len(v.Told) > 0 {
		l.hear(v, now)
	}
}

// hear corrects the books by what the answer tells of them.
func (l *Lease) hear(v *Verdict, now time.Time) {
	h := l.holders[0]
	if v.ToldScope == ScopeAccount && l.holders[1] != nil {
		h = l.holders[1]
	}
	model := l.req.Model
	for _, t := range v.Told {
		i := slices.IndexFunc(h.books, func(b *book) bool { return b.learner == nil && b.Same(t, model) })
		if i < 0 {
			b, ok := quota.OpenTold(t, model, now)
			if !ok {
				continue
			}
			if i = h.placeForBook(); i < 0 {
				continue
			}
			h.books[i] = newBook(b)
		}
		h.books[i].Hear(t, l.at, now)
	}
}

// maxBooks bounds the books of one holder: models are named by clients.
const maxBooks = 64

// placeForBook makes room for one more book. Where there are too many, that
// takes the place of the model's whose headers were heard longest ago; -1 if
// there is none such.
func (h *holder) placeForBook() int {
	if len(h.books) < maxBooks {
		h.books = append(h.books, nil)
		return len(h.books) - 1
	}
	stalest := -1
	for i, b := range h.books {
		if b.Source == quota.Header && b.Model != "" && (stalest < 0 || b.Heard().Before(h.books[stalest].Heard())) {
			stalest = i
		}
	}
	return stalest
}

// settleLimits gives back what was reserved and not used, once the answer has
// told.
func (l *Lease) settleLimits(u Usage, now time.Time) {
	est := l.req.est
	used := estimate{float64(u.Input), float64(u.Output)}
	l.eachBooks(func(books []*book) {
		for _, b := range books {
			switch {
			case !b.concerns(l.req):
			case b.Unit == quota.Concurrent:
				b.Settle(-1, now)
			case b.Unit == quota.USD:
				b.Settle(u.CostUSD, now)
			case l.refused || b.HeardOf(l.at):
			case b.Unit != quota.Requests:
				b.Settle(used.of(b.Unit)-b.reserves(est), now)
			}
			if !l.judged {
				b.Answered(b.reserves(est))
			}
		}
	})
	l.counted(now)
}

const (
	// fewest is from how many successes in the last seconds on a refusal tells
	// a rate; longestPause is up to which hint it is a rate's affair.
	fewest       = 3
	longestPause = time.Minute
)

// refusedBy lets the limits of a holder learn from a refusal: one that is known
// is empty; where none is known, or the known ones let through more than the
// provider takes, one is learned. pause is how long nothing goes out now.
func (l *Lease) refusedBy(h *holder, v Verdict, pause time.Duration, now time.Time) {
	if len(v.Told) > 0 {
		return // the headers said it all
	}
	r := l.req
	known := false
	least := map[quota.Unit]float64{} // what is known is hardly twice as much
	for _, b := range h.books {
		if b.learner != nil || !b.concerns(r) || b.Window == 0 || !b.isNamed(v.Limit) {
			continue
		}
		known = b.Refused(r.est.of(b.Unit), v.RetryAfter, now) || known
		least[b.Unit] = b.PerSecond() / 2
	}
	if known || pause > longestPause {
		return
	}
	i := slices.IndexFunc(h.books, func(b *book) bool { return b.learner != nil && b.Model == v.Model })
	if i >= 0 {
		b := h.books[i]
		b.learner.Refused(r.est.input+r.est.output, unitNamed(v.Limit), pause, l.at, now)
		b.Book = b.learner.Book
		return
	}
	// A refusal among few requests tells nothing of a rate.
	if rate := h.accepted.Pace(now); h.accepted.Recent(now) >= fewest && len(h.books) < maxBooks {
		unit := unitNamed(v.Limit)
		if least[quota.Tokens] > 0 && least[quota.Requests] == 0 {
			unit = quota.Tokens
		}
		learner := quota.NewLearner(v.Model, unit, max(0.95*rate, least[quota.Requests]), max(0.95*h.tokens.Pace(now), least[quota.Tokens]), now)
		h.books = append(h.books, &book{Book: learner.Book, learner: learner})
	}
}

// isNamed reports whether a limit that an answer names, in the corpus's words,
// may be the book's.
func (b *book) isNamed(limit string) bool {
	switch unitNamed(limit) {
	case quota.Tokens:
		return b.Unit == quota.Tokens || b.Unit == quota.Input || b.Unit == quota.Output
	case quota.Requests:
		return b.Unit == quota.Requests
	default:
		return b.Unit != quota.USD && !strings.Contains(limit, "concurren")
	}
}

// unitNamed is the unit that an answer says was used up, "" if it does not.
func unitNamed(limit string) quota.Unit {
	switch {
	case strings.Contains(limit, "token"):
		return quota.Tokens
	case strings.Contains(limit, "request"):
		return quota.Requests
	default:
		return ""
	}
}

// checkBooks says when a limit runs low, and holds the key or the account when
// a window that ends by the calendar, or the money, is used up.
func (e *Engine) checkBooks(l *Lease, now time.Time) {
	for _, h := range l.holders {
		if h == nil || !l.key.has(h) {
			continue // its secret was replaced meanwhile
		}
		for _, b := range h.books {
			if (b.Calendar != "" || b.Source == Balanced) && b.learner == nil {
				e.checkBook(l.key, h, b, now)
			}
		}
	}
}

func (e *Engine) checkBook(k *key, h *holder, b *book, now time.Time) {
	left := b.Remaining(now)
	if low := left < b.Amount/5; low != b.low {
		b.low = low
		if low && left > 0 {
			e.emit(Event{At: now, Kind: EventLow, Key: k.Name, State: Active,
				Text: fmt.Sprintf("below 20 %% of %s", b.words())})
		}
	}
	if b.Source == Balanced {
		// What requests cost is not known to the cent: a trial tells.
		if left <= 0 && h.purse.funds.LeftUSD > 0 && h.all.hold == nil {
			e.place(k, h, "", &hold{state: Exhausted, verdict: QuotaExhausted, since: now, by: "engine", wait: firstMoney, trialAt: now.Add(firstMoney),
				why: "used up " + b.words(), rule: "the balance that the provider told, less what requests have cost since"}, now)
		}
		return
	}
	used := left <= 0 && h.inFlight == 0 || b.Unit == quota.Requests && left < 1
	if used && h.all.hold == nil && b.Model == "" {
		e.place(k, h, "", &hold{state: Exhausted, verdict: QuotaExhausted, since: now, until: b.ResetsAt(now), by: "engine",
			why: fmt.Sprintf("used up %s (%s)", b.words(), b.Source)}, now)
	}
}

// words names the limit: "1M tokens a day", "a balance of 20 USD".
func (b *book) words() string {
	if b.Source == Balanced {
		return fmt.Sprintf("a balance of %.2f USD", b.Amount)
	}
	return fmt.Sprintf("%s %s a %s", amount(b.Amount), b.Unit, b.Calendar)
}

// amount writes a limit's amount for people: 1k, 200k, 1.5M, 50.
func amount(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%gM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%gk", n/1e3)
	default:
		return fmt.Sprintf("%g", n)
	}
}

package quota

import (
	"time"
)

// Learned is the source of limits that refusals taught.
const Learned = "learned"

// Learner finds out how much a provider takes where nobody says it: from the
// refusals alone.
//
// A refusal means that nothing is left at that moment. Between two of them, all
// that came in was taken: so much in so much time is the rate. So the learner
// goes a little faster than it believes the rate to be, and meets a refusal
// about once in a hundred requests; that shows where the limit is, and nothing
// that the provider would have taken is left over. Where no refusal comes, it
// goes faster in growing steps; where requests come slower than it would let
// them, it learns nothing.
type Learner struct {
	Book *Book
	// rates are what is believed of each unit that the limit may be in; the
	// book is in one of them. Where tokens count, large requests are refused
	// more often than small ones: sizes are those of the last that went out, and
	// larger is of how many of those a refused one is larger, usually.
	rates  [2]belief
	unit   int
	sizes  [16]float64
	size   int
	larger float64
	// depth is for how many tokens a request waits at most: nobody says how many
	// there can be, and what is waited for in vain is lost.
	depth     float64
	intervals int
	// since is when the request left that was refused last.
	since time.Time
	// horizon is after how many requests the next refusal is looked for, grow
	// after how many without one the rate is lifted, by how much it is, and by
	// how much it will be.
	horizon, grow, lift, step float64
	// held is the lift that stood without a refusal, 0 before any did.
	held float64
	// stepped is when it was lifted last.
	stepped time.Time
}

// belief is what a learner believes of a unit.
type belief struct {
	// rate is a second, weight for how many requests' worth of evidence.
	rate, weight float64
	// n was taken since the last refusal; left is what was left then, about: less
	// than the refused request asked for.
	n, left float64
}

var learnable = [2]Unit{Requests, Tokens}

const (
	// firstHorizon is that of the first guess; the longest is of a limit that
	// holds still, and the shorter, the longer a refusal takes to come.
	firstHorizon   = 4.0
	longestHorizon = 120.0
	horizonTime    = 12 * time.Second
	leastHorizon   = 4.0
	largestStep    = 0.2
	// stepTime is how long a lift stands at least: as long as the windows that
	// are met most, so that it says something.
	stepTime = time.Second
	// probeTime is after how long without a refusal the rate is lifted even if
	// something else limits the requests too, or so few go out that they tell
	// little: a storm that has passed may have left far too low a rate.
	probeTime = 30 * time.Second
	// seldom is below how many requests a second too few go out to tell soon.
	seldom = 0.9
	// slow is the lowest rate that is learned, a second.
	slow = 1.0 / 600
)

// NewLearner begins to learn at a refusal, from the rates a second that were
// taken before it. unit is what is probably counted; "" is requests.
func NewLearner(model string, unit Unit, requests, tokens float64, now time.Time) *Learner {
	l := &Learner{since: now, horizon: firstHorizon, larger: 0.5}
	if unit != "" && unit != Requests && tokens > 0 {
		l.unit, l.larger = 1, 0.7
	}
	l.expect()
	l.rates[0] = belief{rate: max(requests, slow), weight: 2, left: 0.5}
	if tokens > 0 {
		l.rates[1] = belief{rate: tokens, weight: 2}
	}
	l.depth = l.perRequest()
	l.open(model, now)
	return l
}

// open begins the book anew in the unit that is believed.
func (l *Learner) open(model string, now time.Time) {
	l.Book = NewBook(Limit{Unit: learnable[l.unit], Amount: 1, Window: time.Minute, Model: model, Source: Learned}, now)
	l.set(now)
	l.Book.set(0, now)
}

// set makes the book go at the rate that is believed and a little more.
func (l *Learner) set(now time.Time) {
	c := l.Book.counter.(*bucket)
	c.refill(now)
	rate := l.rates[l.unit].rate * (1 + 1/l.horizon) * l.lift
	// Enough for two requests, and for the shortest pause after a refusal.
	depth := 2 + rate/20
	if l.unit == 1 {
		depth = max(l.depth, rate/20)
	}
	c.missing = max(c.missing+depth-c.depth, 0)
	c.rate, c.depth = rate, depth
	l.Book.Amount, l.Book.Burst = max(rate*60, depth), depth
}

// perRequest is how much one request takes on average.
func (l *Learner) perRequest() float64 {
	if l.unit == 0 || l.rates[0].rate == 0 {
		return 1
	}
	return max(l.rates[1].rate/l.rates[0].rate, 1)
}

// Since is when the request left that was refused last.
func (l *Learner) Since() time.Time { return l.since }

// Rate is what is believed, a second, in the unit of the book.
func (l *Learner) Rate() float64 { return l.rates[l.unit].rate }

// Took notes a request that went out.
func (l *Learner) Took(tokens float64, now time.Time) {
	l.rates[0].n++
	l.rates[1].n += tokens
	l.sizes[l.size%len(l.sizes)] = tokens
	l.size++
	if least := l.perRequest() / 2; l.unit == 1 && tokens > l.depth*0.7 {
		l.depth = max(l.depth*0.99, least)
	}
	rate := l.rates[0].rate * l.lift
	// Where few go a second, too large a step costs little.
	largest, pause := min(max(largestStep, largestStep/rate), 1), stepTime
	if l.intervals < 2 { // hardly more than a guess yet
		largest, pause = max(largest, 3*largestStep), stepTime/4
	}
	probe := rate < seldom && now.Sub(later(l.since, l.stepped)) > probeTime
	if l.rates[0].n < l.grow && !probe || now.Sub(l.stepped) < pause {
		return
	}
	if probe {
		l.step = max(l.step, largest/2)
	}
	if silent := now.Sub(l.since); l.limits() || silent > probeTime && l.far() > l.Book.PerSecond()*silent.Seconds() {
		// Nothing was refused for longer than expected: the limit is higher.
		if pause == stepTime {
			l.held = l.lift
		}
		l.lift *= 1 + l.step
		l.step = min(2*l.step, largest)
		l.set(now)
	}
	l.grow, l.stepped = l.rates[0].n+1.5/l.step, now
}

// expect begins to wait for the next refusal.
func (l *Learner) expect() {
	l.rates[0].n, l.rates[1].n = 0, 0
	l.lift, l.held, l.step, l.grow = 1, 0, 1/l.horizon, 1.5*l.horizon
}

// limits reports whether it is the book that has kept requests back of late:
// little has spilled of it.
func (l *Learner) limits() bool {
	c := l.Book.counter.(*bucket)
	return c.spilled <= 0.05*l.rates[l.unit].n+l.perRequest()
}

// far is how much would have been taken by now at ten times the pace of late:
// what lets more than that through keeps nobody back, and needs no lifting.
func (l *Learner) far() float64 { return 10 * l.rates[l.unit].n }

// Returned takes back a request that was refused: it used nothing up.
func (l *Learner) Returned(tokens float64) {
	l.rates[0].n = max(l.rates[0].n-1, 0)
	l.rates[1].n = max(l.rates[1].n-tokens, 0)
}

// Refused learns from the refusal of a request of so many tokens that left at
// sent, and that was returned. named is the unit the provider names, "" if it
// names none. Nothing goes out for the length of the pause.
func (l *Learner) Refused(tokens float64, named Unit, pause time.Duration, sent, now time.Time) {
	l.larger += (l.rank(tokens) - l.larger) / 3
	if l.unit == 1 && tokens > l.depth {
		l.depth = min(tokens, l.depth*1.15)
	}
	took := sent.Sub(l.since).Seconds()
	requests := l.rates[0].n
	switch {
	case took <= 0:
		return
	case requests < 0.5:
		// Nothing has come in since the last: the interval goes on.
		l.empty(tokens, pause, now)
		return
	case l.limits():
		l.intervals++
		l.rates[0].learn(took, requests, 0.5, l.held)
		l.rates[1].learn(took, requests, l.left(tokens), l.held)
		// The more a refusal costs, the seldomer one is looked for.
		longest := min(longestHorizon, max(horizonTime.Seconds()*l.rates[0].rate, longestHorizon/2)) * (1 + l.rates[0].rate*pause.Seconds()) / 2
		switch {
		case requests >= l.horizon/2:
			l.horizon = min(2*l.horizon, longest)
		case requests < l.horizon/4:
			l.horizon = max(l.horizon/2, leastHorizon)
		}
	default:
		// Refused though there was room: it is less than believed.
		for i := range l.rates {
			l.rates[i].rate = max(l.rates[i].rate*0.95, slow)
			l.rates[i].weight /= 2
		}
		l.horizon = max(l.horizon/2, leastHorizon)
	}
	l.choose(named, now)
	l.since = sent
	l.expect()
	l.set(now)
	l.empty(tokens, pause, now)
}

// left is how many tokens are left, about, where so many are refused.
func (l *Learner) left(tokens float64) float64 {
	if l.unit == 1 {
		tokens = min(tokens, l.Book.whole())
	}
	return tokens / 2
}

// empty says that a request of so many tokens found too little left, and that
// nothing goes out for a while: what spills meanwhile is nobody's.
func (l *Learner) empty(tokens float64, pause time.Duration, now time.Time) {
	c := l.Book.counter.(*bucket)
	c.refill(now)
	level := 0.0
	if l.unit == 1 {
		level = l.left(tokens)
	}
	c.missing, c.spilled = max(c.missing, c.depth-level), -c.rate*pause.Seconds()
}

// learn takes in what was taken between two refusals, the second of which found
// about so much left. held is by how much more than the rate was taken for long
// without one: in a window that does not carry over what is left of it, that is
// the better evidence.
func (b *belief) learn(took, requests, left, held float64) {
	seen := max(b.n+left-b.left, b.n/2, slow) / took
	b.left = left
	// What foretold this interval badly counts for little.
	weight := min(b.weight, 2*requests)
	if held > 0 {
		// It may also be that a long window began between.
		b.rate = min(b.rate*held, max(b.rate, 2*seen))
		seen = max(seen, b.rate)
	}
	b.rate = (weight + requests) / (weight/max(b.rate, slow) + requests/seen)
	b.weight = min(weight+requests, longestHorizon)
}

// rank is of how large a share of the last requests one of so many tokens is
// larger.
func (l *Learner) rank(tokens float64) float64 {
	n := min(l.size, len(l.sizes))
	if n == 0 {
		return 0.5
	}
	larger := 0.0
	for _, s := range l.sizes[:n] {
		switch {
		case tokens > s:
			larger++
		case tokens == s:
			larger += 0.5
		}
	}
	return larger / float64(n)
}

// choose goes over to the unit that the provider names, or that the refusals
// speak for.
func (l *Learner) choose(named Unit, now time.Time) {
	unit := l.unit
	switch {
	case l.rates[1].rate == 0:
		return
	case named != "":
		unit = 1
		if named == Requests {
			unit = 0
		}
	case l.larger > 0.7:
		unit = 1
	case l.larger < 0.4:
		unit = 0
	}
	if unit != l.unit {
		l.unit = unit
		l.depth = l.perRequest()
		l.open(l.Book.Model, now)
	}
}

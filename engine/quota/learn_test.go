package quota

import (
	"math/rand/v2"
	"testing"
	"time"
)

// provider is a limit that says nothing but no.
type provider interface {
	take(n float64, now time.Time) bool
}

type strictBucket struct{ bucket }

func (b *strictBucket) take(n float64, now time.Time) bool {
	if b.room(now) < min(n, b.depth) {
		return false
	}
	b.bucket.take(n, now)
	return true
}

type fixedWindows struct {
	amount float64
	length time.Duration
	used   float64
	index  int64
}

func (w *fixedWindows) take(n float64, now time.Time) bool {
	if i := now.UnixNano() / int64(w.length); i != w.index {
		w.index, w.used = i, 0
	}
	if w.used+n > w.amount {
		return false
	}
	w.used += n
	return true
}

// TestLearnerFindsTheLimit sends as fast as the learner lets it, after a first
// refusal, and asks how much of the limit it used and how often it was refused
// once it has learned.
func TestLearnerFindsTheLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		p     func() provider
		cap   float64
		size  func(*rand.Rand) float64 // tokens of a request
		unit  Unit
		first float64 // the rate guessed at the first refusal
		after float64 // seconds of learning that do not count
		most  float64 // share of calls that may be refused
	}{
		{"a bucket of 5 at 5/s", func() provider { return &strictBucket{bucket{depth: 5, rate: 5, at: t0}} }, 5, nil, Requests, 6, 25, 0.02},
		{"a bucket of 5 at 50/s", func() provider { return &strictBucket{bucket{depth: 5, rate: 50, at: t0}} }, 50, nil, Requests, 19, 25, 0.02},
		{"a bucket of 60 at 1/s", func() provider { return &strictBucket{bucket{depth: 60, rate: 1, at: t0}} }, 1, nil, Requests, 12, 25, 0.02},
		{"windows of a second, 20 each", func() provider { return &fixedWindows{amount: 20, length: time.Second} }, 20, nil, Requests, 19, 25, 0.02},
		{"windows of a second, 50 each", func() provider { return &fixedWindows{amount: 50, length: time.Second} }, 50, nil, Requests, 19, 25, 0.02},
		{"windows of a second, 5 each", func() provider { return &fixedWindows{amount: 5, length: time.Second} }, 5, nil, Requests, 19, 25, 0.02},
		{"windows of ten seconds, 100 each", func() provider { return &fixedWindows{amount: 100, length: 10 * time.Second} }, 10, nil, Requests, 19, 100, 0.05},
		{"a bucket of tokens", func() provider { return &strictBucket{bucket{depth: 20_000, rate: 40_000, at: t0}} }, 40_000, func(r *rand.Rand) float64 { return 100 + r.Float64()*9900 }, Tokens, 12, 25, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, r := c.p(), rand.New(rand.NewPCG(1, 2))
			size := func() float64 { return 1 }
			tokens := 0.0
			if c.size != nil {
				size = func() float64 { return c.size(r) }
				tokens = 5050 * c.first
			}
			// A first burst empties what there is.
			for p.take(map[bool]float64{true: 5050, false: 1}[c.size != nil], t0) {
			}
			l := NewLearner("m", "", c.first, tokens, t0)
			now := t0
			taken, calls, refused := 0.0, 0, 0
			pause, inARow := time.Time{}, 0
			for now.Before(at(300)) {
				n := size()
				need := 1.0
				if l.Book.Unit == Tokens {
					need = n
				}
				for {
					if when := l.Book.WhenFits(need, now); when.After(now) {
						now = when
					} else if now.Before(pause) {
						now = pause
					} else {
						break
					}
				}
				l.Book.Take(need, now)
				l.Took(n, now)
				ok := p.take(n, now)
				if now.After(at(c.after)) {
					calls++
					if ok {
						taken += map[bool]float64{true: n, false: 1}[c.size != nil]
					} else {
						refused++
					}
				}
				if !ok {
					d := min(max(seconds(1/l.rates[0].rate), 50*time.Millisecond)<<inARow, time.Second)
					l.Returned(n)
					l.Refused(n, "", d, now, now)
					pause = now.Add(d)
					inARow = min(inARow+1, 6)
				} else {
					inARow = 0
				}
			}
			used, share := taken/(c.cap*(300-c.after)), float64(refused)/float64(calls)
			t.Logf("used %.1f %%, refused %.2f %%, believes %.2f %s/s", 100*used, 100*share, l.Rate(), l.Book.Unit)
			if used < 0.98 {
				t.Errorf("uses %.1f %% of the limit, want 98", 100*used)
			}
			if share > c.most {
				t.Errorf("%.2f %% of the calls were refused, want %.0f at most", 100*share, 100*c.most)
			}
			if l.Book.Unit != c.unit {
				t.Errorf("takes it for a limit of %s, want %s", l.Book.Unit, c.unit)
			}
		})
	}
}

// A limit that lets through far more than is asked for tells nothing by rising.
func TestALimitThatKeepsNobodyBackStopsRising(t *testing.T) {
	t.Parallel()
	l := NewLearner("m", "", 5, 0, t0)
	now := t0
	for range 100_000 {
		if now = now.Add(100 * time.Millisecond); l.Book.Fits(1, now) {
			l.Book.Take(1, now)
			l.Book.Answered(1)
			l.Took(0, now)
		}
	}
	if perMin, left := l.Book.Amount, l.Book.Remaining(now); !(perMin > 600 && perMin < 600*20 && left >= 0) {
		t.Errorf("learned %v a minute, %v left, from ten requests a second that nobody refused", perMin, left)
	}
}

package quota

import (
	"math"
	"testing"
	"time"
)

// TestHearing sends as fast as the book of a told limit lets it, against
// providers that tell the truth after every request, 20 ms late.
func TestHearing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		p     provider
		tells func(now time.Time) Told
		cap   float64
	}{
		{name: "windows of a second, 20 each", p: &fixedWindows{amount: 20, length: time.Second}, cap: 20},
		{name: "windows of a minute, 300 each", p: &fixedWindows{amount: 300, length: time.Minute}, cap: 5},
		{name: "a bucket of 5 at 50/s", p: &strictBucket{bucket{depth: 5, rate: 50, at: t0}}, cap: 50},
		{name: "a bucket of 60 at 1/s", p: &strictBucket{bucket{depth: 60, rate: 1, at: t0}}, cap: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			type answer struct {
				at, sent time.Time
				told     Told
				ok       bool
			}
			var b *Book
			var coming []answer
			calls, taken, refused := 0, 0, 0
			for now := t0; now.Before(at(214)); now = now.Add(time.Millisecond) {
				for len(coming) > 0 && !coming[0].at.After(now) {
					a := coming[0]
					coming = coming[1:]
					if b == nil {
						b, _ = OpenTold(a.told, "", now)
						b.Late(10 * time.Millisecond)
					}
					b.Answered(1)
					if !a.ok {
						b.Settle(-1, now)
					}
					b.Hear(a.told, a.sent, now)
				}
				if b != nil && !b.Fits(1, now) || len(coming) > 3 {
					continue
				}
				if b != nil {
					b.Take(1, now)
				}
				ok := c.p.take(1, now)
				told := Told{Unit: Requests, Window: time.Minute}
				switch p := c.p.(type) {
				case *fixedWindows:
					told.Amount, told.Remaining = p.amount, p.amount-p.used
					told.Reset = p.length - time.Duration(now.UnixNano()%int64(p.length))
				case *strictBucket:
					told.Amount, told.Remaining = p.depth, float64(int(p.room(now)))
					told.Reset = p.resets(now).Sub(now).Truncate(time.Millisecond)
				}
				coming = append(coming, answer{now.Add(20 * time.Millisecond), now, told, ok})
				if now.After(at(34)) {
					calls++
					if ok {
						taken++
					} else {
						refused++
					}
				}
			}
			used, share := float64(taken)/(c.cap*180), float64(refused)/float64(calls)
			t.Logf("used %.2f %%, refused %.2f %%, %v a %s, burst %v", 100*used, 100*share, b.Amount, b.Per(), b.Burst)
			if used < 0.985 || share > 0.005 {
				t.Errorf("used %.2f %%, want 98.5; refused %.2f %%, want 0.5", 100*used, 100*share)
			}
		})
	}
}

func TestNoHeaderClosesALimitForYears(t *testing.T) {
	t.Parallel()
	year := 365 * 24 * time.Hour
	for _, window := range []time.Duration{0, time.Minute} {
		told := Told{Unit: Requests, Name: "requests", Window: window, Amount: 10, Remaining: 0, Reset: 9 * year}
		b, ok := OpenTold(told, "m", t0)
		if !ok {
			t.Fatal("not opened")
		}
		b.Take(1, t0)
		b.Answered(1)
		b.Hear(told, t0, at(0.01))
		if when := b.WhenFits(1, at(1)); when.Sub(t0) > 36*24*time.Hour {
			t.Errorf("told window %v: closed until %v", window, when)
		}
	}
}

// Models answer slowly. What a header then tells corrects an estimate all the
// same: nothing else gives back what was reserved too much.
func TestASlowAnswersHeadersGiveBackWhatWasReserved(t *testing.T) {
	t.Parallel()
	told := Told{Unit: Tokens, Name: "tokens", Window: time.Minute, Amount: 60_000, Remaining: 59_000, Reset: time.Second}
	b, _ := OpenTold(told, "m", t0)
	for i := range 10 {
		sent := at(float64(10 * i))
		b.Take(5000, sent)
		came := sent.Add(2 * time.Second)
		b.Answered(5000)
		b.Hear(told, sent, came)
		if left := b.Remaining(came); left < 50_000 {
			t.Fatalf("after answer %d: %v left here, %v there", i+1, left, told.Remaining)
		}
	}
}

// TestCoarseTellingsChangeNothing hears what a busy account of Anthropic tells:
// tokens by the thousand, moments by the second.
func TestCoarseTellingsChangeNothing(t *testing.T) {
	t.Parallel()
	told := Told{Unit: Input, Window: time.Minute, Amount: 400_000, Remaining: 399_000, Reset: time.Second, Grain: time.Second}
	b, _ := OpenTold(told, "", t0)
	for i := range 100 {
		now := at(float64(i) / 10)
		b.Take(700, now)
		missing := float64(1000 * (1 + i%20))
		told.Remaining = 400_000 - missing
		told.Reset = time.Duration(math.Ceil(missing/(400_000.0/60))) * time.Second
		b.Answered(700)
		b.Hear(told, now, now.Add(20*time.Millisecond))
	}
	if got := b.PerSecond() * 60; b.Amount != 400_000 || b.Window != time.Minute || got < 390_000 || got > 410_000 {
		t.Errorf("%v a %v, refills %.0f a minute; want what is declared", b.Amount, b.Window, got)
	}
}

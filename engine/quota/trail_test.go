package quota

import (
	"testing"
	"time"
)

// TestTrailingLetsItsAmountThrough takes whatever fits as soon as it does.
func TestTrailingLetsItsAmountThrough(t *testing.T) {
	t.Parallel()
	b := NewBook(Limit{Unit: Requests, Amount: 50, Window: time.Second}, t0)
	b.Late(10 * time.Millisecond)
	b.Refused(1, 0, t0)
	n, p := 0, &fixedWindows{amount: 50, length: time.Second}
	for now := t0; now.Before(at(20)); {
		now = b.WhenFits(1, now)
		b.Take(1, now)
		b.Answered(1)
		if !p.take(1, now) {
			t.Fatalf("refused at %v", now.Sub(t0))
		}
		n++
	}
	if n < 50*18 {
		t.Errorf("%d in 20 s, want nearly 50 a second", n)
	}
}

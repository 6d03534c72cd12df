package quota

import (
	"math"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func TestRollingWindowRefills(t *testing.T) {
	t.Parallel()
	b := NewBook(Limit{Unit: Requests, Amount: 60, Window: time.Minute}, t0)
	for range 60 {
		if !b.Fits(1, t0) {
			t.Fatal("a fresh window takes its whole amount at once")
		}
		b.Take(1, t0)
	}
	if b.Fits(1, t0) {
		t.Error("the 61st request fits")
	}
	if got := b.WhenFits(1, t0); !got.Equal(at(1)) {
		t.Errorf("one more fits at %v, want in one second", got.Sub(t0))
	}
	if !b.Fits(1, at(1)) {
		t.Error("after one second one of 60 a minute has come back")
	}
	if got := b.Remaining(at(30)); math.Abs(got-30) > 1e-6 {
		t.Errorf("half a window later %v remain, want 30", got)
	}
	if got := b.ResetsAt(at(30)); !got.Equal(at(60)) {
		t.Errorf("whole again at %v, want 60s", got.Sub(t0))
	}
}

// A day that a clock was set into and out of again is no day of its own.
func TestACalendarWindowWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	b := NewBook(Limit{Unit: Requests, Amount: 10, Calendar: "day"}, t0)
	b.Take(6, t0)
	tomorrow := t0.Add(24 * time.Hour)
	if b.Take(3, tomorrow); b.Remaining(tomorrow) != 7 {
		t.Errorf("tomorrow %v of 10 remain", b.Remaining(tomorrow))
	}
	if end := b.ResetsAt(at(1)); b.Remaining(at(1)) != 1 || !end.Equal(time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("back today %v of 10 remain, until %v", b.Remaining(at(1)), end)
	}
	if yesterday := t0.Add(-24 * time.Hour); b.Remaining(yesterday) != 1 || b.ResetsAt(yesterday).After(t0) {
		t.Errorf("yesterday %v of 10 remain, until %v", b.Remaining(yesterday), b.ResetsAt(yesterday))
	}
	if b.Remaining(at(2)) != 10 {
		t.Errorf("the day after that %v of 10 remain", b.Remaining(at(2)))
	}
}

// What came back while the machine slept is there when it wakes up.
func TestASleepBringsBackWhatTimeBringsBack(t *testing.T) {
	t.Parallel()
	hour := Limit{Unit: Requests, Amount: 60, Window: time.Hour}
	strict := NewBook(hour, t0)
	strict.Take(1, t0)
	strict.Refused(1, 0, t0)
	fixed, _ := OpenTold(Told{Unit: Requests, Amount: 60, Remaining: 0, Window: time.Hour, Reset: time.Hour, Fixed: true}, "", t0)
	fixed.Left(0, t0)
	empty := NewBook(hour, t0)
	empty.Take(60, t0)
	for name, b := range map[string]*Book{"a bucket": empty, "a strict window": strict, "a window with an end": fixed} {
		b.Slept(30 * time.Minute)
		if b.Fits(31, at(1)) {
			t.Errorf("%s: all is there after half the time", name)
		}
		if b.Slept(31 * time.Minute); !b.Fits(60, at(1)) {
			t.Errorf("%s: only %v is there after the whole time", name, b.Remaining(at(1)))
		}
	}
	fresh := NewBook(hour, t0)
	if fresh.Slept(time.Hour); !fresh.Fits(1000, t0) {
		t.Error("a bucket that was full is not")
	}
}

func TestCalendarWindowStartsAgainByItsOwnClock(t *testing.T) {
	t.Parallel()
	pacific, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit Limit
		reset time.Time
	}{
		{Limit{Calendar: "day"}, time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)},
		{Limit{Calendar: "month"}, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
		{Limit{Calendar: "day", Zone: pacific}, time.Date(2026, 3, 15, 0, 0, 0, 0, pacific)},
	} {
		c.limit.Amount, c.limit.Unit = 10, Requests
		b := NewBook(c.limit, t0)
		b.Take(10, t0)
		if b.Fits(1, t0) {
			t.Errorf("%+v: full, yet one more fits", c.limit)
		}
		if got := b.ResetsAt(t0); !got.Equal(c.reset) {
			t.Errorf("%+v resets at %v, want %v", c.limit, got, c.reset)
		}
		if b.Fits(1, c.reset.Add(-time.Nanosecond)) || !b.Fits(1, c.reset) {
			t.Errorf("%+v: not whole again exactly at %v", c.limit, c.reset)
		}
	}
}

func TestConcurrencyIsWhatRuns(t *testing.T) {
	t.Parallel()
	b := NewBook(Limit{Unit: Concurrent, Amount: 2}, t0)
	b.Take(1, t0)
	b.Take(1, t0)
	if b.Fits(1, at(3600)) {
		t.Error("time alone ended a request")
	}
	if !b.WhenFits(1, t0).IsZero() {
		t.Error("nobody knows when a running request ends")
	}
	b.Take(-1, at(1))
	if !b.Fits(1, at(1)) {
		t.Error("one ended, one fits")
	}
}

func TestALargeRequestGoesWhenTheBucketIsFull(t *testing.T) {
	t.Parallel()
	b := NewBook(Limit{Unit: Tokens, Amount: 1000, Window: time.Minute}, t0)
	if !b.Fits(5000, t0) {
		t.Error("a full bucket lets a larger request go")
	}
	b.Take(5000, t0)
	if got := b.WhenFits(5000, t0); !got.Equal(at(300)) {
		t.Errorf("the next such goes at %v, want 300s", got.Sub(t0))
	}
}

func TestBurnAndRunway(t *testing.T) {
	t.Parallel()
	day := NewBook(Limit{Unit: Requests, Amount: 10_000, Calendar: "day"}, t0)
	if _, _, known := day.Runway(t0); known {
		t.Error("a runway is known before anything burned")
	}
	for i := range 601 {
		day.Take(2, at(float64(i)))
	}
	perMin, known := day.Burn(at(600))
	if !known || math.Abs(perMin-120) > 2 {
		t.Errorf("burn %v/min, want 120", perMin)
	}
	d, lasts, _ := day.Runway(at(600))
	if want := (10_000.0 - 1202) / 2; lasts || math.Abs(d.Seconds()-want) > want/50 {
		t.Errorf("runway %v lasts=%v, want %.0fs before the reset", d, lasts, want)
	}
	minute := NewBook(Limit{Unit: Requests, Amount: 600, Window: time.Minute}, t0)
	for i := range 60 {
		minute.Take(1, at(float64(i)))
	}
	if _, lasts, known := minute.Runway(at(60)); !lasts || !known {
		t.Error("a bucket that refills faster than it burns lasts")
	}
}

func TestMeterIsRightFromTheFirstSeconds(t *testing.T) {
	t.Parallel()
	for _, secs := range []int{5, 20, 100, 1000} {
		m := NewMeter(time.Minute)
		for i := range secs * 10 {
			m.Add(1, at(float64(i)/10))
		}
		if got := m.PerSecond(at(float64(secs))); math.Abs(got-10) > 0.6 {
			t.Errorf("after %ds of 10/s the meter reads %.2f/s", secs, got)
		}
	}
	m := NewMeter(time.Minute)
	m.Add(100, t0)
	if got := m.PerSecond(at(600)); got > 0.01 {
		t.Errorf("ten minutes of silence still read %.3f/s", got)
	}
}

func TestPer(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]Limit{
		"1m": {Window: time.Minute}, "1h": {Window: time.Hour}, "5h": {Window: 5 * time.Hour}, "1d": {Window: 24 * time.Hour},
		"day": {Calendar: "day"}, "month": {Calendar: "month"}, "": {Unit: Concurrent}, "1m30s": {Window: 90 * time.Second},
	} {
		if got := l.Per(); got != want {
			t.Errorf("%+v is per %q, want %q", l, got, want)
		}
	}
}

func TestWhatIsGivenBackOfAStrictWindowIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	c := &trailing{amount: 1000, length: time.Minute}
	c.take(900, at(0))
	c.take(50, at(10))
	c.take(-800, at(11))
	c.take(800, at(20))
	if room := c.room(at(61)); room > 200 {
		t.Errorf("room for %v, though 800 of 1000 were taken 41 s ago", room)
	}
}

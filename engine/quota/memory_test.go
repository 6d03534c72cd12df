package quota

import (
	"encoding/json"
	"testing"
	"time"
)

// again is a memory that was written down and read again.
func again(t *testing.T, m Memory) (out Memory) {
	t.Helper()
	b, err := json.Marshal(m)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestABookIsRecalledByTheClock(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	trailing := NewBook(Limit{Unit: Requests, Amount: 60, Window: time.Minute}, noon.Add(-time.Minute))
	for range 30 {
		trailing.Take(1, noon.Add(-30*time.Second))
	}
	trailing.Refused(1, 0, noon.Add(-20*time.Second))
	for _, tt := range []struct {
		name  string
		book  *Book
		used  float64
		after time.Duration
		want  float64
	}{
		{"a bucket refills", NewBook(Limit{Unit: Tokens, Amount: 600, Window: time.Minute}, noon), 300, 10 * time.Second, 200},
		{"a bucket is full again", NewBook(Limit{Unit: Tokens, Amount: 600, Window: time.Minute}, noon), 300, time.Hour, 0},
		{"a clock that was set back", NewBook(Limit{Unit: Tokens, Amount: 600, Window: time.Minute}, noon), 300, -time.Hour, 300},
		{"a day goes on", NewBook(Limit{Unit: USD, Amount: 50, Calendar: "day"}, noon), 20, 11 * time.Hour, 20},
		{"a day ends", NewBook(Limit{Unit: USD, Amount: 50, Calendar: "day"}, noon), 20, 12 * time.Hour, 0},
		{"a month goes on", NewBook(Limit{Unit: USD, Amount: 50, Calendar: "month"}, noon), 20, 100 * time.Hour, 20},
		{"money does not come back", NewBook(Limit{Unit: USD, Amount: 50}, noon), 20, 1000 * time.Hour, 20},
		{"what ran has ended", NewBook(Limit{Unit: Concurrent, Amount: 5}, noon), 3, 0, 0},
		{"a strict limit still counts", trailing, 0, 30 * time.Second, 60},
		{"a strict limit has room", trailing, 0, 41 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := tt.book.Clone()
			if tt.used > 0 {
				b.Take(tt.used, noon)
			}
			m, now := again(t, b.Memory(noon)), noon.Add(tt.after)
			fresh := NewBook(tt.book.Limit, now)
			if !m.Of(fresh) {
				t.Fatal("it is not of its own limit")
			}
			fresh.Recall(m, now)
			if got := fresh.Taken(now); got < tt.want-1e-6 || got > tt.want+1e-6 {
				t.Errorf("%g taken, want %g", got, tt.want)
			}
		})
	}
}

func TestWhatIsToldIsReopened(t *testing.T) {
	t.Parallel()
	b, ok := OpenTold(Told{Unit: Requests, Window: time.Minute, Amount: 100, Remaining: 40, Reset: 36 * time.Second}, "m", t0)
	if !ok {
		t.Fatal("not opened")
	}
	b.Hear(Told{Unit: Requests, Window: time.Minute, Amount: 100, Remaining: 40, Reset: 36 * time.Second}, t0, at(0.01))
	m := again(t, b.Memory(at(1)))
	r, ok := Reopen(m, at(10))
	if !ok || r.Model != "m" || r.Source != Header || r.Amount != 100 {
		t.Fatalf("%+v", r)
	}
	if got, want := r.Taken(at(10)), b.Taken(at(10)); got < want-0.01 || got > want+0.01 {
		t.Errorf("%g taken, want %g", got, want)
	}
	if !r.Same(Told{Unit: Requests, Window: time.Minute, Amount: 100}, "m") {
		t.Error("the next telling would open another")
	}
	// A window that stands still.
	end := at(600)
	m.Counts, m.Longest, m.End, m.Taken = countsWindow, 15*time.Minute, &end, 60
	for _, tt := range []struct{ now, want float64 }{{10, 60}, {599, 60}, {600, 0}, {100_000, 0}} {
		if r, ok := Reopen(m, at(tt.now)); !ok || r.Taken(at(tt.now)) != tt.want {
			t.Errorf("at %g: %v, %+v", tt.now, ok, r)
		}
	}
}

func TestNonsenseIsNotTakenUp(t *testing.T) {
	t.Parallel()
	good := Memory{Unit: Requests, Amount: 10, Window: time.Minute, Source: Header, Counts: countsBucket, Whole: 10, Rate: 1, At: t0}
	if _, ok := Reopen(good, t0); !ok {
		t.Fatal("the good one is not taken up")
	}
	for name, spoil := range map[string]func(*Memory){
		"no rate":          func(m *Memory) { m.Rate = 0 },
		"no amount":        func(m *Memory) { m.Amount = -1 },
		"nothing whole":    func(m *Memory) { m.Whole = 0 },
		"no window":        func(m *Memory) { m.Window = 0 },
		"of the config":    func(m *Memory) { m.Source = "config" },
		"an unknown word":  func(m *Memory) { m.Counts = "hourglass" },
		"no end":           func(m *Memory) { m.Counts = countsWindow },
		"a calendar's":     func(m *Memory) { m.Calendar = "day" },
		"a window for now": func(m *Memory) { m.Counts, m.End = countsWindow, &t0 },
	} {
		m := good
		spoil(&m)
		if _, ok := Reopen(m, t0); ok {
			t.Errorf("%s: taken up", name)
		}
	}
	for _, b := range []*Beliefs{nil, {}, {Unit: 7}, {Unit: -1}, {Unit: 1, Of: [2]Belief{{PerSecond: 1}}}} {
		if _, ok := Relearn(Memory{Beliefs: b}, t0); ok {
			t.Errorf("learned from %+v", b)
		}
	}
}

func TestALearnerGoesOn(t *testing.T) {
	t.Parallel()
	l := NewLearner("m", "", 10, 1000, t0)
	now := t0
	for i := range 400 {
		now = now.Add(90 * time.Millisecond)
		l.Book.Take(1, now)
		l.Took(100, now)
		if i%40 == 39 {
			l.Returned(100)
			l.Refused(100, "", 100*time.Millisecond, now, now)
		}
	}
	r, ok := Relearn(again(t, l.Memory(now)), now)
	if !ok || r.Rate() != l.Rate() || r.Book.Model != "m" || r.Book.Source != Learned || r.Book.Unit != l.Book.Unit {
		t.Fatalf("%v: %g, was %g: %+v", ok, r.Rate(), l.Rate(), r.Book.Limit)
	}
	// A minute later nothing is missing.
	later := now.Add(time.Minute)
	if r, _ = Relearn(again(t, l.Memory(now)), later); r.Book.Taken(later) > 1e-6 {
		t.Errorf("%g taken", r.Book.Taken(later))
	}
	r.Took(100, later)
	r.Returned(100)
	r.Refused(100, "", time.Second, later.Add(time.Second), later.Add(time.Second))
	if !positive(r.Rate()) {
		t.Errorf("it believes %g", r.Rate())
	}
}

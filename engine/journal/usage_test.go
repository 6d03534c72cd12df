package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What was counted while the clock was ahead was used all the same.
func TestUsageOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	j := open(t, path(t), Options{})
	for _, ahead := range []time.Duration{0, 30 * time.Hour, 400 * 24 * time.Hour} {
		j.Count(time.Now().Add(ahead), Who{Key: "a"}, Usage{Requests: 1})
	}
	settle(t, j)
	for _, since := range []time.Duration{time.Minute, 24 * time.Hour, 30 * 24 * time.Hour} {
		rows, err := j.Usage(t.Context(), UsageQuery{Since: time.Now().Add(-since)})
		if err != nil || len(rows) != 1 || rows[0].Requests != 3 {
			t.Errorf("in the last %v: %+v, %v", since, rows, err)
		}
	}
}

func TestUsageAddsUpByWhatIsAsked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	j := open(t, path(t), Options{})
	at := noon.Add(5*time.Minute + 30*time.Second)
	a := Who{Key: "a", Service: "chat", Model: "gpt", Account: "team"}
	b := Who{Key: "b", Service: "chat", Model: "glm", Account: "team"}
	one := Usage{Requests: 1, Failures: 1, RateLimited: 2, InputTokens: 100, OutputTokens: 10, CachedTokens: 50, CostUSD: 0.1, Unpriced: 1}
	for range 3 {
		j.Count(at, a, one)
	}
	j.Count(at.Add(time.Minute), b, Usage{Requests: 1, CostUSD: 0.000000001})
	settle(t, j)
	j.Count(at.Add(time.Hour), a, one) // added to another hour, in another batch
	settle(t, j)
	j.Count(at.Add(time.Hour), a, one)
	settle(t, j)

	times := func(n int64) Usage {
		s := sums{}
		for range n {
			s = s.plus(one.sums())
		}
		return s.usage()
	}
	tiny := Usage{Requests: 1, CostUSD: 0.000000001}
	sum := times(5).sums().plus(tiny.sums()).usage()
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	for _, tt := range []struct {
		name string
		q    UsageQuery
		want []UsageRow
	}{
		{"everything", UsageQuery{}, []UsageRow{{Usage: sum}}},
		{"by key", UsageQuery{By: []string{ByKey}}, []UsageRow{{Who: Who{Key: "a"}, Usage: times(5)}, {Who: Who{Key: "b"}, Usage: tiny}}},
		{"by model and account", UsageQuery{By: []string{ByAccount, ByModel}},
			[]UsageRow{{Who: Who{Model: "glm", Account: "team"}, Usage: tiny}, {Who: Who{Model: "gpt", Account: "team"}, Usage: times(5)}}},
		{"of one key", UsageQuery{By: []string{ByService}, Only: Who{Key: "b"}}, []UsageRow{{Who: Who{Service: "chat"}, Usage: tiny}}},
		{"since a minute", UsageQuery{Since: at.Add(time.Minute)}, []UsageRow{{Usage: times(2).sums().plus(tiny.sums()).usage()}}},
		{"until a minute", UsageQuery{Until: minute(6)}, []UsageRow{{Usage: times(3)}}},
		{"by the minute", UsageQuery{Since: minute(5), Bucket: time.Minute},
			[]UsageRow{{From: minute(5), Usage: times(3)}, {From: minute(6), Usage: tiny}, {From: minute(65), Usage: times(2)}}},
		{"by five minutes", UsageQuery{Since: minute(2), Bucket: 5 * time.Minute},
			[]UsageRow{{From: minute(2), Usage: times(3).sums().plus(tiny.sums()).usage()}, {From: minute(62), Usage: times(2)}}},
		{"by the hour", UsageQuery{Since: minute(5), Bucket: time.Hour, By: []string{ByKey}},
			[]UsageRow{{From: noon, Who: Who{Key: "a"}, Usage: times(3)}, {From: noon, Who: Who{Key: "b"}, Usage: tiny}, {From: minute(60), Who: Who{Key: "a"}, Usage: times(2)}}},
		{"by two hours", UsageQuery{Since: noon, Bucket: 2 * time.Hour}, []UsageRow{{From: noon, Usage: sum}}},
		{"before there was any", UsageQuery{Until: minute(3)}, nil},
		{"no time at all", UsageQuery{Since: minute(3), Until: minute(3)}, nil},
	} {
		got, err := j.Usage(ctx, tt.q)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n %+v, %v\nwant\n %+v", tt.name, got, err, tt.want)
		}
	}
	for _, q := range []UsageQuery{{By: []string{"colour"}}, {Bucket: time.Second}, {Bucket: -time.Hour}} {
		if _, err := j.Usage(ctx, q); err == nil {
			t.Errorf("%+v: no error", q)
		}
	}
}

// TestRollUpAndRetentionKeepSums counts over twenty days, keeps ten, and adds
// up before and after.
func TestRollUpAndRetentionKeepSums(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), path(t)
	now := time.Now()
	j := open(t, p, Options{Keep: 1000 * time.Hour * 24})
	var all, kept sums
	const keep = 10 * 24 * time.Hour
	edge := now.Add(-keep)
	for i := range 2000 {
		at := now.Add(-time.Duration(rand.Int64N(int64(20 * 24 * time.Hour))))
		if d := at.Sub(edge).Abs(); d < time.Hour {
			continue // of the hour at the edge, either is right
		}
		u := Usage{Requests: 1, InputTokens: rand.Int64N(10_000), CostUSD: float64(rand.IntN(1000)) / 1e7}
		j.Count(at, Who{Key: fmt.Sprint("key-", i%7), Service: "chat", Model: fmt.Sprint("model-", i%3)}, u)
		all = all.plus(u.sums())
		if at.After(edge) {
			kept = kept.plus(u.sums())
		}
	}
	var made []Binding
	for i := range uint64(1000) {
		ev := rotation(i+1, now.Add(-time.Duration(1000-i)*time.Hour/2))
		j.Record(ev)
		made = append(made, Binding{Provider: "p", ID: fmt.Sprint(i), At: ev.At})
	}
	if err := j.Bind(ctx, made...); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Commit(ctx, Action{At: now.Add(-30 * 24 * time.Hour)}, State{Kind: "key/1", Name: "a", Doc: []byte("{}"), At: now.Add(-30 * 24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Commit(ctx, Action{At: now.Add(-20 * 24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	settle(t, j)
	total := func(r *Reader, when string, want sums) {
		t.Helper()
		for _, q := range []UsageQuery{{}, {Bucket: time.Hour}, {Bucket: 24 * time.Hour, By: dimensions}} {
			rows, err := r.Usage(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			var got sums
			for _, row := range rows {
				got = got.plus(row.Usage.sums())
			}
			if got != want {
				t.Errorf("%s, %+v: %v, want %v", when, q, got, want)
			}
		}
	}
	total(j.Reader, "before", all)
	shut(t, j)
	size := purgeAll(t, p, 1000*24*time.Hour, now)
	r, err := OpenReadOnly(p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	total(r, "rolled up", all)
	var oldest int64
	if err := r.db.QueryRow("SELECT min(at) FROM usage_minutes").Scan(&oldest); err != nil || oldest < minutesFrom(now) {
		t.Errorf("there are minutes of %v, %v", fromMicros(oldest), err)
	}
	if small := purgeAll(t, p, keep, now); small > size*3/4 {
		t.Errorf("the file had %d bytes and has %d: want what was deleted given back", size, small)
	}
	r, err = OpenReadOnly(p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	total(r, "kept", kept)
	events, err := r.Events(ctx, EventQuery{Limit: 5000})
	if want := int(keep / (time.Hour / 2)); err != nil || len(events) < want-1 || len(events) > want || events[len(events)-1].Seq != 1000 {
		t.Errorf("%d events, %v, want %d", len(events), err, want)
	}
	n := 0
	for range r.Bindings(ctx) {
		n++
	}
	if n < len(events)-1 || n > len(events)+1 {
		t.Errorf("%d bindings, want %d", n, len(events))
	}
	actions, err := r.Actions(ctx, ActionQuery{})
	if err != nil || len(actions) != 1 || actions[0].ID != 2 {
		t.Errorf("%+v, %v: want the newest action to stay", actions, err)
	}
	if states, err := r.States(ctx, ""); err != nil || len(states) != 1 {
		t.Errorf("%+v, %v: where the engine stands is never old", states, err)
	}
}

// purgeAll deletes all that is old and gives the size of the file.
func purgeAll(t *testing.T, p string, keep time.Duration, now time.Time) (bytes int64) {
	t.Helper()
	ctx := context.Background()
	w, err := openWriter(ctx, p, len(migrations))
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		if more, err = w.purge(ctx, keep, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return fileSize(t, p)
}

package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keywheel/engine"
)

// million makes a journal of a million events over ninety days and a week of
// usage by ten keys, as one transaction so that it takes seconds.
func million(b *testing.B, events int) string {
	b.Helper()
	p := filepath.Join(b.TempDir(), "journal.db")
	w, err := func() (*writer, error) {
		j, err := Open(p, Options{})
		if err != nil {
			return nil, err
		}
		if err := j.Close(); err != nil {
			return nil, err
		}
		return openWriter(b.Context(), p, len(migrations))
	}()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	h := happened{usage: map[cell]*sums{}}
	for i := range events {
		at := now.Add(-time.Duration(events-i) * (89 * 24 * time.Hour / time.Duration(events)))
		ev := rotation(uint64(i+1), at)
		ev.Key = fmt.Sprint("key-", i%50)
		h.events = append(h.events, ev)
		if len(h.events) == 100_000 {
			if err := w.happened(b.Context(), &h); err != nil {
				b.Fatal(err)
			}
			h.events = h.events[:0]
		}
	}
	for m := range int64(7 * 24 * 60) {
		at := down(micros(now), minute) - m*minute
		for k := range 10 {
			h.usage[cell{at, Who{fmt.Sprint("key-", k), fmt.Sprint("service-", k%3), fmt.Sprint("model-", k%4), "team"}}] = &sums{1, 0, 0, 1000, 100, 0, 1_000_000, 0}
		}
	}
	if err := w.happened(b.Context(), &h); err != nil {
		b.Fatal(err)
	}
	s := standing{states: map[stateName]State{}}
	for k := range 200 {
		s.states[stateName{"key/1", fmt.Sprint("key-", k)}] = State{Kind: "key/1", Name: fmt.Sprint("key-", k), Doc: []byte(`{"holds":[],"requests":1000}`), At: now}
	}
	for k := range 10_000 {
		s.bindings = append(s.bindings, Binding{Provider: "p", ID: fmt.Sprint("resp-", k), Kind: "response", Key: "key-1", Account: "team", At: now})
	}
	if err := w.stand(b.Context(), &s); err != nil {
		b.Fatal(err)
	}
	if err := w.close(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d events: %d MB", events, fileSize(b, p)>>20)
	return p
}

// BenchmarkMillion measures what a start, and the verbs, do on a large journal.
// KEYWHEEL_EVENTS=1000000 makes it that large.
func BenchmarkMillion(b *testing.B) {
	events := 100_000
	if _, err := fmt.Sscan(os.Getenv("KEYWHEEL_EVENTS"), &events); err != nil && os.Getenv("KEYWHEEL_EVENTS") != "" {
		b.Fatal(err)
	}
	p := million(b, events)
	ctx := b.Context()
	b.Run("Open", func(b *testing.B) {
		for b.Loop() {
			j := open(b, p, Options{})
			if list, err := j.States(ctx, ""); err != nil || len(list) != 200 {
				b.Fatal(err)
			}
			n := 0
			for range j.Bindings(ctx) {
				n++
			}
			if n != 10_000 || j.LastSeq() != uint64(events) {
				b.Fatal(n, j.LastSeq())
			}
			b.StopTimer()
			shut(b, j)
			b.StartTimer()
		}
	})
	b.Run("OpenAfterKill", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			c := start(b, "busy", p)
			c.line(b)
			for range 200 {
				c.line(b)
			}
			c.kill(b)
			b.StartTimer()
			j := open(b, p, Options{})
			b.StopTimer()
			shut(b, j)
			b.StartTimer()
		}
	})
	j := open(b, p, Options{})
	query := func(name string, f func(*Reader) (int, error)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, err := f(j.Reader); err != nil || n == 0 {
					b.Fatal(n, err)
				}
			}
		})
	}
	since := time.Now().Add(-7 * 24 * time.Hour)
	query("UsageOfAWeek", func(r *Reader) (int, error) {
		list, err := r.Usage(ctx, UsageQuery{By: []string{ByKey, ByModel}, Since: since})
		return len(list), err
	})
	query("UsageOfAWeekByTheMinute", func(r *Reader) (int, error) {
		list, err := r.Usage(ctx, UsageQuery{By: []string{ByKey}, Since: since, Bucket: time.Minute})
		return len(list), err
	})
	query("EventsOfAKey", func(r *Reader) (int, error) {
		list, err := r.Events(ctx, EventQuery{Key: "key-7", Newest: true, Limit: 100})
		return len(list), err
	})
	query("EventsOfAnHour", func(r *Reader) (int, error) {
		list, err := r.Events(ctx, EventQuery{Since: time.Now().Add(-time.Hour)})
		return len(list) + 1, err
	})
	query("EventsOfARequest", func(r *Reader) (int, error) {
		list, err := r.Events(ctx, EventQuery{Request: "req-77"})
		return len(list), err
	})
	shut(b, j)
	b.Run("PurgeStep", func(b *testing.B) {
		w, err := openWriter(ctx, p, len(migrations))
		if err != nil {
			b.Fatal(err)
		}
		defer w.close()
		var worst time.Duration
		for b.Loop() {
			began := time.Now()
			if _, err := w.purge(ctx, time.Hour, began); err != nil {
				b.Fatal(err)
			}
			worst = max(worst, time.Since(began))
		}
		b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	})
}

// The request's path pays for these and no more.

func BenchmarkCount(b *testing.B) {
	j := open(b, path(b), Options{})
	who := Who{Key: "team-a", Service: "chat", Model: "gpt", Account: "team"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			j.Count(time.Now(), who, Usage{Requests: 1, InputTokens: 10, CostUSD: 0.001})
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	j := open(b, path(b), Options{})
	ev := rotation(1, time.Now())
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		n++
		ev.Seq = n
		j.Record(ev)
	}
}

func BenchmarkCommit(b *testing.B) {
	j := open(b, path(b), Options{})
	for b.Loop() {
		if _, err := j.Commit(b.Context(), Action{Action: engine.Action{Verb: engine.VerbDisable, Key: "team-a", By: "you"}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBind(b *testing.B) {
	j := open(b, path(b), Options{})
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := j.Bind(b.Context(), Binding{Provider: "p", ID: fmt.Sprint(time.Now().UnixNano()), Key: "team-a"}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

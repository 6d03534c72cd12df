package journal

import (
	"context"
	"time"
)

// keepMinutes is how long usage is kept by the minute.
const keepMinutes = 7 * 24 * time.Hour

// minutesFrom is the first hour of which the minutes are kept.
func minutesFrom(now time.Time) int64 { return down(micros(now.Add(-keepMinutes)), hour) }

// purges are what is deleted when it is old. The newest event and action stay:
// their numbers are counted on from. What was saved of the engine's state is
// never old.
var purges = []struct {
	table, except string
	minutes       bool // kept by keepMinutes
}{
	{table: "usage_minutes", minutes: true},
	{table: "usage_hours"},
	{table: "events", except: " AND seq < (SELECT max(seq) FROM events)"},
	{table: "actions", except: " AND id < (SELECT max(id) FROM actions)"},
	{table: "bindings"},
}

// purgeStep is about how many rows one transaction deletes, so that nobody
// waits long for it.
const purgeStep = "200"

// How often the writer looks for what is old, and how long it rests between
// two steps.
const (
	purgeEvery = 10 * time.Minute
	purgeRest  = 50 * time.Millisecond
)

// purge deletes some of what is old and reports whether there may be more.
func (w *writer) purge(ctx context.Context, keep time.Duration, now time.Time) (more bool, err error) {
	for _, p := range purges {
		before := micros(now.Add(-keep))
		if p.minutes {
			before = minutesFrom(now)
		}
		var n int64
		err := transact(ctx, w.conn, func() error {
			// One bound alone, or SQLite reads all that is old to find these.
			r, err := w.conn.ExecContext(ctx, "DELETE FROM "+p.table+" WHERE at <= coalesce((SELECT at FROM "+p.table+
				" WHERE at < ?1 ORDER BY at LIMIT 1 OFFSET "+purgeStep+"), ?1 - 1)"+p.except, before)
			if err == nil {
				n, err = r.RowsAffected()
			}
			return err
		})
		if err != nil || n > 0 {
			return true, err
		}
	}
	return w.shrink(ctx)
}

// shrink gives some of the file back to the disk where much of it is free.
func (w *writer) shrink(ctx context.Context) (more bool, err error) {
	var pages, free int
	err = w.conn.QueryRowContext(ctx, "SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count").Scan(&pages, &free)
	if err != nil || free < 100 || free < pages/4 {
		return false, err
	}
	_, err = w.conn.ExecContext(ctx, "PRAGMA incremental_vacuum(400)")
	return true, err
}

package journal

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Who is whom usage is counted for. What is not known is "".
type Who struct {
	Key, Service, Model, Account string
}

// Usage is what requests used, added up.
type Usage struct {
	Requests     int64 `json:"requests"`
	Failures     int64 `json:"failures"`
	RateLimited  int64 `json:"rate_limited"`
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	CachedTokens int64 `json:"cached_tokens"`
	// CostUSD is kept to the billionth of a dollar.
	CostUSD float64 `json:"cost_usd"`
	// Unpriced counts requests whose cost nobody knows: CostUSD is without them.
	Unpriced int64 `json:"unpriced"`
}

// sums is Usage as the file has it, in the order of sumColumns.
type sums [8]int64

const nanos = 1e9 // in a dollar

var sumColumns = [...]string{"requests", "failures", "rate_limited", "input_tokens", "output_tokens", "cached_tokens", "cost_nusd", "unpriced"}

func (u Usage) sums() sums {
	return sums{u.Requests, u.Failures, u.RateLimited, u.InputTokens, u.OutputTokens, u.CachedTokens,
		int64(math.Round(u.CostUSD * nanos)), u.Unpriced}
}

func (s sums) usage() Usage {
	return Usage{s[0], s[1], s[2], s[3], s[4], s[5], float64(s[6]) / nanos, s[7]}
}

func (s sums) plus(t sums) sums {
	for i := range s {
		s[i] += t[i]
	}
	return s
}

// cell is where usage is added up: one minute of somebody.
type cell struct {
	minute int64 // when it begins
	who    Who
}

// The lengths of time in the file.
const (
	minute = int64(time.Minute / time.Microsecond)
	hour   = int64(time.Hour / time.Microsecond)
)

// addUsage is the statement that adds sums to a table.
func addUsage(table string) string {
	add := make([]string, len(sumColumns))
	for i, c := range sumColumns {
		add[i] = c + " = " + c + " + excluded." + c
	}
	return "INSERT INTO " + table + " (at, key, service, model, account, " + strings.Join(sumColumns[:], ", ") +
		") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET " + strings.Join(add, ", ")
}

// What usage can be told apart by.
const (
	ByKey     = "key"
	ByService = "service"
	ByModel   = "model"
	ByAccount = "account"
)

var dimensions = []string{ByKey, ByService, ByModel, ByAccount}

// UsageQuery says which usage is asked for.
type UsageQuery struct {
	// By is what to tell apart ([ByKey], ...); empty adds up everything.
	By []string
	// Since and Until are the time asked about, to the minute; beyond the last
	// 7 days to the hour. Zero is the beginning, and the end: a clock may have
	// been ahead for a while.
	Since, Until time.Time
	// Bucket, where it is not 0, tells lengths of time apart: whole minutes
	// (then of the last 7 days only) or whole hours (then Since is taken to the
	// hour). The first bucket begins at Since; those without usage are left out.
	Bucket time.Duration
	// Only asks for the usage of somebody: "" is anybody.
	Only Who
}

// UsageRow is what somebody used.
type UsageRow struct {
	// From is when the bucket begins; zero without buckets.
	From time.Time `json:"from"`
	// Who has just those fields that the query tells apart.
	Who
	Usage
}

// Usage adds up what was used, in the order of time, then of names.
func (r *Reader) Usage(ctx context.Context, q UsageQuery) ([]UsageRow, error) {
	for _, by := range q.By {
		if !slices.Contains(dimensions, by) {
			return nil, fmt.Errorf("usage cannot be told apart by %q, only by %s", by, strings.Join(dimensions, ", "))
		}
	}
	if q.Bucket%time.Minute != 0 || q.Bucket < 0 {
		return nil, fmt.Errorf("usage cannot be told apart by %s, only by whole minutes or hours", q.Bucket)
	}
	p := planUsage(q, time.Now())
	var args []any
	var tables []string
	for _, part := range p.parts {
		if part.from >= part.to {
			continue
		}
		where := "at >= ? AND at < ?"
		args = append(args, part.from, part.to)
		for i, name := range [...]string{q.Only.Key, q.Only.Service, q.Only.Model, q.Only.Account} {
			if name != "" {
				where += " AND " + dimensions[i] + " = ?"
				args = append(args, name)
			}
		}
		tables = append(tables, "SELECT * FROM "+part.table+" WHERE "+where)
	}
	if len(tables) == 0 {
		return nil, nil
	}
	columns := []string{"0"}
	if q.Bucket > 0 {
		columns[0] = fmt.Sprintf("at - (at - %d) %% %d", p.since, q.Bucket.Microseconds())
	}
	for _, d := range dimensions {
		if !slices.Contains(q.By, d) {
			d = "''"
		}
		columns = append(columns, d)
	}
	for _, c := range sumColumns {
		columns = append(columns, "sum("+c+")")
	}
	rows, err := r.db.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM ("+strings.Join(tables, " UNION ALL ")+") GROUP BY 1, 2, 3, 4, 5", args...)
	list, err := scanAll(rows, err, func(rows *sql.Rows) (row UsageRow, err error) {
		var at int64
		var s sums
		err = rows.Scan(&at, &row.Key, &row.Service, &row.Model, &row.Account, &s[0], &s[1], &s[2], &s[3], &s[4], &s[5], &s[6], &s[7])
		row.From, row.Usage = fromMicros(at), s.usage()
		return row, err
	})
	return list, explain(r.path, err)
}

// usagePart is one length of time to be read from one table.
type usagePart struct {
	table    string
	from, to int64
}

type usagePlan struct {
	since int64 // where buckets begin
	parts []usagePart
}

// planUsage reads hours where it can, because they are sixty times fewer, and
// minutes at the ends.
func planUsage(q UsageQuery, now time.Time) usagePlan {
	since, until := down(micros(q.Since), minute), up(micros(q.Until), minute)
	if q.Until.IsZero() {
		until = down(math.MaxInt64, hour)
	}
	hasMinutes := minutesFrom(now)
	if q.Bucket%time.Hour != 0 {
		since += max(up(hasMinutes-since, q.Bucket.Microseconds()), 0)
		return usagePlan{since, []usagePart{{"usage_minutes", since, until}}}
	}
	if q.Bucket > 0 || since < hasMinutes {
		since = down(since, hour)
	}
	if until < hasMinutes {
		until = up(until, hour)
	}
	first, last := up(since, hour), down(until, hour)
	if first > last {
		return usagePlan{since, []usagePart{{"usage_minutes", since, until}}}
	}
	return usagePlan{since, []usagePart{{"usage_minutes", since, first}, {"usage_hours", first, last}, {"usage_minutes", last, until}}}
}

// down and up round to a multiple.
func down(us, of int64) int64 { return us - us%of }
func up(us, of int64) int64   { return down(us+of-1, of) }

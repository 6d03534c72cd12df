package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/journal"
	"keywheel/engine/keymap"
)

func usageCommand(f *flags) *cobra.Command {
	var by []string
	var asJSON, asCSV bool
	since := ago(24 * time.Hour)
	c := &cobra.Command{
		Use:   "usage",
		Short: "What was used and what it cost, who failed last and why",
		Long: `What was used and what it cost, the dearest first: by service, or by key, model
or account, or by several of them. LAST HOUR tells who burns fastest now.
A request that was sent with two keys counts with both. Usage comes from the
journal, whether or not keywheel is running.`,
		Example: `  keywheel usage --since 7d                  what did each service cost this week
  keywheel usage --by service,model --since 7d
  keywheel usage --by key                    which key failed last, and why
  keywheel usage --since 30d --csv > usage.csv`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON && asCSV {
				return usageError{fmt.Errorf("--json or --csv, not both")}
			}
			for _, b := range by {
				if !slices.Contains(usageDimensions, b) {
					return usageError{fmt.Errorf("--by %s: want %s, or several with commas between", b, strings.Join(usageDimensions, ", "))}
				}
			}
			p, err := f.past(c.Context())
			if err != nil {
				return err
			}
			defer p.Close()
			p.tell(time.Time{})
			u, err := readUsage(c.Context(), p.Reader, by, time.Now().Add(-time.Duration(since)))
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return printJSON(u)
			case asCSV:
				return u.writeCSV(os.Stdout)
			default:
				return u.print(os.Stdout)
			}
		},
	}
	c.Flags().StringSliceVar(&by, "by", []string{journal.ByService}, strings.Join(usageDimensions, ", ")+"; several with commas between")
	c.Flags().Var(&since, "since", "since when: 90m, 24h, 7d ago")
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&asCSV, "csv", false, "as CSV, for a spreadsheet")
	return c
}

var usageDimensions = []string{journal.ByService, journal.ByKey, journal.ByModel, journal.ByAccount}

// usage is what was used, as the verb tells it.
type usage struct {
	Version int       `json:"version"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	By      []string  `json:"by"`
	// Rows are the dearest first.
	Rows  []usageRow    `json:"rows"`
	Total journal.Usage `json:"total"`
}

type usageRow struct {
	Service string `json:"service,omitempty"`
	Key     string `json:"key,omitempty"`
	Model   string `json:"model,omitempty"`
	Account string `json:"account,omitempty"`
	journal.Usage
	LastHour journal.Usage `json:"last_hour"`
	// LastFailure is when its key was last left or held, Why tells what for;
	// both are of rows that name a key or a service.
	LastFailure *time.Time `json:"last_failure"`
	Why         string     `json:"why"`
}

func readUsage(ctx context.Context, r *journal.Reader, by []string, since time.Time) (*usage, error) {
	now := time.Now()
	u := &usage{Version: 1, Since: since, Until: now, By: by, Rows: []usageRow{}}
	rows, err := r.Usage(ctx, journal.UsageQuery{By: by, Since: since})
	if err != nil {
		return nil, err
	}
	hour, err := r.Usage(ctx, journal.UsageQuery{By: by, Since: now.Add(-time.Hour)})
	if err != nil {
		return nil, err
	}
	lately := map[journal.Who]journal.Usage{}
	for _, h := range hour {
		lately[h.Who] = h.Usage
	}
	for _, row := range rows {
		w := row.Who
		next := usageRow{Service: w.Service, Key: w.Key, Model: w.Model, Account: w.Account, Usage: row.Usage, LastHour: lately[w]}
		if err := next.fail(ctx, r, since); err != nil {
			return nil, err
		}
		u.Rows = append(u.Rows, next)
		u.Total = plus(u.Total, row.Usage)
	}
	slices.SortStableFunc(u.Rows, func(a, b usageRow) int {
		return cmp.Or(cmp.Compare(b.CostUSD, a.CostUSD), cmp.Compare(tokens(b.Usage), tokens(a.Usage)), cmp.Compare(b.Requests, a.Requests))
	})
	return u, nil
}

// fail finds the last failure of whom the row is about.
func (r *usageRow) fail(ctx context.Context, j *journal.Reader, since time.Time) error {
	if r.Key == "" && r.Service == "" {
		return nil
	}
	last, err := j.Events(ctx, journal.EventQuery{Key: r.Key, Service: r.Service, Since: since, Newest: true, Limit: 1,
		Kinds: []engine.EventKind{engine.EventRotation, engine.EventHold}})
	for _, ev := range last {
		r.LastFailure, r.Why = &ev.At, ev.Text
		if ev.Rotation != nil {
			r.Why = ev.Rotation.Cause
		}
	}
	return err
}

func plus(a, b journal.Usage) journal.Usage {
	return journal.Usage{Requests: a.Requests + b.Requests, Failures: a.Failures + b.Failures, RateLimited: a.RateLimited + b.RateLimited,
		InputTokens: a.InputTokens + b.InputTokens, OutputTokens: a.OutputTokens + b.OutputTokens, CachedTokens: a.CachedTokens + b.CachedTokens,
		CostUSD: a.CostUSD + b.CostUSD, Unpriced: a.Unpriced + b.Unpriced}
}

func tokens(u journal.Usage) int64 { return u.InputTokens + u.OutputTokens }

// names are the row's, in the order of the columns.
func (r *usageRow) names(by []string) (list []string) {
	of := map[string]string{journal.ByService: r.Service, journal.ByKey: r.Key, journal.ByModel: r.Model, journal.ByAccount: r.Account}
	for _, b := range by {
		list = append(list, of[b])
	}
	return list
}

func (u *usage) print(w io.Writer) error {
	if len(u.Rows) == 0 {
		_, err := fmt.Fprintf(w, "nothing was used since %s\n", u.Since.Local().Format(time.DateTime))
		return err
	}
	t := columns(w)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(u.By, "\t"))+"\tCOST\tLAST HOUR\tREQUESTS\tFAILED\tLIMITED\tINPUT\tOUTPUT\tCACHED\tLAST FAILURE")
	line := func(names []string, used, lately journal.Usage, last string) {
		for i, n := range names {
			if names[i] = n; n == "" {
				names[i] = "-"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", strings.Join(names, "\t"), cost(used), cost(lately), used.Requests, used.Failures,
			used.RateLimited, count(used.InputTokens), count(used.OutputTokens), count(used.CachedTokens), last)
	}
	hour := journal.Usage{}
	for _, r := range u.Rows {
		last := ""
		if r.LastFailure != nil {
			last = r.LastFailure.Local().Format("01-02 15:04:05") + "  " + r.Why
		}
		line(r.names(u.By), r.Usage, r.LastHour, last)
		hour = plus(hour, r.LastHour)
	}
	line(append([]string{"all"}, make([]string, len(u.By)-1)...), u.Total, hour, "")
	return t.Flush()
}

// cost is money for people: what nobody knows the price of is said beside it.
func cost(u journal.Usage) string {
	text := fmt.Sprintf("$%.2f", u.CostUSD)
	switch {
	case u.CostUSD > 0 && u.CostUSD < 0.01:
		text = fmt.Sprintf("$%.4f", u.CostUSD)
	case u.CostUSD == 0 && u.Unpriced > 0:
		return "unknown"
	}
	if u.Unpriced > 0 {
		text += fmt.Sprintf(" + %d unpriced", u.Unpriced)
	}
	return text
}

// count is a number of tokens for people.
func count(n int64) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 10_000:
		return fmt.Sprintf("%dk", n/1000)
	default:
		return strconv.FormatInt(n, 10)
	}
}

func (u *usage) writeCSV(w io.Writer) error {
	lines := [][]string{append(slices.Clone(u.By), "cost_usd", "last_hour_cost_usd", "requests", "failures", "rate_limited", "input_tokens", "output_tokens",
		"cached_tokens", "unpriced", "last_hour_tokens", "last_failure", "why")}
	usd := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, r := range u.Rows {
		last := ""
		if r.LastFailure != nil {
			last = r.LastFailure.UTC().Format(time.RFC3339)
		}
		lines = append(lines, append(r.names(u.By), usd(r.CostUSD), usd(r.LastHour.CostUSD), whole(r.Requests), whole(r.Failures), whole(r.RateLimited),
			whole(r.InputTokens), whole(r.OutputTokens), whole(r.CachedTokens), whole(r.Unpriced), whole(tokens(r.LastHour)), last, r.Why))
	}
	return keymap.WriteCSV(w, lines)
}

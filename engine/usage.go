package engine

import (
	"math"
	"slices"
	"time"
)

// Usage is what one request used, as far as the provider told.
type Usage struct {
	Input   int64   `json:"input_tokens"`
	Output  int64   `json:"output_tokens"`
	Cached  int64   `json:"cached_tokens"`
	CostUSD float64 `json:"cost_usd"`
	// Unpriced is set where something was used and nobody knows its price.
	Unpriced bool `json:"unpriced,omitempty"`
}

func (u *Usage) add(v Usage) {
	u.Input += v.Input
	u.Output += v.Output
	u.Cached += v.Cached
	u.CostUSD += v.CostUSD
}

// latencies keeps the times to the head of the last answers.
type latencies struct {
	ms [256]float64
	n  int
}

func (l *latencies) add(d time.Duration) {
	l.ms[l.n%len(l.ms)] = float64(d) / float64(time.Millisecond)
	l.n++
}

// p95 is the 95th percentile in milliseconds, 0 before any answer.
func (l *latencies) p95() float64 {
	n := min(l.n, len(l.ms))
	if n == 0 {
		return 0
	}
	sorted := append([]float64(nil), l.ms[:n]...)
	slices.Sort(sorted)
	return sorted[int(math.Ceil(0.95*float64(n)))-1]
}

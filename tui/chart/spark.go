package chart

import (
	"math"
	"strings"
)

// steps leaves the top eighth out, so that rows do not touch.
var steps = [...]string{"▁", "▂", "▃", "▄", "▅", "▆", "▇"}

// Spark draws values, the oldest first, as width columns. Where there are more
// values than columns each column is the mean of its share; where there are
// fewer they stand at the right. top is the value of a full column, the same
// for all rows that are to be compared. The scale is a square root, so that a
// quiet row beside a busy one still shows its shape.
func Spark(values []int, width int, top float64) string {
	if width <= 0 {
		return ""
	}
	var b strings.Builder
	b.Grow(width * len("▁"))
	n := min(width, len(values))
	for range width - n {
		b.WriteByte(' ')
	}
	for i := range n {
		from, to := i*len(values)/n, (i+1)*len(values)/n
		sum := 0
		for _, v := range values[from:to] {
			sum += v
		}
		b.WriteString(steps[step(float64(sum)/float64(to-from), top)])
	}
	return b.String()
}

func step(v, top float64) int {
	if v <= 0 || top <= 0 {
		return 0
	}
	last := float64(len(steps) - 1)
	return int(min(max(math.Round(math.Sqrt(v/top)*last), 1), last))
}

// Top is the next round number (1, 2 or 5 times a power of ten) at or above v:
// a scale that does not move with every value.
func Top(v float64) float64 {
	if v <= 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*p {
			return m * p
		}
	}
	return 10 * p
}

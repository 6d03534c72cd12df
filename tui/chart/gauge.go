// Package chart draws numbers in cells of text: a gauge, a sparkline and a
// burn-down. It knows no colours; what it returns is as wide as was asked.
package chart

import (
	"math"
	"strings"
)

const longest = 256

var (
	bars  = strings.Repeat("━", longest)
	rails = strings.Repeat("─", longest)
)

// Gauge draws a fraction as a line of half cells, width cells in all: the part
// that is left, and the rail it runs on. Anything above nothing shows, and
// only the whole fills it.
func Gauge(fraction float64, width int) (left, rail string) {
	width = min(max(width, 0), longest)
	if math.IsNaN(fraction) || fraction <= 0 || width == 0 {
		return "", rails[:width*len("─")]
	}
	halves := min(max(int(math.Round(fraction*float64(2*width))), 1), 2*width)
	if fraction < 1 {
		halves = min(halves, 2*width-1)
	}
	full, rest := halves/2, width-halves/2
	left = bars[:full*len("━")]
	if halves%2 == 1 {
		left += "╸"
		rest--
	}
	return left, rails[:rest*len("─")]
}

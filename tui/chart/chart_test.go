package chart_test

import (
	"math"
	"strings"
	"testing"

	"keywheel/tui/chart"
)

func TestGauge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fraction float64
		width    int
		want     string
	}{
		{0, 8, "────────"},
		{-1, 8, "────────"},
		{math.NaN(), 4, "────"},
		{0.001, 8, "╸───────"},
		{0.18, 8, "━╸──────"},
		{0.5, 8, "━━━━────"},
		{0.64, 8, "━━━━━───"},
		{0.99, 8, "━━━━━━━╸"},
		{1, 8, "━━━━━━━━"},
		{7, 3, "━━━"},
		{0.5, 0, ""},
		{0.5, -3, ""},
	} {
		left, rail := chart.Gauge(tc.fraction, tc.width)
		if left+rail != tc.want {
			t.Errorf("Gauge(%v, %d) = %q, want %q", tc.fraction, tc.width, left+rail, tc.want)
		}
	}
}

func TestSpark(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []int
		width  int
		top    float64
		want   string
	}{
		{"nothing", nil, 4, 10, "    "},
		{"fewer values stand at the right", []int{0, 10}, 4, 10, "  ▁▇"},
		{"zero is not little", []int{0, 1, 0}, 3, 1000, "▁▂▁"},
		{"above the top is the top", []int{50}, 1, 10, "▇"},
		{"columns are means", []int{0, 0, 10, 10}, 2, 10, "▁▇"},
		{"more values than columns", []int{9, 9, 9, 9, 9, 9, 9}, 3, 9, "▇▇▇"},
		{"no scale", []int{1, 2}, 2, 0, "▁▁"},
		{"no room", []int{1}, 0, 1, ""},
	} {
		if got := chart.Spark(tc.values, tc.width, tc.top); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTop(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 1, -4: 1, 1: 1, 1.5: 2, 18: 20, 43: 50, 51: 100, 100: 100, 101: 200, math.Inf(1): 1} {
		if got := chart.Top(v); got != want {
			t.Errorf("Top(%v) = %v, want %v", v, got, want)
		}
	}
}

func TestPlot(t *testing.T) {
	t.Parallel()
	p := chart.NewPlot(4, 2)
	p.Line(chart.Point{X: 0, Y: 1}, chart.Point{X: 1, Y: 0})
	if got := strings.Join(p.Rows(), "\n"); got != "⠑⢄  \n  ⠑⢄" {
		t.Errorf("a fall is\n%s", got)
	}
	d := chart.NewPlot(4, 1)
	d.Dots(chart.Point{X: 0, Y: 1}, chart.Point{X: 1, Y: 1})
	if got := d.Rows()[0]; got != "⠁ ⠁ " {
		t.Errorf("a guess is %q", got)
	}
	e := chart.NewPlot(2, 1)
	e.Line(chart.Point{X: math.NaN(), Y: 0}, chart.Point{X: math.Inf(1), Y: 2}, chart.Point{X: 9, Y: -9})
	if got := e.Rows()[0]; got != "  " {
		t.Errorf("what is not on the plot is %q", got)
	}
	if got := chart.NewPlot(-1, -1).Rows(); len(got) != 0 {
		t.Errorf("no plot has %d rows", len(got))
	}
}

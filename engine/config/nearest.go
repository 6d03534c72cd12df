package config

import (
	"fmt"
	"strings"
)

// didYouMean gives `, did you mean "x"?` for the name among known that is
// nearest to the one written; "" when none is near.
func didYouMean(written string, known []string) string {
	if name := nearest(written, known); name != "" {
		return fmt.Sprintf(", did you mean %q?", name)
	}
	return ""
}

// nearest is the known name with the fewest letters wrong, about one of three
// at most.
func nearest(written string, known []string) string {
	best, at := "", max(1, (len(written)+2)/3)+1
	for _, name := range known {
		if name == written {
			continue
		}
		if n := distance(strings.ToLower(written), strings.ToLower(name)); n < at {
			best, at = name, n
		}
	}
	return best
}

// distance counts the letters to add, drop, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

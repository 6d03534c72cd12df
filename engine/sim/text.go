package sim

import (
	"math/rand/v2"
	"strings"
)

var words = strings.Fields(`the wheel turns and every key takes its turn while a slow answer waits no one
else has to because another key is free so the request goes on and comes back whole with what it asked for
a limit is only a number that somebody wrote down before the traffic came`)

// write makes a text of about n tokens, in the pieces a stream brings it in.
func write(r *rand.Rand, n int) []string {
	n = max(1, min(n, 160))
	pieces := make([]string, 0, 17)
	per := max(1, (n+15)/16)
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[r.IntN(len(words))])
		if (i+1)%per == 0 || i == n-1 {
			pieces = append(pieces, b.String())
			b.Reset()
		}
	}
	return pieces
}

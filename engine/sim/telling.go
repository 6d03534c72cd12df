package sim

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Telling is how much an upstream says of its limits.
type Telling uint8

const (
	// AsKind says what the provider that is simulated says.
	AsKind Telling = iota
	// Plainly says on every answer, in OpenAI's headers, numbers that agree.
	// The limit is how much passes at once, the remaining is what of that is
	// left, in whole numbers, and the reset is how long that difference takes
	// to flow back: (limit - remaining) / reset is the rate. A bucket of 5 that
	// refills 50 a second and has 3 left says 5, 3, 40ms. One that a single
	// large request overdrew says 0 left, and when it is full. A fixed window
	// says its amount, what of it is left, and the time to its end. A 429 says
	// when to come back in Retry-After-Ms.
	Plainly
	// OnlyWhen says nothing until a 429, and there when to come back.
	OnlyWhen
	// Nothing says neither limits nor times, and of a 429 no more than that.
	Nothing
)

// told is one limit as Plainly tells it; a zero limit is none.
type told struct {
	limit, left int
	reset       time.Duration
}

func (b *bucket) told() told {
	if b.perMin <= 0 {
		return told{}
	}
	t := told{limit: int(b.burst + 1e-9), left: b.left()}
	switch {
	case t.left >= t.limit:
	case b.window > 0:
		t.reset = b.end.Sub(b.at)
	default:
		t.reset = max(b.full(), time.Duration(float64(t.limit-t.left)/b.perMin*float64(time.Minute)))
	}
	return t
}

// stamp makes the headers of an answer say what is told.
func (t Telling) stamp(c *call, h http.Header) {
	if t == AsKind {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Ratelimit-") {
			h.Del(name)
		}
	}
	if t != Plainly || c.route == nil || c.route.free {
		return
	}
	for i, unit := range []string{"Requests", "Tokens"} {
		if l := c.limits.plain[i]; l.limit > 0 {
			h.Set("X-Ratelimit-Limit-"+unit, strconv.Itoa(l.limit))
			h.Set("X-Ratelimit-Remaining-"+unit, strconv.Itoa(l.left))
			h.Set("X-Ratelimit-Reset-"+unit, goTime(l.reset))
		}
	}
}

// refusal makes a 429 of a limit say what is told; a is what the provider that
// is simulated would say.
func (t Telling) refusal(c *call, a answer) answer {
	switch t {
	case AsKind:
		return a
	case Nothing:
		return jsonAnswer(http.StatusTooManyRequests, object{"error": object{"message": "Too many requests", "type": "rate_limit_error"}})
	default:
		a.header = map[string]string{"Retry-After-Ms": strconv.Itoa(int(math.Ceil(float64(c.wait) / float64(time.Millisecond))))}
		return a
	}
}

// Package quota is limits, windows, burn and runway: time as arithmetic. It
// reads no clock and starts no goroutine; every method takes the time it is
// asked about. Nothing here is safe for concurrent use: the engine's lock is.
package quota

import (
	"fmt"
	"time"
)

// Unit is what a limit counts.
type Unit string

// The units of DESIGN section 5.
const (
	Requests   Unit = "requests"
	Tokens     Unit = "tokens" // input and output together
	Input      Unit = "input_tokens"
	Output     Unit = "output_tokens"
	USD        Unit = "usd"
	Concurrent Unit = "concurrent"
)

// Limit is an amount of a unit per window.
type Limit struct {
	Unit   Unit
	Amount float64
	// Window is the length of a rolling window, 0 for Concurrent and for
	// calendar windows.
	Window time.Duration
	// Burst is how much of a rolling window may go at once, after a rest; 0 is
	// the whole Amount.
	Burst float64
	// Calendar is "day" or "month" where the window ends by the clock, else "".
	Calendar string
	// Zone is where a calendar window's midnight is; nil is UTC.
	Zone *time.Location
	// Model limits the limit to one model; "" is all.
	Model string
	// Used is how much of the present window was used before its book is
	// opened.
	Used float64
	// Source tells who said so: config, header, balance or learned.
	Source string
}

// Per names the window as the screen and JSON show it: "1m", "1h", "1d",
// "day", "month", or "" for a limit on concurrency.
func (l Limit) Per() string {
	switch {
	case l.Calendar != "":
		return l.Calendar
	case l.Window == 0:
		return ""
	case l.Window%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", l.Window/(24*time.Hour))
	case l.Window%time.Hour == 0:
		return fmt.Sprintf("%dh", l.Window/time.Hour)
	case l.Window%time.Minute == 0:
		return fmt.Sprintf("%dm", l.Window/time.Minute)
	default:
		return l.Window.String()
	}
}

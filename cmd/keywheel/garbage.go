package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// room is how much garbage may come together before it is collected. What
// keywheel keeps is a few MB: Go would collect each time that much again was
// allocated, hundreds of times a second under load.
const room = 16 << 20

// cycle is a thing that dies with every collection.
type cycle struct{ _ *cycle }

// leaveRoom lets garbage grow to room, or to as much as is in use if that is
// more, as Go has it. Whoever sets GOGC decides instead.
func leaveRoom() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := 100
	var collected func(*cycle)
	collected = func(c *cycle) {
		metrics.Read(live)
		want := int(min(max(100, 100*room/max(live[0].Value.Uint64(), 1)), 400))
		if want > percent+percent/8 || want < percent-percent/8 { // setting it stops the world
			percent = want
			debug.SetGCPercent(percent)
		}
		runtime.SetFinalizer(c, collected)
	}
	collected(&cycle{})
}

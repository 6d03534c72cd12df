package tui

import (
	"strconv"
	"time"

	"keywheel/engine"
)

// System is a [Source] that also tells of the process itself. Without it screen
// 5 shows what the snapshot has.
type System interface {
	System() engine.SystemStatus
}

// drawSystemScreen draws screen 5: keywheel itself.
func drawSystemScreen(st *state, c *canvas, l *layout) {
	b := l.panes[paneSystem]
	list := st.systemLines(b.w - 4)
	in := frame{title: "System", note: st.systemNote(len(list), b.h-2), focused: true, open: l.small}.draw(c, b)
	c.zone(zone{b, zonePane, paneSystem, ""})
	in.x, in.w = in.x+1, max(in.w-2, 0)
	c.lines(in, list, st.lists[paneSystem].offset)
}

func (st *state) systemNote(lines, room int) string {
	if lines <= room {
		return ""
	}
	return "↑ ↓ " + percent(float64(min(st.lists[paneSystem].offset+room, lines))/float64(lines))
}

func (st *state) systemLines(room int) [][]span {
	if st.scene == nil {
		return nil
	}
	return flow(st.systemStory(), max(room, 1))
}

// scrollSystem moves screen 5 by lines.
func (st *state) scrollSystem(by int) {
	l := st.layout()
	b := l.panes[paneSystem]
	most := len(st.systemLines(b.w-4)) - (b.h - 2)
	o := &st.lists[paneSystem].offset
	*o = max(min(*o+by, most), 0)
}

// systemStory tells all that is known of keywheel itself.
func (st *state) systemStory() []para {
	snap := &st.scene.snap
	px := &snap.Proxy
	sys := st.scene.system
	var paras []para
	head := func(text string) {
		if len(paras) > 0 {
			paras = append(paras, line())
		}
		paras = append(paras, line(say(bold, text)))
	}
	add := func(label string, spans ...span) { paras = append(paras, fact("  "+label, spans...)) }

	head("Listener")
	add("address", say(plain, px.Listen))
	add("up", say(plain, short(time.Duration(snap.UptimeS*float64(time.Second)))), say(grey, ", since "+st.stamp(snap.At.Add(-time.Duration(snap.UptimeS*float64(time.Second))))))
	add("now", say(plain, perSecond(px.PerS)), say(grey, " req/s · "), say(plain, grouped(px.InFlight)), say(grey, " in flight · "),
		say(plain, grouped(px.Waiting)), say(grey, " waiting for a key"))
	add("requests", say(plain, grouped(px.Requests)), say(grey, " · clients saw "), say(pick(px.Failures > 0, red, plain), grouped(px.Failures)), say(grey, " errors · absorbed "),
		say(plain, grouped(px.Absorbed)), say(grey, " · wrong or turned away "), say(plain, grouped(px.ClientErrors)))
	if px.P95MS > 0 {
		add("p95", say(plain, millis(px.P95MS)), say(grey, " to the head of an answer"))
	}

	head("Config")
	add("has", say(plain, plural(len(snap.Services), "service")), say(grey, " on "), say(plain, plural(len(snap.Keys), "key")), say(grey, ", "),
		say(plain, grouped(st.scene.usable)), say(grey, " usable"))
	if sys == nil {
		paras = append(paras, line(), line(say(grey, "This keywheel tells no more about itself.")))
	} else {
		st.configStory(sys, add)
		head("Process")
		st.processStory(sys, add)
	}

	head("Providers")
	st.providerStory(add)
	return paras
}

func (st *state) configStory(sys *engine.SystemStatus, add func(string, ...span)) {
	file := []span{{plain, sys.Config}}
	switch {
	case sys.Config == "" && st.notice != "":
		file = []span{{grey, "none: it is a demo's"}}
	case sys.Config == "":
		file = []span{{grey, "none: all comes from the environment"}}
	}
	if sys.LoadedAt != nil {
		file = append(file, span{grey, ", read " + st.ago(*sys.LoadedAt)})
	}
	if editable(st) {
		file = append(file, span{bold, "   o"}, span{grey, " opens it"})
	}
	add("file", file...)
	if sys.ReloadError != "" {
		add("reload", say(red|bold, "✗ not taken: "), say(plain, sys.ReloadError), say(grey, "  The one before stays in force."))
	}
	for i, s := range sys.Sources {
		add(pick(i == 0, "taken from", " "), say(grey, s))
	}
	for i, s := range sys.Problems {
		add(pick(i == 0, "odd", " "), say(yellow, "▲ "), say(plain, s))
	}
	if len(sys.Problems) == 0 {
		add("odd", say(green, "✓ "), say(grey, "nothing"))
	}
}

func (st *state) processStory(sys *engine.SystemStatus, add func(string, ...span)) {
	version := []span{{plain, "keywheel " + sys.Version}}
	if sys.PID > 0 {
		version = append(version, span{grey, ", process " + strconv.Itoa(sys.PID)})
	}
	add("version", version...)
	if sys.HeapBytes > 0 {
		add("takes", say(plain, bytes(sys.HeapBytes)), say(grey, " of heap · "), say(plain, grouped(sys.Goroutines)), say(grey, " goroutines"),
			say(plain, pick(sys.Files > 0, " · "+grouped(sys.Files), "")), say(grey, pick(sys.Files > 0, " open files", "")))
	}
	if sys.Socket != "" {
		add("socket", say(plain, sys.Socket))
		add("monitors", say(plain, grouped(sys.Monitors)), say(grey, " attached, or following events, through it"))
	}
	switch j := sys.Journal; {
	case j == nil:
		add("journal", say(yellow, "none"), say(grey, ": what is known and what you did is gone after a restart"))
	default:
		behind := journalBehind(j)
		text := []span{{pick(j.Error != "", red|bold, pick(behind, amber, green)), pick(j.Error != "", "✗ ", pick(behind, "▲ ", "✓ "))}, {plain, j.Path}, {grey, ", " + bytes(uint64(max(j.Bytes, 0)))}}
		if j.Error != "" {
			text = append(text, span{red, ", cannot be written"}, span{plain, ": " + j.Error})
			if j.FailingSince != nil {
				text = append(text, span{grey, ", for " + short(st.now.Sub(*j.FailingSince))})
			}
		}
		if j.Queued > 0 {
			text = append(text, span{grey, ", " + journalWords(j) + " behind"})
		} else if j.Error == "" {
			text = append(text, span{grey, ", up to date"})
		}
		if j.Dropped > 0 {
			text = append(text, span{red, ", " + grouped(j.Dropped) + " lost"})
		}
		add("journal", text...)
	}
}

// providerStory says of each provider what it has here, and its incidents.
func (st *state) providerStory(add func(string, ...span)) {
	type sum struct{ keys, usable int }
	var names []string
	sums := map[string]*sum{}
	for i := range st.scene.snap.Keys {
		k := &st.scene.snap.Keys[i]
		if sums[k.Provider] == nil {
			sums[k.Provider] = &sum{}
			names = append(names, k.Provider)
		}
		sums[k.Provider].keys++
		if k.Usable() {
			sums[k.Provider].usable++
		}
	}
	for _, n := range names {
		text := []span{{plain, plural(sums[n].keys, "key")}, {grey, ", " + grouped(sums[n].usable) + " usable"}}
		for i := range st.scene.snap.Incidents {
			inc := &st.scene.snap.Incidents[i]
			switch {
			case inc.Provider != n:
			case inc.Ended == nil:
				text = append(text, span{red | bold, "  ▲ incident "}, span{plain, short(st.now.Sub(inc.Since)) + ": " + inc.What},
					span{grey, " on " + strconv.Itoa(len(inc.Keys)) + " of " + plural(inc.Of, "key") + ", " + grouped(inc.Faults) + " faults; no key blamed"})
			default:
				text = append(text, span{grey, "  incident over " + st.ago(*inc.Ended) + ": " + inc.What + ", " + short(inc.Ended.Sub(inc.Since))})
			}
		}
		add(n, text...)
	}
	if len(names) == 0 {
		add("none", say(grey, "no keys yet"))
	}
}

// bytes says an amount of memory.
func bytes(n uint64) string {
	switch {
	case n >= 10<<20:
		return strconv.FormatUint(n>>20, 10) + " MiB"
	case n >= 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
	default:
		return strconv.FormatUint(n>>10, 10) + " KiB"
	}
}

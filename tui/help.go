package tui

import (
	"strings"

	"keywheel/engine"
)

// KeyTable is the table of keys as Markdown, for the README.
func KeyTable() string {
	var b strings.Builder
	b.WriteString("| key | does |\n|---|---|\n")
	for _, a := range actions {
		b.WriteString("| `" + strings.ReplaceAll(a.show, " ", "` `") + "` | " + a.doc + " |\n")
	}
	return b.String()
}

// helpParas is the table of keys on the screen: those that mean something now,
// or all of them with what the signs mean.
func helpParas(st *state, all bool) []para {
	paras := make([]para, 0, len(actions)+8)
	for i := range actions {
		a := &actions[i]
		if all || a.applies(st) {
			paras = append(paras, para{label: a.show, spans: []span{{plain, strings.ReplaceAll(a.doc, "`", "")}}, key: true})
		}
	}
	if !all {
		return paras
	}
	var states []span
	for _, s := range []engine.State{engine.Active, engine.Cooling, engine.Exhausted, engine.Failing, engine.Revoked, engine.Expired, engine.Disabled, engine.Missing} {
		states = append(states, say(lookOf(s).ink, lookOf(s).glyph+" "), say(plain, s.String()+"  "))
	}
	states = append(states, say(blue, "◆ "), say(plain, "pinned  "), say(amber, "▼ "), say(plain, "low"))
	return append(paras, line(),
		fact("states", states...),
		fact("failed", say(plain, "401 invalid key · dry: quota gone · 403 permission · 429 rate limited · 5xx upstream; in colour while it happens")),
		fact("filter", say(plain, "words anywhere; "), say(bold, "state:cooling  quota<20  runway<1h  svc:video  !disabled"),
			say(grey, "  fields: "+fieldNames())),
		fact("order", say(plain, "down, incident, one key left, runs out before its reset, a key to mend, cooling, then by name")),
		fact("safe", say(grey, "A monitor that runs the proxy cannot be suspended, and stops it when its terminal goes. keywheel serve with keywheel attach is safe from both.")))
}

package tui

import "strings"

// KeyTable is the table of keys as Markdown, for the README.
func KeyTable() string {
	var b strings.Builder
	b.WriteString("| key | does |\n|---|---|\n")
	for _, a := range actions {
		b.WriteString("| `" + strings.ReplaceAll(a.show, " ", "` `") + "` | " + a.doc + " |\n")
	}
	return b.String()
}

// helpParas is the table of keys on the screen, with what the signs mean.
func helpParas(*state) []para {
	paras := []para{}
	for _, a := range actions {
		paras = append(paras, para{a.show, []span{{plain, a.doc}}})
	}
	paras = append(paras, line(), para{"states", []span{
		{green, "● "}, {plain, "active  "}, {yellow, "◔ "}, {plain, "cooling  "}, {magenta, "◌ "}, {plain, "exhausted  "},
		{red, "✗ "}, {plain, "failing  "}, {red, "⊗ "}, {plain, "revoked  "}, {red, "⌁ "}, {plain, "expired  "},
		{grey, "⊘ "}, {plain, "disabled  "}, {red, "? "}, {plain, "missing  "}, {blue, "◆ "}, {plain, "pinned  "}, {amber, "▼ "}, {plain, "low"}}},
		para{"failed", []span{{plain, "401 invalid key · 402 quota · 403 permission · 429 rate limited · 5xx upstream; in colour while it happens"}}},
		para{"filter", []span{{plain, "words on names, service and state; "}, {bold, "state:cooling"}, {plain, "  "}, {bold, "!disabled"},
			{grey, "  also service: key: provider: account: project:"}}},
		para{"order", []span{{plain, "down, incident, one key left, runs out before its reset, a key to mend, cooling, then by name"}}},
		para{"safe", []span{{grey, "A monitor that runs the proxy cannot be suspended, and stops it when its terminal goes. keywheel serve with keywheel attach is safe from both."}}})
	return paras
}

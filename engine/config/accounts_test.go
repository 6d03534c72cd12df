package config

import (
	"fmt"
	"strings"
	"testing"
)

// fleet declares keys of account and provider, "a openai team-a" a line.
func fleet(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		f := append(strings.Fields(line), "")
		fmt.Fprintf(&b, "[keys.%s]\nprovider = %q\nsecret = \"env:%s\"\naccount = %q\n", f[0], f[1], strings.ToUpper(f[0]), f[2])
	}
	return b.String()
}

// fleetEnv has a secret for each key of a fleet.
var fleetEnv = map[string]string{"A": "sk-test-a", "B": "sk-test-b", "C": "sk-test-c", "D": "sk-test-d"}

// Each config declares accounts; want is what they are then, or what is said.
func TestAccounts(t *testing.T) {
	t.Parallel()
	const ui = "[services.ui]\nkeys = [\"a\"]\n[services.b]\nkeys = [\"b\"]\n"
	two := fleet("a openai team-a", "b groq team-b") + ui // 12 lines
	for _, tc := range []struct{ name, toml, want, notes string }{
		{"its keys tell the provider", two + "[accounts.team-a]\nlimits = { rpm = 60, usd_per_month = 100 }\n", "team-a of openai: 60 requests/1m, 100 usd/monthUTC keywheel.toml:13", ""},
		{"the provider told", two + "[accounts.team-b]\nprovider = \"groq\"\n", "team-b of groq: keywheel.toml:13", ""},
		{"a day by the provider's clock", strings.Replace(two, "groq", "gemini", 1) + "[accounts.team-b]\nlimits.rpd = 5\n", "team-b of gemini: 5 requests/dayAmerica/Los_Angeles keywheel.toml:13", ""},
		{"limits of a model", two + "[accounts.team-a.limits.models.\"gpt-4o\"]\ntpm = 7\n", "team-a of openai: 7 tokens/1m gpt-4o keywheel.toml:13", ""},
		{"nobody's", two + "[accounts.teem-a]\n", `warning 13: accounts.teem-a: no key is of this account, did you mean "team-a"?`, ""},
		{"one of two", fleet("a openai x", "b openai y", "c openai y") + ui + "[services.c]\nkeys = [\"c\"]\n[accounts.x]\n", "x of openai: keywheel.toml:19", "8: keys.b: account y is not in [accounts], so its keys share no limits"},
		{"nobody's here", two + "[accounts.team-a]\nprovider = \"groq\"\n", "warning 13: accounts.team-a: no key of groq is of this account; those that name it are of openai", ""},
		{"no such provider", two + "[accounts.team-a]\nprovider = \"opnai\"\n", `error 14: accounts.team-a: provider "opnai" is neither in [providers] nor built in, did you mean "openai"?`, ""},
		{"unknown setting", two + "[accounts.team-a]\nlimit = {}\n", `error 14: accounts.team-a: unknown setting "limit", did you mean "limits"?`, ""},
		{"one name, two providers", fleet("a openai x", "b groq x") + ui + "[accounts.x]\n", "error 13: accounts.x: provider is not set, and keys of openai and of groq name this account: say whose it is", ""},
		{"one name, two providers, one told", fleet("a openai x", "b groq x") + ui + "[accounts.x]\nprovider = \"groq\"\n", "x of groq: keywheel.toml:13", "4: keys.a: account x is one of openai and another of groq: they share the name and nothing else"},
		{"an account of a broken key", two + "[keys.c]\nsecret = \"env:C\"\naccount = \"c\"\n[accounts.c]\n", "error 13: keys.c: provider is not set: name a built-in one...", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := setup{files: map[string]string{"keywheel.toml": tc.toml}, env: fleetEnv}.load(t)
			var got []string
			for _, a := range c.Engine.Accounts {
				text := a.Name + " of " + a.Provider + ":"
				for i, l := range a.Limits {
					text += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(" %g %s/%s", l.Amount, l.Unit, l.Per())
					if l.Zone != nil {
						text += l.Zone.String()
					}
					if l.Model != "" {
						text += " " + l.Model
					}
				}
				got = append(got, text+" "+a.Source)
			}
			if err != nil {
				got = []string{"error " + strings.TrimPrefix(err.Error(), "keywheel.toml:")}
			}
			for _, w := range c.Warnings {
				got = append(got, "warning "+strings.TrimPrefix(w.String(), "keywheel.toml:"))
			}
			if !matches(got, []string{tc.want}) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), tc.want)
			}
			var notes []string
			for _, n := range strs(c.Notes) {
				notes = append(notes, strings.TrimPrefix(n, "keywheel.toml:"))
			}
			if err == nil && strings.Join(notes, "|") != tc.notes {
				t.Errorf("notes\n  %s\nwant\n  %s", strings.Join(notes, "|"), tc.notes)
			}
		})
	}
}

// Who shares limits with whom is told of every service of several keys.
func TestSharedAccounts(t *testing.T) {
	t.Parallel()
	service := func(keys ...string) string {
		return "[services.ui]\nkeys = [\"" + strings.Join(keys, "\", \"") + "\"]\n"
	}
	for _, tc := range []struct{ name, toml, warning, note string }{
		{"each its own", fleet("a openai x", "b openai y") + service("a", "b"), "", ""},
		{"unnamed", fleet("a openai", "b openai") + service("a", "b"), "", ""},
		{"one key", fleet("a openai x") + service("a"), "", ""},
		{"shared", fleet("a openai x", "b openai y", "c openai x") + service("a", "b", "c"), "", "14: services.ui: 3 keys, 2 accounts (x: 2, y: 1)"},
		{"shared, and one unnamed", fleet("a openai x", "b openai", "c openai x") + service("a", "b", "c"), "", "14: services.ui: 3 keys, 1 account (x: 2, not named: 1)"},
		{"all of one", fleet("a openai x", "b openai x") + service("a", "b"), "10: services.ui: keys: all are of account x: taking turns among them does not widen its limits, and when it is out of quota none is left", ""},
	} {
		c := setup{files: map[string]string{"keywheel.toml": tc.toml}, env: fleetEnv}.fine(t)
		for what, of := range map[string]struct {
			got  []Problem
			want string
		}{"warning": {c.Warnings, tc.warning}, "note": {c.Notes, tc.note}} {
			var want []string
			if of.want != "" {
				want = []string{"keywheel.toml:" + of.want}
			}
			same(t, tc.name+": "+what, strs(of.got), want)
		}
	}
}

// A service's limit that its keys never let it reach is a mistake.
func TestLimitsBeyondTheKeys(t *testing.T) {
	t.Parallel()
	keys := func(a, b string) string {
		return "[keys.a]\nprovider = \"openai\"\nsecret = \"env:A\"\naccount = \"x\"\n" + a + "\n[keys.b]\nprovider = \"openai\"\nsecret = \"env:B\"\naccount = \"x\"\n" + b +
			"\n[keys.c]\nprovider = \"openai\"\nsecret = \"env:C\"\naccount = \"y\"\nlimits = { rpm = 5 }\n[services.ui]\nkeys = [\"a\", \"b\"]\nfallback = [\"c\"]\nlimits = { rpm = 26, usd_per_month = 1000 }\n"
	}
	const ten = "limits = { rpm = 10 }"
	says := func(all string) string {
		return "keywheel.toml:19: services.ui: limits: rpm = 26 is more than its keys have together, " + all
	}
	for _, tc := range []struct{ name, toml, want string }{
		{"together", keys(ten, ten), says("25")},
		{"enough", keys(ten, "limits = { rpm = 11 }"), ""},
		{"a key without a limit", keys(ten, ""), ""},
		{"that of another model", keys(ten, "limits.models.m = { rpm = 1 }"), ""},
		{"the account has less", keys(ten, ten) + "[accounts.x]\nlimits = { rpm = 12 }\n", says("17")},
		{"the account has more", keys(ten, ten) + "[accounts.x]\nlimits = { rpm = 100 }\n", says("25")},
		{"the account alone has one", keys("", "") + "[accounts.x]\nlimits = { rpm = 12 }\n", says("17")},
	} {
		c := setup{files: map[string]string{"keywheel.toml": tc.toml}, env: fleetEnv}.fine(t)
		var want []string
		if tc.want != "" {
			want = []string{tc.want}
		}
		same(t, tc.name, strs(c.Warnings), want)
	}
}

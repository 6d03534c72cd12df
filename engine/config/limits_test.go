package config

import (
	"fmt"
	"strings"
	"testing"
)

// Each line is what a key's limits say, and what they are then.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ toml, want string }{
		{`limits = { rps = 5, rpm = 60, burst = 3 }`, "5 requests/1s burst 3|60 requests/1m"},
		{`limits = { burst = 3, rpm = 60, tpm = 9, rpd = 100 }`, "60 requests/1m burst 3|9 tokens/1m|100 requests/day"},
		{`limits = { rph = 600, burst = 20 }`, "600 requests/1h burst 20"},
		{`limits = { itpm = 30_000, otpm = 8_000 }`, "30000 input_tokens/1m|8000 output_tokens/1m"},
		{`limits = { rpm = 60, models = { "gpt-4o" = { rpm = 10, tpm = 30_000, burst = 2 }, b = { concurrent = 1 } } }`,
			"60 requests/1m|10 requests/1m burst 2 gpt-4o|30000 tokens/1m gpt-4o|1 concurrent/ b"},
		{"[keys.main.limits.models.\"deepseek-ai/DeepSeek-V3\"]\nrpm = 7", "7 requests/1m deepseek-ai/DeepSeek-V3"},
		{"[keys.main.limits]\nrpm = 1\nmodels.m.rpd = 2", "1 requests/1m|2 requests/day m"},
	} {
		c := setup{files: map[string]string{"keywheel.toml": add(tc.toml)}, env: map[string]string{"KEY": fake}}.fine(t)
		var got []string
		for _, l := range c.Engine.Keys[0].Limits {
			text := fmt.Sprintf("%g %s/%s", l.Amount, l.Unit, l.Per())
			if l.Burst > 0 {
				text += fmt.Sprintf(" burst %g", l.Burst)
			}
			if l.Model != "" {
				text += " " + l.Model
			}
			if (l.Zone == nil) != (l.Calendar == "") || l.Source != "config" {
				t.Errorf("%s: %+v", tc.toml, l)
			}
			got = append(got, text)
		}
		same(t, tc.toml, got, strings.Split(tc.want, "|"))
	}
}

func TestWrongLimits(t *testing.T) {
	t.Parallel()
	for toml, want := range map[string]string{
		`limits = { burst = 3 }`:                             `4: keys.main: limits.burst is how many requests may go at once under rps, rpm or rph: set one of them beside it`,
		`limits = { rpd = 9, burst = 3 }`:                    `4: keys.main: limits.burst is how many requests may go at once under rps, rpm or rph: set one of them beside it`,
		`limits = { rmp = 9, burst = 3 }`:                    `4: keys.main: limits: unknown limit "rmp", did you mean "rpm"?`,
		`limits = { rps = 5, rpm = 90, burst = 20 }`:         `4: keys.main: limits.burst must not be above rps = 5: a longer window lets more go at once`,
		`limits = { rpm = 9, burst = 0 }`:                    `4: keys.main: limits.burst must be above 0; leave it out for no limit`,
		`limits = { rpm = 9, brust = 1 }`:                    `4: keys.main: limits: unknown limit "brust", did you mean "burst"?`,
		`limits = { rpm = 9, model = {} }`:                   `4: keys.main: limits: unknown limit "model", did you mean "models"?`,
		`limits = { models = 9 }`:                            `4: keys.main: limits.models must be a table, not a whole number`,
		`limits = { models = { m = 9 } }`:                    `4: keys.main: limits.models.m must be a table, not a whole number`,
		`limits = { models = { "" = { rpm = 9 } } }`:         `4: keys.main: limits.models."" must not be empty`,
		"limits.rpm = 9\nlimits.models.\"a/b\".rmp = 9":      `5: keys.main: limits.models."a/b": unknown limit "rmp", did you mean "rpm"?`,
		"[keys.main.limits.models.\"gpt-4o\"]\nrpm = \"9\"":  `5: keys.main: limits.models.gpt-4o.rpm must be a whole number, not a string`,
		"[keys.main.limits.models.m]\nmodels = { n = {} }\n": `5: keys.main: limits.models.m: unknown limit "models"`,
	} {
		_, err := setup{files: map[string]string{"keywheel.toml": add(toml)}, env: map[string]string{"KEY": fake}}.load(t)
		if got := fmt.Sprint(err); got != "keywheel.toml:"+want {
			t.Errorf("%s:\n got  %s\n want %s", toml, got, want)
		}
	}
}

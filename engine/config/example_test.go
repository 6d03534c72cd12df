package config

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keywheel/engine/alert"
)

// exampleEnv is what the example's keys are read from.
var exampleEnv = map[string]string{
	"AI_ML_API_KEY": "sk-test-aimlapi-1", "GITHUB_TOKEN": "ghp_test1", "ANTHROPIC_API_KEY": "sk-test-ant-1",
	"OPENAI_API_KEY_A": "sk-test-openai-a", "OPENAI_API_KEY_B": "sk-test-openai-b", "GLM_API_KEYS": "sk-test-glm-1,sk-test-glm-2",
	"SILICONFLOW_API_KEYS": "sk-test-sf-1,sk-test-sf-2,sk-test-sf-3", "AI_ML_API_KEY_VIDEO": "sk-test-aimlapi-2",
	"AI_ML_API_KEY_IMAGE": "sk-test-aimlapi-3", "AI_ML_API_KEY_CODE": "sk-test-aimlapi-4",
}

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../config.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// strategy is the example with one of its three strategies in force.
func strategy(t *testing.T, n string) string {
	t.Helper()
	text := example(t)
	parts := regexp.MustCompile(`(?m)^# Strategy ([123]):`).FindAllStringSubmatchIndex(text, -1)
	if len(parts) != 3 {
		t.Fatalf("%d strategies", len(parts))
	}
	for i, p := range parts {
		if text[p[2]:p[3]] != n {
			continue
		}
		end := len(text)
		if i < 2 {
			end = parts[i+1][0]
		}
		body := text[p[0]:end]
		if n != "1" {
			body = uncommented(body)
		}
		return text[:parts[0][0]] + body
	}
	t.Fatalf("no strategy %s", n)
	return ""
}

// uncommented takes the # off all lines that are TOML behind it.
func uncommented(text string) string {
	return regexp.MustCompile(`(?m)^# (\[|[a-z_]\S* +=)`).ReplaceAllString(text, "$1")
}

func TestExample(t *testing.T) {
	t.Parallel()
	librechat := func(c *Config) (out []string) {
		for _, s := range c.Engine.Services {
			if strings.HasPrefix(s.Project, "librechat") {
				planned := map[bool]string{true: " planned"}[s.Planned]
				out = append(out, s.Name+": "+strings.Join(s.Keys, ",")+"|"+strings.Join(s.Fallback, ",")+planned)
			}
		}
		return out
	}
	for n, want := range map[string][]string{
		"1": {"proxy-config: github|", "librechat-ui: aimlapi-main|", "video-proxy: aimlapi-main|"},
		"2": {"proxy-config: github|", "librechat-ui: aimlapi-main|", "video-proxy: aimlapi-video|"},
		"3": {"proxy-config: github|", "librechat-ui: aimlapi-main|", "video-proxy: aimlapi-video|aimlapi-main",
			"image-proxy: aimlapi-image| planned", "code-proxy: aimlapi-code|"},
	} {
		c := setup{files: map[string]string{"keywheel.toml": strategy(t, n)}, env: exampleEnv}.fine(t)
		same(t, "strategy "+n, librechat(c), want)
		same(t, "warnings of strategy "+n, strs(c.Warnings), nil)
	}
	c := setup{files: map[string]string{"keywheel.toml": example(t)}, env: exampleEnv}.fine(t)
	var names []string
	for _, s := range c.Engine.Services {
		names = append(names, s.Name)
	}
	same(t, "services", names, []string{"proxy-config", "glm-4.7", "deepseek-v3", "gpt-4o", "claude", "librechat-ui", "video-proxy"})
	if a := c.Engine.Accounts; len(a) != 1 || a[0].Provider != "openai" || len(a[0].Limits) != 2 {
		t.Errorf("accounts %+v", a)
	}
	same(t, "notes", strs(c.Notes), nil)
	if len(c.Engine.Keys) != 10 {
		t.Errorf("%d keys", len(c.Engine.Keys))
	}
	same(t, "warnings", strs(c.Warnings), nil)
}

// The example's top settings are the defaults, as it says.
func TestExampleShowsDefaults(t *testing.T) {
	t.Parallel()
	c := setup{files: map[string]string{"keywheel.toml": example(t)}, env: exampleEnv}.fine(t)
	d := Defaults()
	if c.Listen != d.Listen || c.Patience != d.Patience || c.MaxWaiting != d.MaxWaiting || c.MaxReplay != d.MaxReplay || c.MaxReplayTotal != d.MaxReplayTotal ||
		c.DialTimeout != d.DialTimeout || c.HeaderTimeout != d.HeaderTimeout || c.IdleTimeout != d.IdleTimeout || c.ASCII != d.ASCII || c.Keep != d.Keep ||
		len(c.AllowHosts)+len(c.CORSOrigins) != 0 {
		t.Errorf("the example says %+v", c)
	}
}

// Whatever can be set is in the example, and what is commented out there is right.
func TestExampleIsComplete(t *testing.T) {
	t.Parallel()
	text := example(t)
	for _, name := range slices.Concat(topSettings.names(), tlsSettings.names(), providerSettings.names(), keySettings("secret").names(),
		accountSettings.names(), serviceSettings.names(), alertSettings.names(), limitNames) {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
			t.Errorf("%s is not in the example", name)
		}
	}
	block := func(from, to string) string {
		_, rest, ok := strings.Cut(text, from)
		body, _, ok2 := strings.Cut(rest, to)
		if !ok || !ok2 {
			t.Fatalf("nothing between %q and %q", from, to)
		}
		return uncommented(body)
	}
	provider := block("# All settings of a provider:", "# ----")
	service := block("# All other settings of a service:", "# ----")
	alerts := strings.Replace(block("but the first two show their defaults:", "# ----"), "notify-send", "/bin/sh", 1) // which is there
	key := block("weight   = 1 ", "[keys.github]")
	_, key, _ = strings.Cut(key, "\n")
	toml := provider + "\n[keys.spare]\nprovider = \"gateway\"\nsecret = \"env:AI_ML_API_KEY_CODE\"\n" + key +
		"\n[keys.main]\nprovider = \"gateway\"\nsecret = \"env:AI_ML_API_KEY\"\n[services.x]\nkeys = [\"main\"]\n" + service + alerts
	env := maps.Clone(exampleEnv)
	env["GPT_TOKEN"], env["ALERT_URL"] = "sk-test-token", "https://hooks.example.com/T0/B0"
	c := setup{files: map[string]string{"keywheel.toml": toml, "company-ca.pem": "x"}, env: env}.fine(t)
	same(t, "warnings", strs(c.Warnings), nil)
	k, s := c.Engine.Keys[0], c.Engine.Services[0]
	if k.AuthHeader != "X-Api-Key" || k.AuthPrefix != "" || k.Expires.IsZero() || len(k.Limits) != 8 || k.Limits[0].Burst != 10 || k.Limits[7].Model != "gpt-4o" || s.TokenRef == "" || !c.Alerts.Any() || c.Alerts.Quiet != Defaults().Alerts.Quiet || !slices.Equal(c.Alerts.On, alert.Kinds) || c.Alerts.Bell || c.Alerts.Title || len(s.Allow) != 2 || s.FallbackAfter != 2*time.Second {
		t.Errorf("key %+v\nservice %+v", k, s)
	}
}

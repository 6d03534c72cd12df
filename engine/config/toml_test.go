package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/provider"
	"keywheel/engine/quota"
)

// manyKeys is a config of n keys in the environment.
func manyKeys(n int) (toml string, env map[string]string) {
	var b strings.Builder
	env = map[string]string{}
	var names []string
	for i := range n {
		fmt.Fprintf(&b, "[keys.k%d]\nprovider = \"openai\"\nsecret = \"env:KEY_%d\"\naccount = \"a%d\"\nlimits = { rpm = 60, tpm = 1000 }\n", i, i, i)
		env[fmt.Sprintf("KEY_%d", i)] = fmt.Sprintf("sk-test-not-a-key-%04d", i)
		names = append(names, fmt.Sprintf("%q", fmt.Sprintf("k%d", i)))
	}
	fmt.Fprintf(&b, "[services.ui]\nkeys = [%s]\n", strings.Join(names, ", "))
	return b.String(), env
}

func TestEverySetting(t *testing.T) {
	t.Parallel()
	c := setup{
		env: map[string]string{"KEY": fake, "TOKEN": "sk-test-token", "G": "sk-test-g"},
		files: map[string]string{
			"cert.pem": "x", "key.pem": "x", "ca.pem": "x", "keys.txt": "sk-test-s1\nsk-test-s2 # second\n",
			"keywheel.toml": `
listen = "0.0.0.0:80"
patience = "1m30s"
max_waiting = 7
max_replay = 1024
max_replay_total = "1.5 MB"
dial_timeout = "1s"
header_timeout = "2s"
idle_timeout = "3s"
allow_hosts = ["host.docker.internal"]
cors_origins = ["https://chat.example.com"]
ascii = true
journal = "kw.db"
keep = "30d"
tls = { cert = "cert.pem", key = "key.pem" }

[providers.gateway]
kind = "generic"
base_url = "http://10.0.0.1:8000/v1/"
proxy_url = "socks5://127.0.0.1:1080"
ca_file = "ca.pem"
insecure = true
header = "X-Api-Key"
header_prefix = "Key "

[providers.plain]
base_url = "https://api.groq.com/openai/v1"
header = "authorization"

[keys.main]
provider = "gateway"
secret = "env:KEY"
account = "team-a"
plan = "payg"
scopes = ["chat", "video"]
weight = 3
limits = { rpm = 1, rph = 2, rpd = 3, tpm = 4, tph = 5, tpd = 6, usd_per_day = 0.5, usd_per_month = 20, concurrent = 9 }
expires = 2027-03-31
base_url = "http://10.0.0.2/v2"
proxy_url = "http://127.0.0.1:3128"

[keys.g]
provider = "gemini"
secret = "env:G"
limits = { rpd = 1e3, rpm = 2 }

[keysets.set]
provider = "plain"
secrets = "file:keys.txt"
account = "team-b"
limits.rpm = 5

[services.ui]
project = "librechat"
purpose = "前端聊天界面（所有）"
required = true
needs = ["chat"]
keys = ["main"]
strategy = "failover"
token = "env:TOKEN"
models = ["glm-4.7", "a/b"]
aliases = { "a/b" = "b" }
headers = { X-Team = "a" }
allow = ["GET *", "POST /graphql", "* /x"]
path_token = true
[services.ui.defaults]
temperature = 0
stop = ["a"]
deep = { x = 1.5 }
[services.ui.limits]
usd_per_month = 20

[services.set]
keys = ["set-2"]
fallback = ["set-1"]
fallback_after = "1.5s"
token = "env:TOKEN"

[services.all]
keys = ["set"]
token = "env:TOKEN"

[services.g]
keys = ["g"]
planned = true
`}}.fine(t)
	if c.Listen != "0.0.0.0:80" || c.Patience != 90*time.Second || c.MaxWaiting != 7 || c.MaxReplay != 1024 || c.MaxReplayTotal != 1_500_000 ||
		c.DialTimeout != time.Second || c.HeaderTimeout != 2*time.Second || c.IdleTimeout != 3*time.Second || !c.ASCII ||
		filepath.Base(c.Journal) != "kw.db" || !filepath.IsAbs(c.Journal) || c.Keep != 30*24*time.Hour ||
		!slices.Equal(c.AllowHosts, []string{"host.docker.internal"}) || !slices.Equal(c.CORSOrigins, []string{"https://chat.example.com"}) ||
		filepath.Base(c.TLSCert) != "cert.pem" || !filepath.IsAbs(c.TLSKey) {
		t.Errorf("top settings: %+v", c)
	}
	keys := map[string]engine.Key{}
	for _, k := range c.Engine.Keys {
		keys[k.Name] = k
	}
	same(t, "keys", slices.Sorted(maps.Keys(keys)), []string{"g", "main", "set-1", "set-2"})
	k := keys["main"]
	if k.Provider != "gateway" || k.Kind != "generic" || k.BaseURL != "http://10.0.0.2/v2" || k.ProxyURL != "http://127.0.0.1:3128" ||
		filepath.Base(k.CAFile) != "ca.pem" || !k.Insecure || k.AuthHeader != "X-Api-Key" || k.AuthPrefix != "Key " || k.Account != "team-a" ||
		k.Plan != "payg" || k.Weight != 3 || !slices.Equal(k.Scopes, []string{"chat", "video"}) || k.Ref != "env:KEY" || k.CanTest ||
		!k.Expires.Equal(time.Date(2027, 3, 31, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("main is %+v", k)
	}
	var limits []string
	for _, l := range k.Limits {
		zone := ""
		if l.Zone != nil {
			zone = l.Zone.String()
		}
		limits = append(limits, fmt.Sprintf("%g %s/%s%s %s", l.Amount, l.Unit, l.Per(), zone, l.Source))
	}
	same(t, "limits", limits, []string{"1 requests/1m config", "2 requests/1h config", "3 requests/dayUTC config", "4 tokens/1m config",
		"5 tokens/1h config", "6 tokens/dayUTC config", "0.5 usd/dayUTC config", "20 usd/monthUTC config", "9 concurrent/ config"})
	g := keys["g"]
	if g.Limits[0].Amount != 1000 || g.Limits[0].Zone.String() != "America/Los_Angeles" || g.Limits[1].Zone != nil || !g.CanTest {
		t.Errorf("g is %+v", g)
	}
	s2 := keys["set-2"]
	if s2.Secret.Reveal() != "sk-test-s2" || s2.Ref != "file:keys.txt[1]" || s2.Account != "team-b" || s2.Kind != "groq" ||
		s2.AuthHeader != "authorization" || s2.AuthPrefix != "Bearer " || s2.Limits[0].Amount != 5 || s2.Provider != "plain" {
		t.Errorf("set-2 is %+v", s2)
	}
	ui := c.Engine.Services[0]
	if ui.Name != "ui" || ui.Project != "librechat" || ui.Purpose != "前端聊天界面（所有）" || !ui.Required || ui.Planned || ui.Strategy != "failover" ||
		ui.Token.Reveal() != "sk-test-token" || ui.TokenRef != "env:TOKEN" || !ui.PathToken || ui.Aliases["a/b"] != "b" || ui.Headers["X-Team"] != "a" ||
		!slices.Equal(ui.Needs, []string{"chat"}) || !slices.Equal(ui.Models, []string{"glm-4.7", "a/b"}) || len(ui.Allow) != 3 ||
		ui.Limits[0].Unit != quota.USD || ui.Defaults["temperature"] != int64(0) {
		t.Errorf("ui is %+v", ui)
	}
	var tiers []string
	for _, s := range c.Engine.Services {
		tiers = append(tiers, fmt.Sprint(s.Name, s.Keys, s.Fallback, s.Planned, s.FallbackAfter))
	}
	same(t, "services", tiers, []string{"ui[main] [] false 0s", "set[set-2] [set-1] false 1.5s", "all[set-1 set-2] [] false 0s", "g[g] [] true 0s"})
	same(t, "warnings", strs(c.Warnings), []string{
		"keywheel.toml:74: services.set: keys: all are of account team-b: taking turns among them does not widen its limits, and when it is out of quota none is left",
		"keywheel.toml:80: services.all: keys: all are of account team-b: taking turns among them does not widen its limits, and when it is out of quota none is left",
	})
}

func TestDates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`2027-03-31`:                  "2027-03-31T23:59:59Z",
		`"2027-03-31"`:                "2027-03-31T23:59:59Z",
		`2027-03-31T10:00:00`:         "2027-03-31T10:00:00Z",
		`2027-03-31 10:00:00+02:00`:   "2027-03-31T08:00:00Z",
		`"2027-03-31T10:00:00+02:00"`: "2027-03-31T08:00:00Z",
		`10:00:00`:                    "", `"31.3.2027"`: "", `2027`: "", `true`: "", `"2027-02-30"`: "",
	} {
		toml := strings.Replace(one, "[services", "expires = "+text+"\n[services", 1)
		c, err := setup{files: map[string]string{"keywheel.toml": toml}, env: map[string]string{"KEY": fake}}.load(t)
		switch {
		case want == "" && (err == nil || err.Error() != "keywheel.toml:4: keys.main: expires must be a date like 2027-03-31 or a time like 2027-03-31T12:00:00Z"):
			t.Errorf("%s: got %v", text, err)
		case want != "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && c.Engine.Keys[0].Expires.Format(time.RFC3339) != want:
			t.Errorf("%s: got %v, want %s", text, c.Engine.Keys[0].Expires, want)
		}
	}
}

// Each config is wrong in one way; the problem is the whole of the error.
func TestProblems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, toml, want string }{
		{"unknown top setting", "lisen = \"127.0.0.1:1\"\n" + one, `1: unknown setting "lisen", did you mean "listen"?`},
		{"unknown table", one + "[service.x]\nkeys = []\n", `6: unknown setting "service", did you mean "services"?`},
		{"unknown, nothing near", one + "[zzzzzz]\n", `6: unknown setting "zzzzzz"`},
		{"unknown in a key", add("scop = [\"chat\"]"), `4: keys.main: unknown setting "scop", did you mean "scopes"?`},
		{"quoted name", one + "[keys.\"a b\"]\nscop = 1\nsecret=\"env:KEY2\"\nprovider=\"openai\"\n", `7: keys."a b": unknown setting "scop", did you mean "scopes"?|6: keys."a b": the name must be of letters, digits, . _ - and begin with a letter or digit`},
		{"control characters", one + "[keys.\"a\\u001b[31m\"]\nsecret=\"env:KEY2\"\nprovider=\"openai\"\n", `6: keys."a\x1b[31m": the name must be of letters, digits, . _ - and begin with a letter or digit`},
		{"unknown strategy", one + "strategy = \"roundrobin\"\n", `6: services.ui: strategy "roundrobin" is unknown, did you mean "round-robin"?`},
		{"strategy far off", one + "strategy = \"best\"\n", `6: services.ui: strategy "best" is unknown; there are round-robin, failover, headroom, affinity`},
		{"weight a string", add("weight = \"2\""), `4: keys.main: weight must be a whole number, not a string`},
		{"weight with a point", add("weight = 1.5"), `4: keys.main: weight must be a whole number, not a number`},
		{"weight zero", add("weight = 0"), `4: keys.main: weight must be a whole number from 1 to 2147483647`},
		{"flag a string", one + "required = \"yes\"\n", `6: services.ui: required must be true or false, not a string`},
		{"list a string", one + "needs = \"chat\"\n", `6: services.ui: needs must be a list, not a string`},
		{"table a list", "keys = [\"x\"]\n[services.ui]\nkeys = [\"main\"]\n", `1: keys must be a table, not a list|3: services.ui: keys: there is no key "main"`},
		{"tables of services", "[[services]]\n", `1: services must be a table, not a list of tables`},
		{"service a string", one + "[services]\nother = \"main\"\n", `7: services: other must be a table, not a string`},
		{"item of a list", add("scopes = [\n \"chat\",\n 7,\n]"), `6: keys.main: item 2 of scopes must be a string, not a whole number`},
		{"item twice", add("scopes = [\"chat\",\n \"chat\"]"), `5: keys.main: item 2 of scopes is "chat" once more`},
		{"ill-formed scope", add("scopes = [\"All Of It\"]"), `4: keys.main: item 1 of scopes must be the name of a scope like "chat"`},
		{"duration a number", "patience = 10\n" + one, `1: patience must be a duration like "10s", not a whole number`},
		{"bad days", "keep = \"0d\"\n" + one, `1: keep must be a number of days like "90d", at most 36500`},
		{"days as a number", "keep = 90\n" + one, `1: keep must be a duration like "10s", not a whole number`},
		{"bad duration", "patience = \"10 seconds\"\n" + one, `1: patience must be a duration like "500ms", "10s" or "5m", not "10 seconds"`},
		{"negative duration", "patience = \"-1s\"\n" + one, `1: patience must be 0s or longer`},
		{"no time to dial", "dial_timeout = \"0s\"\n" + one, `1: dial_timeout must be 1ms or longer`},
		{"bad size", "max_replay = \"64 megs\"\n" + one, `1: max_replay must be a size: a whole number of bytes, or one like "64MiB"`},
		{"negative size", "max_replay = -1\n" + one, `1: max_replay must be a size: a whole number of bytes, or one like "64MiB"`},
		{"bad listen", "listen = \"5399\"\n" + one, `1: listen must be an address and a port like "127.0.0.1:5399"`},
		{"bad port", "listen = \"127.0.0.1:99999\"\n" + one, `1: listen must be an address and a port like "127.0.0.1:5399"`},
		{"host with port", "allow_hosts = [\"a:1\"]\n" + one, `1: item 1 of allow_hosts must be the name of a host like "host.docker.internal", without port`},
		{"origin with path", "cors_origins = [\"https://a/b\"]\n" + one, `1: item 1 of cors_origins must be an origin like "https://app.example.com", without a path`},
		{"any origin", "cors_origins = [\"*\"]\n" + one, `1: item 1 of cors_origins must be an origin like "https://app.example.com", without a path`},
		{"half of tls", "tls = { cert = \"keywheel.toml\" }\n" + one, `1: tls needs both cert and key`},
		{"no such tls file", "tls = { cert = \"keywheel.toml\", key = \"x/nope.pem\" }\n" + one, `1: tls: key names nope.pem, which is no file that can be read`},
		{"unknown in tls", "tls = { cerd = \"keywheel.toml\" }\n" + one, `1: tls: unknown setting "cerd", did you mean "cert"?`},
		{"bad URL", add("base_url = \"api.example.com/v1\""), `4: keys.main: base_url must be a URL like "https://api.example.com/v1"`},
		{"URL of another kind", add("base_url = \"ftp://api.example.com/v1\""), `4: keys.main: base_url must be a URL like "https://api.example.com/v1"`},
		{"URL with a password", add("base_url = \"https://u:" + fake + "@api.example.com/v1\""), `4: keys.main: base_url must be a URL like "https://api.example.com/v1", without user and password`},
		{"URL with a query", add("base_url = \"https://api.example.com/v1?key=" + fake + "\""), `4: keys.main: base_url must be a URL like "https://api.example.com/v1", without ? and #`},
		{"URL with a bad port", add("base_url = \"https://api.example.com:99999\""), `4: keys.main: base_url must be a URL like "https://api.example.com/v1"`},
		{"bad proxy", add("proxy_url = \"proxy:3128\""), `4: keys.main: proxy_url must be a URL like "http://proxy.example.com:3128"`},
		{"plain http, key", add("base_url = \"http://10.0.0.1/v1\""), `4: keys.main: base_url would send keys over plain http: use https, or set insecure = true in [providers.openai]`},
		{"plain http, provider", one + "[providers.x]\nkind = \"generic\"\nbase_url = \"http://example.com\"\n[keys.x]\nprovider = \"x\"\nsecret = \"env:KEY2\"\n", `8: providers.x: base_url would send keys over plain http: use https, or set insecure = true in [providers.x]`},
		{"unknown kind", one + "[providers.x]\nkind = \"zhipo\"\n", `7: providers.x: kind "zhipo" is not built in, did you mean "zhipu"?`},
		{"kind not set", one + "[providers.x]\nbase_url = \"https://llm.example.com\"\n", `6: providers.x: kind is not set: name whose answers it speaks, one of openai, anthropic,...`},
		{"bad header", one + "[providers.openai]\nheader = \"X Key\"\n", `7: providers.openai: header must be the name of a header like "X-Api-Key"`},
		{"no such file", add("ca_file = \"nope.pem\""), `4: keys.main: ca_file names nope.pem, which is no file that can be read`},
		{"unknown provider", strings.Replace(one, `"openai"`, `"opneai"`, 1), `2: keys.main: provider "opneai" is neither in [providers] nor built in, did you mean "openai"?`},
		{"provider not set", strings.Replace(one, "provider = \"openai\"\n", "", 1), `1: keys.main: provider is not set: name a built-in one (openai, anthropic,...`},
		{"secret not set", strings.Replace(one, "secret = \"env:KEY\"\n", "", 1), `1: keys.main: secret is not set: write a reference to where it is, like "env:NAME"`},
		{"secret in the file", strings.Replace(one, "env:KEY", fake, 1), `3: keys.main: secret is no reference: a secret must not stand in the file itself: write a reference to where it is: env:NAME, file:PATH,...`},
		{"secret as a name", strings.Replace(one, "env:KEY", "env:"+fake, 1), `3: keys.main: secret is no reference: env: is followed by what looks like the key itself: write env:NAME`},
		{"secret a number", strings.Replace(one, `"env:KEY"`, "7", 1), `3: keys.main: secret must be a string, not a whole number`},
		{"secrets in a key", strings.Replace(one, "secret", "secrets", 1), `3: keys.main: unknown setting "secrets", did you mean "secret"?|1: keys.main: secret is not set: write a reference to where it is, like "env:NAME"`},
		{"token in the file", one + "token = \"" + fake + "\"\n", `6: services.ui: token is no reference: a secret must not stand in the file itself: write a reference to where it is: env:NAME, file:PATH,...`},
		{"token not there", one + "token = \"env:NOPE\"\n", `6: services.ui: token env:NOPE is not set: export it, or write it into the .env beside the config`},
		{"no URL of its own", strings.Replace(one, `"openai"`, `"azure-openai"`, 1), `1: keys.main: base_url is not set, and provider "azure-openai" has none of its own`},
		{"limit zero", add("limits = { rpm = 0 }"), `4: keys.main: limits.rpm must be above 0; leave it out for no limit`},
		{"limit infinite", add("limits = { usd_per_day = inf }"), `4: keys.main: limits.usd_per_day must be above 0; leave it out for no limit`},
		{"half a request", add("limits = { rpm = 1.5 }"), `4: keys.main: limits.rpm must be a whole number`},
		{"limit a string", add("limits = { usd_per_day = \"5\" }"), `4: keys.main: limits.usd_per_day must be a number, not a string`},
		{"unknown limit", add("limits = { rmp = 5 }"), `4: keys.main: limits: unknown limit "rmp", did you mean "rpm"?`},
		{"limits on lines", add("[keys.main.limits]\nrpm = 1\ntpm = -1"), `6: keys.main: limits.tpm must be above 0; leave it out for no limit`},
		{"no such key", strings.Replace(one, `["main"]`, "[\n\"main\", \n\"mian\"]", 1), `7: services.ui: keys: there is no key "mian", did you mean "main"?`},
		{"a key instead of its name", strings.Replace(one, `["main"]`, `["`+fake+`"]`, 1), `5: services.ui: keys: what stands here looks like the key itself: write [keys.NAME] with a reference to it, and NAME here`},
		{"no such fallback", one + "fallback = [\"spare\"]\n", `6: services.ui: fallback: there is no key "spare"`},
		{"key in both tiers", one + "fallback = [\"main\"]\n", `6: services.ui: fallback: "main" is in the service already`},
		{"no keys", one + "[services.b]\n", `6: services.b: keys is not set: name the keys that serve it, or say planned = true`},
		{"keys empty", one + "[services.b]\nkeys = []\n", `7: services.b: keys is not set: name the keys that serve it, or say planned = true`},
		{"reserved name", one + "[services.v1]\nkeys = [\"main\"]\n", `6: services.v1: "v1" is a path of its own, choose another name: t, v1, v1beta, v2, healthz are taken`},
		{"ill-formed name", one + "[services.\"Libre Chat\"]\nkeys = [\"main\"]\n", `6: services."Libre Chat": "Libre Chat" is no name for a service: use a-z, 0-9, . _ - and begin with a letter or digit`},
		{"dots only", one + "[services.\"..\"]\nkeys = [\"main\"]\n", `6: services."..": ".." is no name for a service: use a-z, 0-9, . _ - and begin with a letter or digit`},
		{"key and keyset", one + "[keysets.main]\nprovider = \"openai\"\nsecrets = \"env:KEY2\"\n", `6: keysets.main: the name is also that of a key or keyset further up`},
		{"key of a keyset", strings.Replace(one, "keys.main", "keys.set-1", 1) + "[keysets.set]\nprovider = \"openai\"\nsecrets = \"env:KEY2\"\n", `6: keysets.set: key set-1 is there already, see keys.set-1|5: services.ui: keys: there is no key "main"`},
		{"bad header pair", one + "headers = { Authorization = \"x\", \"a b\" = \"x\", X-A = \" x\" }\n", `6: services.ui: headers.Authorization is a header that keywheel sets itself|6: services.ui: headers."a b" is no name for a header|6: services.ui: headers.X-A must not begin or end with a blank`},
		{"header with a line end", one + "headers = { X-A = \"a\\r\\nB: c\" }\n", `6: services.ui: headers.X-A must not hold control characters or line ends`},
		{"bad allow", one + "allow = [\"get /x\"]\n", `6: services.ui: item 1 of allow must be a method and a path like "POST /graphql" or "GET *"`},
		{"empty alias", one + "aliases = { a = \"\" }\n", `6: services.ui: aliases.a must not be empty`},
		{"default that is no JSON", one + "defaults = { a = 2027-03-31, b = nan }\n", `6: services.ui: defaults.a must be text, a number, true or false, a list or a table of these|6: services.ui: defaults.b must be text, a number, true or false, a list or a table of these`},
		{"model of two services", one + "models = [\"m\"]\n[services.b]\nkeys = [\"main\"]\nmodels = [\"m\"]\n", `9: services.b: models: "m" is routed to services.ui already`},
		{"two languages", one + "[keys.c]\nprovider = \"anthropic\"\nsecret = \"env:KEY2\"\n[services.b]\nkeys = [\"main\", \"c\"]\n", `10: services.b: keys: main is of openai and c of anthropic, which do not speak one language: make two services`},
		{"open door", "listen = \":5399\"\n" + one, `5: services.ui: has no token, and :5399 lets in more than this machine: set token`},
		{"no services", "[keys.main]\nprovider = \"openai\"\nsecret = \"env:KEY\"\n", `0: there is no service: write [services.NAME] with the keys it uses`},
		{"empty file", "", `0: there is no service: write [services.NAME] with the keys it uses`},
		{"no TOML", "[keys.main\nprovider = 1\n", `2: not TOML: expected '.' or ']' to end table name, but got '\n' instead`},
		{"no quotes", one + "project = abcdef" + fake + "\n", `6: not TOML: expected value but found ... instead; text belongs in quotes (after services.ui.project)`},
		{"quote not closed", one + "project = \"" + fake + "\n", `6: not TOML: strings cannot contain newlines (after services.ui.project)`},
		{"twice in the file", one + "keys = [\"main\"]\n", `6: not TOML: Key 'services.ui.keys' has already been defined`},
		{"table twice", one + "[keys.main]\n", `6: not TOML: Key 'keys.main' has already been defined`},
		{"twice, and more", "lisen = \"x\"\n" + one + "strategy = \"x\"\nkeys = [ # again\n\"nope\",\n]\nkeys = []\n[keys.b]\nprovider = \"opnai\"\nsecret = \"env:KEY2\"\nlimits = { rpm = 1,\n rpm = 2 }\n[keys.main] # again\nprovider = \"ünknown\"\n[other]\n",
			`1: unknown setting "lisen", did you mean "listen"?|7: services.ui: strategy "x" is unknown...|8: not TOML: Key 'services.ui.keys' has already been defined|11: not TOML: Key 'services.ui.keys' has already been defined|` +
				`13: keys.b: provider "opnai" is neither in [providers] nor built in, did you mean "openai"?|16: not TOML: Key 'keys.b.limits.rpm' has already been defined|17: not TOML: Key 'keys.main' has already been defined|19: unknown setting "other"...`},
		{"twice, with a mark of the byte order", "\ufefflisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n" + one + "x = 1\n", `2: not TOML: Key 'listen' has already been defined|8: services.ui: unknown setting "x"...`},
		{"twice, and then no TOML", one + "[keys.main]\n[keys.c]\nx = \n", `6: not TOML: Key 'keys.main' has already been defined|8: not TOML: ...`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := setup{files: map[string]string{"keywheel.toml": tc.toml},
				env: map[string]string{"KEY": "sk-test-not-a-key-0002", "KEY2": "sk-test-not-a-key-0003"}}.load(t)
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			var want []string
			for _, w := range strings.Split(tc.want, "|") {
				line, text, _ := strings.Cut(w, ": ")
				switch line {
				case "":
				case "0":
					want = append(want, "keywheel.toml: "+text)
				default:
					want = append(want, "keywheel.toml:"+line+": "+text)
				}
			}
			if !matches(got, want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
			if strings.Contains(fmt.Sprint(err), fake) {
				t.Errorf("the error shows what could be a secret: %v", err)
			}
		})
	}
}

// matches compares in any order; a wanted line that ends in ... is a beginning.
func matches(got, want []string) bool {
	if len(got) != len(want) {
		return false
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g string) bool {
			head, cut := strings.CutSuffix(w, "...")
			return g == w || cut && strings.HasPrefix(g, head)
		}) {
			return false
		}
	}
	return true
}

// add puts a line into the key of the config that is right.
func add(line string) string { return strings.Replace(one, "[services", line+"\n[services", 1) }

func TestWarnings(t *testing.T) {
	t.Parallel()
	second := "[keys.b]\nprovider = \"openai\"\nsecret = \"env:KEY2\"\n"
	for _, tc := range []struct{ name, toml, want string }{
		{"fine", one, ""},
		{"unused key", one + second, "6: keys.b: no service uses key b"},
		{"unused provider", one + "[providers.x]\nkind = \"groq\"\n", "6: providers.x: no key is of this provider"},
		{"need not covered", add("scopes = [\"chat\"]") + "needs = [\"chat\", \"video\"]\n", `7: services.ui: needs "video", and none of its keys may be used for that`},
		{"need covered by fallback", add("scopes = [\"chat\"]") + "needs = [\"video\"]\nfallback = [\"b\"]\n" + second, `7: services.ui: needs "video", and of its 2 keys only b may be used for that: one key from an outage`},
		{"misspelt scope", add("scopes = [\"vidoe\"]"), `4: keys.main: scopes: "vidoe" is a scope no request has, did you mean "video"?`},
		{"misspelt need", one + "needs = [\"vidoe\"]\n", `6: services.ui: needs: "vidoe" is a scope no request has, did you mean "video"?`},
		{"scope of one's own", add("scopes = [\"repo\"]"), ""},
		{"missing key", one + strings.Replace(second, "KEY2", "NOPE", 1) + "[services.b]\nkeys = [\"b\"]\n", "8: keys.b: secret env:NOPE is not set: export it, or write it into the .env beside the config"},
		{"placeholder", one + strings.Replace(second, "KEY2", "SAMPLE", 1) + "[services.b]\nkeys = [\"b\"]\n", "8: keys.b: secret env:SAMPLE holds a placeholder, not a key: put the real one there"},
		{"missing keyset", one + "[keysets.s]\nprovider = \"openai\"\nsecrets = \"env:NOPE\"\n[services.b]\nkeys = [\"s\"]\n", "8: keysets.s: secrets env:NOPE is not set: export it, or write it into the .env beside the config"},
		{"two providers, one language", one + strings.Replace(second, "openai", "groq", 1) + "[services.b]\nkeys = [\"main\", \"b\"]\n", "10: services.b: keys: main is of openai and b of groq; one service's keys better be of one provider"},
		{"two places of one kind", one + "[providers.az]\nkind = \"openai\"\nbase_url = \"https://eu.api.openai.com/v1\"\n" + strings.Replace(second, `"openai"`, `"az"`, 1) + "[services.b]\nkeys = [\"main\", \"b\"]\n", ""},
		{"expired", add("expires = 2026-05-31"), "4: keys.main: expired on 2026-05-31"},
		{"not expired", add("expires = 2026-06-01"), ""},
		{"one secret, two names", one + strings.Replace(second, "KEY2", "KEY", 1) + "[services.b]\nkeys = [\"b\"]\n", "8: keys.b: b holds the same secret as main: they are one key with two names"},
		{"prefix without a blank", one + "[providers.openai]\nheader_prefix = \"Token\"\n", `7: providers.openai: header_prefix "Token" has no blank at its end; most prefixes do, like "Bearer "`},
		{"patience for no fallback", one + "fallback_after = \"5s\"\n", "6: services.ui: fallback_after does nothing without fallback"},
		{"plans", add("plan = \"payg\"") + "[keys.b]\nplan = \"pro\"\n" + second[len("[keys.b]\n"):] + "[services.b]\nkeys = [\"main\"]\nfallback = [\"b\"]\n", "12: services.b: keys: their plans differ (main is payg, b is pro), so the cost depends on which of them serves"},
		{"one plan, and none", add("plan = \"payg\"") + second + "[services.b]\nkeys = [\"main\", \"b\"]\n", ""},
		{"path token without a token", one + "path_token = true\n", "6: services.ui: path_token does nothing without a token"},
		{"planned without keys", one + "[services.b]\nplanned = true\nneeds = [\"image\"]\n", ""},
		{"planned with a token to come", one + "[services.b]\nplanned = true\nkeys = [\"main\"]\ntoken = \"env:NOPE\"\n", "9: services.b: token env:NOPE is not set: export it, or write it into the .env beside the config"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := setup{files: map[string]string{"keywheel.toml": tc.toml},
				env: map[string]string{"KEY": fake, "KEY2": "sk-test-not-a-key-0003", "SAMPLE": "sk-..."}}.fine(t)
			var want []string
			if tc.want != "" {
				want = []string{"keywheel.toml:" + tc.want}
			}
			same(t, "warnings", strs(c.Warnings), want)
		})
	}
}

func TestMissingKeys(t *testing.T) {
	t.Parallel()
	toml := "[keys.a]\nprovider = \"openai\"\nsecret = \"env:A\"\n[keys.b]\nprovider = \"openai\"\nsecret = \"file:b.key\"\n" +
		"[services.ui]\nkeys = [\"a\", \"b\"]\n"
	s := setup{files: map[string]string{"keywheel.toml": toml}, env: map[string]string{"A": fake}}
	c := s.fine(t)
	if k := c.Engine.Keys[1]; k.Missing != "file:b.key does not exist" || !k.Secret.Empty() {
		t.Errorf("b is %+v", k)
	}
	s.env = nil
	c, err := s.load(t)
	want := []string{
		"keywheel.toml: no key can be read, so nothing can be served",
		"keywheel.toml:3: keys.a: secret env:A is not set: export it, or write it into the .env beside the config",
		"keywheel.toml:6: keys.b: secret file:b.key does not exist: write the key into ...",
	}
	if err == nil || !matches(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("got %v", err)
	}
	if c == nil || len(c.Engine.Keys) != 2 {
		t.Error("what was understood is not there to be looked at")
	}
	s.toLookAt = true
	if c = s.fine(t); !matches(strs(c.Warnings), want) {
		t.Errorf("to look at, the warnings are %v", c.Warnings)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	toml := `lisen = 1
patience = "x"
[providers.p]
kind = "nope-nope"
[keys.a]
provider = "opnai"
secret = "` + fake + `"
weight = "1"
limits = { rpm = -1, tpn = 5 }
expires = "soon"
[keys.b]
[services.T]
keys = ["a", "c"]
strategy = "sometimes"
`
	_, err := setup{files: map[string]string{"keywheel.toml": toml}}.load(t)
	errs, ok := err.(Errors)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var lines []int
	for _, p := range errs {
		lines = append(lines, p.Line)
	}
	if !slices.Equal(lines, []int{1, 2, 4, 6, 7, 8, 9, 9, 10, 11, 11, 12, 13, 14}) {
		t.Errorf("problems on lines %v:\n%v", lines, err)
	}
}

func TestDoor(t *testing.T) {
	t.Parallel()
	for listen, open := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "localhost:1": false, "127.9.9.9:1": false,
		"0.0.0.0:1": true, ":1": true, "[::]:1": true, "192.168.1.2:1": true, "example.com:1": true, "localhost.example.com:1": true} {
		s := setup{files: map[string]string{"keywheel.toml": one}, env: map[string]string{"KEY": fake, "TOKEN": "sk-test-token"}, listen: listen}
		if _, err := s.load(t); (err != nil) != open {
			t.Errorf("%s without a token: %v", listen, err)
		}
		s.files["keywheel.toml"] = one + "token = \"env:TOKEN\"\n"
		c, err := s.load(t)
		if err != nil || c.Listen != listen {
			t.Errorf("%s with a token: %v", listen, err)
		}
	}
	s := setup{env: map[string]string{"API_KEY": fake, "API_BASE": "https://example.com"}, listen: "0.0.0.0:1"}
	if _, err := s.load(t); err == nil || !strings.Contains(err.Error(), "write it into a keywheel.toml") {
		t.Errorf("a service of the environment: %v", err)
	}
}

func FuzzTOML(f *testing.F) {
	f.Add(one)
	f.Add("[keys]\na = 1\n[[services]]\n[providers.x.y]\nlimits = []\n")
	f.Add("tls = 1\nkeysets = { a = { secrets = \"env:KEY\", limits = 3, scopes = {} } }\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "cmd:") || strings.Contains(text, "file:") || strings.Contains(text, "dotenv:") {
			return // nothing is run or read for a fuzzer
		}
		c, err := setup{files: map[string]string{"keywheel.toml": text}, env: map[string]string{"KEY": fake}}.load(t)
		if err == nil && len(c.Engine.Services) == 0 {
			t.Errorf("no service and no error of %q", text)
		}
		for _, line := range strings.Split(fmt.Sprint(err), "\n") {
			if harmless(line) != "" {
				t.Errorf("control characters in %q", line)
			}
		}
	})
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	const hook = "https://hooks.example.com/T0/hidden"
	env := map[string]string{"KEY": fake, "HOOK": hook, "PATH": "/usr/bin:/bin", "PLAIN": "http://example.com/hidden"}
	load := func(alerts string) (*Config, error) {
		return setup{env: env, files: map[string]string{"keywheel.toml": one + "[alerts]\n" + alerts}}.load(t)
	}
	c, err := load("")
	if a := c.Alerts; err != nil || a.Any() || len(a.On) != 5 || a.Quiet != 10*time.Minute {
		t.Errorf("by default %+v, %v", a, err)
	}
	c, err = load("command = [\"sh\", \"-c\", \"-c\"]\nwebhook = \"env:HOOK\"\non = [\"revoked\", \"incident\"]\nquiet = \"1h\"\nbell = true\ntitle = true\n")
	if err != nil || len(c.Warnings) > 0 {
		t.Fatal(err, c.Warnings)
	}
	if a := c.Alerts; !slices.Equal(a.Command, []string{"sh", "-c", "-c"}) || a.Dir == "" || !a.Webhook.Equal(hook) ||
		!slices.Equal(a.On, []alert.Kind{alert.Revoked, alert.Incident}) || a.Quiet != time.Hour || !a.Bell || !a.Title || !a.Any() {
		t.Errorf("alerts %+v", a)
	}
	if c, err := load("webhook = \"" + hook + "\"\n"); err != nil || !c.Alerts.Webhook.Equal(hook) {
		t.Errorf("a URL in the file: %v", err)
	}
	for text, want := range map[string]string{
		"command = [\"no-such-program\"]": "keywheel.toml:7: alerts: command names a program that is not there: install it, or write its whole path",
		"webhook = \"env:NONE\"":          "keywheel.toml:7: alerts: webhook gets no alerts: env:NONE is not set: export it, or write it into the .env beside the config",
	} {
		c, err := load(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		same(t, text, strs(c.Warnings), []string{want})
	}
	for text, want := range map[string]string{
		"command = []":                            "alerts: command must name a program, and its arguments",
		"command = \"sh x\"":                      "alerts: command must be a list, not a string",
		"webhook = \"hidden\"":                    `alerts: webhook must be a URL like "https://example.com/hook", or a reference to one like "env:ALERT_URL"`,
		"webhook = \"http://example.com/hidden\"": "alerts: webhook must begin with https://: plain http is only for this machine",
		"webhook = \"env:PLAIN\"":                 "alerts: webhook is read from env:PLAIN, and must begin with https://: plain http is only for this machine",
		"on = [\"revokt\"]":                       `alerts: item 1 of on "revokt" is unknown, did you mean "revoked"?`,
		"on = [\"revoked\", \"revoked\"]":         `alerts: item 2 of on is "revoked" once more`,
		"quiet = \"-1m\"":                         "alerts: quiet must be 0s or longer",
		"comand = []":                             `alerts: unknown setting "comand", did you mean "command"?`,
	} {
		_, err := load(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	const file = `{"sample_spec": {"input_cost_per_token": 0}, "acme-1": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}`
	c, err := setup{env: map[string]string{"KEY": fake}, files: map[string]string{"prices.json": file,
		"keywheel.toml": "prices_file = \"prices.json\"\n" + one + "[prices.\"org/model\"]\ninput = 2.5\noutput = 10\ncached = 1.25\nrequest = 0.5\n"}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Prices) != 2 || c.Prices[0]["org/model"] != (provider.Price{Input: 2.5e-6, Output: 1e-5, Cached: 1.25e-6, Request: 0.5}) ||
		c.Prices[1]["acme-1"] != (provider.Price{Input: 1e-6, Output: 2e-6}) {
		t.Errorf("prices %v", c.Prices)
	}
	for text, want := range map[string]string{
		"prices_file = \"none.json\"\n" + one:     "names none.json, which is no file",
		"prices_file = \"keywheel.toml\"\n" + one: "is not in LiteLLM's format",
		one + "[prices.m]\ninput = -1\n":          "must be 0 or above",
		one + "[prices.m]\ninput = \"x\"\n":       "must be a number, not a string",
		one + "[prices.m]\ninptu = 1\n":           `did you mean "input"?`,
	} {
		_, err := setup{env: map[string]string{"KEY": fake}, files: map[string]string{"keywheel.toml": text}}.load(t)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

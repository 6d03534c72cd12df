package checkup

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"keywheel/engine"
)

// project is a config of services and keys of aimlapi: "ui:chat,video=a,b" is a
// service, what it needs and its keys, "later?=" a planned one; "a:video" a key
// and its scopes.
func project(keys, services string) string {
	var b strings.Builder
	for i, text := range strings.Fields(keys) {
		name, scopes, scoped := strings.Cut(text, ":")
		fmt.Fprintf(&b, "[keys.%s]\nprovider = \"aimlapi\"\nsecret = \"env:KEY_%c\"\n", name, 'A'+i)
		if scoped {
			fmt.Fprintf(&b, "scopes = [%q]\n", scopes)
		}
	}
	for _, text := range strings.Fields(services) {
		who, keys, _ := strings.Cut(text, "=")
		name, needs, _ := strings.Cut(who, ":")
		name, planned := strings.CutSuffix(name, "?")
		fmt.Fprintf(&b, "[services.%s]\nplanned = %v\n", name, planned)
		if keys != "" {
			fmt.Fprintf(&b, "keys = [\"%s\"]\n", strings.ReplaceAll(keys, ",", `", "`))
		}
		if needs != "" {
			fmt.Fprintf(&b, "needs = [\"%s\"]\n", strings.ReplaceAll(needs, ",", `", "`))
		}
	}
	return b.String()
}

func TestStrategies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		keys, services string
		inForce, suits string
		proposal       string // service=key
	}{
		{"a", "ui=a", Single, Single, ""},
		{"a b", "ui=a,b", Single, Single, ""},
		{"a", "ui=a video=a", Shared, Shared, ""}, // small
		{"a b", "ui=a video=b", Separate, Separate, ""},
		{"a b", "ui=a,b video=a,b", Shared, Separate, "ui=a video=b"},
		{"a b", "video:video=a ui=a", Shared, Separate, "ui=a video=b"}, // who does the most has first choice
		{"a b:video", "video:video=a ui=a", Shared, Separate, "ui=a video=b"},
		{"a b c", "ui=a video=b later?=", Separate, Separate, ""},
		{"a b c", "ui:chat,image,code,video=a video-proxy:video=a image-proxy?:image=", Shared, Separate, "ui=a video-proxy=b image-proxy=c"}, // three active keys
		{"a b c", "ui=a video=a later?=c", Shared, Separate, "ui=a video=b later=c"},
		{"a b", "ui=a later?=b", Single, Separate, ""},
		{"a b c", "ui=a video:video=a", Shared, Separate, "ui=a video=b =c"},
		{"a b c:video", "ui=a video:video=a", Shared, Separate, "ui=a video=c =b"},
		{"a b c", "ui=a video=a,b code=c", Mixed, Separate, "ui=a video=b code=c"},
		{"a b c d", "ui=a v=b i=c c=d", Separate, Hybrid, ""},
		{"a b:video c:image d:code", "ui=a v:video=b i:image=c c:code=d", Hybrid, Hybrid, ""}, // large
		{"a b:video", "ui=a v:video=b c=a", Hybrid, Shared, ""},
		{"a b c d", "a=a b=a c=a d=a", Shared, Hybrid, "a=a b=b c=c d=d"},
	} {
		r, text := open(t, project(tc.keys, tc.services)).report()
		if len(r.Strategies) != 1 {
			t.Fatalf("%+v: %+v", tc, r.Strategies)
		}
		s := r.Strategies[0]
		var proposal []string
		for _, p := range s.Proposal {
			proposal = append(proposal, p.Service+"="+p.Key)
		}
		if s.InForce != tc.inForce || s.Suits != tc.suits || strings.Join(proposal, " ") != tc.proposal {
			t.Errorf("%s, %s: got %s, %s, %v; want %s, %s, %s", tc.keys, tc.services, s.InForce, s.Suits, proposal, tc.inForce, tc.suits, tc.proposal)
		}
		if said := strings.Contains(text, "would suit"); said == s.Fits() {
			t.Errorf("%s, %s: fits %v, and it says\n%s", tc.keys, tc.services, s.Fits(), text)
		}
	}
}

func TestThreeActiveKeys(t *testing.T) {
	t.Parallel()
	_, text := open(t, project("key-1 key-2 key-3", "librechat-ui:chat,image,code,video=key-1 video-proxy:video=key-1 image-proxy?:image=")).report()
	want := `- aimlapi: 3 services and 3 keys that can serve: in force is one key for all (strategy 1); a key per service (strategy 2) would suit: then quota, cost, permissions and faults of one are not the others' affair
`
	places := `- with the 3 keys of aimlapi:
    librechat-ui  key-1  chat, image, code, video
    video-proxy   key-2  video only
    image-proxy   key-3  image only
`
	if !strings.Contains(text, want) || !strings.Contains(text, places) {
		t.Errorf("got\n%s", text)
	}
}

// TestOneProviderEach keeps what uses GITHUB_TOKEN apart from the rest.
func TestOneProviderEach(t *testing.T) {
	t.Parallel()
	r, _ := open(t, project("a b", "ui=a,b video=b,a")+`
[keys.gh]
provider = "github"
secret = "env:KEY_C"
[services.proxy-config]
keys = ["gh"]
`).report()
	if len(r.Strategies) != 2 || r.Strategies[0].Services != 2 || r.Strategies[1].InForce != Single {
		t.Errorf("%+v", r.Strategies)
	}
}

func (r Report) advice(about string) string {
	for _, a := range r.Advice {
		if a.About == about {
			return a.Text
		}
	}
	return ""
}

func TestNumberOfKeys(t *testing.T) {
	t.Parallel()
	s := open(t, strings.Replace(project("a b c d", "one=a two=a,b three=b,c,d four=a,b,c,d five=a later?=b"), "[services.three]\n", "[services.three]\nrequired = true\n", 1))
	if got := numberAdvice(s); got != "few keys to turn to when one fails; in light use, where 2 to 3 are usual: one has 1, five has 1" {
		t.Error(got)
	}
	s.cfg.Engine.Services[1].Required = true
	s.service("four").PerMin = 300
	s.service("five").Requests, s.service("five").Verdicts.RateLimited = 200, 50
	if got := numberAdvice(s); got != "few keys to turn to when one fails; in light use, where 2 to 3 are usual: one has 1; in production (required), where 3 to 5 are usual: two has 2; under high load, where 5 to 10 are usual: four has 4, five has 1" {
		t.Error(got)
	}
}

func numberAdvice(s *scene) string { r, _ := s.report(); return r.advice("number") }

func (s *scene) service(name string) *engine.ServiceStatus {
	i := slices.IndexFunc(s.Services, func(st engine.ServiceStatus) bool { return st.Name == name })
	return &s.Services[i]
}

func TestScatteredQuota(t *testing.T) {
	t.Parallel()
	const said = "quota lies idle: b serves nothing while a of ui is exhausted: `keywheel lend b ui --for 2h`, or list it in its fallback"
	for _, tc := range []struct {
		name, keys, services string
		know                 func(s *scene)
		want                 string
	}{
		{"idle", "a b", "ui=a other=b", func(*scene) {}, said},
		{"its own", "a b", "ui=a,b other=b", func(*scene) {}, ""},
		{"busy", "a b", "ui=a other=b", func(s *scene) { s.key("b").Requests = 5 }, ""},
		{"disabled", "a b", "ui=a other=b", func(s *scene) { s.key("b").State = engine.Disabled }, ""},
		{"not for that", "a b:video", "ui:chat=a other:video=b", func(*scene) {}, ""},
		{"of the same account", "a b", "ui=a other=b", func(s *scene) { s.key("a").Account, s.key("b").Account = "x", "x" }, ""},
		{"much of its limit left", "a b", "ui=a other=b", func(s *scene) {
			s.key("b").Requests, s.key("b").Limits = 9, []engine.LimitStatus{{Unit: "requests", Amount: 100, Used: 2, Remaining: 98}}
		}, said},
		{"well", "a b", "ui=a other=b", func(s *scene) { s.key("a").State = engine.Active }, ""},
		{"untried", "a b", "ui=a other=b", func(s *scene) { s.Untried = true }, ""},
	} {
		s := open(t, project(tc.keys, tc.services))
		s.key("a").State = engine.Exhausted
		tc.know(s)
		if r, _ := s.report(); r.advice("scattered") != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, r.advice("scattered"), tc.want)
		}
	}
	s := open(t, project("a b", "ui=a other=b"))
	s.key("a").Limits = []engine.LimitStatus{{Unit: "tokens", Amount: 100, Used: 95, Remaining: 5}}
	if r, _ := s.report(); !strings.Contains(r.advice("scattered"), "a of ui is near its limit") || r.Mark == Act {
		t.Errorf("%v %+v", r.Mark, r.Advice)
	}
}

func TestPlansAndAccounts(t *testing.T) {
	t.Parallel()
	text := project("a b c", "ui=a video=b code=c")
	set := func(text, key, setting string) string {
		return strings.Replace(text, "[keys."+key+"]\n", "[keys."+key+"]\n"+setting+"\n", 1)
	}
	r, _ := open(t, set(set(text, "a", `plan = "payg"`), "b", `plan = "pro"`)).report()
	if got := r.advice("plans"); !strings.Contains(got, "plans of aimlapi differ (a is payg, b is pro)") || r.Mark == Act {
		t.Errorf("%v %q", r.Mark, got)
	}
	if got := r.advice("accounts"); !strings.HasPrefix(got, "whose are they? a, b, c:") {
		t.Errorf("got %q", got)
	}
	for _, k := range []string{"a", "b", "c"} {
		text = set(text, k, `account = "team"`)
	}
	r, _ = open(t, text).report()
	if got := r.advice("accounts"); !strings.HasPrefix(got, "one account behind all 3 keys of aimlapi (team): they share its limits and its money.") || r.Mark == Act {
		t.Errorf("%v %q", r.Mark, got)
	}
	r, _ = open(t, strings.Replace(text, `account = "team"`, `account = "team-b"`, 1)).report()
	if got := r.advice("accounts") + r.advice("plans"); got != "" {
		t.Errorf("got %q", got)
	}
}

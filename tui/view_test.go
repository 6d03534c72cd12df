package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"keywheel/engine"
)

var (
	inColour = map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8"}
	noColour = map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": "1"}
	inASCII  = map[string]string{"TERM": "linux"}
)

// scenes are what the golden frames show: a snapshot and what is pressed.
var scenes = []struct {
	name   string
	snap   func() engine.Snapshot
	events func() []engine.Event
	keys   []string
	only   string // one size instead of all
}{
	{"healthy", healthy, quiet, nil, ""},
	{"trouble", trouble, incidents, nil, ""},
	{"runs-out", trouble, incidents, []string{"/", "a", "n", "t", "h", "enter"}, ""},
	{"keys", trouble, incidents, []string{"j", "j", "enter", "j"}, ""},
	{"filter", trouble, incidents, []string{"/", "s", "t", "a", "t", "e", ":", "c", "o", "o", "l"}, ""},
	{"filter-error", trouble, incidents, []string{"/", "q", "u", "o", ":", "1"}, "80x24"},
	{"filter-nothing", trouble, incidents, []string{"/", "z", "z", "enter"}, "80x24"},
	{"timeline", trouble, incidents, []string{"shift+tab", "j"}, ""},
	{"why-service", trouble, incidents, []string{"/", "a", "n", "t", "h", "enter", "w"}, ""},
	{"why-down", trouble, incidents, []string{"w"}, "120x36"},
	{"key-detail", trouble, incidents, []string{"/", "t", "e", "a", "m", "-", "c", "enter", "enter", "enter"}, ""},
	{"disable", trouble, incidents, []string{"/", "v", "i", "d", "-", "1", "enter", "enter", "d"}, ""},
	{"disable-custom", trouble, incidents, []string{"/", "v", "i", "d", "-", "1", "enter", "enter", "d", "c", "9", "x", "enter"}, "80x24"},
	{"disable-confirm", trouble, incidents, []string{"/", "v", "i", "d", "-", "2", "enter", "enter", "d", "u"}, ""},
	{"disable-last", trouble, incidents, []string{"/", "v", "i", "d", "-", "1", "enter", "enter", "d", "1", "n", "o"}, ""},
	{"pin", trouble, incidents, []string{"/", "t", "e", "a", "m", "-", "b", "enter", "enter", "p"}, "80x24"},
	{"pin-unusable", trouble, incidents, []string{"/", "t", "e", "a", "m", "-", "c", "enter", "enter", "p", "1"}, "80x24"},
	{"reset", trouble, incidents, []string{"R"}, ""},
	{"undo", trouble, incidents, []string{"u"}, "80x24"},
	{"help", trouble, incidents, []string{"?"}, ""},
	{"quit", trouble, incidents, []string{"q"}, ""},
	{"toast", healthy, quiet, []string{"r"}, ""},
	{"all-keys", trouble, incidents, []string{"2"}, ""},
	{"all-keys-map", trouble, incidents, []string{"2", "m"}, ""},
	{"all-keys-cost", trouble, incidents, []string{"2", "m", "m"}, "120x36"},
	{"cost-by-service", trouble, incidents, []string{"2", "m", "m", "c"}, ""},
	{"cost-by-model", trouble, incidents, []string{"2", "m", "m", "c", "c", "j"}, "120x36"},
	{"cost-filter", trouble, incidents, append([]string{"2", "m", "m", "c", "c", "/"}, append(letters("svc:anth"), "enter")...), "80x24"},
	{"tested", trouble, incidents, []string{"/", "a", "n", "t", "h", "enter", "t"}, ""},
	{"all-keys-sorted", trouble, incidents, []string{"2", "s", "s", "s"}, "120x36"},
	{"all-keys-filter", trouble, incidents, append([]string{"2", "/"}, append(letters("quota<50 !disabled"), "enter")...), "80x24"},
	{"thousands", thousands, incidents, []string{"2"}, ""},
	{"thousands-open", thousands, incidents, []string{"2", "j", "enter", "j", " ", " ", "k"}, "120x36"},
	{"timeline-screen", trouble, incidents, []string{"3"}, ""},
	{"timeline-filter", trouble, incidents, append([]string{"3", "/"}, append(letters("kind:hold"), "enter")...), "80x24"},
	{"traffic", trouble, incidents, []string{"4"}, ""},
	{"traffic-request", trouble, incidents, []string{"4", "G", "k", "k", "k", "k"}, ""},
	{"traffic-why", trouble, incidents, []string{"4", "G", "k", "k", "w"}, "80x24"},
	{"traffic-filter", trouble, incidents, append([]string{"4", "/"}, append(letters("attempts>1"), "enter")...), "120x36"},
	{"traffic-none", func() engine.Snapshot {
		s := healthy()
		s.Proxy = engine.ProxyStatus{Listen: "127.0.0.1:5399"}
		return s
	}, func() []engine.Event { return nil }, []string{"4"}, "80x24"},
	{"traffic-none-and-no-key", func() engine.Snapshot {
		s := healthy()
		s.Proxy = engine.ProxyStatus{Listen: "127.0.0.1:5399"}
		for i := range s.Services {
			s.Services[i].Usable = 0
		}
		return s
	}, func() []engine.Event { return nil }, []string{"4"}, "80x24"},
	{"system", trouble, incidents, []string{"5"}, ""},
	{"palette", trouble, incidents, []string{":", "d", "i"}, ""},
	{"zoomed", trouble, incidents, []string{"enter", "z"}, "120x36"},
	{"frozen", trouble, incidents, []string{"f"}, "120x36"},
	{"marked", trouble, incidents, []string{"2", " ", " ", "j", " "}, "120x36"},
	{"disable-marked", trouble, incidents, []string{"2", " ", " ", "j", " ", "d"}, ""},
	{"disable-all", trouble, incidents, []string{"2", "*", "d", "u"}, "120x36"},
	{"disable-reason", trouble, incidents, append([]string{"2", "G", "d", "r"}, append(letters("leaked in a log"), "enter")...), "80x24"},
	{"drain-asks", trouble, incidents, []string{"/", "v", "i", "d", "-", "2", "enter", "enter", "D"}, "80x24"},
	{"lent", lent, quiet, []string{"/", "o", "p", "e", "n", "a", "i", "enter"}, ""},
	{"lent-key", lent, quiet, []string{"2", "/", "p", "r", "o", "d", "-", "3", "enter", "w"}, "120x36"},
	{"replace", lent, quiet, append(append([]string{"2", "/"}, letters("prod-3")...), append([]string{"enter", "x"}, letters("fake-secret-of-29-characters.")...)...), ""},
	{"replace-unfit", lent, quiet, append([]string{"2", "G", "x"}, append(letters("changeme"), "enter")...), "80x24"},
	{"lend-to", healthy, quiet, append(find("prod-2"), "L"), ""},
	{"lend", trouble, incidents, append(find("team-b"), "L", "4"), ""},
	{"lend-again", lent, quiet, append(append([]string{"2", "/"}, letters("bot-5")...), "enter", "L", "3"), "80x24"},
	{"unlend", onlyLent, quiet, []string{"/", "o", "p", "e", "n", "a", "i", "enter", "U"}, ""},
	{"unlend-which", twiceLent, quiet, append(append([]string{"2", "/"}, letters("bot-5")...), "enter", "U"), "80x24"},
	{"all-down", func() engine.Snapshot {
		s := trouble()
		for i := range s.Services {
			if !s.Services[i].Planned {
				s.Services[i].Usable, s.Services[i].DownSince, s.Services[i].FirstBack = 0, after(-time.Minute), after(time.Hour)
			}
		}
		return s
	}, incidents, nil, "80x24"},
	{"empty", func() engine.Snapshot {
		return engine.Snapshot{At: noon, Proxy: engine.ProxyStatus{Listen: "127.0.0.1:5399"}}
	}, func() []engine.Event { return nil }, nil, ""},
	{"no-traffic", func() engine.Snapshot {
		s := healthy()
		s.Proxy = engine.ProxyStatus{Listen: "127.0.0.1:5399"}
		return s
	}, func() []engine.Event { return nil }, nil, "80x24"},
	{"stale", func() engine.Snapshot {
		s := healthy()
		s.At = noon.Add(-95e9)
		return s
	}, quiet, nil, "80x24"},
	{"waiting", func() engine.Snapshot { return engine.Snapshot{} }, func() []engine.Event { return nil }, nil, "80x24"},
}

var sizes = [][2]int{{80, 24}, {120, 36}, {200, 60}, {50, 14}, {40, 10}, {28, 6}}

func TestView(t *testing.T) {
	t.Parallel()
	looks := []struct {
		name string
		env  map[string]string
	}{{"colour", inColour}, {"plain", noColour}, {"ascii", inASCII}}
	for _, sc := range scenes {
		for _, size := range sizes {
			for _, look := range looks {
				name := fmt.Sprintf("%dx%d", size[0], size[1])
				if sc.only != "" && sc.only != name || look.name == "ascii" && size[0] < 50 {
					continue
				}
				t.Run(sc.name+"/"+name+"-"+look.name, func(t *testing.T) {
					t.Parallel()
					m, _ := monitor(t, size[0], size[1], sc.snap(), sc.events(), look.env)
					press(m, sc.keys...)
					golden.RequireEqual(t, m.View())
				})
			}
		}
	}
}

func TestTroubleThatPassesMovesNothing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		down    time.Duration
		refused int64
		banner  bool
	}{
		{"a second, nobody noticed", time.Second, 0, false},
		{"a second, somebody did", time.Second, 1, true},
		{"longer", 3 * time.Second, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			snap := trouble()
			snap.Incidents[0].Since = noon.Add(-time.Second)
			for i := range snap.Services {
				if s := &snap.Services[i]; s.Name == "mistral" {
					s.DownSince, s.Refused = after(-tc.down), tc.refused
				}
			}
			m, _ := monitor(t, 120, 36, snap, nil, noColour)
			if got := strings.Contains(strings.Split(m.View(), "\n")[2], "mistral is down"); got != tc.banner {
				t.Errorf("banner %v", got)
			}
			if strings.Contains(m.View(), "incident 1s") {
				t.Error("an incident of a second has a banner")
			}
		})
	}
}

func TestAPinHasNoNext(t *testing.T) {
	t.Parallel()
	s := newScene(trouble(), nil).byName["librechat-ui"]
	if s.pool == nil || s.pool.keys != 1 || s.pool.remaining != 300e3 || s.burner != "" {
		t.Errorf("the pool of a pinned service is %+v", s.pool)
	}
}

func TestColumnsGoInOrder(t *testing.T) {
	t.Parallel()
	m, _ := monitor(t, 200, 60, trouble(), nil, noColour)
	cols := m.serviceColumns(12)
	for _, tc := range []struct {
		room int
		want string
	}{
		{150, " SERVICE KEY IN USE QUOTA LEFT OF BURN RUNWAY FAILED KEYS LAST ROTATION"},
		{117, " SERVICE KEY IN USE QUOTA LEFT BURN RUNWAY FAILED KEYS LAST ROTATION"},
		{77, " SERVICE KEY IN USE QUOTA LEFT BURN RUNWAY FAILED KEYS"},
		{57, " SERVICE KEY IN USE QUOTA LEFT RUNWAY FAILED KEYS"},
		{50, " SERVICE KEY IN USE QUOTA LEFT RUNWAY KEYS"},
		{44, " SERVICE KEY IN USE QUOTA LEFT RUNWAY"},
		{38, " SERVICE QUOTA LEFT RUNWAY"},
		{5, " SERVICE QUOTA LEFT RUNWAY"},
	} {
		var got []string
		for i, w := range fit(cols, tc.room) {
			if w > 0 {
				got = append(got, cols[i].head)
			}
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("in %d cells: %q, want %q", tc.room, s, tc.want)
		}
	}
}

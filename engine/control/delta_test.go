package control

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keywheel/engine"
)

// stage is a source whose state the test writes itself.
type stage struct {
	mu       sync.Mutex
	snap     engine.Snapshot
	requests []engine.RequestRecord
}

func (s *stage) change(f func(*engine.Snapshot)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snap.Keys, s.snap.Services = append([]engine.KeyStatus{}, s.snap.Keys...), append([]engine.ServiceStatus{}, s.snap.Services...)
	f(&s.snap)
}

func (s *stage) Snapshot() engine.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap
}

func (s *stage) Requests(after uint64) (list []engine.RequestRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r.Seq > after {
			list = append(list, r)
		}
	}
	return list
}

func (s *stage) Events(uint64) []engine.Event { return nil }
func (s *stage) Wait(ctx context.Context, _ uint64) ([]engine.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (s *stage) Do(engine.Action) (engine.Result, error) { return engine.Result{}, nil }

func stageOf(keys int) *stage {
	s := &stage{snap: engine.Snapshot{Version: 1, At: time.Now(), Incidents: []engine.Incident{}, Services: []engine.ServiceStatus{{Name: "ui"}, {Name: "video"}}}}
	for i := range keys {
		s.snap.Keys = append(s.snap.Keys, engine.KeyStatus{Name: fmt.Sprintf("k%d", i), State: engine.Active, Series: []int{0, 1}})
	}
	return s
}

// staged serves a stage to a mirror that looks when it is told to.
func staged(t *testing.T, src *stage) (*Mirror, *Server) {
	t.Helper()
	c, s := serveSource(t, src, readPatience)
	return &Mirror{client: c, ctx: t.Context()}, s
}

func look(t *testing.T, m *Mirror) engine.Snapshot {
	t.Helper()
	if _, err := m.look(); err != nil {
		t.Fatal(err)
	}
	return m.Snapshot()
}

// equal compares what a mirror shows with what a whole snapshot says.
func equal(t *testing.T, m *Mirror, s engine.Snapshot) bool {
	t.Helper()
	full, err := m.client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(s)
	b, _ := json.Marshal(full)
	return string(a) == string(b)
}

// A mirror that took only what changed shows what a whole snapshot shows.
func TestDeltasAddUp(t *testing.T) {
	t.Parallel()
	src, rng := stageOf(ageing), rand.New(rand.NewPCG(1, 2))
	one, _ := staged(t, src)
	two := &Mirror{client: NewClient(one.client.Socket()), ctx: t.Context()}
	for round := range 60 {
		src.change(func(s *engine.Snapshot) {
			for range rng.IntN(20) {
				k := &s.Keys[rng.IntN(len(s.Keys))]
				switch rng.IntN(4) {
				case 0:
					k.Requests++
				case 1:
					k.Limits = []engine.LimitStatus{{Unit: "requests", Used: rng.Float64()}}
				case 2:
					until := time.Now().Add(time.Duration(rng.IntN(1000)) * time.Second)
					k.State, k.Until = engine.Cooling, &until
				case 3:
					k.Series = []int{rng.IntN(9)}
				}
			}
			s.Services[rng.IntN(2)].Requests++
			s.UptimeS++
			switch round {
			case 20: // a reload: one goes
				s.Keys = s.Keys[1:]
			case 30: // one comes
				s.Keys = append(s.Keys, engine.KeyStatus{Name: "new", State: engine.Active})
			case 40: // they move
				s.Keys[0], s.Keys[1] = s.Keys[1], s.Keys[0]
			}
		})
		if !equal(t, one, look(t, one)) {
			t.Fatalf("round %d: the mirror shows something else", round)
		}
		if round%7 == 0 && !equal(t, two, look(t, two)) {
			t.Fatalf("round %d: the one that looks seldom shows something else", round)
		}
	}
}

// Of thousands of keys what a person waits for is seen at once, and the rest
// soon.
func TestDeltasOfMany(t *testing.T) {
	t.Parallel()
	src := stageOf(4 * ageing)
	m, s := staged(t, src)
	look(t, m)
	if d := s.feed.since(m.mark); len(d.Snapshot.Keys)+len(d.Snapshot.Services) > 0 || d.Whole {
		t.Errorf("nothing changed, and it sends %d keys", len(d.Snapshot.Keys))
	}
	src.change(func(s *engine.Snapshot) {
		for i := range s.Keys {
			s.Keys[i].Requests++
		}
		s.Keys[3*ageing].State = engine.Revoked
		s.Keys[3*ageing+1].Draining = true
	})
	if d := s.feed.since(m.mark); len(d.Snapshot.Keys) != ageing+2 {
		t.Errorf("sends %d keys at once", len(d.Snapshot.Keys))
	}
	got := look(t, m)
	if got.Keys[3*ageing].State != engine.Revoked || !got.Keys[3*ageing+1].Draining {
		t.Error("what a person waits for is not there")
	}
	for range 3 {
		got = look(t, m)
	}
	if !equal(t, m, got) {
		t.Error("numbers never came")
	}
}

// A snapshot that a screen is still drawing from does not change under it.
func TestDeltasLeaveWhatIsShownAlone(t *testing.T) {
	t.Parallel()
	src := stageOf(2)
	m, _ := staged(t, src)
	shown := look(t, m)
	src.change(func(s *engine.Snapshot) { s.Keys[1].State = engine.Revoked })
	if now := look(t, m); now.Keys[1].State != engine.Revoked || shown.Keys[1].State != engine.Active {
		t.Errorf("shown %v, now %v", shown.Keys[1].State, now.Keys[1].State)
	}
}

func TestRequestsComeWithTheLook(t *testing.T) {
	t.Parallel()
	src := stageOf(1)
	m, _ := staged(t, src)
	serve := func(n int) {
		src.mu.Lock()
		defer src.mu.Unlock()
		for range n {
			src.requests = append(src.requests, engine.RequestRecord{Seq: uint64(len(src.requests) + 1), Service: "ui"})
		}
	}
	for _, c := range []struct {
		more, all    int
		first, after uint64
		got          int
	}{{1000, 1000, 1, 990, 10}, {3, 1003, 1, 1000, 3}, {newest + 100, 1003 + newest, 1, 1103, newest}, {0, 1003 + newest, 1, 1303, 0}} {
		serve(c.more)
		look(t, m)
		all, got := m.Requests(0), m.Requests(c.after)
		if len(all) != c.all || all[0].Seq != c.first || len(got) != c.got {
			t.Errorf("after %d more: %d from %d, and %d after %d", c.more, len(all), all[0].Seq, len(got), c.after)
		}
	}
}

func TestMarksThatAreNotKnown(t *testing.T) {
	t.Parallel()
	m, s := staged(t, stageOf(3))
	look(t, m)
	epoch, _, _ := strings.Cut(m.mark, ".")
	for _, mark := range []string{"", "x", "x.1", epoch, epoch + ".-1", epoch + ".999", "." + epoch} {
		if d := s.feed.since(mark); !d.Whole || len(d.Snapshot.Keys) != 3 {
			t.Errorf("%q: whole %v, %d keys", mark, d.Whole, len(d.Snapshot.Keys))
		}
	}
	if d := s.feed.since(m.mark); d.Whole {
		t.Error("the mark it gave is not known")
	}
}

// One user at two terminals is two; who has none is known by its process.
func TestWhoIsAtWhichTerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		terminal string
		peer     peerInfo
		want     string
	}{
		{"pts/3", peerInfo{uid: 0, pid: 42}, "root pts/3"},
		{"", peerInfo{uid: 0, pid: 42}, "root pid 42"},
		{"", peerInfo{uid: 0}, "root"},
		{"pts/3", peerInfo{uid: -1}, "operator pts/3"},
		{"pts/3\x1b[2J", peerInfo{uid: 0, pid: 42}, "root pid 42"},
		{strings.Repeat("x", 25), peerInfo{uid: 0, pid: 42}, "root pid 42"},
	} {
		r, _ := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, c.peer), http.MethodGet, "/", nil)
		r.Header.Set(terminalHeader, c.terminal)
		if got := nameOf(r); got != c.want {
			t.Errorf("%+v at %q is %q, want %q", c.peer, c.terminal, got, c.want)
		}
	}
}

// Two monitors of one user tell each other's actions from their own.
func TestMonitorsOfOneUserAreTwo(t *testing.T) {
	t.Parallel()
	c, _ := serveSource(t, twoKeys(t), readPatience)
	m := map[string]*Mirror{}
	for _, at := range []string{"pts/1", "pts/2"} {
		m[at] = &Mirror{client: NewClient(c.Socket()), ctx: t.Context()}
		m[at].client.terminal = at
		look(t, m[at])
	}
	if _, err := m["pts/1"].Do(engine.Action{Verb: engine.VerbDisable, Key: "a"}); err != nil {
		t.Fatal(err)
	}
	for at, own := range map[string]bool{"pts/1": true, "pts/2": false} {
		list := m[at].Events(0)
		if len(list) != 1 || (list[0].By == "you") != own || !own && !strings.HasSuffix(list[0].By, " pts/1") {
			t.Errorf("at %s: %+v", at, list)
		}
	}
}

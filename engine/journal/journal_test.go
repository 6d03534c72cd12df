package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
)

func open(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func shut(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "state", "journal.db") }

// noon is not long ago: what is old is deleted.
var noon = time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)

// rotation is an event with everything in it.
func rotation(seq uint64, at time.Time) engine.Event {
	until := at.Add(time.Minute)
	return engine.Event{Seq: seq, At: at, Kind: engine.EventRotation, Service: "chat", Key: "team-a", State: engine.Cooling, By: "engine",
		Text: "team-a → team-b  429 rate limited",
		Rotation: &engine.Rotation{At: at, Service: "chat", From: "team-a", To: "team-b", Cause: "429 rate limited", Verdict: engine.RateLimited,
			Rule: "429 with a hint", Evidence: engine.Evidence{Status: 429, Request: fmt.Sprintf("req-%d", seq)}, By: "engine",
			Candidates: []engine.Candidate{{Key: "team-b", Chosen: true, Why: "chosen: next under round-robin"}, {Key: "team-c", Why: "cooling", Until: &until}}}}
}

func TestWhatWasWrittenIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	p, ctx := path(t), t.Context()
	j := open(t, p, Options{})
	ev := rotation(1, noon)
	j.Record(ev, engine.Event{Seq: 2, At: noon.Add(time.Second), Kind: engine.EventUp, Service: "code", State: engine.Active, By: "engine", Text: "back"})
	j.Save(State{Kind: "key/1", Name: "team-a", Doc: []byte(`{"hold":1}`)}, State{Kind: "key/1", Name: "team-a", Doc: []byte(`{"hold":2}`)},
		State{Kind: "book/1", Name: "team-a", Doc: []byte(`{"used":7}`)})
	id, err := j.Commit(ctx, Action{At: noon, Action: engine.Action{Verb: engine.VerbDisable, Key: "team-a", ForS: 60, Reason: "leaked", By: "uid 1000 on pts/3"},
		Text: "disabled team-a for 1m", Undo: []byte(`{"was":"active"}`)}, State{Kind: "book/1", Name: "team-a"})
	if err != nil || id != 1 {
		t.Fatalf("Commit: %d, %v", id, err)
	}
	video := Binding{Provider: "aimlapi", ID: "video-1", Kind: "video", Key: "team-a", Account: "team", Workspace: "w", Model: "hailuo-02", Open: true, At: noon}
	if err := j.Bind(ctx, video, Binding{Provider: "aimlapi", ID: "file-1", Kind: "file", Key: "team-b"}); err != nil {
		t.Fatal(err)
	}
	shut(t, j)

	j = open(t, p, Options{})
	if j.LastSeq() != 2 {
		t.Errorf("LastSeq is %d, want 2", j.LastSeq())
	}
	events, err := j.Events(ctx, EventQuery{})
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if got := events[0]; !got.At.Equal(ev.At) || got.Text != ev.Text || got.Rotation.Verdict != engine.RateLimited ||
		!slices.EqualFunc(got.Rotation.Candidates, ev.Rotation.Candidates, func(a, b engine.Candidate) bool { return a.Key == b.Key && a.Why == b.Why }) {
		t.Errorf("the rotation came back as %+v", got)
	}
	states, err := j.States(ctx, "")
	if err != nil || len(states) != 1 || string(states[0].Doc) != `{"hold":2}` || states[0].At.IsZero() {
		t.Errorf("states are %+v, %v: want the newest document of the key alone", states, err)
	}
	if b, ok, err := j.Binding(ctx, "aimlapi", "video-1"); !ok || err != nil || b != video {
		t.Errorf("the binding came back as %+v, %v, %v", b, ok, err)
	}
	if _, ok, err := j.Binding(ctx, "openai", "video-1"); ok || err != nil {
		t.Errorf("a binding of another provider: %v, %v", ok, err)
	}
	n := 0
	for b, err := range j.Bindings(ctx) {
		if err != nil || b.At.IsZero() {
			t.Errorf("%+v, %v", b, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d bindings, want 2", n)
	}
	actions, err := j.Actions(ctx, ActionQuery{Undoable: true})
	if err != nil || len(actions) != 1 {
		t.Fatalf("%+v, %v", actions, err)
	}
	if a := actions[0]; a.By != "uid 1000 on pts/3" || a.Verb != engine.VerbDisable || a.ForS != 60 || a.Reason != "leaked" || string(a.Undo) != `{"was":"active"}` ||
		a.Text != "disabled team-a for 1m" || !a.At.Equal(noon) {
		t.Errorf("the action came back as %+v", a)
	}
	id, err = j.Commit(ctx, Action{Action: engine.Action{Verb: engine.VerbUndo, By: "you"}, Undoes: 1})
	if err != nil || id != 2 {
		t.Fatalf("undo: %d, %v: want IDs to count on", id, err)
	}
	if actions, err = j.Actions(ctx, ActionQuery{Undoable: true}); err != nil || len(actions) != 0 {
		t.Errorf("still to be undone: %+v, %v", actions, err)
	}
	if actions, _ = j.Actions(ctx, ActionQuery{Key: "team-a"}); len(actions) != 1 || actions[0].UndoneAt.IsZero() {
		t.Errorf("the action is not marked as undone: %+v", actions)
	}
}

func TestAnEventToldBetterReplacesItself(t *testing.T) {
	t.Parallel()
	j := open(t, path(t), Options{})
	first := rotation(1, noon)
	first.Rotation.Outcome = ""
	j.Record(first)
	settle(t, j)
	better, other := rotation(1, noon), rotation(1, noon.Add(time.Hour))
	better.Rotation.Outcome, other.Rotation.Outcome = "k2 answered 200", "of another run"
	for _, ev := range []engine.Event{better, other} {
		j.Record(ev)
		settle(t, j)
		events, err := j.Events(t.Context(), EventQuery{})
		if err != nil || len(events) != 1 || events[0].Rotation.Outcome != "k2 answered 200" {
			t.Errorf("%v %+v", err, events)
		}
	}
}

func TestABindingGoes(t *testing.T) {
	t.Parallel()
	j := open(t, path(t), Options{})
	b := Binding{Provider: "openai", ID: "file-1", Key: "a"}
	gone := b
	gone.Gone = true
	for _, step := range []struct {
		b     Binding
		known bool
	}{{b, true}, {gone, false}, {gone, false}, {b, true}} {
		if err := j.Bind(t.Context(), step.b); err != nil {
			t.Fatal(err)
		}
		if _, known, err := j.Binding(t.Context(), "openai", "file-1"); err != nil || known != step.known {
			t.Errorf("%+v: known %v, %v", step.b, known, err)
		}
	}
}

func TestActionsTakeTheirPlaceInOrder(t *testing.T) {
	t.Parallel()
	j := open(t, path(t), Options{})
	var pending []*Pending
	for i, want := range []int64{7, 8, 9} {
		a := Action{Action: engine.Action{Verb: engine.VerbDisable, Key: "a"}}
		if i != 1 {
			a.ID = 7 // the last is taken already
		}
		id, p := j.Act(a, State{Kind: "key/1", Name: "a", Doc: fmt.Appendf(nil, "%d", i)})
		if id != want {
			t.Errorf("ID %d, want %d", id, want)
		}
		pending = append(pending, p)
	}
	for _, p := range pending {
		if err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	states, err := j.States(t.Context(), "key/1")
	if err != nil || len(states) != 1 || string(states[0].Doc) != "2" {
		t.Errorf("%v, %v", states, err)
	}
}

func TestEventsAreFoundByWhatTheyTell(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	j := open(t, path(t), Options{})
	for i := range uint64(10) {
		ev := rotation(i+1, noon.Add(time.Duration(i)*time.Minute))
		if i%2 == 1 {
			ev = engine.Event{Seq: i + 1, At: ev.At, Kind: engine.EventHold, Key: "team-b", By: "engine", Text: "held",
				Hold: &engine.HoldStatus{Verdict: engine.InvalidKey, State: engine.Revoked, Since: ev.At, Evidence: engine.Evidence{Request: "req-held"}}}
		}
		j.Record(ev)
	}
	settle(t, j)
	for _, tt := range []struct {
		name string
		q    EventQuery
		want []uint64
	}{
		{"all", EventQuery{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"the newest", EventQuery{Newest: true, Limit: 2}, []uint64{10, 9}},
		{"after", EventQuery{After: 7}, []uint64{8, 9, 10}},
		{"since", EventQuery{Since: noon.Add(8 * time.Minute)}, []uint64{9, 10}},
		{"until", EventQuery{Until: noon.Add(2 * time.Minute)}, []uint64{1, 2}},
		{"between", EventQuery{After: 3, Since: noon.Add(2 * time.Minute), Until: noon.Add(6 * time.Minute), Newest: true}, []uint64{6, 5, 4}},
		{"of a key", EventQuery{Key: "team-b", Limit: 2}, []uint64{2, 4}},
		{"of a service", EventQuery{Service: "chat", After: 5}, []uint64{7, 9}},
		{"of a kind", EventQuery{Kinds: []engine.EventKind{engine.EventHold, engine.EventUp}, Newest: true}, []uint64{10, 8, 6, 4, 2}},
		{"of a request", EventQuery{Request: "req-3"}, []uint64{3}},
		{"of a request that held", EventQuery{Request: "req-held", Limit: 1}, []uint64{2}},
		{"none", EventQuery{Key: "nobody"}, nil},
	} {
		list, err := j.Events(ctx, tt.q)
		var got []uint64
		for _, ev := range list {
			got = append(got, ev.Seq)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// settle waits until everything queued is on disk.
func settle(t testing.TB, j *Journal) {
	t.Helper()
	for j.Status().Queued > 0 {
		if err := j.Bind(t.Context()); err != nil { // wakes the writer
			t.Fatal(err)
		}
	}
}

// Whatever comes is on disk 250 ms later, in the time of the writer: that of a
// busy disk is not counted.
func TestABatchFollowsSoon(t *testing.T) {
	t.Parallel()
	p := path(t)
	synctest.Test(t, func(t *testing.T) {
		j := open(t, p, Options{})
		for n := range uint64(300) {
			j.Record(rotation(n+1, time.Now()))
			j.Count(time.Now(), Who{Key: "team-a"}, Usage{Requests: 1})
			time.Sleep(time.Duration(n%30) * time.Millisecond)
			if st := j.Status(); st.BehindS > 0.25 {
				t.Fatalf("after %d events: %+v", n+1, st)
			}
		}
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if st := j.Status(); st.Queued > 0 || st.BehindS > 0 || st.Error != "" {
			t.Errorf("in the end: %+v", st)
		}
		shut(t, j)
	})
}

// Who comes while an attempt fails is not told of its failure: the disk may be
// well again.
func TestWhoComesLaterIsTriedAgain(t *testing.T) {
	t.Parallel()
	j := &Journal{}
	waiter := func(s *standing) <-chan error {
		c := make(chan error, 1)
		s.waiters = append(s.waiters, c)
		return c
	}
	written, queued := waiter(&j.standing), waiter(&j.queue.standing)
	later := waiter(&j.queue.standing) // while it was tried
	full := errors.New("the disk is full")
	j.refuse(full, 1)
	for _, c := range []<-chan error{written, queued} {
		if err := <-c; err != full {
			t.Errorf("got %v", err)
		}
	}
	if len(later) > 0 || len(j.queue.standing.waiters) != 1 {
		t.Errorf("who came later was told too: %d still wait", len(j.queue.standing.waiters))
	}
}

func TestNobodyElseMayReadTheFiles(t *testing.T) {
	t.Parallel()
	p := path(t)
	j := open(t, p, Options{})
	if err := j.Bind(t.Context(), Binding{Provider: "p", ID: "1"}); err != nil {
		t.Fatal(err)
	}
	private(t, p)
}

func private(t *testing.T, p string) {
	t.Helper()
	for _, f := range []struct {
		name string
		want os.FileMode
	}{{filepath.Dir(p), 0o700}, {p, 0o600}, {p + "-wal", 0o600}, {p + "-shm", 0o600}, {p + ".lock", 0o600}} {
		if info, err := os.Stat(f.name); err != nil || info.Mode().Perm() != f.want {
			t.Errorf("%s: %v, %v, want %v", filepath.Base(f.name), info.Mode().Perm(), err, f.want)
		}
	}
}

func TestAReaderSeesAJournalThatIsWrittenAndOneThatIsNot(t *testing.T) {
	t.Parallel()
	p, ctx := path(t), t.Context()
	if _, err := OpenReadOnly(p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a journal: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(p)); !os.IsNotExist(err) {
		t.Error("looking for a journal made a directory")
	}
	j := open(t, p, Options{})
	see := func(when string, want int) {
		t.Helper()
		before := files(t, p)
		r, err := OpenReadOnly(p)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		list, err := r.Events(ctx, EventQuery{})
		if err != nil || len(list) != want {
			t.Errorf("%s: %d events, %v, want %d", when, len(list), err, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if after := files(t, p); !slices.Equal(before, after) {
			t.Errorf("%s: files were %v, are %v", when, before, after)
		}
	}
	see("empty", 0)
	j.Record(rotation(1, noon))
	settle(t, j)
	see("while it is written", 1)
	j.Record(rotation(2, noon))
	settle(t, j)
	see("while it is written on", 2)
	shut(t, j)
	see("when nobody writes it", 2)
	open(t, p, Options{})
	see("when it is written again", 2)
}

func files(t *testing.T, p string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(p))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAWaitThatIsOverLeavesTheRestToTheQueue(t *testing.T) {
	t.Parallel()
	j := open(t, path(t), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = j.Bind(ctx, Binding{Provider: "p", ID: "1"}) // in time or not
	settle(t, j)
	if _, ok, err := j.Binding(t.Context(), "p", "1"); !ok || err != nil {
		t.Errorf("the binding is lost: %v, %v", ok, err)
	}
}

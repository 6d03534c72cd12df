package engine

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// twoServices has a with k1 and b with k2, k3, all of provider p; k4 is of another.
func twoServices() Config {
	cfg := ofKeys("k1", "k2", "k3", "k4")
	cfg.Keys[3].Dialect = "another"
	cfg.Services = []Service{{Name: "svc", Keys: []string{"k1"}}, {Name: "b", Keys: []string{"k2", "k3", "k4"}}}
	return cfg
}

func TestALentKeyServesForATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, twoServices())
		do(t, e, Action{Verb: VerbLend, Key: "k2", Service: "svc", ForS: 7200, By: "you"})
		if got := []string{serve(t, e), serve(t, e), serve(t, e)}; !slices.Contains(got, "k2") {
			t.Errorf("served by %v", got)
		}
		s := e.Snapshot().Services[0]
		if len(s.Lent) != 1 || s.Lent[0].Key != "k2" || s.Lent[0].By != "you" || !slices.Equal(s.Keys, []string{"k1", "k2"}) || s.Usable != 2 {
			t.Errorf("%+v, keys %v, %d usable", s.Lent, s.Keys, s.Usable)
		}
		if !s.Lent[0].Until.Equal(time.Now().Add(2 * time.Hour)) {
			t.Errorf("until %v", s.Lent[0].Until)
		}
		reload(t, e, twoServices())
		do(t, e, Action{Verb: VerbPin, Key: "k2", Service: "svc"})
		if got := serve(t, e); got != "k2" {
			t.Errorf("after a reload it is served by %s", got)
		}
		time.Sleep(2*time.Hour + time.Second)
		for range 3 {
			if got := serve(t, e); got != "k1" {
				t.Errorf("over, and served by %s", got)
			}
		}
		all := texts(e)
		for _, want := range []string{"lent k2 to svc for 2h", "k2 is no longer lent to svc: its time is over", "pin of svc is over"} {
			if !strings.Contains(all, want) {
				t.Errorf("nobody says %q:\n%s", want, all)
			}
		}
	})
}

func TestLendIsTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, twoServices())
		lent := func() int { return len(e.Snapshot().Services[0].Lent) }
		do(t, e, Action{Verb: VerbLend, Key: "k2", Service: "svc", ForS: 60})
		do(t, e, Action{Verb: VerbUndo})
		if lent() != 0 || serve(t, e) != "k1" || serve(t, e) != "k1" {
			t.Error("undone, and lent still")
		}
		do(t, e, Action{Verb: VerbLend, Key: "k2", Service: "svc", ForS: 60})
		do(t, e, Action{Verb: VerbLend, Key: "k3", Service: "svc", ForS: 60})
		do(t, e, Action{Verb: VerbUnlend, Key: "k2", Service: "svc"})
		if lent() != 1 {
			t.Errorf("%d lent", lent())
		}
		do(t, e, Action{Verb: VerbUndo})
		if lent() != 2 {
			t.Errorf("unlend undone, %d lent", lent())
		}
		do(t, e, Action{Verb: VerbUnlend, Key: "k2", Service: "svc"})
		time.Sleep(2 * time.Minute)
		do(t, e, Action{Verb: VerbUndo})
		if lent() != 0 {
			t.Error("undo lends beyond the end")
		}
	})
}

func TestWhatCannotBeLent(t *testing.T) {
	t.Parallel()
	e := newEngine(t, twoServices())
	for _, c := range []struct {
		a    Action
		want string
	}{
		{Action{Verb: VerbLend, Key: "k2", Service: "svc"}, "lend needs an end"},
		{Action{Verb: VerbLend, Key: "k1", Service: "svc", ForS: 60}, "is one of the keys of svc already"},
		{Action{Verb: VerbLend, Key: "k4", Service: "svc", ForS: 60}, "do not speak one language"},
		{Action{Verb: VerbLend, Key: "k2", ForS: 60}, "lend needs a key and a service"},
		{Action{Verb: VerbUnlend, Key: "k2", Service: "svc"}, "k2 is not lent to svc"},
	} {
		if _, err := e.Do(c.a); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.a, err, c.want)
		}
	}
}

func TestAReloadEndsLendsWithoutObject(t *testing.T) {
	t.Parallel()
	own := twoServices()
	own.Services[0].Keys = []string{"k1", "k2"}
	gone := twoServices()
	gone.Keys = slices.Delete(gone.Keys, 1, 2)
	gone.Services[1].Keys = []string{"k3", "k4"}
	for why, next := range map[string]Config{"it is one of its own keys now": own, "the key was removed": gone} {
		e := newEngine(t, twoServices())
		do(t, e, Action{Verb: VerbLend, Key: "k2", Service: "svc", ForS: 60})
		reload(t, e, next)
		if s := e.Snapshot().Services[0]; len(s.Lent) != 0 || !strings.Contains(texts(e), why) || len(s.Keys) != len(next.Services[0].Keys) {
			t.Errorf("%+v %v; %s", s.Lent, s.Keys, texts(e))
		}
	}
}

func TestALendOutlivesTheEngine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, twoServices())
		do(t, e, Action{Verb: VerbLend, Key: "k2", Service: "svc", ForS: 60})
		do(t, e, Action{Verb: VerbLend, Key: "k3", Service: "svc", ForS: 7200})
		do(t, e, Action{Verb: VerbPin, Key: "k3", Service: "svc"})
		m := e.Memory()
		time.Sleep(time.Hour)
		e = newEngine(t, twoServices(), WithMemory(m))
		if s := e.Snapshot().Services[0]; !slices.Equal(s.Keys, []string{"k1", "k3"}) || s.Pinned != "k3" {
			t.Errorf("after a restart its keys are %v, pinned to %q", s.Keys, s.Pinned)
		}
		do(t, e, Action{Verb: VerbUndo})
		do(t, e, Action{Verb: VerbUndo})
		if s := e.Snapshot().Services[0]; len(s.Lent) != 0 {
			t.Errorf("undone, and lent still: %+v", s.Lent)
		}
	})
}

func TestWhatIsUndoneAfterAReload(t *testing.T) {
	t.Parallel()
	e := newEngine(t, ofKeys("k1", "k2"))
	do(t, e, Action{Verb: VerbDisable, Key: "k2"})
	do(t, e, Action{Verb: VerbDisable, Key: "k1"})
	reload(t, e, ofKeys("k2", "k3"))
	// What was done to k1 went with it.
	if r := do(t, e, Action{Verb: VerbUndo}); r.Text != "undid: disabled k2" {
		t.Errorf("%s", r.Text)
	}
}

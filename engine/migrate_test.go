package engine

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAMovedServiceUsesItsNewKeyAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := twoServices()
		cfg.Services[0].Fallback = []string{"k3"}
		e := newEngine(t, cfg)
		do(t, e, Action{Verb: VerbMigrate, Service: "svc", Key: "k2", By: "you"})
		for range 3 {
			if got := serve(t, e); got != "k2" {
				t.Errorf("served by %s", got)
			}
		}
		s := e.Snapshot().Services[0]
		if s.Moved == nil || s.Moved.Key != "k2" || s.Moved.By != "you" || !slices.Equal(s.Moved.From, []string{"k1"}) || !slices.Equal(s.Keys, []string{"k2"}) || !slices.Equal(s.Fallback, []string{"k3"}) {
			t.Errorf("%+v, keys %v", s.Moved, s.Keys)
		}
		// It survives a reload, and a restart.
		reload(t, e, cfg)
		again, err := New(cfg, WithMemory(e.Memory()))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Engine{e, again} {
			if got := serve(t, e); got != "k2" {
				t.Errorf("then it is served by %s", got)
			}
		}
		do(t, again, Action{Verb: VerbUndo})
		if got := serve(t, again); got != "k1" {
			t.Errorf("undone, and served by %s", got)
		}
		do(t, e, Action{Verb: VerbMigrate, Service: "svc"})
		if got := serve(t, e); got != "k1" {
			t.Errorf("moved back, and served by %s", got)
		}
		do(t, e, Action{Verb: VerbUndo})
		if got := serve(t, e); got != "k2" {
			t.Errorf("that undone, and served by %s", got)
		}
		// The config says something newer.
		cfg.Services[0].Keys = []string{"k3"}
		cfg.Services[0].Fallback = nil
		reload(t, e, cfg)
		if got := serve(t, e); got != "k3" {
			t.Errorf("the config changed, and it is served by %s", got)
		}
		if all := texts(e); !strings.Contains(all, "the move of svc to k2 is over: the config gives it other keys now") {
			t.Error(all)
		}
	})
}

func TestAKeyIsTriedBeforeTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, twoServices())
		end, err := e.Try("svc", "k2")
		if err != nil {
			t.Fatal(err)
		}
		if s := e.Snapshot().Services[0]; s.Trying != "k2" || !slices.Equal(s.Keys, []string{"k2", "k1"}) || s.Moved != nil {
			t.Errorf("trying %q, keys %v", s.Trying, s.Keys)
		}
		if got := []string{serve(t, e), serve(t, e)}; !slices.Equal(got, []string{"k2", "k2"}) {
			t.Errorf("served by %v", got)
		}
		// What it cannot serve, the others do.
		do(t, e, Action{Verb: VerbDisable, Key: "k2"})
		if got := serve(t, e); got != "k1" {
			t.Errorf("served by %s", got)
		}
		do(t, e, Action{Verb: VerbEnable, Key: "k2"})
		again, err := New(twoServices(), WithMemory(e.Memory()))
		if err != nil {
			t.Fatal(err)
		}
		if got := serve(t, again); got != "k1" {
			t.Errorf("after a restart it is served by %s", got)
		}
		if _, err := e.Try("svc", "k3"); err == nil || !strings.Contains(err.Error(), "is being moved to k2 already") {
			t.Error(err)
		}
		end()
		end()
		if got := serve(t, e); got != "k1" {
			t.Errorf("over, and served by %s", got)
		}
	})
}

func TestWhatCannotBeMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := twoServices()
		cfg.Services[0].Needs = []string{"video"}
		cfg.Keys[2].Scopes = []string{"chat"}
		e := newEngine(t, cfg)
		do(t, e, Action{Verb: VerbDisable, Key: "k2"})
		for _, c := range []struct{ service, key, want string }{
			{"svc", "k1", "svc is on k1 already"}, {"svc", "k4", "do not speak one language"}, {"svc", "k3", "k3 may not be used for video, which svc needs: its scopes are chat"},
			{"svc", "k2", "k2 is disabled"}, {"svc", "", "svc has the keys that the config gives it"}, {"svcc", "k2", `did you mean "svc"`}, {"", "k2", "needs a service"},
		} {
			if _, err := e.Do(Action{Verb: VerbMigrate, Service: c.service, Key: c.key}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s to %s: %v", c.service, c.key, err)
			}
		}
		do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k1", ForS: time.Hour.Seconds()})
		if _, err := e.Try("svc", "k2"); err == nil || !strings.Contains(err.Error(), "svc is pinned to k1") {
			t.Error(err)
		}
	})
}

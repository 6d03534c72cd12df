package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheOperatorWins(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, Failover)
	l := acquire(t, e, request())
	do(t, e, Action{Verb: VerbDisable, Key: "k1", By: "you", Reason: "leaked"})
	l.Judge(ok)
	l.Close(Usage{}, nil)
	if k := keyOf(t, e, "k1"); k.State != Disabled || k.Reason != "disabled by you: leaked" || k.Holds[0].By != "operator" {
		t.Errorf("%v: %q", k.State, k.Reason)
	}
	if got := serve(t, e); got != "k2" {
		t.Errorf("a disabled key served: %s", got)
	}
}

func TestDisabledForATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		do(t, e, Action{Verb: VerbDisable, Key: "k1", ForS: 3600})
		time.Sleep(time.Hour - time.Second)
		if got := stateOf(t, e, "k1"); got != Disabled {
			t.Errorf("%v before the hour is over", got)
		}
		time.Sleep(time.Second)
		if got := stateOf(t, e, "k1"); got != Active {
			t.Errorf("%v after it", got)
		}
	})
}

func TestPinnedMeansThisKeyOrAnHonestError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, RoundRobin)
		do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k2", ForS: 3600})
		for range 4 {
			if got := serve(t, e); got != "k2" {
				t.Fatalf("pinned to k2, served by %s", got)
			}
		}
		if got := answered(t, e, tooMany, ok); strings.Join(got, " ") != "k2 none" {
			t.Errorf("went to %v: pinned, k2 cooling, nobody else may", got)
		}
		time.Sleep(2 * time.Hour)
		seen := map[string]bool{}
		for range 3 {
			seen[serve(t, e)] = true
		}
		if len(seen) != 3 {
			t.Errorf("after the pin's end served by %v", seen)
		}
	})
}

func TestRotateMovesTheCursor(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 3, Failover)
	serve(t, e)
	if r := do(t, e, Action{Verb: VerbRotate, Service: "svc", By: "you"}); r.Text != "rotated svc k1 → k2" {
		t.Errorf("said %q", r.Text)
	}
	if got := serve(t, e); got != "k2" {
		t.Errorf("served by %s", got)
	}
	do(t, e, Action{Verb: VerbRotate, Service: "svc", Key: "k1"})
	if got := serve(t, e); got != "k1" {
		t.Errorf("rotated to k1, served by %s", got)
	}
	e = testEngine(t, 3, RoundRobin)
	serve(t, e) // k1; k2 would be next
	do(t, e, Action{Verb: VerbRotate, Service: "svc", Key: "k3"})
	if got := serve(t, e); got != "k3" {
		t.Errorf("rotated to k3, served by %s", got)
	}
}

func TestDrainFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, Failover)
	l := acquire(t, e, request())
	do(t, e, Action{Verb: VerbDrain, Key: "k1"})
	if got := serve(t, e); got != "k2" {
		t.Errorf("a draining key got a new request: %s", got)
	}
	l.Judge(ok)
	l.Close(Usage{}, nil)
	if k := keyOf(t, e, "k1"); k.InFlight != 0 || !k.Draining {
		t.Errorf("%+v", k)
	}
	do(t, e, Action{Verb: VerbEnable, Key: "k1"})
	if k := keyOf(t, e, "k1"); k.Draining {
		t.Error("enabled, still draining")
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action Action
		before func(*Engine)
		same   func(Snapshot) any
	}{
		{action: Action{Verb: VerbDisable, Key: "k1"}, same: func(s Snapshot) any { return s.Keys[0].State }},
		{action: Action{Verb: VerbDrain, Key: "k1"}, same: func(s Snapshot) any { return s.Keys[0].Draining }},
		{action: Action{Verb: VerbPin, Service: "svc", Key: "k2"}, same: func(s Snapshot) any { return s.Services[0].Pinned }},
		{action: Action{Verb: VerbFail, Key: "k1"}, same: func(s Snapshot) any { return s.Keys[0].State }},
		{action: Action{Verb: VerbRotate, Service: "svc"}, same: func(s Snapshot) any { return s.Services[0].KeyInUse }},
		{action: Action{Verb: VerbLift, Key: "k1"}, before: func(e *Engine) { answered(t, e, noMoney, ok) },
			same: func(s Snapshot) any { return s.Keys[0].State }},
		{action: Action{Verb: VerbReset, Service: "svc"}, before: func(e *Engine) { answered(t, e, noMoney, ok) },
			same: func(s Snapshot) any {
				return [...]any{s.Keys[0].State, s.Keys[0].Verdicts, s.Services[0].Requests, s.Services[0].Rotations}
			}},
	} {
		t.Run(string(c.action.Verb), func(t *testing.T) {
			t.Parallel()
			e := testEngine(t, 3, Failover)
			if c.before != nil {
				c.before(e)
			}
			was := c.same(e.Snapshot())
			do(t, e, c.action)
			if got := c.same(e.Snapshot()); got == was {
				t.Errorf("%s changed nothing: %v", c.action.Verb, got)
			}
			do(t, e, Action{Verb: VerbUndo})
			if got := c.same(e.Snapshot()); got != was {
				t.Errorf("undone: %v, was %v", got, was)
			}
			if _, err := e.Do(Action{Verb: VerbUndo}); err == nil {
				t.Error("undid what was not done")
			}
		})
	}
}

func TestActionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Action{
		`there is no key "k9", did you mean "k1"?`:               {Verb: VerbDisable, Key: "k9"},
		`there is no service "svcc", did you mean "svc"?`:        {Verb: VerbRotate, Service: "svcc"},
		`there is no action "explode"`:                           {Verb: "explode"},
		`rotate needs a service`:                                 {Verb: VerbRotate},
		`disable needs a key`:                                    {Verb: VerbDisable},
		`lift needs a key or a service`:                          {Verb: VerbLift},
		`k1 is not disabled`:                                     {Verb: VerbEnable, Key: "k1"},
		`svc is not pinned`:                                      {Verb: VerbUnpin, Service: "svc"},
		`nothing holds k1`:                                       {Verb: VerbLift, Key: "k1"},
		`there is nothing to undo`:                               {Verb: VerbUndo},
		`pin: a duration must be above 0 and under ten years`:    {Verb: VerbPin, Service: "svc", Key: "k1", ForS: -1},
		`no other key of svc can take over: no key of svc can s`: {Verb: VerbRotate, Service: "svc"},
	} {
		e := testEngine(t, 1, RoundRobin)
		_, err := e.Do(a)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
		if len(e.Events(0)) != 0 {
			t.Errorf("%+v: an action that failed is on the timeline", a)
		}
	}
}

func TestEveryActionIsOnTheTimeline(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, Failover)
	for _, a := range []Action{{Verb: VerbDisable, Key: "k1"}, {Verb: VerbEnable, Key: "k1"}, {Verb: VerbPin, Service: "svc", Key: "k2"},
		{Verb: VerbUnpin, Service: "svc"}, {Verb: VerbRotate, Service: "svc"}, {Verb: VerbFail, Key: "k1"}, {Verb: VerbReset, Key: "k1"}, {Verb: VerbUndo}} {
		a.By = "you"
		before := e.Snapshot().LastSeq
		do(t, e, a)
		found := false
		for _, ev := range e.Events(before) {
			found = found || ev.Kind == EventOperator && ev.By == "you" && ev.Text != ""
		}
		if !found {
			t.Errorf("%s is not on the timeline", a.Verb)
		}
	}
}

func TestReasonsAreHarmless(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	do(t, e, Action{Verb: VerbDisable, Key: "k1", Reason: "evil\x1b[2Jname\n" + strings.Repeat("x", 500)})
	if got := keyOf(t, e, "k1").Reason; strings.ContainsAny(got, "\x1b\n") || len(got) > 300 {
		t.Errorf("reason %q", got)
	}
}

func TestWaitTellsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 1, RoundRobin)
		got := make(chan []Event)
		go func() {
			list, _ := e.Wait(context.Background(), 0)
			got <- list
		}()
		synctest.Wait()
		do(t, e, Action{Verb: VerbDrain, Key: "k1"})
		if list := <-got; len(list) == 0 || list[0].Seq != 1 {
			t.Errorf("got %v", list)
		}
	})
}

func TestTheEventRingIsBounded(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	for range maxEvents {
		do(t, e, Action{Verb: VerbPin, Service: "svc", Key: "k1"})
		do(t, e, Action{Verb: VerbUnpin, Service: "svc"})
	}
	list := e.Events(0)
	if len(list) != maxEvents || list[len(list)-1].Seq != 2*maxEvents || list[0].Seq != maxEvents+1 {
		t.Errorf("%d events, %d to %d", len(list), list[0].Seq, list[len(list)-1].Seq)
	}
	if got := e.Events(2*maxEvents - 1); len(got) != 1 {
		t.Errorf("%d events after the last but one", len(got))
	}
}

// What cannot be undone stands in the way of what was done before it.
func TestAReplacedSecretIsNotUndone(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	do(t, e, Action{Verb: VerbDisable, Key: "k1"})
	d := e.Replaced("k2", "you")
	if d.Verb != VerbReplace || d.Undo == nil || d.ID == 0 {
		t.Errorf("kept as %+v", d)
	}
	if s := e.Snapshot(); s.Undo != "" || !strings.Contains(s.UndoRefused, "replaced the secret of k2") {
		t.Errorf("undo %q, refused %q", s.Undo, s.UndoRefused)
	}
	if _, err := e.Do(Action{Verb: VerbUndo}); err == nil || !strings.Contains(err.Error(), "another replacement") || stateOf(t, e, "k1") != Disabled {
		t.Errorf("undo: %v, k1 is %v", err, stateOf(t, e, "k1"))
	}
	// What is done after it is undone, and no more.
	do(t, e, Action{Verb: VerbDisable, Key: "k2"})
	do(t, e, Action{Verb: VerbUndo})
	if _, err := e.Do(Action{Verb: VerbUndo}); err == nil || stateOf(t, e, "k2") != Active {
		t.Errorf("undo: %v, k2 is %v", err, stateOf(t, e, "k2"))
	}
	// It is remembered.
	m := e.Memory()
	if again := m.Undo[len(m.Undo)-1]; again.Undo.Never == "" {
		t.Errorf("remembered as %+v", again)
	}
}

func TestThePulseChangesWithWhatHappens(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	was := e.Pulse()
	if e.Pulse() != was {
		t.Error("it changes by being asked")
	}
	for name, happen := range map[string]func(){
		"a request":  func() { serve(t, e) },
		"an action":  func() { do(t, e, Action{Verb: VerbDisable, Key: "k1"}) },
		"a stranger": func() { e.TurnedAway("10.0.0.1", "GET", "/", "no such service", 404) },
	} {
		happen()
		if now := e.Pulse(); now == was {
			t.Errorf("%s does not change it", name)
		} else {
			was = now
		}
	}
}

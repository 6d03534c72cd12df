package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// say sends one request of a conversation and names its key.
func say(t *testing.T, e *Engine, conversation string) string {
	t.Helper()
	r := request()
	r.Conversation = conversation
	l, err := e.Acquire(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	l.Judge(ok)
	l.Close(Usage{}, nil)
	return l.Key().Name
}

func TestAConversationStaysOnItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := testEngine(t, 3, Affinity)
		on := map[string]string{}
		for i := range 30 {
			c := fmt.Sprintf("c%d", i%6)
			k := say(t, e, c)
			if on[c] == "" {
				on[c] = k
			}
			if k != on[c] {
				t.Errorf("%s went from %s to %s", c, on[c], k)
			}
		}
		count := map[string]int{}
		for _, k := range on {
			count[k]++
		}
		if len(count) != 3 || count["k1"] != 2 {
			t.Errorf("six conversations went to %v", count)
		}
		// It moves when its key cannot serve, and stays where it moved.
		do(t, e, Action{Verb: VerbDisable, Key: on["c0"]})
		moved := say(t, e, "c0")
		if moved == on["c0"] {
			t.Fatal("a disabled key served")
		}
		do(t, e, Action{Verb: VerbEnable, Key: on["c0"]})
		for range 5 {
			say(t, e, "")
			if got := say(t, e, "c0"); got != moved {
				t.Errorf("moved to %s, then to %s", moved, got)
			}
		}
		time.Sleep(2 * stuckFor)
		seen := map[string]bool{}
		for i := range 3 {
			seen[say(t, e, fmt.Sprintf("new%d", i))] = true
		}
		if len(seen) != 3 {
			t.Errorf("new conversations went to %v", seen)
		}
	})
}

func TestConversationsAreBounded(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, Affinity)
	for i := range 2 * maxStuck {
		say(t, e, fmt.Sprint(i))
	}
	if n := len(e.services[0].stuck.on); n > maxStuck {
		t.Errorf("%d conversations are remembered", n)
	}
}

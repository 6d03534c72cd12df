package journal

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keywheel/engine"
)

// busy is a keywheel under load: it says on its output what it was promised.
func busy(p string) error { return load(p, 5) }

// calm is one that no operator steers: nobody makes the writer hurry.
func calm(p string) error { return load(p, 0) }

func load(p string, waiting int) error {
	j, err := Open(p, Options{})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
		_ = out.Flush()
	}
	say("ready")
	ctx := context.Background()
	var seq atomic.Uint64
	seq.Store(j.LastSeq())
	for range waiting / 2 {
		go func() {
			for {
				a := Action{Action: engine.Action{Verb: engine.VerbDisable, Key: "team-a", By: "uid 1000"}, Text: "disabled"}
				id, err := j.Commit(ctx, a, State{Kind: "key/1", Name: "team-a", Doc: []byte(`{"disabled":true}`)})
				if err != nil {
					say("failed: %v", err)
				}
				say("action %d", id)
			}
		}()
	}
	for i := range waiting - waiting/2 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("video-%d-%d-%d", os.Getpid(), i, n)
				if err := j.Bind(ctx, Binding{Provider: "aimlapi", ID: id, Key: "team-a"}); err != nil {
					say("failed: %v", err)
				}
				say("binding %s", id)
			}
		}()
	}
	for {
		at := time.Now()
		n := seq.Add(1)
		j.Record(rotation(n, at))
		j.Count(at, Who{Key: "team-a", Service: "chat", Model: "gpt", Account: "team"}, Usage{Requests: 1, InputTokens: 10, CostUSD: 0.000001})
		if n%20 == 0 {
			say("event %d %d", n, at.UnixMicro())
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// TestAKilledProcessLosesNothingItPromised kills a busy one again and again, on
// one journal. KEYWHEEL_KILLS says how often.
func TestAKilledProcessLosesNothingItPromised(t *testing.T) {
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("KEYWHEEL_KILLS")); err == nil {
		kills = n
	}
	p, ctx := filepath.Join(t.TempDir(), "journal.db"), t.Context()
	actions, bindings := 0, 0
	var worst time.Duration
	for i := range kills {
		c := start(t, [...]string{"busy", "calm"}[i%2], p)
		c.line(t)
		var mu sync.Mutex
		var lines []string
		read := make(chan struct{})
		go func() {
			defer close(read)
			for c.out.Scan() {
				mu.Lock()
				lines = append(lines, c.out.Text())
				mu.Unlock()
			}
		}()
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // the moment is the point
		_ = c.cmd.Process.Signal(syscall.SIGKILL)
		killed := time.Now()
		<-read
		_ = c.cmd.Wait()

		j := open(t, p, Options{})
		wanted := map[string]bool{}
		for _, line := range lines {
			f := strings.Fields(line)
			switch f[0] {
			case "action", "binding":
				wanted[line] = true
			case "event":
				n, _ := strconv.ParseUint(f[1], 10, 64)
				us, _ := strconv.ParseInt(f[2], 10, 64)
				if late := killed.Sub(time.UnixMicro(us)); n > j.LastSeq() && late > worst {
					worst = late
				}
			default:
				t.Fatal(line)
			}
		}
		list, err := j.Actions(ctx, ActionQuery{Limit: 1_000_000})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			delete(wanted, fmt.Sprintf("action %d", a.ID))
		}
		actions = len(list)
		bindings = 0
		for b, err := range j.Bindings(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			bindings++
			delete(wanted, "binding "+b.ID)
		}
		if len(wanted) > 0 {
			t.Fatalf("lost: %v", wanted)
		}
		// Events come in order and none between is lost; each was counted.
		events, err := j.Events(ctx, EventQuery{Newest: true, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		used, err := j.Usage(ctx, UsageQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 1 && (len(used) != 1 || used[0].Requests > int64(events[0].Seq)+1 || used[0].Requests+1 < int64(events[0].Seq)) {
			t.Fatalf("%d events, and usage %+v", events[0].Seq, used)
		}
		shut(t, j)
	}
	err := alter(t, p, func(db *sql.DB) error {
		var said string
		if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
			return fmt.Errorf("integrity: %s, %v", said, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills: all of %d actions and %d bindings are there; the oldest event lost was %v old", kills, actions, bindings, worst)
	if actions == 0 || bindings == 0 {
		t.Error("nothing was promised")
	}
}

// lax opens the journal under a umask that hides nothing.
func lax(p string) error {
	syscall.Umask(0)
	j, err := Open(p, Options{})
	if err == nil {
		err = j.Bind(context.Background(), Binding{Provider: "p", ID: "1"})
	}
	fmt.Println("ready", err)
	time.Sleep(time.Hour)
	return err
}

// cramped writes to a disk that is full, and then is not.
func cramped(p string) error {
	j, err := Open(p, Options{MaxQueued: 1000})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: free.Max}); err != nil {
		return err
	}
	for n := uint64(1); ; n++ {
		j.Record(rotation(n, time.Now()))
		j.Count(time.Now(), Who{Key: "team-a"}, Usage{Requests: 1})
		if _, err = j.Commit(ctx, Action{Text: fmt.Sprint("full ", n)}); err != nil {
			fmt.Println("refused:", err)
			break
		}
		if n > 10_000 {
			return fmt.Errorf("the disk was never full")
		}
	}
	// Traffic goes on, and nobody waits.
	began := time.Now()
	for n := uint64(20_001); n <= 25_000; n++ {
		j.Record(rotation(n, time.Now()))
		j.Count(time.Now(), Who{Key: "team-a"}, Usage{Requests: 1})
	}
	took := time.Since(began)
	if _, err := j.Commit(ctx, Action{Text: "while it is full"}, State{Kind: "key/1", Name: "team-a", Doc: []byte(`"kept"`)}); err == nil {
		return fmt.Errorf("an action was taken as written on a full disk")
	}
	st := j.Status()
	fmt.Printf("status: queued=%v dropped=%v behind=%v error=%q took=%v\n", st.Queued <= 1000+maxBatch, st.Dropped > 0, st.BehindS > 0, st.Error, took < time.Second)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	if _, err := j.Commit(ctx, Action{Text: "when there is room"}); err != nil {
		return err
	}
	for j.Status().Queued > 0 {
		if err := j.Bind(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("recovered: error=%q\n", j.Status().Error)
	return j.Close()
}

func TestAFullDiskStopsNobody(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "journal.db")
	c := start(t, "cramped", p)
	for _, want := range []string{"refused: not in the journal", "status: queued=true dropped=true behind=true error=\"journal " + p, "recovered: error=\"\""} {
		if got := c.line(t); !strings.HasPrefix(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		} else {
			t.Log(got)
		}
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	j := open(t, p, Options{})
	list, err := j.Actions(t.Context(), ActionQuery{Limit: 3})
	if err != nil || len(list) != 3 || list[0].Text != "when there is room" || list[1].Text != "while it is full" || !strings.HasPrefix(list[2].Text, "full ") {
		t.Errorf("actions of the full disk were lost: %+v, %v", list, err)
	}
	states, err := j.States(t.Context(), "key/1")
	if err != nil || len(states) != 1 {
		t.Errorf("%+v, %v", states, err)
	}
	if j.LastSeq() != 25_000 {
		t.Errorf("the newest event is %d: the oldest should have been dropped", j.LastSeq())
	}
	// What was used adds up in one place, and so is not dropped.
	used, err := j.Usage(t.Context(), UsageQuery{})
	if err != nil || len(used) != 1 || used[0].Requests < 5000 {
		t.Errorf("%+v, %v", used, err)
	}
}

func TestNobodyElseMayReadTheFilesUnderALaxUmask(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "a", "b", "journal.db")
	c := start(t, "lax", p)
	if got := c.line(t); got != "ready <nil>" {
		t.Fatal(got)
	}
	private(t, p)
}

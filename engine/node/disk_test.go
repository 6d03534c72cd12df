//go:build unix

package node

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"keywheel/engine"
)

// onDisk is a node whose disk gives trouble.
type onDisk struct{ *house }

func newOnDisk(t *testing.T) onDisk {
	up := upstreamOf(t, nil)
	return onDisk{newHouse(t, oneService(up))}
}

// serves lets requests through: the disk's trouble must not be theirs. It ends
// only when they are served, so one that waits for the disk waits here for ever.
func (d onDisk) serves(n int) {
	d.t.Helper()
	longest := time.Duration(0)
	for range n {
		begun := time.Now()
		if _, status := d.call(http.MethodPost, "chat/completions", chatBody); status != http.StatusOK {
			d.t.Fatalf("a request was answered %d", status)
		}
		longest = max(longest, time.Since(begun))
	}
	d.t.Logf("%d requests were served, the longest took %v", n, longest.Round(time.Millisecond))
}

// suffers waits until the journal is said to be behind, while requests go on.
func (d onDisk) suffers() {
	d.t.Helper()
	waitFor(d.t, func() bool {
		d.serves(5)
		st := d.Snapshot().Journal
		return st.Queued > 0 && st.BehindS > 1
	})
	r, err := d.Do(engine.Action{Verb: engine.VerbDisable, Key: "k2", By: "you"})
	if err != nil || r.Unsaved == "" {
		d.t.Errorf("an action that is not on disk: %+v, %v", r, err)
	}
	d.serves(20)
}

// recovers waits until all is on disk, and looks at it after another start.
func (d onDisk) recovers() {
	d.t.Helper()
	var st *engine.JournalStatus
	waitFor(d.t, func() bool {
		st = d.Snapshot().Journal
		return st.Queued == 0 && st.Error == ""
	})
	if st.Dropped > 0 || st.BehindS > 0 {
		d.t.Errorf("afterwards: %+v", st)
	}
	requests := d.key("k1").Requests + d.key("k2").Requests
	d.restart()
	if d.key("k2").State != engine.Disabled {
		d.t.Error("what was done meanwhile is lost")
	}
	if got := d.key("k1").Requests + d.key("k2").Requests; got != requests {
		d.t.Errorf("%d requests are remembered of %d", got, requests)
	}
}

// A disk that somebody else keeps busy for seconds.
func TestASlowDiskStopsNobody(t *testing.T) {
	t.Parallel()
	d := newOnDisk(t)
	d.serves(5)
	db, err := sql.Open("sqlite", d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waitFor(t, func() bool { // the writer may be at it
		_, err := c.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err == nil
	})
	d.suffers()
	if _, err := c.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	d.recovers()
}

// A disk that is full and then is not. It is this process that may write no
// more, so it is another process.
func TestAFullDiskStopsNobody(t *testing.T) {
	if os.Getenv("KEYWHEEL_FULL_DISK") == "" {
		t.Parallel()
		c := exec.Command(os.Args[0], "-test.run=^TestAFullDiskStopsNobody$", "-test.v")
		c.Env = append(os.Environ(), "KEYWHEEL_FULL_DISK=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	d := newOnDisk(t)
	d.serves(5)
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		t.Fatal(err)
	}
	full := free
	full.Cur = 32 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	d.suffers()
	if st := d.Snapshot().Journal; st.Error == "" || st.FailingSince == nil {
		t.Errorf("a full disk: %+v", st)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		t.Fatal(err)
	}
	d.recovers()
}

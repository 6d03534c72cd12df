// Package journal keeps on disk what keywheel must not forget: what operators
// did, which account made which upstream resource, where the engine stood, what
// happened and what was used (DESIGN section 8). It is one SQLite file.
//
// Delivery. [Journal.Commit] and [Journal.Bind] return when what they were
// given has been synced to the disk; callers that come at once share one sync.
// [Journal.Save], [Journal.Record] and [Journal.Count] never wait for the disk:
// a batch of them follows within 250 ms. A process that is killed loses nothing
// that Commit or Bind returned for, and at most 250 ms of the rest.
//
// A disk that fails or is full stops nobody. What could not be written stays in
// a bounded queue and is tried again; [Journal.Status] says how far behind the
// journal is and how much it had to drop. Events are dropped first, the oldest
// before the others.
//
// Times are kept as they were on the wall, because machines sleep.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"keywheel/engine"
)

// Options are how a journal is kept.
type Options struct {
	// Keep is how long events, actions, bindings and usage are kept; 0 is 90
	// days. Usage by the minute is kept 7 days, after that by the hour.
	Keep time.Duration
	// MaxQueued and MaxQueuedBytes bound what waits for the disk; 0 is 50,000
	// entries and 32 MiB.
	MaxQueued      int
	MaxQueuedBytes int
}

const (
	defaultKeep      = 90 * 24 * time.Hour
	defaultMaxQueued = 50_000
	defaultMaxBytes  = 32 << 20
)

// State is a part of where the engine stands: the newest document of a name is
// kept, older ones are not.
type State struct {
	// Kind names the schema of Doc, its version included: "key/1".
	Kind string
	// Name is whom it is about: a key, an account, a service.
	Name string
	// Doc is JSON. Empty takes the document away.
	Doc []byte
	// At is when it was saved; Save and Commit fill it in where it is zero.
	At time.Time
}

// Binding says which account made an upstream resource, and with which key.
// Provider and ID name it; a binding made again replaces the older one and is
// kept for as long as if it were new.
type Binding struct {
	Provider string
	ID       string
	// Kind is what the resource is: "file", "batch", "video", "response".
	Kind      string
	Key       string
	Account   string
	Workspace string
	// Model is what it was made with, Open whether what that cost is still to be
	// told.
	Model string
	Open  bool
	// At is when it was made or last used; Bind fills it in where it is zero.
	At time.Time
	// Gone takes the binding away: the resource is there no more.
	Gone bool
}

// Action is something an operator did. The embedded action says what was asked
// and by whom ([engine.Action.By]).
type Action struct {
	// ID rises with every action, also across restarts. Commit assigns it, where
	// it is not above all others already.
	ID int64
	// At is when it was done; Commit fills it in where it is zero.
	At time.Time
	engine.Action
	// Text is what it did, in one line ([engine.Result.Text]).
	Text string
	// Undo is JSON for whoever takes the action back; empty if nobody can.
	Undo []byte
	// Undoes is the action that this one took back; 0 is none.
	Undoes int64
	// UndoneAt is when the action was taken back; zero if it was not.
	UndoneAt time.Time
}

// Journal is a journal that is written. Its [Reader] sees what is on disk. It
// is safe for any number of goroutines.
type Journal struct {
	*Reader
	keep time.Duration
	lock *os.File
	file os.FileInfo // the file as it was opened
	w    *writer
	// lastSeq is that of the newest event when the journal was opened.
	lastSeq uint64

	// news, urgent: there is something to write, somebody waits for it.
	news, urgent  chan struct{}
	closing, done chan struct{}
	closeErr      error

	mu    sync.Mutex
	queue queue
	// standing and happened are being written now, or failed and are held.
	standing standing
	happened happened
	closed   bool
	actions  int64     // the ID of the last action
	err      error     // why the last attempt to write failed
	failing  time.Time // since when
}

// Status is how the journal does.
type Status struct {
	Path string `json:"path"`
	// Bytes is how large its files are.
	Bytes int64 `json:"bytes"`
	// Queued is how many entries wait for the disk, BehindS how many seconds
	// the oldest of them has waited.
	Queued  int     `json:"queued"`
	BehindS float64 `json:"behind_s"`
	// Dropped counts entries that the queue had no room for.
	Dropped int64 `json:"dropped"`
	// Error says why the journal cannot be written now; "" if it can, as far
	// as anybody knows. FailingSince is since when.
	Error        string     `json:"error"`
	FailingSince *time.Time `json:"failing_since"`
}

// ErrClosed says that the journal is not written any more.
var ErrClosed = errors.New("the journal is closed")

// LastSeq is the sequence number of the newest event that was on disk when the
// journal was opened, 0 if there was none. An engine counts on from it.
func (j *Journal) LastSeq() uint64 { return j.lastSeq }

// Record queues events. One whose sequence number is taken already is written
// only if it happened at the same moment: then it is the same, better told.
func (j *Journal) Record(events ...engine.Event) {
	j.add(func(q *queue) {
		for _, ev := range events {
			q.record(ev)
		}
	})
}

// Save queues documents.
func (j *Journal) Save(docs ...State) {
	j.add(func(q *queue) { q.save(docs) })
}

// Count queues what one request used, or what several did together, at a time.
// It is made for the request's path: it adds up in memory.
func (j *Journal) Count(at time.Time, who Who, used Usage) {
	j.add(func(q *queue) { q.count(at, who, used) })
}

// Commit writes an operator's action, and the documents it led to, and returns
// its ID when they are on disk. The error is a [*BehindError] if that failed or
// took longer than ctx allows: they stay in the queue then and are tried again.
func (j *Journal) Commit(ctx context.Context, a Action, led ...State) (int64, error) {
	id, p := j.Act(a, led...)
	return id, p.Wait(ctx)
}

// Act is [Journal.Commit] that does not wait: it only takes the action's place
// among the others.
func (j *Journal) Act(a Action, led ...State) (int64, *Pending) {
	if a.At.IsZero() {
		a.At = time.Now()
	}
	p := j.addPending(func(q *queue) bool {
		j.actions = max(j.actions+1, a.ID)
		a.ID = j.actions
		if !q.act(a) {
			return false
		}
		q.save(led)
		return true
	})
	return a.ID, p
}

// Bind writes bindings and returns when they are on disk. The error is a
// [*BehindError] if that failed or took longer than ctx allows: they stay in
// the queue then and are tried again. With a ctx that is done, Bind does not
// wait at all.
func (j *Journal) Bind(ctx context.Context, bindings ...Binding) error {
	return j.Bound(bindings...).Wait(ctx)
}

// Bound is [Journal.Bind] that does not wait: it only takes the bindings' place
// among the others. Of none, what came before them is waited for.
func (j *Journal) Bound(bindings ...Binding) *Pending {
	now := time.Now()
	return j.addPending(func(q *queue) bool {
		for _, b := range bindings {
			if b.At.IsZero() {
				b.At = now
			}
			if !q.bind(b) {
				return false
			}
		}
		return true
	})
}

// add puts something on the queue and tells the writer.
func (j *Journal) add(put func(*queue)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	put(&j.queue)
	signal(j.news)
}

// Pending is something on its way to the disk.
type Pending struct {
	path    string
	written <-chan error
	err     error // why it is not even on its way
}

// addPending puts something on the queue that somebody waits for.
func (j *Journal) addPending(put func(*queue) bool) *Pending {
	written := make(chan error, 1)
	p := &Pending{path: j.path, written: written}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		p.err = ErrClosed
		return p
	}
	taken := put(&j.queue)
	if taken {
		j.queue.standing.waiters = append(j.queue.standing.waiters, written)
	}
	why := j.err
	j.mu.Unlock()
	if !taken {
		if why == nil {
			why = errors.New("too much waits for the disk")
		}
		p.err = fmt.Errorf("no room in its queue: %w", why)
		return p
	}
	signal(j.urgent)
	return p
}

// Wait returns when it is on disk. The error is a [*BehindError] if that failed
// or took longer than ctx allows.
func (p *Pending) Wait(ctx context.Context) error {
	err := p.err
	if err == nil {
		select {
		case err = <-p.written:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return &BehindError{p.path, err}
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told already
	}
}

// Status says how the journal does.
func (j *Journal) Status() Status {
	st := Status{Path: j.path}
	for _, suffix := range [...]string{"", "-wal"} {
		if info, err := os.Stat(j.path + suffix); err == nil {
			st.Bytes += info.Size()
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	st.Queued, st.Dropped = j.entries(), j.queue.dropped
	now := time.Now()
	for _, since := range [...]time.Time{j.standing.since, j.happened.since, j.queue.standing.since, j.queue.happened.since} {
		if !since.IsZero() {
			st.BehindS = max(st.BehindS, now.Sub(since).Seconds())
		}
	}
	if j.err != nil {
		since := j.failing
		st.Error, st.FailingSince = j.err.Error(), &since
	}
	return st
}

// entries is how many are not on disk.
func (j *Journal) entries() int {
	return j.queue.entries() + j.standing.entries() + j.happened.entries()
}

// Close writes what is queued and closes the journal. The error says how much
// could not be written.
func (j *Journal) Close() error {
	j.mu.Lock()
	first := !j.closed
	j.closed = true
	j.mu.Unlock()
	if first {
		close(j.closing)
	}
	<-j.done
	return j.closeErr
}

// shut ends everything, after the last batch.
func (j *Journal) shut() {
	j.mu.Lock()
	j.standing.answer(ErrClosed)
	j.queue.standing.answer(ErrClosed)
	if left := j.entries(); left > 0 {
		j.closeErr = fmt.Errorf("journal %s: %d entries were not written: %w", j.path, left, j.err)
	}
	j.mu.Unlock()
	_ = j.Reader.Close()
	// Closed last, this connection moves the log into the file.
	if err := j.w.close(); err != nil && j.closeErr == nil {
		j.closeErr = explain(j.path, err)
	}
	unlock(j.lock)
	close(j.done)
}

// micros is a time as the file has it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is micros undone.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// scanAll reads all rows by a function that scans one.
func scanAll[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

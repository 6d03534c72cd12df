package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"keywheel/engine"
)

const (
	// gather is how long a batch gathers when nobody waits for it.
	gather = 100 * time.Millisecond
	// retry is how long the writer rests after the disk failed.
	retry = time.Second
	// breath is how long it rests then even when somebody waits for it.
	breath = 20 * time.Millisecond
	// busyFor is how long it waits for a lock of another program.
	busyFor = 200 * time.Millisecond
)

// run is the one goroutine that writes. It ends when the journal is closed.
func (j *Journal) run() {
	defer j.shut()
	ctx := context.Background()
	purge := time.NewTimer(time.Second) // a start has better to do
	defer purge.Stop()
	for closing := false; !closing; {
		pause := gather
		select {
		case <-j.urgent:
			pause = 0
		case <-j.news:
			if j.waiting() >= maxBatch {
				pause = 0
			}
		case <-purge.C:
			more, err := j.w.purge(ctx, j.keep, time.Now())
			purge.Reset(purgeEvery)
			if err != nil {
				j.told(explain(j.path, err))
			} else if more {
				purge.Reset(purgeRest)
			}
			continue
		case <-j.closing:
		}
		for closing = j.rest(pause); !closing && j.flush(ctx) != nil; closing = j.rest(retry) {
			time.Sleep(breath)
		}
		if j.waiting() > 0 {
			signal(j.news)
		}
	}
	for j.waiting() > 0 && j.flush(ctx) == nil {
	}
}

// rest waits, unless somebody waits for the writer, and reports whether the
// journal is closing.
func (j *Journal) rest(pause time.Duration) (closing bool) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-j.urgent:
	case <-j.closing:
	}
	select {
	case <-j.closing:
		return true
	default:
		return false
	}
}

// waiting is how many entries are not on disk.
func (j *Journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries()
}

// flush writes what there is: first, and apart, what must stand, so that
// whoever waits for it does not wait for the rest. What fails is held and
// written again before anything newer.
func (j *Journal) flush(ctx context.Context) error {
	var err error
	// What is held from before, then what has come since.
	for i := 0; i < 2 && err == nil; i++ {
		err = j.flushStanding(ctx)
	}
	if err == nil {
		err = j.flushHappened(ctx)
	}
	j.told(err)
	return err
}

func (j *Journal) flushStanding(ctx context.Context) error {
	j.mu.Lock()
	// Looked at with the queue in hand: what is asked after the file went away
	// is never said to be in it.
	err := j.moved()
	if err == nil && j.standing.entries() == 0 {
		j.standing = j.queue.takeStanding()
	}
	s, behind := &j.standing, len(j.queue.standing.waiters)
	j.mu.Unlock()
	if err == nil {
		err = explain(j.path, j.w.stand(ctx, s))
	}
	if err != nil {
		j.told(err) // before anybody hears of it and looks
		j.refuse(err, behind)
		return err
	}
	s.answer(nil)
	j.mu.Lock()
	j.standing = standing{}
	j.mu.Unlock()
	return nil
}

// refuse tells those who wait for what is being written, and so many of those in
// the queue, why it cannot be. Whoever came while it was tried is not among
// them: the disk may be well again, and another attempt follows for them.
func (j *Journal) refuse(err error, behind int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.standing.answer(err)
	q := &j.queue.standing
	since := q.waiters[behind:]
	q.waiters = q.waiters[:behind]
	q.answer(err)
	q.waiters = since
}

func (j *Journal) flushHappened(ctx context.Context) error {
	j.mu.Lock()
	if j.happened.entries() == 0 {
		j.happened = j.queue.takeHappened()
	}
	h := &j.happened
	j.mu.Unlock()
	if err := j.w.happened(ctx, h); err != nil {
		return explain(j.path, err)
	}
	j.mu.Lock()
	j.happened = happened{}
	j.mu.Unlock()
	return nil
}

// told notes how an attempt to write went.
func (j *Journal) told(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil && j.err == nil {
		j.failing = time.Now()
	}
	j.err = err
}

// moved is an error when the file is not where it was: what is written to a
// file without a name is lost.
func (j *Journal) moved() error {
	info, err := os.Stat(j.path)
	if err == nil && os.SameFile(info, j.file) {
		return nil
	}
	why := ""
	switch {
	case err == nil:
		why = ": another file is in its place"
	case !errors.Is(err, fs.ErrNotExist):
		why = ": " + err.Error()
	}
	return fmt.Errorf("journal %s was moved or deleted while it was in use; put it back, or start keywheel again%s", j.path, why)
}

// writer is the connection that writes, and its statements.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	full  bool // whether it syncs with every transaction
	stmts [statements]*sql.Stmt
}

// The statements of a writer.
const (
	putState = iota
	dropState
	putBinding
	dropBinding
	putAction
	markUndone
	putEvent
	addMinute
	addHour
	statements
)

var statementTexts = [statements]string{
	putState:    `INSERT INTO state (kind, name, at, doc) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, doc = excluded.doc`,
	dropState:   `DELETE FROM state WHERE kind = ? AND name = ?`,
	putBinding:  `INSERT OR REPLACE INTO bindings (provider, id, kind, key, account, workspace, model, open, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	dropBinding: `DELETE FROM bindings WHERE provider = ? AND id = ?`,
	putAction:   `INSERT INTO actions (id, at, verb, service, key, doc, result, undo, undoes, undone_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
	markUndone:  `UPDATE actions SET undone_at = ? WHERE id = ?`,
	putEvent:    `INSERT INTO events (seq, at, kind, service, key, request, doc) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET doc = excluded.doc WHERE at = excluded.at`,
	addMinute:   addUsage("usage_minutes"),
	addHour:     addUsage("usage_hours"),
}

// prepare readies the statements, when the file has its newest format.
func (w *writer) prepare(ctx context.Context) error {
	for i, text := range statementTexts {
		var err error
		if w.stmts[i], err = w.conn.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// close ends the connection, and with it the log beside the file: SQLite keeps
// it for as long as a statement is left.
func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}

// sync sets whether the next transaction is synced to the disk before it is
// done, or with the ones that follow.
func (w *writer) sync(ctx context.Context, full bool) error {
	if w.full == full {
		return nil
	}
	level := "NORMAL"
	if full {
		level = "FULL"
	}
	_, err := w.conn.ExecContext(ctx, "PRAGMA synchronous = "+level)
	if err == nil {
		w.full = full
	}
	return err
}

// stand writes what must stand.
func (w *writer) stand(ctx context.Context, b *standing) error {
	if b.entries() == 0 {
		return nil
	}
	if err := w.sync(ctx, len(b.actions)+len(b.bindings) > 0); err != nil {
		return err
	}
	return transact(ctx, w.conn, func() error {
		for _, a := range b.actions {
			doc, err := json.Marshal(a.Action)
			if err != nil { // an infinite ForS, which the engine refuses
				doc = []byte("{}")
			}
			if err := w.do(ctx, putAction, a.ID, micros(a.At), string(a.Verb), a.Service, a.Key, string(doc), a.Text, string(a.Undo), a.Undoes); err != nil {
				return err
			}
			if a.Undoes != 0 {
				if err := w.do(ctx, markUndone, micros(a.At), a.Undoes); err != nil {
					return err
				}
			}
		}
		for _, bd := range b.bindings {
			var err error
			if bd.Gone {
				err = w.do(ctx, dropBinding, bd.Provider, bd.ID)
			} else {
				err = w.do(ctx, putBinding, bd.Provider, bd.ID, bd.Kind, bd.Key, bd.Account, bd.Workspace, bd.Model, bd.Open, micros(bd.At))
			}
			if err != nil {
				return err
			}
		}
		for _, d := range b.states {
			var err error
			if len(d.Doc) == 0 {
				err = w.do(ctx, dropState, d.Kind, d.Name)
			} else {
				err = w.do(ctx, putState, d.Kind, d.Name, micros(d.At), string(d.Doc))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// happened writes what happened.
func (w *writer) happened(ctx context.Context, b *happened) error {
	if b.entries() == 0 {
		return nil
	}
	if err := w.sync(ctx, false); err != nil {
		return err
	}
	return transact(ctx, w.conn, func() error {
		for _, ev := range b.events {
			doc, err := json.Marshal(ev)
			if err != nil { // a state or a verdict that has no word
				doc, _ = json.Marshal(engine.Event{Seq: ev.Seq, At: ev.At, Kind: ev.Kind, Service: ev.Service, Key: ev.Key, State: engine.Active, By: ev.By, Text: ev.Text})
			}
			if err := w.do(ctx, putEvent, int64(ev.Seq), micros(ev.At), string(ev.Kind), ev.Service, ev.Key, requestOf(ev), string(doc)); err != nil {
				return err
			}
		}
		for c, s := range b.usage {
			if err := w.addSums(ctx, addMinute, c.minute, c.who, *s); err != nil {
				return err
			}
			if err := w.addSums(ctx, addHour, down(c.minute, hour), c.who, *s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) addSums(ctx context.Context, stmt int, at int64, who Who, s sums) error {
	return w.do(ctx, stmt, at, who.Key, who.Service, who.Model, who.Account, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])
}

func (w *writer) do(ctx context.Context, stmt int, args ...any) error {
	_, err := w.stmts[stmt].ExecContext(ctx, args...)
	return err
}

// requestOf is the request that an event tells of, "" if of none.
func requestOf(ev engine.Event) string {
	if ev.Rotation != nil && ev.Rotation.Evidence.Request != "" {
		return ev.Rotation.Evidence.Request
	}
	if ev.Hold != nil {
		return ev.Hold.Evidence.Request
	}
	return ""
}

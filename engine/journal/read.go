package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"time"

	"keywheel/engine"
)

// Reader reads what is on disk. It is safe for any number of goroutines. Its
// errors are those of [Open].
type Reader struct {
	path string
	db   *sql.DB
}

// Close ends reading.
func (r *Reader) Close() error { return r.db.Close() }

// defaultLimit is how many rows a query returns that names no number.
const defaultLimit = 1000

// EventQuery says which events are asked for. What is zero does not restrict.
type EventQuery struct {
	// After asks for events with a greater sequence number.
	After        uint64
	Since, Until time.Time
	Kinds        []engine.EventKind
	Key, Service string
	// Request asks for events that tell of a request.
	Request string
	// Limit is how many at most; 0 is 1000.
	Limit int
	// Newest asks for the newest, and lists them first; else the oldest.
	Newest bool
}

// conditions gathers what a query's rows must be.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(ok bool, term string, args ...any) {
	if ok {
		c.terms = append(c.terms, term)
		c.args = append(c.args, args...)
	}
}

func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// Events are those that a query asks for.
func (r *Reader) Events(ctx context.Context, q EventQuery) ([]engine.Event, error) {
	var c conditions
	c.add(q.After > 0, "seq > ?", int64(q.After))
	// Times rise with the numbers, but for a clock that was set: the numbers
	// bound what is read, in the order that it is wanted.
	c.add(!q.Since.IsZero(), "at >= ? AND seq >= (SELECT seq FROM events WHERE at >= ? ORDER BY at LIMIT 1)", micros(q.Since), micros(q.Since))
	c.add(!q.Until.IsZero(), "at < ? AND seq <= (SELECT seq FROM events WHERE at < ? ORDER BY at DESC LIMIT 1)", micros(q.Until), micros(q.Until))
	// The second term of each is what lets its partial index be used.
	c.add(q.Key != "", "key = ? AND key <> ''", q.Key)
	c.add(q.Service != "", "service = ? AND service <> ''", q.Service)
	c.add(q.Request != "", "request = ? AND request <> ''", q.Request)
	if len(q.Kinds) > 0 {
		var kinds []any
		for _, k := range q.Kinds {
			kinds = append(kinds, string(k))
		}
		c.add(true, "kind IN (?"+strings.Repeat(", ?", len(kinds)-1)+")", kinds...)
	}
	order := "seq"
	if q.Newest {
		order = "seq DESC"
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	rows, err := r.db.QueryContext(ctx, "SELECT doc FROM events"+c.where()+" ORDER BY "+order+" LIMIT ?", append(c.args, q.Limit)...)
	list, err := scanAll(rows, err, func(rows *sql.Rows) (ev engine.Event, err error) {
		var doc []byte
		if err = rows.Scan(&doc); err == nil {
			err = json.Unmarshal(doc, &ev)
		}
		return ev, err
	})
	return list, explain(r.path, err)
}

// ActionQuery says which actions are asked for. What is zero does not restrict.
type ActionQuery struct {
	Since        time.Time
	Key, Service string
	// Undoable asks for those that can be taken back and have not been.
	Undoable bool
	// Limit is how many at most; 0 is 1000.
	Limit int
}

// Actions are those that a query asks for, the newest first.
func (r *Reader) Actions(ctx context.Context, q ActionQuery) ([]Action, error) {
	var c conditions
	c.add(!q.Since.IsZero(), "at >= ?", micros(q.Since))
	c.add(q.Key != "", "key = ?", q.Key)
	c.add(q.Service != "", "service = ?", q.Service)
	c.add(q.Undoable, "undo <> '' AND undone_at = 0")
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	rows, err := r.db.QueryContext(ctx, "SELECT id, at, doc, result, undo, undoes, undone_at FROM actions"+c.where()+" ORDER BY id DESC LIMIT ?", append(c.args, q.Limit)...)
	list, err := scanAll(rows, err, func(rows *sql.Rows) (a Action, err error) {
		var at, undone int64
		var doc []byte
		if err = rows.Scan(&a.ID, &at, &doc, &a.Text, &a.Undo, &a.Undoes, &undone); err == nil {
			err = json.Unmarshal(doc, &a.Action)
		}
		a.At, a.UndoneAt = fromMicros(at), fromMicros(undone)
		return a, err
	})
	return list, explain(r.path, err)
}

// States are the documents of a kind, or of every kind if it is "".
func (r *Reader) States(ctx context.Context, kind string) ([]State, error) {
	var c conditions
	c.add(kind != "", "kind = ?", kind)
	rows, err := r.db.QueryContext(ctx, "SELECT kind, name, at, doc FROM state"+c.where()+" ORDER BY kind, name", c.args...)
	list, err := scanAll(rows, err, func(rows *sql.Rows) (s State, err error) {
		var at int64
		err = rows.Scan(&s.Kind, &s.Name, &at, &s.Doc)
		s.At = fromMicros(at)
		return s, err
	})
	return list, explain(r.path, err)
}

const bindingColumns = "SELECT provider, id, kind, key, account, workspace, model, open, at FROM bindings"

func scanBinding(scan func(...any) error) (b Binding, err error) {
	var at int64
	err = scan(&b.Provider, &b.ID, &b.Kind, &b.Key, &b.Account, &b.Workspace, &b.Model, &b.Open, &at)
	b.At = fromMicros(at)
	return b, err
}

// Bindings are all bindings, those of one provider together. An error ends
// them.
func (r *Reader) Bindings(ctx context.Context) iter.Seq2[Binding, error] {
	return func(yield func(Binding, error) bool) {
		rows, err := r.db.QueryContext(ctx, bindingColumns)
		if err != nil {
			yield(Binding{}, explain(r.path, err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			b, err := scanBinding(rows.Scan)
			if !yield(b, explain(r.path, err)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Binding{}, explain(r.path, err))
		}
	}
}

// Binding is that of one resource; ok is false if none is known.
func (r *Reader) Binding(ctx context.Context, provider, id string) (b Binding, ok bool, err error) {
	b, err = scanBinding(r.db.QueryRowContext(ctx, bindingColumns+" WHERE provider = ? AND id = ?", provider, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Binding{}, false, nil
	}
	return b, err == nil, explain(r.path, err)
}

package journal

import (
	"context"
	"database/sql"
	"fmt"
)

// applicationID marks the file as keywheel's: "keyw".
const applicationID = 0x6b657977

// migrations lead from each version of the format to the next: the first makes
// version 1 of an empty file. A released one is never changed; testdata has a
// file of every released version.
//
// Times are microseconds since 1970 UTC, and 0 is none; costs are nano-dollars,
// so that sums are exact. doc is JSON.
var migrations = []string{
	`CREATE TABLE state (
		kind TEXT NOT NULL, -- the schema of doc, with its version
		name TEXT NOT NULL,
		at   INTEGER NOT NULL,
		doc  TEXT NOT NULL,
		PRIMARY KEY (kind, name)
	) WITHOUT ROWID;

	CREATE TABLE actions (
		id        INTEGER PRIMARY KEY,
		at        INTEGER NOT NULL,
		verb      TEXT NOT NULL,
		service   TEXT NOT NULL,
		key       TEXT NOT NULL,
		doc       TEXT NOT NULL, -- engine.Action
		result    TEXT NOT NULL,
		undo      TEXT NOT NULL, -- '' if nobody can take it back
		undoes    INTEGER NOT NULL,
		undone_at INTEGER NOT NULL
	);
	CREATE INDEX actions_at ON actions (at);

	CREATE TABLE bindings (
		provider  TEXT NOT NULL,
		id        TEXT NOT NULL,
		kind      TEXT NOT NULL,
		key       TEXT NOT NULL,
		account   TEXT NOT NULL,
		workspace TEXT NOT NULL,
		at        INTEGER NOT NULL,
		PRIMARY KEY (provider, id)
	) WITHOUT ROWID;
	CREATE INDEX bindings_at ON bindings (at);

	CREATE TABLE events (
		seq     INTEGER PRIMARY KEY,
		at      INTEGER NOT NULL,
		kind    TEXT NOT NULL,
		service TEXT NOT NULL,
		key     TEXT NOT NULL,
		request TEXT NOT NULL, -- the request it tells of, as its answer bore it
		doc     TEXT NOT NULL  -- engine.Event
	);
	CREATE INDEX events_at ON events (at);
	CREATE INDEX events_key ON events (key) WHERE key <> '';
	CREATE INDEX events_service ON events (service) WHERE service <> '';
	CREATE INDEX events_request ON events (request) WHERE request <> '';

	CREATE TABLE usage_minutes (
		at            INTEGER NOT NULL, -- when the minute begins
		key           TEXT NOT NULL,
		service       TEXT NOT NULL,
		model         TEXT NOT NULL,
		account       TEXT NOT NULL,
		requests      INTEGER NOT NULL,
		failures      INTEGER NOT NULL,
		rate_limited  INTEGER NOT NULL,
		input_tokens  INTEGER NOT NULL,
		output_tokens INTEGER NOT NULL,
		cached_tokens INTEGER NOT NULL,
		cost_nusd     INTEGER NOT NULL,
		unpriced      INTEGER NOT NULL,
		PRIMARY KEY (at, key, service, model, account)
	) WITHOUT ROWID;

	-- The same requests by the hour: written along with the minutes, so that
	-- a minute that is deleted has been rolled up already.
	CREATE TABLE usage_hours (
		at            INTEGER NOT NULL, -- when the hour begins
		key           TEXT NOT NULL,
		service       TEXT NOT NULL,
		model         TEXT NOT NULL,
		account       TEXT NOT NULL,
		requests      INTEGER NOT NULL,
		failures      INTEGER NOT NULL,
		rate_limited  INTEGER NOT NULL,
		input_tokens  INTEGER NOT NULL,
		output_tokens INTEGER NOT NULL,
		cached_tokens INTEGER NOT NULL,
		cost_nusd     INTEGER NOT NULL,
		unpriced      INTEGER NOT NULL,
		PRIMARY KEY (at, key, service, model, account)
	) WITHOUT ROWID;`,

	// What making something costs may be told only later; open is 1 until then.
	`ALTER TABLE bindings ADD COLUMN model TEXT NOT NULL DEFAULT '';
	ALTER TABLE bindings ADD COLUMN open INTEGER NOT NULL DEFAULT 0;`,
}

// migrate brings the file from the version it has to the newest, one
// transaction a version.
func migrate(ctx context.Context, c *sql.Conn, version int, steps []string) error {
	for ; version < len(steps); version++ {
		err := transact(ctx, c, func() error {
			_, err := c.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d",
				steps[version], applicationID, version+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migration to version %d: %w", version+1, err)
		}
	}
	return nil
}

// transact does something in a transaction, wholly or not at all.
func transact(ctx context.Context, c *sql.Conn, do func() error) error {
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = c.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// SQLite may have rolled back by itself; then this does nothing.
		_, _ = c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}

-- A journal as version 2 of the format leaves it. Released: never changed.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1801812343;
PRAGMA user_version = 2;

CREATE TABLE state (
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
ALTER TABLE bindings ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE bindings ADD COLUMN open INTEGER NOT NULL DEFAULT 0;

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
) WITHOUT ROWID;

INSERT INTO state VALUES ('key/1', 'team-a', 1772625600000000, '{}');
INSERT INTO actions VALUES (4, 1772625600000000, 'disable', '', 'team-a', '{"verb":"disable","key":"team-a","by":"uid 1000"}', 'disabled team-a', '{"was":"active"}', 0, 0);
INSERT INTO bindings VALUES ('aimlapi', 'video-1', 'video', 'team-a', 'team', '', 1772625600000000, 'minimax/hailuo-02', 1);
INSERT INTO events VALUES (7, 1772625600000000, 'hold', '', 'team-a', '', '{"seq":7,"at":"2026-03-04T12:00:00Z","kind":"hold","key":"team-a","state":"cooling","by":"engine","text":"held"}');
INSERT INTO usage_minutes VALUES (1772625600000000, 'team-a', 'chat', 'gpt', 'team', 3, 1, 1, 10, 20, 5, 500000000, 0);
INSERT INTO usage_hours VALUES (1772625600000000, 'team-a', 'chat', 'gpt', 'team', 3, 1, 1, 10, 20, 5, 500000000, 0);

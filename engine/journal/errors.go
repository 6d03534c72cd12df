package journal

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// goOn is what every message about a journal that cannot be opened ends in.
const goOn = "`--no-journal` goes on without one"

// LockedError says that somebody else has the journal.
type LockedError struct {
	Path string
	// PID is the process that has it; 0 is a program other than keywheel.
	PID int
}

func (err *LockedError) Error() string {
	if err.PID == 0 {
		return fmt.Sprintf("journal %s: another program has locked it (`fuser %s` names it); nothing was changed. Close that program, or name another journal; %s", err.Path, err.Path, goOn)
	}
	return fmt.Sprintf("journal %s: another keywheel (process %d) is writing it; nothing was changed. Stop that one, or name another journal; %s", err.Path, err.PID, goOn)
}

// CorruptError says that the file is damaged, or not a journal at all.
type CorruptError struct {
	Path string
	Why  string
}

func (err *CorruptError) Error() string {
	return fmt.Sprintf("journal %s cannot be used: %s; nothing was changed. Move it away (with its -wal and -shm files) and a new one is begun, or restore it from a backup; %s", err.Path, err.Why, goOn)
}

// NewerError says that a newer keywheel made the file.
type NewerError struct {
	Path string
	// Version is the file's, Known the newest that this program can use.
	Version, Known int
}

func (err *NewerError) Error() string {
	return fmt.Sprintf("journal %s was written by a newer keywheel (version %d of its format; this one knows %d); nothing was changed. Use that keywheel, or name another journal; %s", err.Path, err.Version, err.Known, goOn)
}

// ReadOnlyError says that the file, or its directory, may not be written.
type ReadOnlyError struct {
	Path string
	// What may not be written: the file or a directory.
	What string
}

func (err *ReadOnlyError) Error() string {
	return fmt.Sprintf("journal %s: %s may not be written by this user; nothing was changed. Give it back its rights, or name another journal; %s", err.Path, err.What, goOn)
}

// BehindError says that something is not on disk yet, and will be tried again.
type BehindError struct {
	Path string
	Err  error
}

func (err *BehindError) Error() string {
	return fmt.Sprintf("not in the journal %s yet: %v", err.Path, err.Err)
}

func (err *BehindError) Unwrap() error { return err.Err }

// code is SQLite's, without its details; 0 if err is not of SQLite.
func code(err error) int {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return 0
	}
	return se.Code() & 0xff
}

// explain says in words for a person what SQLite or the system says.
func explain(path string, err error) error {
	switch err.(type) {
	case nil, *LockedError, *CorruptError, *NewerError, *ReadOnlyError:
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || code(err) == sqlite3.SQLITE_FULL {
		return fmt.Errorf("journal %s: the disk is full: %w", path, err)
	}
	switch code(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &CorruptError{path, "it is damaged (" + err.Error() + ")"}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &LockedError{Path: path}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return &ReadOnlyError{path, "the file"}
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("journal %s: the disk cannot be written or read, it may be full: %w", path, err)
	default:
		return fmt.Errorf("journal %s: %w", path, err)
	}
}

package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Open opens the journal at path to write it, and makes it where there is none:
// the file 0600, a directory that is missing 0700. The error says what is the
// matter in words for a person; it is a [*LockedError], [*CorruptError],
// [*NewerError] or [*ReadOnlyError] where one of these fits, and the file is
// then as it was.
func Open(path string, o Options) (*Journal, error) {
	j := &Journal{keep: o.Keep, news: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		closing: make(chan struct{}), done: make(chan struct{})}
	if j.keep <= 0 {
		j.keep = defaultKeep
	}
	j.queue.maxEntries, j.queue.maxBytes = o.MaxQueued, o.MaxQueuedBytes
	if j.queue.maxEntries <= 0 {
		j.queue.maxEntries = defaultMaxQueued
	}
	if j.queue.maxBytes <= 0 {
		j.queue.maxBytes = defaultMaxBytes
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := writable(path); err != nil {
		return nil, err
	}
	if j.lock, err = lock(path); err != nil {
		return nil, err
	}
	if err := j.open(context.Background(), path); err != nil {
		unlock(j.lock)
		return nil, explain(path, err)
	}
	go j.run()
	return j, nil
}

// open does what there is to do once the journal is ours.
func (j *Journal) open(ctx context.Context, path string) error {
	version := 0
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		// Our umask may have taken even our own rights.
		err = errors.Join(f.Chmod(0o600), f.Close())
		if err != nil {
			return err
		}
	case err != nil:
		return err
	case info.Size() > 0:
		// Looked at through a connection that cannot change it.
		r := &Reader{path: path}
		if r.db, err = sql.Open("sqlite", dsn(path, "ro", false)); err != nil {
			return err
		}
		version, err = r.look(ctx)
		if closeErr := r.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	if j.file, err = os.Stat(path); err != nil {
		return err
	}
	if j.file.Mode().Perm() != 0o600 {
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
	}
	if j.w, err = openWriter(ctx, path, version); err != nil {
		return err
	}
	j.Reader = &Reader{path: path}
	j.db, err = sql.Open("sqlite", dsn(path, "ro", false))
	if err == nil {
		j.db.SetMaxOpenConns(2)
		err = j.w.conn.QueryRowContext(ctx, "SELECT coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(id) FROM actions), 0)").Scan(&j.lastSeq, &j.actions)
	}
	if err != nil {
		_ = j.w.close()
	}
	return err
}

// writable makes sure that the journal's directory is there, that both may be
// written, and the directory not by everybody.
func writable(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return &ReadOnlyError{path, "its directory"}
		}
		return explain(path, err)
	}
	if info, err := os.Stat(dir); err == nil && info.Mode()&0o002 != 0 { // SQLite would read a log that they put there
		return fmt.Errorf("journal %s: others on this machine may write its directory, and so what it says: chmod o-w %s, or name another journal; %s", path, dir, goOn)
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("journal %s: it is not a file; name another journal; %s", path, goOn)
	case unix.Access(dir, unix.W_OK|unix.X_OK) != nil:
		return &ReadOnlyError{path, "its directory"}
	case err == nil && unix.Access(path, unix.R_OK|unix.W_OK) != nil:
		return &ReadOnlyError{path, "the file"}
	}
	return nil
}

// lock takes the journal for this process, for as long as the file is open. It
// is a file beside it: SQLite's own locks would go with any descriptor of the
// journal that this process closes.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, &ReadOnlyError{path, path + ".lock"}
	}
	if errors.Is(err, syscall.ELOOP) { // what it leads to would be written
		return nil, fmt.Errorf("journal %s: %s.lock is a link, which keywheel never makes; remove it; %s", path, path, goOn)
	}
	if err != nil {
		return nil, explain(path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, explain(path, err)
		}
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0)
		who, _ := strconv.Atoi(strings.TrimSpace(string(pid[:n])))
		return nil, &LockedError{path, who}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // it is locked even so
		_ = f.Close()
		return nil, explain(path, err)
	}
	return f, nil
}

// unlock gives the journal free, even if a child that is just being started
// still has the lock's descriptor.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// dsn is a connection to the file. An immutable one takes no locks and makes no
// files: it is for a journal that nobody writes.
func dsn(path, mode string, immutable bool) string {
	q := url.Values{"mode": {mode}, "_busy_timeout": {strconv.Itoa(int(busyFor.Milliseconds()))}, "_pragma": {"temp_store(memory)"}}
	if immutable {
		q.Set("immutable", "1")
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// openWriter opens the connection that writes, and brings the file from the
// version it has to the newest.
func openWriter(ctx context.Context, path string, version int) (*writer, error) {
	db, err := sql.Open("sqlite", dsn(path, "rw", false))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{db: db}
	if w.conn, err = db.Conn(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	pragmas := "PRAGMA synchronous = NORMAL; PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 16777216"
	if version == 0 {
		pragmas = "PRAGMA auto_vacuum = INCREMENTAL; " + pragmas
	}
	_, err = w.conn.ExecContext(ctx, pragmas)
	if err == nil && version < len(migrations) {
		err = migrate(ctx, w.conn, version, migrations)
	}
	if err == nil {
		err = w.prepare(ctx)
	}
	if err != nil {
		_ = w.close()
		return nil, err
	}
	return w, nil
}

// OpenReadOnly opens the journal at path to read it, whether or not somebody
// writes it meanwhile. It changes nothing and makes no file. Where there is no
// journal, the error is a [fs.ErrNotExist].
func OpenReadOnly(path string) (*Reader, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no journal: %w", err)
	}
	// Whoever writes it has a log beside it; so has one who was killed.
	_, err = os.Stat(path + "-wal")
	r := &Reader{path: path}
	if r.db, err = sql.Open("sqlite", dsn(path, "ro", errors.Is(err, fs.ErrNotExist))); err != nil {
		return nil, explain(path, err)
	}
	version, err := r.look(context.Background())
	if err == nil && version < len(migrations) {
		err = fmt.Errorf("it has version %d of the format, this keywheel reads %d: start keywheel on it once", version, len(migrations))
	}
	if err != nil {
		_ = r.Close()
		return nil, explain(path, err)
	}
	return r, nil
}

// lookFor bounds how long a file is looked over before it is used.
const lookFor = 50 * time.Millisecond

// look makes sure that the file is a journal that this program can use, and
// tells its version: 0 of an empty database. Damage anywhere in a large journal
// is not looked for, but in the small tables that a start needs.
func (r *Reader) look(ctx context.Context) (version int, err error) {
	var id, tables int
	var pageSize int64
	err = r.db.QueryRowContext(ctx, "SELECT application_id, user_version, page_size, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version, pragma_page_size").
		Scan(&id, &version, &pageSize, &tables)
	switch {
	case err != nil:
		return 0, err
	case id == 0 && version == 0 && tables == 0:
		return 0, nil // made, and killed before it was filled
	case id != applicationID:
		return 0, &CorruptError{r.path, "it is a database of another program"}
	case version > len(migrations):
		return 0, &NewerError{r.path, version, len(migrations)}
	}
	if info, err := os.Stat(r.path); err == nil && info.Size()%pageSize != 0 {
		// A page half written is in the log as well; one half lost is not.
		if log, err := os.Stat(r.path + "-wal"); err != nil || log.Size() == 0 {
			return 0, &CorruptError{r.path, "it is damaged (its end is missing)"}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	for _, table := range [...]string{"state", "actions", "bindings"} {
		var found string
		err := r.db.QueryRowContext(ctx, "PRAGMA quick_check('"+table+"')").Scan(&found)
		switch {
		case ctx.Err() != nil:
			return version, nil
		case err != nil:
			return 0, err
		case found != "ok":
			return 0, &CorruptError{r.path, "it is damaged (" + strings.Join(strings.Fields(found), " ") + ")"}
		}
	}
	return version, nil
}

package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/unihook/unihook/gateway"
)

// fileName is the database in the data directory; SQLite puts its -wal and -shm files beside it, with the same mode.
const fileName = "unihook.db"

// busyTimeout is how long a write waits for another process that holds the database before it answers ErrAway.
const busyTimeout = 5 * time.Second

// Options are how a store is opened. The zero value has the directory alone.
type Options struct {
	// Shared lets other processes of this host open the directory too, if they share it as well.
	Shared bool
	// Beside opens a directory that another process may have alone, for a command that is soon over, and makes none: SQLite
	// itself is safe between the processes of one host. The lock is left as it is. Shared is not asked then.
	Beside bool
	// Readers is the most connections that read at one time; 0 is twice the number of processors, at least 4.
	Readers int
	// BusyTimeout is how long a write waits for a database that another process holds; 0 is 5 s.
	BusyTimeout time.Duration
}

// Store is the store in one SQLite file. It implements gateway.Store.
type Store struct {
	lock   *os.File
	reads  *sql.DB
	writer *writer

	statements sync.Map // of *sql.Stmt on reads, by their text
}

var _ gateway.Store = (*Store)(nil)

// Open opens the store in dir, which it makes (mode 0700) where it is not there, and brings its schema up to date. It
// answers an error with a sentence for the operator when another process has the directory.
func Open(ctx context.Context, dir string, options Options) (*Store, error) {
	if options.BusyTimeout == 0 {
		options.BusyTimeout = busyTimeout
	}
	if options.Readers == 0 {
		options.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	s := &Store{}
	path, err := s.directory(dir, options)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, path, options); err != nil {
		s.unlock()
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	return s, nil
}

// directory answers where the database is, in a directory that is made and locked as the options say.
func (s *Store) directory(dir string, options Options) (path string, err error) {
	if options.Beside {
		path = filepath.Join(dir, fileName)
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("there is no store in %s: %w", dir, err)
		}
		return filepath.Abs(path)
	}
	if path, err = prepareDirectory(dir); err != nil {
		return "", err
	}
	s.lock, err = lockDirectory(filepath.Dir(path), options.Shared)
	return path, err
}

// unlock gives the directory free, where it was locked.
func (s *Store) unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// prepareDirectory makes the directory and the empty file, for the eyes of this user alone.
func prepareDirectory(dir string) (path string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("looking at the data directory: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		// A directory of another user (a mounted volume) cannot be changed; the files are closed all the same.
		if err := os.Chmod(dir, 0o700); err != nil && !errors.Is(err, fs.ErrPermission) {
			return "", fmt.Errorf("closing the data directory to others: %w", err)
		}
	}
	path = filepath.Join(dir, fileName)
	// A file that exists is not opened: closing it would drop the locks that another store of this process has on it.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		return path, file.Close()
	case errors.Is(err, fs.ErrExist):
		return path, nil
	}
	return "", fmt.Errorf("making the database: %w", err)
}

func (s *Store) open(ctx context.Context, path string, options Options) error {
	writes, err := sql.Open("sqlite", source(path, options, false))
	if err != nil {
		return err
	}
	writes.SetMaxOpenConns(1)
	if err := migrate(ctx, writes); err != nil {
		writes.Close()
		return translate(err)
	}
	reads, err := sql.Open("sqlite", source(path, options, true))
	if err != nil {
		writes.Close()
		return err
	}
	reads.SetMaxOpenConns(options.Readers)
	reads.SetMaxIdleConns(options.Readers)
	s.reads = reads
	s.writer = newWriter(writes, options.BusyTimeout)
	return nil
}

// source is the name by which the driver opens path. Every pragma is set anew on each connection.
func source(path string, options Options, read bool) string {
	q := url.Values{}
	q.Set("_busy_timeout", strconv.FormatInt(options.BusyTimeout.Milliseconds(), 10))
	q.Set("_journal_mode", "WAL")
	q.Set("_synchronous", "FULL")
	q.Set("_txlock", "immediate")
	q.Set("_dqs", "0")
	q.Add("_pragma", "temp_store(memory)")
	q.Add("_pragma", "trusted_schema(off)")
	q.Add("_pragma", "fullfsync(on)") // of use on macOS alone, whose fsync does not reach the disk
	if read {
		q.Set("_query_only", "1")
		q.Add("_pragma", "cache_size(-4096)")
	} else {
		q.Add("_pragma", "cache_size(-32768)")
		q.Add("_pragma", "secure_delete(fast)")
		q.Add("_pragma", "wal_autocheckpoint(0)") // the writer does it
		// A log that a burst has blown up is cut to 64 MiB when it starts over.
		q.Add("_pragma", "journal_size_limit(67108864)")
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// Ping writes one row: a store that is locked or full answers ErrAway.
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO meta (name, value) VALUES ('ping', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1`)
		return err
	})
}

// Close answers what was submitted, then closes the file and gives the directory free. Later writes answer ErrAway.
func (s *Store) Close() error {
	err := s.writer.close()
	s.statements.Range(func(_, statement any) bool {
		statement.(*sql.Stmt).Close()
		return true
	})
	return errors.Join(err, s.reads.Close(), s.unlock())
}

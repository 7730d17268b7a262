package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"github.com/unihook/unihook/gateway"
)

const (
	// maxOperations and maxRows bound one transaction, so that the first in it does not wait long for the last.
	maxOperations = 512
	maxRows       = 4000
	// impatience is the busy timeout once a write has found the database locked for the whole of the usual one: those
	// that wait behind it are answered at once, until one gets through.
	impatience = 100 * time.Millisecond
	// checkpointPages is how many pages of 4 KiB are written to the log before they are copied into the database: what
	// is changed often is copied once, and the log stays small.
	checkpointPages = 4000
)

var errClosed = fmt.Errorf("%w: it was closed", gateway.ErrAway)

// operation is one caller's write.
type operation struct {
	run func(*tx) error
	// rows is roughly how much it writes.
	rows int
	// taken is true once the writer works on it, or its caller has given it up: whoever sets it.
	taken atomic.Bool
	err   error
	done  chan struct{}
}

// writer owns the connection that writes. One goroutine takes all operations that wait, runs each in a savepoint of
// one transaction, commits once and answers all; meanwhile the next ones gather.
type writer struct {
	db          *sql.DB
	busyTimeout time.Duration

	operations chan *operation
	stopped    chan struct{}
	mu         sync.RWMutex // held for reading while an operation is handed over
	closed     bool

	// What follows belongs to the goroutine.
	tx        *tx
	impatient bool
	pages     int // written to the log since the last checkpoint
}

func newWriter(db *sql.DB, busyTimeout time.Duration) *writer {
	w := &writer{db: db, busyTimeout: busyTimeout, operations: make(chan *operation, maxOperations), stopped: make(chan struct{})}
	go w.run()
	return w
}

// close lets what was handed over be written, then closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	close(w.operations)
	w.mu.Unlock()
	<-w.stopped
	w.drop()
	return w.db.Close()
}

// write runs one operation, of about so many rows, and answers once it is durable. A context that ends takes an
// operation back that was not begun; one that was begun ends on its own terms, since interrupting it would take the
// commit of all others with it.
func (s *Store) write(ctx context.Context, rows int, run func(*tx) error) error {
	op := &operation{run: run, rows: rows, done: make(chan struct{})}
	if err := s.writer.hand(ctx, op); err != nil {
		return err
	}
	select {
	case <-op.done:
	case <-ctx.Done():
		if op.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("%w: %w", gateway.ErrAway, ctx.Err())
		}
		<-op.done
	}
	return translate(op.err)
}

func (w *writer) hand(ctx context.Context, op *operation) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	if ctx.Err() != nil { // select would choose at random
		return fmt.Errorf("%w: %w", gateway.ErrAway, ctx.Err())
	}
	select {
	case w.operations <- op:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", gateway.ErrAway, ctx.Err())
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	for first := range w.operations {
		batch := w.gather(first)
		if len(batch) == 0 {
			continue
		}
		if err := w.commit(batch); err != nil {
			for _, op := range batch {
				op.err = err
			}
		}
		for _, op := range batch {
			close(op.done)
		}
		w.checkpoint()
	}
}

// checkpoint copies the log into the database once it is long. It comes after the answers, not inside a commit as
// SQLite does by itself. Its failure costs room alone, and the next write meets the reason.
func (w *writer) checkpoint() {
	if w.tx == nil {
		return
	}
	_ = w.tx.conn.Raw(func(conn any) error {
		written, _, err := conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, true)
		w.pages += written
		return err
	})
	if w.pages < checkpointPages {
		return
	}
	w.pages = 0
	_, _ = w.tx.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
}

// gather is first and those that wait behind it, without those that were given up.
func (w *writer) gather(first *operation) (batch []*operation) {
	rows := 0
	for op := first; op != nil && rows < maxRows; {
		if op.taken.CompareAndSwap(false, true) {
			batch = append(batch, op)
			rows += op.rows
		}
		if rows >= maxRows || len(batch) == maxOperations {
			break
		}
		select {
		case op = <-w.operations: // nil once closed
		default:
			op = nil
		}
	}
	return batch
}

// commit writes the batch in one transaction. Each operation's own error is left in it; an error here is everybody's.
func (w *writer) commit(batch []*operation) (err error) {
	if err := w.begin(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.abandon(err)
		}
	}()
	for _, op := range batch {
		if err := w.runOne(op, len(batch) > 1); err != nil {
			return err
		}
	}
	if len(batch) == 1 && batch[0].err != nil {
		_, err := w.tx.exec("ROLLBACK")
		return err
	}
	if _, err := w.tx.exec("COMMIT"); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// begin starts the transaction, on a new connection where there is none.
func (w *writer) begin() error {
	if w.tx == nil {
		conn, err := w.db.Conn(context.Background())
		if err != nil {
			return fmt.Errorf("connecting to the database: %w", err)
		}
		w.tx = &tx{conn: conn, prepared: map[string]*sql.Stmt{}}
		if _, err := w.tx.conn.ExecContext(context.Background(), lockPause); err != nil {
			w.drop()
			return fmt.Errorf("preparing the connection that writes: %w", err)
		}
	}
	err := w.lock()
	if err == nil {
		w.impatient = false
		return nil
	}
	w.impatient = busy(err)
	if !w.impatient {
		w.drop()
	}
	return fmt.Errorf("beginning a transaction: %w", err)
}

// SQLite's own waits for another process's lock grow to 100 ms, and whoever looks so seldom may never meet the moment
// between two commits of a process that writes all the time. So it answers at once, and is asked again after lockAgain.
const (
	lockPause = "PRAGMA busy_timeout = 0"
	lockAgain = 500 * time.Microsecond
)

// lock takes the lock of the database, as soon as no other process has it.
func (w *writer) lock() error {
	patience := w.busyTimeout
	if w.impatient {
		patience = min(impatience, patience)
	}
	for end := time.Now().Add(patience); ; {
		_, err := w.tx.exec("BEGIN IMMEDIATE")
		if !busy(err) || time.Now().After(end) {
			return err
		}
		time.Sleep(lockAgain)
	}
}

// runOne runs an operation. What it answers is the end of the whole transaction; its own failure is undone and kept in
// it. Alone it needs no savepoint: the transaction is one.
func (w *writer) runOne(op *operation, savepoint bool) error {
	if savepoint {
		if _, err := w.tx.exec("SAVEPOINT operation"); err != nil {
			return err
		}
	}
	op.err = op.run(w.tx)
	if away(op.err) {
		return op.err
	}
	if !savepoint {
		return nil
	}
	if op.err != nil {
		if _, err := w.tx.exec("ROLLBACK TO operation"); err != nil {
			return err
		}
	}
	_, err := w.tx.exec("RELEASE operation")
	return err
}

// abandon leaves a transaction that failed. After an error of the file the connection is given up too: it may hold
// what the disk does not.
func (w *writer) abandon(err error) {
	_, rollbackErr := w.tx.exec("ROLLBACK") // fails where SQLite has rolled back by itself, and that is as good
	if !busy(err) || (rollbackErr != nil && away(rollbackErr)) {
		w.drop()
	}
}

func (w *writer) drop() {
	if w.tx == nil {
		return
	}
	for _, statement := range w.tx.prepared {
		statement.Close()
	}
	// ErrBadConn makes the pool close the connection and not keep it.
	_ = w.tx.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.tx.conn.Close()
	w.tx = nil
}

// tx is the transaction that an operation writes in. Its statements are prepared once and kept.
type tx struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func (t *tx) statement(query string) (*sql.Stmt, error) {
	if statement, ok := t.prepared[query]; ok {
		return statement, nil
	}
	statement, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("preparing %.60q: %w", query, err)
	}
	t.prepared[query] = statement
	return statement, nil
}

// exec runs a statement and answers how many rows it changed.
func (t *tx) exec(query string, args ...any) (int, error) {
	statement, err := t.statement(query)
	if err != nil {
		return 0, err
	}
	result, err := statement.Exec(args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// one reads the one row that query answers into dest; gateway.ErrNotFound where there is none.
func (t *tx) one(query string, args []any, dest ...any) error {
	statement, err := t.statement(query)
	if err != nil {
		return err
	}
	err = statement.QueryRow(args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return gateway.ErrNotFound
	}
	return err
}

// texts is the first column of every row that query answers.
func (t *tx) texts(query string, args ...any) (list []string, err error) {
	statement, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	rows, err := statement.Query(args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

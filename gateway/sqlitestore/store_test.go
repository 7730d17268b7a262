package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/sqlitestore"
	"github.com/unihook/unihook/gateway/storetest"
)

func openStore(t testing.TB, dir string, options sqlitestore.Options) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) gateway.Store {
		return openStore(t, t.TempDir(), sqlitestore.Options{})
	})
}

// database opens the file beside the store, as another process would.
func database(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "unihook.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func organisation(id string) gateway.Organisation {
	return gateway.Organisation{ID: id, Name: id, Revision: 1, CreatedAt: 1, UpdatedAt: 1}
}

func TestOpen_DirectoryIsForItsUserAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b c?d#e%")
	s := openStore(t, dir, sqlitestore.Options{})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{".": 0o700, "unihook.db": 0o600, "unihook.db-wal": 0o600, "unihook.db-shm": 0o600, "lock": 0o600}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
}

func TestOpen_OpenDirectoryIsClosedToOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir, sqlitestore.Options{})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %o, want 700", info.Mode().Perm())
	}
}

func TestOpen_DirectoryIsHadAloneOrShared(t *testing.T) {
	alone, shared, beside := sqlitestore.Options{}, sqlitestore.Options{Shared: true}, sqlitestore.Options{Beside: true}
	for _, c := range []struct {
		name          string
		first, second sqlitestore.Options
		want          string
	}{
		{"alone and alone", alone, alone, "in use by another process that has it alone (serve)"},
		{"alone and shared", alone, shared, "in use by another process that has it alone (serve)"},
		{"shared and alone", shared, alone, "in use by processes that share it (api, worker)"},
		{"shared and shared", shared, shared, ""},
		{"alone and beside", alone, beside, ""},
		{"shared and beside", shared, beside, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := sqlitestore.Open(t.Context(), dir, c.first)
			if err != nil {
				t.Fatal(err)
			}
			second, err := sqlitestore.Open(t.Context(), dir, c.second)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(second.Ping(t.Context()), first.Ping(t.Context()), second.Close()); err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			openStore(t, dir, c.second) // free again
		})
	}
}

// What looks in beside others makes nothing: a mistyped directory stays away.
func TestOpen_BesideNobody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mistyped")
	if _, err := sqlitestore.Open(t.Context(), dir, sqlitestore.Options{Beside: true}); err == nil || !strings.Contains(err.Error(), "there is no store in") {
		t.Errorf("got error %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

func TestOpen_DataSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlitestore.Open(t.Context(), dir, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.InsertOrganisation(t.Context(), organisation("org_a")), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t, dir, sqlitestore.Options{}).Organisation(t.Context(), "org_a"); err != nil {
		t.Error(err)
	}
}

func TestOpen_NewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlitestore.Open(t.Context(), dir, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := database(t, dir).Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, err = sqlitestore.Open(t.Context(), dir, sqlitestore.Options{})
	if err == nil || !strings.Contains(err.Error(), "written by a newer one") {
		t.Errorf("got error %v, want one that tells of a newer program", err)
	}
}

func TestWrite_LockedDatabaseIsAwayUntilItIsFree(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, sqlitestore.Options{BusyTimeout: 300 * time.Millisecond})
	if err := s.InsertOrganisation(t.Context(), organisation("org_before")); err != nil {
		t.Fatal(err)
	}
	lock, err := database(t, dir).Begin()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Ping(t.Context()); !errors.Is(err, gateway.ErrAway) {
		t.Fatalf("got error %v, want ErrAway", err)
	}
	if waited := time.Since(began); waited < 250*time.Millisecond {
		t.Errorf("it waited %s, want the busy timeout", waited)
	}
	if err := s.InsertOrganisation(t.Context(), organisation("org_during")); !errors.Is(err, gateway.ErrAway) {
		t.Errorf("got error %v, want ErrAway", err)
	}
	if _, err := s.Organisation(t.Context(), "org_before"); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.InsertOrganisation(t.Context(), organisation("org_after")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := s.Organisation(t.Context(), "org_during"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("what was answered ErrAway: got error %v, want ErrNotFound", err)
	}
}

// limitFiles makes the kernel refuse to let any file of this process grow beyond size, as a full disk does.
func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	lift = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(lift)
	return lift
}

func TestWrite_FullDiskIsAwayUntilThereIsRoom(t *testing.T) {
	s := openStore(t, t.TempDir(), sqlitestore.Options{})
	big := func(id int) gateway.Event {
		return gateway.Event{ID: fmt.Sprintf("evt_%d", id), Organisation: "org_a", AcceptedAt: 1, Data: []byte(`"` + strings.Repeat("x", 256<<10) + `"`)}
	}
	lift := limitFiles(t, 2<<20)
	var accepted []string
	var err error
	for i := 0; err == nil && i < 100; i++ {
		if _, err = s.Accept(t.Context(), []gateway.Event{big(i)}, nil); err == nil {
			accepted = append(accepted, gateway.EventKey("org_a", big(i).ID))
		}
	}
	if !errors.Is(err, gateway.ErrAway) {
		t.Fatalf("got error %v, want ErrAway", err)
	}
	if found, err := s.EventsByKey(t.Context(), accepted); err != nil || len(found) != len(accepted) {
		t.Errorf("%d of %d events are there while the disk is full, error %v", len(found), len(accepted), err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, gateway.ErrAway) {
		t.Logf("a small write while the disk is full: %v", err) // may find room in the log
	}
	lift()
	if _, err := s.Accept(t.Context(), []gateway.Event{big(1000)}, nil); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	accepted = append(accepted, gateway.EventKey("org_a", "evt_1000"))
	if found, err := s.EventsByKey(t.Context(), accepted); err != nil || len(found) != len(accepted) {
		t.Errorf("%d of %d events are there afterwards, error %v", len(found), len(accepted), err)
	}
}

func TestWrite_FailureLeavesItsNeighboursAlone(t *testing.T) {
	s := openStore(t, t.TempDir(), sqlitestore.Options{})
	if err := s.InsertOrganisation(t.Context(), organisation("org_taken")); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			id := fmt.Sprintf("org_%d", i)
			if i%2 == 0 {
				if err := s.InsertOrganisation(t.Context(), organisation("org_taken")); !errors.Is(err, gateway.ErrTaken) {
					t.Errorf("got error %v, want ErrTaken", err)
				}
				return
			}
			if err := s.InsertOrganisation(t.Context(), organisation(id)); err != nil {
				t.Errorf("inserting %s: %v", id, err)
			}
		})
	}
	group.Wait()
	list, _, err := s.ListOrganisations(t.Context(), gateway.Page{Limit: 200})
	if err != nil || len(list) != 101 {
		t.Errorf("got %d organisations and error %v, want 101", len(list), err)
	}
}

func TestReparked_LongLaneInSteps(t *testing.T) {
	s := openStore(t, t.TempDir(), sqlitestore.Options{})
	const parked = 2500
	var deliveries []gateway.Delivery
	for i := range parked {
		_, d := numbered(fmt.Sprintf("evt_%d", i), i, 1)
		d[0].Place = gateway.Place{Lane: gateway.LaneKey("ep_a", d[0].Order)}
		deliveries = append(deliveries, d[0])
	}
	if err := s.InsertDeliveries(t.Context(), deliveries); err != nil {
		t.Fatal(err)
	}
	if err := s.Reparked(t.Context(), "ep_a", gateway.WebhookInactive, 7); err != nil {
		t.Fatal(err)
	}
	after, seen := "", 0
	for {
		head, err := s.LaneHead(t.Context(), "ep_a", after, 600)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range head {
			if d.Reason != gateway.WebhookInactive || d.NextAttemptAt != 7 {
				t.Fatalf("%s has reason %q and time %d", d.ID, d.Reason, d.NextAttemptAt)
			}
		}
		if seen += len(head); len(head) < 600 {
			break
		}
		after = head[len(head)-1].Place.Lane
	}
	if seen != parked {
		t.Errorf("got %d of %d", seen, parked)
	}
}

func TestWrite_ProcessesThatShareTheFile(t *testing.T) {
	dir := t.TempDir()
	shared := sqlitestore.Options{Shared: true}
	stores := []*sqlitestore.Store{openStore(t, dir, shared), openStore(t, dir, shared), openStore(t, dir, shared)}
	var group sync.WaitGroup
	var keys []string
	for i := range 60 {
		e, d := numbered(fmt.Sprintf("evt_%d", i), i, 2)
		keys = append(keys, gateway.EventKey(e.Organisation, e.ID))
		for _, s := range stores { // each event is published to all three
			group.Go(func() {
				if _, err := s.Accept(t.Context(), []gateway.Event{e}, d); err != nil {
					t.Errorf("accepting: %v", err)
				}
			})
		}
	}
	group.Wait()
	for _, s := range stores {
		found, err := s.EventsByKey(t.Context(), keys)
		if err != nil || len(found) != len(keys) {
			t.Errorf("got %d of %d events and error %v", len(found), len(keys), err)
		}
	}
}

func TestWrite_EndedContextWritesNothing(t *testing.T) {
	s := openStore(t, t.TempDir(), sqlitestore.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.InsertOrganisation(ctx, organisation("org_a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	if _, err := s.Organisation(t.Context(), "org_a"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("got error %v, want ErrNotFound", err)
	}
}

func TestClose_AnswersWhatWasHandedOver(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlitestore.Open(t.Context(), dir, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var written []string
	for i := range 100 {
		group.Go(func() {
			id := fmt.Sprintf("org_%d", i)
			switch err := s.InsertOrganisation(t.Context(), organisation(id)); {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				written = append(written, id)
			case !errors.Is(err, gateway.ErrAway):
				t.Errorf("got error %v, want none or ErrAway", err)
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if err := s.Ping(t.Context()); !errors.Is(err, gateway.ErrAway) {
		t.Errorf("writing to a closed store: got error %v, want ErrAway", err)
	}
	s = openStore(t, dir, sqlitestore.Options{})
	for _, id := range written {
		if _, err := s.Organisation(t.Context(), id); err != nil {
			t.Errorf("%s was answered and is %v", id, err)
		}
	}
}

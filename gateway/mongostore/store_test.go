package mongostore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/mongostore"
	"github.com/unihook/unihook/gateway/storetest"
)

// server is the one that all tests share; each has a database of its own.
var server struct {
	uri string
	err error
}

func TestMain(m *testing.M) {
	uri, stop, err := storetest.StartMongo(context.Background())
	server.uri, server.err = uri, err
	code := m.Run()
	if stop != nil {
		stop()
	}
	os.Exit(code)
}

// databases counts them, over the tests of one process.
var databases atomic.Int64

// database is the name of one that nobody has used. It skips the test where there is no server.
func database(t *testing.T) string {
	t.Helper()
	switch {
	case errors.Is(server.err, storetest.ErrNoMongo) && os.Getenv("CI") != "true":
		t.Skip(server.err)
	case server.err != nil:
		t.Fatal(server.err)
	}
	return fmt.Sprintf("test_%d_%d_%d", os.Getpid(), time.Now().UnixMilli(), databases.Add(1))
}

// open opens an empty store.
func open(t *testing.T) *mongostore.Store {
	t.Helper()
	s, err := mongostore.Open(t.Context(), server.uri, mongostore.Options{Database: database(t)})
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

// TestOpen_ManyProcessesOfOneDatabase has processes start together on a database that none has made yet, and more of
// them later.
func TestOpen_ManyProcessesOfOneDatabase(t *testing.T) {
	name := database(t)
	for range 2 {
		var group errgroup.Group
		for range 6 {
			group.Go(func() error {
				s, err := mongostore.Open(t.Context(), server.uri, mongostore.Options{Database: name})
				if err != nil {
					return err
				}
				return errors.Join(s.Ping(t.Context()), s.Close())
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) gateway.Store { return open(t) })
}

func TestOpen_NoServer_IsAwaySoon(t *testing.T) {
	start := time.Now()
	_, err := mongostore.Open(t.Context(), "mongodb://user:s3cret@127.0.0.1:1/", mongostore.Options{SelectionTimeout: 300 * time.Millisecond})
	if !errors.Is(err, gateway.ErrAway) {
		t.Errorf("got error %v, want ErrAway", err)
	}
	if strings.Contains(fmt.Sprint(err), "s3cret") {
		t.Errorf("the error tells the password: %v", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestOpen_BadURI_IsRefusedWithoutItsPassword(t *testing.T) {
	for _, uri := range []string{"", "postgres://u:s3cret@127.0.0.1/x", "mongodb://u:s3cret@/x", "mongodb://u:s3cret@h:99999/"} {
		_, err := mongostore.Open(t.Context(), uri, mongostore.Options{SelectionTimeout: 100 * time.Millisecond})
		if err == nil {
			t.Errorf("%q was taken", uri)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// TestStore_ContextThatEnded_IsAway holds that a caller who gave up meets no fault.
func TestStore_ContextThatEnded_IsAway(t *testing.T) {
	s := open(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.InsertKey(ended, gateway.Key{ID: "key_1"}); !errors.Is(err, gateway.ErrAway) {
		t.Errorf("with a context that ended: got error %v, want ErrAway", err)
	}
}

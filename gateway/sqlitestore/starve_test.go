package sqlitestore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/sqlitestore"
)

// TestShared_AProcessThatWritesAllTheTime_ShutsNobodyOut holds that a store finds the moments between the commits of
// another one.
func TestShared_AProcessThatWritesAllTheTime_ShutsNobodyOut(t *testing.T) {
	dir := t.TempDir()
	options := sqlitestore.Options{Shared: true, BusyTimeout: 2 * time.Second}
	loud, quiet := openStore(t, dir, options), openStore(t, dir, options)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for range 64 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := loud.Ping(t.Context()); err != nil {
					t.Error("the loud one:", err)
					return
				}
			}
		})
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !t.Failed(); {
		if err := quiet.Ping(t.Context()); err != nil {
			t.Error("the quiet one:", err)
		}
	}
	close(stop)
	writing.Wait()
}

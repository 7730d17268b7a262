package sqlitestore_test

import (
	"testing"

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

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Every setting that is a duration takes days, as the README says.
func TestSettings_DurationsHaveDays(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--grace", "1d", "--retention", "1d12h", "--audit-retention", "2d", "--quarantine-for", "1d", "--quarantine-max", "7d"},
		{"egress", "run", "--grace", "1d", "--idle", "1d"},
	} {
		parser, err := newParser(terminal{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := parse(parser, args); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestStart_NamesTheCatalogueThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	got := runHere(t, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--catalog", filepath.Join(dir, "none"))
	if got.status != 1 || !strings.Contains(got.errors, filepath.Join(dir, "none")) {
		t.Errorf("got status %d and %q, want 1 and the folder's name", got.status, got.errors)
	}
}

package sqlitestore

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
)

//go:embed schema_1.sql
var schema1 string

// migrations are the steps that led to the present schema; PRAGMA user_version says how many of them a file has
// behind it. A step that was released is never changed: a new one is added.
func migrations() []string { return []string{schema1} }

// migrate brings the schema up to date, all steps in one transaction.
func migrate(ctx context.Context, db *sql.DB) error {
	steps := migrations()
	version, err := schemaVersion(ctx, db)
	if err != nil || version == len(steps) {
		return err
	}
	// Immediate (_txlock): of two processes that start at one time the second finds the work done.
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning the migration: %w", err)
	}
	defer tx.Rollback()
	if version, err = schemaVersion(ctx, tx); err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("the database has schema %d and this program knows up to %d: it was written by a newer one", version, len(steps))
	}
	for i, step := range steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("migrating to schema %d: %w", version+i+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(steps))); err != nil {
		return fmt.Errorf("noting the schema's version: %w", err)
	}
	return tx.Commit()
}

func schemaVersion(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (version int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return version, nil
}

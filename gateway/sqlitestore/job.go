package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

// InsertJob adds a job.
func (s *Store) InsertJob(ctx context.Context, j gateway.Job) error {
	doc, err := encode(j)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO jobs (id, kind, organisation, version, turn_at, doc) VALUES (?, ?, ?, ?, ?, ?)`,
			j.ID, string(j.Kind), j.Organisation, j.Version, orNull(j.TurnAt), doc)
		return err
	})
}

func scanJob(r row) (j gateway.Job, err error) {
	var doc string
	if err := r.Scan(&doc); err != nil {
		return j, err
	}
	err = decode(doc, &j)
	return j, err
}

// Job finds a job.
func (s *Store) Job(ctx context.Context, id string) (gateway.Job, error) {
	return readOne(ctx, s, scanJob, `SELECT doc FROM jobs WHERE id = ?`, id)
}

// DueJobs lists jobs whose turn has come, oldest first.
func (s *Store) DueJobs(ctx context.Context, now gateway.Time, limit int) ([]gateway.Job, error) {
	return read(ctx, s, scanJob, `SELECT doc FROM jobs INDEXED BY jobs_turn WHERE turn_at <= ? ORDER BY turn_at, id LIMIT ?`,
		int64(now), limit)
}

// SwapJob writes a job whose version is still the stored one.
func (s *Store) SwapJob(ctx context.Context, j gateway.Job) error {
	was := j.Version
	j.Version++
	doc, err := encode(j)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		return staleUnlessOne(t.exec(`UPDATE jobs SET version = ?, turn_at = ?, doc = ? WHERE id = ? AND version = ?`,
			j.Version, orNull(j.TurnAt), doc, j.ID, was))
	})
}

// DeleteJob removes a job, where it is there.
func (s *Store) DeleteJob(ctx context.Context, id string) error {
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`DELETE FROM jobs WHERE id = ?`, id)
		return err
	})
}

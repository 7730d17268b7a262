package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

// replayRecord is a replay as the doc column holds it: its JSON form, and beside it what that form leaves out.
type replayRecord struct {
	gateway.Replay
	Organisation string       `json:"organisation"`
	Since        gateway.Time `json:"since"`
	Until        gateway.Time `json:"until"`
	FailedOnly   bool         `json:"failedOnly"`
	Original     bool         `json:"original"`
	After        string       `json:"after"`
}

// encodeReplay is the doc column. How many were delivered or failed is counted, never stored.
func encodeReplay(r gateway.Replay) (string, error) {
	r.Delivered, r.Failed = 0, 0
	return encode(replayRecord{Replay: r, Organisation: r.Organisation, Since: r.Since, Until: r.Until,
		FailedOnly: r.FailedOnly, Original: r.Original, After: r.After})
}

func scanReplay(r row) (gateway.Replay, error) {
	var doc, running string
	if err := r.Scan(&doc, &running); err != nil {
		return gateway.Replay{}, err
	}
	var record replayRecord
	err := decode(doc, &record)
	replay := record.Replay
	replay.Organisation, replay.Since, replay.Until = record.Organisation, record.Since, record.Until
	replay.FailedOnly, replay.Original, replay.After = record.FailedOnly, record.Original, record.After
	replay.Running = running
	return replay, err
}

// InsertReplay adds a replay; an index holds that one runs for a webhook.
func (s *Store) InsertReplay(ctx context.Context, r gateway.Replay) error {
	doc, err := encodeReplay(r)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO replays (id, organisation, running, doc) VALUES (?, ?, ?, ?)`,
			r.ID, r.Organisation, orNull(r.Running), doc)
		return err
	})
}

// Replay finds a replay.
func (s *Store) Replay(ctx context.Context, scope gateway.Scope, id string) (gateway.Replay, error) {
	var w where
	w.add("id = ?", id)
	w.scope(scope)
	return readOne(ctx, s, scanReplay, `SELECT doc, coalesce(running, '') FROM replays`+w.String(), w.args...)
}

// UpdateReplay replaces a replay that is still running.
func (s *Store) UpdateReplay(ctx context.Context, r gateway.Replay) error {
	doc, err := encodeReplay(r)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		return staleUnlessOne(t.exec(`UPDATE replays SET running = ?, doc = ?
			WHERE id = ? AND organisation = ? AND running IS NOT NULL`, orNull(r.Running), doc, r.ID, r.Organisation))
	})
}

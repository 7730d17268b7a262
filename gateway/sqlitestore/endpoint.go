package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

func scanEndpointState(r row) (e gateway.EndpointState, err error) {
	var doc string
	if err := r.Scan(&doc); err != nil {
		return e, err
	}
	err = decode(doc, &e)
	return e, err
}

// EndpointStates finds states by endpoint.
func (s *Store) EndpointStates(ctx context.Context, ids []string) ([]gateway.EndpointState, error) {
	return read(ctx, s, scanEndpointState, `SELECT doc FROM endpoints WHERE id IN (SELECT value FROM json_each(?))`, texts(ids))
}

// Lanes lists an organisation's states in lane mode.
func (s *Store) Lanes(ctx context.Context, organisation string) ([]gateway.EndpointState, error) {
	return read(ctx, s, scanEndpointState, `SELECT doc FROM endpoints INDEXED BY endpoints_lane
		WHERE organisation = ? AND in_lane IS NOT NULL ORDER BY id`, organisation)
}

// DueLanes lists states whose turn has come.
func (s *Store) DueLanes(ctx context.Context, now gateway.Time, limit int) ([]gateway.EndpointState, error) {
	return read(ctx, s, scanEndpointState, `SELECT doc FROM endpoints INDEXED BY endpoints_turn
		WHERE turn_at <= ? ORDER BY turn_at, id LIMIT ?`, int64(now), limit)
}

// SwapEndpoints writes the states whose version is still the stored one.
func (s *Store) SwapEndpoints(ctx context.Context, states []gateway.EndpointState) (stale []string, err error) {
	docs := make([]string, len(states))
	for i, state := range states {
		state.Version++
		if docs[i], err = encode(state); err != nil {
			return nil, err
		}
	}
	err = s.write(ctx, len(states), func(t *tx) error {
		stale = nil
		for i := range states {
			n, err := swapEndpoint(t, &states[i], docs[i])
			if err != nil {
				return err
			}
			if n == 0 {
				stale = append(stale, states[i].ID)
			}
		}
		return nil
	})
	return stale, err
}

func swapEndpoint(t *tx, state *gateway.EndpointState, doc string) (changed int, err error) {
	inLane, turnAt := orNull(flag(state.InLane)), orNull(state.TurnAt)
	if state.Version == 0 {
		return t.exec(`INSERT INTO endpoints (id, organisation, version, in_lane, turn_at, doc) VALUES (?, ?, 1, ?, ?, ?)
			ON CONFLICT DO NOTHING`, state.ID, state.Organisation, inLane, turnAt, doc)
	}
	return t.exec(`UPDATE endpoints SET version = version + 1, in_lane = ?, turn_at = ?, doc = ? WHERE id = ? AND version = ?`,
		inLane, turnAt, doc, state.ID, state.Version)
}

// DeleteEndpointStates forgets states.
func (s *Store) DeleteEndpointStates(ctx context.Context, organisation string, ids []string) error {
	list := texts(ids)
	return s.write(ctx, len(ids), func(t *tx) error {
		_, err := t.exec(`DELETE FROM endpoints WHERE id IN (SELECT value FROM json_each(?)) AND organisation = ?`, list, organisation)
		return err
	})
}

package sqlitestore

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/unihook/unihook/gateway"
)

const placeColumns = `SELECT id, organisation, endpoint, coalesce(run, ''), coalesce(look_at, 0), coalesce(turn, 0), coalesce(lane, '')
	FROM deliveries INDEXED BY `

func scanPlace(r row) (d gateway.Delivery, err error) {
	err = r.Scan(&d.ID, &d.Organisation, &d.Endpoint, &d.Place.Run, &d.Place.LookAt, &d.Place.Turn, &d.Place.Lane)
	return d, err
}

// Due lists what is to be looked at. Later ones and claims have an index each: however many claims have ended that are
// not asked for, no query walks over them.
func (s *Store) Due(ctx context.Context, later, claims gateway.Time, limit int) ([]gateway.Delivery, error) {
	list, err := read(ctx, s, scanPlace, placeColumns+`deliveries_later
		WHERE run IS NULL AND look_at <= ? ORDER BY look_at, id LIMIT ?`, int64(later), limit)
	if err != nil {
		return nil, err
	}
	ended, err := read(ctx, s, scanPlace, placeColumns+`deliveries_claimed
		WHERE run IS NOT NULL AND look_at <= ? ORDER BY look_at, id LIMIT ?`, int64(claims), limit)
	if err != nil {
		return nil, err
	}
	list = append(list, ended...)
	slices.SortStableFunc(list, func(a, b gateway.Delivery) int { return cmp.Compare(a.Place.LookAt, b.Place.LookAt) })
	return list[:min(limit, len(list))], nil
}

// Spare lists spare deliveries by turn.
func (s *Store) Spare(ctx context.Context, limit int) ([]gateway.Delivery, error) {
	return read(ctx, s, scanPlace, placeColumns+`deliveries_spare WHERE turn IS NOT NULL ORDER BY turn, id LIMIT ?`, limit)
}

// Claim makes the claims whose delivery is still where it was.
func (s *Store) Claim(ctx context.Context, claims []gateway.Claim) error {
	return s.write(ctx, len(claims), func(t *tx) error {
		for i := range claims {
			c := &claims[i]
			if _, err := t.exec(`UPDATE deliveries SET run = ?, look_at = ?, turn = NULL, lane = NULL
				WHERE id = ? AND status = 'pending' AND run IS ? AND look_at IS ? AND turn IS ? AND lane IS ?`,
				c.Run, int64(c.Until), c.Delivery,
				orNull(c.Was.Run), orNull(c.Was.LookAt), orNull(c.Was.Turn), orNull(c.Was.Lane)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeliveriesByID finds deliveries, without attempts.
func (s *Store) DeliveriesByID(ctx context.Context, ids []string) ([]gateway.Delivery, error) {
	return read(ctx, s, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d
		WHERE d.id IN (SELECT value FROM json_each(?))`, texts(ids))
}

// RenewRun moves the end of a claim.
func (s *Store) RenewRun(ctx context.Context, run string, deliveries []string, until gateway.Time) error {
	ids := texts(deliveries)
	return s.write(ctx, len(deliveries), func(t *tx) error {
		_, err := t.exec(`UPDATE deliveries SET look_at = ? WHERE id IN (SELECT value FROM json_each(?)) AND run = ?`,
			int64(until), ids, run)
		return err
	})
}

// Park moves claimed deliveries into lanes.
func (s *Store) Park(ctx context.Context, parkings []gateway.Parking) error {
	return s.write(ctx, len(parkings), func(t *tx) error {
		for i := range parkings {
			p := &parkings[i]
			if _, err := t.exec(`UPDATE deliveries SET run = NULL, look_at = NULL, turn = NULL, lane = ?, reason = ?,
				next_attempt_at = ? WHERE id = ? AND run = ?`,
				p.Lane, string(p.Reason), int64(p.NextAttemptAt), p.Delivery, p.Run); err != nil {
				return err
			}
		}
		return nil
	})
}

// lane is the bounds of the keys of an endpoint's lane, both outside it.
func lane(endpoint string) (from, to string) { return endpoint + "/", endpoint + "0" }

// LaneHead lists what is parked for an endpoint, oldest first.
func (s *Store) LaneHead(ctx context.Context, endpoint, after string, limit int) ([]gateway.Delivery, error) {
	from, to := lane(endpoint)
	return read(ctx, s, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d INDEXED BY deliveries_lane
		WHERE d.lane > ? AND d.lane < ? ORDER BY d.lane, d.id LIMIT ?`, max(from, after), to, limit)
}

// NextLane skips over the whole lane of the endpoint given.
func (s *Store) NextLane(ctx context.Context, after string) (string, error) {
	bound := ""
	if after != "" {
		_, bound = lane(after)
	}
	found, err := read(ctx, s, scanText, `SELECT lane FROM deliveries INDEXED BY deliveries_lane
		WHERE lane >= ? ORDER BY lane LIMIT 1`, bound)
	if err != nil || len(found) == 0 {
		return "", err
	}
	endpoint, _, _ := strings.Cut(found[0], "/")
	return endpoint, nil
}

type endpointCount struct {
	endpoint string
	n        int
}

// CountParked counts what is parked for endpoints.
func (s *Store) CountParked(ctx context.Context, endpoints []string) (map[string]int, error) {
	list, err := read(ctx, s, func(r row) (c endpointCount, err error) {
		err = r.Scan(&c.endpoint, &c.n)
		return c, err
	}, `SELECT value, (SELECT count(*) FROM deliveries INDEXED BY deliveries_lane WHERE lane > value || '/' AND lane < value || '0')
		FROM json_each(?)`, texts(endpoints))
	counts := map[string]int{}
	for _, c := range list {
		if c.n > 0 {
			counts[c.endpoint] = c.n
		}
	}
	return counts, err
}

// reparkStep is how many parked deliveries one transaction changes: a lane may hold a hundred thousand.
const reparkStep = 1000

// Reparked sets the reason and the time of all that is parked for an endpoint, in steps.
func (s *Store) Reparked(ctx context.Context, endpoint string, reason gateway.Reason, next gateway.Time) error {
	from, to := lane(endpoint)
	for {
		lanes, err := read(ctx, s, scanText, `SELECT lane FROM deliveries INDEXED BY deliveries_lane
			WHERE lane > ? AND lane < ? ORDER BY lane LIMIT ?`, from, to, reparkStep)
		if err != nil || len(lanes) == 0 {
			return err
		}
		last := lanes[len(lanes)-1]
		if err := s.write(ctx, len(lanes), func(t *tx) error {
			_, err := t.exec(`UPDATE deliveries INDEXED BY deliveries_lane SET reason = ?, next_attempt_at = ?
				WHERE lane > ? AND lane <= ?`, string(reason), int64(next), from, last)
			return err
		}); err != nil {
			return err
		}
		from = last
	}
}

package mongostore

import (
	"context"
	"crypto/rand"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

type endpointDoc struct {
	gateway.EndpointState `bson:",inline"`
	// Lane is the organisation while the endpoint is in lane mode.
	Lane string `bson:"lane,omitempty"`
	// Swap names the call that wrote the state: of two that both wrote the next version, one did.
	Swap string `bson:"swap"`
}

// EndpointStates finds states by id.
func (s *Store) EndpointStates(ctx context.Context, ids []string) ([]gateway.EndpointState, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return find[gateway.EndpointState](ctx, s, s.endpoints, in("_id", ids), options.Find())
}

// Lanes lists the states of the organisation with InLane set.
func (s *Store) Lanes(ctx context.Context, organisation string) ([]gateway.EndpointState, error) {
	return find[gateway.EndpointState](ctx, s, s.endpoints, eq("lane", organisation), options.Find().SetSort(ascending("_id")))
}

// DueLanes lists states whose TurnAt has come, oldest first.
func (s *Store) DueLanes(ctx context.Context, now gateway.Time, limit int) ([]gateway.EndpointState, error) {
	return find[gateway.EndpointState](ctx, s, s.endpoints, is("turnAt", "$lte", now),
		options.Find().SetSort(ascending("turnAt")).SetLimit(int64(max(limit, 1))))
}

// SwapEndpoints writes each state whose Version is the stored one, with the next Version.
func (s *Store) SwapEndpoints(ctx context.Context, states []gateway.EndpointState) (stale []string, err error) {
	swap := rand.Text()
	var fresh []endpointDoc
	var changes []mongo.WriteModel
	var changed []string
	for _, state := range states {
		was := state.Version
		d := endpointDoc{EndpointState: state, Swap: swap}
		d.Version++
		if d.InLane {
			d.Lane = d.Organisation
		}
		if was == 0 {
			fresh = append(fresh, d)
			continue
		}
		changed = append(changed, state.ID)
		changes = append(changes, mongo.NewReplaceOneModel().
			SetFilter(and(eq("_id", state.ID), eq("version", was))).SetReplacement(d))
	}
	taken, err := insertNew(ctx, s, s.endpoints, fresh)
	if err != nil {
		return nil, err
	}
	for _, i := range taken {
		stale = append(stale, fresh[i].ID)
	}
	matched, err := s.bulk(ctx, s.endpoints, changes)
	if err != nil || matched == len(changes) {
		return stale, err
	}
	missed, err := s.unswapped(ctx, changed, swap)
	return append(stale, missed...), err
}

// unswapped is which of the endpoints the call named swap did not write.
func (s *Store) unswapped(ctx context.Context, ids []string, swap string) (missed []string, err error) {
	found, err := find[endpointDoc](ctx, s, s.endpoints, and(in("_id", ids), eq("swap", swap)),
		options.Find().SetProjection(only("_id")))
	if err != nil {
		return nil, err
	}
	written := make(map[string]bool, len(found))
	for _, d := range found {
		written[d.ID] = true
	}
	for _, id := range ids {
		if !written[id] {
			missed = append(missed, id)
		}
	}
	return missed, nil
}

// DeleteEndpointStates forgets states of endpoints that are no more.
func (s *Store) DeleteEndpointStates(ctx context.Context, organisation string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.endpoints.DeleteMany(ctx, and(in("_id", ids), eq("organisation", organisation)))
	return translate(err)
}

// jobDoc keeps a job that is never due out of the index.
type jobDoc struct {
	gateway.Job `bson:",inline"`
	TurnAt      gateway.Time `bson:"turnAt,omitempty"`
}

func (d jobDoc) job() gateway.Job {
	j := d.Job
	j.TurnAt = d.TurnAt
	return j
}

// InsertJob answers ErrTaken for an id that exists.
func (s *Store) InsertJob(ctx context.Context, j gateway.Job) error {
	return s.insert(ctx, s.jobs, jobDoc{j, j.TurnAt})
}

// Job finds a job.
func (s *Store) Job(ctx context.Context, id string) (gateway.Job, error) {
	d, err := findOne[jobDoc](ctx, s, s.jobs, eq("_id", id))
	return d.job(), err
}

// DueJobs lists jobs whose TurnAt has come, oldest first.
func (s *Store) DueJobs(ctx context.Context, now gateway.Time, limit int) ([]gateway.Job, error) {
	docs, err := find[jobDoc](ctx, s, s.jobs, is("turnAt", "$lte", now),
		options.Find().SetSort(ascending("turnAt")).SetLimit(int64(max(limit, 1))))
	var list []gateway.Job
	for _, d := range docs {
		list = append(list, d.job())
	}
	return list, err
}

// SwapJob writes a job whose Version is the stored one, with the next Version, else ErrStale.
func (s *Store) SwapJob(ctx context.Context, j gateway.Job) error {
	was := j.Version
	j.Version++
	return s.replace(ctx, s.jobs, and(eq("_id", j.ID), eq("version", was)), jobDoc{j, j.TurnAt})
}

// DeleteJob is no error for a job that is not there.
func (s *Store) DeleteJob(ctx context.Context, id string) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.jobs.DeleteOne(ctx, bson.D{{Key: "_id", Value: id}})
	return translate(err)
}

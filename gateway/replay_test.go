package gateway_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/unihook/unihook/gateway"
)

// joblessStore goes away at the first job.
type joblessStore struct {
	gateway.Store
	away bool
}

func (s *joblessStore) InsertJob(ctx context.Context, j gateway.Job) error {
	if s.away {
		s.away = false
		return fmt.Errorf("the connection broke: %w", gateway.ErrAway)
	}
	return s.Store.InsertJob(ctx, j)
}

// What was started by half must not keep the next one from being started: nobody learns its id to cancel it.
func TestStartReplay_StoreGoesAwayInBetween_TheNextOneRuns(t *testing.T) {
	store := &joblessStore{away: true}
	b := openBench(t, func(o *gateway.Options) { store.Store = o.Store; o.Store = store })
	a := b.organisation(t, "org_a")
	w, err := b.FindWebhook(t.Context(), a, b.create(t, a).ID)
	if err != nil {
		t.Fatal(err)
	}
	in := body(gateway.ReplayInput{Since: gateway.Given("2026-05-18T00:00:00Z")})
	if _, _, err := b.StartReplay(t.Context(), a, w, in); !gateway.IsKind(err, gateway.Unavailable) {
		t.Fatalf("got %v, want unavailable", err)
	}
	if _, _, err := b.StartReplay(t.Context(), a, w, in); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

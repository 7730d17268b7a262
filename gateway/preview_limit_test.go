package gateway_test

import (
	"context"
	"testing"

	"github.com/unihook/unihook/gateway"
)

// slowStore answers an event when it is let go.
type slowStore struct {
	gateway.Store
	asked, letGo chan struct{}
}

func (s *slowStore) Event(ctx context.Context, scope gateway.Scope, id string) (gateway.Event, error) {
	s.asked <- struct{}{}
	<-s.letGo
	return s.Store.Event(ctx, scope, id)
}

func TestPreview_AtMostEightAtOnce(t *testing.T) {
	const most = 8
	slow := &slowStore{asked: make(chan struct{}), letGo: make(chan struct{})}
	b := openBench(t, func(o *gateway.Options) { slow.Store = o.Store; o.Store = slow })
	customer := b.organisation(t, "org_a")
	b.publish(t, payment("evt_1", "org_a", `{}`))
	preview := func() error {
		_, err := b.Preview(t.Context(), customer, body(gateway.PreviewInput{
			Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"), Event: gateway.Given("evt_1"),
			Mapping: gateway.Given(gateway.RawJSON(`[]`)),
		}))
		return err
	}
	results := make(chan error, most)
	for range most {
		go func() { results <- preview() }()
		<-slow.asked
	}
	if err := preview(); !gateway.IsKind(err, gateway.TooMany) {
		t.Errorf("one more: got %v, want too many", err)
	}
	close(slow.letGo)
	for range most {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

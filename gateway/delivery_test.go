package gateway_test

import (
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
)

func TestDelivery_OfAnInactiveWebhook_TellsThatAtOnce(t *testing.T) {
	b := openBench(t)
	owner := b.organisation(t, "org_a")
	w := b.create(t, owner, func(in *gateway.WebhookInput) { in.Status = gateway.Given("active") })
	b.clock.move(time.Second)
	b.publish(t, payment("evt_1", "org_a", `{}`))
	b.mustPatch(t, owner, w.ID, gateway.WebhookInput{Status: gateway.Given("inactive")})
	d := b.deliveries(t, gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Pending || d.Reason != gateway.WebhookInactive {
		t.Errorf("listed as %s, %s", d.Status, d.Reason)
	}
	if d, err := b.FindDelivery(t.Context(), owner, d.ID); err != nil || d.Reason != gateway.WebhookInactive || d.NextAttemptAt == 0 {
		t.Errorf("found as %+v, %v", d, err)
	}
}

func TestRetryDelivery_OfAnErasedEvent_IsRefused(t *testing.T) {
	b := openBench(t)
	owner := b.organisation(t, "org_a")
	b.create(t, owner, func(in *gateway.WebhookInput) { in.Status = gateway.Given("active") })
	b.clock.move(time.Second)
	b.publish(t, payment("evt_1", "org_a", `{}`))
	event, err := b.FindEvent(t.Context(), operator, gateway.Only("org_a"), "evt_1")
	if err == nil {
		err = b.EraseEvent(t.Context(), operator, event)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := b.deliveries(t, gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Cancelled {
		t.Errorf("it is %s", d.Status)
	}
	if err := b.RetryDelivery(t.Context(), owner, d); !gateway.IsKind(err, gateway.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// Deliveries stay readable after their endpoint, so that a filter on it goes on finding some, or none.
func TestListDeliveries_OfAnEndpointThatIsNoMore(t *testing.T) {
	b := openBench(t)
	owner := b.organisation(t, "org_a")
	other := b.organisation(t, "org_b")
	w := b.create(t, owner, func(in *gateway.WebhookInput) { in.Status = gateway.Given("active") })
	b.clock.move(time.Second)
	b.publish(t, payment("evt_1", "org_a", `{}`))
	open, err := b.FindWebhook(t.Context(), owner, w.ID)
	if err == nil {
		err = b.DeleteWebhook(t.Context(), owner, open)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []gateway.DeliveryStatus{gateway.Cancelled, gateway.Pending} {
		filter := gateway.DeliveryFilter{Endpoint: w.Endpoints[0].ID, Statuses: []gateway.DeliveryStatus{status}}
		list, _, err := b.ListDeliveries(t.Context(), owner, gateway.Only("org_a"), filter, gateway.Page{Limit: 10})
		if want := map[gateway.DeliveryStatus]int{gateway.Cancelled: 1}[status]; err != nil || len(list) != want {
			t.Errorf("%s: got %d and %v, want %d", status, len(list), err, want)
		}
		if _, _, err := b.ListDeliveries(t.Context(), other, gateway.Only("org_b"), filter, gateway.Page{Limit: 10}); !gateway.IsKind(err, gateway.NotFound) {
			t.Errorf("%s, of another organisation: got %v, want not found", status, err)
		}
	}
}

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

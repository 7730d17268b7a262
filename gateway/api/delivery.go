package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// deliveryWhole is a delivery with its attempts, also where there are none yet.
type deliveryWhole struct {
	gateway.Delivery
	LastAttempt *struct{}         `json:"lastAttempt,omitempty"`
	Attempts    []gateway.Attempt `json:"attempts"`
}

// deliveryListed is a delivery in a list: its last attempt, or null, in place of the attempts.
type deliveryListed struct {
	gateway.Delivery
	Attempts    *struct{}            `json:"attempts,omitempty"`
	LastAttempt *gateway.LastAttempt `json:"lastAttempt"`
}

// delivery finds the delivery that the path names.
func (a *API) delivery(c *call) (gateway.Delivery, error) {
	id, err := c.id("id")
	if err != nil {
		return gateway.Delivery{}, err
	}
	d, err := a.gateway.FindDelivery(c.ctx, c.actor, id)
	if err != nil {
		return gateway.Delivery{}, err
	}
	return d, c.within(d.Organisation)
}

func (c *call) answerDelivery(d gateway.Delivery) error {
	whole := deliveryWhole{Delivery: d, Attempts: d.Attempts}
	if whole.Attempts == nil {
		whole.Attempts = []gateway.Attempt{}
	}
	return c.answer(fiber.StatusOK, whole)
}

// getDeliveries handles GET /v1/deliveries.
func (a *API) getDeliveries(c *call) error {
	scope, err := c.scope(a)
	if err != nil {
		return err
	}
	filter := gateway.DeliveryFilter{Webhook: c.query.text("webhook"), Endpoint: c.query.text("endpoint"), Event: c.query.text("event")}
	filter.Statuses = oneOf(&c.query, "status", gateway.Pending, gateway.Delivered, gateway.Failed, gateway.Cancelled)
	filter.Since, filter.Until = c.query.window()
	page, err := a.page(c, scope)
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListDeliveries(c.ctx, c.actor, scope, filter, page)
	if err != nil {
		return err
	}
	shown := make([]deliveryListed, len(list))
	for i, d := range list {
		shown[i] = deliveryListed{Delivery: d, LastAttempt: d.LastAttempt}
	}
	return answerPage(a, c, scope, shown, next)
}

// getDelivery handles GET /v1/deliveries/{id}.
func (a *API) getDelivery(c *call) error {
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answerDelivery(d)
}

// postRetry handles POST /v1/deliveries/{id}/retry.
func (a *API) postRetry(c *call) error {
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	if err := a.gateway.RetryDelivery(c.ctx, c.actor, d); err != nil {
		return err
	}
	return c.answer(fiber.StatusAccepted, map[string]string{"id": d.ID})
}

// postCancel handles POST /v1/deliveries/{id}/cancel.
func (a *API) postCancel(c *call) error {
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	cancelled, err := a.gateway.CancelDelivery(c.ctx, c.actor, d)
	if err != nil {
		return err
	}
	return c.answerDelivery(cancelled)
}

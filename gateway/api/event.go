package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// postEvent handles POST /v1/events.
func (a *API) postEvent(c *call) error {
	body, err := read[gateway.EventInput](c, typeJSON)
	if err != nil {
		return err
	}
	owner(c, &body, &body.Value.Organisation)
	published, err := a.gateway.Publish(c.ctx, c.actor, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusAccepted, published)
}

// postBatch handles POST /v1/events/batch.
func (a *API) postBatch(c *call) error {
	items, err := readBatch(c)
	if err != nil {
		return err
	}
	for i := range items {
		owner(c, &items[i], &items[i].Value.Organisation)
	}
	results, err := a.gateway.PublishBatch(c.ctx, c.actor, items)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusAccepted, map[string][]gateway.BatchItem{"data": results})
}

// getEvents handles GET /v1/events.
func (a *API) getEvents(c *call) error {
	scope, err := c.scope(a)
	if err != nil {
		return err
	}
	filter := gateway.EventFilter{Product: c.query.text("product"), Type: c.query.text("type"), Account: c.query.text("account")}
	filter.Since, filter.Until = c.query.window()
	page, err := a.page(c, scope)
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListEvents(c.ctx, c.actor, scope, filter, page)
	if err != nil {
		return err
	}
	return answerPage(a, c, scope, list, next)
}

// event finds the event that the path names, by one of Gateway's two ways.
func (a *API) event(c *call, find func(context.Context, gateway.Actor, gateway.Scope, string) (gateway.Event, error)) (gateway.Event, error) {
	id, err := c.id("id")
	if err != nil {
		return gateway.Event{}, err
	}
	scope, err := c.scope(a)
	if err != nil {
		return gateway.Event{}, err
	}
	e, err := find(c.ctx, c.actor, scope, id)
	if err != nil {
		return gateway.Event{}, err
	}
	return e, c.query.err()
}

// getEvent handles GET /v1/events/{id}.
func (a *API) getEvent(c *call) error {
	e, err := a.event(c, a.gateway.FindEvent)
	if err != nil {
		return err
	}
	body, err := eventJSON(e)
	if err != nil {
		return err
	}
	return c.send(fiber.StatusOK, body)
}

// eventJSON writes an event with its data byte for byte: encoding/json would take white space out of it.
func eventJSON(e gateway.Event) ([]byte, error) {
	data := e.Data
	e.Data = nil
	body, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("writing event %s: %w", e.ID, err)
	}
	if !json.Valid(data) {
		return body, nil // erased
	}
	body = append(body[:len(body)-1], `,"data":`...)
	return append(append(body, data...), '}'), nil
}

// deleteEvent handles DELETE /v1/events/{id}.
func (a *API) deleteEvent(c *call) error {
	e, err := a.event(c, a.gateway.FindEventToErase)
	if err != nil {
		return err
	}
	if err := a.gateway.EraseEvent(c.ctx, c.actor, e); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

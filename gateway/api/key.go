package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// createdKey answers a key that was made: the one time that the key itself is shown.
type createdKey struct {
	gateway.Key
	Secret string `json:"key"`
}

// postKey handles POST /v1/keys.
func (a *API) postKey(c *call) error {
	body, err := read[gateway.KeyInput](c, typeJSON)
	if err != nil {
		return err
	}
	key, secret, err := a.gateway.CreateKey(c.ctx, c.actor, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusCreated, createdKey{key, secret})
}

// getKeys handles GET /v1/keys.
func (a *API) getKeys(c *call) error {
	page, err := a.page(c, gateway.Everyone())
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListKeys(c.ctx, c.actor, page)
	if err != nil {
		return err
	}
	return answerPage(a, c, gateway.Everyone(), list, next)
}

// deleteKey handles DELETE /v1/keys/{id}.
func (a *API) deleteKey(c *call) error {
	id, err := c.id("id")
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	if err := a.gateway.DeleteKey(c.ctx, c.actor, id); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

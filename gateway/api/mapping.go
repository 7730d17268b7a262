package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// postPreview handles POST /v1/mappings/preview.
func (a *API) postPreview(c *call) error {
	body, err := read[gateway.PreviewInput](c, typeJSON)
	if err != nil {
		return err
	}
	owner(c, &body, &body.Value.Organisation)
	preview, err := a.gateway.Preview(c.ctx, c.actor, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, preview)
}

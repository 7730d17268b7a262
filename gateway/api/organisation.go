package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// postOrganisation handles POST /v1/organisations.
func (a *API) postOrganisation(c *call) error {
	body, err := read[gateway.OrganisationInput](c, typeJSON)
	if err != nil {
		return err
	}
	o, err := a.gateway.CreateOrganisation(c.ctx, c.actor, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusCreated, o)
}

// getOrganisations handles GET /v1/organisations.
func (a *API) getOrganisations(c *call) error {
	page, err := a.page(c, gateway.Everyone())
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListOrganisations(c.ctx, c.actor, page)
	if err != nil {
		return err
	}
	return answerPage(a, c, gateway.Everyone(), list, next)
}

// organisation finds the organisation that the path names.
func (a *API) organisation(c *call) (gateway.Organisation, error) {
	id, err := c.id("id")
	if err != nil {
		return gateway.Organisation{}, err
	}
	return a.gateway.FindOrganisation(c.ctx, c.actor, id)
}

// getOrganisation handles GET /v1/organisations/{id}.
func (a *API) getOrganisation(c *call) error {
	o, err := a.organisation(c)
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, o)
}

// patchOrganisation handles PATCH /v1/organisations/{id}.
func (a *API) patchOrganisation(c *call) error {
	o, err := a.organisation(c)
	if err != nil {
		return err
	}
	body, err := read[gateway.OrganisationInput](c, typeMergePatch, typeJSON)
	if err != nil {
		return err
	}
	changed, err := a.gateway.UpdateOrganisation(c.ctx, c.actor, o, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, changed)
}

// deleteOrganisation handles DELETE /v1/organisations/{id}.
func (a *API) deleteOrganisation(c *call) error {
	o, err := a.organisation(c)
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	if err := a.gateway.DeleteOrganisation(c.ctx, c.actor, o); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// getAccounts handles GET /v1/accounts.
func (a *API) getAccounts(c *call) error {
	scope, err := c.scope(a)
	if err != nil {
		return err
	}
	page, err := a.page(c, scope)
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListAccounts(c.ctx, c.actor, scope, page)
	if err != nil {
		return err
	}
	return answerPage(a, c, scope, list, next)
}

// putAccount handles PUT /v1/accounts/{id}.
func (a *API) putAccount(c *call) error {
	id, err := c.id("id")
	if err != nil {
		return err
	}
	body, err := read[gateway.AccountInput](c, typeJSON)
	if err != nil {
		return err
	}
	owner(c, &body, &body.Value.Organisation)
	account, err := a.gateway.PutAccount(c.ctx, c.actor, id, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, account)
}

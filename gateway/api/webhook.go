package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// webhook finds the webhook that the path names.
func (a *API) webhook(c *call) (gateway.Webhook, error) {
	id, err := c.id("id")
	if err != nil {
		return gateway.Webhook{}, err
	}
	w, err := a.gateway.FindWebhook(c.ctx, c.actor, id)
	if err != nil {
		return gateway.Webhook{}, err
	}
	return w, c.within(w.Organisation)
}

// answerWebhook writes a webhook under the ETag of its revision.
func (c *call) answerWebhook(status int, w gateway.Webhook) error {
	c.Set(fiber.HeaderETag, revision(w.Revision))
	return c.answer(status, w)
}

// postWebhook handles POST /v1/webhooks.
func (a *API) postWebhook(c *call) error {
	body, err := read[gateway.WebhookInput](c, typeJSON)
	if err != nil {
		return err
	}
	owner(c, &body, &body.Value.Organisation)
	w, err := a.gateway.CreateWebhook(c.ctx, c.actor, body)
	if err != nil {
		return err
	}
	return c.answerWebhook(fiber.StatusCreated, w)
}

// getWebhooks handles GET /v1/webhooks.
func (a *API) getWebhooks(c *call) error {
	scope, err := c.scope(a)
	if err != nil {
		return err
	}
	page, err := a.page(c, scope)
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListWebhooks(c.ctx, c.actor, scope, page)
	if err != nil {
		return err
	}
	return answerPage(a, c, scope, list, next)
}

// getWebhook handles GET /v1/webhooks/{id}.
func (a *API) getWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	shown, err := a.gateway.ShowWebhook(c.ctx, c.actor, w)
	if err != nil {
		return err
	}
	return c.answerWebhook(fiber.StatusOK, shown)
}

// patchWebhook handles PATCH /v1/webhooks/{id}.
func (a *API) patchWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	body, err := read[gateway.WebhookInput](c, typeMergePatch, typeJSON)
	if err != nil {
		return err
	}
	match, err := c.ifMatch(w.Revision)
	if err != nil {
		return err
	}
	changed, err := a.gateway.UpdateWebhook(c.ctx, c.actor, w, body, match)
	if err != nil {
		return err
	}
	return c.answerWebhook(fiber.StatusOK, changed)
}

// deleteWebhook handles DELETE /v1/webhooks/{id}.
func (a *API) deleteWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	match, err := c.ifMatch(w.Revision)
	if err != nil {
		return err
	}
	if match != nil && *match != w.Revision {
		return errStale
	}
	if err := a.gateway.DeleteWebhook(c.ctx, c.actor, w); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// postDuplicate handles POST /v1/webhooks/{id}/duplicate.
func (a *API) postDuplicate(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	body, err := read[gateway.DuplicateInput](c, typeJSON)
	if err != nil {
		return err
	}
	made, err := a.gateway.DuplicateWebhook(c.ctx, c.actor, w, body)
	if err != nil {
		return err
	}
	return c.answerWebhook(fiber.StatusCreated, made)
}

// postSecret handles POST /v1/webhooks/{id}/secret.
func (a *API) postSecret(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	body, err := readOptional[gateway.SecretInput](c)
	if err != nil {
		return err
	}
	rotated, err := a.gateway.RotateSecret(c.ctx, c.actor, w, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, rotated)
}

// postTest handles POST /v1/webhooks/{id}/test.
func (a *API) postTest(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	body, err := readOptional[gateway.TestInput](c)
	if err != nil {
		return err
	}
	results, err := a.gateway.TestWebhook(c.ctx, c.actor, w, body)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, map[string][]gateway.TestResult{"data": results})
}

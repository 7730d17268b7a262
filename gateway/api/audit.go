package api

import "github.com/unihook/unihook/gateway"

// getAudit handles GET /v1/audit.
func (a *API) getAudit(c *call) error {
	scope, err := a.gateway.AuditScopeFor(c.ctx, c.actor, c.query.text("organisation"))
	if err != nil {
		return err
	}
	filter := gateway.AuditFilter{Actor: c.query.text("actor"), Action: c.query.text("action"), Object: c.query.text("object")}
	filter.Since, filter.Until = c.query.window()
	page, err := a.page(c, scope)
	if err != nil {
		return err
	}
	list, next, err := a.gateway.ListAudit(c.ctx, c.actor, scope, filter, page)
	if err != nil {
		return err
	}
	return answerPage(a, c, scope, list, next)
}

package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/products"
)

// getProducts handles GET /v1/products.
func (a *API) getProducts(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, map[string][]products.Product{"data": a.gateway.Catalogue.Products()})
}

// getProduct handles GET /v1/products/{product}.
func (a *API) getProduct(c *call) error {
	name, err := c.id("product")
	if err != nil {
		return err
	}
	p, ok := a.gateway.Catalogue.Product(name)
	if !ok {
		return gateway.Refuse(gateway.NotFound, "there is no product %q", name)
	}
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, p)
}

// getEventType handles GET /v1/products/{product}/events/{type}.
func (a *API) getEventType(c *call) error {
	product, err := c.id("product")
	if err != nil {
		return err
	}
	name, err := c.id("type")
	if err != nil {
		return err
	}
	e, ok := a.gateway.Catalogue.Event(product, name)
	if !ok {
		return gateway.Refuse(gateway.NotFound, "product %q has no event type %q", product, name)
	}
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, e)
}

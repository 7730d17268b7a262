package api

import (
	"embed"
	"path"

	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// pageFiles are the page that shows the OpenAPI description: Swagger UI 5.35.0 as it is published, and what starts it.
//
//go:embed docs/index.html docs/start.js docs/swagger-ui.css docs/swagger-ui-bundle.js
var pageFiles embed.FS

// pagePolicy lets the page load its own files and call this gateway, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageTypes are the content types of its files.
var pageTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8",
}

// getDocs handles GET /docs.
func (a *API) getDocs(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	return c.sendFile("index.html")
}

// getDocsFile handles GET /docs/{file}.
func (a *API) getDocsFile(c *call) error {
	name, err := c.id("file")
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	return c.sendFile(name)
}

func (c *call) sendFile(name string) error {
	text, err := pageFiles.ReadFile("docs/" + name)
	if err != nil {
		return gateway.Refuse(gateway.NotFound, "there is no file %.64q", name)
	}
	c.Set(fiber.HeaderContentSecurityPolicy, pagePolicy)
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set(fiber.HeaderContentType, pageTypes[path.Ext(name)])
	return c.Send(text)
}

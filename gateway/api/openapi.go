package api

import (
	"encoding/json"
	"fmt"

	"github.com/gofiber/fiber/v2"
	"go.yaml.in/yaml/v3"

	"github.com/unihook/unihook/schemas"
)

// yamlToJSON writes a YAML document as JSON.
func yamlToJSON(text []byte) ([]byte, error) {
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI description: %w", err)
	}
	out, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing the OpenAPI description as JSON: %w", err)
	}
	return out, nil
}

// getOpenAPI handles GET /openapi.yaml.
func (a *API) getOpenAPI(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/yaml")
	return c.Send(schemas.OpenAPI)
}

// getOpenAPIJSON handles GET /openapi.json.
func (a *API) getOpenAPIJSON(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	return c.send(fiber.StatusOK, a.openapi)
}

// Package schemas embeds the built-in catalogue's files and the OpenAPI description of the API.
//
// It holds data and no behaviour; package products reads the catalogue, package api serves the description. README.md
// in this folder says how a catalogue is written.
package schemas

import "embed"

// Catalogue holds the built-in catalogue, one folder per product: what an operator's folder for --catalog looks like.
//
//go:embed */*.json
var Catalogue embed.FS

// OpenAPI is the description of the HTTP API, OpenAPI 3.1 in YAML. It must not be changed.
//
//go:embed openapi.yaml
var OpenAPI []byte

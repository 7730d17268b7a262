// Package schemas embeds the built-in catalogue's files and the OpenAPI description of the API.
//
// It holds data and no behaviour; package products reads the catalogue, package api serves the description.
package schemas

// Package products is the catalogue: products, their event types, and each type's schema and example.
//
// A catalogue is loaded whole and checked whole: an example that its own schema refuses is an error that names both.
// It is read-only once loaded and safe for concurrent use.
package products

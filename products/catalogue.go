package products

import (
	"slices"
	"sync"

	"github.com/unihook/unihook/schemas"
)

// Catalogue is every product that events can be published for. It does not change once loaded and may be used by many
// goroutines at once. The zero Catalogue has no product.
type Catalogue struct {
	products []Product
	byName   map[string]int
	events   map[pair]EventType
}

// pair names an event type across products.
type pair struct{ product, typ string }

// builtin is loaded once: every caller shares it, and it never changes.
var builtin = sync.OnceValues(func() (*Catalogue, error) { return Load(schemas.Catalogue) })

// Builtin returns the catalogue that the program carries. An error means that the program was built from a broken one.
func Builtin() (*Catalogue, error) { return builtin() }

// newCatalogue indexes products, which are in the order of their names.
func newCatalogue(products []Product) *Catalogue {
	c := &Catalogue{products: products, byName: map[string]int{}, events: map[pair]EventType{}}
	for i, p := range products {
		c.byName[p.Product] = i
		for _, e := range p.Events {
			c.events[pair{e.Product, e.Type}] = e
		}
	}
	return c
}

// Products returns every product in the order of their names.
func (c *Catalogue) Products() []Product { return slices.Clone(c.products) }

// Product returns the product of that name, and whether there is one.
func (c *Catalogue) Product(name string) (Product, bool) {
	i, ok := c.byName[name]
	if !ok {
		return Product{}, false
	}
	return c.products[i], true
}

// Event returns the event type typ of product, and whether there is one.
func (c *Catalogue) Event(product, typ string) (EventType, bool) {
	e, ok := c.events[pair{product, typ}]
	return e, ok
}

// Has reports whether product has the event type typ. Neither may be "*".
func (c *Catalogue) Has(product, typ string) bool {
	_, ok := c.events[pair{product, typ}]
	return ok
}

package products

import (
	"encoding/json"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Reserved is the product of the gateway's own events (webhook.test). No catalogue may have a product of this name.
const Reserved = "unihook"

// Product is a source of events on the platform. As JSON it is what GET /v1/products shows: its events without their
// schemas and examples.
type Product struct {
	// Product is the name that events and webhooks call it by: the name of its folder.
	Product string
	// Title is a short name for people.
	Title string
	// Description is a sentence or two for people; it may be empty.
	Description string
	// Events are its event types in the order of their names: at least one. They are the catalogue's own and must not
	// be changed.
	Events []EventType
}

// EventType is a kind of event of one product. As JSON it is what GET /v1/products/{product}/events/{type} shows.
type EventType struct {
	// Product is the product's name.
	Product string `json:"product"`
	// Type is the name that events and webhooks call it by, unique in its product.
	Type string `json:"type"`
	// Title is a short name for people: the schema's title.
	Title string `json:"title"`
	// Description is the schema's description; it may be empty.
	Description string `json:"description"`
	// Schema is the JSON Schema 2020-12 of the event's data. Its keys and values are those of the file; only white space
	// between them is gone. It must not be changed.
	Schema json.RawMessage `json:"schema"`
	// Example is a whole data object that Schema accepts, as the file has it but for white space. It must not be changed.
	Example json.RawMessage `json:"example"`

	compiled *jsonschema.Schema
}

// listed is an event type in a list of products.
type listed struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

// MarshalJSON writes the product as a list shows it.
func (p Product) MarshalJSON() ([]byte, error) {
	events := make([]listed, len(p.Events))
	for i, e := range p.Events {
		events[i] = listed{e.Type, e.Title, e.Description}
	}
	return json.Marshal(struct {
		Product     string   `json:"product"`
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Events      []listed `json:"events"`
	}{p.Product, p.Title, p.Description, events})
}

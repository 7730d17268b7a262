package gateway

import "github.com/unihook/unihook/mapping"

// Shape is all that a body depends on but the event: a record under its own content hash, never changed and never
// removed while a delivery uses it. A retry that comes a week after the mapping was edited still makes the same bytes.
type Shape struct {
	// ID is the hex form of a SHA-256 over the fields that enter a body and the engine's version.
	ID      string         `json:"id" bson:"_id"`
	Payload string         `json:"payload" bson:"payload"`
	Rules   []mapping.Rule `json:"rules" bson:"rules"`
	// Webhook is what a "unified" body tells of the webhook, as JSON text; else empty.
	Webhook []byte `json:"webhook,omitempty" bson:"webhook,omitempty"`
	// Organisation is whose webhook that is, for its erasure; else empty. It does not enter the hash.
	Organisation string `json:"organisation,omitempty" bson:"organisation,omitempty"`
}

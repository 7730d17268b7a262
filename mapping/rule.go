package mapping

import "encoding/json"

// Rule is one rule of a mapping.
type Rule struct {
	Op    string          `json:"op" bson:"op"`
	Path  string          `json:"path" bson:"path"`
	To    string          `json:"to,omitempty" bson:"to,omitempty"`
	Value json.RawMessage `json:"value,omitempty" bson:"value,omitempty"`
}

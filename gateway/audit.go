package gateway

import "encoding/json"

// AuditEntry is who did what, when and from where. It is written before the change, with the revision that the change
// makes; one whose revision never came to be is shown as not applied.
type AuditEntry struct {
	ID string `json:"id" bson:"_id"`
	// Number counts within the organisation, without gaps in what was written; the store assigns it.
	Number       int64  `json:"number" bson:"number"`
	Organisation string `json:"organisation" bson:"organisation"`
	At           Time   `json:"at" bson:"at"`
	// Actor is a key's id, "operator", "cli" or "system"; User is the platform's name for the person, where known.
	Actor   string `json:"actor" bson:"actor"`
	User    string `json:"user,omitempty" bson:"user,omitempty"`
	Address string `json:"address,omitempty" bson:"address,omitempty"`
	// Action is a word such as "webhook.updated"; Object is the id of what it was done to.
	Action string `json:"action" bson:"action"`
	Object string `json:"object" bson:"object"`
	// Revision is the one that the change makes; 0 where the object has none.
	Revision int64         `json:"revision,omitempty" bson:"revision,omitempty"`
	Changes  []AuditChange `json:"changes" bson:"changes"`
	// Applied is false when the change never came to be. Gateway works it out when it lists.
	Applied bool `json:"applied" bson:"-"`
}

// AuditChange is one field before and after. Secrets and URLs beyond their host are never here.
type AuditChange struct {
	Field  string          `json:"field" bson:"field"`
	Before json.RawMessage `json:"before" bson:"before,omitempty"`
	After  json.RawMessage `json:"after" bson:"after,omitempty"`
}

// AuditFilter narrows a list of audit entries; empty fields narrow nothing.
type AuditFilter struct {
	Actor, Action, Object string
	Since, Until          Time
}

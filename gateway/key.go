package gateway

// KeyKind is what a key may do; API.md has the table.
type KeyKind string

const (
	// KindOperator may do everything, for any organisation.
	KindOperator KeyKind = "operator"
	// KindPublisher may publish events and read the catalogue.
	KindPublisher KeyKind = "publisher"
	// KindPortal may make portal links, nothing else.
	KindPortal KeyKind = "portal"
	// KindOrganisation may do what one organisation's customer does.
	KindOrganisation KeyKind = "organisation"
	// KindMonitor may read metrics and the details of readiness.
	KindMonitor KeyKind = "monitor"
)

// Key is one API key. The key itself is shown once; the store has its SHA-256, which suffices for 256 random bits.
type Key struct {
	ID   string  `json:"id" bson:"_id"`
	Kind KeyKind `json:"kind" bson:"kind"`
	// Organisation is the one that a key of kind organisation belongs to.
	Organisation string `json:"organisation,omitempty" bson:"organisation,omitempty"`
	// Products and Organisations narrow a publisher; empty means all.
	Products      []string `json:"products,omitempty" bson:"products,omitempty"`
	Organisations []string `json:"organisations,omitempty" bson:"organisations,omitempty"`
	Name          string   `json:"name" bson:"name"`
	CreatedAt     Time     `json:"createdAt" bson:"createdAt"`
	ExpiresAt     Time     `json:"expiresAt" bson:"expiresAt"`
	// LastUsedAt is written at most once a minute.
	LastUsedAt Time   `json:"lastUsedAt" bson:"lastUsedAt"`
	Hash       []byte `json:"-" bson:"hash"`
}

// KeyInput is what the operator may write of a key.
type KeyInput struct {
	Kind          Optional[string]   `json:"kind"`
	Organisation  Optional[string]   `json:"organisation"`
	Products      Optional[[]string] `json:"products"`
	Organisations Optional[[]string] `json:"organisations"`
	Name          Optional[string]   `json:"name"`
	ExpiresAt     Optional[string]   `json:"expiresAt"`
}

// Actor is who calls: a key, the portal's user, the command line or the gateway itself. Every method of Gateway that
// acts for somebody takes one; its zero value may do nothing.
type Actor struct {
	Kind KeyKind
	// Key is the id of the key, "operator" for the one of the settings, "cli" or "system".
	Key string
	// Organisation is the one that the actor belongs to; empty for the operator.
	Organisation  string
	Products      []string
	Organisations []string
	// User is the platform's name for the person, where one is known. Address is where the call came from.
	User    string
	Address string
}

// Scope is whose records a store method may see. The zero value sees nothing.
type Scope struct {
	organisation string
	everyone     bool
}

// Only is the scope of one organisation. It panics on an empty id: that would be a query for nobody.
func Only(organisation string) Scope {
	if organisation == "" {
		panic("gateway: a scope without an organisation")
	}
	return Scope{organisation: organisation}
}

// Everyone is the operator's scope: every organisation.
func Everyone() Scope { return Scope{everyone: true} }

// Organisation is the one that the scope is bound to; ok is false for Everyone. A store adds it to its query.
func (s Scope) Organisation() (id string, ok bool) {
	if s.everyone {
		return "", false
	}
	return s.organisation, true
}

package gateway

import "fmt"

// Organisation is a customer of the platform; everything but the catalogue belongs to one.
type Organisation struct {
	ID   string `json:"id" bson:"_id"`
	Name string `json:"name" bson:"name"`
	// Hosts, where not empty, are the only hosts that its endpoints may name: exact names, or "*.example.com" for
	// every name below one. Set by the operator.
	Hosts []string `json:"hosts" bson:"hosts"`
	// SecretReadable lets signing secrets be read again. Set by the operator, audited.
	SecretReadable bool  `json:"secretReadable" bson:"secretReadable"`
	Revision       int64 `json:"revision" bson:"revision"`
	CreatedAt      Time  `json:"createdAt" bson:"createdAt"`
	UpdatedAt      Time  `json:"updatedAt" bson:"updatedAt"`
	// Erasing is set first when an organisation is deleted: it is not found from then on, while its data goes.
	Erasing bool `json:"-" bson:"erasing,omitempty"`
}

// OrganisationInput is what the operator may write of an organisation.
type OrganisationInput struct {
	ID             Optional[string]   `json:"id"`
	Name           Optional[string]   `json:"name"`
	Hosts          Optional[[]string] `json:"hosts"`
	SecretReadable Optional[bool]     `json:"secretReadable"`
}

// Account is a sub-account of an organisation, known once put or once an event named it.
type Account struct {
	Organisation string `json:"-" bson:"organisation"`
	ID           string `json:"id" bson:"id"`
	Name         string `json:"name" bson:"name"`
	LastEventAt  Time   `json:"lastEventAt" bson:"lastEventAt"`
	// KnownSince is when the account became known: what lists go by. Whoever puts an account says now, and the first
	// time stays.
	KnownSince Time `json:"-" bson:"knownSince"`
}

// Place is where the account stands among all: it sorts by KnownSince, and no two accounts have the same.
func (a Account) Place() string {
	return fmt.Sprintf("%014d/%s/%s", int64(a.KnownSince), a.Organisation, a.ID)
}

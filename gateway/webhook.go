package gateway

import (
	"encoding/json"

	"github.com/unihook/unihook/mapping"
)

// WebhookStatus is whether a webhook sends.
type WebhookStatus string

const (
	// Active webhooks get deliveries. Entered by the customer's choice.
	Active WebhookStatus = "active"
	// Inactive ones get none, and what waits goes on waiting. Entered by the customer's choice, or with statusReason
	// "gone" when the last open endpoint answered 410; left by the customer's choice alone.
	Inactive WebhookStatus = "inactive"
)

// Webhook is a customer's configuration: endpoints, selected events, mapping, headers, signing.
//
// Stored, it is sealed: URLs are cut to their origins, secret values are empty, and Sealed has the ciphertexts. In
// memory it is open. Gateway turns one into the other; a store keeps what it is given.
type Webhook struct {
	ID           string        `json:"id" bson:"_id"`
	Organisation string        `json:"organisation" bson:"organisation"`
	Revision     int64         `json:"revision" bson:"revision"`
	Name         string        `json:"name" bson:"name"`
	Description  string        `json:"description" bson:"description"`
	Status       WebhookStatus `json:"status" bson:"status"`
	// StatusReason says why the gateway itself made the webhook inactive ("gone"), else empty.
	StatusReason string      `json:"statusReason" bson:"statusReason"`
	Endpoints    []Endpoint  `json:"endpoints" bson:"endpoints"`
	Events       []Selection `json:"events" bson:"events"`
	// Accounts narrows the events to those of these accounts; empty means every account.
	Accounts []string       `json:"accounts" bson:"accounts"`
	Mapping  []mapping.Rule `json:"mapping" bson:"mapping"`
	// Payload is the body's kind: "event", "data" or "unified".
	Payload    string     `json:"payload" bson:"payload"`
	Headers    []Header   `json:"headers" bson:"headers"`
	Signing    Signing    `json:"signing" bson:"signing"`
	Retry      Retry      `json:"retry" bson:"retry"`
	Quarantine Quarantine `json:"quarantine" bson:"quarantine"`
	// TimeoutSeconds bounds a whole attempt, 1 to 60.
	TimeoutSeconds int `json:"timeoutSeconds" bson:"timeoutSeconds"`
	// RateLimit is requests per second to each endpoint over all workers; null is no limit.
	RateLimit *float64 `json:"rateLimit" bson:"rateLimit"`
	// Ordered sends one at a time per endpoint, in the order of acceptance.
	Ordered   bool `json:"ordered" bson:"ordered"`
	CreatedAt Time `json:"createdAt" bson:"createdAt"`
	UpdatedAt Time `json:"updatedAt" bson:"updatedAt"`
	// Warnings are made at each answer and never stored.
	Warnings []Warning `json:"warnings" bson:"-"`

	// DeletedAt makes a tombstone: not found for its owner, its secrets gone, its deliveries still readable.
	DeletedAt Time   `json:"-" bson:"deletedAt,omitempty"`
	Sealed    Sealed `json:"-" bson:"sealed"`
}

// Endpoint is one target URL of a webhook.
type Endpoint struct {
	ID string `json:"id" bson:"id"`
	// URL is whole in memory and cut to scheme, host and port where it is stored.
	URL         string `json:"url" bson:"url"`
	Description string `json:"description" bson:"description"`
	// Health is joined from the endpoint's state when a webhook is read, and never stored with the webhook.
	Health *Health `json:"health,omitempty" bson:"-"`
	// URLNumber counts the URLs that this endpoint has had, so that an attempt can name the one it used.
	URLNumber int `json:"-" bson:"urlNumber"`
}

// Selection chooses events: a pair of the catalogue, a product with type "*", or "*" with "*".
type Selection struct {
	Product string `json:"product" bson:"product"`
	Type    string `json:"type" bson:"type"`
	// Mapping of no rules is shown as it was given.
	Mapping SelectionRules `json:"mapping,omitzero" bson:"mapping,omitempty"`
}

// SelectionRules are the rules of one selection; nil where it was given none.
type SelectionRules []mapping.Rule

// IsZero keeps an empty list of rules, which was given, where nil is left out.
func (r SelectionRules) IsZero() bool { return r == nil }

// Header is a custom header of every request.
type Header struct {
	Name string `json:"name" bson:"name"`
	// Value is empty, and no key of the JSON, where the header is secret and stored or shown.
	Value     string `json:"value" bson:"value,omitempty"`
	ValueHint string `json:"valueHint,omitempty" bson:"valueHint,omitempty"`
	Secret    bool   `json:"secret" bson:"secret"`
	// Missing marks the secret header of a duplicate whose value nobody gave yet: it is not sent. It is told by the
	// ciphertext that is not there.
	Missing bool `json:"-" bson:"-"`
}

// MarshalJSON leaves the value of a secret header out where it is empty. An empty value that is no secret stands there,
// so that what was read can be sent back.
func (h Header) MarshalJSON() ([]byte, error) {
	type plain Header // the fields without this method
	if h.Value != "" || !h.Secret {
		return json.Marshal(plain(h))
	}
	return json.Marshal(struct {
		plain
		Value any `json:"value,omitempty"`
	}{plain: plain(h)})
}

// Signing is how requests are signed.
type Signing struct {
	// Scheme is one of package sign's.
	Scheme string `json:"scheme" bson:"scheme"`
	// Header renames the signature header of the schemes that have one of their own.
	Header string `json:"header,omitempty" bson:"header,omitempty"`
	// Secret is there in memory, in the answer to a create, and for organisations with readable secrets.
	Secret     string `json:"secret,omitempty" bson:"-"`
	SecretHint string `json:"secretHint,omitempty" bson:"secretHint,omitempty"`
	// PublicKey is that of an Ed25519 pair, "whpk_...".
	PublicKey string `json:"publicKey,omitempty" bson:"publicKey,omitempty"`
	// PreviousSecret signs too (or, with schemes of one signature, alone) until PreviousUntil. In memory only.
	PreviousSecret string `json:"-" bson:"-"`
	// PreviousUntil ends the grace period of a rotation; zero when there is none.
	PreviousUntil Time `json:"previousUntil,omitzero" bson:"previousUntil,omitempty"`
}

// Retry is when failed deliveries are tried again.
type Retry struct {
	// Schedule is "standard", "unidy" or "custom", the last with Delays such as "10s".
	Schedule string `json:"schedule" bson:"schedule"`
	// Delays are the custom schedule's; nil is another schedule.
	Delays RetryDelays `json:"delays,omitzero" bson:"delays,omitempty"`
	// Gone is "stop" (410 closes the endpoint) or "retry" (410 is a failure like any other).
	Gone string `json:"gone" bson:"gone"`
}

// RetryDelays are the waits before each further attempt; of none there is one attempt.
type RetryDelays []string

// IsZero keeps an empty list, which is a schedule, where nil is left out.
func (d RetryDelays) IsZero() bool { return d == nil }

// Quarantine is when a failing endpoint is left alone.
type Quarantine struct {
	// After is how many failures in a row start it; 0 is never.
	After int `json:"after" bson:"after"`
	// For is the first cool-down, such as "1m"; it doubles to a limit of the operator's.
	For string `json:"for" bson:"for"`
}

// Warning is something that is allowed and probably not meant.
type Warning struct {
	Pointer string `json:"pointer,omitempty"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// Sealed has a webhook's ciphertexts. Each is bound to the organisation, the webhook, the field and, for headers, the
// lower-case name.
type Sealed struct {
	// URLs are keyed by endpoint id, "/" and the URL's number: the present ones, and the past ones that attempts name.
	URLs    map[string][]byte `json:"urls,omitempty" bson:"urls,omitempty"`
	Headers map[string][]byte `json:"headers,omitempty" bson:"headers,omitempty"`
	// Secret and Previous are the signing secrets.
	Secret   []byte `json:"secret,omitempty" bson:"secret,omitempty"`
	Previous []byte `json:"previous,omitempty" bson:"previous,omitempty"`
}

// WebhookInput is what a caller may write of a webhook. Mapping rules stay as text, for package mapping to judge.
type WebhookInput struct {
	Organisation   Optional[string]           `json:"organisation"`
	Name           Optional[string]           `json:"name"`
	Description    Optional[string]           `json:"description"`
	Status         Optional[string]           `json:"status"`
	Endpoints      Optional[[]EndpointInput]  `json:"endpoints"`
	Events         Optional[[]SelectionInput] `json:"events"`
	Accounts       Optional[[]string]         `json:"accounts"`
	Mapping        Optional[RawJSON]          `json:"mapping"`
	Payload        Optional[string]           `json:"payload"`
	Headers        Optional[[]HeaderInput]    `json:"headers"`
	Signing        Optional[SigningInput]     `json:"signing"`
	Retry          Optional[RetryInput]       `json:"retry"`
	Quarantine     Optional[QuarantineInput]  `json:"quarantine"`
	TimeoutSeconds Optional[int]              `json:"timeoutSeconds"`
	RateLimit      Optional[float64]          `json:"rateLimit"`
	Ordered        Optional[bool]             `json:"ordered"`
}

// RawJSON is a value of a body that is kept as text.
type RawJSON []byte

// EndpointInput is one endpoint as a caller writes it.
type EndpointInput struct {
	ID          Optional[string] `json:"id"`
	URL         Optional[string] `json:"url"`
	Description Optional[string] `json:"description"`
}

// SelectionInput is one selection of events as a caller writes it.
type SelectionInput struct {
	Product Optional[string]  `json:"product"`
	Type    Optional[string]  `json:"type"`
	Mapping Optional[RawJSON] `json:"mapping"`
}

// HeaderInput is one header as a caller writes it.
type HeaderInput struct {
	Name   Optional[string] `json:"name"`
	Value  Optional[string] `json:"value"`
	Secret Optional[bool]   `json:"secret"`
}

// SigningInput is the signing as a caller writes it. Secret is taken on create alone.
type SigningInput struct {
	Scheme Optional[string] `json:"scheme"`
	Header Optional[string] `json:"header"`
	Secret Optional[string] `json:"secret"`
}

// RetryInput is the retry schedule as a caller writes it.
type RetryInput struct {
	Schedule Optional[string]   `json:"schedule"`
	Delays   Optional[[]string] `json:"delays"`
	Gone     Optional[string]   `json:"gone"`
}

// QuarantineInput is the quarantine as a caller writes it.
type QuarantineInput struct {
	After Optional[int]    `json:"after"`
	For   Optional[string] `json:"for"`
}

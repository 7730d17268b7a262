package gateway

// DeliveryStatus is where a delivery is in its life.
type DeliveryStatus string

const (
	// Pending: accepted and not finished. Entered at acceptance; left by a result or a cancel.
	Pending DeliveryStatus = "pending"
	// Delivered: the receiver answered 2xx. Final, unless retried by hand (and then it stays).
	Delivered DeliveryStatus = "delivered"
	// Failed: no attempt is left, or none can help. Left by a successful manual retry alone.
	Failed DeliveryStatus = "failed"
	// Cancelled: by its owner, or because the webhook or the endpoint is no more. Left as Failed is.
	Cancelled DeliveryStatus = "cancelled"
)

// Reason says more about a status.
type Reason string

const (
	// Scheduled: the first attempt is due or under way.
	Scheduled Reason = "scheduled"
	// Retrying: an attempt failed, the next one has a time.
	Retrying Reason = "retrying"
	// InQuarantine: parked until the endpoint's probe succeeds or the webhook is saved.
	InQuarantine Reason = "quarantined"
	// EndpointGone: pending, parked until the webhook is saved; failed, the receiver answered 410 to this one.
	EndpointGone Reason = "gone"
	// RateLimited: parked until the endpoint's rate allows it.
	RateLimited Reason = "rate_limited"
	// InOrder: parked behind an earlier one of an ordered webhook.
	InOrder Reason = "ordered"
	// Waiting: parked until the endpoint has a free slot.
	Waiting Reason = "waiting"
	// WebhookInactive: parked until the webhook is active.
	WebhookInactive Reason = "inactive"

	// Exhausted: failed, out of attempts.
	Exhausted Reason = "exhausted"
	// BadMapping: failed, the mapping cannot be applied.
	BadMapping Reason = "mapping"
	// Expired: failed, older than the retention.
	Expired Reason = "expired"
	// TestFailed: failed, a test is tried once.
	TestFailed Reason = "test"

	// ByHand: cancelled by its owner.
	ByHand Reason = "cancelled"
	// WebhookDeleted: cancelled with its webhook.
	WebhookDeleted Reason = "webhook_deleted"
	// EndpointRemoved: cancelled with its endpoint.
	EndpointRemoved Reason = "endpoint_removed"
)

// Trigger is why an attempt was made.
type Trigger string

// Triggers of attempts; API.md has the words.
const (
	BySchedule Trigger = "schedule"
	ByProbe    Trigger = "probe"
	ByManual   Trigger = "manual"
	ByReplay   Trigger = "replay"
	ByTest     Trigger = "test"
)

// Failure is the class of what went wrong in an attempt; empty is success. The classes but FailureMapping are
// package egress's.
type Failure string

// FailureMapping is an attempt that never left: the mapping could not be applied.
const FailureMapping Failure = "mapping"

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID              string         `json:"id" bson:"_id"`
	Event           string         `json:"event" bson:"event"`
	Organisation    string         `json:"organisation" bson:"organisation"`
	Webhook         string         `json:"webhook" bson:"webhook"`
	Endpoint        string         `json:"endpoint" bson:"endpoint"`
	WebhookRevision int64          `json:"webhookRevision" bson:"webhookRevision"`
	Test            bool           `json:"test" bson:"test,omitempty"`
	Replay          *string        `json:"replay" bson:"replay,omitempty"`
	Product         string         `json:"product" bson:"product"`
	Type            string         `json:"type" bson:"type"`
	Status          DeliveryStatus `json:"status" bson:"status"`
	Reason          Reason         `json:"reason" bson:"reason"`
	// NextAttemptAt is never null of a pending one: while a request runs it is the time that one was due.
	NextAttemptAt Time `json:"nextAttemptAt" bson:"nextAttemptAt"`
	CreatedAt     Time `json:"createdAt" bson:"createdAt"`
	FinishedAt    Time `json:"finishedAt" bson:"finishedAt"`
	// Attempts are in the order of their numbers; lists leave them out and have LastAttempt.
	Attempts    []Attempt    `json:"attempts,omitempty" bson:"-"`
	LastAttempt *LastAttempt `json:"lastAttempt,omitempty" bson:"lastAttempt,omitempty"`

	// Shape is the content hash of what the body depends on but the event.
	Shape string `json:"-" bson:"shape"`
	// Order is the acceptance number, as the event's; a replay's deliveries have their own.
	Order string `json:"-" bson:"order"`
	// Failures counts the attempts that used up the schedule; AttemptCount counts all, and numbers the next.
	Failures     int `json:"-" bson:"failures"`
	AttemptCount int `json:"-" bson:"attemptCount"`

	Place Place `json:"-" bson:",inline"`
}

// Place is where a pending delivery is, told by its fields:
//
//	claimed  Run (the claim), LookAt (the claim's end)       left by its result, or when the claim ends
//	later    LookAt alone: the next attempt                  left when due
//	spare    Turn: accepted while the queue was behind       left in the order of turns
//	parked   Lane: endpoint "/" acceptance number            left by its endpoint's lane
//
// A finished delivery has none of them. Zero fields are kept out of a store's indexes.
type Place struct {
	Run    string `json:"run,omitempty" bson:"run,omitempty"`
	LookAt Time   `json:"lookAt,omitzero" bson:"lookAt,omitempty"`
	// Turn is in milliseconds, as a Time; it orders and need not be due.
	Turn Time   `json:"turn,omitzero" bson:"turn,omitempty"`
	Lane string `json:"lane,omitempty" bson:"lane,omitempty"`
}

// LaneKey is the Lane of a delivery parked for endpoint. "/" sorts before every digit and letter, so that a lane's
// keys lie between endpoint+"/" and endpoint+"0".
func LaneKey(endpoint, order string) string { return endpoint + "/" + order }

// Attempt is one HTTP request of a delivery.
type Attempt struct {
	Number     int     `json:"number" bson:"number"`
	At         Time    `json:"at" bson:"at"`
	DurationMs float64 `json:"durationMs" bson:"durationMs"`
	Trigger    Trigger `json:"trigger" bson:"trigger"`
	// URL is cut to scheme, host and port where it is stored; Gateway puts the whole one back for who may see it.
	URL           string  `json:"url" bson:"url"`
	Status        int     `json:"status" bson:"status"`
	Failure       Failure `json:"failure" bson:"failure"`
	Error         string  `json:"error" bson:"error"`
	LocalAddress  string  `json:"localAddress" bson:"localAddress"`
	RemoteAddress string  `json:"remoteAddress" bson:"remoteAddress"`
	Timing        Timing  `json:"timing" bson:"timing"`
	// RequestHeaders has secrets masked before it is stored.
	RequestHeaders map[string]string `json:"requestHeaders" bson:"requestHeaders"`
	// RequestBody is never stored: Gateway makes it again from the event and the shape, and checks it against BodySHA.
	RequestBody        *string           `json:"requestBody" bson:"-"`
	RequestBodyRemoved bool              `json:"requestBodyRemoved,omitempty" bson:"-"`
	ResponseHeaders    map[string]string `json:"responseHeaders" bson:"responseHeaders"`
	ResponseBody       string            `json:"responseBody" bson:"responseBody"`
	// ResponseEncoding is "base64" where the body is not UTF-8, else empty.
	ResponseEncoding  string `json:"responseEncoding,omitempty" bson:"responseEncoding,omitempty"`
	ResponseTruncated bool   `json:"responseTruncated" bson:"responseTruncated"`

	// BodySHA is the SHA-256 of the body that was sent.
	BodySHA []byte `json:"-" bson:"bodySha,omitempty"`
	// URLNumber names the endpoint's URL that was used, in the webhook's Sealed.URLs.
	URLNumber int `json:"-" bson:"urlNumber"`
	// BodySig is the signature inside the body, of payloads that carry one; else empty.
	BodySig string `json:"-" bson:"bodySig,omitempty"`
}

// Timing is how long the phases of a request took, in milliseconds.
type Timing struct {
	DNSMs     float64 `json:"dnsMs" bson:"dnsMs"`
	ConnectMs float64 `json:"connectMs" bson:"connectMs"`
	TLSMs     float64 `json:"tlsMs" bson:"tlsMs"`
	WaitMs    float64 `json:"waitMs" bson:"waitMs"`
	ReadMs    float64 `json:"readMs" bson:"readMs"`
}

// LastAttempt is what a list shows of a delivery's newest attempt.
type LastAttempt struct {
	Number  int     `json:"number" bson:"number"`
	At      Time    `json:"at" bson:"at"`
	Status  int     `json:"status" bson:"status"`
	Failure Failure `json:"failure" bson:"failure"`
}

// What is kept of a delivery's attempts: the first and the last KeptAttempts, and the response bodies of the last
// KeptBodies. The write of an attempt drops what falls out.
const (
	KeptAttempts = 24
	KeptBodies   = 3
)

// DeliveryFilter narrows a list of deliveries; empty fields narrow nothing.
type DeliveryFilter struct {
	Webhook, Endpoint, Event, Replay string
	// Statuses are alternatives.
	Statuses []DeliveryStatus
	// Since is included, Until is not; both go by CreatedAt.
	Since, Until Time
	// NoTests leaves tests out.
	NoTests bool
	// Oldest lists the oldest first, for a replay.
	Oldest bool
}

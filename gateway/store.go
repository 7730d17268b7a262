package gateway

import (
	"context"
	"time"
)

// ClaimFor is W: how long a claim on deliveries, or a lease on a lane, holds without being renewed. A killed worker's
// deliveries are sent again after this and one pass of the feeder.
const ClaimFor = 20 * time.Second

// Page asks for a part of a list.
type Page struct {
	// Limit is the most to answer, 1 to 200.
	Limit int
	// After is the store's own mark of where the last part ended; empty is the start.
	After string
}

// Store is what is authoritative: what must happen and who is at it. Both implementations pass storetest.
//
// All methods are safe for concurrent use. Writes are durable when they return: in SQLite after an fsync, in MongoDB
// with a journalled majority. A write whose context ends may or may not have happened; repeating it is harmless.
// Inserts answer ErrTaken for an id that exists. The zero Scope finds nothing. A mark (Page.After, next) is the store's
// own; a list that is read by marks has each record once, whatever is inserted meanwhile.
// Errors are ErrNotFound, ErrTaken, ErrStale and ErrAway (wrapped) or internal. Methods of the parts below that serve
// people take a Scope or an organisation, and their queries include it; those of Pipeline serve workers and do not.
type Store interface {
	Organisations
	Keys
	Webhooks
	Events
	Deliveries
	Pipeline
	Endpoints
	Jobs
	Audit
	Keyring
	// Ping tells whether the store can be written to now.
	Ping(ctx context.Context) error
	// Close waits for writes under way.
	Close() error
}

// Organisations keeps organisations and their accounts. Lists are newest first.
type Organisations interface {
	// InsertOrganisation answers ErrTaken for an id that exists.
	InsertOrganisation(ctx context.Context, o Organisation) error
	// Organisation answers one that is being erased too.
	Organisation(ctx context.Context, id string) (Organisation, error)
	ListOrganisations(ctx context.Context, page Page) (list []Organisation, next string, err error)
	// ReplaceOrganisation replaces the one whose revision is was, else ErrStale.
	ReplaceOrganisation(ctx context.Context, o Organisation, was int64) error
	// EraseOrganisation removes at most limit records of what the organisation has, all but its audit; when nothing is
	// left it removes the organisation and answers true. A job of kind erase stays: its worker deletes it afterwards.
	EraseOrganisation(ctx context.Context, id string, limit int) (done bool, err error)

	// PutAccounts makes or updates accounts: a name where it is not empty, the later LastEventAt, the first KnownSince.
	PutAccounts(ctx context.Context, accounts []Account) error
	// Accounts is every account of the organisation among ids, by id.
	Accounts(ctx context.Context, organisation string, ids []string) ([]Account, error)
	// ListAccounts lists accounts by their places, newest first.
	ListAccounts(ctx context.Context, scope Scope, page Page) (list []Account, next string, err error)
}

// Keys keeps API keys.
type Keys interface {
	InsertKey(ctx context.Context, k Key) error
	// Key finds a key by its id: it is read before anything is known of the caller.
	Key(ctx context.Context, id string) (Key, error)
	ListKeys(ctx context.Context, page Page) (list []Key, next string, err error)
	// DeleteKey answers ErrNotFound for a key that is not there.
	DeleteKey(ctx context.Context, id string) error
	// TouchKeys notes when keys were last used.
	TouchKeys(ctx context.Context, usedAt map[string]Time) error
}

// Revision is a webhook's id and its present revision.
type Revision struct {
	ID       string
	Revision int64
	Deleted  bool
}

// Webhooks keeps webhooks, sealed; open secrets, health and warnings are never stored, and absent lists are read as empty
// ones. Tombstones (DeletedAt) are found by Webhook and WebhooksByID and are in no list,
// count or revision.
type Webhooks interface {
	InsertWebhook(ctx context.Context, w Webhook) error
	Webhook(ctx context.Context, scope Scope, id string) (Webhook, error)
	ListWebhooks(ctx context.Context, scope Scope, page Page) (list []Webhook, next string, err error)
	CountWebhooks(ctx context.Context, organisation string) (int, error)
	// ReplaceWebhook replaces the one of its organisation and id whose revision is was, else ErrStale.
	ReplaceWebhook(ctx context.Context, w Webhook, was int64) error
	// Revisions is what a snapshot compares: every webhook of the organisation.
	Revisions(ctx context.Context, organisation string) ([]Revision, error)
	// WebhooksByID is the worker's; ids without a webhook are left out.
	WebhooksByID(ctx context.Context, ids []string) ([]Webhook, error)
	// EachWebhook walks all webhooks, tombstones too, in the order of their ids, after the one given; limit at a time.
	// It is for exchanging keys.
	EachWebhook(ctx context.Context, after string, limit int) ([]Webhook, error)
	// ReplaceSealed exchanges the ciphertexts of the webhook whose revision is was, else ErrStale. It does not raise
	// the revision.
	ReplaceSealed(ctx context.Context, w Webhook, was int64) error
}

// Events keeps events, their plans and the shapes of bodies.
type Events interface {
	// PutShapes writes shapes that are not there yet.
	PutShapes(ctx context.Context, shapes []Shape) error
	// Shapes finds shapes by id; those not there are left out.
	Shapes(ctx context.Context, ids []string) ([]Shape, error)
	// Accept writes events, then the deliveries of those that were new: in one transaction where the store has them.
	// taken[i] is true for an event whose key was there already; its deliveries are not written. Of twins in one call
	// the first is new, and its plan tells which deliveries are its own.
	Accept(ctx context.Context, events []Event, deliveries []Delivery) (taken []bool, err error)
	// InsertDeliveries writes the deliveries that are not there yet: those that a plan lacks, a test's, a replay's.
	InsertDeliveries(ctx context.Context, deliveries []Delivery) error
	// Event answers with data and plan. With Everyone and an id that several organisations have it is the newest one.
	Event(ctx context.Context, scope Scope, id string) (Event, error)
	// EventOwners lists up to limit organisations that have an event with the id, in no order.
	EventOwners(ctx context.Context, id string, limit int) ([]string, error)
	// ListEvents leaves data and plan out, newest accepted first.
	ListEvents(ctx context.Context, scope Scope, filter EventFilter, page Page) (list []Event, next string, err error)
	// EventsByKey is the worker's: events with data, by EventKey; those not there are left out.
	EventsByKey(ctx context.Context, keys []string) ([]Event, error)
	// EraseEvent removes the data and marks the event erased; ErrNotFound where there is none.
	EraseEvent(ctx context.Context, organisation, id string) error
	// PurgeEvents removes at most limit events accepted before the time given, oldest first, and answers how many.
	PurgeEvents(ctx context.Context, before Time, limit int) (int, error)
}

// Deliveries keeps deliveries as people see them.
type Deliveries interface {
	// Delivery answers with its attempts.
	Delivery(ctx context.Context, scope Scope, id string) (Delivery, error)
	// ListDeliveries leaves attempts out; newest first, or oldest first where the filter says so. An order of ids.
	ListDeliveries(ctx context.Context, scope Scope, filter DeliveryFilter, page Page) (list []Delivery, next string, err error)
	// CountDeliveries counts by status.
	CountDeliveries(ctx context.Context, scope Scope, filter DeliveryFilter) (map[DeliveryStatus]int, error)
	// CountPending counts the organisation's pending deliveries, up to limit.
	CountPending(ctx context.Context, organisation string, limit int) (int, error)
	// CancelDelivery finishes a pending delivery as cancelled; ErrStale when it is not pending, ErrNotFound when it is
	// not there.
	CancelDelivery(ctx context.Context, organisation, id string, reason Reason, at Time) error
	// CancelPending does so for at most limit pending deliveries of the organisation that match, and answers how many
	// it found: fewer than limit when none is left, whatever finished some of them meanwhile.
	CancelPending(ctx context.Context, organisation string, filter DeliveryFilter, reason Reason, at Time, limit int) (int, error)
	// ForgetResponses removes the response headers and bodies of an event's attempts: part of its erasure.
	ForgetResponses(ctx context.Context, organisation, event string) error
	// ExpirePending finishes at most limit pending deliveries created before the time given as failed, Expired, and
	// answers how many it found.
	ExpirePending(ctx context.Context, before, at Time, limit int) (int, error)
	// PurgeDeliveries removes at most limit deliveries that were finished before the time given, and answers how many.
	PurgeDeliveries(ctx context.Context, before Time, limit int) (int, error)

	InsertReplay(ctx context.Context, r Replay) error // ErrTaken while one runs for the webhook
	Replay(ctx context.Context, scope Scope, id string) (Replay, error)
	// UpdateReplay replaces a replay that is still running, else ErrStale.
	UpdateReplay(ctx context.Context, r Replay) error
}

// Claim moves a delivery that is later, spare, or whose claim ended into a run.
type Claim struct {
	Delivery string
	// Was is the place as it was read: the claim is made where it is still so.
	Was Place
	// Run and Until are the new claim.
	Run   string
	Until Time
}

// Parking moves a claimed delivery into its endpoint's lane.
type Parking struct {
	Delivery string
	// Run is the claim that it has; where it has another by now nothing changes.
	Run    string
	Lane   string
	Reason Reason
	// NextAttemptAt is when it is expected to move on.
	NextAttemptAt Time
}

// Result is what became of one attempt of a delivery.
type Result struct {
	Delivery string
	// Attempt is nil where none was made (a delivery cancelled because its endpoint is gone from the webhook).
	Attempt *Attempt
	// Manual results change a delivery's state when they are Delivered, in any state, and never otherwise.
	Manual bool

	// What follows is written where the delivery is still pending. Status Pending is a retry: LookAt becomes
	// NextAttemptAt and the rest of the place is cleared, or with KeepLane the lane stays and nothing else.
	Status        DeliveryStatus
	Reason        Reason
	NextAttemptAt Time
	FinishedAt    Time
	Failures      int
	KeepLane      bool
}

// Pipeline is what workers do to deliveries. None of it takes an organisation; all of it is idempotent.
type Pipeline interface {
	// Due lists deliveries to be looked at, oldest LookAt first: later ones due by later, and claims that ended by
	// claims. Only ID, Place, Endpoint and Organisation are filled.
	Due(ctx context.Context, later, claims Time, limit int) ([]Delivery, error)
	// Spare lists spare deliveries in the order of their turns, filled as Due does.
	Spare(ctx context.Context, limit int) ([]Delivery, error)
	// Claim makes those claims whose delivery is still pending and in the place that was read.
	Claim(ctx context.Context, claims []Claim) error
	// DeliveriesByID reads deliveries without attempts; ids that are not there are left out.
	DeliveriesByID(ctx context.Context, ids []string) ([]Delivery, error)
	// RenewRun moves the end of a claim, where the deliveries are pending and still claimed by run. With a time that
	// is now it gives them back.
	RenewRun(ctx context.Context, run string, deliveries []string, until Time) error
	// Park parks deliveries.
	Park(ctx context.Context, parkings []Parking) error
	// Record writes results, each on its own: where the delivery is not pending any more the attempt is added and
	// nothing else. It drops attempts and response bodies that fall out of what is kept.
	Record(ctx context.Context, results []Result) error
	// LaneHead lists the deliveries parked for endpoint, oldest first, after the Lane given; without attempts.
	LaneHead(ctx context.Context, endpoint, after string, limit int) ([]Delivery, error)
	// NextLane is the first endpoint after the one given for which deliveries are parked; empty when there is none.
	NextLane(ctx context.Context, after string) (endpoint string, err error)
	// CountParked counts the deliveries parked for each endpoint; those with none may be left out.
	CountParked(ctx context.Context, endpoints []string) (map[string]int, error)
	// Reparked sets the reason and the expected time of all deliveries parked for endpoint.
	Reparked(ctx context.Context, endpoint string, reason Reason, next Time) error
}

// Endpoints keeps the states of endpoints.
type Endpoints interface {
	// EndpointStates finds states by id; those not there are left out.
	EndpointStates(ctx context.Context, ids []string) ([]EndpointState, error)
	// Lanes lists the states of the organisation with InLane set.
	Lanes(ctx context.Context, organisation string) ([]EndpointState, error)
	// DueLanes lists states whose TurnAt has come, oldest first.
	DueLanes(ctx context.Context, now Time, limit int) ([]EndpointState, error)
	// SwapEndpoints writes each state whose Version is the stored one (0: none is stored), with the next Version, and
	// answers the ids of those that were not.
	SwapEndpoints(ctx context.Context, states []EndpointState) (stale []string, err error)
	// DeleteEndpointStates forgets states of endpoints that are no more.
	DeleteEndpointStates(ctx context.Context, organisation string, ids []string) error
}

// Jobs keeps work that must happen once.
type Jobs interface {
	InsertJob(ctx context.Context, j Job) error
	Job(ctx context.Context, id string) (Job, error)
	DueJobs(ctx context.Context, now Time, limit int) ([]Job, error)
	// SwapJob writes a job whose Version is the stored one, with the next Version, else ErrStale.
	SwapJob(ctx context.Context, j Job) error
	DeleteJob(ctx context.Context, id string) error
}

// Audit keeps who did what. Nothing changes an entry; its own retention removes it.
type Audit interface {
	// AppendAudit assigns the organisation's next number and writes the entry; one whose id is there keeps the number
	// that it has. Numbers go on after a purge.
	AppendAudit(ctx context.Context, e AuditEntry) (number int64, err error)
	// ListAudit is newest first. Entries without an organisation (keys of the operator) are in Everyone's list alone.
	ListAudit(ctx context.Context, scope Scope, filter AuditFilter, page Page) (list []AuditEntry, next string, err error)
	PurgeAudit(ctx context.Context, before Time, limit int) (int, error)
}

// Keyset is the wrapped keys that seal secrets, as one blob.
type Keyset struct {
	Blob    []byte
	Version int64
}

// Process is one running api or worker process, as others see it.
type Process struct {
	ID   string `json:"id" bson:"_id"`
	Kind string `json:"kind" bson:"kind"`
	// KeysetVersion is the newest keyset that it has loaded.
	KeysetVersion int64 `json:"keysetVersion" bson:"keysetVersion"`
	SeenAt        Time  `json:"seenAt" bson:"seenAt"`
}

// Keyring keeps the keyset and who has which version of it.
type Keyring interface {
	// Keyset answers ErrNotFound when none was made yet.
	Keyset(ctx context.Context) (Keyset, error)
	// SwapKeyset writes the keyset where the stored version is k.Version (0: none is stored), with the next one, else ErrStale.
	SwapKeyset(ctx context.Context, k Keyset) error
	// HasSealed tells whether any sealed value exists: then a lost keyset is never made anew.
	HasSealed(ctx context.Context) (bool, error)
	Beat(ctx context.Context, p Process) error
	// Processes lists those seen since.
	Processes(ctx context.Context, since Time) ([]Process, error)
}

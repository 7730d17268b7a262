package gateway

// ReplayStatus is where a replay is in its life.
type ReplayStatus string

const (
	// ReplayRunning: deliveries are still being made, or wait.
	ReplayRunning ReplayStatus = "running"
	// ReplayDone: every delivery that it made is finished.
	ReplayDone ReplayStatus = "done"
	// ReplayCancelled: stopped by its owner; what waited is cancelled.
	ReplayCancelled ReplayStatus = "cancelled"
)

// Replay makes new deliveries of a webhook's earlier ones.
type Replay struct {
	ID           string       `json:"id" bson:"_id"`
	Organisation string       `json:"-" bson:"organisation"`
	Webhook      string       `json:"webhook" bson:"webhook"`
	Status       ReplayStatus `json:"status" bson:"status"`
	Matched      int          `json:"matched" bson:"matched"`
	Made         int          `json:"made" bson:"made"`
	Delivered    int          `json:"delivered" bson:"-"`
	Failed       int          `json:"failed" bson:"-"`
	CreatedAt    Time         `json:"createdAt" bson:"createdAt"`
	FinishedAt   Time         `json:"finishedAt" bson:"finishedAt"`

	// Since, Until, FailedOnly and Original are the request; After is the last source delivery that was handled.
	Since      Time   `json:"-" bson:"since"`
	Until      Time   `json:"-" bson:"until"`
	FailedOnly bool   `json:"-" bson:"failedOnly"`
	Original   bool   `json:"-" bson:"original"`
	After      string `json:"-" bson:"after"`
	// Running is the webhook's id while the replay runs and empty afterwards: its sparse unique index allows one.
	Running string `json:"-" bson:"running,omitempty"`
}

// ReplayInput is what a caller writes to start a replay.
type ReplayInput struct {
	Since   Optional[string] `json:"since"`
	Until   Optional[string] `json:"until"`
	Status  Optional[string] `json:"status"`
	Mapping Optional[string] `json:"mapping"`
	DryRun  Optional[bool]   `json:"dryRun"`
}

// JobKind is what a job does.
type JobKind string

const (
	// JobRetry makes one attempt of a delivery now; Ref is the delivery.
	JobRetry JobKind = "retry"
	// JobReplay makes a replay's deliveries; Ref is the replay.
	JobReplay JobKind = "replay"
	// JobErase removes what belongs to a deleted organisation; Ref is its id.
	JobErase JobKind = "erase"
	// JobForget removes what receivers answered about an erased event, once no request of it is under way any more;
	// Ref is the event.
	JobForget JobKind = "forget"
)

// Job is work that must happen once and survives a wiped queue. Entered by Gateway, left by the worker that did it.
type Job struct {
	ID           string  `json:"id" bson:"_id"`
	Kind         JobKind `json:"kind" bson:"kind"`
	Organisation string  `json:"organisation" bson:"organisation"`
	Ref          string  `json:"ref" bson:"ref"`
	// TurnAt is when the feeder should see that somebody does it. Owner has it until OwnerUntil.
	TurnAt     Time   `json:"turnAt" bson:"turnAt"`
	Owner      string `json:"owner" bson:"owner"`
	OwnerUntil Time   `json:"ownerUntil" bson:"ownerUntil"`
	Version    int64  `json:"version" bson:"version"`
}

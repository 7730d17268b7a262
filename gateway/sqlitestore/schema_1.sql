-- Times are integers: milliseconds since 1970, 0 for never. Columns that are NULL for most rows are those that partial
-- indexes hold: a row leaves the index with its value.

CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;

CREATE TABLE organisations (
	id TEXT PRIMARY KEY, revision INTEGER NOT NULL, created_at INTEGER NOT NULL, erasing INTEGER NOT NULL, doc TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX organisations_created ON organisations (created_at, id);

CREATE TABLE accounts (
	organisation TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, last_event_at INTEGER NOT NULL,
	known_since INTEGER NOT NULL, place TEXT NOT NULL,
	PRIMARY KEY (organisation, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX accounts_place ON accounts (place);
CREATE INDEX accounts_own ON accounts (organisation, place);

CREATE TABLE keys (
	id TEXT PRIMARY KEY, organisation TEXT, created_at INTEGER NOT NULL, last_used_at INTEGER NOT NULL,
	hash BLOB, doc TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX keys_created ON keys (created_at, id);
CREATE INDEX keys_organisation ON keys (organisation) WHERE organisation IS NOT NULL;

CREATE TABLE webhooks (
	id TEXT PRIMARY KEY, organisation TEXT NOT NULL, revision INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
	doc TEXT NOT NULL, sealed TEXT
) STRICT;
CREATE INDEX webhooks_organisation ON webhooks (organisation, id);
CREATE INDEX webhooks_sealed ON webhooks (id) WHERE sealed IS NOT NULL;

CREATE TABLE shapes (id TEXT PRIMARY KEY, doc TEXT NOT NULL, webhook BLOB) STRICT;

-- Data comes last, so that what does not ask for it does not read its pages.
CREATE TABLE events (
	number INTEGER PRIMARY KEY,
	id TEXT NOT NULL, organisation TEXT NOT NULL, product TEXT NOT NULL, type TEXT NOT NULL, account TEXT NOT NULL,
	created_at INTEGER NOT NULL, accepted_at INTEGER NOT NULL, ord TEXT NOT NULL, erased INTEGER NOT NULL,
	hash BLOB, plan TEXT, data BLOB
) STRICT;
CREATE UNIQUE INDEX events_key ON events (id, organisation);
CREATE INDEX events_accepted ON events (accepted_at, ord);
CREATE INDEX events_organisation ON events (organisation, accepted_at, ord);

-- open is the status, or NULL once delivered; run, look_at, turn and lane are the place of a pending delivery.
CREATE TABLE deliveries (
	id TEXT PRIMARY KEY, event TEXT NOT NULL, organisation TEXT NOT NULL, webhook TEXT NOT NULL, endpoint TEXT NOT NULL,
	webhook_revision INTEGER NOT NULL, test INTEGER NOT NULL, replay TEXT, product TEXT NOT NULL, type TEXT NOT NULL,
	status TEXT NOT NULL, reason TEXT NOT NULL,
	next_attempt_at INTEGER NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER NOT NULL,
	last_number INTEGER, last_at INTEGER, last_status INTEGER, last_failure TEXT,
	shape TEXT NOT NULL, ord TEXT NOT NULL, failures INTEGER NOT NULL, attempt_count INTEGER NOT NULL,
	open TEXT, run TEXT, look_at INTEGER, turn INTEGER, lane TEXT
) WITHOUT ROWID, STRICT;
CREATE INDEX deliveries_organisation ON deliveries (organisation, id);
CREATE INDEX deliveries_webhook ON deliveries (webhook, id);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, id);
CREATE INDEX deliveries_event ON deliveries (event, id);
CREATE INDEX deliveries_replay ON deliveries (replay, id) WHERE replay IS NOT NULL;
CREATE INDEX deliveries_open ON deliveries (organisation, open, id) WHERE open IS NOT NULL;
CREATE INDEX deliveries_claimed ON deliveries (look_at, id) WHERE look_at IS NOT NULL AND run IS NOT NULL;
CREATE INDEX deliveries_later ON deliveries (look_at, id) WHERE look_at IS NOT NULL AND run IS NULL;
CREATE INDEX deliveries_spare ON deliveries (turn, id) WHERE turn IS NOT NULL;
CREATE INDEX deliveries_lane ON deliveries (lane, id) WHERE lane IS NOT NULL;

CREATE TABLE attempts (
	row INTEGER PRIMARY KEY,
	delivery TEXT NOT NULL, number INTEGER NOT NULL, url_number INTEGER NOT NULL, body_sig TEXT NOT NULL, body_sha BLOB,
	doc TEXT NOT NULL, response_headers TEXT, response_body TEXT
) STRICT;
CREATE UNIQUE INDEX attempts_key ON attempts (delivery, number);

CREATE TABLE replays (
	id TEXT PRIMARY KEY, organisation TEXT NOT NULL, running TEXT, doc TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX replays_organisation ON replays (organisation);
CREATE UNIQUE INDEX replays_running ON replays (running) WHERE running IS NOT NULL;

CREATE TABLE endpoints (
	id TEXT PRIMARY KEY, organisation TEXT NOT NULL, version INTEGER NOT NULL, in_lane INTEGER, turn_at INTEGER,
	doc TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX endpoints_organisation ON endpoints (organisation);
CREATE INDEX endpoints_lane ON endpoints (organisation) WHERE in_lane IS NOT NULL;
CREATE INDEX endpoints_turn ON endpoints (turn_at, id) WHERE turn_at IS NOT NULL;

CREATE TABLE jobs (
	id TEXT PRIMARY KEY, kind TEXT NOT NULL, organisation TEXT NOT NULL, version INTEGER NOT NULL, turn_at INTEGER,
	doc TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX jobs_organisation ON jobs (organisation);
CREATE INDEX jobs_turn ON jobs (turn_at, id) WHERE turn_at IS NOT NULL;

-- The next number is kept apart from the entries, so that purging them does not start it over.
CREATE TABLE audit_numbers (organisation TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE audit (
	row INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE, organisation TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL,
	actor TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, doc TEXT NOT NULL
) STRICT;
CREATE INDEX audit_organisation ON audit (organisation, row);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE keyset (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, blob BLOB NOT NULL) STRICT;
CREATE TABLE processes (id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID, STRICT;

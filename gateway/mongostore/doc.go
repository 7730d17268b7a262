// Package mongostore keeps everything in MongoDB: the store for production, and the only home of the MongoDB driver.
//
// It uses what every server that speaks the protocol has: documents that change as a whole, unique indexes, unordered
// bulk writes, $in, sort with limit. There is no transaction, change stream, TTL, $lookup or server-side code in it, so
// that MongoDB 6 and later, Atlas, DocumentDB and FerretDB all serve. What must hold together is one document, or an
// order of writes that is harmless to repeat: an event before its deliveries. Every write waits for the journals of a
// majority.
//
// Filters are built here from Go strings and numbers, so that nothing from outside can be an operator in one. JSON from
// outside is stored as bytes. Names from outside (of headers) are values and never keys: a key must not have a dot.
//
// # What finds what
//
// A document leaves a sparse index with its field, and only a single-field index is sparse everywhere; so where two
// values matter they are one string. In deliveries, whose _id begins with the time:
//
//	_id                 a delivery; runs ($in); retention (all before a time; what is older than that is soon gone)
//	organisation, _id   an organisation's list
//	webhook, _id        a webhook's list, and what a replay goes through
//	endpoint, _id       an endpoint's list
//	event               an event's deliveries
//	replay    (sparse)  what a replay made
//	lookAt    (sparse)  Due: ended claims and what is later, oldest first
//	turn      (sparse)  Spare, in order
//	lane      (sparse)  endpoint/number: an endpoint's lane in order (LaneHead, CountParked), the next lane (NextLane)
//	open      (sparse)  organisation/status/_id, absent once delivered: CountPending, CancelPending, lists of one status
//
// In events: _id is organisation/id; seq is the time of acceptance and the acceptance number as one string, alone and
// behind organisation (lists, windows, retention); id is for operators, who name no organisation. In endpoints: lane is
// the organisation, while the endpoint is in lane mode (Lanes), turnAt is DueLanes. In replays a unique sparse index on
// running lets one run per webhook. In audit a unique one on key (organisation/number) makes the numbers, seq is time
// and id. Organisations and keys are listed by seq, accounts by place, alone and behind organisation.
//
// A cluster shards events and accounts by _id (the organisation leads it), deliveries by a hash of _id: workers know
// deliveries by nothing else.
package mongostore

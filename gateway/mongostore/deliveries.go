package mongostore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

// deliveryDoc keeps attempts keyed by their numbers, so that a write of one that is repeated changes nothing.
type deliveryDoc struct {
	gateway.Delivery `bson:",inline"`
	// Open is organisation/status/id, and absent once delivered.
	Open     string                `bson:"open,omitempty"`
	Attempts map[string]attemptDoc `bson:"attempts,omitempty"`
}

func openKey(organisation string, status gateway.DeliveryStatus, id string) string {
	return organisation + "/" + string(status) + "/" + id
}

func deliveryOf(d gateway.Delivery) deliveryDoc {
	doc := deliveryDoc{Delivery: d}
	if d.Status != gateway.Delivered {
		doc.Open = openKey(d.Organisation, d.Status, d.ID)
	}
	for _, a := range d.Attempts {
		if doc.Attempts == nil {
			doc.Attempts = map[string]attemptDoc{}
		}
		doc.Attempts[strconv.Itoa(a.Number)] = attemptOf(a)
	}
	return doc
}

func (d deliveryDoc) delivery() gateway.Delivery {
	out := d.Delivery
	for _, a := range d.Attempts {
		out.Attempts = append(out.Attempts, a.attempt())
	}
	slices.SortFunc(out.Attempts, func(a, b gateway.Attempt) int { return a.Number - b.Number })
	return out
}

// attemptDoc has headers as pairs: their names may have dots, which keys must not.
type attemptDoc struct {
	gateway.Attempt `bson:",inline"`
	RequestHeaders  []pair `bson:"requestHeaders"`
	ResponseHeaders []pair `bson:"responseHeaders,omitempty"`
}

type pair struct {
	Name  string `bson:"n"`
	Value string `bson:"v"`
}

// attemptOf also makes what a receiver wrote valid UTF-8, as all text in the database is.
func attemptOf(a gateway.Attempt) attemptDoc {
	d := attemptDoc{Attempt: a, RequestHeaders: pairs(a.RequestHeaders), ResponseHeaders: pairs(a.ResponseHeaders)}
	d.Error = strings.ToValidUTF8(a.Error, "\uFFFD")
	d.ResponseBody = strings.ToValidUTF8(a.ResponseBody, "\uFFFD")
	return d
}

func (d attemptDoc) attempt() gateway.Attempt {
	a := d.Attempt
	a.RequestHeaders, a.ResponseHeaders = headers(d.RequestHeaders), headers(d.ResponseHeaders)
	return a
}

func pairs(headers map[string]string) []pair {
	if headers == nil {
		return nil
	}
	list := make([]pair, 0, len(headers))
	for name, value := range headers {
		list = append(list, pair{strings.ToValidUTF8(name, "\uFFFD"), strings.ToValidUTF8(value, "\uFFFD")})
	}
	slices.SortFunc(list, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func headers(pairs []pair) map[string]string {
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[p.Name] = p.Value
	}
	return m
}

// InsertDeliveries writes the deliveries that are not there yet.
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []gateway.Delivery) error {
	docs := make([]deliveryDoc, len(deliveries))
	for i, d := range deliveries {
		docs[i] = deliveryOf(d)
	}
	_, err := insertNew(ctx, s, s.deliveries, docs)
	return err
}

// Delivery answers with its attempts.
func (s *Store) Delivery(ctx context.Context, scope gateway.Scope, id string) (gateway.Delivery, error) {
	d, err := findOne[deliveryDoc](ctx, s, s.deliveries, and(eq("_id", id), scoped(scope)))
	return d.delivery(), err
}

// idSlack is how much older than its CreatedAt the time in a delivery's id may be: a replay's deliveries are made over
// hours, under ids that a second try makes again.
const idSlack = 48 * time.Hour

// idsFrom is what sorts before the id of every delivery that can have been created at t or later; idsUntil is what
// sorts after that of every one created before t.
func idsFrom(t gateway.Time) string  { return idAt(t.Add(-idSlack)) }
func idsUntil(t gateway.Time) string { return idAt(t) }

// idAt is the beginning of the ids of t's millisecond.
func idAt(t gateway.Time) string {
	return gateway.DeliveryID(max(t, 0), "", "", "", "")[:len(gateway.PrefixDelivery)+10]
}

// matching is the conditions of a filter but for the window's and the statuses'.
func matching(f gateway.DeliveryFilter) bson.D {
	filter := bson.D{}
	for _, c := range []bson.E{
		{Key: "webhook", Value: f.Webhook}, {Key: "endpoint", Value: f.Endpoint}, {Key: "event", Value: f.Event},
		{Key: "replay", Value: f.Replay},
	} {
		if c.Value != "" {
			filter = append(filter, c)
		}
	}
	if f.NoTests {
		filter = append(filter, absent("test")...)
	}
	return and(filter, times("createdAt", f.Since, f.Until))
}

func statuses(f gateway.DeliveryFilter) bson.D {
	switch len(f.Statuses) {
	case 0:
		return nil
	case 1:
		return eq("status", string(f.Statuses[0]))
	}
	return in("status", f.Statuses)
}

// idWindow bounds the ids of a list by the filter's window and the page's mark: CreatedAt decides, this finds.
func idWindow(f gateway.DeliveryFilter, after string) bson.D {
	var bounds bson.D
	if f.Since != 0 {
		bounds = append(bounds, bson.E{Key: "$gte", Value: idsFrom(f.Since)})
	}
	if f.Until != 0 {
		bounds = append(bounds, bson.E{Key: "$lt", Value: idsUntil(f.Until)})
	}
	switch {
	case after == "":
	case f.Oldest:
		bounds = append(replaced(bounds, "$gte", after), bson.E{Key: "$gt", Value: after})
	case f.Until != 0 && after > idsUntil(f.Until):
	default:
		bounds = append(replaced(bounds, "$lt", after), bson.E{Key: "$lt", Value: after})
	}
	if bounds == nil {
		return nil
	}
	return bson.D{{Key: "_id", Value: bounds}}
}

// replaced takes a bound out where another one of its kind follows: an operator stands once.
func replaced(bounds bson.D, operator, by string) bson.D {
	return slices.DeleteFunc(bounds, func(e bson.E) bool { return e.Key == operator && (operator == "$lt" || e.Value.(string) <= by) })
}

// ListDeliveries leaves attempts out.
func (s *Store) ListDeliveries(ctx context.Context, scope gateway.Scope, f gateway.DeliveryFilter, page gateway.Page) ([]gateway.Delivery, string, error) {
	organisation, one := scope.Organisation()
	narrow := f.Webhook != "" || f.Endpoint != "" || f.Event != "" || f.Replay != ""
	by, filter := "_id", and(scoped(scope), matching(f), statuses(f), idWindow(f, page.After))
	if one && !narrow && len(f.Statuses) == 1 && f.Statuses[0] != gateway.Delivered {
		// What failed is rare among what was delivered: one status of an organisation is a range of open.
		by, filter = "open", and(matching(f), openWindow(organisation, f, page.After))
	}
	sort := descending(by)
	if f.Oldest {
		sort = ascending(by)
	}
	list, err := find[gateway.Delivery](ctx, s, s.deliveries, filter, pageOptions(page, sort).SetProjection(without("attempts")))
	list, next := cut(list, page, func(d gateway.Delivery) string { return d.ID })
	return list, next, err
}

// openWindow is the range of open that holds one status of an organisation, after a page's mark.
func openWindow(organisation string, f gateway.DeliveryFilter, after string) bson.D {
	prefix := organisation + "/" + string(f.Statuses[0])
	from, to := prefix+"/", prefix+"0"
	if f.Since != 0 {
		from = prefix + "/" + idsFrom(f.Since)
	}
	if f.Until != 0 {
		to = prefix + "/" + idsUntil(f.Until)
	}
	lower := "$gte"
	if mark := prefix + "/" + after; after != "" && f.Oldest && mark >= from {
		lower, from = "$gt", mark
	} else if after != "" && !f.Oldest && mark < to {
		to = mark
	}
	return bson.D{{Key: "open", Value: bson.D{{Key: lower, Value: from}, {Key: "$lt", Value: to}}}}
}

// CountDeliveries counts by status.
func (s *Store) CountDeliveries(ctx context.Context, scope gateway.Scope, f gateway.DeliveryFilter) (map[gateway.DeliveryStatus]int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	cursor, err := s.deliveries.Aggregate(ctx, mongo.Pipeline{
		{{Key: "$match", Value: and(scoped(scope), matching(f), statuses(f), idWindow(f, ""))}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: "$status"}, {Key: "n", Value: bson.D{{Key: "$sum", Value: int32(1)}}},
		}}},
	})
	if err != nil {
		return nil, translate(err)
	}
	var groups []struct {
		Status gateway.DeliveryStatus `bson:"_id"`
		N      int                    `bson:"n"`
	}
	if err := cursor.All(ctx, &groups); err != nil {
		return nil, translate(err)
	}
	counts := map[gateway.DeliveryStatus]int{}
	for _, g := range groups {
		counts[g.Status] = g.N
	}
	return counts, nil
}

// CountPending counts the organisation's pending deliveries, up to limit.
func (s *Store) CountPending(ctx context.Context, organisation string, limit int) (int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	n, err := s.deliveries.CountDocuments(ctx, under("open", organisation+"/"+string(gateway.Pending)),
		options.Count().SetLimit(int64(max(limit, 1))))
	return int(n), translate(err)
}

// finished is the change that ends a pending delivery without an attempt.
func finished(organisation, id string, status gateway.DeliveryStatus, reason gateway.Reason, at gateway.Time) *mongo.UpdateOneModel {
	return change(and(eq("_id", id), eq("status", string(gateway.Pending))),
		set(bson.E{Key: "status", Value: status}, bson.E{Key: "reason", Value: reason},
			bson.E{Key: "finishedAt", Value: at}, bson.E{Key: "nextAttemptAt", Value: gateway.Time(0)},
			bson.E{Key: "open", Value: openKey(organisation, status, id)}),
		unset(placeFields...))
}

// CancelDelivery finishes a pending delivery as cancelled; ErrStale when it is not pending.
func (s *Store) CancelDelivery(ctx context.Context, organisation, id string, reason gateway.Reason, at gateway.Time) error {
	if _, err := findOne[owner](ctx, s, s.deliveries, and(eq("_id", id), eq("organisation", organisation))); err != nil {
		return err
	}
	n, err := s.bulk(ctx, s.deliveries, []mongo.WriteModel{finished(organisation, id, gateway.Cancelled, reason, at)})
	if err == nil && n == 0 {
		return gateway.ErrStale
	}
	return err
}

// owner is as much of a delivery as it takes to finish it.
type owner struct {
	ID           string `bson:"_id"`
	Organisation string `bson:"organisation"`
}

func ownerOptions() *options.FindOptionsBuilder {
	return options.Find().SetProjection(only("_id", "organisation"))
}

// CancelPending cancels at most limit pending deliveries of the organisation that match.
func (s *Store) CancelPending(ctx context.Context, organisation string, f gateway.DeliveryFilter, reason gateway.Reason, at gateway.Time, limit int) (int, error) {
	if len(f.Statuses) > 0 && !slices.Contains(f.Statuses, gateway.Pending) {
		return 0, nil
	}
	filter := and(under("open", organisation+"/"+string(gateway.Pending)), matching(f))
	return s.finishAll(ctx, filter, gateway.Cancelled, reason, at, limit)
}

// ExpirePending finishes at most limit pending deliveries created before the time given as failed.
func (s *Store) ExpirePending(ctx context.Context, before, at gateway.Time, limit int) (int, error) {
	f := gateway.DeliveryFilter{Until: before, Statuses: []gateway.DeliveryStatus{gateway.Pending}}
	filter := and(matching(f), statuses(f), idWindow(f, ""))
	return s.finishAll(ctx, filter, gateway.Failed, gateway.Expired, at, limit)
}

func (s *Store) finishAll(ctx context.Context, filter bson.D, status gateway.DeliveryStatus, reason gateway.Reason, at gateway.Time, limit int) (int, error) {
	found, err := find[owner](ctx, s, s.deliveries, filter, ownerOptions().SetLimit(int64(max(limit, 1))))
	if err != nil {
		return 0, err
	}
	changes := make([]mongo.WriteModel, len(found))
	for i, d := range found {
		changes[i] = finished(d.Organisation, d.ID, status, reason, at)
	}
	_, err = s.bulk(ctx, s.deliveries, changes)
	return len(found), err
}

// ForgetResponses removes the response headers and bodies of an event's attempts.
func (s *Store) ForgetResponses(ctx context.Context, organisation, event string) error {
	found, err := find[deliveryDoc](ctx, s, s.deliveries, and(eq("event", event), eq("organisation", organisation)), options.Find())
	if err != nil {
		return err
	}
	var changes []mongo.WriteModel
	for _, d := range found {
		var gone []string
		for number := range d.Attempts {
			for _, field := range []string{"responseHeaders", "responseBody", "responseEncoding"} {
				gone = append(gone, "attempts."+number+"."+field)
			}
		}
		if len(gone) > 0 {
			changes = append(changes, change(eq("_id", d.ID), unset(gone...)))
		}
	}
	_, err = s.bulk(ctx, s.deliveries, changes)
	return err
}

// PurgeDeliveries removes at most limit deliveries that were finished before the time given.
func (s *Store) PurgeDeliveries(ctx context.Context, before gateway.Time, limit int) (int, error) {
	filter := bson.D{
		{Key: "_id", Value: bson.D{{Key: "$lt", Value: idsUntil(before)}}},
		{Key: "finishedAt", Value: bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lt", Value: int64(before)}}},
	}
	return s.remove(ctx, s.deliveries, filter, ascending("_id"), limit)
}

// InsertReplay answers ErrTaken while one runs for the webhook.
func (s *Store) InsertReplay(ctx context.Context, r gateway.Replay) error {
	return s.insert(ctx, s.replays, r)
}

// Replay finds a replay.
func (s *Store) Replay(ctx context.Context, scope gateway.Scope, id string) (gateway.Replay, error) {
	return findOne[gateway.Replay](ctx, s, s.replays, and(eq("_id", id), scoped(scope)))
}

// UpdateReplay replaces a replay that is still running, else ErrStale.
func (s *Store) UpdateReplay(ctx context.Context, r gateway.Replay) error {
	return s.replace(ctx, s.replays, and(eq("_id", r.ID), eq("organisation", r.Organisation), eq("status", string(gateway.ReplayRunning))), r)
}

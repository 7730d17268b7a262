package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/retry"
	"github.com/unihook/unihook/mapping"
	"github.com/unihook/unihook/worker/breaker"
)

// shot is one attempt that is about to be made.
type shot struct {
	delivery gateway.Delivery
	event    gateway.Event
	live     *gateway.Live
	endpoint gateway.Endpoint
	trigger  gateway.Trigger
	// keepLane says that a failed delivery stays at the head of its lane.
	keepLane bool
	// slot is what was taken for it; nil for what goes past the slots (tests, manual retries).
	slot *slotKey
	// begun is when the slot was taken; else when it was fired.
	begun time.Time
	// over is called when the result is stored, with nil where no attempt was made through a fault of ours.
	over func(*verdict)
}

// fire makes the attempt in a goroutine of its own. The delivery is reserved, the slot is taken.
func (w *Worker) fire(s shot) {
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	if s.over == nil {
		s.over = func(*verdict) {}
	}
	if !w.begin() {
		w.putBack(s)
		return
	}
	go func() {
		defer w.requests.Done()
		attempt, v, err := w.attempt(s)
		if err != nil {
			w.log.Error("a delivery was not tried", "delivery", s.delivery.ID, "error", err)
			w.putBack(s)
			return
		}
		w.finish(s, attempt, v)
	}()
}

// finish hands a result to the writer; the slot is free when it is stored.
func (w *Worker) finish(s shot, attempt *gateway.Attempt, v verdict) {
	now := w.now()
	w.counts.attempted(v)
	item := written{
		result: gateway.Result{
			Delivery: s.delivery.ID, Attempt: attempt, Manual: s.trigger == gateway.ByManual, Status: v.status, Reason: v.reason,
			NextAttemptAt: v.next, Failures: v.failures, KeepLane: v.keepLane,
		},
		done: func() { w.landed(s, &v) },
	}
	if v.status != gateway.Pending {
		item.result.FinishedAt = now
	}
	if v.outcome != nil {
		item.health = &learned{
			endpoint: s.delivery.Endpoint, organisation: s.delivery.Organisation, webhook: s.delivery.Webhook,
			outcome: *v.outcome, policy: w.policyOf(s.live),
		}
	}
	w.writer.write(item)
}

// putBack ends an attempt that was not made through a fault of ours, or that was stopped with this process: it uses up
// nothing, and the delivery is looked at again at once.
func (w *Worker) putBack(s shot) {
	if run := w.flights.runOf(s.delivery.ID); run != "" {
		soon := w.now()
		if !w.stopping() {
			soon = soon.Add(putBackFor)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.store.RenewRun(ctx, run, []string{s.delivery.ID}, soon); err != nil {
			w.log.Warn("a delivery was not given back; its claim ends by itself", "delivery", s.delivery.ID, "error", err)
		}
	}
	w.landed(s, nil)
}

// putBackFor is the pause after a fault of ours.
const putBackFor = time.Second

// landed frees what an attempt held.
func (w *Worker) landed(s shot, v *verdict) {
	if v != nil && v.status == gateway.Pending && !v.keepLane {
		w.feeder.due.expect(v.next, w.now())
	}
	if s.trigger == gateway.ByManual {
		w.lanes.reread(s.delivery.Endpoint)
	}
	w.flights.release(s.delivery.ID)
	if s.slot != nil {
		w.slots.give(*s.slot, s.begun, time.Now(), v != nil && v.failure == "")
	}
	s.over(v)
}

func (w *Worker) policyOf(l *gateway.Live) breaker.Policy {
	first, err := retry.ParseDuration(l.Webhook.Quarantine.For)
	if err != nil {
		first = gateway.DefaultQuarantineFor
	}
	return breaker.Policy{After: l.Webhook.Quarantine.After, For: w.scaled(first), Max: w.scaled(w.opts.QuarantineMax)}
}

func (w *Worker) scaled(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*w.opts.RetryScale), time.Millisecond)
}

// errStopped is a request that was cut short because this process ends.
var errStopped = errors.New("this process ends")

// errAttempt is an attempt that broke in our own hands.
var errAttempt = errors.New("the attempt broke")

// attempt makes one request and judges it. Its error is a fault of ours: then nothing is known of the receiver.
func (w *Worker) attempt(s shot) (a *gateway.Attempt, v verdict, err error) {
	defer func() {
		if x := recover(); x != nil {
			w.panicked("an attempt", s.delivery.ID, x)
			err = errAttempt
		}
	}()
	at := w.opts.Clock()
	a = &gateway.Attempt{
		Number: s.delivery.AttemptCount + 1, At: gateway.At(at), Trigger: s.trigger,
		URL: originOf(s.endpoint.URL), URLNumber: s.endpoint.URLNumber,
	}
	t := tried{delivery: s.delivery, trigger: s.trigger, at: at}
	body, err := w.body(s, a)
	switch {
	case isMappingFault(err):
		t.failure, t.message = gateway.FailureMapping, mappingFault(err)
	case err != nil:
		return nil, v, err
	default:
		response := w.request(s, a, at, body)
		if w.cut.Err() != nil && response.Failure != egress.None && response.Status == 0 {
			return nil, v, errStopped
		}
		t.status, t.failure, t.message, t.retryAfter = response.Status, gateway.Failure(response.Failure), response.Error, response.RetryAfter
	}
	a.DurationMs = milliseconds(time.Since(s.begun))
	t.now = w.opts.Clock()
	v = judge(t, rules{
		schedule: s.live.Schedule, scale: w.opts.RetryScale, random: w.opts.Random(),
		goneStops: s.live.Webhook.Retry.Gone != "retry", keepLane: s.keepLane,
	})
	a.Status, a.Failure, a.Error = t.status, v.failure, cutError(t.message)
	return a, v, nil
}

// body makes the delivery's body. A payload that breaks the engine is a fault of the mapping: it must not break the
// worker, and its neighbours do not notice.
func (w *Worker) body(s shot, a *gateway.Attempt) (body []byte, err error) {
	defer func() {
		if x := recover(); x != nil {
			w.panicked("a mapping", s.delivery.ID, x)
			err = errBroken
		}
	}()
	body, a.BodySig, err = w.opts.Gateway.Body(w.cut, s.event, s.delivery, s.live)
	if err == nil {
		sum := sha256.Sum256(body)
		a.BodySHA = sum[:]
	}
	return body, err
}

// errBroken is a mapping that broke on a payload.
var errBroken = errors.New("the mapping could not be applied to this payload")

func isMappingFault(err error) bool {
	return errors.Is(err, errBroken) || errors.Is(err, mapping.ErrTooLarge) || errors.Is(err, mapping.ErrTooDeep) ||
		errors.Is(err, mapping.ErrInvalidJSON)
}

func mappingFault(err error) string { return "nothing was sent: " + err.Error() }

// request sends the body and notes in a what was sent and what came back.
func (w *Worker) request(s shot, a *gateway.Attempt, at time.Time, body []byte) egress.Response {
	header := w.headers(s, a.Number, at, body)
	mask := s.live.Mask(s.endpoint.ID)
	a.RequestHeaders = shownHeaders(header, secretNames(s.live), mask)
	if s.live.Unsendable {
		return egress.Response{Failure: egress.Blocked, Error: "a header of the webhook cannot be sent; nothing was sent"}
	}
	response := w.opts.Client.Do(w.cut, egress.Request{
		Organisation: s.delivery.Organisation, URL: s.endpoint.URL, Hosts: s.live.Hosts, Header: header, Body: body, Timeout: s.live.Timeout(),
	})
	a.LocalAddress, a.RemoteAddress, a.Timing = response.Local, response.Remote, timingOf(response.Timing)
	if w.opts.ResponseCapture != CaptureStatus && response.Status != 0 {
		capture(a, response, mask)
	}
	return response
}

// headers are those of an attempt, in order: ours, the webhook's own, then the signature's, so that nothing of the
// webhook's own can stand in for what a receiver trusts.
func (w *Worker) headers(s shot, number int, at time.Time, body []byte) []egress.Header {
	list := []egress.Header{
		{Name: "content-type", Value: "application/json"},
		{Name: "user-agent", Value: w.opts.UserAgent},
		{Name: "webhook-id", Value: s.event.ID},
		{Name: "webhook-attempt", Value: strconv.Itoa(number)},
	}
	if s.delivery.Test {
		list = append(list, egress.Header{Name: "webhook-test", Value: "true"})
	}
	for _, h := range s.live.Webhook.Headers {
		list = append(list, egress.Header{Name: h.Name, Value: h.Value})
	}
	for _, h := range s.live.Signer.Sign(s.event.ID, s.delivery.ID, number, at, body) {
		list = append(list, egress.Header(h))
	}
	return list
}

func secretNames(l *gateway.Live) map[string]bool {
	names := map[string]bool{}
	for _, h := range l.Webhook.Headers {
		if h.Secret {
			names[strings.ToLower(h.Name)] = true
		}
	}
	return names
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/mapping"
)

// exhibit is one event of the demo on its way, with what came of it.
type exhibit struct {
	Product string         `json:"product"`
	Type    string         `json:"type"`
	Title   string         `json:"title"`
	Event   string         `json:"event"`
	Rules   []mapping.Rule `json:"rules"`
	// Before is the body without the rules, After the very bytes that arrived.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
	// Arrived: the receiver got it and the gateway calls it delivered. Mapped: what arrived is what the rules and the
	// preview say. Verified: the signature is right and the secret header came along.
	Arrived   bool    `json:"arrived"`
	Mapped    bool    `json:"mapped"`
	Verified  bool    `json:"verified"`
	Request   string  `json:"request"` // method and path
	Signature string  `json:"signature"`
	Millis    float64 `json:"milliseconds"` // from the 202 to the receipt
	// Fault says what is not as it should be.
	Fault string `json:"fault,omitempty"`

	schema, example json.RawMessage
	accepted        time.Time
	request         *received
}

func (e *exhibit) good() bool { return e.Arrived && e.Mapped && e.Verified }

func (e *exhibit) fail(format string, args ...any) {
	if e.Fault == "" {
		e.Fault = fmt.Sprintf(format, args...)
	}
}

// Bounds of the demo's patience.
const (
	// changeCounts is when a webhook's change counts for what is accepted: a second after its answer.
	changeCounts = time.Second
	// demoPatience is how long deliveries may take. They take milliseconds; on a machine so busy that a hint to the queue
	// is lost they go out when their claim ends.
	demoPatience = 2*gateway.ClaimFor + 5*time.Second
)

// demo is what its steps share.
type demo struct {
	*demoClient
	receiver  *receiver
	operator  string // keys
	customer  string
	publisher string
	webhook   string // its id
	exhibits  []*exhibit
}

// showDemo takes the catalogue's examples through the gateway, shows each, and fails if one did not come as it should.
func showDemo(ctx context.Context, page *demoPage, gateway running, r *receiver) error {
	d := &demo{demoClient: newDemoClient(gateway.url), receiver: r, operator: gateway.operatorKey}
	for _, step := range []func(context.Context) error{d.makeOrganisation, d.readCatalogue, d.makeWebhook} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	page.opening(gateway.url, d)
	for _, step := range []func(context.Context) error{d.publish, d.receive, d.judge} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	bad := 0
	for i, e := range d.exhibits {
		page.exhibit(i+1, len(d.exhibits), e)
		if !e.good() {
			bad++
		}
	}
	page.sum(d.exhibits)
	if bad > 0 {
		return fmt.Errorf("%d of %d events did not arrive, mapped and verified", bad, len(d.exhibits))
	}
	return nil
}

// makeOrganisation makes a customer, a key for it and one for the platform's products.
func (d *demo) makeOrganisation(ctx context.Context) error {
	if err := d.call(ctx, d.operator, "POST", "/v1/organisations", map[string]any{"id": demoOrganisation, "name": "Demo"}, nil); err != nil {
		return err
	}
	for _, k := range []struct {
		key  *string
		body map[string]any
	}{
		{&d.customer, map[string]any{"kind": "organisation", "organisation": demoOrganisation, "name": "demo customer"}},
		{&d.publisher, map[string]any{"kind": "publisher", "organisations": []string{demoOrganisation}, "name": "demo products"}},
	} {
		var made struct{ Key string }
		if err := d.call(ctx, d.operator, "POST", "/v1/keys", k.body, &made); err != nil {
			return err
		}
		*k.key = made.Key
	}
	return nil
}

// readCatalogue makes an exhibit of each event type.
func (d *demo) readCatalogue(ctx context.Context) error {
	var list struct {
		Data []struct {
			Product string
			Events  []struct{ Type string }
		}
	}
	if err := d.call(ctx, d.customer, "GET", "/v1/products", nil, &list); err != nil {
		return err
	}
	for _, p := range list.Data {
		for _, event := range p.Events {
			var kind struct {
				Title           string
				Schema, Example json.RawMessage
			}
			path := "/v1/products/" + url.PathEscape(p.Product) + "/events/" + url.PathEscape(event.Type)
			if err := d.call(ctx, d.customer, "GET", path, nil, &kind); err != nil {
				return err
			}
			rules, err := rulesOf(kind.Schema)
			if err != nil {
				return fmt.Errorf("reading the schema of %s: %w", event.Type, err)
			}
			d.exhibits = append(d.exhibits, &exhibit{
				Product: p.Product, Type: event.Type, Title: kind.Title, Rules: rules, schema: kind.Schema, example: kind.Example,
			})
		}
	}
	return nil
}

// makeWebhook asks for every event type, with rules for each and for all, and a secret header.
func (d *demo) makeWebhook(ctx context.Context) error {
	type selection struct {
		Product string         `json:"product"`
		Type    string         `json:"type"`
		Mapping []mapping.Rule `json:"mapping"`
	}
	var events []selection
	for _, e := range d.exhibits {
		events = append(events, selection{e.Product, e.Type, e.Rules})
		e.Rules = append(slices.Clone(e.Rules), sharedRules()...)
	}
	authorization := "Bearer " + rand.Text()
	var made struct {
		ID      string
		Signing struct{ Secret string }
	}
	err := d.call(ctx, d.customer, "POST", "/v1/webhooks", map[string]any{
		"name": "Demo", "status": "active", "endpoints": []any{map[string]any{"url": d.receiver.url()}},
		"events": events, "mapping": sharedRules(),
		"headers": []any{map[string]any{"name": "Authorization", "value": authorization, "secret": true}},
	}, &made)
	if err != nil {
		return err
	}
	d.webhook = made.ID
	if err := d.receiver.expect(made.Signing.Secret, authorization); err != nil {
		return err
	}
	select {
	case <-time.After(changeCounts):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish sends every example, as the platform's products would.
func (d *demo) publish(ctx context.Context) error {
	for _, e := range d.exhibits {
		var accepted struct {
			ID         string
			Deliveries int
		}
		err := d.call(ctx, d.publisher, "POST", "/v1/events", map[string]any{
			"product": e.Product, "type": e.Type, "organisation": demoOrganisation, "data": e.example,
		}, &accepted)
		if err != nil {
			return err
		}
		e.Event, e.accepted = accepted.ID, time.Now()
		if accepted.Deliveries != 1 {
			e.fail("it was accepted with %d deliveries; it should have one", accepted.Deliveries)
		}
	}
	return nil
}

// receive waits for what the receiver gets. What has not come after a while is missing.
func (d *demo) receive(ctx context.Context) error {
	waiting := map[string]*exhibit{}
	for _, e := range d.exhibits {
		waiting[e.Event] = e
	}
	late := time.NewTimer(demoPatience)
	defer late.Stop()
	for len(waiting) > 0 {
		select {
		case got := <-d.receiver.requests:
			id := got.header.Get("webhook-id")
			if e := waiting[id]; e != nil {
				e.request = &got
				delete(waiting, id)
			}
		case <-late.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// judge says of each exhibit whether it arrived, mapped and verified.
func (d *demo) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	for _, e := range d.exhibits {
		if err := d.preview(ctx, e); err != nil {
			return err
		}
		if e.request == nil {
			e.fail("it did not reach the receiver within %s", demoPatience)
			continue
		}
		if e.request.verified != nil {
			e.fail("the signature does not hold: %v", e.request.verified)
		} else if !e.request.authorization {
			e.fail("the secret header did not come along")
		}
		e.Verified = e.request.verified == nil && e.request.authorization
		e.Request = e.request.line
		e.Signature = e.request.header.Get("webhook-signature")
		e.Millis = max(0, float64(e.request.at.Sub(e.accepted).Microseconds())/1000)
		if err := d.delivered(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// preview asks for the body before and after the rules, and compares what arrived with it and with the rules.
func (d *demo) preview(ctx context.Context, e *exhibit) error {
	var answer struct {
		Before json.RawMessage
		Body   string
	}
	err := d.call(ctx, d.customer, "POST", "/v1/mappings/preview", map[string]any{
		"product": e.Product, "type": e.Type, "event": e.Event, "mapping": e.Rules,
	}, &answer)
	if err != nil {
		return err
	}
	e.Before = answer.Before
	if e.request == nil {
		return nil
	}
	e.After = e.request.body
	rules := map[string]mapping.Rule{}
	for _, r := range e.Rules {
		rules[r.Path] = r
	}
	before, err := decodeExactly(e.Before)
	if err != nil {
		return fmt.Errorf("reading the preview of %s: %w", e.Event, err)
	}
	after, err := decodeExactly(e.After)
	switch {
	case err != nil:
		e.After = nil
		e.fail("what arrived is not JSON: %v", err)
	case answer.Body != string(e.After):
		e.fail("what arrived is not what the preview shows")
	case !reflect.DeepEqual(after, expected(before, "", rules)):
		e.fail("what arrived is not what the rules say")
	default:
		e.Mapped = true
	}
	return nil
}

// decodeExactly reads JSON with its numbers as they are written.
func decodeExactly(text []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}

// deliveredPoll is how often the demo looks whether a result is written, which is milliseconds after the receipt.
const deliveredPoll = 20 * time.Millisecond

// delivered waits until the gateway calls the delivery delivered.
func (d *demo) delivered(ctx context.Context, e *exhibit) error {
	for {
		var list struct {
			Data []struct {
				Status      string
				LastAttempt *struct{ Failure string }
			}
		}
		if err := d.call(ctx, d.customer, "GET", "/v1/deliveries?event="+url.QueryEscape(e.Event), nil, &list); err != nil {
			return err
		}
		if len(list.Data) != 1 {
			e.fail("it has %d deliveries; it should have one", len(list.Data))
			return nil
		}
		switch delivery := list.Data[0]; {
		case delivery.Status == "delivered":
			e.Arrived = true
			return nil
		case delivery.LastAttempt != nil && delivery.LastAttempt.Failure != "":
			e.fail("its attempt is a failure (%s)", delivery.LastAttempt.Failure)
			return nil
		}
		select {
		case <-time.After(deliveredPoll):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the delivery of %s: %w", e.Event, ctx.Err())
		}
	}
}

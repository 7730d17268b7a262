package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/unihook/unihook/mapping"
	"github.com/unihook/unihook/products"
)

// maxPreviews bounds the previews at one time: each may hold several copies of a payload.
const maxPreviews = 8

// PreviewInput is what a caller writes to see what a mapping does.
type PreviewInput struct {
	Organisation Optional[string]  `json:"organisation"`
	Product      Optional[string]  `json:"product"`
	Type         Optional[string]  `json:"type"`
	Mapping      Optional[RawJSON] `json:"mapping"`
	Payload      Optional[string]  `json:"payload"`
	// Event is one that was accepted; Data is a payload of the caller's own. Without both it is the catalogue's example.
	Event Optional[string]  `json:"event"`
	Data  Optional[RawJSON] `json:"data"`
}

// Preview is what a mapping does to a payload: made by the very code that deliveries run.
type Preview struct {
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
	// Body is the exact body, byte for byte.
	Body     string           `json:"body"`
	Changes  []mapping.Change `json:"changes"`
	Warnings []RuleWarning    `json:"warnings"`
}

// RuleWarning is something about one rule that is allowed and probably not meant.
type RuleWarning struct {
	Rule   int    `json:"rule"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Preview applies a mapping to an event, to the caller's data, or to the catalogue's example.
func (g *Gateway) Preview(ctx context.Context, a Actor, in Body[PreviewInput]) (Preview, error) {
	select {
	case g.previews <- struct{}{}:
		defer func() { <-g.previews }()
	default:
		return Preview{}, &Error{Kind: TooMany, Detail: "too many previews at once; try again", RetryAfter: time.Second}
	}
	f := faults(in.Faults)
	p, err := g.readPreview(ctx, a, in.Value, &f)
	if err != nil {
		return Preview{}, away(err)
	}
	if err := f.err(); err != nil {
		return Preview{}, err
	}
	return p.run(g.bodies)
}

// previewed is a preview that was judged: all it needs to run.
type previewed struct {
	shape *made
	event Event
	about products.EventType
}

func (g *Gateway) readPreview(ctx context.Context, a Actor, in PreviewInput, f *faults) (previewed, error) {
	var p previewed
	e := Event{
		ID: PrefixEvent + "example", Product: in.Product.Or("", ""), Type: in.Type.Or("", ""),
		Organisation: a.Organisation, CreatedAt: Moment(g.now()),
	}
	g.checkType(f, e)
	p.about, _ = g.Catalogue.Event(e.Product, e.Type)
	payload := in.Payload.Or(PayloadEvent, PayloadEvent)
	checkPayload(f, "/payload", payload)
	organisation, fault, err := g.previewOwner(ctx, a, in)
	if err != nil {
		return p, err
	}
	if fault != "" {
		f.add("/organisation", "organisation_missing", fault)
	}
	e.Organisation = organisation
	p.shape = previewShape(f, previewWebhook(e, payload), in.Mapping)
	p.event, err = g.previewEvent(ctx, in, e, p.about, f)
	return p, err
}

// checkPayload judges a webhook's kind of payload.
func checkPayload(f *faults, pointer, payload string) {
	switch payload {
	case PayloadEvent, PayloadData, PayloadUnified:
	default:
		f.add(pointer, "payload_unknown", fmt.Sprintf("%q is not one of event, data and unified", payload))
	}
}

// previewWebhook stands in for the webhook that the mapping is made for: what a unified body tells of it.
func previewWebhook(e Event, payload string) Webhook {
	return Webhook{
		ID: PrefixWebhook + "example", Name: "Example", Organisation: e.Organisation, Payload: payload,
		Events: []Selection{{Product: e.Product, Type: e.Type}}, CreatedAt: Time(e.CreatedAt), UpdatedAt: Time(e.CreatedAt),
	}
}

// previewShape compiles the mapping; its faults are pointed at below /mapping.
func previewShape(f *faults, w Webhook, text Optional[RawJSON]) *made {
	rules := []mapping.Rule{}
	if text.Set && !text.Null {
		var err error
		if rules, err = mapping.ParseRules(text.Value); err != nil {
			addRuleFaults(f, err, func(i int) string { return "/mapping/" + strconv.Itoa(i) }, "/mapping")
			return nil
		}
	}
	shape, err := newShape(w, rules)
	if err != nil {
		addRuleFaults(f, err, func(i int) string { return "/mapping/" + strconv.Itoa(i) }, "/mapping")
		return nil
	}
	if w.Payload == PayloadUnified && (shape.mapping.Touches("nonce") || shape.mapping.Touches("sig")) {
		f.add("/mapping", "signature_touched", "no rule may touch nonce and sig: they sign the body")
	}
	return shape
}

// addRuleFaults adds what package mapping says about rules: each at its rule, what concerns all at the list.
func addRuleFaults(f *faults, err error, at func(rule int) string, list string) {
	var refused *mapping.RulesError
	if !errors.As(err, &refused) {
		f.add(list, "mapping_malformed", err.Error())
		return
	}
	for _, fault := range refused.Faults {
		pointer := list
		if fault.Rule != mapping.WholeList {
			pointer = at(fault.Rule)
			if fault.Field != "" {
				pointer += "/" + escapePointer(fault.Field)
			}
		}
		f.add(pointer, fault.Code, fault.String())
	}
}

// previewOwner is whose event a preview may read and whose name stands in the body. An operator needs to name one
// only to read an event.
func (g *Gateway) previewOwner(ctx context.Context, a Actor, in PreviewInput) (organisation, fault string, err error) {
	if a.Kind != KindOperator {
		if named := in.Organisation.Or("", ""); named != "" && named != a.Organisation {
			return "", "", Refuse(NotFound, "there is no organisation %q", named)
		}
		return a.Organisation, "", nil
	}
	named := in.Organisation.Or("", "")
	if named == "" {
		return PrefixOrganisation + "example", "", nil
	}
	if err := g.exists(ctx, named); IsKind(err, NotFound) {
		return "", fmt.Sprintf("there is no organisation %q", named), nil
	} else if err != nil {
		return "", "", err
	}
	return named, "", nil
}

// previewEvent is the payload: an accepted event, the caller's data, or the example.
func (g *Gateway) previewEvent(ctx context.Context, in PreviewInput, e Event, about products.EventType, f *faults) (Event, error) {
	switch id := in.Event.Or("", ""); {
	case id != "" && in.Data.Set && !in.Data.Null:
		f.add("/data", "event_and_data", "give an event or data, not both")
	case id != "" && e.Organisation == "":
		// An organisation that is not there: its fault is noted, and it has no event.
	case id != "":
		scope := Everyone()
		if e.Organisation != PrefixOrganisation+"example" {
			scope = Only(e.Organisation)
		}
		found, err := g.Store.Event(ctx, scope, id)
		if errors.Is(err, ErrNotFound) || err == nil && found.Erased {
			return e, Refuse(NotFound, "there is no event %q", id)
		}
		return found, err
	case in.Data.Set && !in.Data.Null:
		data, err := g.checkData(f, in.Data)
		e.Data = data
		return e, err
	default:
		e.Data = about.Example
	}
	return e, nil
}

// run applies the mapping. A mapping that cannot be applied is a fault: a delivery would fail with it.
func (p previewed) run(b *bodies) (Preview, error) {
	delivery := PrefixDelivery + "example"
	before, err := envelope(p.shape.Shape, p.event, delivery)
	if err != nil {
		return Preview{}, err
	}
	changes, found := p.shape.mapping.Explain(before)
	body, err := b.make(p.shape, p.event, delivery)
	if err != nil {
		return Preview{}, RefuseFaults([]Fault{{Pointer: "/mapping", Code: "mapping_not_applicable", Detail: err.Error()}})
	}
	body = bytes.Clone(body)
	signUnified(p.shape, body, delivery, "example")
	out := Preview{Before: before, After: body, Body: string(body), Changes: changes, Warnings: []RuleWarning{}}
	for _, w := range found {
		out.Warnings = append(out.Warnings, RuleWarning{w.Rule, w.Code, w.Detail})
	}
	out.Warnings = append(out.Warnings, p.schemaWarnings()...)
	return out, nil
}

// schemaWarnings compares rules with the event's schema: a path that it does not have, a required property removed.
func (p previewed) schemaWarnings() []RuleWarning {
	var list []RuleWarning
	for i, rule := range p.shape.Rules {
		keys, inData := dataKeys(p.shape.Payload, rule.Path)
		if !inData || len(keys) == 0 {
			continue
		}
		if rule.Op != "set" && !p.about.HasPath(keys) {
			list = append(list, RuleWarning{i, "path_not_in_schema", fmt.Sprintf("the schema of %s has no property %s", p.about.Type, rule.Path)})
		}
		if rule.Op == "remove" && p.about.Required(keys) {
			list = append(list, RuleWarning{i, "required_removed", fmt.Sprintf("the schema of %s requires %s", p.about.Type, rule.Path)})
		}
	}
	return list
}

// dataKeys is the part of a rule's path that lies in the event's data.
func dataKeys(payload, path string) ([]string, bool) {
	segments, err := mapping.SplitPath(path)
	if err != nil {
		return nil, false
	}
	skip := map[string][]string{PayloadEvent: {"data"}, PayloadUnified: {"data", "#"}}[payload]
	var keys []string
	var numbers []bool
	for _, s := range segments {
		numbers = append(numbers, s.Index >= 0)
		switch {
		case s.Every:
			keys = append(keys, "#")
		case s.Index >= 0:
			keys = append(keys, strconv.Itoa(s.Index))
		default:
			keys = append(keys, s.Key)
		}
	}
	for _, want := range skip {
		// A number leads to one of the items, of which each is the event's data.
		if len(keys) == 0 || keys[0] != want && (want != "#" || !numbers[0]) {
			return nil, false
		}
		keys, numbers = keys[1:], numbers[1:]
	}
	return keys, true
}

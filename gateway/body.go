package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/unihook/unihook/gateway/sign"
	"github.com/unihook/unihook/mapping"
)

// Kinds of payload.
const (
	PayloadEvent   = "event"
	PayloadData    = "data"
	PayloadUnified = "unified"
)

// engineVersion enters every shape: it is raised when the engine starts to make other bytes of the same rules, so that
// a body that is made again is never compared with one of another engine.
const engineVersion = "1"

// shapesKept bounds the compiled shapes in memory; a webhook has at most 101.
const shapesKept = 20_000

// made is a shape, ready to use.
type made struct {
	Shape
	mapping *mapping.Mapping
}

// newShape compiles rules for a webhook's bodies, and names the result by its content.
func newShape(w Webhook, rules []mapping.Rule) (*made, error) {
	compiled, err := mapping.Compile(rules)
	if err != nil {
		return nil, err
	}
	facts := unifiedFacts(w)
	h := sha256.New()
	for _, part := range [][]byte{[]byte(engineVersion), []byte(w.Payload), compiled.Canonical(), facts} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	id := hex.EncodeToString(h.Sum(nil)[:16])
	shape := Shape{ID: id, Payload: w.Payload, Rules: rules, Webhook: facts}
	if facts != nil {
		shape.Organisation = w.Organisation
	}
	return &made{shape, compiled}, nil
}

// bodies makes bodies of events by shapes, which it keeps compiled.
type bodies struct {
	store Events
	limit int // bytes of a mapped body

	mu     sync.RWMutex
	shapes map[string]*made
}

func newBodies(store Events, limit int) *bodies {
	return &bodies{store: store, limit: limit, shapes: map[string]*made{}}
}

func (b *bodies) known(id string) (*made, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m, ok := b.shapes[id]
	return m, ok
}

func (b *bodies) keep(m *made) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.shapes) >= shapesKept {
		clear(b.shapes)
	}
	b.shapes[m.ID] = m
}

// put stores those of the shapes that this process has not stored or read before.
func (b *bodies) put(ctx context.Context, shapes []*made) error {
	var fresh []Shape
	for _, m := range shapes {
		if _, ok := b.known(m.ID); !ok {
			fresh = append(fresh, m.Shape)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := b.store.PutShapes(ctx, fresh); err != nil {
		return fmt.Errorf("storing shapes: %w", err)
	}
	for _, m := range shapes {
		b.keep(m)
	}
	return nil
}

// find is the shape of an id, read from the store where this process has not met it.
func (b *bodies) find(ctx context.Context, id string) (*made, error) {
	if m, ok := b.known(id); ok {
		return m, nil
	}
	stored, err := b.store.Shapes(ctx, []string{id})
	if err != nil {
		return nil, fmt.Errorf("reading shape %s: %w", id, err)
	}
	if len(stored) == 0 {
		return nil, fmt.Errorf("reading shape %s: %w", id, ErrNotFound)
	}
	compiled, err := mapping.Compile(stored[0].Rules)
	if err != nil {
		return nil, fmt.Errorf("compiling shape %s: %w", id, err)
	}
	m := &made{stored[0], compiled}
	b.keep(m)
	return m, nil
}

// make is the body of an event for a delivery. Of a payload that carries its signature inside, the place of the
// signature holds zeros.
func (b *bodies) make(m *made, e Event, delivery string) ([]byte, error) {
	body, err := envelope(m.Shape, e, delivery)
	if err != nil {
		return nil, err
	}
	return m.mapping.ApplyValid(body, b.limit)
}

// envelope is the body that would be sent without rules.
func envelope(s Shape, e Event, delivery string) ([]byte, error) {
	switch s.Payload {
	case PayloadData:
		return e.Data, nil
	case PayloadUnified:
		return unifiedBody(s.Webhook, e, delivery), nil
	case PayloadEvent:
		return eventBody(e), nil
	default:
		return nil, fmt.Errorf("making a body: unknown payload %q", s.Payload)
	}
}

func eventBody(e Event) []byte {
	b := make([]byte, 0, len(e.Data)+256)
	b = append(b, `{"id":`...)
	b = appendString(b, e.ID)
	b = append(b, `,"type":`...)
	b = appendString(b, e.Type)
	b = append(b, `,"product":`...)
	b = appendString(b, e.Product)
	b = append(b, `,"createdAt":"`...)
	b = e.CreatedAt.Time().AppendFormat(b, timeFormat)
	b = append(b, `","organisation":`...)
	b = appendString(b, e.Organisation)
	if e.Account != "" {
		b = append(b, `,"account":`...)
		b = appendString(b, e.Account)
	}
	b = append(b, `,"data":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}

// noSignature stands where the signature of a unified body goes: 40 hex digits of HMAC-SHA1.
const noSignature = "0000000000000000000000000000000000000000"

// unifiedBody is a page of one item.
func unifiedBody(webhook []byte, e Event, delivery string) []byte {
	b := make([]byte, 0, len(e.Data)+len(webhook)+256)
	b = append(b, `{"data":[`...)
	b = append(b, e.Data...)
	b = append(b, `],"webhook":`...)
	b = append(b, webhook...)
	b = append(b, `,"nonce":`...)
	b = appendString(b, sign.UnifiedNonce(delivery))
	b = append(b, `,"sig":"`+noSignature+`","type":"NATIVE"}`...)
	return b
}

// appendString writes s as JSON, with nothing escaped for the sake of HTML.
func appendString(b []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}

// signUnified writes the signature into a unified body and answers it; of any other body it is empty. The rules of a
// webhook may not touch "nonce" and "sig", so that both are where they were.
func signUnified(m *made, body []byte, delivery, secret string) string {
	if m.Payload != PayloadUnified {
		return ""
	}
	data, _ := mapping.Lookup(body, dataPlace(m.Rules)...)
	sig := sign.UnifiedSig(secret, mapping.Compact(nil, data), sign.UnifiedNonce(delivery))
	placeSignature(body, sig)
	return sig
}

// dataPlace is where the data of a unified body is. A rule may have given it another name or place: there it is signed,
// for a signature over nothing would hold for any data.
func dataPlace(rules []mapping.Rule) []string {
	place := []string{"data"}
	for _, r := range rules {
		path, err := mapping.SplitPath(r.Path)
		if err != nil || len(path) != 1 || path[0].Key != place[0] {
			continue
		}
		switch r.Op {
		case mapping.OpRename:
			return []string{r.To}
		case mapping.OpMove:
			to, _ := mapping.SplitPath(r.To) // compiled before
			place = place[:0]
			for _, segment := range to {
				place = append(place, segment.Key)
			}
			return place
		}
	}
	return place
}

func placeSignature(body []byte, sig string) {
	if raw, ok := mapping.Lookup(body, "sig"); ok && len(raw) == len(sig)+2 {
		copy(raw[1:], sig)
	}
}

// Body is what is sent for a delivery of an event, byte for byte the same at every call until the secret of a unified
// webhook is rotated; sig is the signature inside such a body, else empty. An error of package mapping means that the
// mapping cannot be applied to this event.
func (g *Gateway) Body(ctx context.Context, e Event, d Delivery, l *Live) (body []byte, sig string, err error) {
	m, err := g.bodies.find(ctx, d.Shape)
	if err != nil {
		return nil, "", err
	}
	body, err = g.bodies.make(m, e, d.ID)
	if err != nil {
		return nil, "", err
	}
	return body, signUnified(m, body, d.ID, l.bodySecret()), nil
}

// sentBody is the body of an attempt, made again; ok is false when it is not the one that was sent.
func (g *Gateway) sentBody(ctx context.Context, e Event, d Delivery, a Attempt) (body []byte, ok bool, err error) {
	m, err := g.bodies.find(ctx, d.Shape)
	if err != nil {
		return nil, false, err
	}
	body, err = g.bodies.make(m, e, d.ID)
	if err != nil {
		return nil, false, nil // the attempt failed for its mapping: there was no body
	}
	if m.Payload == PayloadUnified {
		placeSignature(body, a.BodySig)
	}
	sum := sha256.Sum256(body)
	return body, bytes.Equal(sum[:], a.BodySHA), nil
}

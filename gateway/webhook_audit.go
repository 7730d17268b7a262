package gateway

import "strings"

// audited endpoint, header and signing: what the audit keeps of them. Secrets and the paths of URLs are never there.
type (
	auditedEndpoint struct {
		ID          string `json:"id"`
		Origin      string `json:"origin"`
		URLNumber   int    `json:"urlNumber"`
		Description string `json:"description"`
	}
	auditedHeader struct {
		Name   string `json:"name"`
		Secret bool   `json:"secret"`
	}
	auditedSigning struct {
		Scheme        string `json:"scheme"`
		Header        string `json:"header,omitempty"`
		PublicKey     string `json:"publicKey,omitempty"`
		PreviousUntil Time   `json:"previousUntil,omitzero"`
	}
)

// masked stands for a value that the audit does not keep.
const masked = "***"

// webhookChanges compares two states of an open webhook, nil for none.
func webhookChanges(before, after *Webhook) []AuditChange {
	was, is := webhookFields(before), webhookFields(after)
	if before != nil && after != nil && after.DeletedAt == 0 {
		markSecrets(was, is, before, after)
	}
	return changesBetween(was, is)
}

func webhookFields(w *Webhook) map[string]any {
	if w == nil {
		return nil
	}
	if w.DeletedAt != 0 {
		return map[string]any{"name": w.Name, "deletedAt": w.DeletedAt}
	}
	endpoints := make([]auditedEndpoint, len(w.Endpoints))
	for i, e := range w.Endpoints {
		endpoints[i] = auditedEndpoint{e.ID, originOf(e.URL), e.URLNumber, e.Description}
	}
	headers := make([]auditedHeader, len(w.Headers))
	for i, h := range w.Headers {
		headers[i] = auditedHeader{h.Name, h.Secret}
	}
	s := w.Signing
	return map[string]any{
		"name": w.Name, "description": w.Description, "status": w.Status, "statusReason": w.StatusReason,
		"endpoints": endpoints, "events": w.Events, "accounts": w.Accounts, "mapping": w.Mapping, "payload": w.Payload,
		"headers": headers, "signing": auditedSigning{s.Scheme, s.Header, s.PublicKey, s.PreviousUntil},
		"retry": w.Retry, "quarantine": w.Quarantine, "timeoutSeconds": w.TimeoutSeconds, "rateLimit": w.RateLimit,
		"ordered": w.Ordered,
	}
}

// markSecrets notes that a value changed which is not shown: before it is there, after it is masked.
func markSecrets(was, is map[string]any, before, after *Webhook) {
	mark := func(field string) { was[field], is[field] = masked, masked+" (changed)" }
	if before.Signing.Secret != after.Signing.Secret {
		mark("signing.secret")
	}
	for _, h := range after.Headers {
		for _, old := range before.Headers {
			if strings.EqualFold(h.Name, old.Name) && h.Value != old.Value {
				mark("headers." + strings.ToLower(h.Name) + ".value")
			}
		}
	}
}

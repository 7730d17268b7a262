package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

// What the gateway does by itself is in the audit, with before and after, and with nothing of the URL but its origin.
func TestAudit_OfWhatTheGatewayDoes(t *testing.T) {
	b := open(t)
	down, gone := receive(t, status(500)), receive(t, status(410))
	b.organisation("org_a")
	first := b.webhook("org_a", all(quarantine(1, "1h"), retries("2h")), down.URL+"/T0KEN-of-the-path")
	second := b.webhook("org_a", retries("2h"), gone.URL+"/T0KEN-of-the-path")
	rotated, err := b.gateway.FindWebhook(t.Context(), operator, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.gateway.RotateSecret(t.Context(), operator, rotated, input(gateway.SecretInput{GraceSeconds: gateway.Given(1)})); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.publish("org_a", 1)
	var list []gateway.AuditEntry
	b.eventually("the webhook is closed and the secret has expired", func() bool {
		if _, err := b.gateway.ExpireSecrets(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, _, err = b.gateway.ListAudit(t.Context(), operator, gateway.Only("org_a"), gateway.AuditFilter{Actor: "system"}, gateway.Page{Limit: 50})
		return err == nil && len(list) == 4
	})
	got := map[string]string{}
	for _, e := range list {
		if !e.Applied {
			t.Errorf("%s is not applied", e.Action)
		}
		for _, c := range e.Changes {
			got[e.Action+" "+e.Object] += fmt.Sprintf("%s %s %s; ", c.Field, c.Before, c.After)
		}
	}
	until := b.state(first.Endpoints[0].ID).QuarantinedUntil
	want := map[string]string{
		"endpoint.quarantined " + first.Endpoints[0].ID: `health.consecutiveFailures 0 1; health.quarantinedUntil null "` + until.String() + `"; health.status "healthy" "quarantined"; `,
		"endpoint.gone " + second.Endpoints[0].ID:       `health.consecutiveFailures 0 1; health.status "healthy" "gone"; `,
		"webhook.closed " + second.ID:                   `status "active" "inactive"; statusReason "" "gone"; `,
	}
	expired := "webhook.secret_expired " + first.ID
	if !strings.Contains(got[expired], "previousUntil") {
		t.Errorf("of the expired secret the audit has %q", got[expired])
	}
	delete(got, expired)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	all, _, err := b.gateway.ListAudit(t.Context(), operator, gateway.Only("org_a"), gateway.AuditFilter{}, gateway.Page{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(all)
	if err != nil || strings.Contains(string(text), "T0KEN") || strings.Contains(string(text), first.Signing.Secret) {
		t.Errorf("%v: the audit has a path or a secret: %s", err, text)
	}
}

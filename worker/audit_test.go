package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker"
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
	var got map[string]string
	b.eventually("the webhook is closed and the secret has expired", func() bool {
		if _, err := b.gateway.ExpireSecrets(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, _, err := b.gateway.ListAudit(t.Context(), operator, gateway.Only("org_a"), gateway.AuditFilter{Actor: "system"}, gateway.Page{Limit: 50})
		got = map[string]string{}
		for _, e := range list {
			if !e.Applied || e.Action == gateway.ActionNotApplied {
				continue // the worker tried to destroy the secret too
			}
			for _, c := range e.Changes {
				got[e.Action+" "+e.Object] += fmt.Sprintf("%s %s %s; ", c.Field, c.Before, c.After)
			}
		}
		return err == nil && len(got) == 4
	})
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

// staleOnce answers the first quarantine as if another process had written the state meanwhile.
type staleOnce struct {
	gateway.Store
	done atomic.Bool
}

func (s *staleOnce) SwapEndpoints(ctx context.Context, states []gateway.EndpointState) ([]string, error) {
	for _, state := range states {
		if state.QuarantinedSince != 0 && s.done.CompareAndSwap(false, true) {
			return []string{state.ID}, nil
		}
	}
	return s.Store.SwapEndpoints(ctx, states)
}

// The entry comes before the change; where that did not come to be it is shown so, and the second try has its own.
func TestAudit_OfAStaleStateIsNotApplied(t *testing.T) {
	b := open(t, func(o *worker.Options) { o.Store = &staleOnce{Store: o.Store} })
	down := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(quarantine(1, "1h"), retries("2h")), down.URL)
	b.run()
	b.publish("org_a", 1)
	b.eventually("it is quarantined", func() bool { return b.state(w.Endpoints[0].ID).QuarantinedSince != 0 })
	list, _, err := b.gateway.ListAudit(t.Context(), operator, gateway.Only("org_a"), gateway.AuditFilter{Object: w.Endpoints[0].ID}, gateway.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %v", e.Action, e.Applied))
	}
	want := []string{"endpoint.quarantined true", gateway.ActionNotApplied + " true", "endpoint.quarantined false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

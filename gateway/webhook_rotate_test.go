package gateway_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

func TestRotateSecret(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	rotate := func(in gateway.SecretInput) (string, gateway.Webhook, error) {
		t.Helper()
		open, err := b.FindWebhook(t.Context(), a, w.ID)
		if err != nil {
			t.Fatal(err)
		}
		rotated, err := b.RotateSecret(t.Context(), a, open, body(in))
		if err != nil {
			return "", open, err
		}
		after, err := b.FindWebhook(t.Context(), a, w.ID)
		if err != nil {
			t.Fatal(err)
		}
		return rotated.Secret, after, nil
	}
	_, _, err := rotate(gateway.SecretInput{GraceSeconds: gateway.Given(604801), Secret: gateway.Given("short")})
	if diff := cmp.Diff([]string{"/graceSeconds out_of_range", "/secret secret_malformed"}, codes(err)); diff != "" {
		t.Error(diff)
	}
	first, after, err := rotate(gateway.SecretInput{GraceSeconds: gateway.Given(60)})
	if err != nil {
		t.Fatal(err)
	}
	until := gateway.At(b.clock.now().Add(time.Minute))
	if after.Signing.Secret != first || after.Signing.PreviousSecret != w.Signing.Secret || after.Signing.PreviousUntil != until || after.Revision != 2 {
		t.Errorf("with grace: got %+v", after.Signing)
	}
	second, after, err := rotate(gateway.SecretInput{GraceSeconds: gateway.Given(30)})
	if err != nil || after.Signing.PreviousSecret != first || after.Signing.Secret != second {
		t.Errorf("a second rotation: got %+v, %v", after.Signing, err)
	}
	if n, err := b.ExpireSecrets(t.Context()); n != 0 || err != nil {
		t.Errorf("in the grace period: expired %d, %v", n, err)
	}
	b.clock.move(time.Minute)
	if n, err := b.ExpireSecrets(t.Context()); n != 1 || err != nil {
		t.Errorf("after it: expired %d, %v", n, err)
	}
	if _, after, err = rotate(gateway.SecretInput{}); err != nil || after.Signing.PreviousSecret != "" || after.Signing.PreviousUntil != 0 {
		t.Errorf("without grace: got %+v, %v", after.Signing, err)
	}
}

// The private key is never shown, and the new public one is what receivers need.
func TestRotateSecret_KeyPair(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given("standard-ed25519")})
	})
	got, err := b.RotateSecret(t.Context(), a, mustFind(t, b, a, w.ID), body(gateway.SecretInput{}))
	if err != nil {
		t.Fatal(err)
	}
	want := gateway.Rotated{PublicKey: mustFind(t, b, a, w.ID).Signing.PublicKey}
	if got != want || got.PublicKey == w.Signing.PublicKey || got.PublicKey == "" {
		t.Errorf("got %+v, want %+v, another than %s", got, want, w.Signing.PublicKey)
	}
}

// behindStore answers a list of webhooks that is old by the time it is read: between happens first.
type behindStore struct {
	gateway.Store
	between func()
}

func (s *behindStore) EachWebhook(ctx context.Context, after string, limit int) ([]gateway.Webhook, error) {
	list, err := s.Store.EachWebhook(ctx, after, limit)
	if between := s.between; between != nil {
		s.between = nil
		between()
	}
	return list, err
}

// Of two workers that destroy a rotated secret at once one does, and the webhook is changed once.
func TestExpireSecrets_DoneMeanwhile_ChangesNothing(t *testing.T) {
	behind := &behindStore{}
	b := openBench(t, func(o *gateway.Options) { behind.Store = o.Store; o.Store = behind })
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	open, err := b.FindWebhook(t.Context(), a, w.ID)
	if err == nil {
		_, err = b.RotateSecret(t.Context(), a, open, body(gateway.SecretInput{GraceSeconds: gateway.Given(60)}))
	}
	if err != nil {
		t.Fatal(err)
	}
	b.clock.move(time.Minute)
	behind.between = func() {
		if n, err := b.ExpireSecrets(t.Context()); n != 1 || err != nil {
			t.Errorf("the other one expired %d, %v", n, err)
		}
	}
	if n, err := b.ExpireSecrets(t.Context()); n != 0 || err != nil {
		t.Errorf("expired %d, %v; want nothing that was left to do", n, err)
	}
	after, err := b.FindWebhook(t.Context(), a, w.ID)
	if err != nil || after.Revision != 3 || after.Signing.PreviousUntil != 0 {
		t.Errorf("got revision %d and %+v, %v", after.Revision, after.Signing, err)
	}
}

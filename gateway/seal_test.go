package gateway_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/sqlitestore"
)

func wrappingKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, gateway.WrappingKeyBytes) }

func openKeyring(t *testing.T) *sqlitestore.Store {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func openSeals(t *testing.T, store gateway.Keyring, keys ...[]byte) *gateway.Seals {
	t.Helper()
	seals, err := gateway.OpenSeals(t.Context(), store, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return seals
}

func TestSeals_OpenWhereTheyWereSealedAlone(t *testing.T) {
	store := openKeyring(t)
	sealed, err := openSeals(t, store, wrappingKey(1)).Seal("s3cret", "org_a", "wh_1", "header", "X-Key")
	if err != nil {
		t.Fatal(err)
	}
	again := openSeals(t, store, wrappingKey(1))
	if got, err := again.Open(sealed, "org_a", "wh_1", "header", "x-KEY"); err != nil || got != "s3cret" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, place := range [][4]string{
		{"org_b", "wh_1", "header", "x-key"}, {"org_a", "wh_2", "header", "x-key"},
		{"org_a", "wh_1", "secret", "x-key"}, {"org_a", "wh_1", "header", "x-other"},
	} {
		if got, err := again.Open(sealed, place[0], place[1], place[2], place[3]); err == nil {
			t.Errorf("at %v it opens as %q", place, got)
		}
	}
}

func TestOpenSeals_WrappingKeyIsExchanged(t *testing.T) {
	store := openKeyring(t)
	old, both := openSeals(t, store, wrappingKey(1)), [][]byte{wrappingKey(2), wrappingKey(1)}
	sealed, err := old.Seal("s3cret", "o", "r", "f", "")
	if err != nil {
		t.Fatal(err)
	}
	openSeals(t, store, both...)
	// A process that has only the old one yet still starts and reloads.
	if err := old.Reload(t.Context()); err != nil {
		t.Errorf("reloading with the old key: %v", err)
	}
	if got, err := openSeals(t, store, wrappingKey(2)).Open(sealed, "o", "r", "f", ""); err != nil || got != "s3cret" {
		t.Errorf("with the new key: got %q, %v", got, err)
	}
	_, err = gateway.OpenSeals(t.Context(), store, wrappingKey(1))
	if err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("with the old key afterwards: got %v, want a refusal", err)
	}
}

func TestOpenSeals_RefusesAKeyOfAnotherLength(t *testing.T) {
	if _, err := gateway.OpenSeals(t.Context(), openKeyring(t), make([]byte, 16)); err == nil {
		t.Error("16 bytes are taken")
	}
}

func TestRotate_WaitsForEveryProcessAndReseals(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w, err := b.CreateWebhook(t.Context(), a, body(webhookInput()))
	if err != nil {
		t.Fatal(err)
	}
	before, err := b.store.Webhook(t.Context(), gateway.Only("org_a"), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	command, other := openSeals(t, b.store, make([]byte, 32)), openSeals(t, b.store, make([]byte, 32))
	command.LateSaves = time.Millisecond
	if err := other.Beat(t.Context(), "other", "worker"); err != nil {
		t.Fatal(err)
	}
	var steps []string
	err = command.Rotate(t.Context(), b.store, func(step string) {
		steps = append(steps, step)
		if strings.HasPrefix(step, "waiting for 1 ") {
			if err := other.Beat(t.Context(), "other", "worker"); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatalf("after %q: %v", steps, err)
	}
	after, err := b.store.Webhook(t.Context(), gateway.Only("org_a"), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if after.Revision != before.Revision {
		t.Errorf("the revision went from %d to %d", before.Revision, after.Revision)
	}
	if bytes.Equal(after.Sealed.Secret, before.Sealed.Secret) {
		t.Error("the secret was not sealed anew")
	}
	if got, err := other.Open(after.Sealed.Secret, "org_a", w.ID, "secret", ""); err != nil || got != w.Signing.Secret {
		t.Errorf("the other process opens it as %q, %v", got, err)
	}
	if err := other.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(before.Sealed.Secret, "org_a", w.ID, "secret", ""); err == nil {
		t.Error("the old key still opens")
	}
}

// heldStore holds up the writing of a webhook that was sealed already.
type heldStore struct {
	gateway.Store
	sealed, letGo chan struct{}
}

func (s *heldStore) ReplaceWebhook(ctx context.Context, w gateway.Webhook, was int64) error {
	s.sealed <- struct{}{}
	<-s.letGo
	return s.Store.ReplaceWebhook(ctx, w, was)
}

// A save that was sealed with the old key and comes late would be lost with that key.
func TestRotate_SaveUnderWay_StaysReadable(t *testing.T) {
	held := &heldStore{sealed: make(chan struct{}), letGo: make(chan struct{})}
	var process *gateway.Seals
	b := openBench(t, func(o *gateway.Options) { held.Store, process = o.Store, o.Seals; o.Store = held })
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	beat := func() {
		if err := process.Beat(t.Context(), "process", "api"); err != nil {
			t.Error(err)
		}
	}
	beat()
	saved := make(chan error)
	go func() {
		open, err := b.FindWebhook(t.Context(), a, w.ID)
		if err == nil {
			_, err = b.UpdateWebhook(t.Context(), a, open, body(gateway.WebhookInput{Name: gateway.Given("late")}), nil)
		}
		saved <- err
	}()
	<-held.sealed
	command := openSeals(t, b.store, make([]byte, 32))
	command.LateSaves = time.Millisecond
	first := true
	err := command.Rotate(t.Context(), b.store, func(step string) {
		switch {
		case strings.HasPrefix(step, "waiting for 1 "):
			beat()
		case strings.HasPrefix(step, "waiting for saves") && first:
			first = false
			close(held.letGo)
			if err := <-saved; err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := b.FindWebhook(t.Context(), a, w.ID); err != nil || got.Name != "late" {
		t.Errorf("after the rotation: %q, %v", got.Name, err)
	}
}

func TestRotate_OneAtATime(t *testing.T) {
	b := openBench(t)
	first, second := openSeals(t, b.store, make([]byte, 32)), openSeals(t, b.store, make([]byte, 32))
	err := first.Rotate(t.Context(), b.store, func(step string) {
		if step == "a new key is added" {
			if err := second.Rotate(t.Context(), b.store, nil); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "another rotation") {
		t.Errorf("got %v, want a sentence about the other rotation", err)
	}
}

func TestOpenSeals_NeverMakesAKeysetAnewWhileThereAreSealedValues(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	if _, err := b.CreateWebhook(t.Context(), a, body(webhookInput())); err != nil {
		t.Fatal(err)
	}
	_, err := gateway.OpenSeals(t.Context(), lostKeyset{b.store}, wrappingKey(1))
	if err == nil || !strings.Contains(err.Error(), "no keyset") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// lostKeyset is a store whose keyset is gone.
type lostKeyset struct{ gateway.Keyring }

func (lostKeyset) Keyset(context.Context) (gateway.Keyset, error) {
	return gateway.Keyset{}, gateway.ErrNotFound
}

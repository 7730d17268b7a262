package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unihook/unihook/gateway/sign"
)

// maxGrace bounds how long a rotated secret goes on signing.
const maxGrace = 7 * 24 * time.Hour

// Rotated is what receivers check signatures with from a rotation on.
type Rotated struct {
	// Secret is shown this once; empty for a scheme of key pairs.
	Secret string `json:"secret"`
	// PublicKey is that of a new pair.
	PublicKey string `json:"publicKey,omitempty"`
}

// RotateSecret gives a webhook a new signing secret, made or brought along, or a new key pair, and answers what of it
// may be seen: this once. With a grace period the old one signs too until it ends, and the one before that no more.
// Conflict for the scheme that has no secret.
func (g *Gateway) RotateSecret(ctx context.Context, a Actor, w Webhook, in Body[SecretInput]) (Rotated, error) {
	if err := a.May(ActConfigure); err != nil {
		return Rotated{}, err
	}
	_, after, err := g.saveWebhook(ctx, a, w, "webhook.secret_rotated", func(present Webhook) (Webhook, error) {
		return g.rotated(present, in)
	})
	if err != nil {
		return Rotated{}, err
	}
	if after.Signing.privateKey() {
		return Rotated{PublicKey: after.Signing.PublicKey}, nil
	}
	return Rotated{Secret: after.Signing.Secret}, nil
}

// rotated is the webhook with its next secret.
func (g *Gateway) rotated(w Webhook, in Body[SecretInput]) (Webhook, error) {
	scheme := sign.Scheme(w.Signing.Scheme)
	if scheme == sign.None {
		return w, Refuse(Conflict, "the webhook's signing scheme is none: there is no secret to rotate")
	}
	f := startFaults(in.Faults)
	seconds := in.Value.GraceSeconds.Or(0, 0)
	if most := int(maxGrace / time.Second); seconds < 0 || seconds > most {
		f.add("/graceSeconds", "out_of_range", fmt.Sprintf("%d is not between 0 and %d (7 days)", seconds, most))
	}
	brought := in.Value.Secret.Set && !in.Value.Secret.Null
	if brought {
		if _, err := sign.CheckSecret(scheme, in.Value.Secret.Value); err != nil {
			f.add("/secret", "secret_malformed", err.Error())
		}
	}
	if err := f.err(); err != nil {
		return w, err
	}
	old := w.Signing.Secret
	if brought {
		w.Signing.setSecret(in.Value.Secret.Value, "")
	} else if err := w.Signing.makeSecret(); err != nil {
		return w, err
	}
	if seconds > 0 {
		w.Signing.PreviousSecret, w.Signing.PreviousUntil = old, g.now().Add(time.Duration(seconds)*time.Second)
	}
	return w, nil
}

// expirePage is how many webhooks are looked at between two reads.
const expirePage = 200

// ExpireSecrets destroys rotated secrets whose grace period has ended, and answers how many. A worker calls it now and
// then: they have stopped signing at the end of the period by themselves.
func (g *Gateway) ExpireSecrets(ctx context.Context) (expired int, err error) {
	after := ""
	for {
		list, err := g.Store.EachWebhook(ctx, after, expirePage)
		if err != nil || len(list) == 0 {
			return expired, err
		}
		for _, stored := range list {
			if until := stored.Signing.PreviousUntil; until == 0 || until > g.now() || stored.DeletedAt != 0 {
				continue
			}
			done, err := g.expireSecret(ctx, stored)
			if err != nil {
				return expired, err
			}
			if done {
				expired++
			}
		}
		after = list[len(list)-1].ID
	}
}

// errNotDue is a rotated secret that another process destroyed, or that a later rotation replaced.
var errNotDue = errors.New("no rotated secret is due")

func (g *Gateway) expireSecret(ctx context.Context, stored Webhook) (done bool, err error) {
	w, err := g.openWebhook(ctx, stored)
	if err != nil {
		return false, err
	}
	_, _, err = g.saveWebhook(ctx, system, w, "webhook.secret_expired", func(present Webhook) (Webhook, error) {
		if until := present.Signing.PreviousUntil; until == 0 || until > g.now() {
			return present, errNotDue
		}
		present.Signing.PreviousSecret, present.Signing.PreviousUntil = "", 0
		return present, nil
	})
	if IsKind(err, NotFound) || errors.Is(err, errNotDue) {
		return false, nil
	}
	return err == nil, err
}

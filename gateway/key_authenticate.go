package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// The text of a key: a prefix by which secret scanners know it, the part of its id after "key_", and 256 random bits.
const (
	keyTextPrefix = "uhk_"
	keyRandom     = 32
	ulidLength    = 26
)

// operatorActor is Actor.Key of the key in the settings.
const operatorActor = "operator"

// newKeyText makes the text of the key with this id, and its hash.
func newKeyText(id string) (text string, hash []byte) {
	secret := make([]byte, keyRandom)
	if _, err := rand.Read(secret); err != nil {
		panic("gateway: no randomness: " + err.Error())
	}
	text = keyTextPrefix + strings.TrimPrefix(id, PrefixKey) + "_" + hex.EncodeToString(secret)
	return text, hashKey(text)
}

func hashKey(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// keyID is the id that a key's text names; ok is false for a text that cannot be a key.
func keyID(text string) (id string, ok bool) {
	rest, found := strings.CutPrefix(text, keyTextPrefix)
	if !found || len(rest) != ulidLength+1+2*keyRandom || rest[ulidLength] != '_' {
		return "", false
	}
	for _, c := range []byte(rest[:ulidLength]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return "", false
		}
	}
	return PrefixKey + rest[:ulidLength], true
}

// Authenticate tells who calls with this key from this address; ErrNoKey when it is none, was revoked or has expired,
// or its organisation is no more. A revoked key is refused within two seconds.
func (g *Gateway) Authenticate(ctx context.Context, bearer, address string) (Actor, error) {
	hash := hashKey(bearer)
	if g.OperatorKey != "" && subtle.ConstantTimeCompare(hash, hashKey(g.OperatorKey)) == 1 {
		return Actor{Kind: KindOperator, Key: operatorActor, Address: address}, nil
	}
	id, ok := keyID(bearer)
	if !ok {
		return Actor{}, ErrNoKey
	}
	key, err := g.keys.lookUp(ctx, id)
	if err != nil {
		return Actor{}, err
	}
	if subtle.ConstantTimeCompare(hash, key.Hash) != 1 || key.ExpiresAt != 0 && g.now() >= key.ExpiresAt {
		return Actor{}, ErrNoKey
	}
	g.keys.touch(id)
	return Actor{
		Kind: key.Kind, Key: key.ID, Organisation: key.Organisation,
		Products: key.Products, Organisations: key.Organisations, Address: address,
	}, nil
}

package sign

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	standardPrefix = "whsec_" // shared secrets of Standard Webhooks
	privatePrefix  = "whsk_"  // Ed25519 seeds, which never leave the gateway
	publicPrefix   = "whpk_"  // Ed25519 public keys

	minStandardBytes = 24 // Standard Webhooks' own limits, after decoding
	maxStandardBytes = 64
	minTextBytes     = 8 // what older receivers' secrets have; the rest of the schemes use the text itself
	maxTextBytes     = 256
	weakTextBytes    = 16 // below this a secret can be guessed offline from one signed body

	newSecretBytes = 32 // the strength of SHA-256, and an Ed25519 seed's size
	hintCharacters = 4
)

// NewSecret makes a secret for the scheme from random, which is crypto/rand.Reader but in tests. Standard has
// whsec_<base64> of 32 bytes; StandardEd25519 a private key, whsk_<base64>, which nobody outside may see, and its publicKey
// whpk_<base64>; None has none; all others 64 hexadecimal characters. It fails for an unknown scheme and when random does.
func NewSecret(s Scheme, random io.Reader) (secret, publicKey string, err error) {
	if !s.Valid() {
		return "", "", unknownScheme(s)
	}
	if s == None {
		return "", "", nil
	}
	var key [newSecretBytes]byte
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return "", "", fmt.Errorf("making a secret: %w", err)
	}
	switch s {
	case Standard:
		return standardPrefix + base64.StdEncoding.EncodeToString(key[:]), "", nil
	case StandardEd25519:
		return privatePrefix + base64.StdEncoding.EncodeToString(key[:]), publicText(ed25519.NewKeyFromSeed(key[:])), nil
	}
	return hex.EncodeToString(key[:]), "", nil
}

// PublicKey returns the whpk_ key that belongs to a secret made for StandardEd25519, and fails for any other text.
func PublicKey(secret string) (string, error) {
	key, err := privateKey(secret)
	if err != nil {
		return "", err
	}
	return publicText(key), nil
}

// CheckSecret judges a secret that a customer brings along for the scheme. The error is a sentence that says what the
// secret lacks; the warning, empty if there is none, what is unwise about one that is accepted.
func CheckSecret(s Scheme, secret string) (warning string, err error) {
	switch s {
	case Standard:
		_, err := standardKey(secret)
		return "", err
	case StandardEd25519:
		return "", errors.New("the scheme standard-ed25519 takes no secret: the gateway makes the key pair")
	case None:
		return "", errors.New("the scheme none takes no secret")
	}
	if !s.Valid() {
		return "", unknownScheme(s)
	}
	if err := checkText(secret); err != nil {
		return "", err
	}
	if len(secret) < weakTextBytes {
		return fmt.Sprintf("the secret has %d bytes: one under %d can be guessed", len(secret), weakTextBytes), nil
	}
	return "", nil
}

// Hint returns what may be shown of a secret: "..." and its last four characters, or "..." alone where those would be more
// than half of it. The hint of no secret is "".
func Hint(secret string) string {
	if secret == "" {
		return ""
	}
	characters := []rune(secret)
	if len(characters) < 2*hintCharacters {
		return "..."
	}
	return "..." + string(characters[len(characters)-hintCharacters:])
}

// standardKey decodes a whsec_ secret.
func standardKey(secret string) ([]byte, error) {
	text, found := strings.CutPrefix(secret, standardPrefix)
	if !found {
		return nil, fmt.Errorf("the secret does not begin with %s", standardPrefix)
	}
	key, ok := decodeBase64(text)
	if !ok {
		return nil, fmt.Errorf("the secret is not %s followed by standard base64 with its padding", standardPrefix)
	}
	if len(key) < minStandardBytes || len(key) > maxStandardBytes {
		return nil, fmt.Errorf("the secret decodes to %d bytes, allowed are %d to %d", len(key), minStandardBytes, maxStandardBytes)
	}
	return key, nil
}

// privateKey decodes a whsk_ secret.
func privateKey(secret string) (ed25519.PrivateKey, error) {
	text, found := strings.CutPrefix(secret, privatePrefix)
	seed, ok := decodeBase64(text)
	if !found || !ok || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the private key is not %s followed by base64 of %d bytes", privatePrefix, ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func publicText(key ed25519.PrivateKey) string {
	return publicPrefix + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// decodeBase64 takes the one canonical spelling of some bytes. Receivers' decoders disagree about every other.
func decodeBase64(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false // the decoder skips line breaks
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return key, err == nil
}

// checkText judges a secret whose text itself is the key.
func checkText(secret string) error {
	if len(secret) < minTextBytes || len(secret) > maxTextBytes {
		return fmt.Errorf("the secret has %d bytes, allowed are %d to %d", len(secret), minTextBytes, maxTextBytes)
	}
	if !utf8.ValidString(secret) {
		return errors.New("the secret is not valid UTF-8")
	}
	if strings.TrimSpace(secret) != secret {
		return errors.New("the secret begins or ends with white space")
	}
	if strings.ContainsFunc(secret, unicode.IsControl) {
		return errors.New("the secret contains a control character")
	}
	return nil
}

func unknownScheme(s Scheme) error {
	return fmt.Errorf("%q is not a signing scheme", string(s))
}

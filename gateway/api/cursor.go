package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// maxCursorBytes is far more than a cursor has: it bounds what is decoded.
const maxCursorBytes = 2048

// cursors makes and opens the cursors of lists. A cursor is sealed, so that nobody reads or makes a store's marks, and
// names the list, its filters and whose records it walks: it opens nothing else.
type cursors struct{ aead cipher.AEAD }

// position is what a cursor holds.
type position struct {
	// List is the route, Filters are its parameters but limit and cursor.
	List    string `json:"l"`
	Filters string `json:"f"`
	// Scope is the organisation whose records are listed; empty is everybody's.
	Scope string `json:"s"`
	// After is the store's mark.
	After string `json:"a"`
}

// newCursors derives the key of cursors from a secret that all processes share, so that a page asked of one process
// goes on in another.
func newCursors(secret []byte) (cursors, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "unihook cursor", 32)
	if err != nil {
		return cursors{}, fmt.Errorf("deriving the key of cursors: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return cursors{}, fmt.Errorf("making the cipher of cursors: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return cursors{aead}, err
}

// seal makes the text of a cursor.
func (c cursors) seal(p position) (string, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("making a cursor: %w", err)
	}
	if len(plain) > maxCursorBytes/2 {
		return "", errors.New("making a cursor: the position is too long")
	}
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, plain, nil)), nil
}

// open reads a cursor that seal made, and answers false for every other text.
func (c cursors) open(text string) (position, bool) {
	var p position
	if len(text) > maxCursorBytes {
		return p, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return p, false
	}
	plain, err := c.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return p, false
	}
	return p, json.Unmarshal(plain, &p) == nil
}

// filtersOf is the canonical text of a list's filters: a digest, so that a cursor's length has a bound.
func filtersOf(values url.Values) string {
	filters := url.Values{}
	for name, given := range values {
		if name != "limit" && name != "cursor" && name != "organisation" && given[0] != "" {
			filters[name] = given
		}
	}
	if len(filters) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(filters.Encode()))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// WrappingKeyBytes is the length of a wrapping key: --encryption-key.
const WrappingKeyBytes = 32

// maxWrappingKeys is the present wrapping key and, while it is exchanged, one more.
const maxWrappingKeys = 2

// sealsFreshFor is how long a process trusts its keyset before it looks for a newer one when it seals. A rotation
// retires a key only after every process has had to look (rotationSeen is longer).
const sealsFreshFor = 10 * time.Second

// keysetPurpose is the associated data of a wrapped keyset.
var keysetPurpose = []byte("unihook keyset")

// Seals seals secrets at rest: AEAD with a keyset that lives in the store, itself wrapped by a key that does not. Each
// ciphertext is bound to its organisation, record, field and name, so that one that is copied elsewhere does not open.
// It is safe for concurrent use.
type Seals struct {
	// LateSaves is how long a rotation waits for saves that were under way while it sealed webhooks anew; 0 is 12 s.
	LateSaves time.Duration

	store Keyring
	wraps []tink.AEAD
	clock func() time.Time

	mu      sync.RWMutex
	handle  *keyset.Handle
	aead    tink.AEAD
	version int64
	checked time.Time
}

// wrapped is a keyset as it is stored: the same keyset wrapped once by each wrapping key, so that processes that have
// the old, the new or both all open it while the wrapping key is exchanged.
type wrapped struct {
	Wraps [][]byte `json:"wraps"`
}

// OpenSeals opens the store's keyset with the wrapping keys, 32 bytes each, and makes one where there is none. A second
// wrapping key is given while the first is exchanged: the stored keyset is then wrapped by both, and by the one again
// when only one is given. It fails, with a sentence for the operator, when no key opens the keyset, and when there are
// sealed values and no keyset: a new one could never open them.
func OpenSeals(ctx context.Context, store Keyring, wrappingKeys ...[]byte) (*Seals, error) {
	if len(wrappingKeys) == 0 || len(wrappingKeys) > maxWrappingKeys {
		return nil, fmt.Errorf("%d encryption keys are given: it takes one, or two while it is exchanged", len(wrappingKeys))
	}
	s := &Seals{store: store, clock: time.Now}
	for _, key := range wrappingKeys {
		if len(key) != WrappingKeyBytes {
			return nil, fmt.Errorf("an encryption key has %d bytes, it must have %d", len(key), WrappingKeyBytes)
		}
		wrap, err := subtle.NewXChaCha20Poly1305(key)
		if err != nil {
			return nil, fmt.Errorf("preparing an encryption key: %w", err)
		}
		s.wraps = append(s.wraps, wrap)
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// openTries bounds how often a start begins anew because another process wrote the keyset meanwhile.
const openTries = 10

// open loads the keyset, makes it at the first start, and wraps it by the keys that were given.
func (s *Seals) open(ctx context.Context) error {
	for range openTries {
		stored, err := s.store.Keyset(ctx)
		if errors.Is(err, ErrNotFound) {
			err = s.create(ctx)
		} else if err == nil {
			if err = s.load(stored); err == nil && !s.wrappedByAll(stored.Blob) {
				err = s.write(ctx, s.handle, stored.Version)
			}
		}
		if !errors.Is(err, ErrStale) {
			return err
		}
	}
	return errors.New("opening the keyset: other processes keep changing it")
}

// create makes the first keyset; ErrStale when another process was quicker.
func (s *Seals) create(ctx context.Context) error {
	sealed, err := s.store.HasSealed(ctx)
	if err != nil {
		return fmt.Errorf("looking for sealed values: %w", err)
	}
	if sealed {
		return errors.New("the store has sealed secrets but no keyset to open them: restore the keyset from a backup; none is made anew")
	}
	handle, err := keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate())
	if err != nil {
		return fmt.Errorf("making a keyset: %w", err)
	}
	return s.write(ctx, handle, 0)
}

// write wraps handle and stores it over version was, then uses it. ErrStale when the stored version is another.
func (s *Seals) write(ctx context.Context, handle *keyset.Handle, was int64) error {
	var w wrapped
	for _, wrap := range s.wraps {
		var blob bytes.Buffer
		if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&blob), wrap, keysetPurpose); err != nil {
			return fmt.Errorf("wrapping the keyset: %w", err)
		}
		w.Wraps = append(w.Wraps, blob.Bytes())
	}
	text, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("writing the keyset: %w", err)
	}
	if err := s.store.SwapKeyset(ctx, Keyset{Blob: text, Version: was}); err != nil {
		return fmt.Errorf("storing the keyset: %w", err)
	}
	stored, err := s.store.Keyset(ctx)
	if err != nil {
		return fmt.Errorf("reading the keyset back: %w", err)
	}
	return s.load(stored)
}

// load unwraps a stored keyset and uses it from now on.
func (s *Seals) load(stored Keyset) error {
	handle, err := s.unwrap(stored.Blob)
	if err != nil {
		return err
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return fmt.Errorf("preparing the keyset: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle, s.aead, s.version, s.checked = handle, primitive, stored.Version, s.clock()
	return nil
}

func (s *Seals) unwrap(blob []byte) (*keyset.Handle, error) {
	var w wrapped
	if err := json.Unmarshal(blob, &w); err != nil {
		return nil, errors.New("the store's keyset is damaged: restore it from a backup")
	}
	for _, text := range w.Wraps {
		for _, wrap := range s.wraps {
			if handle, err := readKeyset(text, wrap); err == nil {
				return handle, nil
			}
		}
	}
	return nil, errors.New("the encryption key does not open this store: give the one that it was made with")
}

// wrappedByAll tells whether the stored keyset is wrapped by each of the given keys and no other.
func (s *Seals) wrappedByAll(blob []byte) bool {
	var w wrapped
	if json.Unmarshal(blob, &w) != nil || len(w.Wraps) != len(s.wraps) {
		return false
	}
	for i, wrap := range s.wraps {
		if _, err := readKeyset(w.Wraps[i], wrap); err != nil {
			return false
		}
	}
	return true
}

func readKeyset(text []byte, wrap tink.AEAD) (*keyset.Handle, error) {
	return keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(text)), wrap, keysetPurpose)
}

// Version is the stored version of the keyset that is in use.
func (s *Seals) Version() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version
}

// Reload takes up the store's keyset when its version is another than the one in use.
func (s *Seals) Reload(ctx context.Context) error {
	stored, err := s.store.Keyset(ctx)
	if err != nil {
		return fmt.Errorf("reading the keyset: %w", err)
	}
	if stored.Version != s.Version() {
		return s.load(stored)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked = s.clock()
	return nil
}

// fresh reloads when nobody looked for a newer keyset for a while: a process that was stopped in the meantime must not
// seal with a key that was retired.
func (s *Seals) fresh(ctx context.Context) error {
	s.mu.RLock()
	age := s.clock().Sub(s.checked)
	s.mu.RUnlock()
	if age >= 0 && age < sealsFreshFor {
		return nil
	}
	return s.Reload(ctx)
}

// BeatEvery is how often a process calls Beat.
const BeatEvery = 3 * time.Second

// Beat takes up a newer keyset and tells the others that the process lives and which keyset it has. Every api and
// worker process calls it each BeatEvery.
func (s *Seals) Beat(ctx context.Context, process, kind string) error {
	if err := s.Reload(ctx); err != nil {
		return err
	}
	beat := Process{ID: process, Kind: kind, KeysetVersion: s.Version(), SeenAt: At(s.clock())}
	if err := s.store.Beat(ctx, beat); err != nil {
		return fmt.Errorf("telling that the process lives: %w", err)
	}
	return nil
}

// Seal encrypts plain for one place: the organisation, the record's id, its field, and a name where the field has
// several values (case aside), else empty.
func (s *Seals) Seal(plain, organisation, record, field, name string) ([]byte, error) {
	s.mu.RLock()
	primitive := s.aead
	s.mu.RUnlock()
	sealed, err := primitive.Encrypt([]byte(plain), sealedPlace(organisation, record, field, name))
	if err != nil {
		return nil, fmt.Errorf("sealing %s of %s: %w", field, record, err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same place. It fails for any other, and for a key that was retired.
func (s *Seals) Open(sealed []byte, organisation, record, field, name string) (string, error) {
	s.mu.RLock()
	primitive := s.aead
	s.mu.RUnlock()
	plain, err := primitive.Decrypt(sealed, sealedPlace(organisation, record, field, name))
	if err != nil {
		return "", fmt.Errorf("opening %s of %s: %w", field, record, err)
	}
	return string(plain), nil
}

// sealedPlace is the associated data; no part can contain the separator.
func sealedPlace(organisation, record, field, name string) []byte {
	return []byte(strings.Join([]string{"unihook", organisation, record, field, strings.ToLower(name)}, "\x00"))
}

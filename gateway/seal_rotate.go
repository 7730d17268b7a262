package gateway

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

const (
	// rotationSeen is how long after its last beat a process still counts as running.
	rotationSeen = 30 * time.Second
	// rotationPoll is how often a rotation looks whether every process has the newest keyset.
	rotationPoll = 500 * time.Millisecond
	// rotationPage is how many webhooks are sealed anew between two reads.
	rotationPage = 100
	// rotationPasses bounds the walks over all webhooks; one that finds nothing to do is the last.
	rotationPasses = 20
	// lateSaves is Seals.LateSaves where it is not set: a look-up of 2 s and two writes that the store may hold up for
	// 5 s each.
	lateSaves = 12 * time.Second
)

// tinkPrefix is where a ciphertext names its key: a version byte, then four bytes of key id end there.
const tinkPrefix = 5

// Rotate exchanges the key that seals: it adds one, waits until every process that runs has it, makes it primary, waits
// again, seals every webhook anew, those too whose saves were under way, and retires the old one. It can be interrupted anywhere and begun again: it goes on
// where it was. tell, which may be nil, is told of each step. Only one may run at a time; the second fails.
func (s *Seals) Rotate(ctx context.Context, webhooks Webhooks, tell func(step string)) error {
	if tell == nil {
		tell = func(string) {}
	}
	err := s.rotate(ctx, webhooks, tell)
	if errors.Is(err, ErrStale) {
		return fmt.Errorf("another process changes the keyset, perhaps another rotation: run this one again when it is over: %w", err)
	}
	return err
}

func (s *Seals) rotate(ctx context.Context, webhooks Webhooks, tell func(step string)) error {
	if err := s.Reload(ctx); err != nil {
		return err
	}
	newest, err := s.addKey(ctx, tell)
	if err != nil {
		return err
	}
	if err := s.everywhere(ctx, tell); err != nil {
		return err
	}
	if err := s.change(ctx, func(m *keyset.Manager) error { return m.SetPrimary(newest) }); err != nil {
		return fmt.Errorf("making the new key primary: %w", err)
	}
	tell("the new key is primary")
	if err := s.everywhere(ctx, tell); err != nil {
		return err
	}
	if err := s.resealAll(ctx, webhooks, newest, tell); err != nil {
		return err
	}
	if err := s.awaitSaves(ctx, webhooks, newest, tell); err != nil {
		return err
	}
	if err := s.retire(ctx, newest); err != nil {
		return fmt.Errorf("retiring the old key: %w", err)
	}
	tell("the old key is retired")
	return nil
}

// addKey adds a key and answers its id. A key that an interrupted rotation added is taken instead: it stands last.
func (s *Seals) addKey(ctx context.Context, tell func(string)) (uint32, error) {
	s.mu.RLock()
	handle := s.handle
	s.mu.RUnlock()
	if n := handle.Len(); n > 1 {
		last, err := handle.Entry(n - 1)
		if err != nil {
			return 0, fmt.Errorf("reading the keyset: %w", err)
		}
		tell("going on with the key of an interrupted rotation")
		return last.KeyID(), nil
	}
	var id uint32
	err := s.change(ctx, func(m *keyset.Manager) (err error) {
		id, err = m.Add(aead.XChaCha20Poly1305KeyTemplate())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("adding a key: %w", err)
	}
	tell("a new key is added")
	return id, nil
}

// change stores the keyset after edit; ErrStale when somebody else changed it meanwhile.
func (s *Seals) change(ctx context.Context, edit func(*keyset.Manager) error) error {
	s.mu.RLock()
	handle, version := s.handle, s.version
	s.mu.RUnlock()
	manager := keyset.NewManagerFromHandle(handle)
	if err := edit(manager); err != nil {
		return err
	}
	changed, err := manager.Handle()
	if err != nil {
		return err
	}
	return s.write(ctx, changed, version)
}

// everywhere waits until every running process has the keyset in use here.
func (s *Seals) everywhere(ctx context.Context, tell func(string)) error {
	told := -1
	for {
		processes, err := s.store.Processes(ctx, At(s.clock().Add(-rotationSeen)))
		if err != nil {
			return fmt.Errorf("listing the processes: %w", err)
		}
		behind := 0
		for _, p := range processes {
			if p.KeysetVersion < s.Version() {
				behind++
			}
		}
		if behind == 0 {
			return nil
		}
		if behind != told {
			tell(fmt.Sprintf("waiting for %d processes to take up the keyset", behind))
			told = behind
		}
		if err := pause(ctx, rotationPoll); err != nil {
			return err
		}
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// resealAll walks all webhooks until a walk finds nothing that another key sealed: a save that was under way while the
// key changed may still bring the old one in.
func (s *Seals) resealAll(ctx context.Context, webhooks Webhooks, key uint32, tell func(string)) error {
	for range rotationPasses {
		changed, err := s.resealOnce(ctx, webhooks, key)
		if err != nil {
			return err
		}
		if changed == 0 {
			return nil
		}
		tell(fmt.Sprintf("%d webhooks are sealed anew", changed))
	}
	return errOldSeals
}

// awaitSaves gives saves the time to end that read a webhook, or sealed one, before it was sealed anew, and seals anew
// what they wrote: once the old key is retired nobody can open that. Without a running process there are none.
func (s *Seals) awaitSaves(ctx context.Context, webhooks Webhooks, key uint32, tell func(string)) error {
	for range rotationPasses {
		running, err := s.store.Processes(ctx, At(s.clock().Add(-rotationSeen)))
		if err != nil {
			return fmt.Errorf("listing the processes: %w", err)
		}
		if len(running) == 0 {
			return nil
		}
		tell("waiting for saves that are under way")
		if err := pause(ctx, cmp.Or(s.LateSaves, lateSaves)); err != nil {
			return err
		}
		late, err := s.resealOnce(ctx, webhooks, key)
		if err != nil {
			return err
		}
		if late == 0 {
			return nil
		}
		tell(fmt.Sprintf("%d webhooks that were being saved are sealed anew", late))
	}
	return errOldSeals
}

// errOldSeals keeps the old key.
var errOldSeals = errors.New("webhooks are still sealed with the old key: run the rotation again")

func (s *Seals) resealOnce(ctx context.Context, webhooks Webhooks, key uint32) (changed int, err error) {
	after := ""
	for {
		list, err := webhooks.EachWebhook(ctx, after, rotationPage)
		if err != nil {
			return changed, fmt.Errorf("walking the webhooks: %w", err)
		}
		if len(list) == 0 {
			return changed, nil
		}
		for _, w := range list {
			if w.Sealed.all(func(sealed []byte) bool { return sealedBy(sealed, key) }) {
				continue
			}
			if err := s.resealWebhook(&w); err != nil {
				return changed, err
			}
			changed++
			// A stale one was saved meanwhile; the next walk sees it again.
			if err := webhooks.ReplaceSealed(ctx, w, w.Revision); err != nil && !errors.Is(err, ErrStale) {
				return changed, fmt.Errorf("storing the seals of %s: %w", w.ID, err)
			}
		}
		after = list[len(list)-1].ID
	}
}

// sealedBy tells whether key made the ciphertext.
func sealedBy(sealed []byte, key uint32) bool {
	return len(sealed) >= tinkPrefix && binary.BigEndian.Uint32(sealed[1:tinkPrefix]) == key
}

// retire removes every key but the newest.
func (s *Seals) retire(ctx context.Context, newest uint32) error {
	s.mu.RLock()
	handle := s.handle
	s.mu.RUnlock()
	return s.change(ctx, func(m *keyset.Manager) error {
		for i := range handle.Len() {
			entry, err := handle.Entry(i)
			if err != nil {
				return err
			}
			if entry.KeyID() == newest {
				continue
			}
			if err := m.Delete(entry.KeyID()); err != nil {
				return err
			}
		}
		return nil
	})
}

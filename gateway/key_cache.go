package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

const (
	// keyFor is how long a key that was read is believed: a revoked one is refused within two seconds, this and the
	// longest read of the store together.
	keyFor = time.Second
	// keysKept bounds the keys in memory.
	keysKept = 10_000
	// touchEvery is how often, at most, a key's last use is written.
	touchEvery = time.Minute
	// touchBatch is how long uses are gathered before they are written together.
	touchBatch = time.Second
)

// cachedKey is a key as it was read; gone is true when its organisation is no more.
type cachedKey struct {
	key    Key
	gone   bool
	readAt time.Time
}

// keyCache keeps keys that were read a moment ago, and gathers when they were used.
type keyCache struct {
	g *Gateway

	mu   sync.Mutex
	by   map[string]cachedKey
	used map[string]Time
	// written is when a key's last use was last gathered.
	written map[string]Time
	wake    chan struct{}

	stop context.CancelFunc
	done chan struct{}
}

// newKeyCache starts the loop that writes uses; close ends it.
func newKeyCache(g *Gateway) *keyCache {
	ctx, stop := context.WithCancel(context.Background())
	c := &keyCache{
		g: g, by: map[string]cachedKey{}, used: map[string]Time{}, written: map[string]Time{},
		wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}),
	}
	go c.run(ctx)
	return c
}

// close writes what was gathered.
func (c *keyCache) close() {
	c.stop()
	<-c.done
	c.flush(context.Background())
}

func (c *keyCache) run(ctx context.Context) {
	defer close(c.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		if pause(ctx, touchBatch) != nil {
			return
		}
		c.flush(ctx)
	}
}

// flush writes the uses that were gathered. One that cannot be written is let go: the key's next use writes again.
func (c *keyCache) flush(ctx context.Context) {
	c.mu.Lock()
	used := c.used
	c.used = map[string]Time{}
	c.mu.Unlock()
	if len(used) == 0 {
		return
	}
	if err := c.g.Store.TouchKeys(ctx, used); err != nil && ctx.Err() == nil {
		c.g.Log.Warn("writing when keys were used", "keys", len(used), "error", err)
	}
}

// find answers a key by its id, at most keyFor old; ErrNotFound for one that is not there or whose organisation is gone.
func (c *keyCache) find(ctx context.Context, id string) (Key, error) {
	now := c.g.Clock()
	c.mu.Lock()
	found, ok := c.by[id]
	c.mu.Unlock()
	if age := now.Sub(found.readAt); !ok || age < 0 || age >= keyFor {
		var err error
		if found, err = c.read(ctx, id, now); err != nil {
			return Key{}, err
		}
	}
	if found.gone {
		return Key{}, ErrNotFound
	}
	return found.key, nil
}

// read fetches a key and keeps it. Ids that are not there are not kept: callers could fill the memory with them.
func (c *keyCache) read(ctx context.Context, id string, now time.Time) (cachedKey, error) {
	key, err := c.g.Store.Key(ctx, id)
	if err != nil {
		c.forget(id)
		return cachedKey{}, err
	}
	found := cachedKey{key: key, readAt: now}
	if key.Organisation != "" {
		_, err := c.g.organisation(ctx, key.Organisation)
		if found.gone = IsKind(err, NotFound); err != nil && !found.gone {
			return cachedKey{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.by) >= keysKept {
		clear(c.by)
	}
	c.by[id] = found
	return found, nil
}

func (c *keyCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.by, id)
}

// touch notes that a key was used, at most once in touchEvery.
func (c *keyCache) touch(id string) {
	now := c.g.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.written[id]; ok && now.Sub(last) < touchEvery && now >= last {
		return
	}
	if len(c.written) >= keysKept {
		clear(c.written)
	}
	c.written[id], c.used[id] = now, now
	select {
	case c.wake <- struct{}{}:
	default: // the loop is about to look
	}
}

// usedSince adds to keys the uses that are not written yet.
func (c *keyCache) usedSince(keys []Key) {
	c.mu.Lock()
	used := maps.Clone(c.used)
	c.mu.Unlock()
	for i := range keys {
		keys[i].LastUsedAt = max(keys[i].LastUsedAt, used[keys[i].ID])
	}
}

// lookUp is find, with errors for whom they concern: ErrNoKey for a key that is not there.
func (c *keyCache) lookUp(ctx context.Context, id string) (Key, error) {
	key, err := c.find(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Key{}, ErrNoKey
	}
	if err != nil {
		return Key{}, away(fmt.Errorf("reading key %s: %w", id, err))
	}
	return key, nil
}

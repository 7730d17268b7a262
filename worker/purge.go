package worker

import (
	"context"
	"fmt"
	"time"
)

// Bounds of the purge: small steps with pauses, so that nobody notices it.
const (
	purgeStep  = 500
	purgePause = 20 * time.Millisecond
	// purgeMost bounds the steps of one kind in one pass.
	purgeMost = 400
)

// purgeEvery is how often: each minute, or more often where things are kept for minutes.
func purgeEvery(retention time.Duration) time.Duration {
	return min(max(retention/20, time.Second), time.Minute)
}

// purgeOnce ends deliveries that are older than the retention, removes what was kept for as long, and destroys rotated
// secrets.
func (w *Worker) purgeOnce(ctx context.Context) error {
	now := w.now()
	before, audit := now.Add(-w.opts.Retention), now.Add(-w.opts.AuditRetention)
	for _, step := range []struct {
		what string
		do   func() (int, error)
	}{
		{"expiring deliveries", func() (int, error) { return w.store.ExpirePending(ctx, before, now, purgeStep) }},
		{"purging deliveries", func() (int, error) { return w.store.PurgeDeliveries(ctx, before, purgeStep) }},
		{"purging events", func() (int, error) { return w.store.PurgeEvents(ctx, before, purgeStep) }},
		{"purging the audit", func() (int, error) { return w.store.PurgeAudit(ctx, audit, purgeStep) }},
	} {
		if err := w.purge(step.do); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if _, err := w.opts.Gateway.ExpireSecrets(ctx); err != nil {
		return fmt.Errorf("destroying rotated secrets: %w", err)
	}
	return nil
}

func (w *Worker) purge(do func() (int, error)) error {
	for range purgeMost {
		if w.stopping() || w.writer.away() {
			return nil
		}
		n, err := do()
		if err != nil || n < purgeStep {
			return err
		}
		select {
		case <-time.After(purgePause):
		case <-w.stop:
			return nil
		}
	}
	return nil
}

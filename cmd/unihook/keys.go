package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/unihook/unihook/gateway"
)

// keysCommand looks after the keys that secrets are sealed with.
type keysCommand struct {
	Rotate rotateCommand `cmd:"" help:"Seal all secrets with a new key and retire the old one."`
}

// rotateCommand is `unihook keys rotate`.
type rotateCommand struct {
	settings
}

// Run adds a key, waits until every process has it, makes it primary, seals everything anew and retires the old one.
func (c *rotateCommand) Run(ctx context.Context, t terminal) error {
	n := &node{settings: &c.settings, role: roleKeys, id: processID(), log: slog.New(slog.DiscardHandler)}
	defer n.close()
	if err := n.openStore(ctx); err != nil {
		return err
	}
	if err := n.openKeys(ctx); err != nil {
		return err
	}
	if err := n.auditRotation(ctx); err != nil {
		return err
	}
	began := time.Now()
	err := n.seals.Rotate(ctx, n.store, func(step string) { fmt.Fprintln(t.out, step) })
	if err != nil {
		return fmt.Errorf("rotating the keys: %w", err)
	}
	fmt.Fprintf(t.out, "Done in %s.\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// auditRotation notes who is about to do it: the command line, for no one organisation.
func (n *node) auditRotation(ctx context.Context) error {
	now := time.Now()
	_, err := n.store.AppendAudit(ctx, gateway.AuditEntry{
		ID: gateway.NewID(gateway.PrefixAudit, now), At: gateway.At(now), Actor: "cli", Action: "keys.rotated", Object: "keyset",
	})
	if err != nil {
		return fmt.Errorf("writing the audit entry of the rotation: %w", err)
	}
	return nil
}

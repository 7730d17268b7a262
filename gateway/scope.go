package gateway

import (
	"context"
	"errors"
	"fmt"
)

// ScopeFor is whose records an actor may see. An operator sees every organisation, or the one that it names; all
// others see their own, and another's is not found.
func (g *Gateway) ScopeFor(ctx context.Context, a Actor, named string) (Scope, error) {
	if a.Kind != KindOperator {
		if a.Organisation == "" || named != "" && named != a.Organisation {
			return Scope{}, Refuse(NotFound, "there is no organisation %q", named)
		}
		return Only(a.Organisation), nil
	}
	if named == "" {
		return Everyone(), nil
	}
	if err := g.exists(ctx, named); err != nil {
		return Scope{}, err
	}
	return Only(named), nil
}

// exists refuses an organisation that is not there or is being erased.
func (g *Gateway) exists(ctx context.Context, id string) error {
	o, err := g.Store.Organisation(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && o.Erasing {
		return Refuse(NotFound, "there is no organisation %q", id)
	}
	if err != nil {
		return away(fmt.Errorf("reading organisation %s: %w", id, err))
	}
	return nil
}

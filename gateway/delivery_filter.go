package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// filterPage is how many webhooks are read at a time in search of an endpoint.
const filterPage = 200

// checkFilter refuses a filter on what is not in the scope: another organisation's id is NotFound, and so is one that
// nobody has, or the two could be told apart. It is asked about an empty list only: what was found was in the scope.
func (g *Gateway) checkFilter(ctx context.Context, scope Scope, filter DeliveryFilter) error {
	if _, one := scope.Organisation(); !one {
		return nil
	}
	if filter.Webhook != "" {
		if _, err := g.Store.Webhook(ctx, scope, filter.Webhook); errors.Is(err, ErrNotFound) {
			return Refuse(NotFound, "there is no webhook %.64q", filter.Webhook)
		} else if err != nil {
			return fmt.Errorf("reading webhook %s: %w", filter.Webhook, err)
		}
	}
	if filter.Event != "" {
		if _, err := g.Store.Event(ctx, scope, filter.Event); errors.Is(err, ErrNotFound) {
			return Refuse(NotFound, "there is no event %.64q", filter.Event)
		} else if err != nil {
			return fmt.Errorf("reading event %s: %w", filter.Event, err)
		}
	}
	if filter.Endpoint == "" {
		return nil
	}
	return g.checkEndpoint(ctx, scope, filter.Endpoint)
}

// checkEndpoint looks for an endpoint among the scope's deliveries, which outlive it, and then among its webhooks.
func (g *Gateway) checkEndpoint(ctx context.Context, scope Scope, id string) error {
	had, _, err := g.Store.ListDeliveries(ctx, scope, DeliveryFilter{Endpoint: id}, Page{Limit: 1})
	if err != nil {
		return fmt.Errorf("looking for deliveries of endpoint %s: %w", id, err)
	}
	if len(had) > 0 {
		return nil
	}
	page := Page{Limit: filterPage}
	for {
		list, next, err := g.Store.ListWebhooks(ctx, scope, page)
		if err != nil {
			return fmt.Errorf("looking for endpoint %s: %w", id, err)
		}
		if slices.ContainsFunc(list, func(w Webhook) bool { return hasEndpoint(w, id) }) {
			return nil
		}
		if next == "" {
			return Refuse(NotFound, "there is no endpoint %.64q", id)
		}
		page.After = next
	}
}

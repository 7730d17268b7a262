package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// startedReplay answers a replay that was asked for; a dry run has no id.
type startedReplay struct {
	ID      string `json:"id,omitempty"`
	Matched int    `json:"matched"`
}

// postReplay handles POST /v1/webhooks/{id}/replay.
func (a *API) postReplay(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	body, err := read[gateway.ReplayInput](c, typeJSON)
	if err != nil {
		return err
	}
	r, dry, err := a.gateway.StartReplay(c.ctx, c.actor, w, body)
	if err != nil {
		return err
	}
	if dry {
		return c.answer(fiber.StatusOK, startedReplay{Matched: r.Matched})
	}
	return c.answer(fiber.StatusAccepted, startedReplay{ID: r.ID, Matched: r.Matched})
}

// replay finds the replay that the path names.
func (a *API) replay(c *call) (gateway.Replay, error) {
	id, err := c.id("id")
	if err != nil {
		return gateway.Replay{}, err
	}
	r, err := a.gateway.FindReplay(c.ctx, c.actor, id)
	if err != nil {
		return gateway.Replay{}, err
	}
	return r, c.within(r.Organisation)
}

// getReplay handles GET /v1/replays/{id}.
func (a *API) getReplay(c *call) error {
	r, err := a.replay(c)
	if err != nil {
		return err
	}
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, r)
}

// postReplayCancel handles POST /v1/replays/{id}/cancel.
func (a *API) postReplayCancel(c *call) error {
	r, err := a.replay(c)
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	cancelled, err := a.gateway.CancelReplay(c.ctx, c.actor, r)
	if err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, cancelled)
}

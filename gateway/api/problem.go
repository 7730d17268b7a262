package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// problemType is the content type of every refusal (RFC 9457).
const problemType = "application/problem+json"

// problem is the body of every refusal. Its type is always about:blank: the status and the codes of the faults say
// what happened, so that no address has to be kept alive.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// RequestID is there for internal errors alone: the log has the whole error under it.
	RequestID string          `json:"requestId,omitempty"`
	Errors    []gateway.Fault `json:"errors,omitempty"`
}

// refusal is what this package itself refuses: what concerns HTTP and not the things behind it.
type refusal struct {
	status     int
	detail     string
	allow      string // the Allow header of a 405
	retryAfter time.Duration
}

func (r *refusal) Error() string { return r.detail }

// statusOf gives each kind of gateway.Error its status.
var statusOf = map[gateway.Kind]int{
	gateway.Invalid:     fiber.StatusUnprocessableEntity,
	gateway.Forbidden:   fiber.StatusForbidden,
	gateway.NotFound:    fiber.StatusNotFound,
	gateway.Conflict:    fiber.StatusConflict,
	gateway.Stale:       fiber.StatusPreconditionFailed,
	gateway.TooLarge:    fiber.StatusRequestEntityTooLarge,
	gateway.TooMany:     fiber.StatusTooManyRequests,
	gateway.Unavailable: fiber.StatusServiceUnavailable,
}

// awayRetry is how long callers are asked to wait when nobody knows how long it takes.
const awayRetry = 2 * time.Second

// fail answers with a problem for err. It is Fiber's error handler.
func (a *API) fail(c *fiber.Ctx, err error) error {
	p := problem{Type: "about:blank"}
	var (
		ours      *refusal
		theirs    *gateway.Error
		framework *fiber.Error
	)
	switch {
	case errors.As(err, &ours):
		p.Status, p.Detail = ours.status, ours.detail
		setRetryAfter(c, ours.retryAfter)
		if ours.allow != "" {
			c.Set(fiber.HeaderAllow, ours.allow)
		}
	case errors.As(err, &theirs):
		p.Status, p.Detail, p.Errors = statusOf[theirs.Kind], theirs.Detail, theirs.Faults
		setRetryAfter(c, theirs.RetryAfter)
	case errors.Is(err, gateway.ErrNoKey):
		p.Status, p.Detail = fiber.StatusUnauthorized, "a valid key is needed: Authorization: Bearer <key>"
	case errors.Is(err, gateway.ErrAway):
		p.Status, p.Detail = fiber.StatusServiceUnavailable, "the store cannot be reached; try again"
	case errors.As(err, &framework) && framework.Code < fiber.StatusInternalServerError:
		p.Status, p.Detail = framework.Code, framework.Message
	}
	if p.Status == 0 || p.Status == fiber.StatusInternalServerError {
		p.Status, p.Detail, p.RequestID = fiber.StatusInternalServerError, "internal error", requestID(c)
		a.log.Error("request failed", slog.String("request", p.RequestID), slog.String("method", c.Method()),
			slog.String("route", c.Route().Path), slog.Any("error", err))
	}
	if wait := p.Status == fiber.StatusTooManyRequests || p.Status == fiber.StatusServiceUnavailable; wait && len(c.Response().Header.Peek(fiber.HeaderRetryAfter)) == 0 {
		setRetryAfter(c, awayRetry)
	}
	p.Title = http.StatusText(p.Status)
	return p.write(c)
}

func (p problem) write(c *fiber.Ctx) error {
	if p.Status == fiber.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	secure(c)
	c.Set(fiber.HeaderContentType, problemType)
	return c.Status(p.Status).Send(body)
}

// setRetryAfter says in whole seconds, rounded up, when to come back.
func setRetryAfter(c *fiber.Ctx, wait time.Duration) {
	if wait > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

package api

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/unihook/unihook/gateway"
)

// readyTimeout bounds all checks of one /readyz together: who asks wants an answer, also when the store hangs.
const readyTimeout = 2 * time.Second

// status answers /healthz and /readyz.
type status struct {
	// Status is "ok", or "unavailable" with 503.
	Status string `json:"status"`
	// Checks are there for who may know: each check's error, or "ok".
	Checks map[string]string `json:"checks,omitempty"`
}

// getHealth handles GET /healthz: the process runs.
func (a *API) getHealth(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, status{Status: "ok"})
}

// getReady handles GET /readyz: the process can do its work. A key of an operator or a monitor sees the details.
func (a *API) getReady(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	var answer status
	if actor, err := a.authenticate(c.ctx, c.Ctx); err == nil && actor.May(monitor) == nil {
		answer = a.ready(c.ctx)
	} else {
		answer = a.readiness.of(func() status { return a.ready(c.ctx) })
		answer.Checks = nil
	}
	code := fiber.StatusOK
	if answer.Status != "ok" {
		code = fiber.StatusServiceUnavailable
		setRetryAfter(c.Ctx, awayRetry)
	}
	return c.answer(code, answer)
}

// readyFor is how long the answer to one stranger serves the others: a check asks the store, the queue and the egress
// proxy, each over a connection, and whoever is near can ask without a key.
const readyFor = time.Second

// readiness is what strangers are told. The zero value knows nothing yet.
type readiness struct {
	mu   sync.Mutex
	last status
	at   time.Time
}

// of is the last answer, or that of check where it is too old; who comes meanwhile waits for the same.
func (r *readiness) of(check func() status) status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || time.Since(r.at) >= readyFor {
		r.last, r.at = check(), time.Now()
	}
	return r.last
}

// ready runs the checks side by side.
func (a *API) ready(ctx context.Context) status {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	checks := append([]Check{{Name: "store", Run: a.gateway.Ready}}, a.checks...)
	results := make(chan [2]string, len(checks))
	for _, check := range checks {
		go func() {
			if err := check.Run(ctx); err != nil {
				a.log.Warn("not ready", slog.String("check", check.Name), slog.Any("error", err))
				results <- [2]string{check.Name, err.Error()}
				return
			}
			results <- [2]string{check.Name, "ok"}
		}()
	}
	answer := status{Status: "ok", Checks: map[string]string{}}
	for range checks {
		select {
		case r := <-results:
			answer.Checks[r[0]] = r[1]
		case <-ctx.Done():
		}
	}
	for _, check := range checks {
		if answer.Checks[check.Name] == "" {
			answer.Checks[check.Name] = "no answer in time"
		}
		if answer.Checks[check.Name] != "ok" {
			answer.Status = "unavailable"
		}
	}
	return answer
}

// getMetrics handles GET /metrics, in Prometheus' text format.
func (a *API) getMetrics(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	if a.metrics == nil {
		return gateway.Refuse(gateway.NotFound, "this process has no metrics")
	}
	return adaptor.HTTPHandler(a.metrics)(c.Ctx)
}

// getEgress handles GET /v1/egress and GET /egress.json.
func (a *API) getEgress(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	return c.answer(fiber.StatusOK, a.gateway.EgressFacts())
}

// getEgressText handles GET /egress.txt: the present addresses, one a line, as firewalls read them.
func (a *API) getEgressText(c *call) error {
	if err := c.query.err(); err != nil {
		return err
	}
	var text strings.Builder
	for _, address := range a.gateway.EgressFacts().Addresses {
		text.WriteString(address.String() + "\n")
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	return c.SendString(text.String())
}

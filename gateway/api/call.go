package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// call is one request on its way through a handler: who calls, and what the query says.
type call struct {
	*fiber.Ctx
	ctx   context.Context
	route *Route
	actor gateway.Actor
	query query
}

// maxIDBytes is longer than any id: what is longer, or is no plain text, cannot name a thing.
const maxIDBytes = 256

// handler admits a request to a route and lets the route answer it.
func (a *API) handler(r *Route) fiber.Handler {
	return func(fc *fiber.Ctx) (err error) {
		start := time.Now()
		defer func() {
			if p := recover(); p != nil {
				a.panics.Add(1)
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			if err != nil {
				err = a.fail(fc, err)
			}
			if a.observe != nil {
				a.observe(r.Method, r.Path, fc.Response().StatusCode(), time.Since(start))
			}
		}()
		secure(fc)
		c := &call{Ctx: fc, ctx: a.contextOf(fc), route: r}
		if err := a.admit(c); err != nil {
			return err
		}
		c.query = parseQuery(string(fc.Request().URI().QueryString()), r.Query)
		if err := a.own(c); err != nil {
			return err
		}
		return r.handle(a, c)
	}
}

// admit judges the key, its rate and its kind.
func (a *API) admit(c *call) error {
	if c.route.Act == open {
		return nil
	}
	actor, err := a.authenticate(c.ctx, c.Ctx)
	if err != nil {
		return err
	}
	c.actor = actor
	if a.allow != nil {
		ok, wait, err := a.allow(c.ctx, actor.Key)
		switch {
		case err != nil:
			// The rate is kept in the queue's Redis, and a queue that is away fails no request.
			a.log.Warn("the rate of a key is not known", slog.String("key", actor.Key), slog.Any("error", err))
		case !ok:
			return &refusal{status: fiber.StatusTooManyRequests, detail: "this key sends more requests a second than it may", retryAfter: max(wait, time.Second)}
		}
	}
	return actor.May(c.route.Act)
}

// own refuses an organisation's key that names another organisation in the query, before anything else is read. What
// the operator names is judged where it is used: for some routes one that is not there is a fault.
func (a *API) own(c *call) error {
	named := c.query.text("organisation")
	if named == "" || c.actor.Kind != gateway.KindOrganisation {
		return nil
	}
	_, err := a.gateway.ScopeFor(c.ctx, c.actor, named)
	return err
}

// authenticate finds who the request's key belongs to; ErrNoKey where it has none that is valid.
func (a *API) authenticate(ctx context.Context, c *fiber.Ctx) (gateway.Actor, error) {
	bearer, ok := bearerOf(c.Get(fiber.HeaderAuthorization))
	if !ok {
		return gateway.Actor{}, gateway.ErrNoKey
	}
	return a.gateway.Authenticate(ctx, bearer, a.addressOf(c.Context()))
}

// bearerOf takes the key out of an Authorization header.
func bearerOf(header string) (string, bool) {
	scheme, key, ok := strings.Cut(header, " ")
	key = strings.Trim(key, " ")
	return key, ok && strings.EqualFold(scheme, "Bearer") && key != ""
}

// id is a part of the path that names a thing, decoded. What no id can be is answered as a thing that is not there.
func (c *call) id(name string) (string, error) {
	text, err := url.PathUnescape(c.Params(name))
	if err != nil || text == "" || len(text) > maxIDBytes || !plain(text) {
		return "", gateway.Refuse(gateway.NotFound, "there is nothing under this address")
	}
	return text, nil
}

// scope is whose records the call may see: the organisation of the key, or the one that an operator names.
func (c *call) scope(a *API) (gateway.Scope, error) {
	return a.gateway.ScopeFor(c.ctx, c.actor, c.query.text("organisation"))
}

// within refuses a thing of another organisation than the one that the query names.
func (c *call) within(organisation string) error {
	if named := c.query.text("organisation"); named != "" && named != organisation {
		return gateway.Refuse(gateway.NotFound, "there is no such thing in organisation %q", named)
	}
	return nil
}

// owner puts the organisation of the query where the body has none. Two different ones are a fault.
func owner[T any](c *call, body *gateway.Body[T], organisation *gateway.Optional[string]) {
	named := c.query.text("organisation")
	switch {
	case named == "":
	case !organisation.Set || organisation.Null:
		*organisation = gateway.Given(named)
	case organisation.Value != named:
		body.Faults = append(body.Faults, gateway.Fault{Pointer: "/organisation", Code: "organisation_ambiguous",
			Detail: "is another one than the query names"})
	}
}

// answer writes a value as JSON.
func (c *call) answer(status int, value any) error {
	body, err := marshal(value)
	if err != nil {
		return fmt.Errorf("writing the answer of %s: %w", c.route.Path, err)
	}
	return c.send(status, body)
}

// send writes a body that is JSON already.
func (c *call) send(status int, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(body)
}

// marshal writes JSON without the escapes that HTML would need.
func marshal(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

// listed is a page of a list.
type listed[T any] struct {
	Data []T `json:"data"`
	// Next is the cursor of the next page; null on the last.
	Next *string `json:"next"`
}

// page reads limit and cursor. A cursor belongs to the list, the filters and the organisation that it was made for.
func (a *API) page(c *call, scope gateway.Scope) (gateway.Page, error) {
	page := gateway.Page{Limit: c.query.limit()}
	if text := c.query.text("cursor"); text != "" {
		at, ok := a.cursors.open(text)
		organisation, one := scope.Organisation()
		switch {
		case ok && one && at.Scope != organisation && c.actor.Kind != gateway.KindOperator:
			return page, gateway.Refuse(gateway.NotFound, "there is no such list")
		case !ok || at.List != c.route.Path || at.Filters != filtersOf(c.query.values) || at.Scope != organisation:
			c.query.fault("cursor", "cursor_unknown", "is not the cursor of this list with these filters")
		}
		page.After = at.After
	}
	return page, c.query.err()
}

// answerPage writes a page of a list.
func answerPage[T any](a *API, c *call, scope gateway.Scope, list []T, next string) error {
	answer := listed[T]{Data: list}
	if answer.Data == nil {
		answer.Data = []T{}
	}
	if next != "" {
		organisation, _ := scope.Organisation()
		text, err := a.cursors.seal(position{List: c.route.Path, Filters: filtersOf(c.query.values), Scope: organisation, After: next})
		if err != nil {
			return err
		}
		answer.Next = &text
	}
	return c.answer(fiber.StatusOK, answer)
}

// revision is the ETag of a revision.
func revision(number int64) string { return strconv.Quote(strconv.FormatInt(number, 10)) }

// errStale is an If-Match that no revision can have.
var errStale = gateway.Refuse(gateway.Stale, "the webhook has another revision than If-Match names: read it again")

// ifMatch reads If-Match (RFC 9110, 13.1.1) for a thing whose revision is present: nil where every revision will do. Of
// several the one that is present counts, else the first, so that Gateway, which alone can compare safely, refuses it.
func (c *call) ifMatch(present int64) (*int64, error) {
	header := strings.TrimSpace(c.Get(fiber.HeaderIfMatch))
	if header == "" || header == "*" {
		return nil, nil
	}
	var first *int64
	for tag := range strings.SplitSeq(header, ",") {
		number, err := tagged(strings.TrimSpace(tag))
		switch {
		case err != nil:
			continue
		case number == present:
			return &number, nil
		case first == nil:
			first = &number
		}
	}
	if first == nil {
		return nil, errStale
	}
	return first, nil
}

// tagged reads a strong entity tag that revision made. A weak one never matches.
func tagged(tag string) (int64, error) {
	inside, ok := strings.CutPrefix(tag, `"`)
	inside, closed := strings.CutSuffix(inside, `"`)
	if !ok || !closed {
		return 0, errors.New("not a strong entity tag")
	}
	return strconv.ParseInt(inside, 10, 64)
}

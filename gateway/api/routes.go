package api

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// Route is one line of the table of routes.
type Route struct {
	Method string
	// Path has its variable parts in braces, as in the OpenAPI description.
	Path string
	// Act is what a key must be for; empty needs no key.
	Act gateway.Act
	// Query names the parameters that it takes; all others are faults.
	Query []string

	body   func(*API) int // the most bytes of a body; nil is hardly any
	handle func(*API, *call) error
}

// What a key must be for to call a route. For which organisation it may is Gateway's decision.
const (
	open      gateway.Act = ""
	operate               = gateway.ActOperate
	publish               = gateway.ActPublish
	catalogue             = gateway.ActReadCatalogue
	configure             = gateway.ActConfigure
	monitor               = gateway.ActMonitor
)

// Parameters of queries.
var (
	none        []string
	of          = []string{"organisation"}
	pages       = []string{"limit", "cursor"}
	pagesOf     = []string{"organisation", "limit", "cursor"}
	ofEvents    = append([]string{"product", "type", "account", "since", "until"}, pagesOf...)
	ofDelivered = append([]string{"webhook", "endpoint", "event", "status", "since", "until"}, pagesOf...)
	ofAudit     = append([]string{"actor", "action", "object", "since", "until"}, pagesOf...)
)

// routes is every route there is.
var routes = []Route{
	{"GET", "/v1/products", catalogue, none, nil, (*API).getProducts},
	{"GET", "/v1/products/{product}", catalogue, none, nil, (*API).getProduct},
	{"GET", "/v1/products/{product}/events/{type}", catalogue, none, nil, (*API).getEventType},

	{"POST", "/v1/webhooks", configure, of, plainBody, (*API).postWebhook},
	{"GET", "/v1/webhooks", configure, pagesOf, nil, (*API).getWebhooks},
	{"GET", "/v1/webhooks/{id}", configure, of, nil, (*API).getWebhook},
	{"PATCH", "/v1/webhooks/{id}", configure, of, plainBody, (*API).patchWebhook},
	{"DELETE", "/v1/webhooks/{id}", configure, of, nil, (*API).deleteWebhook},
	{"POST", "/v1/webhooks/{id}/duplicate", configure, of, plainBody, (*API).postDuplicate},
	{"POST", "/v1/webhooks/{id}/secret", configure, of, plainBody, (*API).postSecret},
	{"POST", "/v1/webhooks/{id}/test", configure, of, plainBody, (*API).postTest},
	{"POST", "/v1/webhooks/{id}/replay", configure, of, plainBody, (*API).postReplay},
	{"GET", "/v1/replays/{id}", configure, of, nil, (*API).getReplay},
	{"POST", "/v1/replays/{id}/cancel", configure, of, nil, (*API).postReplayCancel},

	{"GET", "/v1/accounts", configure, pagesOf, nil, (*API).getAccounts},
	{"PUT", "/v1/accounts/{id}", configure, of, plainBody, (*API).putAccount},

	{"POST", "/v1/mappings/preview", configure, of, eventBody, (*API).postPreview},

	{"POST", "/v1/events", publish, of, eventBody, (*API).postEvent},
	{"POST", "/v1/events/batch", publish, of, batchBody, (*API).postBatch},
	{"GET", "/v1/events", configure, ofEvents, nil, (*API).getEvents},
	{"GET", "/v1/events/{id}", configure, of, nil, (*API).getEvent},
	{"DELETE", "/v1/events/{id}", configure, of, nil, (*API).deleteEvent},

	{"GET", "/v1/deliveries", configure, ofDelivered, nil, (*API).getDeliveries},
	{"GET", "/v1/deliveries/{id}", configure, of, nil, (*API).getDelivery},
	{"POST", "/v1/deliveries/{id}/retry", configure, of, nil, (*API).postRetry},
	{"POST", "/v1/deliveries/{id}/cancel", configure, of, nil, (*API).postCancel},

	{"POST", "/v1/organisations", operate, none, plainBody, (*API).postOrganisation},
	{"GET", "/v1/organisations", operate, pages, nil, (*API).getOrganisations},
	{"GET", "/v1/organisations/{id}", operate, none, nil, (*API).getOrganisation},
	{"PATCH", "/v1/organisations/{id}", operate, none, plainBody, (*API).patchOrganisation},
	{"DELETE", "/v1/organisations/{id}", operate, none, nil, (*API).deleteOrganisation},
	{"POST", "/v1/keys", operate, none, plainBody, (*API).postKey},
	{"GET", "/v1/keys", operate, pages, nil, (*API).getKeys},
	{"DELETE", "/v1/keys/{id}", operate, none, nil, (*API).deleteKey},
	{"GET", "/v1/audit", configure, ofAudit, nil, (*API).getAudit},

	{"GET", "/v1/egress", open, none, nil, (*API).getEgress},
	{"GET", "/egress.json", open, none, nil, (*API).getEgress},
	{"GET", "/egress.txt", open, none, nil, (*API).getEgressText},
	{"GET", "/healthz", open, none, nil, (*API).getHealth},
	{"GET", "/readyz", open, none, nil, (*API).getReady},
	{"GET", "/metrics", monitor, none, nil, (*API).getMetrics},
	{"GET", "/openapi.yaml", open, none, nil, (*API).getOpenAPI},
	{"GET", "/openapi.json", open, none, nil, (*API).getOpenAPIJSON},
	{"GET", "/docs", open, none, nil, (*API).getDocs},
	{"GET", "/docs/{file}", open, none, nil, (*API).getDocsFile},
}

// Routes is the table of routes, for tests and documentation. HEAD is answered wherever GET is.
func Routes() []Route { return slices.Clone(routes) }

// fiberPath is the path as Fiber writes it.
func (r *Route) fiberPath() string {
	return strings.NewReplacer("{", ":", "}", "").Replace(r.Path)
}

// matches tells whether a request's path is one of the route's.
func (r *Route) matches(path string) bool {
	more := true
	for pattern := range strings.SplitSeq(r.Path, "/") {
		if !more {
			return false
		}
		var part string
		part, path, more = strings.Cut(path, "/")
		if part != pattern && (part == "" || !strings.HasPrefix(pattern, "{")) {
			return false
		}
	}
	return !more
}

// routeFor finds the route of a request.
func routeFor(method, path string) (*Route, bool) {
	if method == fiber.MethodHead {
		method = fiber.MethodGet
	}
	for i := range routes {
		if routes[i].Method == method && routes[i].matches(path) {
			return &routes[i], true
		}
	}
	return nil, false
}

// pathOf is the path of a request's target, which may name scheme and host too.
func pathOf(target string) string {
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		_, path, _ := strings.Cut(rest, "/")
		target = "/" + path
	}
	path, _, _ := strings.Cut(target, "?")
	return path
}

// unrouted refuses a request that has no route: 405 where another method has one, else 404.
func unrouted(path string) error {
	var allow []string
	for i := range routes {
		if !routes[i].matches(path) {
			continue
		}
		allow = append(allow, routes[i].Method)
		if routes[i].Method == fiber.MethodGet {
			allow = append(allow, fiber.MethodHead)
		}
	}
	if len(allow) == 0 {
		return &refusal{status: fiber.StatusNotFound, detail: "there is nothing under this address"}
	}
	return &refusal{status: fiber.StatusMethodNotAllowed, detail: "this address takes " + strings.Join(allow, ", "), allow: strings.Join(allow, ", ")}
}

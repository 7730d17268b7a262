package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/api"
	"github.com/unihook/unihook/schemas"
)

// contract is the OpenAPI description, ready to judge answers.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

var described = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(schemas.OpenAPI)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	for _, text := range []string{"text/html", "text/css", "text/javascript"} {
		openapi3filter.RegisterBodyDecoder(text, openapi3filter.RegisteredBodyDecoder("text/plain"))
	}
	router, err := gorillamux.NewRouter(doc)
	return &contract{doc, router}, err
})

// judge compares an answer with what the description says of its operation. All tests' answers pass through here.
// It answers the operation, or nothing for a request that no operation describes.
func (c *contract) judge(t *testing.T, req *http.Request, a answer) (operation string) {
	t.Helper()
	described := req.Clone(req.Context())
	if described.Method == http.MethodHead {
		described.Method = http.MethodGet
	}
	route, params, err := c.router.FindRoute(described)
	if err != nil {
		if !slices.Contains([]int{400, 404, 405}, a.status) {
			t.Errorf("%s %s answered %d and is not described", req.Method, req.URL, a.status)
		}
		return ""
	}
	if req.Method == http.MethodHead {
		return ""
	}
	err = openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: described, PathParams: params, Route: route},
		Status:                 a.status,
		Header:                 a.header,
		Body:                   io.NopCloser(bytes.NewReader(a.body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		t.Errorf("%s %s answered %d, not as it is described: %v", req.Method, req.URL, a.status, err)
	}
	return route.Operation.OperationID
}

// Every route is described, everything described is routed, and both agree on who may call it and with which parameters.
func TestContract_Routes(t *testing.T) {
	c, err := described()
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		Kinds []string
		Query []string
	}
	want, got := map[string]line{}, map[string]line{}
	for _, r := range api.Routes() {
		want[r.Method+" "+r.Path] = line{kindsFor(r.Act), slices.Sorted(slices.Values(r.Query))}
	}
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			var l line
			if kinds, ok := operation.Extensions["x-key-kinds"].([]any); ok {
				for _, kind := range kinds {
					l.Kinds = append(l.Kinds, kind.(string))
				}
			}
			for _, p := range operation.Parameters {
				if p.Value.In == "query" {
					l.Query = append(l.Query, p.Value.Name)
				}
			}
			slices.Sort(l.Kinds)
			slices.Sort(l.Query)
			got[method+" "+path] = l
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// kindsFor are the kinds of key that may do act; none where no key is needed.
func kindsFor(act gateway.Act) []string {
	var kinds []string
	for _, kind := range allKinds {
		if act != "" && gateway.Allows(kind, act) {
			kinds = append(kinds, string(kind))
		}
	}
	slices.Sort(kinds)
	return kinds
}

var allKinds = []gateway.KeyKind{gateway.KindOperator, gateway.KindPublisher, gateway.KindPortal, gateway.KindOrganisation, gateway.KindMonitor}

// Each operation's success is seen once, and is as described.
func TestContract_Answers(t *testing.T) {
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = w.Write([]byte("up 1\n"))
		})
	})
	s.seen = map[string]bool{}
	customer := s.organisation("org_a")
	for _, path := range []string{"/v1/products", "/v1/products/payments", "/v1/products/payments/events/paiement.success", "/v1/egress", "/egress.json",
		"/egress.txt", "/healthz", "/readyz", "/metrics", "/openapi.yaml", "/openapi.json", "/docs", "/docs/start.js", "/v1/organisations", "/v1/organisations/org_a", "/v1/keys"} {
		s.call(200, "GET", path, "")
	}
	s.call(200, "PATCH", "/v1/organisations/org_a", `{"name":"A"}`)
	made := s.as(customer, 201, "POST", "/v1/webhooks", `{"endpoints":[{"url":"https://hook.example.com/a"}],"events":[{"product":"*","type":"*"}],
		"status":"active","headers":[{"name":"Authorization","value":"s3cret"},{"name":"X-A","value":"1","secret":false}],
		"mapping":[{"op":"set","path":"data.a","value":null}],"retry":{"schedule":"custom","delays":[]},"rateLimit":0.5,"timeoutSeconds":1}`)
	hook := "/v1/webhooks/" + made.text("id")
	s.as(customer, 200, "GET", hook, "")
	s.as(customer, 200, "GET", "/v1/webhooks", "")
	s.as(customer, 200, "PATCH", hook, `{"description":null}`)
	s.as(customer, 200, "PATCH", hook, string(s.as(customer, 200, "GET", hook, "").body))
	s.as(customer, 201, "POST", hook+"/duplicate", `{"endpoints":[{"url":"https://hook.example.com/b"}]}`)
	s.as(customer, 200, "POST", hook+"/secret", `{"graceSeconds":60}`)
	s.as(customer, 200, "PUT", "/v1/accounts/acc%2F1", `{"name":"One"}`)
	s.as(customer, 200, "GET", "/v1/accounts", "")
	s.as(customer, 200, "POST", "/v1/mappings/preview", `{"product":"payments","type":"paiement.success","mapping":[{"op":"remove","path":"data.contact.email"},{"op":"remove","path":"x"}]}`)

	event := `{"id":"e1","product":"payments","type":"paiement.success","organisation":"org_a","account":"acc/1","data":{"id":"pmt_1"}}`
	s.call(202, "POST", "/v1/events", event)
	s.call(409, "POST", "/v1/events", strings.Replace(event, "pmt_1", "pmt_2", 1))
	s.call(202, "POST", "/v1/events/batch", `[`+event+`,{},`+strings.Replace(event, "pmt_1", "pmt_2", 1)+`]`)
	s.as(customer, 200, "GET", "/v1/events", "")
	s.as(customer, 200, "GET", "/v1/events/e1", "")
	list := s.as(customer, 200, "GET", "/v1/deliveries?status=pending,failed&webhook="+made.text("id")+"&event=e1&endpoint="+made.text("endpoints.0.id"), "")
	delivery := "/v1/deliveries/" + list.text("data.0.id")
	s.attempted(list.text("data.0.id"))
	s.as(customer, 200, "GET", delivery, "")
	s.as(customer, 200, "GET", "/v1/deliveries", "")
	s.as(customer, 202, "POST", delivery+"/retry", "")
	s.as(customer, 200, "POST", delivery+"/cancel", "{}")
	s.as(customer, 409, "POST", delivery+"/cancel", "")
	s.as(customer, 200, "POST", hook+"/replay", `{"since":"2020-01-01T00:00:00Z","dryRun":true}`)
	replay := s.as(customer, 202, "POST", hook+"/replay", `{"since":"2020-01-01T00:00:00Z"}`).text("id")
	s.as(customer, 409, "POST", hook+"/replay", `{"since":"2020-01-01T00:00:00Z"}`)
	s.as(customer, 200, "GET", "/v1/replays/"+replay, "")
	s.as(customer, 200, "POST", "/v1/replays/"+replay+"/cancel", "")
	s.tested(customer, hook)
	s.as(customer, 204, "DELETE", "/v1/events/e1", "")
	s.as(customer, 200, "GET", delivery, "")
	s.as(customer, 204, "DELETE", hook, "")
	s.as(customer, 200, "GET", "/v1/audit", "")
	s.call(204, "DELETE", "/v1/keys/"+s.call(200, "GET", "/v1/keys", "").text("data.0.id"), "")
	s.call(204, "DELETE", "/v1/organisations/org_a", "")

	c, err := described()
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range c.doc.Paths.Map() {
		for _, operation := range item.Operations() {
			if !s.seen[operation.OperationID] {
				t.Errorf("%s was never answered with success", operation.OperationID)
			}
		}
	}
}

// The description as JSON says what the one in YAML says.
func TestContract_JSON(t *testing.T) {
	s := start(t)
	doc, err := openapi3.NewLoader().LoadFromData(s.as("", 200, "GET", "/openapi.json", "").body)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	c, err := described()
	if err != nil {
		t.Fatal(err)
	}
	if fromJSON, fromYAML := plain(t, doc), plain(t, c.doc); fromJSON != fromYAML {
		t.Error("the two descriptions differ")
	}
	if got := s.as("", 200, "GET", "/openapi.yaml", ""); !bytes.Equal(got.body, schemas.OpenAPI) {
		t.Error("/openapi.yaml is not the file")
	}
}

func plain(t *testing.T, doc *openapi3.T) string {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

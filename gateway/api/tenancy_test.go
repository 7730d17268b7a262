package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/api"
)

// The walk: every operation of the OpenAPI file, by every kind of key of organisation "mine", with the ids of
// organisation "theirs" in its path, its query, its cursor and its body. Nothing of theirs may be seen or changed.

// walked says what the walk does with an operation.
type walked struct {
	// body is what is sent where the path already names their thing.
	body string
	// foreign are requests that name their thing in the body, with the status that each must have; in paths and bodies
	// MINE and THEIRS stand for ids, as in MINE.webhook.
	foreign []foreign
	// shared is for what belongs to nobody: the catalogue, and the service itself.
	shared bool
}

type foreign struct {
	path, body string
	status     int
}

// walk has every operation. An operation that is added without a line here fails the test.
var walk = map[string]walked{
	"listProducts": {shared: true}, "getProduct": {shared: true}, "getEventType": {shared: true},
	"createWebhook": {foreign: []foreign{
		{"/v1/webhooks", `{"organisation":"theirs","endpoints":[{"url":"https://a.example.com"}],"events":[{"product":"*","type":"*"}]}`, 404},
		{"/v1/webhooks?organisation=theirs", `{`, 404}, // the id comes before the body
		{"/v1/webhooks?organisation=theirs", `{"endpoints":[{"url":"https://a.example.com"}],"events":[{"product":"*","type":"*"}]}`, 404},
	}},
	"listWebhooks": {}, "getWebhook": {},
	"updateWebhook": {body: `{"name":"taken over"}`, foreign: []foreign{
		{"/v1/webhooks/MINE.webhook", `{"endpoints":[{"id":"THEIRS.endpoint","url":"https://a.example.com"}]}`, 422},
		{"/v1/webhooks/MINE.webhook?organisation=theirs", `{}`, 404},
	}},
	"deleteWebhook":    {},
	"duplicateWebhook": {body: `{"endpoints":[{"url":"https://a.example.com"}]}`},
	"rotateSecret":     {body: `{}`},
	"testWebhook":      {body: `{}`},
	"startReplay":      {body: `{"since":"2020-01-01T00:00:00Z"}`},
	"getReplay":        {}, "cancelReplay": {},
	"listAccounts": {},
	"putAccount":   {body: `{"name":"taken over"}`, foreign: []foreign{{"/v1/accounts/new?organisation=theirs", `{"name":"x"}`, 404}}},
	"previewMapping": {foreign: []foreign{
		{"/v1/mappings/preview", `{"product":"payments","type":"paiement.success","event":"THEIRS.event"}`, 404},
		{"/v1/mappings/preview", `{"product":"payments","type":"paiement.success","organisation":"theirs","event":"THEIRS.event"}`, 404},
		{"/v1/mappings/preview?organisation=theirs", `{"product":"payments","type":"paiement.success","event":"THEIRS.event"}`, 404},
	}},
	"publishEvent": {foreign: []foreign{
		{"/v1/events", `{"organisation":"theirs","product":"payments","type":"paiement.success","data":{}}`, 403},
		{"/v1/events?organisation=theirs", `{"product":"payments","type":"paiement.success","data":{}}`, 403},
	}},
	"publishBatch": {foreign: []foreign{
		{"/v1/events/batch?organisation=theirs", `[{"product":"payments","type":"paiement.success","data":{}}]`, 202},
	}},
	"listEvents": {}, "getEvent": {}, "eraseEvent": {},
	"listDeliveries": {}, "getDelivery": {}, "retryDelivery": {}, "cancelDelivery": {},
	"createOrganisation": {body: `{"name":"x"}`}, "listOrganisations": {}, "getOrganisation": {},
	"updateOrganisation": {body: `{"name":"taken over"}`}, "deleteOrganisation": {},
	"createKey": {body: `{"kind":"organisation","name":"x","organisation":"theirs"}`}, "listKeys": {}, "deleteKey": {},
	"listAudit": {},
	"getEgress": {shared: true}, "getEgressJSON": {shared: true}, "getEgressText": {shared: true},
	"getHealth": {shared: true}, "getReadiness": {shared: true}, "getMetrics": {shared: true},
	"getOpenAPI": {shared: true}, "getOpenAPIJSON": {shared: true}, "getDocs": {shared: true}, "getDocsFile": {shared: true},
}

// world is an organisation with one of each thing.
type world struct {
	organisation, key, keyID, webhook, endpoint, event, delivery, replay, account string
}

// secretName is in all that is theirs, so that a leak is seen wherever it is.
const secretName = "theirs-alone"

func (s *server) world(id string) world {
	w := world{organisation: id, event: "evt_of_" + id, account: "acc_of_" + id}
	s.call(201, "POST", "/v1/organisations", `{"id":"`+id+`","name":"`+id+`-alone"}`)
	made := s.call(201, "POST", "/v1/keys", `{"kind":"organisation","name":"`+id+`-alone","organisation":"`+id+`"}`)
	w.key, w.keyID = made.text("key"), made.text("id")
	hook := s.as(w.key, 201, "POST", "/v1/webhooks", `{"name":"`+id+`-alone","status":"active","endpoints":[{"url":"https://hook.example.com/`+id+`-alone"}],"events":[{"product":"*","type":"*"}]}`)
	w.webhook, w.endpoint = hook.text("id"), hook.text("endpoints.0.id")
	for _, event := range []string{w.event, w.event + "_2"} {
		s.call(202, "POST", "/v1/events", `{"id":"`+event+`","organisation":"`+id+`","account":"`+w.account+`","product":"payments","type":"paiement.success","data":{"a":"`+id+`-alone"}}`)
	}
	s.as(w.key, 200, "PUT", "/v1/accounts/"+w.account, `{"name":"`+id+`-alone"}`)
	s.as(w.key, 200, "PUT", "/v1/accounts/"+w.account+"_2", `{"name":"`+id+`-alone"}`)
	w.delivery = s.as(w.key, 200, "GET", "/v1/deliveries?event="+w.event, "").text("data.0.id")
	w.replay = s.as(w.key, 202, "POST", "/v1/webhooks/"+w.webhook+"/replay", `{"since":"2020-01-01T00:00:00Z","status":"any"}`).text("id")
	return w
}

// everything is all that an operator sees of an organisation, as text.
func (s *server) everything(w world) string {
	var all strings.Builder
	for _, path := range []string{"/v1/organisations/" + w.organisation, "/v1/webhooks/" + w.webhook, "/v1/webhooks?organisation=" + w.organisation,
		"/v1/events?organisation=" + w.organisation, "/v1/events/" + w.event, "/v1/deliveries?organisation=" + w.organisation, "/v1/deliveries/" + w.delivery,
		"/v1/replays/" + w.replay, "/v1/accounts?organisation=" + w.organisation, "/v1/audit?limit=200&organisation=" + w.organisation} {
		all.Write(s.call(200, "GET", path, "").body)
	}
	return all.String()
}

// expand puts ids where MINE and THEIRS stand.
func expand(text string, mine, theirs world) string {
	var pairs []string
	for name, w := range map[string]world{"MINE": mine, "THEIRS": theirs} {
		pairs = append(pairs, name+".webhook", w.webhook, name+".endpoint", w.endpoint, name+".event", w.event)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// inPath is their id for a path's parameter.
func (w world) inPath(path string) string {
	switch part := strings.Split(path, "/")[2]; part {
	case "webhooks":
		return w.webhook
	case "events":
		return w.event
	case "deliveries":
		return w.delivery
	case "replays":
		return w.replay
	case "accounts":
		return w.account
	case "organisations":
		return w.organisation
	case "keys":
		return w.keyID
	default:
		panic("no id for " + part)
	}
}

// inQuery are their ids for a query's parameter.
func (w world) inQuery(name string) string {
	return map[string]string{"organisation": w.organisation, "webhook": w.webhook, "endpoint": w.endpoint, "event": w.event,
		"account": w.account, "object": w.webhook, "actor": w.keyID}[name]
}

func TestTenancy(t *testing.T) {
	s := start(t)
	mine, theirs := s.world("mine"), s.world("theirs")
	before := s.everything(theirs)
	keys := map[gateway.KeyKind]string{
		gateway.KindOrganisation: mine.key,
		gateway.KindPublisher:    s.key(`{"kind":"publisher","name":"p","organisations":["mine"]}`),
		gateway.KindPortal:       s.key(`{"kind":"portal","name":"p"}`),
		gateway.KindMonitor:      s.key(`{"kind":"monitor","name":"m"}`),
	}
	c, err := described()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			w, ok := walk[operation.OperationID]
			if !ok {
				t.Errorf("%s %s (%s) is not in the walk", method, path, operation.OperationID)
				continue
			}
			for _, kind := range allKinds {
				if kind == gateway.KindOperator {
					continue // sees everything
				}
				t.Run(operation.OperationID+"/"+string(kind), func(t *testing.T) {
					v := visitor{s, t, mine, theirs, keys[kind]}
					v.visit(method, path, operation, w, slices.Contains(kindsFor(actOf(method, path)), string(kind)))
				})
			}
		}
	}
	if diff := cmp.Diff(before, s.everything(theirs)); diff != "" {
		t.Errorf("the walk changed what is theirs: %s", diff)
	}
}

func actOf(method, path string) gateway.Act {
	for _, r := range api.Routes() {
		if r.Method == method && r.Path == path {
			return r.Act
		}
	}
	return ""
}

// visitor walks one operation with one key.
type visitor struct {
	s            *server
	t            *testing.T
	mine, theirs world
	key          string
}

// get makes one request and checks that nothing of theirs is in the answer.
func (v visitor) get(method, path, body string, want ...int) answer {
	v.t.Helper()
	a := v.s.send(request{key: v.key, method: method, path: path, body: body})
	if !slices.Contains(want, a.status) {
		v.t.Errorf("%s %s %s answered %d, want %v: %.300s", method, path, body, a.status, want, a.body)
	}
	if strings.Contains(string(a.body), secretName) {
		v.t.Errorf("%s %s %s shows what is theirs: %s", method, path, body, a.body)
	}
	return a
}

func (v visitor) visit(method, path string, operation *openapi3.Operation, w walked, may bool) {
	if w.shared {
		want := 200
		if actOf(method, path) != "" && !may {
			want = 403
		}
		if operation.OperationID == "getMetrics" && may {
			want = 404 // this server has none
		}
		v.get(method, strings.NewReplacer("{product}", "payments", "{type}", "paiement.success", "{file}", "start.js").Replace(path), "", want)
		return
	}
	refused := []int{403}
	if may {
		refused = []int{404}
	}
	if strings.Contains(path, "{id}") {
		v.get(method, strings.ReplaceAll(path, "{id}", v.theirs.inPath(path)), w.body, v.unlessMineToo(operation, refused)...)
	} else if !may {
		v.get(method, path, w.body, 403)
	}
	for _, f := range w.foreign {
		want := 403
		if may {
			want = f.status
		}
		a := v.get(method, expand(f.path, v.mine, v.theirs), expand(f.body, v.mine, v.theirs), want)
		if a.status == 202 && textOf(a.field("data.0.status")) != "403" {
			v.t.Errorf("an item for them was accepted: %s", a.body)
		}
	}
	if method == "GET" && !strings.Contains(path, "{id}") {
		v.list(path, operation, may)
	}
}

// unlessMineToo allows for ids that each organisation has of its own: an account may be made under any id.
func (v visitor) unlessMineToo(operation *openapi3.Operation, refused []int) []int {
	if operation.OperationID == "putAccount" && refused[0] == 404 {
		return []int{200}
	}
	return refused
}

// list asks for a list with their ids in its filters, and with their cursor.
func (v visitor) list(path string, operation *openapi3.Operation, may bool) {
	for _, p := range operation.Parameters {
		id := v.theirs.inQuery(p.Value.Name)
		switch {
		case p.Value.In != "query" || id == "":
		case !may:
			v.get("GET", path+"?"+p.Value.Name+"="+id, "", 403)
		default:
			a := v.get("GET", path+"?"+p.Value.Name+"="+id, "", 200, 404)
			if a.status == 200 && a.field("data.0") != nil {
				v.t.Errorf("a filter on %s found something: %s", id, a.body)
			}
			if sure := []string{"organisation", "webhook", "endpoint", "event"}; a.status == 200 && slices.Contains(sure, p.Value.Name) {
				v.t.Errorf("a filter on their %s answered 200", p.Value.Name)
			}
		}
	}
	if !may {
		return
	}
	v.get("GET", path, "", 200)
	page := v.s.as(v.theirs.key, 200, "GET", path+"?limit=1", "")
	if cursor := page.text("next"); cursor != "" {
		v.get("GET", path+"?limit=1&cursor="+cursor, "", 404)
	} else if operation.OperationID != "listWebhooks" {
		v.t.Errorf("their list has no second page to ask for: %s", page.body)
	}
}

// A key is refused within two seconds of its end.
func TestTenancy_RevokedKey(t *testing.T) {
	s := start(t)
	s.organisation("org_a")
	made := s.call(201, "POST", "/v1/keys", `{"kind":"organisation","name":"x","organisation":"org_a"}`)
	s.as(made.text("key"), 200, "GET", "/v1/webhooks", "")
	s.call(204, "DELETE", "/v1/keys/"+made.text("id"), "")
	ended := time.Now()
	for asked := ended; s.send(request{key: made.text("key"), method: "GET", path: "/v1/webhooks"}).status != 401; asked = time.Now() {
		if asked.Sub(ended) > 2*time.Second {
			t.Fatal("the key still works")
		}
	}
	past := s.send(request{key: operatorKey, method: "POST", path: "/v1/keys",
		body: fmt.Sprintf(`{"kind":"monitor","name":"x","expiresAt":%q}`, time.Now().Add(-time.Hour).Format(time.RFC3339))})
	if past.status == 201 {
		s.as(past.text("key"), 401, "GET", "/metrics", "")
	}
}

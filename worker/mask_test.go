package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/unihook/unihook/gateway"
)

// A receiver that sends back all that it was sent gets none of it kept, however it spells it.
func TestDeliver_EchoedSecretsAreMasked(t *testing.T) {
	const path, query = "/hooks/T0K3N-in-path/a%2Fb-c0ded", "key=q-t0ken%21&n=1"
	secrets := []string{`Bearer s3cret/"value"`, "T0K3N-in-path", "q-t0ken", "a/b-c0ded"}
	echo := func(out http.ResponseWriter, q *http.Request) {
		out.Header().Set("Location", "https://elsewhere.example.com"+q.RequestURI)
		out.Header().Set("X-Path", q.URL.Path)
		out.WriteHeader(http.StatusFound)
		text, _ := json.Marshal(map[string]any{"headers": q.Header, "uri": q.RequestURI, "path": q.URL.Path, "query": q.URL.Query()})
		fmt.Fprintf(out, "%s\n%q %s\n", text, q.Header.Get("Authorization"), strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer "))
		_, _ = out.Write([]byte{0xff, 0xfe})
		_, _ = out.Write([]byte(q.Header.Get("Authorization")))
	}
	b := open(t)
	r := receive(t, echo)
	b.organisation("org_a")
	w := b.webhook("org_a", func(in *gateway.WebhookInput) {
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization"), Value: gateway.Given(secrets[0])}})
		retries()(in)
	}, r.URL+path+"?"+query)
	b.run()
	b.publish("org_a", 1)
	b.settled()
	stored, err := b.store.Delivery(t.Context(), gateway.Only("org_a"), b.deliveries(gateway.DeliveryFilter{})[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	kept := fmt.Sprintf("%+v", stored.Attempts)
	for _, secret := range append(secrets, w.Signing.Secret, `s3cret/\"value`, "q-t0ken!") {
		if strings.Contains(kept, secret) {
			t.Errorf("%s is kept: %s", secret, kept)
		}
	}
	if a := stored.Attempts[0]; a.Failure != "redirect" || a.ResponseHeaders["Location"] != "https://elsewhere.example.com"+gateway.Masked || a.URL != r.URL {
		t.Errorf("got %+v", a)
	}
}

// A receiver may tell what it read out of Basic authentication.
func TestDeliver_EchoedPasswordIsMasked(t *testing.T) {
	b := open(t)
	r := receive(t, func(out http.ResponseWriter, in *http.Request) {
		user, password, _ := in.BasicAuth()
		fmt.Fprintf(out, "hello %s, your password is %s", user, password)
	})
	b.organisation("org_a")
	b.webhook("org_a", func(in *gateway.WebhookInput) {
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization"), Value: gateway.Given("Basic c2FyYWg6cGFzc3cwcmQ=")}})
	}, r.URL)
	b.run()
	b.publish("org_a", 1)
	b.settled()
	if a := b.deliveries(gateway.DeliveryFilter{})[0].Attempts[0]; a.ResponseBody != "hello sarah, your password is "+gateway.Masked {
		t.Errorf("kept is %q", a.ResponseBody)
	}
}

// Half a secret at the end of what is read of an answer is none that is found whole.
func TestDeliver_CutSecretIsMasked(t *testing.T) {
	const secret = "Bearer 0123456789abcdef0123456789abcdef"
	// 64 KiB are read. What is masked becomes shorter, so that the end of it is within what is kept.
	text := strings.Repeat(secret, 64<<10/len(secret)+1)
	b := open(t)
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte(text)) })
	b.organisation("org_a")
	b.webhook("org_a", func(in *gateway.WebhookInput) {
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization"), Value: gateway.Given(secret)}})
	}, r.URL)
	b.run()
	b.publish("org_a", 1)
	b.settled()
	a := b.deliveries(gateway.DeliveryFilter{})[0].Attempts[0]
	if strings.Trim(a.ResponseBody, "*") != "" || !a.ResponseTruncated {
		t.Errorf("truncated is %v, and kept is %.100q", a.ResponseTruncated, strings.Trim(a.ResponseBody, "*"))
	}
}

// The hosts that the operator gives an organisation hold for webhooks that it has already.
func TestDeliver_NarrowedHostsAreBlocked(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", retries(), r.URL)
	o, err := b.gateway.FindOrganisation(t.Context(), operator, "org_a")
	if err != nil {
		t.Fatal(err)
	}
	in := gateway.OrganisationInput{Hosts: gateway.Given([]string{"*.example.com"})}
	if _, err := b.gateway.UpdateOrganisation(t.Context(), operator, o, input(in)); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.publish("org_a", 1)
	b.settled()
	if a := b.deliveries(gateway.DeliveryFilter{})[0].Attempts[0]; a.Failure != "blocked" || a.Status != 0 || !strings.Contains(a.Error, "127.0.0.1") {
		t.Errorf("got %+v", a)
	}
	if got := len(r.ledger()); got != 0 {
		t.Errorf("the receiver got %d requests", got)
	}
}

// Headers that no save takes are in the store all the same: no request leaves with one, and none is split by one.
func TestDeliver_RefusedHeadersInTheStore(t *testing.T) {
	var vectors struct {
		Refuse []struct {
			ID, Level, Optional string
			Headers             []struct{ Name, Value any }
		}
	}
	text, err := os.ReadFile("../gateway/egress/testdata/headers.json")
	if err != nil {
		t.Fatal(err)
	}
	mustJSON(t, text, &vectors)
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	put := map[string]string{}
	for _, v := range vectors.Refuse {
		var headers []gateway.Header
		for _, h := range v.Headers {
			name, isName := h.Name.(string)
			value, isValue := h.Value.(string)
			if isName && isValue {
				headers = append(headers, gateway.Header{Name: name, Value: value})
			}
		}
		if v.Level == "should" || v.Optional != "" || len(headers) != len(v.Headers) {
			continue // not refused, or nothing that a store can hold
		}
		w := b.webhook("org_a", retries(), r.URL)
		b.putHeaders(w.ID, headers)
		put[w.ID] = v.ID
	}
	b.run()
	b.publish("org_a", 1)
	b.settled()
	list := b.deliveries(gateway.DeliveryFilter{})
	if len(put) < 30 || len(list) != len(put) || len(r.ledger()) != 0 {
		t.Errorf("%d vectors were put, %d deliveries made, %d requests received", len(put), len(list), len(r.ledger()))
	}
	for _, d := range list {
		if d.Attempts[0].Failure != "blocked" {
			t.Errorf("%s: got %+v", put[d.Webhook], d.Attempts[0])
		}
	}
}

// putHeaders writes headers past the gateway.
func (b *bench) putHeaders(webhook string, headers []gateway.Header) {
	b.t.Helper()
	w, err := b.store.Webhook(b.t.Context(), gateway.Everyone(), webhook)
	if err == nil {
		was := w.Revision
		w.Revision++
		w.Headers = headers
		err = b.store.ReplaceWebhook(b.t.Context(), w, was)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

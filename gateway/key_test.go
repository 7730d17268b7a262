package gateway_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

func TestAuthenticate(t *testing.T) {
	b := openBench(t)
	b.organisation(t, "org_a")
	make := func(in gateway.KeyInput) (gateway.Key, string) {
		t.Helper()
		in.Name = gateway.Given("a key")
		key, text, err := b.CreateKey(t.Context(), operator, body(in))
		if err != nil {
			t.Fatal(err)
		}
		b.clock.move(time.Millisecond) // lists are in the order of making
		return key, text
	}
	_, publisher := make(gateway.KeyInput{Kind: gateway.Given("publisher"), Products: gateway.Given([]string{"sms"})})
	customerKey, customer := make(gateway.KeyInput{Kind: gateway.Given("organisation"), Organisation: gateway.Given("org_a")})
	_, shortLived := make(gateway.KeyInput{Kind: gateway.Given("monitor"), ExpiresAt: gateway.Given("2026-05-18T10:32:15.002Z")})
	refused := func(t *testing.T, bearer string) {
		t.Helper()
		if a, err := b.Authenticate(t.Context(), bearer, ""); !errors.Is(err, gateway.ErrNoKey) {
			t.Errorf("got %+v, %v, want ErrNoKey", a, err)
		}
	}

	t.Run("OperatorKeyOfTheSettings", func(t *testing.T) {
		got, err := b.Authenticate(t.Context(), operatorKey, "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(operator, got); diff != "" {
			t.Error(diff)
		}
		refused(t, operatorKey+"x")
		refused(t, "")
	})
	t.Run("KeysCarryTheirLimits", func(t *testing.T) {
		got, err := b.Authenticate(t.Context(), publisher, "")
		if err != nil {
			t.Fatal(err)
		}
		if got.Kind != gateway.KindPublisher || !cmp.Equal(got.Products, []string{"sms"}) {
			t.Errorf("got %+v", got)
		}
		last := publisher[len(publisher)-1]
		refused(t, publisher[:len(publisher)-1]+string('0'+'1'-min(last, '1')))
		refused(t, "uhk_00000000000000000000000000_"+publisher[31:])
	})
	t.Run("UseIsListed", func(t *testing.T) {
		list, _, err := b.ListKeys(t.Context(), operator, gateway.Page{Limit: 50})
		if err != nil || len(list) != 3 {
			t.Fatalf("got %d keys, %v", len(list), err)
		}
		if list[2].LastUsedAt != gateway.At(b.clock.now()) || list[1].LastUsedAt != 0 {
			t.Errorf("last used: got %v and %v, want now and never", list[2].LastUsedAt, list[1].LastUsedAt)
		}
	})
	t.Run("ExpiredIsRefusedAtOnce", func(t *testing.T) {
		if _, err := b.Authenticate(t.Context(), shortLived, ""); err != nil {
			t.Fatal(err)
		}
		b.clock.move(time.Second)
		refused(t, shortLived)
	})
	t.Run("RevokedElsewhereIsRefusedWithinTwoSeconds", func(t *testing.T) {
		if _, err := b.Authenticate(t.Context(), customer, ""); err != nil {
			t.Fatal(err)
		}
		if err := b.store.DeleteKey(t.Context(), customerKey.ID); err != nil {
			t.Fatal(err)
		}
		b.clock.move(2 * time.Second)
		refused(t, customer)
	})
	t.Run("KeyOfADeletedOrganisationIsRefused", func(t *testing.T) {
		_, text := make(gateway.KeyInput{Kind: gateway.Given("organisation"), Organisation: gateway.Given("org_a")})
		if err := b.DeleteOrganisation(t.Context(), operator, gateway.Organisation{ID: "org_a"}); err != nil {
			t.Fatal(err)
		}
		refused(t, text)
		if len(b.queue.jobs) != 1 {
			t.Errorf("jobs: got %v, want one", b.queue.jobs)
		}
	})
}

func TestCreateKey_TellsEveryFault(t *testing.T) {
	b := openBench(t)
	for _, c := range []struct {
		name string
		in   gateway.KeyInput
		want []string
	}{
		{"nothing", gateway.KeyInput{}, []string{"/kind required", "/name required"}},
		{"a customer's key without a customer", gateway.KeyInput{Kind: gateway.Given("organisation"), Name: gateway.Given("n")},
			[]string{"/organisation organisation_missing"}},
		{"limits of a key that has none, unknown things, a past end", gateway.KeyInput{
			Kind: gateway.Given("publisher"), Name: gateway.Given("n"), Organisation: gateway.Given("org_x"),
			Products: gateway.Given([]string{"sms", "fax"}), Organisations: gateway.Given([]string{"org_y"}), ExpiresAt: gateway.Given("2020-01-01T00:00:00Z")},
			[]string{"/organisation organisation_unexpected", "/products/1 product_unknown", "/organisations/0 organisation_unknown", "/expiresAt time_past"}},
		{"products of a portal's key", gateway.KeyInput{Kind: gateway.Given("portal"), Name: gateway.Given("n"), Products: gateway.Given([]string{"sms"})},
			[]string{"/products limit_unexpected"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := b.CreateKey(t.Context(), operator, body(c.in))
			if diff := cmp.Diff(c.want, codes(err)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllows(t *testing.T) {
	acts := []gateway.Act{gateway.ActOperate, gateway.ActPublish, gateway.ActReadCatalogue, gateway.ActConfigure, gateway.ActLink, gateway.ActMonitor}
	for kind, want := range map[gateway.KeyKind]string{
		gateway.KindOperator: "yyyyyy", gateway.KindPublisher: "-yy---", gateway.KindPortal: "----y-",
		gateway.KindOrganisation: "--yy--", gateway.KindMonitor: "-----y", "": "------", "root": "------",
	} {
		got := ""
		for _, act := range acts {
			if gateway.Allows(kind, act) {
				got += "y"
			} else {
				got += "-"
			}
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", kind, got, want)
		}
	}
}

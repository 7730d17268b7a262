package sign_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/unihook/unihook/gateway/sign"
)

// vectors is testdata/signatures.json: signatures that were computed outside this program.
type vectors struct {
	Positive []struct {
		ID        string
		Scheme    sign.Scheme
		Secret    string
		Previous  string `json:"previous_secret"`
		EventID   string `json:"webhook-id"`
		Timestamp string `json:"webhook-timestamp"`
		T         int64
		Body      []byte `json:"body_b64"`
		Data      string
		Nonce     string
		Expect    map[string]string
	}
	Negative struct {
		Context struct {
			Secret    string
			EventID   string `json:"webhook-id"`
			Timestamp int64  `json:"webhook-timestamp,string"`
			Body      string
			Good      string
		}
		Cases []struct{ ID, Why, Signature string }
	}
	Secrets []struct{ Secret, Verdict, Why string }
}

func loadVectors(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Positive) == 0 || len(v.Negative.Cases) == 0 || len(v.Secrets) == 0 {
		t.Fatal("testdata/signatures.json has an empty section")
	}
	return v
}

const (
	standardSecret = "whsec_TCRrf9UBwEacUY93qOzeccW4AIzPeW+li7zdr1QdGHM="
	olderSecret    = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
)

var at = time.Date(2026, 5, 18, 10, 32, 14, 987_000_000, time.UTC)

func newSigner(t testing.TB, scheme sign.Scheme, header string, secrets ...string) *sign.Signer {
	t.Helper()
	signer, err := sign.NewSigner(scheme, header, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func httpHeader(headers []sign.Header) http.Header {
	set := http.Header{}
	for _, header := range headers {
		set.Set(header.Name, header.Value)
	}
	return set
}

func TestSign_Vectors(t *testing.T) {
	for _, c := range loadVectors(t).Positive {
		t.Run(c.ID, func(t *testing.T) {
			if c.Scheme == sign.Unified {
				if got, want := sign.UnifiedSig(c.Secret, []byte(c.Data), c.Nonce), c.Expect["sig_hex"]; got != want {
					t.Errorf("got sig %s, want %s", got, want)
				}
				return
			}
			seconds := c.T
			if c.Timestamp != "" {
				seconds, _ = strconv.ParseInt(c.Timestamp, 10, 64)
				c.Expect["webhook-id"], c.Expect["webhook-timestamp"] = c.EventID, c.Timestamp
			}
			if c.Scheme == sign.Unidy {
				c.Expect["unidy-webhook-delivery-id"], c.Expect["unidy-webhook-delivery-attempt"] = "dlv_1", "3"
			}
			secrets := []string{c.Secret}
			if c.Previous != "" {
				secrets = append(secrets, c.Previous)
			}
			headers, err := sign.Sign(sign.Request{Scheme: c.Scheme, Secrets: secrets, ID: c.EventID, DeliveryID: "dlv_1",
				Attempt: 3, At: time.Unix(seconds, 999_000_000), Body: c.Body})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, header := range headers {
				got[header.Name] = header.Value
			}
			if diff := cmp.Diff(c.Expect, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// The negative vectors are what usual mistakes make of one request: a failure names the mistake.
func TestSign_MakesNoneOfTheUsualMistakes(t *testing.T) {
	v := loadVectors(t).Negative
	headers := newSigner(t, sign.Standard, "", v.Context.Secret).Sign(v.Context.EventID, "dlv_1", 1,
		time.Unix(v.Context.Timestamp, 0), []byte(v.Context.Body))
	got := httpHeader(headers).Get("webhook-signature")
	if got == v.Context.Good {
		return
	}
	for _, c := range v.Cases {
		if got == c.Signature {
			t.Errorf("%s: %s", c.ID, c.Why)
		}
	}
	t.Errorf("got %s, want %s", got, v.Context.Good)
}

func TestSign_StandardVerifiesWithEitherSecretInAGracePeriod(t *testing.T) {
	signer := newSigner(t, sign.Standard, "", standardSecret, olderSecret)
	body := []byte("{\"name\":\"Zoë 😀\",\"n\":1.0}\n")
	headers := httpHeader(signer.Sign("evt_1", "dlv_1", 1, at, body))
	for _, secret := range []string{standardSecret, olderSecret} {
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.VerifyIgnoringTimestamp(body, headers); err != nil {
			t.Errorf("with the secret %s: %v", sign.Hint(secret), err)
		}
		if receiver.VerifyIgnoringTimestamp(append(body, '\n'), headers) == nil {
			t.Error("another body verifies")
		}
	}
}

func TestSign_Ed25519VerifiesWithThePublicKey(t *testing.T) {
	newest, newestPublic := newPair(t)
	older, olderPublic := newPair(t)
	headers := newSigner(t, sign.StandardEd25519, "", newest, older).Sign("evt_1", "dlv_1", 1, at, []byte(`{"a":1}`))
	want := []sign.Header{{Name: "webhook-id", Value: "evt_1"}, {Name: "webhook-timestamp", Value: "1779100334"}}
	if diff := cmp.Diff(want, headers[:2]); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	signatures := strings.Split(httpHeader(headers).Get("webhook-signature"), " ")
	for i, public := range []string{newestPublic, olderPublic} {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
		if err != nil {
			t.Fatal(err)
		}
		signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signatures[i], "v1a,"))
		if err != nil {
			t.Fatal(err)
		}
		if !ed25519.Verify(key, []byte(`evt_1.1779100334.{"a":1}`), signature) {
			t.Errorf("signature %d does not verify: %s", i, signatures[i])
		}
	}
}

func newPair(t *testing.T) (secret, public string) {
	t.Helper()
	secret, public, err := sign.NewSecret(sign.StandardEd25519, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sign.PublicKey(secret); err != nil || again != public {
		t.Fatalf("PublicKey: got %q, %v, want %q", again, err, public)
	}
	return secret, public
}

func TestSign_HeadersAndTheirOrder(t *testing.T) {
	const secret = "It's a Secret to Everybody"
	const helloHMAC = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	body := []byte("Hello, World!")
	for _, c := range []struct {
		name    string
		scheme  sign.Scheme
		header  string
		secrets []string
		want    []string // names
	}{
		{"standard", sign.Standard, "", []string{standardSecret}, []string{"webhook-id", "webhook-timestamp", "webhook-signature"}},
		{"unisoft", sign.Unisoft, "", []string{secret}, []string{"X-Unisoft-Signature"}},
		{"unisoft renamed", sign.Unisoft, "X-Hub-Signature", []string{secret}, []string{"X-Hub-Signature"}},
		{"unipile", sign.Unipile, "", []string{secret}, []string{"unipile-signature"}},
		{"unipile renamed", sign.Unipile, "x-sig", []string{secret}, []string{"x-sig"}},
		{"unidy", sign.Unidy, "", []string{secret}, []string{"unidy-webhook-signature", "unidy-webhook-version",
			"unidy-webhook-delivery-id", "unidy-webhook-delivery-attempt"}},
		{"unified signs in the body", sign.Unified, "", []string{secret}, nil},
		{"none needs no secret", sign.None, "", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, header := range newSigner(t, c.scheme, c.header, c.secrets...).Sign("evt_1", "dlv_1", 1, at, body) {
				got = append(got, header.Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
	renamed := newSigner(t, sign.Unisoft, "X-Hub-Signature", secret, "the older one, which is not used").Sign("evt_1", "dlv_1", 1, at, body)
	if diff := cmp.Diff([]sign.Header{{Name: "X-Hub-Signature", Value: helloHMAC}}, renamed); diff != "" {
		t.Errorf("a scheme with one signature (-want +got):\n%s", diff)
	}
}

func TestNewSigner_Refuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		scheme  sign.Scheme
		header  string
		secrets []string
	}{
		{"an unknown scheme", "hmac", "", []string{standardSecret}},
		{"no scheme", "", "", []string{standardSecret}},
		{"no secret", sign.Unisoft, "", nil},
		{"an empty secret", sign.Unisoft, "", []string{""}},
		{"a standard secret that is none", sign.Standard, "", []string{"secret of text"}},
		{"an older standard secret that is none", sign.Standard, "", []string{standardSecret, "whsec_"}},
		{"a public key to sign with", sign.StandardEd25519, "", []string{"whpk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}},
		{"a private key of another size", sign.StandardEd25519, "", []string{"whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"}},
		{"a new name for the standard's headers", sign.Standard, "x-signature", []string{standardSecret}},
		{"a new name for one of unidy's four", sign.Unidy, "x-signature", []string{"unidy_secret_123"}},
		{"a name where nothing is sent", sign.None, "x-signature", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			signer, err := sign.NewSigner(c.scheme, c.header, c.secrets)
			if err == nil || signer != nil {
				t.Fatalf("got %v, %v, want an error alone", signer, err)
			}
			for _, secret := range c.secrets {
				if len(secret) > 6 && strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
		})
	}
}

func TestScheme_KnowsItself(t *testing.T) {
	type facts struct {
		Valid, Single bool
		Header        string
	}
	want := map[sign.Scheme]facts{
		"standard":         {true, false, ""},
		"standard-ed25519": {true, false, ""},
		"unisoft":          {true, true, "X-Unisoft-Signature"},
		"unipile":          {true, true, "unipile-signature"},
		"unidy":            {true, true, ""},
		"unified":          {true, true, ""},
		"none":             {true, false, ""},
		"Standard":         {}, // case counts
		"":                 {},
	}
	got := map[sign.Scheme]facts{}
	for _, s := range append(sign.Schemes(), "Standard", "") {
		got[s] = facts{s.Valid(), s.SingleSignature(), s.DefaultHeader()}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schemes (-want +got):\n%s", diff)
	}
	if sign.Schemes()[0] != sign.Standard {
		t.Error("the default is not the first")
	}
}

func TestNewSecret_HasTheSchemesForm(t *testing.T) {
	for _, scheme := range sign.Schemes() {
		secret, public, err := sign.NewSecret(scheme, bytes.NewReader(bytes.Repeat([]byte{0xfb}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		const encoded = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s="
		want := strings.Repeat("fb", 32)
		switch scheme {
		case sign.None:
			want = ""
		case sign.Standard:
			want = "whsec_" + encoded
		case sign.StandardEd25519:
			want = "whsk_" + encoded
		}
		if secret != want {
			t.Errorf("%s: got %q, want %q", scheme, secret, want)
		}
		if got, want := strings.HasPrefix(public, "whpk_"), scheme == sign.StandardEd25519; got != want {
			t.Errorf("%s: public key %q", scheme, public)
		}
		if scheme == sign.None || scheme == sign.StandardEd25519 {
			continue
		}
		if warning, err := sign.CheckSecret(scheme, secret); err != nil || warning != "" {
			t.Errorf("%s refuses its own secret: %q, %v", scheme, warning, err)
		}
	}
}

func TestNewSecret_Fails(t *testing.T) {
	for name, c := range map[string]struct {
		scheme sign.Scheme
		random io.Reader
	}{
		"unknown scheme":     {"custom", rand.Reader},
		"broken randomness":  {sign.Standard, iotest.ErrReader(errors.New("no entropy"))},
		"too little of it":   {sign.Unisoft, bytes.NewReader(make([]byte, 31))},
		"none for ed25519":   {sign.StandardEd25519, bytes.NewReader(nil)},
		"scheme of no name":  {"", rand.Reader},
		"scheme in capitals": {"STANDARD", rand.Reader},
	} {
		if secret, public, err := sign.NewSecret(c.scheme, c.random); err == nil || secret != "" || public != "" {
			t.Errorf("%s: got %q, %q, %v, want an error alone", name, secret, public, err)
		}
	}
}

func TestCheckSecret_Vectors(t *testing.T) {
	for _, c := range loadVectors(t).Secrets {
		_, err := sign.CheckSecret(sign.Standard, c.Secret)
		if got := err == nil; got != (c.Verdict == "accept") {
			t.Errorf("%s: got %v, want %s", c.Why, err, c.Verdict)
		}
	}
}

func TestCheckSecret(t *testing.T) {
	for _, c := range []struct {
		name    string
		scheme  sign.Scheme
		secret  string
		refused string // part of the error; "" is accepted
		warned  bool
	}{
		{"standard without its prefix", sign.Standard, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "whsec_", false},
		{"standard with a line break, which Go's decoder skips", sign.Standard, "whsec_AAECAwQFBgcICQoL\nDA0ODxAREhMUFRYX", "base64", false},
		{"standard without padding", sign.Standard, strings.TrimSuffix(standardSecret, "="), "base64", false},
		{"standard whose last bits are not zero, which strict decoders refuse", sign.Standard, strings.Replace(standardSecret, "HM=", "HN=", 1), "base64", false},
		{"standard too short", sign.Standard, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=", "23 bytes", false},
		{"ed25519 brought along", sign.StandardEd25519, "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "key pair", false},
		{"none", sign.None, "a secret of some sort", "takes no secret", false},
		{"unknown scheme", "custom", "a secret of some sort", "not a signing scheme", false},
		{"7 bytes", sign.Unisoft, "1234567", "7 bytes", false},
		{"8 bytes", sign.Unisoft, "12345678", "", true},
		{"8 bytes in 4 characters", sign.Unisoft, "ééçà", "", true},
		{"15 bytes", sign.Unipile, "123456789012345", "", true},
		{"16 bytes", sign.Unidy, "1234567890123456", "", false},
		{"256 bytes", sign.Unified, strings.Repeat("x", 256), "", false},
		{"257 bytes", sign.Unified, strings.Repeat("x", 257), "257 bytes", false},
		{"a space inside", sign.Unisoft, "It's a Secret to Everybody", "", false},
		{"a space in front", sign.Unisoft, " It's a Secret", "white space", false},
		{"a no-break space behind", sign.Unisoft, "It's a Secret\u00a0", "white space", false},
		{"a line break behind", sign.Unisoft, "It's a Secret\n", "white space", false},
		{"a tab inside", sign.Unisoft, "It's a\tSecret", "control", false},
		{"DEL", sign.Unisoft, "It's a\x7fSecret", "control", false},
		{"a control character beyond ASCII", sign.Unisoft, "It's a\u0085Secret", "control", false},
		{"not UTF-8", sign.Unisoft, "It's a \xff Secret", "UTF-8", false},
		{"the form of another scheme is text like any other", sign.Unisoft, standardSecret, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			warning, err := sign.CheckSecret(c.scheme, c.secret)
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("got %v, want %q", err, c.refused)
			}
			if (warning != "") != c.warned {
				t.Errorf("got the warning %q, want one: %v", warning, c.warned)
			}
		})
	}
}

func TestHint(t *testing.T) {
	for secret, want := range map[string]string{
		standardSecret:       "...GHM=",
		"unisoft_secretab12": "...ab12",
		"12345678":           "...5678",
		"ééççààüü":           "...ààüü",
		"1234567":            "...", // four would be more than half
		"":                   "",
	} {
		if got := sign.Hint(secret); got != want {
			t.Errorf("%q: got %q, want %q", secret, got, want)
		}
	}
}

func TestUnifiedNonce_DependsOnTheDeliveryAlone(t *testing.T) {
	first, again, other := sign.UnifiedNonce("dlv_1"), sign.UnifiedNonce("dlv_1"), sign.UnifiedNonce("dlv_2")
	if first != again || first == other || len(first) != 32 {
		t.Errorf("got %s, %s, and %s for another delivery", first, again, other)
	}
}

// FuzzCheckSecret holds that what is accepted signs, and that the receiver's library takes what Standard accepts.
func FuzzCheckSecret(f *testing.F) {
	for _, c := range loadVectors(f).Secrets {
		f.Add(c.Secret)
	}
	f.Add("It's a Secret to Everybody")
	f.Fuzz(func(t *testing.T, secret string) {
		body := []byte("{}")
		for _, scheme := range sign.Schemes() {
			if _, err := sign.CheckSecret(scheme, secret); err != nil {
				if len(secret) >= 16 && strings.Contains(err.Error(), secret) {
					t.Fatalf("%s: the error shows the secret: %v", scheme, err)
				}
				continue
			}
			headers := httpHeader(newSigner(t, scheme, "", secret).Sign("evt_1", "dlv_1", 1, at, body))
			if scheme != sign.Standard {
				continue
			}
			receiver, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := receiver.VerifyIgnoringTimestamp(body, headers); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	private, _, err := sign.NewSecret(sign.StandardEd25519, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	secrets := map[sign.Scheme]string{sign.Standard: standardSecret, sign.StandardEd25519: private}
	for _, scheme := range []sign.Scheme{sign.Standard, sign.StandardEd25519, sign.Unisoft, sign.Unipile, sign.Unidy} {
		secret, found := secrets[scheme]
		if !found {
			secret = "It's a Secret to Everybody"
		}
		signer := newSigner(b, scheme, "", secret)
		for _, size := range []int{1 << 10, 256 << 10} {
			body := bytes.Repeat([]byte("x"), size)
			b.Run(string(scheme)+"/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					signer.Sign("evt_1", "dlv_1", 1, at, body)
				}
			})
		}
	}
}

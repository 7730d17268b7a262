package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// unidyVersion is the one version of its signature that Unidy published.
const unidyVersion = "1"

// Header is one header of a request. The name is spelled as the scheme's documentation does.
type Header struct {
	Name  string
	Value string
}

// Signer signs the attempts of one revision of a webhook. Its keys are decoded once. It is safe for concurrent use.
type Signer struct {
	scheme  Scheme
	header  string                      // Unisoft, Unipile: the signature's header
	shared  []*standardwebhooks.Webhook // Standard, newest first
	private []ed25519.PrivateKey        // StandardEd25519, newest first
	text    []byte                      // the other schemes: the secret as shown
}

// NewSigner prepares a scheme with the secrets that are in force, newest first. The standard schemes sign with each of
// them; the others with the first alone, so in a grace period the caller puts the old one first. header is
// `signing.header`: it replaces DefaultHeader, "" keeps it. It fails for an unknown scheme, a header where there is
// none to rename, no secret, or one that is not in the scheme's form.
func NewSigner(scheme Scheme, header string, secrets []string) (*Signer, error) {
	if !scheme.Valid() {
		return nil, unknownScheme(scheme)
	}
	if header != "" && scheme.DefaultHeader() == "" {
		return nil, fmt.Errorf("the scheme %s has no signature header to rename", scheme)
	}
	if header == "" {
		header = scheme.DefaultHeader()
	}
	signer := &Signer{scheme: scheme, header: header}
	if scheme == None {
		return signer, nil
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("the scheme %s needs a secret", scheme)
	}
	if err := signer.load(secrets); err != nil {
		return nil, err
	}
	return signer, nil
}

// load decodes the secrets that the scheme uses.
func (s *Signer) load(secrets []string) error {
	switch s.scheme {
	case Standard:
		for _, secret := range secrets {
			key, err := standardKey(secret)
			if err != nil {
				return err
			}
			shared, err := standardwebhooks.NewWebhookRaw(key)
			if err != nil {
				return fmt.Errorf("preparing a standard secret: %w", err)
			}
			s.shared = append(s.shared, shared)
		}
	case StandardEd25519:
		for _, secret := range secrets {
			key, err := privateKey(secret)
			if err != nil {
				return err
			}
			s.private = append(s.private, key)
		}
	default:
		if secrets[0] == "" {
			return errors.New("the secret is empty")
		}
		s.text = []byte(secrets[0])
	}
	return nil
}

// Sign returns the headers that prove one attempt, in a fixed order; none for Unified and None. id is the event's id,
// attempt counts from 1, at is the attempt's own time (its seconds are sent), body the exact bytes that are sent. The headers
// are to be set, not added: the standard schemes' contain webhook-id, which every request has anyway.
func (s *Signer) Sign(id, deliveryID string, attempt int, at time.Time, body []byte) []Header {
	seconds := strconv.FormatInt(at.Unix(), 10)
	switch s.scheme {
	case Standard:
		return standardHeaders(id, seconds, s.signShared(id, at, body))
	case StandardEd25519:
		return standardHeaders(id, seconds, s.signPrivate(id, seconds, body))
	case Unisoft:
		return []Header{{s.header, s.hmacHex(body)}}
	case Unipile:
		return []Header{{s.header, "t=" + seconds + ",v0=" + s.hmacHex([]byte(seconds), []byte("."), body)}}
	case Unidy:
		return []Header{
			{"unidy-webhook-signature", s.digestHex(body)},
			{"unidy-webhook-version", unidyVersion},
			{"unidy-webhook-delivery-id", deliveryID},
			{"unidy-webhook-delivery-attempt", strconv.Itoa(attempt)},
		}
	}
	return nil
}

func standardHeaders(id, seconds, signature string) []Header {
	return []Header{{"webhook-id", id}, {"webhook-timestamp", seconds}, {"webhook-signature", signature}}
}

// signShared signs with each shared secret, as Standard Webhooks asks for while two are in force.
func (s *Signer) signShared(id string, at time.Time, body []byte) string {
	signatures := make([]string, len(s.shared))
	for i, shared := range s.shared {
		signature, err := shared.Sign(id, at, body)
		if err != nil {
			panic("sign: an HMAC failed: " + err.Error()) // the library has an error to return and no way to make one
		}
		signatures[i] = signature
	}
	return strings.Join(signatures, " ")
}

// signPrivate signs with each private key. The Standard Webhooks library has no Ed25519 in Go.
func (s *Signer) signPrivate(id, seconds string, body []byte) string {
	message := make([]byte, 0, len(id)+len(seconds)+len(body)+2)
	message = append(message, id...)
	message = append(message, '.')
	message = append(message, seconds...)
	message = append(message, '.')
	message = append(message, body...)
	signatures := make([]string, len(s.private))
	for i, private := range s.private {
		signatures[i] = "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, message))
	}
	return strings.Join(signatures, " ")
}

// hmacHex returns the lower-case hexadecimal HMAC-SHA256 of the parts in a row.
func (s *Signer) hmacHex(parts ...[]byte) string {
	mac := hmac.New(sha256.New, s.text)
	for _, part := range parts {
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// digestHex returns the lower-case hexadecimal SHA-256 of the secret followed by the body.
func (s *Signer) digestHex(body []byte) string {
	digest := sha256.New()
	digest.Write(s.text)
	digest.Write(body)
	return hex.EncodeToString(digest.Sum(nil))
}

// Request is one attempt to sign, with all that a Signer would know of its webhook.
type Request struct {
	Scheme     Scheme
	Header     string    // signing.header; "" for the scheme's own
	Secrets    []string  // in force, newest first; see NewSigner
	ID         string    // the event's id
	DeliveryID string    // dlv_...
	Attempt    int       // from 1
	At         time.Time // of this attempt
	Body       []byte    // the exact bytes that are sent
}

// Sign signs one attempt: NewSigner and Signer.Sign in one, with their results and errors, for a caller that signs once.
func Sign(request Request) ([]Header, error) {
	signer, err := NewSigner(request.Scheme, request.Header, request.Secrets)
	if err != nil {
		return nil, err
	}
	return signer.Sign(request.ID, request.DeliveryID, request.Attempt, request.At, request.Body), nil
}

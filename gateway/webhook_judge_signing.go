package gateway

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/sign"
)

// schemeCustom is a scheme of API.md that package sign does not speak.
const schemeCustom = "custom"

// signing merges scheme, header and secret. A change of scheme makes a new secret. Its error is internal.
func (j *webhookJudge) signing() error {
	in, s := j.in.Signing.Value, &j.w.Signing
	if j.in.Signing.Null {
		in = SigningInput{Scheme: Optional[string]{Set: true, Null: true}, Header: Optional[string]{Set: true, Null: true}}
	}
	was := s.Scheme
	scheme := sign.Scheme(in.Scheme.Or(was, string(sign.Standard)))
	s.Scheme = string(scheme)
	if !j.checkScheme(scheme) {
		return nil
	}
	changed := j.old == nil || s.Scheme != was
	j.signingHeader(in.Header, scheme, changed)
	if j.old != nil {
		j.secretGivenBack(in.Secret)
	}
	if !changed {
		return nil
	}
	if text := in.Secret.Or("", ""); j.old == nil && in.Secret.Set && !in.Secret.Null {
		if _, err := sign.CheckSecret(scheme, text); err != nil {
			j.add("/signing/secret", "secret_malformed", err.Error())
			return nil
		}
		s.setSecret(text, "")
		j.newSecret = true
		return nil
	}
	j.newSecret = true
	return s.makeSecret()
}

// checkScheme tells whether the scheme is one that can be signed with, and fits the payload.
func (j *webhookJudge) checkScheme(scheme sign.Scheme) bool {
	switch {
	case scheme == schemeCustom:
		j.add("/signing/scheme", "scheme_unsupported", "the scheme custom is not supported yet")
		return false
	case !scheme.Valid():
		j.add("/signing/scheme", "scheme_unknown", fmt.Sprintf("%.64q is not a signing scheme: it is one of %v", string(scheme), sign.Schemes()))
		return false
	case scheme == sign.Unified && j.w.Payload != PayloadUnified:
		pointer := "/signing/scheme"
		if j.in.Payload.Set && !j.in.Signing.Set {
			pointer = "/payload"
		}
		j.add(pointer, "payload_unified_needed", `the scheme unified signs inside the body: it needs "payload": "unified"`)
	}
	return true
}

// signingHeader reads the name that the signature is sent under. One that the new scheme cannot have ends with the old.
func (j *webhookJudge) signingHeader(in Optional[string], scheme sign.Scheme, changed bool) {
	s := &j.w.Signing
	own := scheme.DefaultHeader()
	s.Header = in.Or(s.Header, "")
	if s.Header == "" {
		if in.Set && !in.Null {
			j.add("/signing/header", "header_name", "a header needs a name; null stands for the scheme's own")
		}
		return
	}
	var code, detail string
	if own == "" {
		code, detail = "header_unexpected", fmt.Sprintf("the scheme %s has no signature header to rename", scheme)
	} else if fault := egress.CheckSigningHeader(s.Header, own); fault != nil {
		code, detail = fault.Code, fault.Detail
	}
	switch {
	case code == "":
	case !in.Set && changed:
		s.Header = ""
	default:
		j.add("/signing/header", code, detail)
	}
}

// secretGivenBack takes the present secret, so that what was read can be sent back, and no other.
func (j *webhookJudge) secretGivenBack(in Optional[string]) {
	if !in.Set || in.Null || subtle.ConstantTimeCompare([]byte(in.Value), []byte(j.old.Signing.Secret)) == 1 {
		return
	}
	j.add("/signing/secret", "secret_by_rotation", "a webhook's secret is changed by POST /v1/webhooks/{id}/secret")
}

// makeSecret gives the scheme a new secret and ends what was before.
func (s *Signing) makeSecret() error {
	secret, public, err := sign.NewSecret(sign.Scheme(s.Scheme), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a signing secret: %w", err)
	}
	s.setSecret(secret, public)
	return nil
}

func (s *Signing) setSecret(secret, public string) {
	s.Secret, s.PublicKey, s.SecretHint = secret, public, sign.Hint(secret)
	if s.privateKey() {
		s.SecretHint = ""
	}
	s.PreviousSecret, s.PreviousUntil = "", 0
}

// privateKey tells that the secret is one that nobody outside may see, ever.
func (s *Signing) privateKey() bool { return s.Scheme == string(sign.StandardEd25519) }

package gateway

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Fields that ciphertexts are bound to.
const (
	sealedURL      = "url"
	sealedHeader   = "header"
	sealedSecret   = "secret"
	sealedPrevious = "previous"
)

// keptURLs is how many URLs of one endpoint stay readable for the attempts that name them.
const keptURLs = 20

// urlKey names one URL of an endpoint in Sealed.URLs.
func urlKey(endpoint string, number int) string { return endpoint + "/" + strconv.Itoa(number) }

// headerKey names a header in Sealed.Headers: in hex, since a name may have characters that a store's keys may not.
func headerKey(name string) string { return hex.EncodeToString([]byte(strings.ToLower(name))) }

// originOf cuts a URL to scheme, host and port, as it was written; a text that is no URL to nothing.
func originOf(raw string) string {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#\\"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + rest
}

// hostOf is the host of a URL without its port, as it was written.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// sealWebhook is w as it is stored: URLs cut to their origins, secret values empty, ciphertexts of all of them.
// Past URLs of its endpoints stay, up to a limit; those of endpoints that it has no more go.
func (s *Seals) sealWebhook(w Webhook) (Webhook, error) {
	past := w.Sealed.URLs
	w.Sealed = Sealed{URLs: map[string][]byte{}, Headers: map[string][]byte{}}
	w.Endpoints, w.Headers = slices.Clone(w.Endpoints), slices.Clone(w.Headers)
	for i := range w.Endpoints {
		e := &w.Endpoints[i]
		for n := e.URLNumber - 1; n >= 0 && n > e.URLNumber-keptURLs; n-- {
			if old, ok := past[urlKey(e.ID, n)]; ok {
				w.Sealed.URLs[urlKey(e.ID, n)] = old
			}
		}
		sealed, err := s.Seal(e.URL, w.Organisation, w.ID, sealedURL, urlKey(e.ID, e.URLNumber))
		if err != nil {
			return Webhook{}, err
		}
		w.Sealed.URLs[urlKey(e.ID, e.URLNumber)] = sealed
		e.URL, e.Health = originOf(e.URL), nil
	}
	if err := s.sealHeaders(&w); err != nil {
		return Webhook{}, err
	}
	if err := s.sealSecrets(&w); err != nil {
		return Webhook{}, err
	}
	return w, nil
}

func (s *Seals) sealHeaders(w *Webhook) error {
	for i := range w.Headers {
		h := &w.Headers[i]
		h.ValueHint = ""
		if !h.Secret || h.Missing {
			continue
		}
		sealed, err := s.Seal(h.Value, w.Organisation, w.ID, sealedHeader, h.Name)
		if err != nil {
			return err
		}
		w.Sealed.Headers[headerKey(h.Name)] = sealed
		h.Value = ""
	}
	return nil
}

func (s *Seals) sealSecrets(w *Webhook) (err error) {
	if w.Signing.Secret != "" {
		if w.Sealed.Secret, err = s.Seal(w.Signing.Secret, w.Organisation, w.ID, sealedSecret, ""); err != nil {
			return err
		}
	}
	if w.Signing.PreviousSecret != "" {
		if w.Sealed.Previous, err = s.Seal(w.Signing.PreviousSecret, w.Organisation, w.ID, sealedPrevious, ""); err != nil {
			return err
		}
	}
	w.Signing.Secret, w.Signing.PreviousSecret = "", ""
	return nil
}

// openWebhook is a stored webhook with its URLs and secrets in clear, for what sends and for what edits. It keeps
// Sealed, for the past URLs. A tombstone has nothing to open and stays as it is.
func (s *Seals) openWebhook(w Webhook) (Webhook, error) {
	if w.DeletedAt != 0 {
		return w, nil
	}
	w.Endpoints, w.Headers = slices.Clone(w.Endpoints), slices.Clone(w.Headers)
	for i := range w.Endpoints {
		e := &w.Endpoints[i]
		whole, err := s.openURL(w, e.ID, e.URLNumber)
		if err != nil {
			return Webhook{}, err
		}
		e.URL = whole
	}
	for i := range w.Headers {
		h := &w.Headers[i]
		sealed := w.Sealed.Headers[headerKey(h.Name)]
		if h.Missing = h.Secret && len(sealed) == 0; h.Missing || !h.Secret {
			continue
		}
		value, err := s.Open(sealed, w.Organisation, w.ID, sealedHeader, h.Name)
		if err != nil {
			return Webhook{}, err
		}
		h.Value = value
	}
	return s.openSecrets(w)
}

func (s *Seals) openSecrets(w Webhook) (_ Webhook, err error) {
	if len(w.Sealed.Secret) > 0 {
		if w.Signing.Secret, err = s.Open(w.Sealed.Secret, w.Organisation, w.ID, sealedSecret, ""); err != nil {
			return Webhook{}, err
		}
	}
	if len(w.Sealed.Previous) > 0 {
		if w.Signing.PreviousSecret, err = s.Open(w.Sealed.Previous, w.Organisation, w.ID, sealedPrevious, ""); err != nil {
			return Webhook{}, err
		}
	}
	return w, nil
}

// openURL is the whole URL that an endpoint of w has, or had, under a number; ErrNotFound when it is kept no more.
func (s *Seals) openURL(w Webhook, endpoint string, number int) (string, error) {
	key := urlKey(endpoint, number)
	sealed, ok := w.Sealed.URLs[key]
	if !ok {
		return "", fmt.Errorf("opening URL %d of %s: %w", number, endpoint, ErrNotFound)
	}
	return s.Open(sealed, w.Organisation, w.ID, sealedURL, key)
}

// resealWebhook seals every ciphertext of w anew with the primary key. The places that they are bound to stay.
func (s *Seals) resealWebhook(w *Webhook) (err error) {
	again := func(sealed []byte, field, name string) []byte {
		if err != nil || len(sealed) == 0 {
			return sealed
		}
		var plain string
		if plain, err = s.Open(sealed, w.Organisation, w.ID, field, name); err != nil {
			return sealed
		}
		sealed, err = s.Seal(plain, w.Organisation, w.ID, field, name)
		return sealed
	}
	old := w.Sealed
	w.Sealed = Sealed{URLs: map[string][]byte{}, Headers: map[string][]byte{}}
	for key, sealed := range old.URLs {
		w.Sealed.URLs[key] = again(sealed, sealedURL, key)
	}
	for key, sealed := range old.Headers {
		name, _ := hex.DecodeString(key) // written by headerKey
		w.Sealed.Headers[key] = again(sealed, sealedHeader, string(name))
	}
	w.Sealed.Secret = again(old.Secret, sealedSecret, "")
	w.Sealed.Previous = again(old.Previous, sealedPrevious, "")
	return err
}

// all tells whether ok holds for every ciphertext.
func (d Sealed) all(ok func(sealed []byte) bool) bool {
	values := slices.AppendSeq(slices.Collect(maps.Values(d.URLs)), maps.Values(d.Headers))
	for _, sealed := range append(values, d.Secret, d.Previous) {
		if len(sealed) > 0 && !ok(sealed) {
			return false
		}
	}
	return true
}

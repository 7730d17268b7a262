package worker

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
)

// What is kept of an answer.
const (
	keptBody    = 16 << 10
	keptHeaders = 8 << 10
	keptError   = 1 << 10
)

// Values of Options.ResponseCapture.
const (
	// CaptureFull keeps 16 KiB of the body and 8 KiB of the headers of responses.
	CaptureFull = "full"
	// CaptureStatus keeps neither.
	CaptureStatus = "status"
)

// shownHeaders is what of a request's headers is kept: secret ones are masked, and of two with one name the later one
// is what was sent.
func shownHeaders(sent []egress.Header, secret map[string]bool, mask gateway.Mask) map[string]string {
	shown := make(map[string]string, len(sent))
	spelled := make(map[string]string, len(sent))
	for _, h := range sent {
		lower := strings.ToLower(h.Name)
		if before, ok := spelled[lower]; ok {
			delete(shown, before)
		}
		spelled[lower] = h.Name
		shown[h.Name] = mask.Hide(h.Value)
		if secret[lower] {
			shown[h.Name] = gateway.Masked
		}
	}
	return shown
}

// capture puts what is kept of an answer into its attempt.
func capture(a *gateway.Attempt, r egress.Response, mask gateway.Mask) {
	a.ResponseHeaders = keepHeaders(r.Header, mask)
	a.ResponseTruncated = r.BodyTruncated
	// Before it is cut: half a secret is not found any more.
	hide := mask.Hide
	if r.BodyTruncated {
		hide = mask.HideCut
	}
	body := []byte(hide(string(r.Body)))
	if len(body) > keptBody {
		body, a.ResponseTruncated = body[:keptBody], true
	}
	if a.ResponseTruncated {
		body = trimRune(body)
	}
	if utf8.Valid(body) {
		a.ResponseBody = string(body)
		return
	}
	a.ResponseBody, a.ResponseEncoding = base64.StdEncoding.EncodeToString(body), "base64"
}

// trimRune takes off a character that was cut in two.
func trimRune(text []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if at := len(text) - back; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return text[:at]
			}
			break
		}
	}
	return text
}

func keepHeaders(header http.Header, mask gateway.Mask) map[string]string {
	kept := make(map[string]string, len(header))
	left := keptHeaders
	for _, name := range slices.Sorted(maps.Keys(header)) {
		value := gateway.Masked
		if !isSensitive(name) {
			value = mask.Hide(strings.ToValidUTF8(strings.Join(header[name], ", "), "\uFFFD"))
		}
		if left -= len(name) + len(value); left < 0 {
			break
		}
		kept[name] = value
	}
	return kept
}

// isSensitive tells that a response's header may hold what lets somebody in.
func isSensitive(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range []string{"cookie", "authoriz", "authentic", "x-auth", "api-key", "token", "secret"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}

func cutError(text string) string {
	if len(text) <= keptError {
		return text
	}
	return string(trimRune([]byte(text[:keptError])))
}

// originOf is scheme, host and port of a URL, as they are written: what of it is stored in clear.
func originOf(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + rest
}

// milliseconds is a span as the API shows it, to a tenth of a microsecond at most.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func timingOf(t egress.Timing) gateway.Timing {
	return gateway.Timing{
		DNSMs: milliseconds(t.DNS), ConnectMs: milliseconds(t.Connect), TLSMs: milliseconds(t.TLS),
		WaitMs: milliseconds(t.Wait), ReadMs: milliseconds(t.Read),
	}
}

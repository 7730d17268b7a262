package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// The vendored files are those that were published as swagger-ui-dist 5.35.0.
func TestDocs(t *testing.T) {
	s := start(t)
	for path, want := range map[string]struct{ kind, sum string }{
		"/docs":                      {"text/html; charset=utf-8", ""},
		"/docs/start.js":             {"text/javascript; charset=utf-8", ""},
		"/docs/swagger-ui.css":       {"text/css; charset=utf-8", "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d"},
		"/docs/swagger-ui-bundle.js": {"text/javascript; charset=utf-8", "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2"},
	} {
		got := s.as("", 200, "GET", path, "")
		if got.header.Get("Content-Type") != want.kind || !strings.Contains(got.header.Get("Content-Security-Policy"), "script-src 'self';") {
			t.Errorf("%s: %v", path, got.header)
		}
		if sum := sha256.Sum256(got.body); want.sum != "" && hex.EncodeToString(sum[:]) != want.sum {
			t.Errorf("%s has the checksum %x, want %s", path, sum, want.sum)
		}
	}
	for _, path := range []string{"/docs/", "/docs/LICENSE", "/docs/..%2fdocs.go", "/docs/none"} {
		s.as("", 404, "GET", path, "")
	}
}

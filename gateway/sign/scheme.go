package sign

// Scheme is how a webhook's requests prove where they come from: `signing.scheme` in the API.
type Scheme string

const (
	// Standard is Standard Webhooks with a shared secret: HMAC-SHA256 of id.timestamp.body. It is the default.
	Standard Scheme = "standard"
	// StandardEd25519 is Standard Webhooks with a key pair: Ed25519 of id.timestamp.body.
	StandardEd25519 Scheme = "standard-ed25519"
	// Unisoft sends the hexadecimal HMAC-SHA256 of the body.
	Unisoft Scheme = "unisoft"
	// Unipile sends a time and the hexadecimal HMAC-SHA256 of time.body.
	Unipile Scheme = "unipile"
	// Unidy sends the hexadecimal SHA-256 of the secret followed by the body. Whoever sees one signature can compute that of
	// a longer body without the secret (length extension), so it is there for receivers that know nothing else.
	Unidy Scheme = "unidy"
	// Unified carries its signature in the body (UnifiedSig) and adds no header.
	Unified Scheme = "unified"
	// None sends no signature: the webhook's own headers alone authenticate.
	None Scheme = "none"
)

// Schemes returns all schemes, the default first, in the order in which the API and the portal list them.
func Schemes() []Scheme {
	return []Scheme{Standard, StandardEd25519, Unisoft, Unipile, Unidy, Unified, None}
}

// Valid reports whether s is one of Schemes.
func (s Scheme) Valid() bool {
	switch s {
	case Standard, StandardEd25519, Unisoft, Unipile, Unidy, Unified, None:
		return true
	}
	return false
}

// SingleSignature reports whether a request of the scheme has room for one signature only. In a grace period such a
// webhook goes on with its old secret; the others sign with both.
func (s Scheme) SingleSignature() bool {
	switch s {
	case Unisoft, Unipile, Unidy, Unified:
		return true
	}
	return false
}

// DefaultHeader returns the name of the header that `signing.header` may rename, "" where there is none: the schemes
// that send several headers, and those that send no header, keep their names.
func (s Scheme) DefaultHeader() string {
	switch s {
	case Unisoft:
		return "X-Unisoft-Signature"
	case Unipile:
		return "unipile-signature"
	}
	return ""
}

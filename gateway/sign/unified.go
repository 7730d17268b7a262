package sign

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
)

// nonceBytes is enough that no two deliveries share a nonce.
const nonceBytes = 16

// UnifiedNonce returns the `nonce` of a delivery's body: 32 lower-case hexadecimal characters that depend on the delivery's
// id alone, so that the body is the same on every attempt.
func UnifiedNonce(deliveryID string) string {
	digest := sha256.Sum256([]byte("unified nonce " + deliveryID))
	return hex.EncodeToString(digest[:nonceBytes])
}

// UnifiedSig returns the `sig` of a Unified body: the lower-case hexadecimal HMAC-SHA1 of the value of `data` and then the
// nonce. compactData has no white space between tokens (json.Compact); the key is the text of the secret.
func UnifiedSig(secret string, compactData []byte, nonce string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(compactData)
	mac.Write([]byte(nonce))
	return hex.EncodeToString(mac.Sum(nil))
}

// Package sign makes the signatures of every scheme that the gateway speaks.
//
// It owns the schemes, the forms of their secrets and the headers that carry a signature. A Signer is built once for a
// webhook's revision and signs each attempt:
//
//	signer, err := sign.NewSigner(sign.Standard, "", []string{secret})
//	for _, header := range signer.Sign(eventID, deliveryID, attempt, now, body) {
//		request.Header.Set(header.Name, header.Value)
//	}
//
// The bytes that are signed are the bytes that it is given: it never parses or changes a body. It stores nothing, reads
// no clock, and no error that it returns contains a secret. It does not choose which secrets are in force: the caller
// orders them.
package sign

package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// maxHandshake bounds a TLS handshake, inside the request's own time.
const maxHandshake = 10 * time.Second

// clientTLS is what targets and the proxy are spoken to with: TLS 1.2 or later, HTTP/1.1 alone, the system's roots and the
// extra ones (PEM).
func clientTLS(extra []byte) (*tls.Config, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		// A machine without roots of its own trusts the extra ones alone.
		roots = x509.NewCertPool()
	}
	if len(extra) > 0 && !roots.AppendCertsFromPEM(extra) {
		return nil, errors.New("the extra roots hold no certificate in PEM form")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}}, nil
}

// handshakeFailed puts a failed handshake into words of ours: a certificate's own text is the receiver's.
func handshakeFailed(err error) *failed {
	var expired x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &failed{Timeout, "the TLS handshake was not done in time"}
	case errors.Is(err, context.Canceled):
		return &failed{Timeout, stopped}
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return &failed{TLS, "the receiver's certificate has expired or is not valid yet"}
	case errors.As(err, &name):
		return &failed{TLS, "the receiver's certificate is for another host"}
	case errors.As(err, &authority):
		return &failed{TLS, "the receiver's certificate is signed by an authority that is not known here"}
	case errors.As(err, &verification):
		return &failed{TLS, "the receiver's certificate is not valid"}
	case errors.As(err, &record):
		return &failed{TLS, "the receiver does not speak TLS"}
	case strings.Contains(err.Error(), "protocol version"):
		return &failed{TLS, "the receiver does not speak TLS 1.2 or later"}
	case isAlert(err):
		return &failed{TLS, "the receiver ended the TLS handshake: " + alertText(err)}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &failed{TLS, "the receiver closed the connection during the TLS handshake"}
	}
	return &failed{TLS, "the TLS handshake failed"}
}

// isAlert says whether an error is a TLS alert, of the receiver or of ours. TLS 1.3 has servers refuse a client after the
// client's side of the handshake is done: such alerts are read in place of the answer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// alertText is the alert's name as the TLS registry has it; the receiver chooses only its number.
func alertText(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) {
		return "an alert"
	}
	return fmt.Sprintf("alert %q", strings.TrimPrefix(op.Err.Error(), "tls: "))
}

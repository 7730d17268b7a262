package egress

import (
	"fmt"
	"strings"
)

// Limits of a webhook's own headers; lengths are in bytes.
const (
	MaxHeaders      = 20
	MaxHeaderName   = 256
	MaxHeaderValue  = 8192
	MaxHeadersBytes = 16 << 10
)

// HeaderFault is what is wrong with one header of a webhook's list.
type HeaderFault struct {
	// Index is the header's place in the list; -1 is the list as a whole.
	Index int
	// Field is "name" or "value"; empty with Index -1.
	Field string
	// Code is stable and short: "header_reserved".
	Code string
	// Detail is a sentence for the person who typed the header; it never holds the value.
	Detail string
}

// Header is one header of a request: sent as it stands here.
type Header struct{ Name, Value string }

// reservedHeaders are the gateway's own, and those that frame a message or belong to one connection.
var reservedHeaders = map[string]bool{
	"host": true, "content-length": true, "content-type": true, "content-encoding": true, "transfer-encoding": true,
	"connection": true, "keep-alive": true, "te": true, "trailer": true, "upgrade": true, "http2-settings": true,
	"expect": true, "unipile-signature": true, "x-unisoft-signature": true,
}

// reservedPrefixes begin the names of whole families that are reserved.
var reservedPrefixes = []string{"proxy-", "webhook-", "unidy-webhook-"}

// CheckHeaders judges a webhook's own headers, names[i] with values[i]; signingHeader is the webhook's signing.header,
// empty where the scheme's own name counts. It finds every fault at once.
func CheckHeaders(names, values []string, signingHeader string) []HeaderFault {
	var faults []HeaderFault
	add := func(index int, field, code, detail string) {
		faults = append(faults, HeaderFault{index, field, code, detail})
	}
	if len(names) > MaxHeaders {
		add(-1, "", "headers_count", fmt.Sprintf("there are %d headers; at most %d are sent", len(names), MaxHeaders))
	}
	seen, size := map[string]bool{}, 0
	for i, name := range names {
		lower := strings.ToLower(name)
		if fault := checkHeaderName(name); fault != nil {
			add(i, "name", fault.Code, fault.Detail)
		} else if seen[lower] {
			add(i, "name", "header_repeated", fmt.Sprintf("the header %s is in the list twice", name))
		} else if signingHeader != "" && lower == strings.ToLower(signingHeader) {
			add(i, "name", "header_reserved", fmt.Sprintf("the header %s carries this webhook's signature", name))
		}
		seen[lower] = true
		if fault := checkHeaderValue(values[i]); fault != nil {
			add(i, "value", fault.Code, fault.Detail)
		}
		size += len(name) + len(values[i])
	}
	if size > MaxHeadersBytes {
		add(-1, "", "headers_length", fmt.Sprintf("the headers are longer than %d bytes in all", MaxHeadersBytes))
	}
	return faults
}

// CheckSigningHeader judges signing.header, the name under which a signature is sent. ownDefault is the name that the
// scheme has by itself, which is allowed though it is reserved.
func CheckSigningHeader(name, ownDefault string) *Fault {
	if ownDefault != "" && strings.EqualFold(name, ownDefault) {
		return nil
	}
	return checkHeaderName(name)
}

// checkHeaderName holds a name to a token (RFC 9110, 5.1) that is not reserved.
func checkHeaderName(name string) *Fault {
	switch {
	case name == "":
		return &Fault{"header_name", "a header needs a name"}
	case len(name) > MaxHeaderName:
		return &Fault{"header_name", fmt.Sprintf("the header's name is longer than %d bytes", MaxHeaderName)}
	case !isToken(name):
		return &Fault{"header_name", "a header's name has letters, digits and !#$%&'*+-.^_`|~ alone"}
	case isReservedHeader(strings.ToLower(name)):
		return &Fault{"header_reserved", fmt.Sprintf("the header %s is set by the gateway, or belongs to the connection", name)}
	}
	return nil
}

func checkHeaderValue(value string) *Fault {
	switch {
	case len(value) > MaxHeaderValue:
		return &Fault{"header_value", fmt.Sprintf("the header's value is longer than %d bytes", MaxHeaderValue)}
	case !isFieldValue(value):
		return &Fault{"header_value", "a header's value has printable ASCII characters, spaces and tabs alone"}
	}
	return nil
}

func isReservedHeader(lower string) bool {
	if reservedHeaders[lower] {
		return true
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return false
}

func isToken(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return name != ""
}

func isFieldValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c != '\t' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

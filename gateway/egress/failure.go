package egress

// Failure is the class of a failed attempt, as API.md lists them; empty is success. The class "mapping" is not of this
// package: no request is made then.
type Failure string

// The classes of failure that an attempt can end with.
const (
	// None is success: a 2xx status within the timeout.
	None Failure = ""
	// DNS means that the host's name has no address, or that its name servers gave no usable answer.
	DNS Failure = "dns"
	// Blocked means that the target is not one that may be called; nothing was sent.
	Blocked Failure = "blocked"
	// Connect means that no connection came to be.
	Connect Failure = "connect"
	// TLS means that the handshake failed, or that the receiver ended the connection with an alert later on.
	TLS Failure = "tls"
	// Timeout means that the time was over before a status was known.
	Timeout Failure = "timeout"
	// Status means an answer that is no success, no redirect and not 410.
	Status Failure = "status"
	// Redirect means a 3xx answer; redirects are never followed.
	Redirect Failure = "redirect"
	// Gone means 410.
	Gone Failure = "gone"
	// Broken means that the answer was not HTTP, was cut off, or had more than 64 KiB of headers.
	Broken Failure = "response"
)

// Fault says why a URL, an address or a header name is refused.
type Fault struct {
	// Code is stable and short: "url_scheme".
	Code string
	// Detail is a sentence for the person who typed the value. It never names an address that a name leads to.
	Detail string
}

// failed is an attempt's failure on its way up to Do: a class and a sentence that is safe to show to the customer.
type failed struct {
	class Failure
	text  string
}

func (f *failed) Error() string { return f.text }

// notPublic is the one sentence for every forbidden address: which address, and why, would tell a stranger what our
// network looks like.
const notPublic = "the host does not lead to a public address"

func forbidden() *Fault { return &Fault{Code: "url_address", Detail: notPublic} }

// Package egress is the HTTP client that strangers' URLs are called with, and the guard around it.
//
// It owns what a target may be: [Policy] checks a URL's text and its name when it is saved, and every address after DNS
// and before each connection. [Client] sends one request on the wire per call, straight from this machine (from bound
// source addresses where they are given) or through a [Proxy]: no redirects, no proxy from the environment, no replay,
// no cookies, no compression. An outcome is a value: [Response] has a class of failure and a sentence that names no
// address, path or query.
//
// The client speaks HTTP/1.1 itself over net/http's parser. net/http's own transport rewrites paths, sends some requests
// twice, logs what a receiver sends unasked, and lets a connection that one request dialled serve another: none of that
// may happen to a customer's payload.
//
// The package stores nothing, reads no environment, and does not decide about retries: what a failure means is the
// worker's.
package egress

// Package egress is the HTTP client that strangers' URLs are called with, and the guard around it.
//
// It owns what a target may be: the check of a URL's text when it is saved, and of every address after DNS and before
// the connection. One request on the wire per call: no redirects, no proxy from the environment, no replay.
package egress

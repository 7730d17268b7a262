package gateway

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
)

const (
	// minMasked is the shortest secret that is looked for: shorter ones are words that mask half of a page and hide
	// nothing.
	minMasked = 6
	// minPath and minSegment are the same for the path of a URL and its parts, most of which are words.
	minPath, minSegment, longSegment = 8, 8, 16
)

// Masked stands in place of a secret in what is kept of an attempt.
const Masked = "********"

// Mask hides secrets wherever they turn up: a receiver may send back what it was sent. The zero value hides nothing.
type Mask struct {
	words []string // the longest first
}

// newMask hides the secrets of a webhook and what may let somebody in of a target URL: its path and query.
func newMask(secrets []string, target string) Mask {
	var words []string
	for _, secret := range secrets {
		words = append(words, secret)
		// "Bearer" and the like are no secret, what follows them alone is.
		if scheme, token, ok := strings.Cut(secret, " "); ok {
			words = append(words, strings.TrimSpace(token))
			if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token)); err == nil && strings.EqualFold(scheme, "Basic") {
				_, password, _ := strings.Cut(string(plain), ":")
				words = append(words, string(plain), password)
			}
		}
	}
	words = append(words, urlSecrets(target)...)
	var m Mask
	for _, word := range words {
		if len(word) >= minMasked {
			m.words = append(m.words, spellings(word)...)
		}
	}
	// A secret that is a part of another must not cut that one in two.
	slices.SortFunc(m.words, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	m.words = slices.Clip(slices.Compact(m.words))
	return m
}

// urlSecrets lists what of a URL is stored sealed, whole and in the parts that look like tokens.
func urlSecrets(raw string) []string {
	rest := strings.TrimPrefix(raw, originOf(raw))
	path, query, _ := strings.Cut(rest, "?")
	var parts []string
	if len(path) >= minPath {
		parts = append(parts, rest, path)
	}
	if len(query) >= minPath {
		parts = append(parts, query)
	}
	for segment := range strings.SplitSeq(path, "/") {
		token := len(segment) >= longSegment || strings.ContainsAny(segment, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		if len(segment) >= minSegment && token {
			parts = append(parts, segment)
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		if _, value, ok := strings.Cut(pair, "="); ok {
			parts = append(parts, value)
		}
	}
	return parts
}

// spellings are a word as it is and as receivers are likely to write it: decoded, in JSON and in HTML.
func spellings(word string) []string {
	list := []string{word, html.EscapeString(word), url.QueryEscape(word)}
	if plain, err := url.PathUnescape(word); err == nil && len(plain) >= minMasked {
		list = append(list, plain)
	}
	if plain, err := url.QueryUnescape(word); err == nil && len(plain) >= minMasked {
		list = append(list, plain)
	}
	for _, text := range slices.Clone(list) {
		quoted, err := json.Marshal(text)
		if err == nil {
			list = append(list, string(quoted[1:len(quoted)-1]))
		}
		list = append(list, strings.ReplaceAll(text, "/", `\/`), strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text))
	}
	return list
}

// Hide is text with every secret in it masked. Looking for one word after the other is quick, and a strings.Replacer for
// each endpoint in memory would take ten times the room of its words.
func (m Mask) Hide(text string) string {
	for _, word := range m.words {
		text = strings.ReplaceAll(text, word, Masked)
	}
	return text
}

// HideCut is Hide for a text that breaks off: the beginning of a secret at its very end goes too.
func (m Mask) HideCut(text string) string {
	hidden := m.Hide(text)
	for _, word := range m.words {
		for n := min(len(word)-1, len(hidden)); n >= minMasked; n-- {
			if strings.HasSuffix(hidden, word[:n]) {
				return hidden[:len(hidden)-n] + Masked
			}
		}
	}
	return hidden
}

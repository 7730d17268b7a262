package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

// attemptRow is an attempt as its columns hold it. What falls out earlier than the rest, or has no place in the JSON
// form, has a column of its own.
type attemptRow struct {
	attempt *gateway.Attempt
	doc     string
	headers any
	body    any
}

func encodeAttempt(a *gateway.Attempt) (r attemptRow, err error) {
	r.attempt = a
	rest := *a
	rest.RequestBody, rest.RequestBodyRemoved = nil, false
	rest.ResponseHeaders, rest.ResponseBody = nil, ""
	if r.doc, err = encode(rest); err != nil {
		return r, err
	}
	if len(a.ResponseHeaders) > 0 {
		if r.headers, err = encode(a.ResponseHeaders); err != nil {
			return r, err
		}
	}
	r.body = orNull(a.ResponseBody)
	return r, nil
}

func scanAttempt(r row) (a gateway.Attempt, err error) {
	var doc, headers string
	var number, urlNumber int
	var bodySig, body string
	var sha []byte
	if err := r.Scan(&number, &urlNumber, &bodySig, &sha, &doc, &headers, &body); err != nil {
		return a, err
	}
	if err := decode(doc, &a); err != nil {
		return a, err
	}
	a.Number, a.URLNumber, a.BodySig, a.BodySHA, a.ResponseBody = number, urlNumber, bodySig, sha, body
	if body == "" {
		a.ResponseEncoding = "" // it went with the body
	}
	err = decode(headers, &a.ResponseHeaders)
	return a, err
}

// attempts are those of a delivery, in the order of their numbers.
func (s *Store) attempts(ctx context.Context, delivery string) ([]gateway.Attempt, error) {
	return read(ctx, s, scanAttempt, `SELECT number, url_number, body_sig, body_sha, doc, coalesce(response_headers, '{}'),
		coalesce(response_body, '') FROM attempts WHERE delivery = ? ORDER BY number`, delivery)
}

// insertAttempt adds an attempt, over one of the same number, and drops what falls out of what is kept.
func insertAttempt(t *tx, delivery string, r attemptRow) error {
	a := r.attempt
	if _, err := t.exec(`INSERT INTO attempts (delivery, number, url_number, body_sig, body_sha, doc, response_headers, response_body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (delivery, number) DO UPDATE SET url_number = excluded.url_number,
		body_sig = excluded.body_sig, body_sha = excluded.body_sha, doc = excluded.doc,
		response_headers = excluded.response_headers, response_body = excluded.response_body`,
		delivery, a.Number, a.URLNumber, a.BodySig, a.BodySHA, r.doc, r.headers, r.body); err != nil {
		return err
	}
	if a.Number > gateway.KeptBodies {
		if _, err := t.exec(`UPDATE attempts SET response_body = NULL
			WHERE delivery = ? AND number <= ? AND response_body IS NOT NULL`, delivery, a.Number-gateway.KeptBodies); err != nil {
			return err
		}
	}
	if a.Number > 2*gateway.KeptAttempts {
		if _, err := t.exec(`DELETE FROM attempts WHERE delivery = ? AND number > ? AND number <= ?`,
			delivery, gateway.KeptAttempts, a.Number-gateway.KeptAttempts); err != nil {
			return err
		}
	}
	return nil
}

// ForgetResponses removes what receivers answered to an event's attempts.
func (s *Store) ForgetResponses(ctx context.Context, organisation, event string) error {
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`UPDATE attempts SET response_headers = NULL, response_body = NULL WHERE delivery IN
			(SELECT id FROM deliveries INDEXED BY deliveries_event WHERE event = ? AND organisation = ?)`, event, organisation)
		return err
	})
}

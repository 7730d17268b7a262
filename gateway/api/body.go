package api

import (
	"bytes"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/unihook/unihook/gateway"
)

// Content types of bodies.
const (
	typeJSON       = "application/json"
	typeMergePatch = "application/merge-patch+json"
	typeNDJSON     = "application/x-ndjson"
)

// read reads a body that must be there, together with what is wrong with the query.
func read[T any](c *call, types ...string) (gateway.Body[T], error) {
	if _, err := c.contentType(types); err != nil {
		return gateway.Body[T]{}, err
	}
	doc, err := parse(c.Request().Body(), 1)
	if err != nil {
		return gateway.Body[T]{}, err
	}
	body := decode[T](doc)
	body.Faults = append(c.query.faults, body.Faults...)
	if notAnObject(body.Faults) {
		return body, gateway.RefuseFaults(body.Faults)
	}
	return body, nil
}

// notAnObject tells whether nothing of a body could be read: its fields need not be missed one by one then.
func notAnObject(faults []gateway.Fault) bool {
	return slices.ContainsFunc(faults, func(f gateway.Fault) bool { return f.Pointer == "" && f.Parameter == "" })
}

// readOptional is read for a body that may be absent, which is the same as an empty object.
func readOptional[T any](c *call) (gateway.Body[T], error) {
	if len(c.Request().Body()) == 0 {
		return gateway.Body[T]{Faults: c.query.faults}, nil
	}
	return read[T](c, typeJSON)
}

// readNothing refuses a body with anything in it.
func readNothing(c *call) error {
	body, err := readOptional[struct{}](c)
	if err != nil {
		return err
	}
	return gateway.RefuseFaults(body.Faults)
}

// contentType judges what the headers say of the body, and answers its type. An encoded body is never decoded: a
// megabyte of it can hold a thousand.
func (c *call) contentType(types []string) (string, error) {
	if len(c.Request().Header.Peek(fiber.HeaderContentEncoding)) > 0 {
		return "", &refusal{status: fiber.StatusUnsupportedMediaType, detail: "a body with a Content-Encoding is not taken: send it as it is"}
	}
	header := string(c.Request().Header.ContentType())
	kind, params, err := mime.ParseMediaType(header)
	charset := params["charset"]
	if err != nil || !slices.Contains(types, kind) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", &refusal{status: fiber.StatusUnsupportedMediaType,
			detail: fmt.Sprintf("the Content-Type must be %s, not %.64q", strings.Join(types, " or "), header)}
	}
	return kind, nil
}

// readBatch reads a JSON array or lines of JSON. Each item stands alone: what is wrong with one is told in its answer.
func readBatch(c *call) ([]gateway.Body[gateway.EventInput], error) {
	kind, err := c.contentType([]string{typeJSON, typeNDJSON})
	if err != nil {
		return nil, err
	}
	var items []gateway.Body[gateway.EventInput]
	if kind == typeNDJSON {
		items = readLines(c.Request().Body())
	} else if items, err = readArray(c.Request().Body()); err != nil {
		return nil, err
	}
	faults := c.query.faults
	switch {
	case len(items) == 0:
		faults = append(faults, gateway.Fault{Code: "too_few", Detail: "a batch has one event or more"})
	case len(items) > gateway.MaxBatch:
		faults = append(faults, gateway.Fault{Code: "too_many", Detail: fmt.Sprintf("a batch has at most %d events", gateway.MaxBatch)})
	}
	return items, gateway.RefuseFaults(faults)
}

// readArray decodes the elements of an array, one more than a batch may have at most.
func readArray(text []byte) ([]gateway.Body[gateway.EventInput], error) {
	doc, err := parse(text, 2)
	if err != nil {
		return nil, err
	}
	i := skipSpace(text, 0)
	if text[i] != '[' {
		return nil, gateway.RefuseFaults([]gateway.Fault{{Code: "wrong_type", Detail: "the body must be an array, not " + kindOf(text[i])}})
	}
	var items []gateway.Body[gateway.EventInput]
	d := decoder{document: doc}
	for i = skipSpace(text, i+1); text[i] != ']' && len(items) <= gateway.MaxBatch; i = d.next(i) {
		end := valueEnd(text, i)
		items = append(items, decode[gateway.EventInput](document{text: text[i:end], deep: doc.deep}))
		i = end
	}
	return items, nil
}

// readLines decodes lines, one more than a batch may have at most; empty lines are none.
func readLines(text []byte) []gateway.Body[gateway.EventInput] {
	var items []gateway.Body[gateway.EventInput]
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if line = bytes.TrimRight(line, " \t\r"); len(line) == 0 {
			continue
		}
		if len(items) > gateway.MaxBatch {
			break
		}
		doc, err := parse(line, 1)
		if err != nil {
			items = append(items, gateway.Body[gateway.EventInput]{Faults: []gateway.Fault{{Code: "not_json", Detail: err.Error()}}})
			continue
		}
		items = append(items, decode[gateway.EventInput](doc))
	}
	return items
}

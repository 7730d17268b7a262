package api

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/mapping"
)

const (
	// maxElements is more than any list of the API may have; what is longer is refused before its elements are read.
	maxElements = 1000
	// maxFaults bounds the answer to a body that is nothing but faults.
	maxFaults = 1000
	// maxExact is the largest whole number that every JSON reader keeps exactly.
	maxExact = 1 << 53
)

// given holds the keys that the gateway sets: they may stand in a body, so that what was read can be sent back, and are
// ignored.
var given = map[reflect.Type][]string{
	reflect.TypeFor[gateway.OrganisationInput](): {"revision", "createdAt", "updatedAt"},
	reflect.TypeFor[gateway.KeyInput]():          {"id", "createdAt", "lastUsedAt"},
	reflect.TypeFor[gateway.AccountInput]():      {"id", "lastEventAt"},
	reflect.TypeFor[gateway.WebhookInput]():      {"id", "revision", "statusReason", "createdAt", "updatedAt", "warnings"},
	reflect.TypeFor[gateway.DuplicateInput]():    {},
	reflect.TypeFor[gateway.EndpointInput]():     {"health"},
	reflect.TypeFor[gateway.HeaderInput]():       {"valueHint"},
	reflect.TypeFor[gateway.SigningInput]():      {"secretHint", "publicKey", "previousUntil"},
	reflect.TypeFor[gateway.EventInput]():        {"acceptedAt", "erased"},
}

// document is a body whose JSON was checked.
type document struct {
	text []byte
	// deep is true when some value may be nested deeper than a payload may be.
	deep bool
}

// parse checks that text is one JSON value in UTF-8 without a byte order mark. Nesting is no reason to refuse it here:
// a value that is kept and too deep is a fault at its place. Around is how many levels enclose such a value.
func parse(text []byte, around int) (document, error) {
	if mapping.CheckJSON(text, mapping.MaxDepth+around) == nil {
		return document{text: text}, nil
	}
	if err := mapping.CheckJSON(text, len(text)); err != nil {
		return document{}, &refusal{status: 400, detail: "the body is " + err.Error()}
	}
	return document{text: text, deep: true}, nil
}

// decode reads an object into T, a struct of gateway.Optional fields with json tags, and tells every fault in it.
func decode[T any](doc document) gateway.Body[T] {
	var body gateway.Body[T]
	d := decoder{document: doc}
	start := skipSpace(doc.text, 0)
	if doc.text[start] != '{' {
		d.fault(nil, "wrong_type", "the body must be an object, not "+kindOf(doc.text[start]))
	} else {
		d.object(start, reflect.ValueOf(&body.Value).Elem(), nil)
	}
	body.Faults = d.faults
	return body
}

// decoder reads one document and collects what is wrong with it.
type decoder struct {
	document
	faults []gateway.Fault
}

// step is the last part of the way to a value. The whole way is only spelled out for a fault.
type step struct {
	before *step
	key    string
	index  int // where key is empty and keyed is false
	keyed  bool
}

// pointer is the JSON Pointer (RFC 6901) of the value.
func (s *step) pointer() string {
	if s == nil {
		return ""
	}
	if !s.keyed {
		return s.before.pointer() + "/" + strconv.Itoa(s.index)
	}
	return s.before.pointer() + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(s.key)
}

func (d *decoder) fault(at *step, code, detail string) {
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, gateway.Fault{Pointer: at.pointer(), Code: code, Detail: detail})
	}
}

// wrongType notes a value of another kind than the one that belongs there, and answers its end.
func (d *decoder) wrongType(i int, at *step, wanted string) int {
	d.fault(at, "wrong_type", "must be "+wanted+", not "+kindOf(d.text[i]))
	return valueEnd(d.text, i)
}

// settable is gateway.Optional of any type.
type settable interface{ Field(null bool) any }

// object reads the object at i into a struct, and answers its end.
func (d *decoder) object(i int, into reflect.Value, at *step) int {
	if d.text[i] != '{' {
		return d.wrongType(i, at, "an object")
	}
	known := fieldsOf(into.Type())
	seen := map[string]bool{}
	for i = skipSpace(d.text, i+1); d.text[i] != '}'; {
		keyEnd := stringEnd(d.text, i)
		key, whole := unquote(d.text[i:keyEnd])
		here := &step{before: at, key: key, keyed: true}
		i = skipSpace(d.text, skipSpace(d.text, keyEnd)+1)
		field, ok := known[key]
		switch {
		case seen[key] && (ok || !whole):
			d.fault(here, "repeated_key", "is there twice")
			i = valueEnd(d.text, i)
		case ok && field < 0 || seen[key]:
			i = valueEnd(d.text, i)
		case ok && whole:
			i = d.field(i, into.Field(field).Addr().Interface().(settable), here)
		default:
			d.fault(here, "unknown_key", fmt.Sprintf("%.64q is not known here", key))
			i = valueEnd(d.text, i)
		}
		seen[key] = true
		i = d.next(i)
	}
	return i + 1
}

// next answers where the next key or element begins, or where its container closes.
func (d *decoder) next(i int) int {
	if i = skipSpace(d.text, i); d.text[i] == ',' {
		return skipSpace(d.text, i+1)
	}
	return i
}

// field reads the value at i into an optional field, and answers its end.
func (d *decoder) field(i int, into settable, at *step) int {
	if d.text[i] == 'n' {
		into.Field(true)
		return i + len("null")
	}
	return d.value(i, into.Field(false), at)
}

// value reads the value at i into what target points to, and answers its end.
func (d *decoder) value(i int, target any, at *step) int {
	switch into := target.(type) {
	case *string:
		return d.str(i, into, at)
	case *bool:
		return d.truth(i, into, at)
	case *int:
		return d.whole(i, into, at)
	case *float64:
		return d.number(i, into, at)
	case *gateway.RawJSON:
		return d.raw(i, into, at)
	}
	into := reflect.ValueOf(target).Elem()
	if into.Kind() == reflect.Slice {
		return d.list(i, into, at)
	}
	return d.object(i, into, at)
}

func (d *decoder) str(i int, into *string, at *step) int {
	if d.text[i] != '"' {
		return d.wrongType(i, at, "a string")
	}
	end := stringEnd(d.text, i)
	text, whole := unquote(d.text[i:end])
	if !whole {
		d.fault(at, "not_utf8", "has half of a surrogate pair in it")
		return end
	}
	*into = text
	return end
}

func (d *decoder) truth(i int, into *bool, at *step) int {
	if d.text[i] != 't' && d.text[i] != 'f' {
		return d.wrongType(i, at, "true or false")
	}
	*into = d.text[i] == 't'
	return valueEnd(d.text, i)
}

func (d *decoder) number(i int, into *float64, at *step) int {
	end := valueEnd(d.text, i)
	if d.text[i] != '-' && (d.text[i] < '0' || d.text[i] > '9') {
		return d.wrongType(i, at, "a number")
	}
	number, err := strconv.ParseFloat(string(d.text[i:end]), 64)
	if err != nil {
		d.fault(at, "out_of_range", "is larger than a number can be here")
		return end
	}
	*into = number
	return end
}

// whole reads a whole number, which may be written as 30, 30.0 or 3e1.
func (d *decoder) whole(i int, into *int, at *step) int {
	var number float64
	before := len(d.faults)
	end := d.number(i, &number, at)
	switch {
	case len(d.faults) > before:
	case number != math.Trunc(number):
		d.fault(at, "wrong_type", "must be a whole number")
	case math.Abs(number) > maxExact:
		d.fault(at, "out_of_range", "is larger than a number can be here")
	default:
		*into = int(number)
	}
	return end
}

// raw keeps the text of the value at i, in memory of its own: it may outlive the request.
func (d *decoder) raw(i int, into *gateway.RawJSON, at *step) int {
	end := valueEnd(d.text, i)
	text := d.text[i:end]
	if d.deep && mapping.CheckJSON(text, mapping.MaxDepth) != nil {
		d.fault(at, "too_deep", fmt.Sprintf("is nested more than %d levels deep", mapping.MaxDepth))
		return end
	}
	*into = bytes.Clone(text)
	return end
}

// list reads the array at i into a slice, and answers its end.
func (d *decoder) list(i int, into reflect.Value, at *step) int {
	if d.text[i] != '[' {
		return d.wrongType(i, at, "an array")
	}
	start := i
	into.Set(reflect.MakeSlice(into.Type(), 0, 0))
	i = skipSpace(d.text, i+1)
	for n := 0; d.text[i] != ']'; n++ {
		if n == maxElements {
			into.SetZero()
			d.fault(at, "too_many", fmt.Sprintf("has more than %d elements", maxElements))
			return valueEnd(d.text, start)
		}
		element := reflect.New(into.Type().Elem())
		i = d.value(i, element.Interface(), &step{before: at, index: n})
		into.Set(reflect.Append(into, element.Elem()))
		i = d.next(i)
	}
	return i + 1
}

// fieldCache has fieldsOf's answers by type.
var fieldCache sync.Map

// fieldsOf tells which field of a struct a key fills; -1 is a key that is ignored.
func fieldsOf(t reflect.Type) map[string]int {
	if known, ok := fieldCache.Load(t); ok {
		return known.(map[string]int)
	}
	known := map[string]int{}
	for _, key := range given[t] {
		known[key] = -1
	}
	for i := range t.NumField() {
		known[t.Field(i).Tag.Get("json")] = i
	}
	fieldCache.Store(t, known)
	return known
}

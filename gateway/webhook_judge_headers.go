package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/unihook/unihook/gateway/egress"
)

// headers reads the custom headers; package egress judges names and values. It comes after endpoints and signing.
func (j *webhookJudge) headers() {
	if !j.in.Headers.Set {
		j.keptHeaders()
		return
	}
	given := j.in.Headers.Or(nil, nil)
	j.w.Headers = make([]Header, len(given))
	names, values := make([]string, len(given)), make([]string, len(given))
	for i, h := range given {
		j.w.Headers[i] = j.header("/headers/"+strconv.Itoa(i), h)
		names[i], values[i] = j.w.Headers[i].Name, j.w.Headers[i].Value
	}
	for _, fault := range egress.CheckHeaders(names, values, j.w.Signing.Header) {
		pointer := "/headers"
		if fault.Index >= 0 {
			pointer += "/" + strconv.Itoa(fault.Index) + "/" + fault.Field
		}
		j.add(pointer, fault.Code, fault.Detail)
	}
}

// header reads one header. Matched by its name it keeps the value and the secrecy that the caller left out; but a
// secret is neither sent to a new place nor laid open by somebody who cannot read it.
func (j *webhookJudge) header(pointer string, in HeaderInput) Header {
	j.require(pointer+"/name", in.Name.Set && !in.Name.Null)
	h := Header{Name: in.Name.Value, Value: in.Value.Value}
	old := j.oldHeader(h.Name)
	secret := true
	if old != nil {
		secret = old.Secret
	}
	h.Secret = in.Secret.Or(secret, true)
	if in.Value.Set && !in.Value.Null {
		return h
	}
	const again = "give the value again: "
	switch {
	case old == nil || old.Missing:
		j.add(pointer+"/value", "header_value_missing", fmt.Sprintf("the header %.64s needs a value", h.Name))
	case old.Secret && j.newPlace:
		j.add(pointer+"/value", "header_value_required", again+"a secret is not sent to a new scheme, host or port by somebody who cannot read it")
	case old.Secret && !h.Secret:
		j.add(pointer+"/value", "header_value_required", again+"a secret cannot be made readable by leaving it out")
	default:
		h.Value = old.Value
	}
	return h
}

// oldHeader finds the header of that name, case aside, in the webhook that is edited.
func (j *webhookJudge) oldHeader(name string) *Header {
	if j.old == nil {
		return nil
	}
	for i := range j.old.Headers {
		if strings.EqualFold(j.old.Headers[i].Name, name) {
			return &j.old.Headers[i]
		}
	}
	return nil
}

// keptHeaders judges headers that the caller left alone against what else changes.
func (j *webhookJudge) keptHeaders() {
	for _, h := range j.w.Headers {
		if j.newPlace && h.Secret && !h.Missing {
			j.add("/headers", "header_value_required", fmt.Sprintf("give the value of the secret header %s again: an endpoint leads to a new scheme, host or port", h.Name))
		}
		if j.w.Signing.Header != "" && strings.EqualFold(h.Name, j.w.Signing.Header) {
			j.add("/signing/header", "header_reserved", fmt.Sprintf("the webhook has a header %s of its own", h.Name))
		}
	}
}

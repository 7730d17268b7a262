package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"time"

	"github.com/oklog/ulid/v2"
)

// Prefixes of the ids that the gateway makes. What follows is a ULID in lower-case letters, so that ids of one kind
// sort by time.
const (
	PrefixOrganisation = "org_"
	PrefixWebhook      = "wh_"
	PrefixEndpoint     = "ep_"
	PrefixEvent        = "evt_"
	PrefixTestEvent    = "evt_test_"
	PrefixDelivery     = "dlv_"
	PrefixKey          = "key_"
	PrefixReplay       = "rpl_"
	PrefixAudit        = "aud_"
	PrefixJob          = "job_"
	PrefixRun          = "run_"
)

// NewID makes an id of the kind that prefix names: its time is now, the rest is random.
func NewID(prefix string, now time.Time) string {
	var id ulid.ULID
	_ = id.SetTime(uint64(now.UnixMilli())) // fails after the year 10889 alone
	if _, err := rand.Read(id[6:]); err != nil {
		panic("gateway: no randomness: " + err.Error())
	}
	return prefix + lower(id)
}

// DeliveryID is the id of the delivery of an event to an endpoint: the time of acceptance, then 80 bits of a hash of
// what the delivery is. Made again for the same event it is the same, so that no other unique index is needed.
func DeliveryID(accepted Time, organisation, event, endpoint, replay string) string {
	var id ulid.ULID
	_ = id.SetTime(uint64(accepted))
	h := sha256.New()
	for _, part := range []string{organisation, event, endpoint, replay} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	copy(id[6:], h.Sum(nil))
	return PrefixDelivery + lower(id)
}

func lower(id ulid.ULID) string {
	b := []byte(id.String())
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

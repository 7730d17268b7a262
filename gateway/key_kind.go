package gateway

// Act is a group of things to do that the kinds of key differ in.
type Act string

const (
	// ActOperate is organisations and keys: the operator's.
	ActOperate Act = "organisations and keys"
	// ActPublish is publishing events.
	ActPublish Act = "publishing events"
	// ActReadCatalogue is reading products and event types.
	ActReadCatalogue Act = "the catalogue"
	// ActConfigure is what an organisation's customer does: webhooks, accounts, previews, events, deliveries, replays,
	// sources, audit.
	ActConfigure Act = "webhooks, events and deliveries"
	// ActLink is making portal links.
	ActLink Act = "portal links"
	// ActMonitor is metrics and the details of readiness.
	ActMonitor Act = "metrics"
)

// Allows tells whether a key of kind may do act; the zero kind may do nothing.
func Allows(kind KeyKind, act Act) bool {
	switch kind {
	case KindOperator:
		return true
	case KindPublisher:
		return act == ActPublish || act == ActReadCatalogue
	case KindPortal:
		return act == ActLink
	case KindOrganisation:
		return act == ActConfigure || act == ActReadCatalogue
	case KindMonitor:
		return act == ActMonitor
	}
	return false
}

// May is nil when the actor's kind may do act, else a Forbidden Error. It is judged before ids and bodies.
func (a Actor) May(act Act) error {
	if Allows(a.Kind, act) {
		return nil
	}
	return Refuse(Forbidden, "a key of kind %s is not for %s", a.Kind, act)
}

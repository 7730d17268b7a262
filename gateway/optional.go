package gateway

// Optional is a field of a body that may be absent, null or there. In an update, absent leaves the value as it is and
// null sets its default; in a create both mean the default.
type Optional[T any] struct {
	// Set is true when the body has the key, with null too.
	Set bool
	// Null is true when the body has null.
	Null  bool
	Value T
}

// Given makes an Optional that is there.
func Given[T any](value T) Optional[T] { return Optional[T]{Set: true, Value: value} }

// Or is the value to use: current where the body lacks the key, standard where it has null, else its own.
func (o Optional[T]) Or(current, standard T) T {
	switch {
	case !o.Set:
		return current
	case o.Null:
		return standard
	default:
		return o.Value
	}
}

// Field lets a decoder of bodies fill any Optional without knowing T: it marks it set, and answers where the value
// goes (nil when null is true).
func (o *Optional[T]) Field(null bool) any {
	o.Set, o.Null = true, null
	if null {
		return nil
	}
	return &o.Value
}

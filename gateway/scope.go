package gateway

import "context"

// scope is whose records the actor sees by itself.
func (a Actor) scope() Scope {
	switch {
	case a.Kind == KindOperator:
		return Everyone()
	case a.Organisation == "":
		return Scope{}
	}
	return Only(a.Organisation)
}

// ScopeFor is whose records the actor sees where a query names an organisation, or none when it is empty. The operator
// sees everyone's, or the named one's (NotFound when there is none such); others see their own, and another's id is
// NotFound to them.
func (g *Gateway) ScopeFor(ctx context.Context, a Actor, named string) (Scope, error) {
	switch {
	case a.Kind == KindOperator && named == "":
		return Everyone(), nil
	case a.Kind == KindOperator:
		if _, err := g.organisation(ctx, named); err != nil {
			return Scope{}, err
		}
		return Only(named), nil
	case a.Organisation == "":
		return Scope{}, Refuse(Forbidden, "a key of kind %s belongs to no organisation", a.Kind)
	case named != "" && named != a.Organisation:
		return Scope{}, noOrganisation(named)
	}
	return Only(a.Organisation), nil
}

// OwnerFor is the organisation that what the actor makes will belong to, where the body names one or, empty, none. The
// operator must name one that exists: the fault says so. Others make their own; another's id is NotFound to them.
func (g *Gateway) OwnerFor(ctx context.Context, a Actor, named string) (string, *Fault, error) {
	if a.Kind != KindOperator {
		scope, err := g.ScopeFor(ctx, a, named)
		if err != nil {
			return "", nil, err
		}
		own, _ := scope.Organisation()
		return own, nil, nil
	}
	if named == "" {
		return "", &Fault{Pointer: "/organisation", Code: "organisation_missing", Detail: "the operator names the organisation that this is for"}, nil
	}
	_, err := g.organisation(ctx, named)
	if IsKind(err, NotFound) {
		return "", &Fault{Pointer: "/organisation", Code: "organisation_unknown", Detail: err.Error()}, nil
	}
	return named, nil, err
}

// seen is the error of a read of one thing by its id, or ErrNotFound where the organisation that has it is being erased:
// its things go one by one, and are not to be seen from the start.
func (g *Gateway) seen(ctx context.Context, organisation string, err error) error {
	if err != nil {
		return err
	}
	if err = g.exists(ctx, organisation); IsKind(err, NotFound) {
		return ErrNotFound
	}
	return err
}

// exists refuses an organisation that is not there or is being erased.
func (g *Gateway) exists(ctx context.Context, id string) error {
	_, err := g.organisation(ctx, id)
	return err
}

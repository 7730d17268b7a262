package gateway

import (
	"context"
	"fmt"
	"sync"

	"github.com/unihook/unihook/gateway/egress"
)

// endpoints reads the endpoints. One that is given with its id, or with the URL that it has, stays the same endpoint:
// it keeps id, health and what waits for it.
func (j *webhookJudge) endpoints(ctx context.Context) {
	in := j.in.Endpoints
	if !in.Set && j.old != nil {
		return
	}
	if len(in.Value) == 0 {
		j.add("/endpoints", "required", "a webhook has at least one endpoint")
		return
	}
	if len(in.Value) > maxEndpoints {
		j.add("/endpoints", "too_many", fmt.Sprintf("%d endpoints are given, at most %d are allowed", len(in.Value), maxEndpoints))
		return
	}
	same := j.match(in.Value)
	j.w.Endpoints = make([]Endpoint, len(in.Value))
	targets := make(map[int]egress.Target, len(in.Value))
	for i, given := range in.Value {
		if target, changed := j.endpoint(i, given, same[i]); changed {
			targets[i] = target
		}
	}
	j.lookUp(ctx, targets)
}

// match finds the old endpoint of each given one, by id first and then by URL; nil where it is a new one.
func (j *webhookJudge) match(given []EndpointInput) []*Endpoint {
	same := make([]*Endpoint, len(given))
	if j.old == nil {
		return same // an id is the gateway's to give: in a create it is ignored
	}
	claimed := map[string]bool{}
	for i, e := range given {
		id := e.ID.Or("", "")
		if id == "" {
			continue
		}
		pointer := fmt.Sprintf("/endpoints/%d/id", i)
		switch old := j.old.endpoint(id); {
		case old == nil:
			j.add(pointer, "endpoint_unknown", fmt.Sprintf("the webhook has no endpoint %.64q; leave the id out to add one", id))
		case claimed[id]:
			j.add(pointer, "endpoint_repeated", fmt.Sprintf("the endpoint %s is in the list twice", id))
		default:
			same[i], claimed[id] = old, true
		}
	}
	for i, e := range given {
		if e.ID.Or("", "") != "" {
			continue
		}
		for k := range j.old.Endpoints {
			if old := &j.old.Endpoints[k]; !claimed[old.ID] && old.URL == e.URL.Value {
				same[i], claimed[old.ID] = old, true
				break
			}
		}
	}
	return same
}

// endpoint finds an endpoint by its id; nil when there is none.
func (w *Webhook) endpoint(id string) *Endpoint {
	for i := range w.Endpoints {
		if w.Endpoints[i].ID == id {
			return &w.Endpoints[i]
		}
	}
	return nil
}

// endpoint reads the i-th endpoint; changed is true when its target is to be looked up.
func (j *webhookJudge) endpoint(i int, given EndpointInput, old *Endpoint) (target egress.Target, changed bool) {
	pointer, e := fmt.Sprintf("/endpoints/%d", i), &j.w.Endpoints[i]
	e.Description = given.Description.Or("", "")
	j.checkDescription(pointer+"/description", e.Description)
	if old == nil {
		e.ID = NewID(PrefixEndpoint, j.g.Clock())
	} else {
		e.ID, e.URL, e.URLNumber = old.ID, old.URL, old.URLNumber
		if !given.URL.Set {
			return target, false
		}
	}
	if !given.URL.Set || given.URL.Null {
		j.require(pointer+"/url", false)
		return target, false
	}
	if changed = given.URL.Value != e.URL; changed && old != nil {
		e.URLNumber++
	}
	e.URL = given.URL.Value
	target, fault := j.g.Policy.CheckURL(j.organisation.ID, e.URL, j.organisation.Hosts)
	if fault != nil {
		j.add(pointer+"/url", fault.Code, fault.Detail)
		return target, false
	}
	j.newPlace = j.newPlace || j.old != nil && !j.ledTo(target.Origin)
	return target, changed
}

// ledTo tells whether an endpoint of the old webhook had this scheme, host and port.
func (j *webhookJudge) ledTo(origin string) bool {
	for _, e := range j.old.Endpoints {
		// Hosts may have been narrowed since: where it led counts, not whether it may still.
		if target, fault := j.g.Policy.CheckURL(j.old.Organisation, e.URL, nil); fault == nil && target.Origin == origin {
			return true
		}
	}
	return false
}

// lookUp refuses targets whose names lead to a forbidden address, all at once: each look-up may take two seconds.
func (j *webhookJudge) lookUp(ctx context.Context, targets map[int]egress.Target) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	found, begun := map[string]*egress.Fault{}, map[string]bool{}
	for _, target := range targets {
		if begun[target.Origin] {
			continue
		}
		begun[target.Origin] = true
		wait.Go(func() {
			fault := j.g.Policy.CheckName(ctx, j.g.Resolver, j.organisation.ID, target)
			mu.Lock()
			defer mu.Unlock()
			found[target.Origin] = fault
		})
	}
	wait.Wait()
	for i := range j.w.Endpoints {
		if fault := found[targets[i].Origin]; fault != nil {
			j.add(fmt.Sprintf("/endpoints/%d/url", i), fault.Code, fault.Detail)
		}
	}
}

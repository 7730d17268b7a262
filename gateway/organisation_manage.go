package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxOrganisationID bounds ids that the operator chooses, in characters.
	maxOrganisationID = 64
	// maxHosts bounds an organisation's host patterns: each is compared at every save and connection.
	maxHosts = 100
	// maxHostPattern is DNS's own limit, in characters.
	maxHostPattern = 253
	// saveTries bounds how often a save begins anew because another one came in between.
	saveTries = 20
	// eraseDelay is how long the feeder leaves an erasure alone, until the organisation is marked.
	eraseDelay = 2 * time.Second
)

// CreateOrganisation makes an organisation. It is the operator's. An id that is taken is a Conflict, also by one that
// is being erased.
func (g *Gateway) CreateOrganisation(ctx context.Context, a Actor, in Body[OrganisationInput]) (Organisation, error) {
	if err := a.May(ActOperate); err != nil {
		return Organisation{}, err
	}
	f := startFaults(in.Faults)
	f.require("/name", in.Value.Name.Set && !in.Value.Name.Null)
	now := g.now()
	o := judgeOrganisation(&f, Organisation{Hosts: []string{}}, in.Value)
	if o.ID = in.Value.ID.Or("", ""); in.Value.ID.Set && !in.Value.ID.Null {
		checkOrganisationID(&f, o.ID)
	} else {
		o.ID = NewID(PrefixOrganisation, g.Clock())
	}
	if err := f.err(); err != nil {
		return Organisation{}, err
	}
	o.Revision, o.CreatedAt, o.UpdatedAt = 1, now, now
	entry := AuditEntry{Organisation: o.ID, Action: "organisation.created", Object: o.ID, Revision: 1, Changes: organisationChanges(nil, &o)}
	err := g.change(ctx, a, entry, func() error { return g.Store.InsertOrganisation(ctx, o) })
	if errors.Is(err, ErrTaken) {
		return Organisation{}, Refuse(Conflict, "there is an organisation %q already", o.ID)
	}
	if err != nil {
		return Organisation{}, away(fmt.Errorf("making organisation %s: %w", o.ID, err))
	}
	return o, nil
}

// judgeOrganisation merges the input into o.
func judgeOrganisation(f *faults, o Organisation, v OrganisationInput) Organisation {
	if v.Name.Set {
		f.require("/name", !v.Name.Null)
		o.Name = v.Name.Value
		checkName(f, "/name", o.Name)
	}
	if v.Hosts.Set {
		o.Hosts = judgeHosts(f, v.Hosts.Value)
	}
	o.SecretReadable = v.SecretReadable.Or(o.SecretReadable, false)
	return o
}

func judgeHosts(f *faults, patterns []string) []string {
	if len(patterns) > maxHosts {
		f.add("/hosts", "too_many", fmt.Sprintf("%d hosts are given, at most %d are allowed", len(patterns), maxHosts))
		return []string{}
	}
	hosts := []string{}
	for i, pattern := range patterns {
		if !isHostPattern(pattern) {
			f.add("/hosts/"+strconv.Itoa(i), "host_malformed", fmt.Sprintf(`%.64q is no host: give a name such as hook.example.com, or *.example.com for every name below it`, pattern))
		}
		hosts = append(hosts, strings.ToLower(pattern))
	}
	return hosts
}

// isHostPattern takes names, addresses, and "*." in front of a name; only ASCII, since URLs are.
func isHostPattern(pattern string) bool {
	name := strings.TrimPrefix(pattern, "*.")
	if name == "" || len(name) > maxHostPattern || name[0] == '.' || strings.Contains(name, "..") {
		return false
	}
	return strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == "" && !strings.ContainsAny(name, "*")
}

func checkOrganisationID(f *faults, id string) {
	switch {
	case id == "" || len(id) > maxOrganisationID:
		f.add("/id", "id_length", fmt.Sprintf("an id has 1 to %d characters", maxOrganisationID))
	case strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}):
		f.add("/id", "id_character", "an id has letters, digits, _ and - alone")
	}
}

// FindOrganisation answers an organisation. It is the operator's.
func (g *Gateway) FindOrganisation(ctx context.Context, a Actor, id string) (Organisation, error) {
	if err := a.May(ActOperate); err != nil {
		return Organisation{}, err
	}
	return g.organisation(ctx, id)
}

// organisation reads one that is not being erased; NotFound otherwise.
func (g *Gateway) organisation(ctx context.Context, id string) (Organisation, error) {
	o, err := g.Store.Organisation(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && o.Erasing {
		return Organisation{}, noOrganisation(id)
	}
	if err != nil {
		return Organisation{}, away(fmt.Errorf("reading organisation %s: %w", id, err))
	}
	return o, nil
}

func noOrganisation(id string) error { return Refuse(NotFound, "there is no organisation %.64q", id) }

// ListOrganisations lists organisations, newest first. It is the operator's.
func (g *Gateway) ListOrganisations(ctx context.Context, a Actor, page Page) ([]Organisation, string, error) {
	if err := a.May(ActOperate); err != nil {
		return nil, "", err
	}
	list, next, err := g.Store.ListOrganisations(ctx, page)
	if err != nil {
		return nil, "", away(fmt.Errorf("listing organisations: %w", err))
	}
	return slices.DeleteFunc(list, func(o Organisation) bool { return o.Erasing }), next, nil
}

// UpdateOrganisation merges the input into what o is by now; the last one wins. An id in the input is ignored.
func (g *Gateway) UpdateOrganisation(ctx context.Context, a Actor, o Organisation, in Body[OrganisationInput]) (Organisation, error) {
	if err := a.May(ActOperate); err != nil {
		return Organisation{}, err
	}
	f := startFaults(in.Faults)
	judgeOrganisation(&f, o, in.Value)
	if err := f.err(); err != nil {
		return Organisation{}, err
	}
	return g.changeOrganisation(ctx, a, o.ID, "organisation.updated", func(present *Organisation) {
		*present = judgeOrganisation(&faults{}, *present, in.Value)
	})
}

// changeOrganisation edits the present state under its next revision, again when somebody else came in between.
func (g *Gateway) changeOrganisation(ctx context.Context, a Actor, id, action string, edit func(*Organisation)) (Organisation, error) {
	for range saveTries {
		before, err := g.organisation(ctx, id)
		if err != nil {
			return Organisation{}, err
		}
		o := before
		edit(&o)
		o.Revision, o.UpdatedAt = before.Revision+1, g.now()
		entry := AuditEntry{Organisation: id, Action: action, Object: id, Revision: o.Revision, Changes: organisationChanges(&before, &o)}
		err = g.change(ctx, a, entry, func() error { return g.Store.ReplaceOrganisation(ctx, o, before.Revision) })
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return Organisation{}, away(fmt.Errorf("saving organisation %s: %w", id, err))
		}
		return o, nil
	}
	return Organisation{}, Refuse(Conflict, "organisation %s is being changed by others, try again", id)
}

// actionOrganisationDeleted is the action of an organisation's last entry.
const actionOrganisationDeleted = "organisation.deleted"

// DeleteOrganisation begins to erase all that an organisation has but its audit: it is not found from now on, its keys
// are refused within two seconds, and a job removes the rest.
func (g *Gateway) DeleteOrganisation(ctx context.Context, a Actor, o Organisation) error {
	if err := a.May(ActOperate); err != nil {
		return err
	}
	// The job comes first, a little later: an organisation that is marked and that nobody erases must not be left.
	job := Job{ID: NewID(PrefixJob, g.Clock()), Kind: JobErase, Organisation: o.ID, Ref: o.ID, TurnAt: g.now().Add(eraseDelay)}
	if err := g.Store.InsertJob(ctx, job); err != nil {
		return away(fmt.Errorf("queueing the erasure of %s: %w", o.ID, err))
	}
	_, err := g.changeOrganisation(ctx, a, o.ID, actionOrganisationDeleted, func(present *Organisation) { present.Erasing = true })
	if err != nil {
		return err
	}
	g.snapshots.forget(o.ID) // here nothing is accepted for it any more; elsewhere a second later
	if err := g.Queue.EnqueueJob(ctx, job.ID); err != nil {
		g.Log.Debug("queueing an erasure", "organisation", o.ID, "error", err)
	}
	return nil
}

func organisationChanges(before, after *Organisation) []AuditChange {
	fields := func(o *Organisation) map[string]any {
		if o == nil {
			return nil
		}
		return map[string]any{"name": o.Name, "hosts": o.Hosts, "secretReadable": o.SecretReadable, "erasing": o.Erasing}
	}
	return changesBetween(fields(before), fields(after))
}

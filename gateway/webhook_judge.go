package gateway

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/unihook/unihook/gateway/retry"
	"github.com/unihook/unihook/gateway/sign"
	"github.com/unihook/unihook/mapping"
)

// Limits of a webhook; API.md has them.
const (
	maxEndpoints   = 100
	maxSelections  = 100
	maxDescription = 1000 // characters, of a webhook and of an endpoint
	maxAccounts    = 1000
	maxWebhooks    = 1000 // per organisation

	minTimeout, maxTimeout = 1, 60 // seconds
	minRate, maxRate       = 0.1, 1000
	maxQuarantineAfter     = 1_000_000
	defaultTimeout         = 30
)

// What retry.gone may be.
const (
	goneStops   = "stop"
	goneRetries = "retry"
)

// webhookJudge reads what a caller wrote into the webhook that comes of it, and gathers every fault.
type webhookJudge struct {
	g  *Gateway
	in WebhookInput
	faults
	// old is the webhook that is edited; nil in a create.
	old *Webhook
	// organisation is the owner; its zero value narrows nothing, where the owner is itself at fault.
	organisation Organisation
	// w starts as the old one, or as the defaults, and becomes the new one.
	w Webhook
	// newPlace is true when an endpoint leads where none of the old ones did.
	newPlace bool
	// newSecret is true when w.Signing.Secret was made or brought along here.
	newSecret bool
}

// newWebhook is what a create starts from.
func (g *Gateway) newWebhook(organisation string) Webhook {
	return Webhook{
		Organisation: organisation, Status: g.DefaultStatus, Payload: PayloadEvent, TimeoutSeconds: defaultTimeout,
		Endpoints: []Endpoint{}, Events: []Selection{}, Accounts: []string{}, Mapping: []mapping.Rule{}, Headers: []Header{},
		Signing: Signing{Scheme: string(sign.Standard)}, Retry: Retry{Schedule: retry.Standard, Gone: goneStops},
		Quarantine: g.defaultQuarantine(),
	}
}

func (g *Gateway) defaultQuarantine() Quarantine {
	return Quarantine{After: g.QuarantineAfter, For: retry.FormatDuration(g.QuarantineFor)}
}

// judge reads the whole input.
func (j *webhookJudge) judge(ctx context.Context) error {
	j.endpoints(ctx)
	j.texts()
	j.status()
	j.events()
	j.accounts()
	j.payload()
	j.rules()
	if err := j.signing(); err != nil {
		return err
	}
	j.headers()
	j.retry()
	j.quarantine()
	j.pace()
	return j.err()
}

// texts reads name and description. The name defaults to the first endpoint's host.
func (j *webhookJudge) texts() {
	if j.old == nil || j.in.Name.Set {
		j.w.Name = j.in.Name.Or("", "")
		if j.w.Name == "" && len(j.w.Endpoints) > 0 {
			host := hostOf(j.w.Endpoints[0].URL)
			j.w.Name = host[:min(len(host), maxName)] // a host that was accepted is ASCII
		}
		if n := utf8.RuneCountInString(j.w.Name); n > maxName {
			j.add("/name", "name_too_long", fmt.Sprintf("the name has %d characters, at most %d are allowed", n, maxName))
		}
	}
	j.w.Description = j.in.Description.Or(j.w.Description, "")
	j.checkDescription("/description", j.w.Description)
}

func (j *webhookJudge) checkDescription(pointer, text string) {
	if n := utf8.RuneCountInString(text); n > maxDescription {
		j.add(pointer, "description_too_long", fmt.Sprintf("the description has %d characters, at most %d are allowed", n, maxDescription))
	}
}

// status reads the customer's choice, which ends the gateway's own.
func (j *webhookJudge) status() {
	if !j.in.Status.Set {
		return
	}
	j.w.Status, j.w.StatusReason = WebhookStatus(j.in.Status.Or("", string(j.g.DefaultStatus))), ""
	if j.w.Status != Active && j.w.Status != Inactive {
		j.add("/status", "status_unknown", fmt.Sprintf("%.64q is not one of active and inactive", string(j.w.Status)))
	}
}

// accounts reads the accounts that narrow the events; one that is named twice counts once.
func (j *webhookJudge) accounts() {
	if !j.in.Accounts.Set {
		return
	}
	list := j.in.Accounts.Or(nil, nil)
	j.w.Accounts = []string{}
	if len(list) > maxAccounts {
		j.add("/accounts", "too_many", fmt.Sprintf("%d accounts are given, at most %d are allowed", len(list), maxAccounts))
		return
	}
	seen := map[string]bool{}
	for i, id := range list {
		checkAccount(&j.faults, fmt.Sprintf("/accounts/%d", i), id)
		if !seen[id] {
			j.w.Accounts = append(j.w.Accounts, id)
		}
		seen[id] = true
	}
}

func (j *webhookJudge) payload() {
	j.w.Payload = j.in.Payload.Or(j.w.Payload, PayloadEvent)
	checkPayload(&j.faults, "/payload", j.w.Payload)
}

// retry merges the schedule, which package retry judges.
func (j *webhookJudge) retry() {
	if !j.in.Retry.Set {
		return
	}
	in, r := j.in.Retry.Value, &j.w.Retry
	if j.in.Retry.Null {
		*r = Retry{Schedule: retry.Standard, Gone: goneStops}
		return
	}
	was := r.Schedule
	r.Schedule = in.Schedule.Or(r.Schedule, retry.Standard)
	if in.Delays.Set || was != r.Schedule {
		r.Delays = in.Delays.Or(nil, nil) // another schedule's delays do not outlive it
	}
	if in.Delays.Set && !in.Delays.Null && r.Delays == nil {
		r.Delays = []string{}
	}
	for _, fault := range (retry.Schedule{Name: r.Schedule, Delays: retryDelays(r.Delays)}).Check() {
		pointer := "/retry/" + fault.Field
		if fault.Index >= 0 {
			pointer += fmt.Sprintf("/%d", fault.Index)
		}
		j.add(pointer, fault.Code, fault.Detail)
	}
	if r.Gone = in.Gone.Or(r.Gone, goneStops); r.Gone != goneStops && r.Gone != goneRetries {
		j.add("/retry/gone", "gone_unknown", fmt.Sprintf("%.64q is not one of stop and retry", r.Gone))
	}
}

// retryDelays keeps the difference between no delays and none given.
func retryDelays(texts []string) []retry.Delay {
	if texts == nil {
		return nil
	}
	delays := make([]retry.Delay, len(texts))
	for i, text := range texts {
		delays[i] = retry.Delay(text)
	}
	return delays
}

func (j *webhookJudge) quarantine() {
	if !j.in.Quarantine.Set {
		return
	}
	in, q, standard := j.in.Quarantine.Value, &j.w.Quarantine, j.g.defaultQuarantine()
	if j.in.Quarantine.Null {
		*q = standard
		return
	}
	if q.After = in.After.Or(q.After, standard.After); q.After < 0 || q.After > maxQuarantineAfter {
		j.add("/quarantine/after", "out_of_range", fmt.Sprintf("%d is not between 0 (never) and %d", q.After, maxQuarantineAfter))
	}
	q.For = in.For.Or(q.For, standard.For)
	switch length, err := retry.ParseDuration(q.For); {
	case err != nil:
		j.add("/quarantine/for", "duration_malformed", err.Error())
	case length <= 0 || length > retry.MaxDelay:
		j.add("/quarantine/for", "out_of_range", fmt.Sprintf("%s is not more than 0s and at most %s", q.For, retry.FormatDuration(retry.MaxDelay)))
	}
}

// pace reads timeout, rate and order.
func (j *webhookJudge) pace() {
	w := &j.w
	if w.TimeoutSeconds = j.in.TimeoutSeconds.Or(w.TimeoutSeconds, defaultTimeout); w.TimeoutSeconds < minTimeout || w.TimeoutSeconds > maxTimeout {
		j.add("/timeoutSeconds", "out_of_range", fmt.Sprintf("%d is not between %d and %d", w.TimeoutSeconds, minTimeout, maxTimeout))
	}
	if j.in.RateLimit.Set {
		w.RateLimit = nil
		if rate := j.in.RateLimit.Value; !j.in.RateLimit.Null {
			w.RateLimit = &rate
			if !(rate >= minRate && rate <= maxRate) {
				j.add("/rateLimit", "out_of_range", fmt.Sprintf("%v is not between %v and %v requests a second", rate, minRate, maxRate))
			}
		}
	}
	w.Ordered = j.in.Ordered.Or(w.Ordered, false)
}

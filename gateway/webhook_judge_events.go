package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/unihook/unihook/mapping"
)

// every stands for every product, or every type of one.
const every = "*"

// events reads the selections but for their mappings, which rules reads.
func (j *webhookJudge) events() {
	in := j.in.Events
	if !in.Set && j.old != nil {
		return
	}
	if len(in.Value) == 0 {
		j.add("/events", "required", "a webhook selects at least one event")
		return
	}
	if len(in.Value) > maxSelections {
		j.add("/events", "too_many", fmt.Sprintf("%d selections are given, at most %d are allowed", len(in.Value), maxSelections))
		return
	}
	j.w.Events = make([]Selection, len(in.Value))
	seen := map[[2]string]bool{}
	for i, given := range in.Value {
		pointer := "/events/" + strconv.Itoa(i)
		j.require(pointer+"/product", given.Product.Set && !given.Product.Null)
		j.require(pointer+"/type", given.Type.Set && !given.Type.Null)
		s := Selection{Product: given.Product.Value, Type: given.Type.Value}
		j.w.Events[i] = s
		if s.Product == "" || s.Type == "" {
			j.checkPair(pointer, s)
			continue
		}
		if pair := [2]string{s.Product, s.Type}; seen[pair] {
			j.add(pointer, "selection_repeated", fmt.Sprintf("%.64q of %.64q is selected twice", s.Type, s.Product))
		} else {
			seen[pair] = true
			j.checkPair(pointer, s)
		}
	}
}

// checkPair holds a selection to the catalogue.
func (j *webhookJudge) checkPair(pointer string, s Selection) {
	if s.Product == every {
		if s.Type != every && s.Type != "" {
			j.add(pointer+"/type", "type_unexpected", `with the product "*" the type is "*" too`)
		}
		return
	}
	if _, ok := j.g.Catalogue.Product(s.Product); !ok {
		j.add(pointer+"/product", "product_unknown", fmt.Sprintf("%.64q is not a product of the catalogue", s.Product))
		return
	}
	if s.Type != every && !j.g.Catalogue.Has(s.Product, s.Type) {
		j.add(pointer+"/type", "type_unknown", fmt.Sprintf("%.64q is not an event type of %s", s.Type, s.Product))
	}
}

// rules reads the webhook's mapping and each selection's, and judges the two together: they are one rule set.
func (j *webhookJudge) rules() {
	base, sound := j.parseRules("/mapping", j.in.Mapping, j.w.Mapping)
	j.w.Mapping = base
	if sound {
		j.checkSignature("/mapping", base, nil)
	}
	j.w.Events = slices.Clone(j.w.Events) // they are still the old webhook's where the caller gives none
	for i := range j.w.Events {
		selection, pointer := &j.w.Events[i], "/events/"+strconv.Itoa(i)+"/mapping"
		given := Optional[RawJSON]{}
		if j.in.Events.Set && i < len(j.in.Events.Value) {
			given = j.in.Events.Value[i].Mapping
		}
		own, ok := j.parseRules(pointer, given, selection.Mapping)
		selection.Mapping = own
		if sound && ok && len(own) > 0 {
			j.checkTogether(i, base, own)
		}
	}
}

// parseRules reads rules that stand at pointer; absent keeps the present ones.
func (j *webhookJudge) parseRules(pointer string, in Optional[RawJSON], present []mapping.Rule) (rules []mapping.Rule, sound bool) {
	switch {
	case !in.Set:
		return present, true
	case in.Null:
		return []mapping.Rule{}, true
	}
	rules, err := mapping.ParseRules(in.Value)
	if err != nil {
		addRuleFaults(&j.faults, err, func(i int) string { return pointer + "/" + strconv.Itoa(i) }, pointer)
		return []mapping.Rule{}, false
	}
	if rules == nil {
		rules = []mapping.Rule{}
	}
	return rules, true
}

// checkTogether judges the webhook's rules with those of the i-th selection. A fault is pointed at where the caller
// wrote: at the webhook's mapping when the selections are as they were.
func (j *webhookJudge) checkTogether(i int, base, own []mapping.Rule) {
	list := "/events/" + strconv.Itoa(i) + "/mapping"
	if !j.in.Events.Set {
		list = "/mapping"
	}
	rules := slices.Concat(base, own)
	_, err := mapping.Compile(rules)
	if err == nil {
		j.checkSignature(list, rules, base)
		return
	}
	var refused *mapping.RulesError
	if errors.As(err, &refused) && !j.in.Events.Set {
		for k := range refused.Faults {
			if refused.Faults[k].Rule >= len(base) {
				refused.Faults[k].Detail += fmt.Sprintf(" (of the selection %d)", i)
				refused.Faults[k].Rule = mapping.WholeList
			}
		}
	}
	addRuleFaults(&j.faults, err, func(k int) string {
		if k < len(base) {
			return "/mapping/" + strconv.Itoa(k)
		}
		return list + "/" + strconv.Itoa(k-len(base))
	}, list)
}

// checkSignature refuses rules that touch what signs a unified body. Those among the first rules, judged before, are
// not told again.
func (j *webhookJudge) checkSignature(list string, rules, judged []mapping.Rule) {
	if j.w.Payload != PayloadUnified {
		return
	}
	if !j.in.Mapping.Set && !j.in.Events.Set && j.old != nil {
		list = "/payload" // the rules are as they were: what changed is what they apply to
	}
	const detail = "no rule may touch nonce and sig: they sign the body"
	told := false
	for i, rule := range rules {
		m, err := mapping.Compile([]mapping.Rule{rule})
		if rule.Op == mapping.OpKeep || err != nil || !m.Touches("nonce") && !m.Touches("sig") {
			continue
		}
		if told = true; i < len(judged) {
			continue
		}
		pointer := list
		if list != "/payload" {
			pointer += "/" + strconv.Itoa(i-len(judged))
		}
		j.add(pointer, "signature_touched", detail)
	}
	if m, err := mapping.Compile(rules); !told && err == nil && (m.Touches("nonce") || m.Touches("sig")) {
		j.add(list, "signature_touched", detail+"; keep them both")
	}
}

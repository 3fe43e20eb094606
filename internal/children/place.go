package children

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/match"
	"irthub/internal/standard"
)

// narrowKeys are those of the submissions.
func (w *write) narrowKeys(which []int) (keys []uint64) {
	for _, i := range which {
		narrow, _ := match.Split(w.subs[i].keys)
		keys = append(keys, narrow...)
	}
	return keys
}

// readBlocks reads who is in the narrow blocks of the submissions, where enter has
// not.
func (w *write) readBlocks(ctx context.Context, pending []int) error {
	w.index = newBlocks()
	return w.index.read(ctx, w.from, w.narrowKeys(pending))
}

// findCandidates reads, for the whole batch, every child that the narrow keys of the
// submissions bring, with all its records; and then, for the submissions that those do
// not link, the likeliest that share broad keys.
func (w *write) findCandidates(ctx context.Context, pending []int) error {
	w.members, w.used = map[uuid.UUID][]*record{}, map[uuid.UUID][]*record{}
	w.shielded = map[uuid.UUID]bool{}
	wanted := map[uuid.UUID]bool{}
	for _, r := range w.existing {
		wanted[r.childID] = true
	}
	for _, i := range pending {
		for _, b := range w.bonds[w.subs[i].id] {
			if b.kind == sameChild {
				wanted[b.child] = true
			}
		}
	}
	var near []uuid.UUID
	for _, i := range pending {
		records, _ := w.index.nearest(w.subs[i].keys, w.subs[i].id)
		near = append(near, records...)
	}
	slices.SortFunc(near, compareIDs)
	if err := w.readMembers(ctx, slices.Compact(near), sorted(wanted)); err != nil {
		return err
	}
	var unsure []*submission
	for _, i := range pending {
		sub := w.subs[i]
		if _, broad := match.Split(sub.keys); len(broad) == 0 {
			continue
		}
		if w.decide(sub, false).Band != match.BandLink {
			unsure = append(unsure, sub)
		}
	}
	likeliest, err := w.index.readBroad(ctx, w.from, unsure)
	if err != nil {
		return err
	}
	return w.readMembers(ctx, likeliest, nil)
}

// readMembers reads the records of the children that some records are of, and of some
// children, where they are not read yet.
func (w *write) readMembers(ctx context.Context, of, children []uuid.UUID) error {
	of = slices.DeleteFunc(of, func(record uuid.UUID) bool { _, known := w.index.child[record]; return known })
	c, err := readCandidates(ctx, w.from, of, children)
	if err != nil {
		return err
	}
	w.index.know(c.members)
	for id, records := range c.members {
		if _, read := w.members[id]; !read {
			w.members[id], w.used[id] = records, slices.Clone(records)
		}
	}
	maps.Copy(w.shielded, c.shielded)
	return nil
}

// membersQuery reads the active records of the children $1.
var membersQuery = `
	SELECT ` + recordList + `
	FROM unnest($1::uuid[]) AS q(wanted_id)
	CROSS JOIN LATERAL (
		SELECT ` + recordList + ` FROM child_records WHERE child_id = q.wanted_id AND state = 1
		ORDER BY record_id OFFSET 0) r`

// findMembers reads the active records of the children.
func findMembers(ctx context.Context, q querier, wanted map[uuid.UUID]bool) (map[uuid.UUID][]*record, error) {
	members := make(map[uuid.UUID][]*record, len(wanted))
	if len(wanted) == 0 {
		return members, nil
	}
	ids := sorted(wanted)
	records, err := queryRecords(ctx, q, membersQuery, uuids(ids))
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		members[r.childID] = append(members[r.childID], r)
	}
	return members, nil
}

// review is a pair for a person to decide.
type review struct {
	record    *record
	candidate uuid.UUID
	match     *irtv1.MatchExplanation
	risk      risk
}

// id is derived from the pair, so that one pair is one review however often it
// comes up.
func (r *review) id() uuid.UUID {
	return standard.ReviewID(r.record.id, r.candidate)
}

// match finds the child of a record that is new or says something new about
// the person, and returns why.
func (w *write) match(ctx context.Context, sub *submission, old, fresh *record) (*irtv1.MatchExplanation, error) {
	found := w.decide(sub, false)
	if _, broad := match.Split(sub.keys); found.Band != match.BandLink && len(broad) > 0 {
		found = w.decide(sub, true)
	}
	d := &found.Decision
	err := w.heed(ctx, d)
	if err != nil {
		return nil, err
	}
	asked := *d
	stays := w.stays(sub, old)
	with, confirmed := w.confirmed(sub)
	switch {
	case confirmed:
		// What is told, and kept, is how it is like the child that it is put to, which
		// matching may not have found, and not how it is like the one that matching chose.
		there := w.compare(sub, without(w.members[with], sub.id))
		found.Decision, found.against = there.Decision, there.against
		d.Band, d.Rule = match.BandLink, ruleConfirmed
		err = w.bring(ctx, old, fresh, with)
	case stays && d.Band != match.BandLink:
		fresh.childID = old.childID
	case stays && uuid.UUID(d.Child) != old.childID && len(without(w.members[old.childID], sub.id)) > 0:
		// It still agrees with its own child's other records: two children that
		// look alike are for a person to merge.
		fresh.childID = old.childID
		d.Band = match.BandReview
	case d.Band == match.BandLink:
		err = w.bring(ctx, old, fresh, d.Child)
	default:
		err = w.bring(ctx, old, fresh, uuid.Nil)
	}
	if err != nil {
		return nil, err
	}
	why := explain(d, w.model.Version, sub.explain)
	why.Narrowed = found.narrowed
	fresh.matched = matched{
		decision: why.GetDecision(), probability: float32(why.GetProbability()),
		weight: float32(why.GetWeight()), rule: why.GetRuleId(), model: why.GetModelVersion(),
		evidence: encodeEvidence(d, found.against),
	}
	w.raise(&asked, fresh)
	return why, nil
}

// heed keeps a record from being linked to either of two children whom it fits
// equally and whom a person found to be two: which of them it is, is for a person
// too. Of two whom it does not fit equally nobody is asked again.
func (w *write) heed(ctx context.Context, d *match.Decision) error {
	if !d.RunnerUp.Fits || d.Band != match.BandLink {
		return nil
	}
	apart, err := heldApart(ctx, w.from, w.members[uuid.UUID(d.Child)], w.members[uuid.UUID(d.RunnerUp.Child)])
	if err != nil || !apart {
		return err
	}
	if !d.SuspectedDuplicate {
		d.RunnerUp.Fits = false
		return nil
	}
	d.Band, d.Rule, d.SuspectedDuplicate = match.BandReview, match.RuleAmbiguous, false
	return nil
}

// raise asks people about the children that the record fits and does not stand under,
// whoever or whatever put it where it stands.
func (w *write) raise(d *match.Decision, fresh *record) {
	if d.Band != match.BandNew {
		w.ask(fresh, d.Child, &match.Decision{Band: match.BandReview, Rule: d.Rule, Result: d.Result})
	}
	if second := &d.RunnerUp; second.Fits {
		w.ask(fresh, second.Child, &match.Decision{Band: match.BandReview, Rule: second.Rule, Result: second.Result})
	}
}

// ask puts the pair of a record and a child into the queue.
func (w *write) ask(fresh *record, candidate uuid.UUID, why *match.Decision) {
	if candidate == fresh.childID {
		return
	}
	w.reviews = append(w.reviews, review{record: fresh, candidate: candidate, match: explain(why, w.model.Version, true), risk: riskOf(why)})
}

// finding is a decision with what it rests on.
type finding struct {
	match.Decision

	against  uuid.UUID // the nearest record of the child that gave the evidence
	narrowed bool
}

// decide compares a submission with the children that share a narrow key with
// it, and where broad is set also with those that share a broad one.
func (w *write) decide(sub *submission, broad bool) finding {
	keys := sub.keys
	if !broad {
		keys, _ = match.Split(keys)
	}
	ids, narrowed := w.index.children(keys, sub.id)
	var members []*record
	for _, id := range ids {
		for _, r := range w.members[id] {
			if r.id != sub.id && w.meets(sub, r) {
				members = append(members, r)
			}
		}
	}
	f := w.compare(sub, members)
	f.narrowed = narrowed
	return f
}

// compare decides about a submission as if there were no records but those.
func (w *write) compare(sub *submission, members []*record) finding {
	candidates := make([]match.Candidate, len(members))
	for i, r := range members {
		candidates[i] = w.candidate(sub, r)
	}
	f := finding{Decision: w.model.Decide(&sub.features, candidates)}
	if f.Member >= 0 {
		f.against = members[f.Member].id
	}
	return f
}

// meets tells whether a submission may be compared with a record that its blocking
// keys bring. What other agencies said of a shielded child is met, and
// compared, only by who the child is: otherwise whoever sends guesses would be told
// by the outcome which address was right.
func (w *write) meets(sub *submission, r *record) bool {
	return !w.hides(sub, r) || w.index.meet(sub.keys, sub.id, r, sub.blindKeys())
}

// hides tells whether a record says of a shielded child what the submission's agency
// did not say itself.
func (w *write) hides(sub *submission, r *record) bool {
	return w.shielded[r.childID] && r.agency != sub.agency
}

// candidate is a record to compare with a submission, with what a person decided
// about the two.
func (w *write) candidate(sub *submission, r *record) match.Candidate {
	features := r.features()
	if w.hides(sub, r) {
		features = r.blindFeatures()
	}
	return match.Candidate{Child: match.ChildKey(r.childID), Features: features, DoNotMatch: w.bonds.apart(sub.id, r.id)}
}

// stays tells whether a changed record may stay where it is: it is alone there,
// or its own child's other records do not speak against it.
func (w *write) stays(sub *submission, old *record) bool {
	if old == nil {
		return false
	}
	others := without(w.members[old.childID], sub.id)
	return len(others) == 0 || w.compare(sub, others).Band != match.BandNew
}

// bring puts a record under a child; where that is Nil, under one of its own. An old
// child that nobody else speaks of becomes one with the new one, and its name leads
// there from now on.
func (w *write) bring(ctx context.Context, old, fresh *record, to uuid.UUID) error {
	var alone bool
	var former uuid.UUID
	if old != nil && old.childID != to {
		others := without(w.members[old.childID], fresh.id)
		if alone = len(others) == 0; !alone {
			var err error
			if former, err = w.parting(ctx, old, others); err != nil {
				return err
			}
		}
	}
	switch {
	case to != uuid.Nil:
		if former != uuid.Nil && former != to {
			w.merged[former] = to
		}
	case former != uuid.Nil:
		to = former
	default:
		to = standard.NewChildID()
		w.created[to] = true
	}
	fresh.childID = to
	if old == nil || old.childID == to {
		return nil
	}
	if alone {
		w.merged[old.childID] = to
	}
	if former != uuid.Nil {
		w.formers[former], w.touched[former] = old.childID, true
	}
	w.moves = append(w.moves, move{record: fresh.id, from: old.childID, to: to, whole: alone})
	w.movedFrom[fresh.id] = old.childID
	return nil
}

// explain puts a decision into the standard's words.
func explain(d *match.Decision, model string, fields bool) *irtv1.MatchExplanation {
	why := &irtv1.MatchExplanation{
		Decision: bandDecision[d.Band], Probability: d.Result.Probability, Weight: d.Result.Weight,
		RuleId: strings.ToUpper(d.Rule), ModelVersion: model,
	}
	if fields && len(d.Result.Fields) > 0 {
		why.FieldWeights = append(why.FieldWeights, &irtv1.MatchFieldWeight{Field: priorField, Level: priorField, Weight: d.Result.PriorWeight})
		for _, f := range d.Result.Fields {
			why.FieldWeights = append(why.FieldWeights, &irtv1.MatchFieldWeight{Field: f.Field, Level: f.Level, Weight: f.Weight})
		}
	}
	return why
}

var bandDecision = map[match.Band]irtv1.MatchDecision{
	match.BandLink:   irtv1.MatchDecision_MATCH_DECISION_LINK,
	match.BandReview: irtv1.MatchDecision_MATCH_DECISION_REVIEW,
	match.BandNew:    irtv1.MatchDecision_MATCH_DECISION_NEW,
}

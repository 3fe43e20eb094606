package children

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/match"
	"irthub/internal/sharing"
)

// found are the children that may be meant by what is sought, as far as an asker
// may find them.
type found struct {
	ids      []uuid.UUID
	members  map[uuid.UUID][]*record
	narrowed bool
	sought   match.Features
	// blind is what is sought without all that tells where a child is or how it is
	// reached. Children among hidden are found and scored by that alone.
	blind  match.Features
	hidden map[uuid.UUID]bool
}

// find looks for a person, of whom self is the record, or Nil. A shielded child is
// neither found nor scored by where it is: the finding itself would tell.
func (s *Service) find(ctx context.Context, a agencies.Asker, p match.Person, self uuid.UUID) (*found, error) {
	f := &found{sought: match.Prepare(p), blind: match.Prepare(withoutWhereabouts(p)), hidden: map[uuid.UUID]bool{}}
	// By narrow keys alone: what broad ones bring depends on where a child lives.
	keys, _ := match.Split(match.Keys(&f.sought))
	n, err := s.candidates(ctx, keys, self)
	if err != nil || len(n.ids) == 0 {
		return f, err
	}
	f.members, f.narrowed = n.members, n.narrowed
	standings, err := Standings(ctx, s.pool, a, n.ids...)
	if err != nil {
		return nil, err
	}
	blindKeys, _ := match.Split(match.Keys(&f.blind))
	for _, id := range n.ids {
		standing := standings[id]
		if standing == nil { // merged away since
			continue
		}
		d := sharing.Decide(sharing.Find, standing.Facts(a))
		switch {
		case !d.Shows(irtv1.Category_CATEGORY_BASIC):
		case d.Shows(irtv1.Category_CATEGORY_LOCATION) && d.Shows(irtv1.Category_CATEGORY_CONTACT):
			f.ids = append(f.ids, id)
		case slices.ContainsFunc(n.members[id], func(r *record) bool { return n.index.meet(keys, self, r, blindKeys) }):
			f.ids, f.hidden[id] = append(f.ids, id), true
		}
	}
	return f, nil
}

// withoutWhereabouts is a person without all that tells where the person is, or how
// the person is reached.
func withoutWhereabouts(p match.Person) match.Person {
	p.Postcode, p.AddressLines, p.Telephones, p.Emails = "", nil, nil, nil
	return p
}

// blindFeatures are what matching may look at in a record of a shielded child.
func (r *record) blindFeatures() *match.Features {
	f := match.Prepare(withoutWhereabouts(personOf(r.person)))
	return &f
}

// blindKeys are the blocking keys of what is submitted without where the child is.
func (s *submission) blindKeys() []uint64 {
	if s.blind == nil {
		f := match.Prepare(withoutWhereabouts(personOf(s.person)))
		s.blind = match.Keys(&f)
	}
	return s.blind
}

// shieldedAmong tells which children are shielded.
func shieldedAmong(ctx context.Context, db Querier, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	//nolint:rowserrcheck // ForEachRow does
	rows, err := db.Query(ctx, `SELECT child_id FROM child_sharing WHERE child_id = ANY($1::uuid[]) AND shielded`, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("children: asking which are shielded: %w", err)
	}
	shielded := map[uuid.UUID]bool{}
	var id [16]byte
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		shielded[id] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("children: asking which are shielded: %w", err)
	}
	return shielded, nil
}

// blunt takes the evidence out of an explanation: how well a guessed address fits a
// shielded child would tell the address.
func blunt(m *irtv1.MatchExplanation) {
	if m != nil {
		m.Probability, m.Weight, m.FieldWeights = 0, 0, nil
	}
}

// bluntAnswers does so for the answers to a batch of submissions.
func (s *Service) bluntAnswers(ctx context.Context, out []outcome) error {
	var ids []uuid.UUID
	for _, o := range out {
		if o.Value != nil && o.Value.match != nil && !o.Value.newborn {
			ids = append(ids, o.Value.record.childID)
		}
	}
	shielded, err := shieldedAmong(ctx, s.pool, ids)
	if err != nil {
		return err
	}
	for _, o := range out {
		if o.Value != nil && shielded[o.Value.record.childID] {
			blunt(o.Value.match)
		}
	}
	return nil
}

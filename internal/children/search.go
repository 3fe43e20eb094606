package children

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/match"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

const (
	searchDefault = 20
	searchMost    = 50
	// searchFloor is the least score shown: below it a child agrees with what is
	// asked no better than its siblings do.
	searchFloor = 0.6
)

// LookupChild implements irtv1.ChildServiceServer.
func (s *Service) LookupChild(ctx context.Context, req *irtv1.LookupChildRequest) (*irtv1.Child, error) {
	id, err := s.identified(ctx, req)
	if err != nil {
		return nil, err
	}
	return s.show(ctx, id)
}

func (s *Service) identified(ctx context.Context, req *irtv1.LookupChildRequest) (uuid.UUID, error) {
	switch by := req.GetIdentifier().(type) {
	case *irtv1.LookupChildRequest_NhsNumber:
		n := standard.NormaliseNHSNumber(by.NhsNumber)
		if !standard.ValidNHSNumber(n) {
			return uuid.Nil, rpc.Invalid([]standard.Fault{standard.FaultOf("NHS_NUMBER_CHECK_DIGIT", "nhs_number")})
		}
		return s.carrying(ctx, match.Person{NHSNumber: n}, func(r *irtv1.ChildRecord) bool { return r.GetNhsNumber() == n })
	case *irtv1.LookupChildRequest_Upn:
		u := standard.NormaliseUPN(by.Upn)
		return s.carrying(ctx, match.Person{UPN: u}, func(r *irtv1.ChildRecord) bool { return r.GetUpn() == u })
	case *irtv1.LookupChildRequest_ChildRecord:
		r, err := s.ownRecord(ctx, by.ChildRecord)
		if err != nil {
			return uuid.Nil, err
		}
		if r.state != irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE {
			return uuid.Nil, rpc.NotFound("child record")
		}
		return r.childID, nil
	}
	return uuid.Nil, rpc.NotFound("child")
}

// carrying finds the one child with a record that carries an identifier. The
// identifier is a blocking key, so that it needs no index of its own.
func (s *Service) carrying(ctx context.Context, p match.Person, carries func(*irtv1.ChildRecord) bool) (uuid.UUID, error) {
	f := match.Prepare(p)
	near, err := s.candidates(ctx, match.Keys(&f), uuid.Nil)
	if err != nil {
		return uuid.Nil, err
	}
	var found []uuid.UUID
	for id, records := range near.members {
		if slices.ContainsFunc(records, func(r *record) bool { return carries(r.person) }) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return uuid.Nil, rpc.NotFound("child")
	case 1:
		return found[0], nil
	}
	return uuid.Nil, rpc.TooManyMatches("more than one child carries this identifier: ask the data manager to review them")
}

// near are the children that narrow blocking keys bring, the oldest first.
type near struct {
	index    blocks
	ids      []uuid.UUID
	members  map[uuid.UUID][]*record
	narrowed bool
}

// candidates reads the children that the narrow blocking keys of a record bring; self
// is the record, or Nil.
func (s *Service) candidates(ctx context.Context, keys []uint64, self uuid.UUID) (*near, error) {
	n := &near{index: newBlocks()}
	if err := n.index.read(ctx, s.pool, keys); err != nil {
		return nil, err
	}
	records, _ := n.index.nearest(keys, self)
	c, err := readCandidates(ctx, s.pool, records, nil)
	if err != nil {
		return nil, err
	}
	n.index.know(c.members)
	n.members = c.members
	n.ids, n.narrowed = n.index.children(keys, self)
	return n, nil
}

// SearchChildren implements irtv1.ChildServiceServer.
func (s *Service) SearchChildren(ctx context.Context, req *irtv1.SearchChildrenRequest) (*irtv1.SearchChildrenResponse, error) {
	if err := enoughCriteria(req); err != nil {
		return nil, err
	}
	hits, err := s.search(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(hits) > searchMost {
		return nil, rpc.TooManyMatches("more than 50 children fit: add given name, sex or postcode")
	}
	hits = hits[:min(len(hits), int(rpc.PageSize(req.GetPageSize(), searchDefault, searchMost)))]
	return s.searchResults(ctx, hits)
}

// enoughCriteria keeps a search from becoming a way to browse: the least sets of
// criteria are those of the NHS Personal Demographics Service.
func enoughCriteria(req *irtv1.SearchChildrenRequest) error {
	born := req.GetDateOfBirth() != ""
	if born && req.GetFamilyName() != "" {
		return nil
	}
	if born && req.GetGivenName() != "" && req.GetSex() != "" && req.GetPostcode() != "" {
		return nil
	}
	return rpc.InsufficientCriteria()
}

// withoutPostcode is what a shielded child may be found by.
func withoutPostcode(req *irtv1.SearchChildrenRequest) *irtv1.SearchChildrenRequest {
	blind := proto.CloneOf(req)
	blind.Postcode = ""
	return blind
}

type hit struct {
	child uuid.UUID
	score float64
}

func (s *Service) search(ctx context.Context, req *irtv1.SearchChildrenRequest) ([]hit, error) {
	f, err := s.find(ctx, s.directory.Asker(ctx), match.Person{
		GivenName: req.GetGivenName(), FamilyName: req.GetFamilyName(), DateOfBirth: req.GetDateOfBirth(),
		Sex: req.GetSex(), Postcode: req.GetPostcode(),
	}, uuid.Nil)
	if err != nil {
		return nil, err
	}
	blindEnough := enoughCriteria(withoutPostcode(req)) == nil
	m := s.model()
	exact, blindExact := evidenceOf(m, &f.sought, &f.sought), evidenceOf(m, &f.blind, &f.blind)
	var hits []hit
	for _, id := range f.ids {
		sought, most := &f.sought, exact
		if f.hidden[id] {
			if !blindEnough {
				continue
			}
			sought, most = &f.blind, blindExact
		}
		best := 0.0
		for _, r := range f.members[id] {
			best = max(best, evidenceOf(m, sought, r.features())/most)
		}
		if best >= searchFloor {
			hits = append(hits, hit{id, min(best, 1)})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if c := cmp.Compare(b.score, a.score); c != 0 {
			return c
		}
		return bytes.Compare(a.child[:], b.child[:])
	})
	return hits, nil
}

// evidenceOf is what the fields say in sum, without the prior: what is sought
// compared with itself gives the most there can be.
func evidenceOf(m *match.Model, a, b *match.Features) float64 {
	r := m.Explain(a, b)
	return r.Weight - r.PriorWeight
}

func (s *Service) searchResults(ctx context.Context, hits []hit) (*irtv1.SearchChildrenResponse, error) {
	access, asker := audit.FromContext(ctx), s.directory.Asker(ctx)
	out := &irtv1.SearchChildrenResponse{Results: make([]*irtv1.SearchResult, 0, len(hits))}
	if len(hits) == 0 {
		return out, nil
	}
	asked := make([]wanted, len(hits))
	for i, h := range hits {
		asked[i] = wanted{h.child, asker.Agency}
	}
	views, err := s.read(ctx, asked)
	if err != nil {
		return nil, err
	}
	for i, v := range views {
		if v.Err != nil { // merged away since it was found
			continue
		}
		v.Value.listed = true
		d := sharing.Decide(sharing.See, v.Value.facts(asker))
		if !d.ShowsChild() {
			continue
		}
		child, err := s.message(ctx, asker, v.Value, d)
		if err != nil {
			return nil, err
		}
		access.AddChild(v.Value.entry.id)
		access.AddReturned(child.GetName())
		result := &irtv1.SearchResult{Child: child, Score: hits[i].score}
		redact.Pass(ctx, result)
		out.Results = append(out.Results, result)
	}
	return out, nil
}

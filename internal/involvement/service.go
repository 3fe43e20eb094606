// Package involvement says who is working with a child: which agency, which
// practitioner, in what role, since when, and how they are reached; and which of
// them is the lead professional. It keeps two times: the period in which an
// involvement holds, and what the hub knew of it when.
package involvement

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// Service is irt.v1.InvolvementService.
type Service struct {
	irtv1.UnimplementedInvolvementServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	access    *audit.Writer
	today     func() time.Time

	writer    *batch.Batcher[*change, *answer]
	rehearser *batch.Batcher[*change, *answer]
	reader    *batch.Batcher[wanted, *listing]
	leads     *children.Lister[*term]
}

// New starts the service's write pipeline, that of rehearsals and read coalescer, which
// use up to two connections each; Close ends them.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, access *audit.Writer) *Service {
	s := &Service{pool: pool, directory: directory, tokens: tokens, access: access, today: standard.Today}
	s.writer = batch.NewFair(batch.Options{
		Name: "involvements", RetrySingly: true, Hopeless: pg.Unavailable,
	}, laneOf, s.run)
	s.rehearser = batch.NewFair(children.Rehearsals("involvements"), laneOf, s.rehearse)
	s.reader = batch.New(batch.Options{Name: "involvement reads", Hopeless: pg.Unavailable}, s.read)
	s.leads = children.NewLister(pool, "lead professionals", termsNowSQL, nil, children.Scans(scanTerm))
	return s
}

// laneOf is where a change queues: every agency has a turn in every batch.
func laneOf(c *change) batch.Lane { return batch.Lane{Key: c.caller.Agency, Bulk: c.bulk} }

// Pipelines are what the service's batchers have done.
func (s *Service) Pipelines() []batch.Stats {
	return append([]batch.Stats{s.writer.Stats(), s.rehearser.Stats(), s.reader.Stats()}, s.leads.Pipelines()...)
}

// Close writes what was accepted and refuses what comes after.
func (s *Service) Close(ctx context.Context) error {
	return errors.Join(s.writer.Close(ctx), s.rehearser.Close(ctx), s.reader.Close(ctx), s.leads.Close(ctx))
}

// sensitive tells whether an involvement is withheld from other agencies: by
// itself, or because its agency has become a sensitive service since.
func (s *Service) sensitive(v *version) bool {
	a, _ := s.directory.Get(v.agency)
	return v.sensitive || a.Sensitive
}

// SubmitInvolvement implements irt.v1.InvolvementService.
func (s *Service) SubmitInvolvement(ctx context.Context, req *irtv1.SubmitInvolvementRequest) (*irtv1.Involvement, error) {
	c, err := s.admit(ctx, req.GetInvolvement())
	if err != nil {
		return nil, err
	}
	if req.GetValidateOnly() {
		a, err := s.rehearser.TryDo(ctx, c)
		if err != nil {
			return nil, err
		}
		audit.FromContext(ctx).AddChild(a.shown.childID)
		return s.written(ctx, &a.shown)
	}
	a, err := s.write(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.written(ctx, &a.shown)
}

// admit is what an involvement passes before it may enter the pipeline: whose it
// is, whether it is in the standard's form, and what it refers to.
func (s *Service) admit(ctx context.Context, given *irtv1.Involvement) (*change, error) {
	agency, localID, ok := parseName(given.GetName())
	if !ok { // there is no agency to ask about; the check says what is wrong with the name
		return nil, rpc.Invalid(nameFaults(given))
	}
	c := s.newChange(ctx, agency, localID, given.GetEtag())
	if !sharing.MayWrite(c.caller, agency) {
		return nil, rpc.Denied()
	}
	facts, found, err := s.directory.Find(ctx, agency)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, rpc.NotFound("agency")
	}
	inv := proto.CloneOf(given)
	standard.NormaliseInvolvement(inv)
	inv.Sensitive = inv.GetSensitive() || facts.Sensitive
	if inv.GetSensitive() && !sharing.SensitiveVisible(c.caller, agency) {
		return nil, rpc.Denied()
	}
	if c.submit, err = submissionOf(inv, agency); err == nil {
		c.submit.imported = rpc.IsImport(ctx)
	}
	return c, err
}

// nameFaults are those of an involvement whose name is not one.
func nameFaults(given *irtv1.Involvement) []standard.Fault {
	faults, _ := standard.Check(&irtv1.SubmitInvolvementRequest{Involvement: &irtv1.Involvement{Name: given.GetName()}}, standard.Options{})
	var named []standard.Fault
	for _, f := range faults {
		if f.Field == "involvement.name" {
			named = append(named, f)
		}
	}
	if len(named) == 0 {
		named = []standard.Fault{{
			Field: "involvement.name", RuleID: "REQUIRED", Description: "The name is missing.",
			Action: "Send agencies/{agency}/involvements/{local_id}.",
		}}
	}
	return named
}

func (s *Service) newChange(ctx context.Context, agency, localID, etag string) *change {
	return &change{
		id: standard.InvolvementID(agency, localID), agency: agency, localID: localID,
		caller: identity.FromContext(ctx), access: audit.FromContext(ctx),
		fits: func(present string) error { return rpc.CheckEtag(ctx, etag, present) },
	}
}

// submissionOf checks an involvement and takes from it what is stored.
func submissionOf(inv *irtv1.Involvement, agency string) (*submission, error) {
	faults, _ := standard.Check(&irtv1.SubmitInvolvementRequest{Involvement: inv}, standard.Options{})
	sub := &submission{role: inv.GetRole(), sensitive: inv.GetSensitive(), basis: inv.GetSensitiveBasis()}
	if name := inv.GetChildRecord(); name != "" {
		owner, localID, ok := parseRecordName(name)
		if !ok || owner != agency {
			faults = append(faults, recordForeign)
		}
		sub.recordID, sub.recordLocalID = standard.RecordID(owner, localID), localID
	}
	if name := inv.GetPractitioner(); name != "" {
		owner, id, ok := agencies.ParsePractitionerName(name)
		if !ok || owner != agency {
			faults = append(faults, practitionerForeign)
		}
		sub.practitioner = id
	}
	if len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	sub.start, _ = parseDay(inv.GetStartDate()) // which the check has found to be days
	sub.end, _ = parseDay(inv.GetEndDate())
	if inv.GetChild() != "" {
		child, err := rpc.ParseChildName(inv.GetChild())
		if err != nil {
			return nil, err
		}
		sub.child = child
	}
	return sub, nil
}

// parseDay reads a date of the standard; "" is the zero time.
func parseDay(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return standard.ParseDate(s)
}

// write puts a change through the pipeline, or refuses it at once where too much
// is waiting. The pipeline records the access.
func (s *Service) write(ctx context.Context, c *change) (*answer, error) {
	a, err := s.writer.TryDo(ctx, c)
	if err != nil {
		return nil, err
	}
	c.access.Recorded()
	return a, nil
}

// EndInvolvement implements irt.v1.InvolvementService.
func (s *Service) EndInvolvement(ctx context.Context, req *irtv1.EndInvolvementRequest) (*irtv1.Involvement, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("involvement")
	}
	c := s.newChange(ctx, agency, localID, req.GetEtag())
	if !sharing.MayWrite(c.caller, agency) {
		return nil, rpc.Denied()
	}
	day, err := parseDay(req.GetEndDate())
	if err != nil {
		return nil, rpc.Invalid([]standard.Fault{ruleFault("DATE_INVALID", "end_date")})
	}
	c.end = &ending{day}
	a, err := s.write(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.written(ctx, &a.shown)
}

// GetInvolvement implements irt.v1.InvolvementService.
func (s *Service) GetInvolvement(ctx context.Context, req *irtv1.GetInvolvementRequest) (*irtv1.Involvement, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("involvement")
	}
	if !sharing.MayReadRecord(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	v, err := s.get(ctx, standard.InvolvementID(agency, localID))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, rpc.NotFound("involvement")
	}
	e := audit.FromContext(ctx)
	e.AddChild(v.childID)
	asker, st, err := s.standing(ctx, v)
	if err != nil {
		return nil, err
	}
	// To a data manager one that may not be shown is the same as none.
	if visible, err := s.visible(ctx, asker, st, &v.version); err != nil || !visible {
		return nil, cmp.Or(err, rpc.NotFound("involvement"))
	}
	e.AddReturned(v.name())
	return s.message(ctx, asker, st, v)
}

// standing reads what policy needs to show an involvement by itself: nothing to its
// own agency.
func (s *Service) standing(ctx context.Context, v *shown) (agencies.Asker, *children.Standing, error) {
	asker := s.directory.Asker(ctx)
	if asker.Owns(v.agency) {
		return asker, &children.Standing{}, nil
	}
	standings, err := children.Standings(ctx, s.pool, asker, v.childID)
	if err != nil {
		return asker, nil, err
	}
	if st := standings[v.childID]; st != nil {
		return asker, st, nil
	}
	return asker, &children.Standing{}, nil // merged away since
}

// written shows an involvement to who has just written it.
func (s *Service) written(ctx context.Context, v *shown) (*irtv1.Involvement, error) {
	asker, st, err := s.standing(ctx, v)
	if err != nil {
		return nil, err
	}
	return s.message(ctx, asker, st, v)
}

// message shows an involvement to an asker, as far as the asker may see it.
func (s *Service) message(ctx context.Context, a agencies.Asker, st *children.Standing, v *shown) (*irtv1.Involvement, error) {
	owner, _, err := s.directory.Find(ctx, v.agency)
	if err != nil {
		return nil, err
	}
	d, _, err := s.decide(ctx, a, st, &v.version)
	if err != nil {
		return nil, err
	}
	m := v.message(owner, sharing.MayReadRecord(a.Caller, v.agency))
	redact.Show(ctx, m, d)
	return m, nil
}

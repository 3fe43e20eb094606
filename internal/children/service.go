// Package children keeps the index: the records that agencies submit, the
// children they are linked to, and the answers to questions about children.
//
// A record travels through the write pipeline (submit.go): many are matched
// (place.go), linked and stored (store.go) in one transaction, and the children
// they touch are composed anew (compose.go). Point reads travel through a
// coalescer (read.go), and short lists about children through one of their own
// (lister.go), which other features share. service.go and lists.go are the RPCs.
package children

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/batch"
	"irthub/internal/identity"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// Service implements irtv1.ChildServiceServer and irtv1.MatchServiceServer.
type Service struct {
	irtv1.UnimplementedChildServiceServer
	irtv1.UnimplementedMatchServiceServer

	pool      *pgxpool.Pool
	writes    *pgxpool.Pool // for the write pipeline's batches alone
	directory *agencies.Directory
	tokens    *rpc.PageTokens
	access    *audit.Writer
	base      *match.Model                // the model built in or given; see model.go
	current   atomic.Pointer[match.Model] // it with what was learnt of the index; nil: base as it is
	follower  Follower                    // may be nil

	writer    *batch.Batcher[*submission, *answer]
	rehearser *batch.Batcher[*submission, *answer]
	reader    *batch.Batcher[wanted, *view]
	versions  *Lister[version]
	records   *Lister[*record]
}

// writesAtOnce is how many batches of submissions are under way at once.
const writesAtOnce = 3

// New starts the service's write pipeline and read coalescer; Close ends them.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens, access *audit.Writer) *Service {
	s := &Service{pool: pool, directory: directory, tokens: tokens, access: access, base: match.Default()}
	s.writes = pg.Apart(pool, writesAtOnce)
	// Of two small batches at once, one is matched here while the other is with the
	// database; and so are two of loads that share no key.
	s.writer = batch.NewApart(batch.Options{
		Name: "child records", Workers: writesAtOnce, MaxBatch: 256, MaxQueue: 4096, Second: 16, Room: locksAtMost, Timeout: time.Minute,
		RetrySingly: true, Hopeless: pg.Unavailable,
	}, laneOf, sharesOf, s.submit)
	s.rehearser = batch.NewFair(batch.Options{
		Name: "rehearsals", MaxBatch: 512, Timeout: time.Minute, RetrySingly: true, Hopeless: pg.Unavailable,
	}, laneOf, s.rehearseAll)
	s.reader = batch.New(batch.Options{Name: "child reads", Hopeless: pg.Unavailable}, s.read)
	s.versions = NewLister(pool, "versions", versionsSQL, nil, versionScan)
	s.records = NewLister(pool, "records", recordsSQL, nil, recordScan)
	return s
}

// laneOf is where a submission queues: every agency has a turn in every batch, so
// that the load of one does not stand before the records of another.
func laneOf(sub *submission) batch.Lane { return sub.lane }

// Pipelines are what the service's batchers have done.
func (s *Service) Pipelines() []batch.Stats {
	return append([]batch.Stats{s.writer.Stats(), s.rehearser.Stats(), s.reader.Stats()}, append(s.versions.Pipelines(), s.records.Pipelines()...)...)
}

// Close writes what was accepted and refuses what comes after.
func (s *Service) Close(ctx context.Context) error {
	err := s.writer.Close(ctx)
	if err == nil { // else a batch is still under way, and has one of them
		s.writes.Close()
	}
	return errors.Join(err, s.rehearser.Close(ctx), s.reader.Close(ctx), s.versions.Close(ctx), s.records.Close(ctx))
}

// today is the day in England, by which involvements are in force or not.
func (s *Service) today() time.Time { return standard.Today() }

// dateOf is the day in England at an instant.
func dateOf(at time.Time) time.Time { return standard.DayOf(at) }

// SubmitChildRecord implements irtv1.ChildServiceServer.
func (s *Service) SubmitChildRecord(ctx context.Context, req *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
	sub, err := s.admit(ctx, req.GetChildRecord(), req.GetStrict())
	if err != nil {
		return nil, err
	}
	sub.explain = true
	sub.etag = firstText(sub.etag, rpc.IfMatch(ctx))
	if req.GetValidateOnly() {
		return s.rehearse(ctx, sub)
	}
	a, err := s.writeNow(ctx, sub)
	if err != nil {
		return nil, err
	}
	return s.answered(ctx, a), nil
}

// answered shows a submission's answer to whom the record belongs to, or who wrote
// it.
func (s *Service) answered(ctx context.Context, a *answer) *irtv1.SubmitChildRecordResponse {
	resp := a.response()
	redact.Show(ctx, resp, sharing.Own(identity.FromContext(ctx), a.record.agency))
	return resp
}

// writeNow puts a unary call's submission through the pipeline, or refuses it at
// once where too much is waiting. The pipeline records the access.
func (s *Service) writeNow(ctx context.Context, sub *submission) (*answer, error) {
	sub.access = audit.FromContext(ctx)
	a, err := s.writer.TryDo(ctx, sub)
	if errors.Is(err, batch.ErrFull) {
		return nil, rpc.Overloaded()
	}
	if err != nil {
		return nil, err
	}
	sub.access.Recorded()
	return a, nil
}

// SubmitOptions are those of a SubmitChildRecordRequest.
type SubmitOptions struct{ Strict, ValidateOnly bool }

// Submit takes one record through admission and the write pipeline, waiting for a
// place there: for streams and files, which are slowed down rather than refused.
// The caller and the access entry are those of ctx; the record has an entry of
// its own beside it. The answer does not explain the match field by field. Errors
// are as of SubmitChildRecord.
func (s *Service) Submit(ctx context.Context, r *irtv1.ChildRecord, o SubmitOptions) (*irtv1.SubmitChildRecordResponse, error) {
	return s.begin(ctx, r, o)()
}

// begin is Submit in two steps: the record has its place in the pipeline when it
// returns, and what it returns waits for the answer.
func (s *Service) begin(ctx context.Context, r *irtv1.ChildRecord, o SubmitOptions) func() (*irtv1.SubmitChildRecordResponse, error) {
	wait, err := s.enter(ctx, r, o)
	return func() (*irtv1.SubmitChildRecordResponse, error) {
		var a *answer
		if err == nil {
			a, err = wait()
		}
		if err != nil {
			return nil, s.access.Refused(ctx, r.GetName(), err)
		}
		resp := a.response()
		resp.ValidateOnly = o.ValidateOnly
		return resp, nil
	}
}

func (s *Service) enter(ctx context.Context, r *irtv1.ChildRecord, o SubmitOptions) (wait func() (*answer, error), err error) {
	sub, err := s.admit(ctx, r, o.Strict)
	if err != nil {
		return nil, err
	}
	sub.lane.Bulk = true
	if o.ValidateOnly {
		return s.rehearser.Begin(ctx, sub)
	}
	sub.access = audit.FromContext(ctx)
	sub.prepare()
	sub.shares = append(slices.Clip(sub.keys), uint64(lockOfRecord(sub.id))|1<<63) //nolint:gosec // not negative; a key never has the upper bit set
	return s.writer.Begin(ctx, sub)
}

// admit is what a record passes before it may enter the pipeline: whose it is,
// the standard, normalisation.
func (s *Service) admit(ctx context.Context, r *irtv1.ChildRecord, strict bool) (*submission, error) {
	if r == nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("REQUIRED", "child_record")})
	}
	agency, localID, named := recordName(r.GetName())
	caller := identity.FromContext(ctx)
	if named && !sharing.MayWrite(caller, agency) {
		return nil, rpc.Denied()
	}
	standard.Normalise(r)
	faults, queries := standard.Check(r, standard.Options{Strict: strict})
	if len(faults) > 0 {
		return nil, rpc.Invalid(rpc.Prefix("child_record", faults))
	}
	sub := &submission{
		id: standard.RecordID(agency, localID), agency: agency, localID: localID,
		person: personFields(r), queries: queryTexts(queries), etag: r.GetEtag(), imported: rpc.IsImport(ctx),
		lane: batch.Lane{Key: caller.Agency},
	}
	sub.prepare() // here, where callers do so side by side, and not in the batch
	return sub, nil
}

// recordName takes agencies/{agency}/childRecords/{local_id} apart.
func recordName(name string) (agency, localID string, ok bool) {
	rest, ok := strings.CutPrefix(name, "agencies/")
	if !ok {
		return "", "", false
	}
	agency, localID, ok = strings.Cut(rest, "/childRecords/")
	return agency, localID, ok && agency != "" && localID != "" && !strings.Contains(localID, "/")
}

// personFields copies what an agency says of the person, and nothing that only
// the hub may say.
func personFields(r *irtv1.ChildRecord) *irtv1.ChildRecord {
	p := &irtv1.ChildRecord{}
	from, to := r.ProtoReflect(), p.ProtoReflect()
	for i := range personColumns {
		if fd := personColumns[i].record; from.Has(fd) {
			set(to, fd, from.Get(fd))
		}
	}
	return p
}

func (a *answer) response() *irtv1.SubmitChildRecordResponse {
	m := a.record.message()
	return &irtv1.SubmitChildRecordResponse{
		ChildRecord: m, Child: m.GetChild(), Outcome: a.outcome, Match: a.match, Queries: m.GetQueries(),
	}
}

// rehearse answers as if the record had been submitted, and writes nothing.
func (s *Service) rehearse(ctx context.Context, sub *submission) (*irtv1.SubmitChildRecordResponse, error) {
	a, err := s.rehearser.Do(ctx, sub)
	if err != nil {
		return nil, err
	}
	if a.record.childID != uuid.Nil {
		audit.FromContext(ctx).AddChild(a.record.childID)
	}
	resp := s.answered(ctx, a)
	resp.ValidateOnly = true
	return resp, nil
}

// WithdrawChildRecord implements irtv1.ChildServiceServer.
func (s *Service) WithdrawChildRecord(ctx context.Context, req *irtv1.WithdrawChildRecordRequest) (*irtv1.ChildRecord, error) {
	agency, localID, ok := recordName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("child record")
	}
	if !sharing.MayWrite(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	a, err := s.writeNow(ctx, &submission{
		id: standard.RecordID(agency, localID), agency: agency, localID: localID,
		etag: firstText(req.GetEtag(), rpc.IfMatch(ctx)), withdraw: true,
		lane: batch.Lane{Key: identity.FromContext(ctx).Agency},
	})
	if err != nil {
		return nil, err
	}
	return s.showRecord(ctx, a.record)
}

// showRecord shows an agency's record of a child: to the agency all of it, to others
// who may read it what they are shown of the child.
func (s *Service) showRecord(ctx context.Context, r *record) (*irtv1.ChildRecord, error) {
	shown, err := s.showRecords(ctx, []*record{r})
	if err != nil {
		return nil, err
	}
	return shown[0], nil
}

// showRecords shows records of several children and agencies.
func (s *Service) showRecords(ctx context.Context, records []*record) ([]*irtv1.ChildRecord, error) {
	asker := s.directory.Asker(ctx)
	var foreign []uuid.UUID
	for _, r := range records {
		if !asker.Owns(r.agency) {
			foreign = append(foreign, r.childID)
		}
	}
	standings := map[uuid.UUID]*Standing{}
	if len(foreign) > 0 {
		var err error
		if standings, err = Standings(ctx, s.pool, asker, foreign...); err != nil {
			return nil, err
		}
	}
	out := make([]*irtv1.ChildRecord, len(records))
	for i, r := range records {
		d := sharing.Own(asker.Caller, r.agency)
		if standing := standings[r.childID]; standing != nil {
			d = sharing.Decide(sharing.See, standing.Said(asker, r.agency))
		}
		out[i] = r.message()
		redact.Show(ctx, out[i], d)
	}
	return out, nil
}

// GetChildRecord implements irtv1.ChildServiceServer.
func (s *Service) GetChildRecord(ctx context.Context, req *irtv1.GetChildRecordRequest) (*irtv1.ChildRecord, error) {
	access := audit.FromContext(ctx)
	r, err := s.ownRecord(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	access.AddChild(r.childID)
	access.AddReturned(r.name())
	return s.showRecord(ctx, r)
}

// ownRecord reads a record that the caller may read.
func (s *Service) ownRecord(ctx context.Context, name string) (*record, error) {
	agency, localID, ok := recordName(name)
	if !ok {
		return nil, rpc.NotFound("child record")
	}
	if !sharing.MayReadRecord(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	found, err := queryRecords(ctx, s.pool, `SELECT `+recordList+` FROM child_records WHERE record_id = $1`,
		[16]byte(standard.RecordID(agency, localID)))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, rpc.NotFound("child record")
	}
	return found[0], nil
}

// GetChild implements irtv1.ChildServiceServer.
func (s *Service) GetChild(ctx context.Context, req *irtv1.GetChildRequest) (*irtv1.Child, error) {
	id, err := rpc.ParseChildName(req.GetName())
	if err != nil {
		return nil, err
	}
	if req.GetKnownAt() == nil {
		return s.show(ctx, id)
	}
	if err := req.GetKnownAt().CheckValid(); err != nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("DATE_INVALID", "known_at")})
	}
	v, err := s.historical(ctx, id, req.GetKnownAt().AsTime())
	if err != nil {
		return nil, err
	}
	return s.disclose(ctx, v)
}

// show reads a child as it is now and discloses it.
func (s *Service) show(ctx context.Context, id uuid.UUID) (*irtv1.Child, error) {
	v, err := s.follow(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.disclose(ctx, v)
}

// disclose makes a child ready for the caller and notes in the access log what
// it is shown.
func (s *Service) disclose(ctx context.Context, v *view) (*irtv1.Child, error) {
	access := audit.FromContext(ctx)
	access.AddChild(v.entry.id)
	asker := s.directory.Asker(ctx)
	d, err := s.decide(ctx, asker, v)
	if err != nil {
		return nil, err
	}
	m, err := s.message(ctx, asker, v, d)
	if err != nil {
		return nil, err
	}
	access.AddReturned(m.GetName())
	return m, nil
}

func directoryEntry(a agencies.Agency, found bool) *irtv1.DirectoryEntry {
	if !found {
		return nil
	}
	return &irtv1.DirectoryEntry{
		Agency: "agencies/" + a.ID, DisplayName: a.DisplayName, Kind: a.Kind,
		Telephone: a.Telephone, Email: a.Email,
	}
}

// kindOf tells what an agency is, for survivorship.
func (s *Service) kindOf(agencyID string) irtv1.AgencyKind {
	a, _ := s.directory.Get(agencyID)
	return a.Kind
}

// decidedAbout is what people decided about the record that a caller names, if it
// is one the caller may read.
func (s *Service) decidedAbout(ctx context.Context, name string) (bonds, uuid.UUID, error) {
	agency, localID, named := recordName(name)
	if !named || !sharing.MayReadRecord(identity.FromContext(ctx), agency) {
		return nil, uuid.Nil, nil
	}
	id := standard.RecordID(agency, localID)
	made, err := constraintsAmong(ctx, s.pool, []uuid.UUID{id})
	return made, id, err
}

// MatchChild implements irtv1.MatchServiceServer.
func (s *Service) MatchChild(ctx context.Context, req *irtv1.MatchChildRequest) (*irtv1.MatchChildResponse, error) {
	access := audit.FromContext(ctx)
	r := proto.CloneOf(req.GetChildRecord())
	standard.Normalise(r)
	faults, _ := standard.Check(&irtv1.MatchChildRequest{ChildRecord: r}, standard.Options{})
	if len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	made, self, err := s.decidedAbout(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	f, err := s.find(ctx, s.directory.Asker(ctx), personOf(r), self)
	if err != nil {
		return nil, err
	}
	if len(f.hidden) > 0 {
		f.sought = f.blind // for all, since what is decided in the end is decided among all
	}
	out := s.scored(&f.sought, f.ids, f.members, f.narrowed, func(other uuid.UUID) bool { return made.apart(self, other) })
	for _, c := range out.GetCandidates() {
		access.AddReturned(c.GetChild())
		if id, err := rpc.ParseChildName(c.GetChild()); err == nil {
			access.AddChild(id)
		}
	}
	return out, nil
}

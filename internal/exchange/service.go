package exchange

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/exchange/textfile"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// ImportKey is the metadata in which CreateImport sends the name of the import at
// its start, so that its progress can be asked for, and its rejects when it fails.
const ImportKey = "irt-import"

// Involvements takes involvements in, waiting for a place in their pipeline; its
// package is a feature like this one.
type Involvements interface {
	// Submit submits an involvement, or only checks it, and says whether it changed
	// anything. Errors are as of SubmitInvolvement.
	Submit(ctx context.Context, i *irtv1.Involvement, validateOnly bool) (changed bool, err error)
	// Export gives the involvements of an agency after a place, which is nil before
	// the first, in the order of their keys.
	Export(ctx context.Context, agency string, after []byte, limit int) (list []*irtv1.Involvement, last []byte, err error)
}

// Concerns takes concerns in, as Involvements does, and lists those of an agency.
type Concerns interface {
	ListConcerns(ctx context.Context, req *irtv1.ListConcernsRequest) (*irtv1.ListConcernsResponse, error)
	Submit(ctx context.Context, c *irtv1.Concern, validateOnly bool) (changed bool, err error)
}

// Referrals takes referrals in, as Involvements does, and lists those of an agency.
type Referrals interface {
	ListReferrals(ctx context.Context, req *irtv1.ListReferralsRequest) (*irtv1.ListReferralsResponse, error)
	Submit(ctx context.Context, r *irtv1.Referral, validateOnly bool) (changed bool, err error)
}

// Plans takes plans in, as Involvements does, and lists those of an agency.
type Plans interface {
	ListPlans(ctx context.Context, req *irtv1.ListPlansRequest) (*irtv1.ListPlansResponse, error)
	Submit(ctx context.Context, p *irtv1.ProtectionPlan, validateOnly bool) (changed bool, err error)
}

// Consents takes consents in, as Involvements does.
type Consents interface {
	Export(ctx context.Context, agency string, after []byte, limit int) (list []*irtv1.Consent, last []byte, err error)
	Submit(ctx context.Context, c *irtv1.Consent, validateOnly bool) (changed bool, err error)
}

// Services takes the services of agencies in, as Involvements does, and lists them.
type Services interface {
	ListServices(ctx context.Context, req *irtv1.ListServicesRequest) (*irtv1.ListServicesResponse, error)
	Submit(ctx context.Context, s *irtv1.Service, validateOnly bool) (changed bool, err error)
}

// Accesses lists accesses, each to whom it may be shown.
type Accesses interface {
	ListAccesses(ctx context.Context, req *irtv1.ListAccessesRequest) (*irtv1.ListAccessesResponse, error)
}

// Findings lists quality findings, those that the caller may see.
type Findings interface {
	ListQualityFindings(ctx context.Context, req *irtv1.ListQualityFindingsRequest) (*irtv1.ListQualityFindingsResponse, error)
}

// Service implements irtv1.ImportServiceServer and irtv1.ExportServiceServer.
type Service struct {
	irtv1.UnimplementedImportServiceServer
	irtv1.UnimplementedExportServiceServer

	pool         *pgxpool.Pool
	directory    *agencies.Directory
	records      *children.Service
	involvements Involvements
	concerns     Concerns
	referrals    Referrals
	plans        Plans
	consents     Consents
	services     Services
	accesses     Accesses
	findings     Findings
	tokens       *rpc.PageTokens
	log          *slog.Logger
	maxFile      int64
	patience     time.Duration

	remembered atomic.Int64 // rows that files being taken in have claims of

	stop  context.CancelFunc
	swept chan struct{} // closed when sweep has ended
}

// Options are what a Service works with.
type Options struct {
	Pool         *pgxpool.Pool
	Directory    *agencies.Directory
	Records      *children.Service
	Involvements Involvements
	Concerns     Concerns
	Referrals    Referrals
	Plans        Plans
	Consents     Consents
	Services     Services
	Accesses     Accesses
	Findings     Findings
	Tokens       *rpc.PageTokens
	Log          *slog.Logger
	// MaxFile bounds a file, in bytes; 1 GiB if zero.
	MaxFile int64
	// Patience is how long the sender of a file may send nothing; rpc.Patience if zero.
	Patience time.Duration
}

// New makes the service, which looks after interrupted imports until Close.
func New(o Options) *Service {
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{
		pool: o.Pool, directory: o.Directory, records: o.Records, involvements: o.Involvements,
		concerns: o.Concerns, referrals: o.Referrals, plans: o.Plans, consents: o.Consents, services: o.Services,
		accesses: o.Accesses, findings: o.Findings, tokens: o.Tokens, log: o.Log,
		maxFile: cmp.Or(o.MaxFile, maxFile), patience: cmp.Or(o.Patience, rpc.Patience), stop: stop, swept: make(chan struct{}),
	}
	go func() {
		defer close(s.swept)
		s.sweep(ctx)
	}()
	return s
}

// Close ends what New began.
func (s *Service) Close() {
	s.stop()
	<-s.swept
}

// reading is how the files of one form are read: to the end, or to an error that
// the caller is told.
type reading func(ctx context.Context, j *job, file *prefix) error

// CreateImport implements irtv1.ImportServiceServer.
func (s *Service) CreateImport(stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return rpc.Malformed("the first message of an upload must hold the header")
	}
	agency, read, err := s.admit(ctx, header)
	if err != nil {
		return err
	}
	j, err := s.begin(ctx, agency, header)
	if err != nil {
		return err
	}
	j.note(ctx)
	if err := stream.SendHeader(metadata.Pairs(ImportKey, j.state.GetName())); err != nil {
		return j.end(ctx, nil, err)
	}
	if j.state.GetState() == irtv1.ImportState_IMPORT_STATE_RUNNING {
		if err := s.run(ctx, j, stream, read); err != nil {
			return err
		}
	}
	return stream.SendAndClose(j.state)
}

// begin stores a new import, so that its progress can be asked for; or takes one
// up that was interrupted. One that has succeeded is given as it is: its sender did
// not hear the answer.
func (s *Service) begin(ctx context.Context, agency string, header *irtv1.ImportHeader) (*job, error) {
	j, err := s.newJob(agency, header)
	if err != nil {
		return nil, err
	}
	if header.GetImport() == "" {
		return j, insertImport(ctx, s.pool, j)
	}
	owner, id, ok := parseImportName(header.GetImport())
	if !ok || owner != agency {
		return nil, rpc.NotFound("import")
	}
	j.id = id
	present, found, err := getImport(ctx, s.pool, agency, id)
	if err != nil || !found {
		return nil, orNotFound(err, "import")
	}
	if present.GetFormat() != header.GetFormat() || present.GetValidateOnly() != header.GetValidateOnly() {
		return nil, rpc.Precondition("The import began with another format, or another validate_only. Send the file as it was sent first.")
	}
	return j, j.resume(ctx, present)
}

// resume goes on with an import as it is stored.
func (j *job) resume(ctx context.Context, present *irtv1.Import) error {
	switch present.GetState() {
	case irtv1.ImportState_IMPORT_STATE_SUCCEEDED:
		j.state = present
		return nil
	case irtv1.ImportState_IMPORT_STATE_FAILED, irtv1.ImportState_IMPORT_STATE_CANCELLED:
		return rpc.Precondition("The import has failed or was cancelled, and cannot be gone on with. Send the file as a new one.")
	}
	ok, err := takeUp(ctx, j.s.pool, j)
	if err != nil {
		return err
	}
	if !ok {
		return errRunning()
	}
	// What is stored may have moved on since it was read.
	present, _, err = getImport(ctx, j.s.pool, j.agency, j.id)
	if err != nil {
		return err
	}
	j.state, j.passing = present, present.GetAcknowledgedBytes() > 0
	for _, c := range present.GetRuleCounts() {
		j.rules[ruleCount{c.GetRuleId(), c.GetGrade()}] = c.GetCount()
	}
	return nil
}

// run takes the file in, and stores how that ended.
func (s *Service) run(
	ctx context.Context, j *job, stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import], read reading,
) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	j.stop = stop
	go j.live(running)
	file := s.receive(running, stream, j.state.GetName())
	err := s.readAll(running, j, file, read)
	return j.end(ctx, context.Cause(running), err)
}

// readAll reads a file in whatever encoding it comes.
func (s *Service) readAll(ctx context.Context, j *job, file *upload, read reading) error {
	text, encoding, err := textfile.Open(file)
	if err != nil {
		return fileError(err)
	}
	if encoding != "" {
		j.code = func() string { return encoding }
	}
	if err := read(ctx, j, newPrefix(text)); err != nil {
		return err
	}
	j.whole(file.sum.Sum(nil))
	return nil
}

// admit decides whether the caller may import such a file for the agency, which
// must be registered, and how it is read.
func (s *Service) admit(ctx context.Context, header *irtv1.ImportHeader) (agency string, read reading, err error) {
	caller := identity.FromContext(ctx)
	agency, ok := agencies.ParseName(header.GetParent())
	if header.GetParent() == "agencies/-" {
		agency, ok = caller.Agency, true
	}
	if header.GetFormat() == irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES {
		read, ok = s.readPractices, ok && mayKeepDirectory(caller, agency)
	} else {
		open := openers[header.GetFormat()]
		if open == nil {
			return "", nil, rpc.Malformed("the hub does not read files of that form")
		}
		read, ok = s.readRows(open), ok && mayImport(caller, agency, header.GetFormat())
	}
	if !ok {
		return "", nil, rpc.Denied()
	}
	if _, found, err := s.directory.Find(ctx, agency); err != nil || !found {
		return "", nil, orNotFound(err, "agency")
	}
	return agency, read, nil
}

// opener begins to read a file of one form.
type opener func(ctx context.Context, s *Service, j *job, file io.Reader) (source, error)

var openers = map[irtv1.ImportFormat]opener{
	irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT:        openCohort,
	irtv1.ImportFormat_IMPORT_FORMAT_CIN_CENSUS:           openCensus,
	irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS:        childRecords.table,
	irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS_NDJSON: childRecords.lines,
	irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS:         involvements.table,
	irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS_NDJSON:  involvements.lines,
	irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS:             concerns.table,
	irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS_NDJSON:      concerns.lines,
	irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS:            referrals.table,
	irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS_NDJSON:     referrals.lines,
	irtv1.ImportFormat_IMPORT_FORMAT_PLANS:                plans.table,
	irtv1.ImportFormat_IMPORT_FORMAT_PLANS_NDJSON:         plans.lines,
	irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS:             consents.table,
	irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS_NDJSON:      consents.lines,
	irtv1.ImportFormat_IMPORT_FORMAT_SERVICES:             services.table,
	irtv1.ImportFormat_IMPORT_FORMAT_SERVICES_NDJSON:      services.lines,
}

// readRows reads the files of a form that has rows of records.
func (s *Service) readRows(open opener) reading {
	return func(ctx context.Context, j *job, file *prefix) error {
		src, err := open(ctx, s, j, file)
		if err != nil {
			return fileError(err)
		}
		if j.code == nil {
			j.code = src.encoding
		}
		return s.takeIn(ctx, j, file, src)
	}
}

// mayImport says who may import records of an agency. Who may not keep its services may
// not import them either.
func mayImport(c identity.Caller, agency string, format irtv1.ImportFormat) bool {
	switch format {
	case irtv1.ImportFormat_IMPORT_FORMAT_SERVICES, irtv1.ImportFormat_IMPORT_FORMAT_SERVICES_NDJSON:
		return sharing.MayWrite(c, agency) && sharing.MayWritePractitioner(c, agency)
	}
	return sharing.MayWrite(c, agency)
}

// mayKeepDirectory says who may import agencies, and on behalf of which agency.
func mayKeepDirectory(c identity.Caller, agency string) bool {
	return c.Role == irtv1.Role_ROLE_DATA_MANAGER || c.Role == irtv1.Role_ROLE_HUB_OPERATOR && c.Agency == agency
}

// endTimeout bounds what is written when an import ends, also for a caller who
// has gone.
const endTimeout = 30 * time.Second

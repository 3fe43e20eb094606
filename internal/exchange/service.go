package exchange

import (
	"context"
	"encoding/binary"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// ImportKey is the metadata in which CreateImport sends the name of the import at
// its start, so that its progress can be asked for, and its rejects when it fails.
const ImportKey = "irt-import"

// Sizes of a page of rejects, as the schema states them.
const (
	defaultPage = 100
	largestPage = 1000
)

// Service implements irtv1.ImportServiceServer.
type Service struct {
	irtv1.UnimplementedImportServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	records   *children.Service
	tokens    *rpc.PageTokens
	log       *slog.Logger
}

// New makes the service; the rows of school cohorts go to records.
func New(pool *pgxpool.Pool, directory *agencies.Directory, records *children.Service, tokens *rpc.PageTokens, log *slog.Logger) *Service {
	return &Service{pool: pool, directory: directory, records: records, tokens: tokens, log: log}
}

// reading is how the files of one form are read: to the end, or to an error that
// the caller is told.
type reading func(ctx context.Context, j *job, file *upload) error

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
	if err := stream.SendHeader(metadata.Pairs(ImportKey, j.state.GetName())); err != nil {
		return j.end(ctx, err)
	}
	if err := j.end(ctx, read(ctx, j, &upload{stream: stream})); err != nil {
		return err
	}
	return stream.SendAndClose(j.state)
}

// admit decides whether the caller may import such a file for the agency, which
// must be registered, and how it is read.
func (s *Service) admit(ctx context.Context, header *irtv1.ImportHeader) (agency string, read reading, err error) {
	caller := identity.FromContext(ctx)
	agency, ok := agencies.ParseName(header.GetParent())
	if header.GetParent() == "agencies/-" {
		agency, ok = caller.Agency, true
	}
	switch header.GetFormat() {
	case irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT:
		read, ok = s.readCohort, ok && sharing.MayWrite(caller, agency)
	case irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES:
		read, ok = s.readPractices, ok && mayKeepDirectory(caller, agency)
	default:
		return "", nil, rpc.Malformed("the hub does not read files of that form")
	}
	if !ok {
		return "", nil, rpc.Denied()
	}
	if _, found, err := s.directory.Find(ctx, agency); err != nil || !found {
		return "", nil, orNotFound(err, "agency")
	}
	return agency, read, nil
}

// mayKeepDirectory says who may import agencies, and on behalf of which agency.
func mayKeepDirectory(c identity.Caller, agency string) bool {
	return c.Role == irtv1.Role_ROLE_DATA_MANAGER || c.Role == irtv1.Role_ROLE_HUB_OPERATOR && c.Agency == agency
}

// mayFollow says who may look at the imports of an agency. They hold no personal
// data, but tell what the agency sends.
func mayFollow(c identity.Caller, agency string) bool {
	return c.Role == irtv1.Role_ROLE_DATA_MANAGER || c.Agency == agency
}

func orNotFound(err error, what string) error {
	if err != nil {
		return err
	}
	return rpc.NotFound(what)
}

// GetImport implements irtv1.ImportServiceServer.
func (s *Service) GetImport(ctx context.Context, req *irtv1.GetImportRequest) (*irtv1.Import, error) {
	agency, id, err := s.followed(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	found, ok, err := getImport(ctx, s.pool, agency, id)
	if err != nil || !ok {
		return nil, orNotFound(err, "import")
	}
	return found, nil
}

// followed is the import of a name, which the caller may look at if it exists.
func (s *Service) followed(ctx context.Context, name string) (agency string, id uuid.UUID, err error) {
	agency, id, ok := parseImportName(name)
	if !ok {
		return "", id, rpc.NotFound("import")
	}
	if !mayFollow(identity.FromContext(ctx), agency) {
		return "", id, rpc.Denied()
	}
	return agency, id, nil
}

func importName(agency string, id uuid.UUID) string {
	return agencies.Name(agency) + "/imports/" + id.String()
}

func parseImportName(name string) (agency string, id uuid.UUID, ok bool) {
	agency, text, ok := agencies.ParseChildName(name, "imports")
	if !ok || len(text) != 36 || strings.ToLower(text) != text { // Parse takes other forms too
		return "", uuid.Nil, false
	}
	id, err := uuid.Parse(text)
	return agency, id, err == nil
}

// ListImportRejects implements irtv1.ImportServiceServer.
func (s *Service) ListImportRejects(ctx context.Context, req *irtv1.ListImportRejectsRequest) (*irtv1.ListImportRejectsResponse, error) {
	const method = irtv1.ImportService_ListImportRejects_FullMethodName
	agency, id, err := s.followed(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	if _, ok, err := getImport(ctx, s.pool, agency, id); err != nil || !ok {
		return nil, orNotFound(err, "import")
	}
	var after int64
	if len(cursor) == 8 {
		after = int64(binary.BigEndian.Uint64(cursor)) //nolint:gosec // it was one
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	rejects, err := listRejects(ctx, s.pool, id, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListImportRejectsResponse{ImportRejects: rejects}
	if len(rejects) > size {
		out.ImportRejects = rejects[:size]
		last := binary.BigEndian.AppendUint64(nil, uint64(after)+uint64(size)) //nolint:gosec // neither is negative
		out.NextPageToken, err = s.tokens.Encode(method, req, last)
	}
	return out, err
}

// endTimeout bounds what is written when an import ends, also for a caller who
// has gone.
const endTimeout = 30 * time.Second

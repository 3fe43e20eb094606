package exchange

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// Sizes of pages, as the schema states them.
const (
	importsPage = 50
	defaultPage = 100
	largestPage = 1000
)

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

// ListImports implements irtv1.ImportServiceServer.
func (s *Service) ListImports(ctx context.Context, req *irtv1.ListImportsRequest) (*irtv1.ListImportsResponse, error) {
	const method = irtv1.ImportService_ListImports_FullMethodName
	caller := identity.FromContext(ctx)
	agency, ok := agencies.ParseName(req.GetParent())
	if req.GetParent() == "agencies/-" {
		agency, ok = caller.Agency, true
	}
	if !ok || !mayFollow(caller, agency) {
		return nil, rpc.Denied()
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	before := uuid.Max
	if len(cursor) == len(before) {
		before = uuid.UUID(cursor)
	}
	size := int(rpc.PageSize(req.GetPageSize(), importsPage, largestPage))
	found, err := listImports(ctx, s.pool, agency, before, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListImportsResponse{}
	if len(found) > size {
		found = found[:size]
		if out.NextPageToken, err = s.tokens.Encode(method, req, found[size-1].id[:]); err != nil {
			return nil, err
		}
	}
	for _, i := range found {
		out.Imports = append(out.Imports, i.message)
	}
	return out, nil
}

// CancelImport implements irtv1.ImportServiceServer.
func (s *Service) CancelImport(ctx context.Context, req *irtv1.CancelImportRequest) (*irtv1.Import, error) {
	agency, id, err := s.followed(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	if err := cancelImport(ctx, s.pool, agency, id); err != nil {
		return nil, err
	}
	found, ok, err := getImport(ctx, s.pool, agency, id)
	if err != nil || !ok {
		return nil, orNotFound(err, "import")
	}
	return found, nil
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

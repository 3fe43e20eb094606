// Package dictionary serves the standard: what may be exchanged, and how it is
// checked. It holds no data and reads none, so it needs nothing to start.
package dictionary

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Service is irt.v1.StandardService. Its zero value is ready.
type Service struct {
	irtv1.UnimplementedStandardServiceServer
}

// The standard is the same for everyone as long as the hub runs, and these methods
// need no token: made once, they cost an idle caller's loop little. Nothing changes
// what is answered.
var (
	theStandard  = sync.OnceValue(standard.Dictionary)
	theCodeLists = sync.OnceValue(standard.CodeLists)
)

// GetStandard implements irt.v1.StandardService.
func (*Service) GetStandard(context.Context, *irtv1.GetStandardRequest) (*irtv1.Standard, error) {
	return theStandard(), nil
}

// ListCodeLists implements irt.v1.StandardService.
func (*Service) ListCodeLists(context.Context, *irtv1.ListCodeListsRequest) (*irtv1.ListCodeListsResponse, error) {
	return &irtv1.ListCodeListsResponse{CodeLists: theCodeLists()}, nil
}

// GetCodeList implements irt.v1.StandardService.
func (*Service) GetCodeList(_ context.Context, req *irtv1.GetCodeListRequest) (*irtv1.CodeList, error) {
	for _, list := range theCodeLists() {
		if list.GetName() == req.GetName() {
			return list, nil
		}
	}
	return nil, rpc.NotFound("code list")
}

// ValidateRecord implements irt.v1.StandardService. What is wrong with the record
// is the answer, never an error; a request without a record is one.
func (*Service) ValidateRecord(_ context.Context, req *irtv1.ValidateRecordRequest) (*irtv1.ValidateRecordResponse, error) {
	if req.GetChildRecord() == nil {
		faults, _ := standard.Check(req, standard.Options{})
		return nil, rpc.Invalid(faults)
	}
	record := proto.CloneOf(req.GetChildRecord())
	standard.ClearOutputOnly(record)
	standard.Normalise(record)
	errs, queries := standard.Check(record, standard.Options{Strict: req.GetStrict(), NameOptional: true})
	return &irtv1.ValidateRecordResponse{
		ChildRecord: record, Errors: standard.Queries(errs), Queries: standard.Queries(queries),
	}, nil
}

// Package agencies is the directory: the agencies that work with children and
// the practitioners in them. Every other part of the hub asks it who a caller is
// and how the people beside a child are reached; Directory answers from memory.
package agencies

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Sizes of a page of agencies or practitioners, as the schema states them.
const (
	defaultPage = 50
	largestPage = 1000
)

// Service is irt.v1.AgencyService. Which roles may call what is decided before
// it (the access option of each method); it decides whose practitioners a caller
// may see and keep.
type Service struct {
	irtv1.UnimplementedAgencyServiceServer

	pool      *pgxpool.Pool
	directory *Directory
	tokens    *rpc.PageTokens
	access    *audit.Writer
	places    chan struct{} // taken by each service of a stream or file while it is written
}

// atOnce is how many services of streams and files are written at once, so that they
// leave connections to others.
const atOnce = 2

// New makes the service; directory hears of its writes at once.
func New(pool *pgxpool.Pool, directory *Directory, tokens *rpc.PageTokens, access *audit.Writer) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens, access: access, places: make(chan struct{}, atOnce)}
}

// errRaced makes a transaction start again: what it did not find was registered
// by another at the same moment.
var errRaced = &pgconn.PgError{Code: "40001", Severity: "ERROR", Message: "registered at the same moment by another"}

// write runs fn in a transaction that also records the access.
func (s *Service) write(ctx context.Context, name string, fn func(pgx.Tx) error) error {
	e := audit.FromContext(ctx)
	named := false
	err := pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if !named { // by an attempt before
			e.AddReturned(name)
			named = true
		}
		if err := audit.Insert(ctx, tx, []*audit.Entry{e}); err != nil {
			return fmt.Errorf("agencies: recording access: %w", err)
		}
		return nil
	})
	if err == nil {
		e.Recorded()
	}
	return err
}

// checked holds a message to the standard. path is where in the request it stands.
func checked(m proto.Message, path string) error {
	faults, _ := standard.Check(m, standard.Options{})
	if len(faults) == 0 {
		return nil
	}
	if path != "" {
		faults = rpc.Prefix(path, faults)
	}
	return rpc.Invalid(faults)
}

// nameFits refuses a resource to be registered that comes with another name than
// the one it is to have.
func nameFits(given, wanted, field string) error {
	if given == "" || given == wanted {
		return nil
	}
	return rpc.Invalid([]standard.Fault{{
		Field: field, RuleID: "NAME_MISMATCH",
		Description: "The name is not the one that the rest of the request gives it.",
		Action:      "Leave the name out, or make the two agree.",
	}})
}

// unstatedIsActive is what the schema says of a state that is not stated.
func unstatedIsActive(s irtv1.AgencyState) irtv1.AgencyState {
	if s == irtv1.AgencyState_AGENCY_STATE_UNSPECIFIED {
		return irtv1.AgencyState_AGENCY_STATE_ACTIVE
	}
	return s
}
